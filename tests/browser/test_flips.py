"""Flips in a real browser: the grid leads to receipts, addresses reopen equal."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dashboard.flip_panels import ORDER
from dashboard.frames.flips import FlipQuery, flips_page, flips_summary
from dashboard.frames.what_if import counts
from selfml.counterfactual import read_counterfactuals
from selfml.receipts import receipt, without_atom
from selfml.run import Run
from tests.browser.conftest import settled
from tests.what_if_cases import fragile_flip

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = [pytest.mark.browser, pytest.mark.slow]
Open = Callable[..., "sync_api.Page"]


def shown(page: sync_api.Page, table: str) -> list[float]:
    """The last number of every row of a table, as the reader sees it."""
    cells = page.locator(f"[data-testid={table}] tbody tr td:last-child").all_inner_texts()
    return [float(text) for text in cells]


def query_of(page: sync_api.Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def test_a_receipt_opens_from_the_grid_and_its_numbers_add_up(open_view: Open, browser_runs: Path):
    query = FlipQuery(direction="to_1", sort=ORDER)
    flip = flips_page(Run(browser_runs / "tiny"), query, 1).iloc[2]
    page = open_view("flips", "run=tiny&direction=to_1")
    page.locator(".fc-card").nth(2).click()
    page.locator("[data-testid=sum-full]").wait_for(timeout=30_000)
    assert query_of(page) == {
        "run": ["tiny"],
        "direction": ["to_1"],
        "flip": [f"{flip['image_index']}-{flip['attribute_index']}"],
    }
    check_sums(page, flip)
    sync_api.expect(page.locator(".js-plotly-plot")).to_have_count(2, timeout=30_000)


def check_sums(page: sync_api.Page, flip: object) -> None:
    for table, score in (
        ("sum-atoms", flip["label_score"]),
        ("sum-full", flip["score"]),
        ("sum-strict", flip["strict_score"]),
    ):
        *parts, total = shown(page, table)
        assert round(sum(parts), 4) == total
        assert total == pytest.approx(score, abs=5.1e-5)


def test_a_receipt_reopens_from_its_address(open_view: Open, browser_runs: Path):
    run = Run(browser_runs / "tiny")
    flip = flips_page(run, FlipQuery(agreement="disagree"), 1).iloc[0]
    key = f"{flip['image_index']}-{flip['attribute_index']}"
    page = open_view("flips", f"run=tiny&flip={key}")
    words = page.locator("[data-testid=receipt-words]").inner_text()
    assert words.startswith("The basis images alone are not the reason")
    check_sums(page, flip)
    images = page.locator(".rc-card img")
    assert images.count() == len(run.coefficients_of(flip["image_index"]))
    loaded = "img => img.complete && img.naturalWidth > 0"
    page.wait_for_function(f"Array.from(document.querySelectorAll('.rc-card img')).every({loaded})")
    page.reload()
    page.locator("[data-testid=receipt-words]").wait_for(timeout=30_000)
    assert page.locator("[data-testid=receipt-words]").inner_text() == words


def test_what_stands_without_basis_images_says_so_first(open_view: Open, browser_runs: Path):
    """On its card before how sure it is, and as the first words of its receipt."""
    query = FlipQuery(agreement="bare")
    summary = flips_summary(Run(browser_runs / "tiny"), query)
    page = open_view("flips", "run=tiny&agreement=bare")
    total = page.locator("[data-testid=flip-counts] strong")
    sync_api.expect(total).to_have_text(f"{summary['n']:,}")
    cards = page.locator(".fc-card")
    texts = cards.all_inner_texts()
    assert texts
    for text in texts:
        mark = "basis images disagree" if "basis images disagree" in text else "stands without"
        assert 0 <= text.index(mark) < text.index(" %")
    page.locator(".fc-card", has_text="stands without basis images").first.click()
    words = page.locator("[data-testid=receipt-words]")
    words.wait_for(timeout=30_000)
    assert words.inner_text().startswith("The basis images do not decide here: the change would")
    assert words.locator("b").count() == 1


def test_filters_change_the_address_and_reopen_equal(open_view: Open):
    page = open_view("flips", "run=tiny")
    total = page.locator("[data-testid=flip-counts] strong")
    before = total.inner_text()
    page.get_by_text("Taken off", exact=True).first.click()
    page.wait_for_url("**direction=to_0**")
    sync_api.expect(total).not_to_have_text(before)
    settled(page)  # the count comes before the cards
    after, cards = total.inner_text(), page.locator(".fc-card b").all_inner_texts()
    address = page.url
    again = open_view("flips", urlsplit(address).query)
    sync_api.expect(again.locator("[data-testid=flip-counts] strong")).to_have_text(after)
    assert again.locator(".fc-card b").all_inner_texts() == cards
    assert query_of(again) == {"run": ["tiny"], "direction": ["to_0"]}


def test_walking_to_the_next_receipt_and_back_to_the_list(open_view: Open, browser_runs: Path):
    flips = flips_page(Run(browser_runs / "tiny"), FlipQuery(attribute=1, sort=ORDER), 1)
    keys = [f"{i}-{j}" for i, j in zip(flips["image_index"], flips["attribute_index"], strict=True)]
    page = open_view("flips", f"run=tiny&attribute=1&flip={keys[0]}")
    page.get_by_role("button", name="Next").click()
    page.wait_for_url(f"**flip={keys[1]}*")
    page.get_by_role("button", name="All flips").click()
    page.locator(".fc-card").first.wait_for(timeout=30_000)
    assert query_of(page) == {"run": ["tiny"], "attribute": ["1"]}


def test_names_never_become_markup(open_view: Open):
    page = open_view("flips", "run=tiny&attribute=3")
    alerts: list[str] = []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    assert page.locator(".fc-card b").first.inner_text() == "<script>alert('x')</script>"
    assert not alerts


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_receipt_fits_a_phone(page: sync_api.Page, open_view: Open, scheme: str):
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme=scheme)
    open_view("flips", "run=tiny&flip=0-0")
    main = page.locator("[data-testid=stMain]")
    assert main.evaluate("e => e.scrollWidth <= e.clientWidth")


def test_taking_a_basis_image_out(open_view: Open, browser_runs: Path):
    """The numbers shown are those of the receipt without it, and the address reopens them."""
    run = Run(browser_runs / "tiny")
    i, j, k = fragile_flip(run)
    page = open_view("flips", f"run=tiny&flip={i}-{j}")
    box = page.get_by_role("combobox", name="Basis image")
    option = page.get_by_role("option", name=re.compile(rf"^{k} · "))
    for _ in range(5):  # the box is drawn anew when its code has come, and then is closed
        box.focus()
        box.press("ArrowDown")
        try:
            option.wait_for(timeout=5_000)
        except sync_api.TimeoutError:
            continue
        break
    option.click()
    settled(page)
    page.get_by_text("Taken out", exact=True).first.click()
    page.wait_for_url(f"**without={k}*")
    sentence = page.locator("[data-testid=what-if]")
    expected = f"Without basis image {k}, this change would not stand."
    sync_api.expect(sentence).to_have_text(expected, timeout=30_000)
    one = without_atom(receipt(run, i, j), k)
    after = [one.label_score, one.score, one.strict_score]
    assert shown(page, "what-if-scores") == pytest.approx(after, abs=5.1e-5)
    effect = read_counterfactuals(run).what_if([k])
    words = f"{counts(effect, effect.mode, (i, j)).words(other=True)}."
    others = page.locator("[data-testid=what-if-others]")
    sync_api.expect(others).to_contain_text(words)
    page.reload()
    sync_api.expect(sentence).to_have_text(expected, timeout=30_000)
    settled(page)
    page.get_by_role("button", name="Put everything back").click()
    sync_api.expect(sentence).to_have_count(0)
    assert query_of(page) == {"run": ["tiny"], "flip": [f"{i}-{j}"]}
