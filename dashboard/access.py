"""Who is at a page or asks for an image, and what they may do: the one definition.

With an ``[auth]`` section in Streamlit's secrets, people sign in by OpenID Connect (``st.login``).
A person is their verified e-mail address, and that is also the name their decisions are kept under.
``SELFML_ROLES`` gives roles; whoever it does not name may see nothing. Each role may do what those
before it may:

=======  =========================================================================================
viewer   look at everything and save tables
auditor  decide flips, take back, settle conflicts, label basis images
admin    save labels of basis images as a new run, which everybody then sees first
=======  =========================================================================================

Without sign-in there is one local user who may do all. Where secrets are present but unreadable, or
roles are set without sign-in, nobody gets in: a mistake must not open a site.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st
from starlette.requests import Request

from dashboard.events import event
from dashboard.settings import settings

ROLES = ("viewer", "auditor", "admin")
NAME_KEY = "auditor_name"  # of the session; only without sign-in
NAME_LENGTH = 60


class Refused(PermissionError):
    """The role does not suffice; one line that says which one does."""


@dataclass(frozen=True)
class Person:
    """Somebody at a page.

    Attributes
    ----------
    name : str
        As the provider calls them; without sign-in the auditor's name.
    email : str
        In lower case; empty without sign-in, or where the provider did not verify it.
    role : str
        One of ``ROLES``, or empty: may see nothing.
    """

    name: str
    email: str
    role: str

    @property
    def id(self) -> str:
        """The auditor's id, under which decisions are kept."""
        return self.email or self.name

    def may(self, role: str) -> bool:
        """Whether this role, or one that includes it, is theirs."""
        return self.role in ROLES and ROLES.index(self.role) >= ROLES.index(role)


# --------------------------------------------------------------------------------- configuration
def auth_section() -> dict | None:
    """``[auth]`` of the secrets; None without sign-in, empty where it is meant and not readable."""
    if st.secrets.load_if_toml_exists():
        section = st.secrets.get("auth")
        if section:
            return dict(section)
    elif any(Path(path).exists() for path in st.get_option("secrets.files")):
        return {}
    return {} if settings().roles else None


def sign_in_is_on() -> bool:
    """Whether people have to sign in."""
    return auth_section() is not None


def providers() -> list[str]:
    """Names for ``st.login``: of the ``[auth.NAME]`` sections, else the one without a name."""
    section = auth_section() or {}
    named = [name for name, of in section.items() if isinstance(of, Mapping) and "client_id" in of]
    return (["default"] if "client_id" in section else []) + named


def role_rules(text: str) -> list[tuple[str, str]]:
    """(role, pattern of addresses) of ``admin=a@x.org; auditor=*@shop.org; viewer=*``.

    Raises
    ------
    ValueError
        When it cannot be read.
    """
    rules = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        role, found, patterns = (piece.strip() for piece in part.partition("="))
        names = re.split(r"[\s,]+", patterns.lower())
        if role not in ROLES or not found or not all(names):
            raise ValueError(
                f"SELFML_ROLES: must be like admin=a@x.org; auditor=*@shop.org, with roles "
                f"{', '.join(ROLES)}; got {part!r}"
            )
        rules += [(role, name) for name in names]
    return rules


def role_of(email: str, rules: list[tuple[str, str]]) -> str:
    """The highest role of an address; empty where no rule names it."""
    given = {role for role, pattern in rules if fnmatchcase(email, pattern)}
    return next((role for role in reversed(ROLES) if role in given), "")


def is_open_to_others() -> bool:
    """Whether the server listens on more than loopback, as far as it knows."""
    address = str(st.get_option("server.address") or "")
    try:
        return not ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address != "localhost"


# ---------------------------------------------------------------------------------------- people
def who() -> Person | None:
    """Who is at this page; None where nobody has signed in."""
    return _person(st.user.to_dict()) if sign_in_is_on() else _local(local_name())


def require(role: str) -> Person:
    """Who is at this page, if they may; to be called before anything is written.

    Raises
    ------
    Refused
        When nobody is signed in or the role does not suffice.
    """
    person = who()
    if person is None or not person.may(role):
        event("refused", auditor=person.id if person else "", role=person.role if person else "",
              what=role)  # fmt: skip
        raise Refused(f"This needs the role {role}; ask whoever runs this site")
    return person


def of_request(request: Request) -> Person | None:
    """Who asks for an image, by the cookie that signing in left; None where nobody has signed in.

    Streamlit does not tell routes of one's own who is signed in, so its cookie is read here as
    Streamlit 1.67 reads it when a page connects: signed with ``cookie_secret``, perhaps in several
    pieces, and of this site's origin. A cookie of another form means nobody.
    """
    section = auth_section()
    if section is None:
        return _local(settings().auditor)
    secret = section.get("cookie_secret")
    if not secret:
        return None
    uri = str(section.get("redirect_uri"))
    address = urlsplit(uri.replace("{port}", str(st.get_option("server.port"))))
    payload = _cookie(request.cookies, str(secret))
    if payload.get("origin") != f"{address.scheme}://{address.netloc}":
        return None
    return _person(payload)


def _cookie(cookies: Mapping[str, str], secret: str) -> dict:
    from streamlit.auth_util import get_cookie_with_chunks
    from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
    from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

    def piece(name: str) -> bytes | None:
        return decode_signed_value(secret, name, cookies.get(name, "").encode("latin-1"))

    try:
        found = json.loads(get_cookie_with_chunks(piece, USER_COOKIE_NAME) or b"{}")
    except (ValueError, UnicodeError):
        return {}
    return found if isinstance(found, dict) else {}


def _person(claims: Mapping) -> Person | None:
    """The person of an identity token's claims."""
    if claims.get("is_logged_in") is not True:
        return None
    email = str(claims.get("email") or "").strip().lower()
    said = claims.get("email_verified", settings().trust_email)
    verified = str(said).lower() == "true"
    if not verified or not re.fullmatch(r"[^\s@;,]+@[^\s@;,]+", email):
        email = ""
    role = role_of(email, role_rules(settings().roles)) if email else ""
    return Person(str(claims.get("name") or email or "unknown"), email, role)


def _local(name: str) -> Person:
    return Person(name, "", ROLES[-1])


def local_name() -> str:
    """In whose name decisions of this tab are kept, without sign-in."""
    return str(st.session_state.get(NAME_KEY) or settings().auditor)


def call_oneself(name: str) -> None:
    """Keep decisions of this tab in another name; empty: in that of ``SELFML_AUDITOR``."""
    st.session_state[NAME_KEY] = " ".join(name.split())[:NAME_LENGTH]
