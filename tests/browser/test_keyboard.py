"""By Tab and Enter alone: from the navigation to a receipt, its what-if, the pager and a file."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import settled

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., "sync_api.Page"]
MARKED = """selector => {
  const e = document.activeElement;
  if (!e || !e.matches(selector)) return null;
  const shown = [e, ...e.querySelectorAll('img'), e.closest('label')].filter(Boolean);
  return e.matches(':focus-visible') && shown.some(one => {
    const s = getComputedStyle(one);
    return (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== 'none';
  });
}"""


def tab_to(page: sync_api.Page, selector: str, key: str = "Tab", limit: int = 120) -> None:
    """Press Tab until the focus is on ``selector``, and see that it shows there.

    Streamlit may draw a control anew while it is reached, whose code came late: then it has lost
    the focus, and is reached again.
    """
    settled(page)
    for _ in range(limit):
        page.keyboard.press(key)
        if page.evaluate(MARKED, selector) is None:
            continue
        shows = f"s => (({MARKED})(s) !== false)"
        page.wait_for_function(shows, arg=selector, timeout=10_000)
        if page.evaluate(MARKED, selector):
            return
    raise AssertionError(f"{selector} was not reached with {limit} presses of {key}")


def test_the_list_by_keyboard(open_view: Open):
    page = open_view("flips", "run=tiny")
    tab_to(page, "[data-testid=stSidebar] a[href^='map?']")
    tab_to(page, ".st-key-pager_next button")
    page.keyboard.press("Enter")
    page.wait_for_url("**page=2*")
    settled(page)
    page.reload()
    page.locator(".fc-card").first.wait_for(timeout=30_000)
    settled(page)
    tab_to(page, ".fc-card")
    tab_to(page, ".st-key-download_flips button")
    with page.expect_download(timeout=30_000) as download:
        page.keyboard.press("Enter")
    assert download.value.suggested_filename == "flips.csv"


def test_a_receipt_by_keyboard(open_view: Open):
    page = open_view("flips", "run=tiny")
    tab_to(page, ".fc-card")
    page.keyboard.press("Enter")
    page.locator("[data-testid=receipt-words]").wait_for(timeout=30_000)
    settled(page)
    tab_to(page, ".rc-card a")
    tab_to(page, "[class*=st-key-what_if_] button[role=radio]")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.locator("[data-testid=what-if]").wait_for(timeout=30_000)
    assert "without=" in page.url or "relabel=" in page.url


def test_the_navigation_by_keyboard(open_view: Open):
    page = open_view("overview", "run=tiny")
    tab_to(page, "[data-testid=stSidebar] a[href^='audit?']")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Audit", exact=True).wait_for(timeout=30_000)
    settled(page)
    tab_to(page, "[class*=st-key-accept-] button")
