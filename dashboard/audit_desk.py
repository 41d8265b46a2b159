"""Deciding one flip after the other: the queue, its keys, and what is said of the item."""

from __future__ import annotations

import time
import uuid
from html import escape

import numpy as np
import pandas as pd
import streamlit as st

from dashboard import components, flip_panels, load, media, receipt_html, state
from dashboard.audit_acts import attempt
from dashboard.audit_queue import Ahead, Desk, ahead_of, forget, named, of_all
from dashboard.frames import audit as frames
from dashboard.frames import flips as flip_frames
from dashboard.frames import receipt as receipts
from dashboard.frames.receipt_words import percent, sentences
from selfml.decisions import Cell
from selfml.receipts import receipt

KEYS = {"accept": "A", "reject": "X", "unsure": "S"}
WORDS = {"accept": "Accept", "reject": "Reject", "unsure": "Unsure"}
ICONS = {
    "accept": ":material/check:",
    "reject": ":material/close:",
    "unsure": ":material/help:",
}
CSS = """
<style>
.au-photo{display:block;border-radius:12px}
.au-photo img{width:100%;height:min(58vh,560px);object-fit:contain;background:#f4f1ec;
 border-radius:12px;border:1px solid rgba(128,134,146,.4);display:block;cursor:zoom-in}
.au-ask{font-size:1.45rem;line-height:1.3;font-weight:650;margin:0 0 6px;overflow-wrap:anywhere}
.au-line{font-size:.95rem;line-height:1.5;margin:0 0 10px;max-width:68ch;overflow-wrap:anywhere}
.au-facts{display:flex;gap:4px 18px;flex-wrap:wrap;font-size:.88rem;opacity:.85;
 font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.au-facts span{min-width:0;unicode-bidi:isolate}
@media (max-width:640px){.au-photo img{height:44vh}.au-ask{font-size:1.2rem}}
</style>
"""


# ------------------------------------------------------------------------------------ the acts
def _is_shown(key: str) -> bool:
    """Whether a press was meant for the item that is shown.

    While a page is drawn anew, the buttons of the item before are there beside the new ones, and
    one key presses both (Streamlit 1.67); and who presses twice has seen one item only.
    """
    return st.session_state.get("audit_shown") == key


def _show(key: str) -> None:
    st.session_state["audit_shown"] = key
    state.update(flip=key)


def _move(key: str, to: str) -> None:
    if _is_shown(key):
        _show(to)


def _decide(desk: Desk, key: str, cell: Cell, decision: str, act: str) -> None:
    """``act`` names this press; the same press sent twice is one decision."""
    if not _is_shown(key):
        return
    written = attempt(
        desk.store.decide, desk.catalogue, [cell], decision,
        auditor=desk.auditor, run_id=desk.run_id, key=act,
    )  # fmt: skip
    if written is None:
        return
    if not written.repeated:
        st.session_state.setdefault("audit_times", []).append(time.time())
    if written.n_conflicts and not desk.is_control(key):
        st.session_state["audit_note"] = (
            f"Somebody else decided otherwise on “{components.plain(cell.attribute)}” of "
            f"{components.plain(cell.image_id)}: it is now among the conflicts."
        )
    ahead: Ahead | None = st.session_state.get("audit_ahead")
    following = ""
    if ahead is not None:
        keys = ahead.names()
        place = keys.index(key) if key in keys else -1
        ahead.without(key)
        rest = ahead.names()
        following = rest[min(max(place, 0), len(rest) - 1)] if rest else ""
    _show(following)


def _undo(desk: Desk, key: str) -> None:
    if not _is_shown(key):
        return
    undone = attempt(desk.store.undo, desk.catalogue, desk.auditor)
    if undone is None:
        if "audit_problem" not in st.session_state:
            st.session_state["audit_note"] = "There is nothing of yours to take back."
        return
    times = st.session_state.get("audit_times", [])
    if times:
        times.pop()
    forget()
    one = f"“{components.plain(undone.attribute)}”"
    what = f"{undone.n_cells:,} decisions" if undone.n_cells > 1 else one
    st.session_state["audit_note"] = f"Taken back: {what} ({frames.SAID[undone.decision]})."
    cell = pd.DataFrame({"image_id": [undone.image_id], "attribute": [undone.attribute]})
    found = frames.keys_of(desk.run, cell)
    n = len(desk.run.attributes)
    _show(f"{found[0] // n}-{found[0] % n}" if found[0] >= 0 else "")


# ------------------------------------------------------------------------------------ the page
def say_what_happened() -> None:
    """What the last act met: a store that failed, a conflict, an undo."""
    problem = st.session_state.get("audit_problem")
    if problem:
        st.error(f"Not saved. {problem}", icon=":material/error:")
    note = st.session_state.pop("audit_note", None)
    if note:
        st.info(note, icon=":material/info:")


