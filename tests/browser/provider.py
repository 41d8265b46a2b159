"""An OpenID provider on loopback, a dashboard where people sign in with it, and signing in."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import free_port, running_server, settled

if TYPE_CHECKING:
    from playwright.sync_api import Page

PEOPLE = (
    {"sub": "ann", "email": "Ann@Shop.org", "name": "Ann A.", "email_verified": True},
    {"sub": "vic", "email": "vic@else.org", "name": "Vic V.", "email_verified": True},
    {"sub": "eve", "email": "eve@nowhere.org", "name": "Eve E.", "email_verified": True},
    {"sub": "mal", "email": "root@shop.org", "name": "Mal M.", "email_verified": False},
)
ROLES = "admin=root@shop.org; auditor=*@shop.org; viewer=*@else.org"


@contextmanager
def running_provider() -> Iterator[str]:
    """The provider's address; it runs by itself, as a real one does."""
    if not all(importlib.util.find_spec(name) for name in ("oidc_provider_mock", "authlib")):
        pytest.skip("no OpenID provider: pip install -e '.[dev]'")
    port = free_port()
    claims = [word for person in PEOPLE for word in ("--user-claims", json.dumps(person))]
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([*command, *claims], **quiet)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(150):
            try:
                urllib.request.urlopen(f"{address}/.well-known/openid-configuration", timeout=2)
                break
            except OSError:
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextmanager
def site_with_sign_in(provider: str, folder: Path, log: Path) -> Iterator[str]:
    """The dashboard over a folder of runs, with sign-in from the environment; its address."""
    port = free_port()
    secrets = f"""
    [auth]
    redirect_uri = "http://127.0.0.1:{port}/oauth2callback"
    cookie_secret = "a secret of the tests, long enough for it"
    client_id = "selfml"
    client_secret = "another"
    server_metadata_url = "{provider}/.well-known/openid-configuration"
    """
    settings = {"SELFML_SECRETS": secrets, "SELFML_ROLES": ROLES, "DATABASE_URL": ""}
    with running_server(folder, log, port=port, settings=settings) as (address, _):
        yield address


def sign_in(page: Page, address: str, person: str) -> Page:
    """Open an address as somebody of ``PEOPLE`` (their ``sub``)."""
    page.route("**/cdn.jsdelivr.net/**", lambda route: route.abort())
    page.goto(address)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name=person, exact=True).click()
    page.locator("[data-testid=stApp]").wait_for(timeout=30_000)
    settled(page)
    page.goto(address)
    settled(page)
    return page
