"""The basis in a real browser: from an atom to the flips that lean on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dashboard.frames import coverage
from dashboard.frames.faithfulness import deletion_sentence, table
from dashboard.frames.flips import FlipQuery, flips_summary
from selfml.run import Run
from tests.browser.conftest import settled

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., "sync_api.Page"]


def test_from_the_grid_to_an_atom_to_its_flips(open_view: Open, browser_runs: Path):
    page = open_view("basis", "run=tiny")
    page.locator(".sm-item a").first.click()
    page.wait_for_url("**basis=*")
    page.get_by_text("Flips that lean on it").wait_for(timeout=30_000)
    basis_index = int(page.url.split("basis=")[1])
    page.get_by_role("link", name="See all").click()
    counts = page.locator("[data-testid=flip-counts] strong")
    counts.wait_for(timeout=30_000)
    n = flips_summary(Run(browser_runs / "tiny"), FlipQuery(basis=basis_index))["n"]
    sync_api.expect(counts).to_have_text(f"{n:,}")
    assert f"basis={basis_index}" in page.url


@pytest.mark.parametrize(("part", "plots"), [("labels", 1), ("images", 3), ("faithfulness", 5)])
def test_every_part_reopens_with_its_figures(open_view: Open, part: str, plots: int):
    page = open_view("basis", f"run=tiny&part={part}")
    sync_api.expect(page.locator(".js-plotly-plot")).to_have_count(plots, timeout=30_000)
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate("e => e.scrollWidth <= e.clientWidth")


def test_from_an_uncovered_image_to_its_flips_and_to_the_map(open_view: Open, browser_runs: Path):
    rows = coverage.uncovered_images(Run(browser_runs / "tiny"))
    page = open_view("basis", "run=tiny&part=images")
    images = page.locator(".sm-grid .sm-item")
    sync_api.expect(images).to_have_count(len(rows), timeout=30_000)
    images.first.locator("a").click()
    page.wait_for_url(f"**/flips?run=tiny&image={rows['image_index'].iloc[0]}")
    page = open_view("basis", "run=tiny&part=images")
    page.get_by_role("link", name="See them in the map").click()
    page.wait_for_url("**coverage=uncovered*")
    page.get_by_text(f"{len(rows)} images not covered").wait_for(timeout=30_000)
    marks = "() => document.querySelector('.js-plotly-plot')._fullData.map(t => t.name)"
    page.locator(".js-plotly-plot .nsewdrag").first.wait_for(timeout=30_000)
    assert f"Not covered ({len(rows)})" in page.evaluate(marks)


def test_faithfulness_is_shown_and_saved(open_view: Open, browser_runs: Path):
    """The sentence to cite, a line for each explanation, and the whole table as a file."""
    page = open_view("basis", "run=tiny&part=faithfulness")
    rows = table(Run(browser_runs / "tiny"))
    sync_api.expect(page.get_by_text(deletion_sentence(rows, "full"))).to_be_visible()
    lines = page.locator(".js-plotly-plot").first.locator(".scatterlayer .trace")
    sync_api.expect(lines).to_have_count(5, timeout=30_000)
    settled(page)
    page.get_by_text("All figures as a table").click()
    settled(page)
    with page.expect_download() as download:
        page.locator("[data-testid=stDownloadButton] button").click()
    saved = pd.read_csv(download.value.path(), encoding="utf-8-sig")
    assert len(saved) == len(rows)
    np.testing.assert_allclose(saved["value"], rows["value"])
