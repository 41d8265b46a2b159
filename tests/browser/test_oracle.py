"""Labelling basis images in a real browser: label, see the effect, save, reopen by address."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from dashboard.draft import decode
from dashboard.frames.oracle import preview
from selfml.counterfactual import read_counterfactuals
from selfml.run import Run
from tests.browser.conftest import settled
from tests.oracle_cases import build_unverified_run

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., "sync_api.Page"]
BUTTON = {1: "Yes", 0: "No", -1: "Not known"}
N_ATTRIBUTES = 12


@pytest.fixture(scope="module")
def run(browser_runs: Path) -> Iterator[Run]:
    """A run of this module alone; it goes again, and what was saved of it."""
    yield Run(
        build_unverified_run(browser_runs / "shop", 200, n_atoms=12, n_attributes=N_ATTRIBUTES)
    )
    for path in browser_runs.glob("shop*"):
        shutil.rmtree(path)


def rows_of(page: sync_api.Page, run: Run) -> dict[int, tuple[int, ...]]:
    text = parse_qs(urlsplit(page.url).query).get("draft", [""])[0]
    return decode(text, "shop", *run.array("basis_labels").shape)


def press(page: sync_api.Page, name: str) -> None:
    page.get_by_role("button", name=name).click()
    settled(page)


def test_label_preview_save_and_reopen(open_view: Open, run: Run, browser_runs: Path):
    right = np.load(run.path / "right_labels.npy")
    before = np.array(run.array("labels_corrected"))
    page = open_view("basis", "run=shop&part=to-label")
    sync_api.expect(page.get_by_test_id("to-label").locator("li")).to_have_count(11)
    press(page, "Start with the first")
    page.wait_for_url("**basis=*")
    k = int(parse_qs(urlsplit(page.url).query)["basis"][0])
    groups = page.locator(".st-key-oracle_labels [data-testid=stButtonGroup]")
    sync_api.expect(groups).to_have_count(N_ATTRIBUTES)
    for j, label in enumerate(right[k]):  # as fast as a hand can, and faster: none may be lost
        groups.nth(j).get_by_role("radio", name=BUTTON[int(label)], exact=True).click()
    settled(page)
    rows = {k: tuple(int(v) for v in right[k])}
    page.wait_for_function("code => location.href.includes(code)", arg="draft=shop")
    assert rows_of(page, run) == rows
    of = preview(run, read_counterfactuals(run), rows)
    assert of.n_changed > 0
    text = f"{of.deciding.arises:,} new flips, {of.deciding.falls:,} gone"
    page.get_by_text(text).wait_for(timeout=30_000)
    page.reload()  # nothing is lost
    page.get_by_text(text).wait_for(timeout=30_000)
    settled(page)
    press(page, "1 basis image not saved: see the effect")
    page.get_by_text("1 basis image labelled, not saved").wait_for(timeout=30_000)
    address = page.url
    assert [p.name for p in browser_runs.iterdir() if "labelled" in p.name] == []
    press(page, "Save as a new run")
    page.wait_for_url("**run=shop-labelled**", timeout=30_000)
    page.get_by_text("with 1 basis image labelled").wait_for(timeout=30_000)
    child = Run(browser_runs / "shop-labelled")
    assert (before != child.array("labels_corrected")).sum() == of.n_changed
    page.goto(page.url)
    page.get_by_text("with 1 basis image labelled").wait_for(timeout=30_000)
    page.goto(address)  # the labels are in their address still
    page.get_by_text("1 basis image labelled, not saved").wait_for(timeout=30_000)
    np.testing.assert_array_equal(run.array("labels_corrected"), before)


def test_the_form_fits_a_phone_and_the_keyboard(open_view: Open, run: Run):
    page = open_view("basis", "run=shop&part=to-label")
    page.set_viewport_size({"width": 390, "height": 844})
    press(page, "Start with the first")
    page.wait_for_url("**basis=*")
    buttons = page.locator(".st-key-oracle_labels button")
    sync_api.expect(buttons).to_have_count(3 * N_ATTRIBUTES)
    for box in (button.bounding_box() for button in buttons.all()):
        assert box["height"] >= 44
        assert box["width"] >= 60
        assert 0 <= box["x"] <= box["x"] + box["width"] <= 390
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate("e => e.scrollWidth <= e.clientWidth")
    done = page.get_by_role("button", name="These are right")
    assert done.bounding_box()["y"] < 844  # in reach of the thumb before all labels are read
    first = page.locator(".st-key-oracle_labels [data-testid=stButtonGroup]").first
    chosen = first.get_by_role("radio", checked=True)
    was = chosen.inner_text()
    chosen.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    settled(page)
    sync_api.expect(first.get_by_role("radio", checked=True)).not_to_have_text(was)
    assert len(rows_of(page, run)) == 1
    done.focus()
    page.keyboard.press("Enter")
    settled(page)
    assert len(rows_of(page, run)) == 1
    assert "basis=" in page.url
