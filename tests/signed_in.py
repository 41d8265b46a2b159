"""A site where people sign in, without a provider: its secrets, and the cookie that it leaves."""

from __future__ import annotations

import json

from streamlit.auth_util import set_cookie_with_chunks
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

COOKIE = "_streamlit_user"
SECRET = "a secret of the tests, long enough for it"
ORIGIN = "https://labels.shop.org"
AUTH = {
    "redirect_uri": f"{ORIGIN}/oauth2callback",
    "cookie_secret": SECRET,
    "client_id": "selfml",
    "client_secret": "another",
    "server_metadata_url": "https://id.shop.org/.well-known/openid-configuration",
}
ROLES = "admin=root@shop.org; auditor=*@shop.org ann@else.org; viewer=*@else.org"


class Secrets(dict):
    """Stands for ``st.secrets``; without a section there is no file."""

    def load_if_toml_exists(self) -> bool:
        """Whether there are any."""
        return bool(self)


def claims(email: str, **more: object) -> dict:
    """What Streamlit keeps of an identity token."""
    known = {"is_logged_in": True, "email": email, "name": "A Name", "origin": ORIGIN}
    return known | {"email_verified": True} | more


def cookies(payload: dict, secret: str = SECRET) -> str:
    """The cookies of somebody who signed in, as Streamlit sets them and a browser sends them."""
    found: dict[str, str] = {}

    def sign(name: str, value: str) -> bytes:
        return create_signed_value(secret, name, value)

    def keep(name: str, value: str) -> None:
        found[name] = sign(name, value).decode()

    set_cookie_with_chunks(keep, sign, COOKIE, payload, cookie_attr_size=80)
    assert json.dumps(payload)
    return "; ".join(f"{name}={value}" for name, value in found.items())
