"""The attributes in a real browser: figures are drawn, a name leads to its flips."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

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
        "prevalence": "Images that have it (% of known labels)",
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


def test_two_runs_side_by_side_by_keyboard_and_as_files(
    open_view: Open, browser_runs: Path, tmp_path: Path
):
    """From the address to the difference; a chosen measure comes by arrow key; files are saved."""
    if not (browser_runs / "second").exists():
        shutil.copytree(browser_runs / "tiny", browser_runs / "second")
    page = open_view("attributes", "run=tiny&part=compare&other=second&measure=ap")
    page.locator(".xtitle", has_text="tiny less second (points)").wait_for(timeout=30_000)
    cells = page.locator("[data-testid=compare] tbody tr").first.locator("td")
    assert cells.nth(3).inner_text() == "+0.0"
    page.get_by_role("radio", name="Average precision").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.wait_for_url("**measure=precision")
    page.locator(".xtitle", has_text="Flips that are right (%)").wait_for(timeout=30_000)
    settled(page)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download as CSV").click()
    saved.value.save_as(tmp_path / "compare.csv")
    header = (tmp_path / "compare.csv").read_text(encoding="utf-8-sig").splitlines()[0]
    assert header.startswith("attribute,value,value_other,difference,low,high,support")
    page.locator(".js-plotly-plot").first.hover()
    with page.expect_download() as picture:
        page.locator(".modebar-btn[data-title*=Download]").first.click()
    assert picture.value.suggested_filename == "selfml-compare-precision.png"
