"""The one way to write to the store of decisions: asks for the role, notes what was done."""

from __future__ import annotations

import streamlit as st

from dashboard import access
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
            catalogue=args[0],
            run=kwargs.get("run_id"),
            n=getattr(done, "n_cells", None),
        )
    return done
