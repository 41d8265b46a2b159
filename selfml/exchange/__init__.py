"""Corrected labels in the formats of other tools, with a manifest, and read back from there."""
