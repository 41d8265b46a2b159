"""The overview and the navigation, in a browser."""

from __future__ import annotations

import pytest

from tests.browser.conftest import settled

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.mark.parametrize("view", ["overview", "map", "basis", "attributes", "flips"])
def test_every_view_opens_by_its_address(open_view, view):
    assert open_view(view).locator("h1").count() == 1


def test_charts_and_table_are_drawn(open_view):
    page = open_view("overview")
    page.locator(".js-plotly-plot .barlayer path").first.wait_for(timeout=30_000)
    assert page.locator(".sm-table:not([data-testid=trust]) tbody tr").count() == 3


def test_the_run_stays_chosen_from_view_to_view(open_view):
    page = open_view("overview")
    for name in ("Map", "Flips", "Overview"):
        page.get_by_test_id("stSidebar").get_by_role("link", name=name, exact=True).click()
        page.get_by_role("heading", name=name, exact=True).wait_for(timeout=15_000)
        settled(page)
        assert "run=tiny" in page.url


def test_a_run_in_training_is_read_again(open_view, browser_runs):
    page = open_view("overview", "run=training")
    page.get_by_text("step 240 of 400").wait_for(timeout=15_000)
    from selfml.run import RunWriter

    RunWriter(browser_runs / "training").update(step=250)
    page.get_by_text("step 250 of 400").wait_for(timeout=15_000)


@pytest.mark.parametrize("width", [390, 2560])
@pytest.mark.parametrize("view", ["overview", "map"])
def test_nothing_overflows_sideways(open_view, page, view, width):
    page.set_viewport_size({"width": width, "height": 900})
    open_view(view)
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    over = page.evaluate(
        "() => [...document.querySelectorAll('[data-testid=stMain] *')].filter(e =>"
        " e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.sm-table,.sm-strip'))"
        ".map(e => e.className).slice(0, 5)"
    )
    assert over == []
