"""Frames: a run in, tidy frames out. No Streamlit."""
