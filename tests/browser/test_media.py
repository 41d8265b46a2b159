"""Thumbnails in a browser: shown with the page, refused without its signature."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_pictures_are_shown_and_their_addresses_cannot_be_changed(open_view, app_url):
    page = open_view("map")
    page.wait_for_function(
        "() => { const i = document.querySelector('.sm-item img');"
        " return i && i.complete && i.naturalWidth === 96 }"
    )
    source = page.locator(".sm-item img").first.get_attribute("src")
    assert _status(app_url + source) == 200
    assert _status(app_url + source[:-2]) == 403
    assert _status(f"{app_url}/thumbnails/run.json") == 403


def test_every_picture_has_words(open_view):
    page = open_view("map")
    page.locator(".sm-item img").first.wait_for(timeout=15_000)
    alts = [i.get_attribute("alt") for i in page.locator(".sm-item img").all()]
    assert len(alts) == 12
    assert all(alt.startswith("Image ") for alt in alts)


def test_the_page_asks_nobody_else(open_view, page, app_url):
    others = []
    page.on("request", lambda request: others.append(request.url))
    open_view("map")
    page.wait_for_timeout(500)
    assert not [u for u in others if u.startswith("http") and not u.startswith(app_url)]
