"""The panel on trust, and the way from it to flips that need no look, in a browser."""

from __future__ import annotations

import pytest

from tests.browser.conftest import settled

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize("width", [390, 1440])
def test_from_the_promise_to_a_receipt(open_view, page, width):
    page.set_viewport_size({"width": width, "height": 1100})
    open_view("overview")
    heading = page.get_by_role("heading", name="How far the flips can be trusted")
    heading.scroll_into_view_if_needed()
    page.get_by_test_id("trust").wait_for(timeout=15_000)
    assert page.get_by_test_id("trust").locator("tbody tr").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("link", name="Flips safe to accept").click()
    page.get_by_test_id("flip-counts").wait_for(timeout=15_000)
    settled(page)
    assert "auto=1" in page.url
    card = page.locator("a.fc-card").first
    assert "safe" in card.inner_text()
    card.click()
    page.get_by_test_id("acceptance").wait_for(timeout=15_000)
    assert "Safe to accept" in page.get_by_test_id("acceptance").inner_text()
