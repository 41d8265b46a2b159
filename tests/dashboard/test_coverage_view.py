"""The coverage part of the basis view, and its link to the map, without a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.frames import coverage as frames
from selfml.run import Run
from tests.dashboard.conftest import APP, text_of
from tests.tiny_run import build_tiny_run

pytestmark = pytest.mark.slow
Open = Callable[..., AppTest]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``covered``, and ``old``, which was made before coverage was measured."""
    folder = tmp_path_factory.mktemp("coverage_runs")
    for name in ("covered", "old"):
        build_tiny_run(folder / name, n_images=600)
    (folder / "old" / "coverage.parquet").unlink()
    return folder


@pytest.fixture
def open_view(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Open:
    monkeypatch.setenv("SELFML_RUNS", str(folder))
    monkeypatch.setenv("SELFML_DEMO_RUN", str(folder / "nowhere"))

    def open_(view: str = "basis", **query: str) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=30)
        app.switch_page(f"views/{view}.py")
        defaults = {"part": "images"} if view == "basis" else {}
        for name, value in (defaults | query).items():
            app.query_params[name] = value
        app.run()
        assert not app.exception, app.exception[0].message
        return app

    return open_


def test_it_says_what_is_covered_and_by_what_line(open_view: Open, folder: Path):
    found = frames.summary(Run(folder / "covered"))
    text = text_of(open_view(run="covered"))
    assert f"Not covered: {found['uncovered']:,}" in text
    assert f"Share: {100 * found['share']:.1f} %" in text
    assert "95 % of the verified test images" in text
    assert "&lt;script&gt;" in text or "script" not in text


def test_uncovered_images_lead_to_their_flips(open_view: Open, folder: Path):
    rows = frames.uncovered_images(Run(folder / "covered"))
    text = text_of(open_view(run="covered"))
    for row in rows.head(24).itertuples():
        assert f"{row.times_cut:.2f} × the line" in text
        assert (f"/flips?run=covered&amp;image={row.image_index}" in text) or not row.n_flips


def test_suggestions_have_a_reason_and_a_source(open_view: Open, folder: Path):
    text = text_of(open_view(run="covered"))
    first = frames.label_next(Run(folder / "covered")).iloc[0]
    assert "Least sure: " in text
    assert f"{first['expected_wrong']:.1f} of 6 labels expected to be wrong" in text
    assert "selfml/benchmark/RESULTS.md" in text
    assert "did not win" in text


def test_an_old_run_says_how_to_measure_it(open_view: Open):
    text = text_of(open_view(run="old"))
    assert "selfml evaluate" in text
    assert "× the line" in text  # all else is there


def test_the_address_holds_the_group_and_the_filters(open_view: Open):
    app = open_view(run="covered", by="attribute")
    names = [set(table.value.get("name", ())) for table in app.dataframe]
    assert "Round Neck" in set().union(*names)
    app.segmented_control(key="url_by").set_value("category").run()
    assert "by" not in app.query_params
    app.selectbox(key="url_category").set_value("tops").run()
    assert app.query_params["category"] in ("tops", ["tops"])
    assert not app.exception


@pytest.mark.parametrize("query", [{"category": "nonsense"}, {"attribute": "999"}, {"page": "99"}])
def test_nonsense_in_the_address_shows_all(open_view: Open, query: dict):
    assert "× the line" in text_of(open_view(run="covered", **query))


def test_the_map_shows_uncovered_images_alone(open_view: Open, folder: Path):
    n = len(frames.images(Run(folder / "covered")).query("uncovered"))
    text = text_of(open_view("map", run="covered", coverage="uncovered"))
    assert f"{n:,} images not covered" in text
    assert "Images with the most flips" in text_of(open_view("map", run="covered"))
