"""The dashboard: ``streamlit run dashboard/app.py``.

Streamlit reads this file twice. The server imports it and finds ``app``, which adds the routes of
images to Streamlit's own; each rerun then executes it as the main script, the frame
around the view that is open.
"""

from __future__ import annotations

import atexit
import gc
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware

from dashboard import access, access_panels, components, health, load, media, preload, state
from dashboard.events import event
from dashboard.load import RunSummary
from dashboard.settings import secrets_of_environment, settings
from selfml.run import RunError

PAGES = (
    ("views/overview.py", "Overview", ":material/dashboard:"),
    ("views/map.py", "Map", ":material/scatter_plot:"),
    ("views/basis.py", "Basis", ":material/apps:"),
    ("views/attributes.py", "Attributes", ":material/label:"),
    ("views/flips.py", "Flips", ":material/swap_horiz:"),
    ("views/audit.py", "Audit", ":material/fact_check:"),
)
STATUS = {
    "complete": "", "running": " · training", "stopped": " · stopped", "failed": " · failed",
    "": " · unknown",
}  # fmt: skip


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
        access_panels.show_person()


def main() -> None:
    """Draw the frame and the view that is open."""
    st.set_page_config("SELF-ML", str(Path(__file__).with_name("icon.svg")), layout="wide")
    st.html(components.CSS)
    pages = [
        st.Page(path, title=title, icon=icon, default=i == 0)
        for i, (path, title, icon) in enumerate(PAGES)
    ]
    view = st.navigation(pages, position="hidden")
    if not access_panels.may_look():
        return
    _sidebar(pages)
    access_panels.warn_if_open()
    try:
        view.run()
    except RunError as error:  # a file of the run is missing or damaged
        event("error", error=type(error).__name__, what="run")
        components.unreadable(error)


def _failed(error: Exception) -> None:
    """A page failed: its kind is noted, and Streamlit shows what it shows."""
    event("error", error=type(error).__name__, what="page")


if __name__ == "__main__":
    main()
else:
    access.role_rules(settings().roles)  # what cannot be read ends the server here
    app = st.App(
        __file__,
        secrets=secrets_of_environment() or None,
        routes=[*media.routes(), health.route()],
        middleware=[Middleware(media.NoTraversal), Middleware(preload.Preload)],
        on_script_error=_failed,
    )
    # Streamlit collects garbage after every rerun. What was imported is none: leaving it out makes
    # that take a tenth of a second less, during which no session could go on.
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # else DuckDB, at the end, says that its objects are still there
