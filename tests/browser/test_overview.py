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


def test_the_script_for_charts_is_fetched_once_and_first(open_view):
    """The name in the header is that which Streamlit asks for, and the same request serves it."""
    page = open_view("overview")
    page.locator(".js-plotly-plot .barlayer path").first.wait_for(timeout=30_000)
    start = page.evaluate(
        "name => performance.getEntriesByType('resource')"
        ".filter(e => e.name.includes(name)).map(e => e.startTime)",
        "PlotlyChart.",
    )
    asked = page.evaluate(
        "() => performance.getEntriesByType('resource')"
        ".find(e => e.name.endsWith('_stcore/health')).startTime"
    )
    assert len(start) == 1
    assert start[0] < asked  # before the page speaks to the server


def test_what_is_closed_opens(open_view):
    page = open_view("overview")
    part = page.get_by_test_id("stExpander").filter(has_text="How training went")
    assert part.locator(".js-plotly-plot").count() == 0
    part.get_by_text("How training went").click()
    part.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=30_000)
    page.get_by_text("All other measures of this run").click()
    page.get_by_test_id("stDataFrame").wait_for(timeout=15_000)


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
