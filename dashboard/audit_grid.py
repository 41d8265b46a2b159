"""Many flips of one label at once: mark the wrong ones, the others are accepted."""

from __future__ import annotations

import uuid
from dataclasses import replace
from html import escape

import pandas as pd
import streamlit as st

from dashboard import components, media
from dashboard.audit_acts import attempt, keep_for_undo, offer_undo
from dashboard.audit_queue import Desk, ahead_of, forget, names_of, of_all
from dashboard.frames import audit as frames
from dashboard.frames.receipt_words import percent
from dashboard.receipt_html import spoken
from selfml.decisions import Cell

AT_ONCE = 17  # and a control item: what a screen shows without much scrolling
CSS = """
<style>
.ag-photo{display:block;color:inherit!important;text-decoration:none!important}
.ag-photo img{width:100%;aspect-ratio:1;object-fit:contain;display:block;border-radius:10px;
 background:#f4f1ec;border:1px solid rgba(128,134,146,.4);cursor:zoom-in}
.ag-photo span{display:block;font-size:.78rem;margin-top:3px;opacity:.8}
.ag-ask{font-size:1.25rem;font-weight:650;margin:0;overflow-wrap:anywhere}
</style>
"""


def show_grid(desk: Desk) -> None:
    """A screen of flips that ask the same of one label, in the order of the queue."""
    offer_undo(desk)
    narrowed = _one_question(desk)
    if narrowed is None:
        components.empty_state(
            "Nothing like this is left to decide", "Loosen a filter above to go on."
        )
        return
    ahead = ahead_of(narrowed, AT_ONCE)
    flips = ahead.flips
    if flips.empty:
        components.empty_state("Somebody else is at these", "Choose another label above.")
        return
    first = flips.iloc[0]
    change = "Add" if first["corrected"] == 1 else "Take off"
    asked = f"{change} “{escape(first['attribute'])}”?"
    st.html(f'{CSS}<p class="ag-ask" data-testid="grid-ask">{asked}</p>')
    n, why = of_all(narrowed, ahead)
    left = f"{ahead.n_left:,} of {n} left of this kind{why and f'; {why}'}"
    st.caption(f"{left}. Mark what is wrong.")
    with st.form(f"grid-{names_of(flips)[0]}", border=False):
        _cards(narrowed, flips)
        if narrowed.may_decide:
            st.form_submit_button(
                "Reject what is marked, accept the others", type="primary",
                icon=":material/done_all:", shortcut="Mod+Enter",
                on_click=_decide, args=(narrowed, flips, uuid.uuid4().hex),
            )  # fmt: skip


def _one_question(desk: Desk) -> Desk | None:
    """The desk narrowed to the label and change of its next flip; None where none is left."""
    skip, _ = desk.standing()
    first = frames.queue(desk.run, desk.query, skip, 1)
    if first.empty:
        return None
    flip = first.iloc[0]
    direction = "to_1" if flip["corrected"] == 1 else "to_0"
    attribute = int(flip["attribute_index"])
    return replace(desk, query=replace(desk.query, attribute=attribute, direction=direction))


def _cards(desk: Desk, flips: pd.DataFrame) -> None:
    urls = media.image_urls(desk.run, flips["image_index"].tolist())
    row = st.container(horizontal=True, gap="small")
    for flip, name, url in zip(flips.itertuples(), names_of(flips), urls, strict=True):
        card = row.container(width=158, gap=None)
        photo = media.photo_url(desk.run, int(flip.image_index))
        alt = spoken(f"Image {flip.image_id}: open the photo")
        card.html(
            f'<a class="ag-photo" href="{escape(photo)}" target="_blank"><img src="{escape(url)}" '
            f'alt="{alt}"><span>{percent(flip.confidence)} sure</span></a>'
        )
        if desk.may_decide:
            card.checkbox("Wrong", key=f"wrong-{name}")


def _decide(desk: Desk, flips: pd.DataFrame, act: str) -> None:
    """Two acts, one for the accepted and one for the rejected; undone together."""
    marked = [bool(st.session_state.get(f"wrong-{name}")) for name in names_of(flips)]
    cells = frames.cells_of(flips)
    parts: list[tuple[str, list[Cell]]] = [
        ("reject", [cell for cell, wrong in zip(cells, marked, strict=True) if wrong]),
        ("accept", [cell for cell, wrong in zip(cells, marked, strict=True) if not wrong]),
    ]
    keys, said, n_conflicts = [], [], 0
    for decision, some in parts:
        if not some:
            continue
        written = attempt(
            desk.store.decide, desk.catalogue, some, decision,
            auditor=desk.auditor, run_id=desk.run_id, key=f"{act}-{decision}",
        )  # fmt: skip
        if written is None:
            break  # said above the page; what was written so far is offered to be taken back
        keys.append(written.key)
        n_conflicts += written.n_conflicts
        said.append(f"{written.n_cells:,} {frames.SAID[decision]}")
    if keys:
        keep_for_undo(desk, keys, ", ".join(said) + ".")
        forget()
    controls = sum(desk.is_control(name) for name in names_of(flips))
    if n_conflicts > controls:  # a control that others decided otherwise is none
        st.session_state["audit_note"] = (
            "Somebody decided otherwise on some of them meanwhile: see the conflicts."
        )
