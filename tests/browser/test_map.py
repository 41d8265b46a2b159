"""The map in a browser: what is drawn with the mouse is what the server selects."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from dashboard.frames import map as frames
from dashboard.frames import polygons
from selfml.run import Run
from tests.browser.conftest import settled

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LASSO = [(0.05, 0.2), (0.6, 0.15), (0.7, 0.5), (0.3, 0.8), (0.1, 0.6)]
# The ids that Plotly itself marks as selected, over all traces of images.
PLOTLY_SELECTED = """() => {
  const ids = new Set();
  for (const t of document.querySelector('.js-plotly-plot')._fullData)
    if (t.customdata) for (const i of t.selectedpoints || []) ids.add(t.customdata[i]);
  return [...ids];
}"""


def _plot(page):
    plot = page.locator(".js-plotly-plot .nsewdrag").first
    plot.wait_for(timeout=30_000)
    page.wait_for_timeout(800)  # WebGL draws after the axes
    return plot.bounding_box()


def _drag(page, box, corners) -> None:
    places = [(box["x"] + box["width"] * a, box["y"] + box["height"] * b) for a, b in corners]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=6)
    page.mouse.up()
    page.get_by_text("in your selection").wait_for(timeout=15_000)
    settled(page)


def _selected_by_the_server(page, runs) -> set[int]:
    area = parse_qs(urlsplit(page.url).query)["area"][0]
    points = frames.points(Run(runs / "tiny"), "tsne")
    return set(frames.selected(points, polygons.from_text(area)).tolist())


@pytest.mark.parametrize("tool", ["lasso", "box"])
def test_a_selection_holds_the_images_within_it(open_view, browser_runs, tool):
    page = open_view("map")
    box = _plot(page)
    if tool == "box":
        page.locator(".js-plotly-plot").first.hover()
        page.locator(".modebar-btn[data-val=select]").first.click()
        _drag(page, box, [(0.1, 0.1), (0.6, 0.7)])
    else:
        _drag(page, box, [*LASSO, LASSO[0]])
    expected = _selected_by_the_server(page, browser_runs)
    assert 5 < len(expected) < 200
    assert set(page.evaluate(PLOTLY_SELECTED)) == expected
    title = page.get_by_text("in your selection").inner_text()
    assert title == f"{len(expected)} images in your selection"


def test_the_address_opens_the_same_selection(open_view, browser_runs):
    page = open_view("map")
    _drag(page, _plot(page), [*LASSO, LASSO[0]])
    title = page.get_by_text("in your selection").inner_text()
    expected = _selected_by_the_server(page, browser_runs)
    page.reload()
    page.get_by_text("in your selection").wait_for(timeout=30_000)
    _plot(page)
    assert page.get_by_text("in your selection").inner_text() == title
    assert set(page.evaluate(PLOTLY_SELECTED)) == expected
    page.get_by_role("button", name="Clear").click()
    page.get_by_text("Images with the most flips").wait_for(timeout=15_000)
    assert "area" not in page.url


def test_a_click_on_an_image_opens_its_flips(open_view):
    page = open_view("map")
    page.locator(".sm-item a").first.click()
    page.wait_for_url("**/flips?*")
    assert "image=" in page.url
    assert "run=tiny" in page.url


def test_with_the_pan_tool_a_click_on_a_point_shows_its_image(open_view):
    page = open_view("map")
    _plot(page)
    page.locator(".js-plotly-plot").first.hover()
    page.locator(".modebar-btn[data-val=pan]").first.click()
    x, y, image = page.evaluate(
        """() => {
          const g = document.querySelector('.js-plotly-plot'), l = g._fullLayout;
          const t = g._fullData[0], r = g.getBoundingClientRect();
          return [r.x + l.xaxis._offset + l.xaxis.d2p(t.x[3]),
                  r.y + l.yaxis._offset + l.yaxis.d2p(t.y[3]), t.customdata[3]];
        }"""
    )
    page.mouse.move(x - 2, y)
    page.mouse.move(x, y, steps=3)
    page.wait_for_timeout(300)
    page.mouse.click(x, y)
    page.get_by_text("The image you clicked").wait_for(timeout=15_000)
    assert np.isin(image, [int(parse_qs(urlsplit(page.url).query)["image"][0])])
