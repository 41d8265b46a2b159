"""The attributes view without a browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.conftest import APP, text_of
from tests.tiny_run import build_tiny_run

pytestmark = pytest.mark.slow
Open = Callable[..., AppTest]


def test_the_table_leads_to_every_attribute_and_its_flips(open_view: Open):
    text = text_of(open_view("attributes", run="tiny"))
    assert all(f"/attributes?run=tiny&amp;attribute={j}" in text for j in range(6))
    assert all(f"/flips?run=tiny&amp;attribute={j}" in text for j in range(6))
    assert "&lt;script&gt;" in text
    assert "<script>alert" not in text


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ({"run": "tiny", "attribute": "1"}, "The surest changes"),
        ({"run": "tiny", "attribute": "99"}, "All attributes"),
        ({"run": "tiny", "part": "flips"}, "All attributes"),
        ({"run": "tiny", "part": "flips", "split": "clean_test"}, "All attributes"),
        ({"run": "tiny", "baseline": "baseline_0"}, "What SELF-ML adds to Baseline 0"),
        ({"run": "no_truth"}, "No gains were measured in this run"),
        ({"run": "tiny", "part": "right"}, "Only labels that a person verified"),
        ({"run": "tiny", "part": "prevalence"}, "All attributes"),
        ({"run": "tiny", "part": "category", "direction": "to_1"}, "All attributes"),
        ({"run": "tiny", "part": "category", "measure": "precision"}, "All attributes"),
        ({"run": "tiny", "part": "right", "split": "noisy", "direction": "to_0"}, "Wilson"),
        ({"run": "tiny", "part": "compare"}, "Choose a run to compare with"),
        ({"run": "tiny", "part": "compare", "other": "tiny"}, "That is the same run"),
        ({"run": "tiny", "part": "compare", "other": "training"}, "cannot be compared yet"),
        ({"run": "tiny", "part": "compare", "other": "no_flips"}, "the same ones for both runs"),
        ({"run": "tiny", "part": "compare", "other": "no_truth"}, "Nothing can be measured"),
        (
            {"run": "tiny", "part": "compare", "other": "no_flips", "measure": "precision"},
            "and flips among them",
        ),
        ({"run": "training"}, "still training"),
        ({"run": "no_flips", "attribute": "1"}, "never changed"),
        ({"run": "no_flips", "part": "category"}, "All attributes"),
        ({"run": "no_flips", "part": "flips"}, "All attributes"),
        ({"run": "no_truth", "part": "right"}, "All attributes"),
        ({"run": "no_truth", "attribute": "1"}, "not known"),
        ({"run": "no_truth"}, "–"),
    ],
    ids=str,
)
def test_every_state_says_what_it_shows(open_view: Open, address: dict, words: str):
    assert words in text_of(open_view("attributes", **address))


def test_choosing_an_attribute_changes_the_address(open_view: Open):
    app = open_view("attributes", run="tiny")
    app.selectbox(key="url_attribute").set_value(2).run()
    assert dict(app.query_params) == {"run": "tiny", "attribute": "2"}
    assert "The surest changes" in text_of(app)


def test_an_old_run_says_how_to_get_its_intervals(open_view: Open):
    app = open_view("attributes", run="tiny", baseline="baseline_0")
    assert "selfml evaluate" in app.info[0].value
    assert "tiny" in app.info[0].value
    assert not open_view("attributes", run="tiny").info


def test_the_other_run_is_in_the_address(open_view: Open):
    app = open_view("attributes", run="tiny", part="compare")
    app.selectbox(key="url_other").set_value("no_flips").run()
    app.button_group(key="url_measure").set_value("ap").run()
    assert not app.exception
    expected = {"run": "tiny", "part": "compare", "other": "no_flips", "measure": "ap"}
    assert dict(app.query_params) == expected
    assert "Difference: +0.0" in text_of(app)


def test_different_test_images_are_said(open_view: Open, runs_folder: Path):
    folder = runs_folder / "more"
    try:
        build_tiny_run(folder, n_images=120, seed=5)
        app = open_view("attributes", run="tiny", part="compare", other="more")
        assert "tested on different images" in app.warning[0].value
    finally:
        shutil.rmtree(folder)


def test_a_second_run_that_is_not_there_is_named(open_view: Open):
    app = open_view("attributes", run="tiny", part="compare", other="gone")
    assert "gone: there is no run of this name" in app.error[0].value


def test_with_one_run_it_says_how_to_get_a_second(
    open_view: Open, runs_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(runs_folder / "tiny", tmp_path / "tiny")
    monkeypatch.setenv("SELFML_RUNS", str(tmp_path))
    monkeypatch.setenv("SELFML_DEMO_RUN", str(tmp_path / "nowhere"))
    app = AppTest.from_file(str(APP), default_timeout=30)
    app.switch_page("views/attributes.py")
    app.query_params.update({"run": "tiny", "part": "compare"})
    app.run()
    assert "There is only one run" in text_of(app)


def test_few_is_said_in_the_table(open_view: Open):
    assert "(few)" in text_of(open_view("attributes", run="tiny"))
