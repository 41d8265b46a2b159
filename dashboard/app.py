"""The dashboard: ``streamlit run dashboard/app.py``.

Streamlit reads this file twice. The server imports it and finds ``app``, which adds the routes of
images to Streamlit's own; each rerun then executes it as the main script, the frame
around the view that is open.
"""

from __future__ import annotations

import gc
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from dashboard import components, load, media, preload, state
from dashboard.load import RunSummary
from selfml.run import RunError

PAGES = (
    ("views/overview.py", "Overview", ":material/dashboard:"),
    ("views/map.py", "Map", ":material/scatter_plot:"),
    ("views/basis.py", "Basis", ":material/apps:"),
    ("views/attributes.py", "Attributes", ":material/label:"),
    ("views/flips.py", "Flips", ":material/swap_horiz:"),
    ("views/audit.py", "Audit", ":material/fact_check:"),
)
STATUS = {"complete": "", "running": " · training", "failed": " · failed", "": " · unknown"}


def _name(run: RunSummary) -> str:
    if run.is_demo:
        return "Demo run"
    return run.name + (" · unreadable" if run.problem else STATUS.get(run.status, ""))


def _run_picker(runs: list[RunSummary]) -> None:
    names = {run.name: _name(run) for run in runs}
    if names:
        options = list(names)
        widget = state.bind("run", options)
        st.selectbox("Run", options, format_func=lambda n: names.get(n, n), **widget)


def _sidebar(pages: list[st.Page]) -> None:
    with st.sidebar:
        st.markdown("### SELF-ML")
        st.caption("Find, correct and explain wrong labels")
        for page in pages:
            st.page_link(page, query_params=state.query_for(), width="stretch")
        _run_picker(load.runs())
        st.segmented_control(
            "Save charts as", ["PNG", "SVG"], default="PNG", key="chart_format",
            help="Format of the camera button that appears over each chart",
        )  # fmt: skip


def main() -> None:
    """Draw the frame and the view that is open."""
    st.set_page_config("SELF-ML", str(Path(__file__).with_name("icon.svg")), layout="wide")
    st.html(components.CSS)
    pages = [
        st.Page(path, title=title, icon=icon, default=i == 0)
        for i, (path, title, icon) in enumerate(PAGES)
    ]
    view = st.navigation(pages, position="hidden")
    _sidebar(pages)
    try:
        view.run()
    except RunError as error:  # a file of the run is missing or damaged
        components.unreadable(error)


if __name__ == "__main__":
    main()
else:
    app = st.App(__file__, routes=media.routes(), middleware=[Middleware(preload.Preload)])
    # Streamlit collects garbage after every rerun. What was imported is none: leaving it out makes
    # that take a tenth of a second less, during which no session could go on.
    gc.collect()
    gc.freeze()
