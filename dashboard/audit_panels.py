"""All flips of a filter at once, conflicts between auditors, and the history of decisions."""

from __future__ import annotations

import uuid
from html import escape

import pandas as pd
import streamlit as st

from dashboard import components, flip_cards, load, media, state
from dashboard.audit_desk import attempt
from dashboard.audit_queue import Desk, forget
from dashboard.frames import audit as frames
from dashboard.receipt_html import spoken
from selfml.agreement import kappas
from selfml.decisions import Cell

AT_ONCE = 20_000  # decisions of one act; two seconds
PREVIEW = 12
CONFLICTS = 20
HISTORY = 200
SUSPECTS = 12
SAYS = {1: "yes", 0: "no", -1: "unknown"}


# ------------------------------------------------------------------------------- all at once
def _decide_all(desk: Desk, cells: list[Cell], decision: str, act: str) -> None:
    written = attempt(
        desk.store.decide, desk.catalogue, cells, decision,
        auditor=desk.auditor, run_id=desk.run_id, key=act,
    )  # fmt: skip
    if written is None:
        return
    forget()
    st.session_state["audit_batch"] = (desk.catalogue, written.key, written.n_cells, decision)
    if written.n_conflicts:
        st.session_state["audit_note"] = (
            f"{written.n_conflicts:,} of them contradict somebody else: see the conflicts."
        )


def _undo_batch(desk: Desk, key: str) -> None:
    undone = attempt(desk.store.undo, desk.catalogue, desk.auditor, key=key)
    if "audit_problem" in st.session_state:
        return  # the store did not answer: the button stays
    forget()
    st.session_state.pop("audit_batch", None)
    if undone is not None:
        st.session_state["audit_note"] = f"Taken back: {undone.n_cells:,} decisions."


def show_all(desk: Desk) -> None:
    """Counts and examples of what the filters match, and one button for all of them."""
    last = st.session_state.get("audit_batch")
    if last and last[0] == desk.catalogue:
        _, key, n, decision = last
        row = st.container(horizontal=True, vertical_alignment="center")
        row.success(f"{n:,} flips {frames.SAID[decision]}.", icon=":material/check:")
        row.button(
            "Undo", icon=":material/undo:", key="undo-batch", on_click=_undo_batch,
            args=(desk, key),
        )  # fmt: skip
    skip = desk.skip()
    flips = frames.queue(desk.run, desk.query, skip, AT_ONCE)
    if flips.empty:
        components.empty_state(
            "Nothing like this is left to decide", "Loosen a filter above to go on."
        )
        return
    n, n_left = len(flips), frames.n_left(desk.run, desk.query, skip)
    st.html(flip_cards.CSS + _counts(flips))
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
    for decision, words, kind in (
        ("accept", "Accept", "primary"),
        ("reject", "Reject", "secondary"),
    ):
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
    """Where auditors differ, each with a way to settle it, and how often they agree."""
    said = desk.store.of_auditors(desk.catalogue)
    rows = frames.conflict_rows(desk.store.state(desk.catalogue), said)
    agreement = kappas(desk.store.of_auditors(desk.catalogue, settling=False))
    if len(agreement):
        st.subheader("How often auditors agree", anchor=False)
        st.dataframe(agreement, hide_index=True, width="content")
        components.download_csv(agreement, "agreement")
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
    key = frames.keys_of(
        desk.run, pd.DataFrame({"image_id": [row.image_id], "attribute": [row.attribute]})
    )
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        if len(key):
            n = len(desk.run.attributes)
            url = media.image_url(desk.run, int(key[0] // n))
            href = state.link("flips", flip=f"{key[0] // n}-{key[0] % n}")
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
        for decision, words in (("accept", "Accept"), ("reject", "Reject")):
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
        "than expected, had all flips the same chance of being rejected. A click shows what its "
        "other label would change."
    )
    rows = rows.head(SUSPECTS)
    captions = [
        f"{row.attribute}: {SAYS[int(row.label)]}\n{row.rejected:.1f} of its parts rejected, "
        f"{row.accepted:.1f} accepted"
        for row in rows.itertuples()
    ]
    hrefs = [
        state.link(
            "basis",
            basis=int(row.basis_index),
            relabel=f"{row.basis_index}-{row.attribute_index}-{row.other}",
        )
        for row in rows.itertuples()
    ]
    badges = [f"+{excess:.1f}" for excess in rows["excess"]]
    components.image_grid(run, rows["image_index"], captions, hrefs, 150, badges)
    components.download_csv(rows.drop(columns="other"), "traced-rejects")


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
