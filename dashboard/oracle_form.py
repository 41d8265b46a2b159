"""One basis image and its labels: yes, no or not known for every attribute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import components, load, media, oracle_html, oracle_panels, state
from dashboard.draft import Rows
from dashboard.frames import oracle as frames
from dashboard.frames.receipt import LABEL_WORDS
from dashboard.oracle_panels import PART, drafted, keep
from selfml.run import Run

CHOICES = {1: "Yes", 0: "No", -1: "Not known"}
COLUMNS = 2
CSS = """
<style>
.st-key-oracle_labels [data-testid=stButtonGroup] button{min-height:44px;min-width:60px;
 scroll-margin-bottom:90px}
[data-testid=stLayoutWrapper]:has(>.st-key-oracle_buttons){position:sticky;bottom:0;z-index:2;
 padding:10px 0;backdrop-filter:blur(10px)}
.st-key-oracle_buttons button{min-height:44px}
@media (max-width:640px){
 .st-key-oracle_labels [data-testid=stButtonGroup] button{min-width:88px}}
</style>
"""


def show(run: Run, basis_index: int) -> None:
    """The image, its present labels to change, and where to go from there."""
    row = st.container(horizontal=True, vertical_alignment="center")
    row.button(
        "All basis images", icon=":material/arrow_back:", key="oracle_back",
        on_click=state.update, kwargs={"basis": None},
    )  # fmt: skip
    if not oracle_panels.can_be_labelled(run):
        return
    ordered = load.label_order(run)
    found = ordered[ordered["basis_index"] == basis_index]
    if found.empty:
        components.empty_state(
            f"Basis image {basis_index} is not in use",
            "No image leans on it; go back and choose one of those in use.",
        )
        return
    rows = drafted(run)
    if rows:
        n = oracle_html.count(len(rows), "basis image")
        row.button(
            f"{n} not saved: see the effect", icon=":material/save:", key="oracle_review_now",
            on_click=state.update, kwargs={"basis": None},
        )  # fmt: skip
    left, right = st.columns([1, 2], gap="large")
    with left:
        _image(run, next(found.itertuples()), basis_index in rows)
    with right:
        _labels(run, basis_index, rows)
        _buttons(run, ordered, basis_index, rows)


def _image(run: Run, row: Any, labelled: bool) -> None:
    shown = int(load.table(run, "basis", ["image_index"])["image_index"].iloc[row.basis_index])
    url, neighbour = media.image_url(run, int(row.image_index)), None
    if row.label_source == "nearest_clean" and shown != row.image_index:
        words = "Its present labels are those of this verified image, the nearest there is."
        neighbour = (media.image_url(run, shown), words)
    note = "Labelled, not saved." if labelled else (
        "Its labels below are the present ones: correct what is wrong."
    )  # fmt: skip
    st.html(oracle_html.CSS + oracle_html.head(row, url, note, neighbour))


def _key(basis_index: int, attribute_index: int) -> str:
    return f"oracle_{basis_index}_{attribute_index}"


def _present(run: Run, basis_index: int) -> tuple[int, ...]:
    return tuple(int(v) for v in np.asarray(run.array("basis_labels")[basis_index]))


def _said(run: Run, basis_index: int) -> tuple[int, ...]:
    """What the buttons of the open image say, all of them: a click that came before the address
    knew of the last one loses nothing."""
    present = drafted(run).get(basis_index, _present(run, basis_index))
    return tuple(
        int(st.session_state.get(_key(basis_index, j), label)) for j, label in enumerate(present)
    )


def _changed(run: Run, basis_index: int) -> None:
    keep(run, {**drafted(run), basis_index: _said(run, basis_index)})


def _done(run: Run, basis_index: int, following: int | None) -> None:
    rows = {**drafted(run), basis_index: _said(run, basis_index)}
    keep(run, rows, basis=following, part=PART)


def _forget(run: Run, basis_index: int) -> None:
    rows = {k: row for k, row in drafted(run).items() if k != basis_index}
    keep(run, rows)


def _labels(run: Run, basis_index: int, rows: Rows) -> None:
    present = _present(run, basis_index)
    now = rows.get(basis_index, present)
    n = len(now)
    height = -(-n // COLUMNS)
    st.html(CSS)
    columns = st.container(key="oracle_labels").columns(COLUMNS)
    for j, (name, label) in enumerate(zip(run.attributes, now, strict=True)):
        key = _key(basis_index, j)
        if st.session_state.get(key) != label:  # set, it would undo a click that is on its way
            st.session_state[key] = label
        was = "" if label == present[j] else f" · :orange[was {LABEL_WORDS[present[j]]}]"
        columns[j // height].segmented_control(
            components.plain(name) + was, list(CHOICES), format_func=CHOICES.get,
            required=True, key=key, on_change=_changed, args=(run, basis_index),
        )  # fmt: skip


def _buttons(run: Run, ordered: pd.DataFrame, basis_index: int, rows: Rows) -> None:
    following = frames.next_to_label(ordered, rows, after=basis_index)
    row = st.container(horizontal=True, vertical_alignment="center", key="oracle_buttons")
    row.button(
        "These are right, next" if following is not None else "These are right, finish",
        icon=":material/check:", type="primary", key="oracle_done",
        on_click=_done, args=(run, basis_index, following),
    )  # fmt: skip
    if following is not None:
        row.button(
            "Skip", icon=":material/skip_next:", key="oracle_skip",
            on_click=state.update, kwargs={"basis": following},
        )  # fmt: skip
    if basis_index in rows:
        row.button(
            "Put its labels back", icon=":material/undo:", key="oracle_forget",
            on_click=_forget, args=(run, basis_index),
        )  # fmt: skip
        oracle_panels.show_effect(run, {basis_index: rows[basis_index]}, short=True)
