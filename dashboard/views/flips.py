"""The flips view."""

import streamlit as st

from dashboard import components

run = components.run_or_stop()
st.title("Flips")
