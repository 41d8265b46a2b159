"""The attributes in a real browser: figures are drawn, a name leads to its flips."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.conftest import settled

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., "sync_api.Page"]


def test_every_part_draws_its_figure_and_has_an_address(open_view: Open):
    page = open_view("attributes", "run=tiny")
    parts = {
        "flips": "Flips (left: taken off, right: added)",
        "right": "Share (%)",
        "prevalence": "Images that have it (% of the known labels)",
        "category": "Category",
    }
    names = ("Flips", "How right", "How frequent", "By category")
    for name, (part, axis) in zip(names, parts.items(), strict=True):
        page.get_by_role("radio", name=name, exact=True).click()
        page.wait_for_url(f"**part={part}")
        page.locator(".xtitle", has_text=axis).wait_for(timeout=30_000)
    page.reload()
    page.locator(".xtitle", has_text="Category").wait_for(timeout=30_000)


def test_from_an_attribute_to_its_flips(open_view: Open):
    page = open_view("attributes", "run=tiny")
    row = page.locator("[data-testid=attributes] tbody tr").first
    name, n = row.locator("a").nth(0).inner_text(), row.locator("a").nth(1).inner_text()
    row.locator("a").nth(0).click()
    page.get_by_text("The surest changes").wait_for(timeout=30_000)
    page.get_by_role("link", name=f"See all {n} flips").click()
    counts = page.locator("[data-testid=flip-counts] strong")
    sync_api.expect(counts).to_have_text(n, timeout=30_000)
    settled(page)  # the count comes before the cards
    page.locator(".fc-card b").first.wait_for(timeout=30_000)
    assert set(page.locator(".fc-card b").all_inner_texts()) == {name}
