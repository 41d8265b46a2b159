"""Ways to correct attribute labels, side by side on one feature extraction."""
