"""The one way to write to the store of decisions: asks for the role, notes what was done."""

from __future__ import annotations

from pathlib import PurePath

import streamlit as st

from dashboard import access
from dashboard.audit_queue import Desk, forget
from dashboard.events import event
from selfml.decisions import StoreError


def attempt(act, *args, **kwargs):
    """Write to the store from a callback; what fails is said and nothing else changes.

    ``act`` is a method of the store and ``args[0]`` the catalogue. Needs the role auditor.
    """
    st.session_state.pop("audit_problem", None)
    try:
        person = access.require("auditor")
        done = act(*args, **kwargs)
    except access.Refused as error:  # noted already
        st.session_state["audit_problem"] = str(error)
        return None
    except (StoreError, ValueError) as error:
        event("error", auditor=person.id, error=type(error).__name__, what=act.__name__)
        st.session_state["audit_problem"] = str(error)
        return None
    if done is not None and not getattr(done, "repeated", False):
        event(
            act.__name__,
            auditor=person.id,
            catalogue=PurePath(args[0]).name,
            run=kwargs.get("run_id"),
            n=getattr(done, "n_cells", None),
        )
    return done


# ------------------------------------------------------------------------- many flips at one time
def keep_for_undo(desk: Desk, keys: list[str], words: str) -> None:
    """Offer to take back what was done just now, which may be several acts."""
    st.session_state["audit_batch"] = (desk.catalogue, keys, words)


def offer_undo(desk: Desk) -> None:
    """What was done last, if it was done here, and a button that takes it back."""
    catalogue, keys, words = st.session_state.get("audit_batch", ("", [], ""))
    if not keys or catalogue != desk.catalogue:
        return
    row = st.container(horizontal=True, vertical_alignment="center")
    row.success(words, icon=":material/check:")
    row.button(
        "Undo", icon=":material/undo:", key="undo-batch", on_click=_take_back, args=(desk,)
    )  # fmt: skip


def _take_back(desk: Desk) -> None:
    catalogue, keys, words = st.session_state["audit_batch"]
    n = 0
    while keys:
        undone = attempt(desk.store.undo, catalogue, desk.auditor, key=keys[-1])
        if "audit_problem" in st.session_state:
            st.session_state["audit_batch"] = (catalogue, keys, words)
            return  # the store did not answer: the button stays, for what is left of it
        n += undone.n_cells if undone else 0
        keys = keys[:-1]
    forget()
    del st.session_state["audit_batch"]
    st.session_state["audit_note"] = f"Taken back: {n:,} decisions."
