"""Signing in and out, who one is, and a warning where nobody signs in and others can reach it."""

from __future__ import annotations

import streamlit as st

from dashboard import access
from dashboard.components import empty_state, plain
from dashboard.events import event

NOTED = "access_noted"


def may_look() -> bool:
    """Whether the person at this page may see it; else the page asks them to sign in, or says why.

    Notes who signed in, once for each tab.
    """
    person = access.who()
    if person is None:
        _sign_in()
        return False
    if not person.may("viewer"):
        _without_role(person)
        return False
    if person.email and st.session_state.get(NOTED) != person.id:
        st.session_state[NOTED] = person.id
        event("sign-in", auditor=person.id, role=person.role)
    return True


def _sign_in() -> None:
    found = access.providers()
    st.space("medium")  # the bar at the top would hide the edge
    _, box, _ = st.columns([1, 2, 1])
    box = box.container(border=True)
    box.title("SELF-ML", anchor=False)
    if not found:
        box.error(
            "People have to sign in here, and how is not set up: roles are given or there are "
            "secrets, but no `[auth]` section that can be read. See README.md, “Running it for "
            "others”.",
            icon=":material/lock:",
        )
        return
    box.markdown("Find, correct and explain wrong labels. Sign in to look and to decide.")
    for name in found:
        words = "Sign in" if name == "default" else f"Sign in with {name}"
        box.button(
            words, icon=":material/login:", type="primary", key=f"sign_in_{name}",
            on_click=st.login, args=(None if name == "default" else name,),
        )  # fmt: skip


def _without_role(person: access.Person) -> None:
    event("refused", auditor=person.email, what="viewer")
    st.title("SELF-ML", anchor=False)
    if person.email:
        why = f"Nobody has given `{person.email}` a role yet; ask whoever runs this site."
    else:
        why = "Your provider did not name a verified e-mail address, and roles are given to those."
    empty_state("You are signed in, but may not look here", why)
    _sign_out()


def _sign_out() -> None:
    st.button("Sign out", icon=":material/logout:", key="sign_out", on_click=_leave)


def _leave() -> None:
    person = access.who()
    event("sign-out", auditor=person.email if person else "")
    st.logout()


def show_person() -> None:
    """Who is at the page, for the sidebar."""
    person = access.who()
    if person is None:
        return
    if person.email:
        st.caption(f"{plain(person.name)} · {person.role}", help=f"`{person.email}`")
        _sign_out()
    elif access.is_open_to_others():
        st.caption(f"Nobody signs in here; you are “{plain(person.name)}”.")
    else:
        st.caption(f"No sign-in: one local user, “{plain(person.name)}”.")


def warn_if_open() -> None:
    """Says so where nobody signs in and the server is reachable from other machines."""
    if access.sign_in_is_on() or not access.is_open_to_others():
        return
    address = st.get_option("server.address") or "every address"
    st.warning(
        f"Nobody signs in here, and the server listens on {address}: whoever reaches it sees "
        "everything and may decide. Set up sign-in (README.md, “Running it for others”), or start "
        "it with `--server.address localhost`.",
        icon=":material/lock_open:",
    )


def say_in_whose_name(auditor: str, catalogue: str) -> None:
    """In whose name decisions are kept; without sign-in, a way to give one's own."""
    person = access.who()
    if person is None:
        return
    if person.email:
        may = "" if person.may("auditor") else f" Your role is {person.role}: you may look only."
        st.caption(f"Decisions are kept as those of `{person.email}` on {plain(catalogue)}.{may}")
        return
    row = st.container(horizontal=True, vertical_alignment="center")
    row.caption(
        f"Decisions are kept as those of “{plain(auditor)}” on {plain(catalogue)}. There is no "
        "sign-in: where several people decide, each gives a name of their own."
    )
    with row.popover("Decide in another name", icon=":material/badge:"):
        st.text_input(
            "Your name", auditor, key="auditor_field", max_chars=access.NAME_LENGTH,
            on_change=_rename,
            help="For this tab. Empty: the name that SELFML_AUDITOR gives",
        )  # fmt: skip


def _rename() -> None:
    access.call_oneself(st.session_state.get("auditor_field", ""))
