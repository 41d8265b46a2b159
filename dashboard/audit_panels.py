"""All flips of a filter at once, conflicts between auditors, and the history of decisions."""

from __future__ import annotations

import uuid
from html import escape
from pathlib import PurePath

import pandas as pd
import streamlit as st

from dashboard import components, flip_cards, load, media, state
from dashboard.audit_acts import attempt, keep_for_undo, offer_undo
from dashboard.audit_queue import Desk, forget, of_all
from dashboard.draft import encode
from dashboard.frames import audit as frames
from dashboard.oracle_panels import PART as TO_LABEL
from dashboard.receipt_html import spoken
from selfml.decisions import Cell
from selfml.run import Run

AT_ONCE = 20_000  # decisions of one act; two seconds
PREVIEW = 12
CONFLICTS = 20
HISTORY = 200
SUSPECTS = 12
LABEL_OF = {"yes": 1, "no": 0}
SAYS = {1: "yes", 0: "no", -1: "unknown"}


def say_other_names(desk: Desk) -> None:
    """Where nothing is decided here but on a folder of this name elsewhere: it may have moved."""
    if st.session_state.get("audit_moved", ("", []))[0] != desk.catalogue:  # once for each tab
        named = desk.store.catalogues()
        alike = [name for name in named if PurePath(name).name == desk.shop]
        moved = [] if desk.catalogue in named else alike
        st.session_state["audit_moved"] = (desk.catalogue, moved)
    moved = st.session_state["audit_moved"][1]
    if moved:
        listed = ", ".join(components.plain(name) for name in moved)
        st.warning(
            f"Nothing is decided on this catalogue, but there are decisions on {listed}. If that "
            "is the same one, train with `--set data.catalogue=` and that name.",
            icon=":material/help:",
        )


# ------------------------------------------------------------------------------- all at once
def _decide_all(desk: Desk, cells: list[Cell], decision: str, act: str) -> None:
    written = attempt(
        desk.store.decide, desk.catalogue, cells, decision,
        auditor=desk.auditor, run_id=desk.run_id, key=act,
    )  # fmt: skip
    if written is None:
        return
    forget()
    keep_for_undo(desk, [written.key], f"{written.n_cells:,} flips {frames.SAID[decision]}.")
    if written.n_conflicts:
        st.session_state["audit_note"] = (
            f"{written.n_conflicts:,} of them contradict somebody else: see the conflicts."
        )


def show_all(desk: Desk) -> None:
    """Counts and examples of what the filters match, and one button for all of them."""
    offer_undo(desk)
    skip, _ = desk.standing()
    flips = frames.queue(desk.run, desk.query, skip, AT_ONCE)
    if flips.empty:
        components.empty_state(
            "Nothing like this is left to decide", "Loosen a filter above to go on."
        )
        return
    n, n_left = len(flips), frames.n_left(desk.run, desk.query, skip)
    st.html(flip_cards.CSS + _counts(flips))
    n_all, why = of_all(desk)
    st.caption(f"Of {n_all} flips like this, those decided are left out{why and f'; {why}'}.")
    if n < n_left:
        st.info(
            f"These are the first {n:,} of {n_left:,} undecided ones; the others follow once "
            "these are decided.", icon=":material/info:",
        )  # fmt: skip
    st.caption(
        f"The first {min(PREVIEW, n)} of {n:,}, in the order chosen above. "
        "Only the labels named are decided; other labels of these images stay as they are."
    )
    flip_cards.grid(desk.run, flips.head(PREVIEW).assign(truth=-1), {})  # nothing that decides it
    cells = frames.cells_of(flips)
    these = "all" if n == n_left else "these"
    row = st.container(horizontal=True)
    choices = (("accept", "Accept", "primary"), ("reject", "Reject", "secondary"))
    for decision, words, kind in choices if desk.may_decide else ():
        row.button(
            f"{words} {these} {n:,}", key=f"all-{decision}", type=kind,
            on_click=_decide_all, args=(desk, cells, decision, uuid.uuid4().hex),
        )  # fmt: skip


def _counts(flips: pd.DataFrame) -> str:
    added = int((flips["corrected"] == 1).sum())
    images = flips["image_index"].nunique()
    counts = flips["attribute"].value_counts()
    most = ", ".join(f"{escape(name)} {count:,}" for name, count in counts.head(4).items())
    more = f" and {len(counts) - 4:,} more attributes" if len(counts) > 4 else ""
    return (
        f'<div class="fc-line" data-testid="bulk-counts"><span><strong>{len(flips):,}</strong> '
        f"undecided</span><span>{added:,} to add, {len(flips) - added:,} to take off</span>"
        f"<span>on {images:,} images</span><span>{most}{more}</span></div>"
    )


# --------------------------------------------------------------------------------- conflicts
def _settle(desk: Desk, cell: Cell, decision: str, act: str) -> None:
    attempt(
        desk.store.decide, desk.catalogue, [cell], decision, settle=True,
        auditor=desk.auditor, run_id=desk.run_id, key=act,
    )  # fmt: skip
    forget()


