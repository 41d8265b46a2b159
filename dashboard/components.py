"""Pieces shared by the views: image strips and grids, pager, metrics, downloads, empty states."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from dashboard import access, load, media, state
from dashboard.events import event
from dashboard.receipt_html import spoken
from selfml.corrections import neutralise
from selfml.run import Run, RunError

CSS = """
<style>
.sm-strip{display:flex;gap:12px;overflow-x:auto;padding:2px 2px 8px}
.sm-grid{display:grid;gap:14px 12px;grid-template-columns:repeat(auto-fill,minmax(var(--sm),1fr))}
.sm-item{margin:0;width:var(--sm);flex:none;font-size:.8rem;line-height:1.3;position:relative}
.sm-grid .sm-item{width:auto}
.sm-item a{color:inherit!important;text-decoration:none;display:block;border-radius:8px}
.sm-item a:hover img,.sm-item a:focus-visible img{border-color:#1f77c9;
 box-shadow:0 0 0 2px #1f77c9}
.sm-item a:focus-visible{outline:none}
.sm-item img{width:100%;aspect-ratio:1;object-fit:contain;display:block;border-radius:8px;
 border:1px solid rgba(128,134,146,.4);background:#f4f1ec}
.sm-item figcaption{margin-top:5px;overflow-wrap:anywhere;display:-webkit-box;
 -webkit-line-clamp:3;-webkit-box-orient:vertical;overflow:hidden;white-space:pre-line}
.sm-badge{position:absolute;top:6px;left:6px;padding:1px 7px;border-radius:9px;font-size:.72rem;
 font-weight:600;background:#20242c;color:#fff}
.sm-empty{border:1px dashed rgba(128,134,146,.6);border-radius:12px;padding:28px 24px;
 text-align:center;max-width:720px;margin:12px auto}
.sm-empty b{font-size:1.05rem;display:block;margin-bottom:6px}
.sm-note{font-size:.9rem;line-height:1.5;margin:0;max-width:90ch;opacity:.8;overflow-wrap:anywhere}
.sm-table{overflow-x:auto}
.sm-table table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
.sm-table th,.sm-table td{padding:8px 10px;text-align:right;white-space:nowrap;
 border-bottom:1px solid rgba(128,134,146,.25)}
.sm-table th:first-child,.sm-table td:first-child{text-align:left}
.sm-table th{font-weight:600;font-size:.85rem}
.sm-table td.best{font-weight:700}
[data-testid="stCaptionContainer"],[data-testid="stCaptionContainer"] p{color:inherit!important}
[data-testid="stCaptionContainer"]{opacity:.78}
[data-testid=stBaseButton-primary]:not(:disabled){color:light-dark(#fff,#0f1319)}
[data-testid=stPageLink] a:focus-visible{outline:2px solid #1f77c9;outline-offset:1px}
.stMainBlockContainer{padding-top:3.2rem;max-width:1600px}
[data-testid="stMetricValue"]{font-size:1.75rem}
@media (max-width:640px){.stMainBlockContainer{padding:3.2rem .9rem 3rem}}
</style>
"""


def _item(url: str, caption: str, href: str | None, badge: str | None, alt: str) -> str:
    image = f'<img src="{escape(url)}" alt="{spoken(alt)}" loading="lazy" decoding="async">'
    mark = f'<span class="sm-badge">{escape(badge)}</span>' if badge else ""
    body = f"{image}{mark}<figcaption>{escape(caption)}</figcaption>"
    if href:
        body = f'<a href="{escape(href)}" target="_self">{body}</a>'
    return f'<figure class="sm-item">{body}</figure>'


def _images_html(
    css_class: str,
    run: Run,
    image_indices: Iterable[int],
    captions: Sequence[str],
    hrefs: Sequence[str | None] | None,
    size_px: int,
    badges: Sequence[str | None] | None,
) -> str:
    indices = [int(i) for i in image_indices]
    n = len(indices)
    for name, given in (("captions", captions), ("hrefs", hrefs), ("badges", badges)):
        if given is not None and len(given) != n:
            raise ValueError(f"{name}: must have one entry an image ({n}), got {len(given)}")
    items = [
        _item(url, str(caption), href, badge, f"Image {index}. {caption}")
        for url, index, caption, href, badge in zip(
            media.image_urls(run, indices), indices, captions,
            hrefs or [None] * n, badges or [None] * n, strict=True,
        )
    ]  # fmt: skip
    return f'<div class="{css_class}" style="--sm:{int(size_px)}px">{"".join(items)}</div>'


def image_strip(
    run: Run,
    image_indices: Iterable[int],
    captions: Sequence[str],
    hrefs: Sequence[str | None] | None = None,
    size_px: int = 112,
    badges: Sequence[str | None] | None = None,
) -> None:
    """Thumbnails in one row that scrolls sideways, as a single element.

    Parameters
    ----------
    image_indices : iterable of int
        Which images, in order.
    captions : sequence of str
        One a picture, plain text (it is escaped); also read out by screen readers.
    hrefs : sequence of str or None, optional
        Where a click leads (``state.link``).
    badges : sequence of str or None, optional
        A short mark on the picture.

    Raises
    ------
    ValueError
        When the lists differ in length.
    """
    st.html(_images_html("sm-strip", run, image_indices, captions, hrefs, size_px, badges))


def image_grid(
    run: Run,
    image_indices: Iterable[int],
    captions: Sequence[str],
    hrefs: Sequence[str | None] | None = None,
    size_px: int = 112,
    badges: Sequence[str | None] | None = None,
) -> None:
    """Thumbnails in as many columns as fit; see :func:`image_strip`."""
    st.html(_images_html("sm-grid", run, image_indices, captions, hrefs, size_px, badges))


def pager(total: int, page_size: int, *, noun: str = "images") -> tuple[int, int]:
    """Previous and next buttons for the page of the address.

    Returns
    -------
    start, stop : int
        The rows of this page; ``0, 0`` where there are none.
    """
    pages = max(1, -(-total // page_size))
    page = min(state.read().page, pages)
    start, stop = (page - 1) * page_size, min(page * page_size, total)
    if total > page_size:
        row = st.container(horizontal=True, vertical_alignment="center")
        back = {"page": page - 1}
        row.button(
            "Previous", icon=":material/chevron_left:", disabled=page <= 1,
            on_click=state.update, kwargs=back, key="pager_previous",
        )  # fmt: skip
        row.button(
            "Next", icon=":material/chevron_right:", disabled=page >= pages,
            on_click=state.update, kwargs={"page": page + 1}, key="pager_next",
        )  # fmt: skip
        row.caption(f"{start + 1:,}–{stop:,} of {total:,} {noun}")
    return start, stop


def pick(name: str, label: str, options: dict[str, str]) -> str:
    """One of a few, as a row of buttons that the address remembers; returns the key chosen.

    Parameters
    ----------
    name : str
        A field of ``state.Selection``.
    options : dict of str
        Key in the address -> words; an address with another key means the first one.
    """
    st.segmented_control(
        label, list(options), format_func=options.get, required=True, **state.bind(name, options)
    )
    chosen = getattr(state.read(), name)
    return chosen if chosen in options else next(iter(options))


def metric_row(items: Sequence[tuple[Any, ...]]) -> None:
    """Figures in a row that wraps: ``(label, value)``, then optionally help and delta."""
    row = st.container(horizontal=True, gap="small")
    for label, value, *rest in items:
        help_text = rest[0] if rest else None
        delta = rest[1] if len(rest) > 1 else None
        row.metric(label, value, delta, help=help_text, border=True, width=166, height="stretch")


def empty_state(title: str, what_to_do: str) -> None:
    """Say that there is nothing to show, and what to do (Markdown)."""
    with st.container(border=True, horizontal_alignment="center", gap="xsmall"):
        st.markdown(f"**{title}**", text_alignment="center")
        st.markdown(what_to_do, text_alignment="center")


_NOT_FINISHED = (
    "The run was not finished: the same `selfml train` command with `--resume` goes on from the "
    "last saved step."
)
_WHY_MISSING = {
    "running": "The run is still training.",
    "complete": "Training has finished, but files of the run are missing: copy it again from "
    "where it was trained, or train it again.",
}


def run_or_stop(*needs: str) -> Run:
    """The run of the address, with these tables or arrays; else say what to do and stop."""
    try:
        run = load.selected_run(state.read())
    except RunError as error:
        unreadable(error)
        st.stop()
    if run is None:
        empty_state(
            "There is no run yet",
            "Make the demo run with `make demo`, or train on your own images with "
            "`selfml train`; then reload this page.",
        )
        st.stop()
    missing = [name for name in needs if not run.has(name)]
    if missing:
        status = "" if run.is_stopped else str(run.info.get("status"))
        why = _WHY_MISSING.get(status, _NOT_FINISHED)
        empty_state("Nothing to show yet", f"{why} This view needs: {', '.join(missing)}.")
        st.page_link(
            "views/overview.py", label="See how it is going", query_params=state.query_for()
        )
        st.stop()
    return run


def unreadable(error: RunError) -> None:
    """Say which file of the run cannot be read, and what to do, below what was drawn before."""
    st.error(f"This run cannot be shown. {error}", icon=":material/error:")
    st.caption("Other runs are not affected: choose one under **Run** in the side bar.")


@st.fragment
def drawer(label: str, draw: Callable[[], None], *, key: str, expanded: bool = False) -> None:
    """A part that ``draw`` draws when a reader opens it: what nobody sees costs nothing.

    A closed ``st.expander`` is drawn all the same, and with a table in it the browser loads and
    runs two megabytes of scripts before the first chart.
    """
    box = st.expander(label, expanded, key=key, on_change="rerun")
    if box.open:
        with box:
            draw()


_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
_ADDRESS = re.compile(r"(?<=[:@])(?=\S)|(?<=www)(?=\.)", re.IGNORECASE)


def plain(text: object) -> str:
    """Text in which Markdown finds nothing to do: no image to fetch, no link, no icon.

    Addresses and icons are found in the finished text, escaped or not: an invisible joiner
    (U+2060) after the colon keeps them apart. What turns the writing round (U+202E and its kind)
    ends with the text.
    """
    shown = _PUNCTUATION.sub(r"\\\1", _ADDRESS.sub("\u2060", str(text)))
    return f"\u2068{shown}\u2069" if _TURNS.search(shown) else shown


def safe_for_spreadsheets(frame: pd.DataFrame) -> pd.DataFrame:
    """Text that a spreadsheet would run as a formula gets a leading apostrophe."""
    text = [c for c in frame if not pd.api.types.is_numeric_dtype(frame[c])]
    guarded = {c: frame[c].map(lambda v: neutralise(v) if isinstance(v, str) else v) for c in text}
    renamed = {c: neutralise(c) for c in frame if isinstance(c, str)}
    return frame.assign(**guarded).rename(columns=renamed)


def download_csv(frame: pd.DataFrame | Callable[[], pd.DataFrame], name: str) -> None:
    """A button that saves the frame as ``name.csv`` (UTF-8, opens in spreadsheets).

    A function is called when the button is pressed.
    """
    auditor = access.require("viewer").id  # who presses it; rows() runs outside of the session

    def rows() -> bytes:
        table = frame() if callable(frame) else frame
        event("export", auditor=auditor, what=f"{name}.csv", n=len(table))
        return safe_for_spreadsheets(table).to_csv(index=False).encode("utf-8-sig")

    st.download_button(
        "Download as CSV",
        rows,
        file_name=f"{name}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key=f"download_{name}",
    )


def figure_config(name: str) -> dict[str, Any]:
    """Plotly's configuration: no logo, and saving as PNG or SVG as chosen in the sidebar."""
    kind = "svg" if st.session_state.get("chart_format") == "SVG" else "png"
    options = {"format": kind, "filename": f"selfml-{name}", "scale": 2 if kind == "png" else 1}
    return {"displaylogo": False, "toImageButtonOptions": options, "responsive": True}


def show_figure(figure: go.Figure, key: str, *, alt: str | None = None) -> None:
    """Show a figure over the whole width, in the theme of the page.

    Parameters
    ----------
    key : str
        Stable and unique on the page; also names the saved picture.
    alt : str, optional
        What the chart shows, in a sentence, for screen readers.
    """
    st.plotly_chart(figure, key=key, theme="streamlit", config=figure_config(key), alt=alt)
