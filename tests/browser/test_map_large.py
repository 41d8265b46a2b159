"""A run of more images than the map draws: the lasso counts all, and sends its shape alone."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from dashboard.frames import map as frames
from dashboard.frames import polygons
from selfml.run import Run
from tests.benchmarks.worlds import build_run
from tests.browser.conftest import running_server, settled
from tests.browser.test_map import LASSO, _drag, _plot

pytestmark = [pytest.mark.browser, pytest.mark.slow]

N_IMAGES = frames.MAX_POINTS + 5_000
DRAWN = """() => document.querySelector('.js-plotly-plot')._fullData
  .filter((t) => t.customdata && !/^(Basis|Not covered)/.test(t.name))
  .reduce((n, t) => n + t.customdata.length, 0)"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large_runs")
    build_run(folder / "large", N_IMAGES, n_atoms=20, n_attributes=2)
    return folder


def test_a_lasso_counts_the_images_that_are_not_drawn(runs, chromium, tmp_path):
    page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
    sent: list[int] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda data: sent.append(len(data))))
    with running_server(runs, tmp_path / "log.txt") as (url, _):
        page.goto(f"{url}/map?run=large")
        page.locator("h1").first.wait_for(timeout=60_000)
        settled(page)
        box = _plot(page)
        assert page.evaluate(DRAWN) == frames.MAX_POINTS
        assert page.locator(".js-plotly-plot .imagelayer image").count() == 1
        sent.clear()
        _drag(page, box, [*LASSO, LASSO[0]])
        heading = page.get_by_text("in your selection").inner_text()
        area = parse_qs(urlsplit(page.url).query)["area"][0]
        page.close()
    run = Run(runs / "large")
    everything = frames.places(run, "tsne")
    chosen = frames.selected(everything, polygons.from_text(area))
    some = frames.drawn(run, everything)["image_index"]
    assert heading == f"{len(chosen):,} images in your selection"
    assert len(set(chosen) - set(some)) > 100
    assert sum(sent) < 20_000