def show_conflicts(desk: Desk) -> None:
    """Where auditors differ, each with a way to settle it."""
    said = desk.store.of_auditors(desk.catalogue)
    open_ = frames.of_noisy(desk.run, desk.store.state(desk.catalogue))
    rows = frames.conflict_rows(open_, said)
    st.subheader(f"Conflicts: {len(rows):,}", anchor=False)
    if rows.empty:
        components.empty_state(
            "No conflict is open", "Where two people decide differently, the flip waits here."
        )
        return
    for row in rows.head(CONFLICTS).itertuples():
        _conflict(desk, row)
    if len(rows) > CONFLICTS:
        st.caption(f"{len(rows) - CONFLICTS:,} more follow once these are settled.")
    components.download_csv(rows, "conflicts")


def _conflict(desk: Desk, row: object) -> None:
    cell = Cell(row.image_id, row.attribute, int(row.given), int(row.proposed))
    (key,) = frames.keys_of(
        desk.run, pd.DataFrame({"image_id": [row.image_id], "attribute": [row.attribute]})
    )
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        if key >= 0:
            n = len(desk.run.attributes)
            url = media.image_url(desk.run, int(key // n))
            href = state.link("flips", flip=f"{key // n}-{key % n}")
            st.html(
                f'<a href="{escape(href)}" target="_self"><img src="{escape(url)}" width="84" '
                f'alt="{spoken(row.image_id)}: the receipt" style="border-radius:8px"></a>',
                width="content",
            )
        change = "Add" if row.proposed == 1 else "Take off"
        st.html(
            f'<div style="overflow-wrap:anywhere"><b>{change} “{escape(row.attribute)}”?</b><br>'
            f"{escape(row.says)}</div>",
            width="stretch",
        )
        choices = (("accept", "Accept"), ("reject", "Reject"))
        for decision, words in choices if desk.may_decide else ():
            st.button(
                words, key=f"settle-{decision}-{row.image_id}-{row.attribute}",
                on_click=_settle, args=(desk, cell, decision, uuid.uuid4().hex),
            )  # fmt: skip


# ------------------------------------------------------------------------------------ rejects
def show_traced(desk: Desk) -> None:
    """Basis images that have a part in more rejected flips than others, worst first."""
    run = desk.run
    counterfactuals = load.counterfactuals(run)
    state_now = desk.store.state(desk.catalogue)
    rows = frames.suspect_rows(run, counterfactuals.mixed, counterfactuals.model.prior, state_now)
    n_rejected = int((state_now["state"] == "reject").sum())
    if rows.empty:
        components.empty_state(
            "Nothing to trace yet" if not n_rejected else "No basis image stands out",
            "Once flips are rejected, the basis images that they share are listed here: one with "
            "a wrong label makes wrong flips wherever images lean on it.",
        )
        return
    st.caption(
        f"{n_rejected:,} flips were rejected. Listed are basis images with a part in more of them "
        "than expected, had all flips the same chance of being rejected. Its label can be changed, "
        "or set aside so that it counts as not known: the next page shows what that does to all "
        "flips before it is saved as a new run."
    )
    for row in rows.head(SUSPECTS).itertuples():
        _suspect(run, row)
    components.download_csv(rows.drop(columns="other"), "traced-rejects")


def _suspect(run: Run, row: object) -> None:
    """One basis image and its label in doubt: what it did, and two ways to go on."""
    k, j = int(row.basis_index), int(row.attribute_index)
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        url = media.image_url(run, int(row.image_index))
        edit = f"{k}-{j}-{row.other}"
        href = state.link("basis", basis=k, relabel=edit)
        st.html(
            f'<a href="{escape(href)}" target="_self"><img src="{escape(url)}" width="84" '
            f'alt="Basis image {k}: what its other label would change" '
            'style="border-radius:8px"></a>',
            width="content",
        )
        st.html(
            f"<b>{escape(row.attribute)}: {SAYS[int(row.label)]}</b> (+{row.excess:.1f})<br>"
            f"{row.rejected:.1f} of its parts rejected, {row.accepted:.1f} accepted",
            width="stretch",
        )
        labels = [int(label) for label in run.array("basis_labels")[k]]
        for words, icon, label in (
            (f"Make it {row.other}", ":material/edit:", LABEL_OF[row.other]),
            ("Set it aside", ":material/block:", -1),
        ):
            changed = (*labels[:j], label, *labels[j + 1 :])
            draft = encode(media.run_name(run), {k: changed})
            st.page_link(
                "views/basis.py", label=words, icon=icon,
                query_params=state.query_for(part=TO_LABEL, draft=draft),
            )  # fmt: skip


# ----------------------------------------------------------------------------------- history
def show_history(desk: Desk) -> None:
    """Every decision: who, when, what, on which run; also those taken back."""
    history = desk.store.history(desk.catalogue)
    if history.empty:
        components.empty_state("No decision yet", "Begin with **One at a time**.")
        return
    shown = frames.history_frame(history)
    st.caption(
        f"{len(shown):,} decisions on {components.plain(desk.shop)}; "
        f"the latest {HISTORY} are shown."
    )
    st.dataframe(shown.head(HISTORY), hide_index=True, width="stretch")
    components.download_csv(shown, "decisions")
