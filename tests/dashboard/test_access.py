"""Who somebody is, what they may do, and that a mistake in the settings opens nothing."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest
import streamlit as st
from starlette.applications import Starlette
from starlette.middleware import Middleware

from dashboard import access, media
from dashboard.access import Person, role_of, role_rules
from selfml.run import Run
from tests.asgi import get
from tests.signed_in import AUTH, ROLES, Secrets, claims, cookies


@pytest.fixture
def signing_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """People have to sign in, and have the roles of ``ROLES``."""
    monkeypatch.setattr(st, "secrets", Secrets(auth=AUTH))
    monkeypatch.setenv("SELFML_ROLES", ROLES)


@pytest.fixture
def run(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("SELFML_RUNS", str(tiny_run.parent))
    monkeypatch.setenv("SELFML_SECRET_KEY", "a key")
    return Run(tiny_run)


@pytest.fixture
def site() -> Starlette:
    return Starlette(routes=media.routes(), middleware=[Middleware(media.NoTraversal)])


# ------------------------------------------------------------------------------------------ roles
@pytest.mark.parametrize(
    ("email", "role"),
    [
        ("root@shop.org", "admin"),  # the highest that names it
        ("bob@shop.org", "auditor"),
        ("ann@else.org", "auditor"),
        ("bob@else.org", "viewer"),
        ("bob@shop.org.evil.com", ""),
        ("bob@evil.com", ""),
    ],
)
def test_an_address_has_the_highest_role_that_names_it(email, role):
    assert role_of(email, role_rules(ROLES)) == role


@pytest.mark.parametrize("text", ["boss=a@x.org", "admin", "admin=", "=a@x.org", "viewer a@x.org"])
def test_roles_that_cannot_be_read_are_said(text):
    with pytest.raises(ValueError, match=r"SELFML_ROLES: must be like .* got"):
        role_rules(f"auditor=*@shop.org; {text}")


def test_each_role_may_what_those_before_may():
    may = {role: [Person("", "a@b", role).may(r) for r in access.ROLES] for role in access.ROLES}
    assert may == {
        "viewer": [True, False, False],
        "auditor": [True, True, False],
        "admin": [True, True, True],
    }
    assert not Person("", "a@b", "").may("viewer")


# ----------------------------------------------------------------------------------------- people
def test_a_person_is_their_address(signing_in):
    person = access._person(claims(" Bob@Shop.org "))
    assert (person.id, person.role, person.name) == ("bob@shop.org", "auditor", "A Name")


@pytest.mark.parametrize(
    "told",
    [
        claims("bob@shop.org", email_verified=False),
        claims("bob@shop.org", email_verified="false"),
        claims(""),
        claims("bob@evil.com@shop.org"),
        claims("bob@evil.com, x@shop.org"),
    ],
)
def test_who_is_not_sure_to_be_somebody_has_no_role(signing_in, told):
    assert access._person(told).role == ""


def test_an_address_that_the_provider_says_nothing_of_counts_only_where_one_says_so(
    signing_in, monkeypatch
):
    told = claims("bob@shop.org")
    del told["email_verified"]
    assert access._person(told).role == ""
    monkeypatch.setenv("SELFML_TRUST_EMAIL", "on")
    assert access._person(told).role == "auditor"
    assert access._person(told | {"email_verified": False}).role == ""


@pytest.mark.parametrize("told", [{}, {"email": "bob@shop.org"}, claims("bob@shop.org") | {
    "is_logged_in": "yes"}])  # fmt: skip
def test_who_has_not_signed_in_is_nobody(signing_in, told):
    assert access._person(told) is None


def test_without_roles_nobody_may_look(signing_in, monkeypatch):
    monkeypatch.delenv("SELFML_ROLES")
    assert not access._person(claims("root@shop.org")).may("viewer")


# -------------------------------------------------------------------------- mistakes open nothing
def test_sign_in_is_off_without_secrets_and_roles(monkeypatch):
    monkeypatch.setattr(st, "secrets", Secrets())
    monkeypatch.delenv("SELFML_ROLES", raising=False)
    assert not access.sign_in_is_on()
    assert access.who().may("admin")


def test_roles_without_a_way_to_sign_in_let_nobody_in(monkeypatch):
    monkeypatch.setattr(st, "secrets", Secrets())
    monkeypatch.setenv("SELFML_ROLES", ROLES)
    assert access.sign_in_is_on()
    assert access.providers() == []


def test_secrets_that_cannot_be_read_let_nobody_in(monkeypatch, tmp_path):
    (tmp_path / "secrets.toml").write_text("[auth")
    monkeypatch.setattr(st, "secrets", Secrets())
    monkeypatch.delenv("SELFML_ROLES", raising=False)
    monkeypatch.setattr(st, "get_option", lambda name: [str(tmp_path / "secrets.toml")])
    assert access.sign_in_is_on()


def test_providers_are_the_sections_with_a_client(monkeypatch):
    of = {"client_id": "x"}
    section = {"redirect_uri": "r", "cookie_secret": "c", "google": of, "okta": of}
    monkeypatch.setattr(st, "secrets", Secrets(auth=section))
    assert access.providers() == ["google", "okta"]
    monkeypatch.setattr(st, "secrets", Secrets(auth=AUTH))
    assert access.providers() == ["default"]


@pytest.mark.parametrize(
    ("address", "is_open"),
    [
        *(("127.0.0.1", False), ("localhost", False), ("::1", False), ("127.0.0.2", False)),
        *((None, True), ("0.0.0.0", True), ("::", True), ("192.168.1.5", True), ("x.org", True)),
    ],
)
def test_what_listens_beyond_loopback(monkeypatch, address, is_open):
    monkeypatch.setattr(st, "get_option", lambda name: address)
    assert access.is_open_to_others() == is_open


# ----------------------------------------------------------------------------------------- images
def test_images_are_for_who_may_look(signing_in, run, site):
    for url in (media.image_url(run, 3), media.photo_url(run, 3)):
        assert get(site, url, cookies(claims("bob@else.org")))[0] == 200
        assert get(site, url, cookies(claims("bob@evil.com")))[0] == 403
        assert get(site, url)[0] == 403


def test_a_cookie_in_several_pieces_is_read(signing_in, run, site):
    told = claims("bob@else.org", groups=secrets.token_hex(9000))
    sent = cookies(told)
    assert sent.count("_streamlit_user_") >= 2
    assert get(site, media.image_url(run, 3), sent)[0] == 200
    assert get(site, media.image_url(run, 3), sent.rpartition("; ")[0])[0] == 403


def test_a_cookie_of_another_kind_is_refused(signing_in, run, site):
    url, good = media.image_url(run, 3), cookies(claims("bob@else.org"))
    other_site = claims("bob@else.org", origin="https://evil.com")
    for bad in (
        cookies(claims("bob@else.org"), secret="another secret, as long as the other"),
        cookies(other_site),
        cookies(claims("bob@else.org", is_logged_in=False)),
        good.replace("_streamlit_user", "_streamlit_other"),
        good[:-3] + "AAA",
        "_streamlit_user=ä",
        "_streamlit_user=",
    ):
        assert get(site, url, bad)[0] == 403, bad


def test_a_cookie_that_is_too_old_is_refused(signing_in, run, site, monkeypatch):
    sent = cookies(claims("bob@else.org"))
    now = media.time.time()
    url = media.image_url(run, 3)
    monkeypatch.setattr("time.time", lambda: now + 40 * 86400)
    assert get(site, media.image_url(run, 3), sent)[0] == 403
    monkeypatch.setattr("time.time", lambda: now)
    assert get(site, url, sent)[0] == 200


def test_a_signed_person_needs_a_signed_address_too(signing_in, run, site):
    sent = cookies(claims("root@shop.org"))
    photo, thumbnail = media.photo_url(run, 3), media.image_url(run, 3)
    swapped = thumbnail.replace("/thumbnails/", "/photos/")
    changed = photo[:-6] + ("A" if photo[-6] != "A" else "B") + photo[-5:]
    for bad in (swapped, changed, "/photos/x", "/photos/../../etc/passwd", "/photos/..%5Cx"):
        assert get(site, bad, sent)[0] == 403, bad


def test_an_expired_photo_is_refused(run, site, monkeypatch):
    now = media.time.time()
    monkeypatch.setattr(media.time, "time", lambda: now - 14 * 3600)
    url = media.photo_url(run, 3)
    monkeypatch.setattr(media.time, "time", lambda: now)
    assert get(site, url)[0] == 403