def show_queue(desk: Desk) -> None:
    """One item with its buttons, or why there is none."""
    ahead = ahead_of(desk)
    key = state.read().flip_key
    flips = ahead.flips
    if key is not None and f"{key[0]}-{key[1]}" not in ahead.names():
        flips = named(desk, key)
    elif key is not None:
        here = f"{key[0]}-{key[1]}"
        flips = flips[np.array([name == here for name in ahead.names()], bool)]
    if flips.empty:
        _nothing_left(desk)
        return
    flip = next(flips.itertuples())
    _buttons(desk, ahead, flip)
    _item(desk, flip)


def _buttons(desk: Desk, ahead: Ahead, flip: object) -> None:
    key = f"{flip.image_index}-{flip.attribute_index}"
    keys = ahead.names()
    place = keys.index(key) if key in keys else -1
    cell = frames.cell_of(flip)
    st.session_state["audit_shown"] = key
    row = st.container(horizontal=True, vertical_alignment="center", gap="small")
    for decision, letter in KEYS.items() if desk.may_decide else ():
        row.button(
            WORDS[decision], icon=ICONS[decision], shortcut=letter, key=f"{decision}-{key}",
            type="primary" if decision == "accept" else "secondary",
            on_click=_decide, args=(desk, key, cell, decision, uuid.uuid4().hex),
        )  # fmt: skip
    if desk.may_decide:
        row.button(
            "Undo", icon=":material/undo:", shortcut="U", key=f"undo-{key}", type="tertiary",
            on_click=_undo, args=(desk, key),
        )  # fmt: skip
    for words, icon, letter, step in (
        ("Back", ":material/chevron_left:", "Left", -1),
        ("On", ":material/chevron_right:", "Right", 1),
    ):
        to = place + step
        row.button(
            words, icon=icon, shortcut=letter, key=f"{words}-{key}", type="tertiary",
            disabled=not 0 <= to < len(keys) or place < 0,
            on_click=_move, args=(key, keys[to] if 0 <= to < len(keys) else ""),
        )  # fmt: skip
    row.caption(_progress(desk, ahead))


def _progress(desk: Desk, ahead: Ahead) -> str:
    times = st.session_state.get("audit_times", [])
    n, why = of_all(desk, ahead)
    parts = [f"{len(times):,} decided in this visit", f"{ahead.n_left:,} of {n} left in this list"]
    speed = frames.rate(times, time.time())
    if speed is not None:
        parts.append(f"{speed:.0f} a minute")
    return " · ".join([*parts, why] if why else parts)


def _item(desk: Desk, flip: object) -> None:
    run, i, j = desk.run, int(flip.image_index), int(flip.attribute_index)
    of = receipt(run, i, j, model=load.evidence_model(run))
    verdict = receipts.verdict(run, of, load.frame(run, flip_frames.one_flip, i, j))
    atoms = receipts.atoms_frame(of, verdict)
    change = "Add" if flip.corrected == 1 else "Take off"
    photo = media.photo_url(run, i)
    left, right = st.columns([5, 6], gap="large")
    alt = receipt_html.spoken(f"{change} {flip.attribute}? Image {flip.image_id}")
    left.html(
        f'{CSS}<a class="au-photo" href="{escape(photo)}" target="_blank" '
        f'title="Open the photo alone"><img src="{escape(photo)}" alt="{alt}"></a>'
    )
    name = flip.image_id.rpartition("/")[2]
    facts = [name, flip.category or "", f"confidence {percent(flip.confidence)}"]
    words = "".join(
        f'<p class="au-line">{escape(text)}</p>' for text in sentences(of, verdict, atoms)
    )
    right.html(
        f'{receipt_html.CSS}<div class="au-ask" data-testid="audit-ask">{change} '
        f"“{escape(flip.attribute)}”?</div>"
        f'<div class="au-facts">{"".join(f"<span>{escape(t)}</span>" for t in facts if t)}</div>'
        + words
    )
    if len(atoms):
        urls = media.image_urls(run, atoms["image_index"].tolist())
        hrefs = [state.link("basis", basis=int(k)) for k in atoms["basis_index"]]
        right.html(
            receipt_html.strip(atoms, verdict, urls, hrefs, []) + receipt_html.share_bar(atoms)
        )
    right.page_link(
        "views/flips.py", label="The whole receipt", icon=":material/receipt_long:",
        query_params=state.query_for(flip=f"{i}-{j}"),
    )  # fmt: skip


def _nothing_left(desk: Desk) -> None:
    if state.read().flip_key is not None:
        components.empty_state(
            "There is no such flip in this run", "It may be of another run. Choose a part above."
        )
    elif flip_panels.is_filtered(state.read()):
        components.empty_state(
            "Nothing like this is left to decide", "Loosen a filter above to go on."
        )
    else:
        components.empty_state(
            "Everything is decided",
            "All flips of this run are decided, or somebody else is at them. Export the corrected "
            "labels with `selfml export --decisions`.",
        )
    st.session_state["audit_shown"] = ""
    if desk.may_decide:
        st.button(
            "Undo my last decision", icon=":material/undo:", shortcut="U", key="undo-last",
            on_click=_undo, args=(desk, ""),
        )  # fmt: skip
