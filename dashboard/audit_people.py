"""How auditors do: on control items, and against each other."""

from __future__ import annotations

import streamlit as st

from dashboard import access, components
from dashboard.audit_queue import Desk
from dashboard.frames.controls import EVERY, by_auditor, first_answers
from selfml.agreement import kappas

HELP = {
    "wrong proposals": "Flips of verified images that are known to be wrong, decided by them",
    "of these accepted": "Accepted though known to be wrong",
    "over-trust": "Share of known wrong proposals that were accepted; low and high: 95 % interval",
    "of these rejected": "Rejected though known to be right",
}


def show_people(desk: Desk) -> None:
    """Who decided how much, who trusts too much, and how far two agree."""
    said = desk.store.of_auditors(desk.catalogue, settling=False)
    first = first_answers(desk.store.history(desk.catalogue))
    if first.empty:
        components.empty_state("No decision yet", "Begin with **One at a time**.")
        return
    rows = by_auditor(desk.run, desk.controls, first)
    if not access.require("viewer").may("admin"):
        rows = rows[["auditor", "decided", "accepted", "rejected", "unsure"]]
    st.subheader("What each decided", anchor=False)
    if "over-trust" not in rows:
        st.caption(
            "First answers, taken back or not. An admin sees how each does on control items."
        )
    elif len(desk.controls.keys):
        st.caption(
            f"First answers, taken back or not. One at a time, about one item in {EVERY + 1} is a "
            "flip of a verified image, whose right label is known and not shown beside it. Who "
            "accepts the wrong ones among these trusts the proposals too much. "
            + (
                "The role auditor is not shown under Flips which these are."
                if access.sign_in_is_on()
                else "Without sign-in everybody can look them up under Flips."
            )
        )
    else:
        st.caption("No flip of a verified image can serve as a control item in this run.")
    columns = {
        name: st.column_config.NumberColumn(help=HELP.get(name), format="percent")
        if name in ("over-trust", "low", "high")
        else st.column_config.Column(help=HELP.get(name))
        for name in rows
    }
    st.dataframe(rows, hide_index=True, width="stretch", column_config=columns)
    components.download_csv(rows, "auditors")
    agreement = kappas(said)
    st.subheader("How often two agree", anchor=False)
    if agreement.empty:
        st.caption("No two auditors decided the same flip by themselves yet.")
        return
    st.caption(
        "Items are kept for one person, so two meet mostly on control items, half of which are "
        "wrong on purpose: kappa says how they judge these."
    )
    st.dataframe(agreement, hide_index=True, width="stretch")
    components.download_csv(agreement, "agreement")
