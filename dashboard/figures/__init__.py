"""Figures: a frame in, a Plotly figure out. No Streamlit, no reading of files."""
