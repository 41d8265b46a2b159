"""Signing in with an OpenID provider on loopback: who decides, who may only look, who may not."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from selfml.decisions import Store
from selfml.run import Run, catalogue_of
from tests.browser.conftest import at_the_desk, settled
from tests.browser.provider import sign_in, site_with_sign_in
from tests.tiny_run import build_tiny_run

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.browser, pytest.mark.slow]
As = Callable[[str], "sync_api.Page"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs of its own, so that decisions are its own too."""
    path = tmp_path_factory.mktemp("signed_in")
    build_tiny_run(path / "tiny", n_images=60, n_atoms=8)
    return path


@pytest.fixture(scope="module")
def log(folder: Path) -> Path:
    """What the server writes on its standard error."""
    return folder / "log.txt"


@pytest.fixture(scope="module")
def site(provider: str, folder: Path, log: Path) -> Iterator[str]:
    """The dashboard, with sign-in from the environment."""
    with site_with_sign_in(provider, folder, log) as address:
        yield address


@pytest.fixture
def signed_in(chromium: sync_api.Browser, site: str) -> Iterator[As]:
    """``signed_in("ann")``: a tab of a browser of its own, on the Audit page."""
    contexts = []

    def open_(person: str) -> sync_api.Page:
        contexts.append(chromium.new_context(viewport={"width": 1280, "height": 900}))
        return sign_in(contexts[-1].new_page(), f"{site}/audit?run=tiny", person)

    yield open_
    for context in contexts:
        context.close()


def status(url: str, cookies: str = "") -> int:
    """What a browser with these cookies gets."""
    try:
        request = urllib.request.Request(url, headers={"Cookie": cookies})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def cookies_of(page: sync_api.Page) -> str:
    """As a browser sends them."""
    return "; ".join(f"{c['name']}={c['value']}" for c in page.context.cookies())


def events(log: Path) -> list[dict]:
    """The lines of events so far."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"time"')]


def test_strangers_see_nothing(chromium, site):
    page = chromium.new_context().new_page()
    page.goto(f"{site}/flips?run=tiny")
    page.get_by_role("button", name="Sign in").wait_for(timeout=30_000)
    settled(page)
    assert page.locator("img").count() == 0
    assert "tiny" not in page.locator("[data-testid=stApp]").inner_text()
    page.context.close()


def test_an_auditor_decides_in_their_own_name_and_signs_out(signed_in, site, folder, log):
    page = signed_in("ann")
    assert "Ann A. · auditor" in page.locator("[data-testid=stSidebar]").inner_text()
    at_the_desk(page)
    photo = page.locator(".au-photo img")
    before = photo.get_attribute("alt")
    address = site + photo.get_attribute("src")
    cookies = cookies_of(page)
    page.keyboard.press("a")
    page.wait_for_function(
        "before => document.querySelector('.au-photo img')?.alt !== before", arg=before
    )
    with Store(f"sqlite:///{folder / 'decisions.db'}") as store:
        history = store.history(catalogue_of(Run(folder / "tiny")))
    assert history[["decision", "auditor"]].to_numpy().tolist() == [["accept", "ann@shop.org"]]
    assert history["image_id"][0] in before

    assert status(address, cookies) == 200  # images: with the cookie only, and with a whole one
    assert status(address) == 403
    assert status(address, cookies.replace("_streamlit_user=", "_streamlit_user=x")) == 403
    assert status(address[:-4] + "AAAA", cookies) == 403
    for path in (
        "..%2F..%2Ftiny%2Frun.json",
        "../tiny/run.json",
        "%2e%2e/run.json",
        "..%5Crun.json",
    ):
        assert status(f"{site}/photos/{path}", cookies) == 403, path
        assert status(f"{site}/thumbnails/{path}", cookies) == 403, path

    noted = [(e["event"], e.get("auditor"), e.get("n")) for e in events(log)]
    assert ("sign-in", "ann@shop.org", None) in noted
    assert ("decide", "ann@shop.org", 1) in noted
    text = log.read_text(encoding="utf-8", errors="replace")
    assert "Ann A." not in text
    assert history["image_id"][0] not in text

    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("button", name="End session").click()
    page.get_by_role("button", name="Sign in").wait_for(timeout=30_000)
    assert "_streamlit_user=" not in cookies_of(page)
    assert ("sign-out", "ann@shop.org") in [(e["event"], e.get("auditor")) for e in events(log)]


def test_a_viewer_looks_and_cannot_decide(signed_in, site, folder):
    page = signed_in("vic")
    photo = page.locator(".au-photo img")
    photo.wait_for(timeout=30_000)
    assert status(site + photo.get_attribute("src"), cookies_of(page)) == 200
    assert page.get_by_role("button", name="Accept").count() == 0
    assert "you may look only" in page.locator("[data-testid=stMain]").inner_text()
    page.keyboard.press("a")
    page.wait_for_timeout(500)
    with Store(f"sqlite:///{folder / 'decisions.db'}") as store:
        catalogue = catalogue_of(Run(folder / "tiny"))
        assert "vic@else.org" not in set(store.history(catalogue)["auditor"])
        assert "vic@else.org" not in set(store.claimed(catalogue).values())


@pytest.mark.parametrize(
    ("person", "why"),
    [("eve", "Nobody has given eve@nowhere.org a role"), ("mal", "verified e-mail address")],
)
def test_without_a_role_there_is_nothing_to_see(signed_in, site, folder, person, why):
    """Also for an address that has one, where the provider did not verify that it is theirs."""
    page = signed_in(person)
    text = page.locator("[data-testid=stMain]").inner_text()
    assert why in text
    assert page.locator("img").count() == 0
    page.get_by_role("button", name="Sign out").wait_for(timeout=20_000)
    answer = page.request.get(f"{site}/thumbnails/x")
    assert (answer.status, answer.text()) == (403, "Sign in to see images")


@pytest.mark.parametrize("person", ["", "eve", "vic"])
def test_the_pages_of_signing_in_read_well(signed_in, chromium, site, person):
    from tests.browser.test_accessibility import AT_ONCE, axe, fits, lasting, show

    if person:
        page = signed_in(person)
    else:
        page = chromium.new_context().new_page()
        page.goto(site)
        page.get_by_role("button", name="Sign in").wait_for(timeout=30_000)
    settled(page)
    page.add_style_tag(content=AT_ONCE)
    page.evaluate(axe.AXE_SCRIPT)
    problems = []
    for scheme, width in (("light", 1440), ("light", 390), ("dark", 390), ("dark", 1440)):
        show(page, scheme, width)
        fits(page)
        problems += [f"{scheme}, {width} px: {one}" for one in lasting(page, ())]
    page.context.close()
    assert problems == []
