"""Every view without a browser: a run in each state, and no run at all."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import components
from selfml.run import Run, RunWriter
from tests.dashboard.conftest import APP
from tests.tiny_run import build_tiny_run

pytestmark = pytest.mark.slow
VIEWS = ("overview", "map", "basis", "attributes", "flips", "audit")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """complete, training, failed, no_maps, no_category, and two that cannot be opened."""
    folder = tmp_path_factory.mktemp("view_runs")
    for status in ("running", "failed"):
        build_tiny_run(folder / status, status=status)
    build_tiny_run(folder / "no_maps", maps=False)
    build_tiny_run(folder / "complete")
    plain = RunWriter(build_tiny_run(folder / "no_category"))
    plain.write_table("images", Run(plain.path).table("images").assign(category=None))
    for name, text in (("broken", "{"), ("future", json.dumps({"schema_version": 99}))):
        (folder / name).mkdir()
        (folder / name / "run.json").write_text(text)
    return folder


def _open(view: str, monkeypatch: pytest.MonkeyPatch, folder: Path, **query: str) -> AppTest:
    monkeypatch.setenv("SELFML_RUNS", str(folder))
    monkeypatch.setenv("SELFML_DEMO_RUN", str(folder / "nowhere"))
    app = AppTest.from_file(str(APP), default_timeout=30)
    app.switch_page(f"views/{view}.py")
    app.query_params.update(query)
    app.run()
    assert not app.exception, app.exception[0].message
    return app


def _text(app: AppTest) -> str:
    kinds = (app.markdown, app.caption, app.title, app.header, app.subheader, app.error, app.info)
    parts = [str(element.value) for kind in kinds for element in kind]
    parts += [block.proto.body for block in app.get("html")]
    return "\n".join([*parts, *(f"{m.label}: {m.value}" for m in app.metric)])


@pytest.mark.parametrize(
    ("view", "query"),
    [
        ("basis", {"part": "images"}),
        ("basis", {"basis": "0"}),
        ("attributes", {"part": "category"}),
        ("attributes", {"attribute": "1"}),
        ("flips", {"image": "0"}),
        ("flips", {"flip": "0-0"}),
        ("audit", {"part": "all"}),
    ],
)
def test_a_catalogue_without_categories(view, query, runs, monkeypatch):
    text = _text(_open(view, monkeypatch, runs, run="no_category", **query))
    assert text.strip()
    assert not re.search(r"\b(nan|None|NaN)\b", re.sub(r"<[^>]*>", " ", text))


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(
    "name", ["complete", "running", "failed", "no_maps", "no_category", "broken", "future"]
)
def test_every_view_opens_on_every_run(view, name, runs, monkeypatch):
    assert _text(_open(view, monkeypatch, runs, run=name)).strip()


@pytest.mark.parametrize("view", VIEWS)
def test_without_a_run_it_says_how_to_make_one(view, tmp_path, monkeypatch):
    assert "make demo" in _text(_open(view, monkeypatch, tmp_path))


def test_an_unknown_run_is_named(runs, monkeypatch):
    assert "there is no run of this name" in _text(_open("map", monkeypatch, runs, run="nothing"))


def test_without_a_run_in_the_address_the_newest_readable_one_opens(runs, monkeypatch):
    app = _open("overview", monkeypatch, runs)
    assert app.selectbox(key="url_run").value in ("complete", "no_maps", "no_category")
    assert not app.error


def test_a_run_that_failed_is_not_the_first_to_open(runs, tmp_path, monkeypatch):
    """A mistyped folder of data makes one, and it is the newest."""
    monkeypatch.setenv("SELFML_DEMO_RUN", str(runs / "complete"))
    build_tiny_run(tmp_path / "mistyped", status="failed")
    monkeypatch.setenv("SELFML_RUNS", str(tmp_path))
    app = AppTest.from_file(str(APP), default_timeout=30).run()
    assert app.selectbox(key="url_run").value == "demo"
    assert app.selectbox(key="url_run").options[-1] == "mistyped · failed"


def test_without_runs_of_ones_own_the_demo_opens(runs, tmp_path, monkeypatch):
    monkeypatch.setenv("SELFML_RUNS", str(tmp_path))
    monkeypatch.setenv("SELFML_DEMO_RUN", str(runs / "complete"))
    app = AppTest.from_file(str(APP), default_timeout=30).run()
    assert not app.exception
    assert app.selectbox(key="url_run").value == "demo"
    assert "Flips:" in _text(app)


def test_overview_shows_table_1_and_counts(runs, monkeypatch):
    app = _open("overview", monkeypatch, runs, run="complete")
    text = _text(app)
    assert "Baseline 1" in text
    assert "86.3" in text
    assert f"Flips: {len(Run(runs / 'complete').table('flips')):,}" in text


def test_what_is_closed_on_the_overview_is_not_drawn(runs, monkeypatch):
    app = _open("overview", monkeypatch, runs, run="complete")
    assert len(app.get("plotly_chart")) == 4
    assert not app.dataframe
    app.session_state["open_training"] = True
    app.run()
    assert len(app.get("plotly_chart")) == 5
    app.session_state["open_runs"] = app.session_state["open_measures"] = True
    app.run()
    assert "complete" in app.dataframe[1].value["Run"].tolist()
    assert len(app.dataframe[0].value) > 5


def test_how_training_went_is_open_where_it_failed(runs, monkeypatch):
    app = _open("overview", monkeypatch, runs, run="failed")
    assert len(app.get("plotly_chart")) == 1


def test_overview_of_a_run_in_training_shows_where_it_is(runs, monkeypatch):
    text = _text(_open("overview", monkeypatch, runs, run="running"))
    assert "Flips an image: 1.20" in text
    assert "Read again every" in text


def test_a_run_that_somebody_stopped_is_not_called_training(tmp_path, monkeypatch):
    run = build_tiny_run(tmp_path / "halted", status="running")
    RunWriter(run).update(stopped=True)
    app = _open("overview", monkeypatch, tmp_path, run="halted")
    assert "Training was stopped." in app.warning[0].value
    assert app.selectbox(key="url_run").options == ["halted · stopped"]
    assert "was not finished" in _text(_open("flips", monkeypatch, tmp_path, run="halted"))
    RunWriter(run).update(stopped=False)
    assert "still training" in _text(_open("flips", monkeypatch, tmp_path, run="halted"))


def test_map_without_places_names_the_command(runs, monkeypatch):
    assert "selfml map" in _text(_open("map", monkeypatch, runs, run="no_maps"))


def test_map_opens_with_the_selection_of_its_address(runs, monkeypatch):
    everything = "-999,-999;999,-999;999,999;-999,999"
    app = _open("map", monkeypatch, runs, run="complete", area=everything, color="changed")
    assert "60 images in your selection" in _text(app)
    assert app.selectbox(key="url_attribute").value == 0


def test_map_choices_go_to_the_address(runs, monkeypatch):
    app = _open("map", monkeypatch, runs, run="complete")
    app.selectbox(key="url_color").set_value("given").run()
    app.selectbox(key="url_attribute").set_value(3).run()
    assert not app.exception
    assert app.query_params["color"] == "given"
    assert app.query_params["attribute"] == "3"


def test_clearing_a_selection_clears_the_address(runs, monkeypatch):
    everything = "-999,-999;999,-999;999,999;-999,999"
    app = _open("map", monkeypatch, runs, run="complete", area=everything)
    next(button for button in app.button if button.label == "Clear").click().run()
    assert "area" not in app.query_params
    assert "Images with the most flips" in _text(app)


def test_names_from_the_catalogue_are_escaped(runs, monkeypatch):
    monkeypatch.setenv("SELFML_RUNS", str(runs))
    html = components._images_html(
        "sm-grid", Run(runs / "complete"), [0], ["<script>x</script>"], ['/?a="b"'], 112, ["<b>"]
    )
    assert "<script>" not in html
    assert "<b>" not in html
    assert 'href="/?a=&quot;b&quot;"' in html
    assert 'alt="Image 0. ‹script›' in html


def test_lists_of_another_length_are_refused(runs, monkeypatch):
    monkeypatch.setenv("SELFML_RUNS", str(runs))
    with pytest.raises(ValueError, match=r"captions: must have one entry an image \(2\), got 1"):
        components._images_html("", Run(runs / "complete"), [0, 1], ["a"], None, 112, None)


def test_plain_text_is_nothing_to_markdown():
    """Escaped, with what is looked for in the finished text (addresses, icons) broken up."""
    for text in ("**a**", "![](x)", "`x`", "$x$", "<b>", "1. x", "a | b", "a\\b", "~~a~~"):
        bare = re.sub(r"\\.", "", components.plain(text), flags=re.DOTALL)
        assert re.fullmatch(r"[\w\s]*", bare), text
    for text in ("http://x.y/z", ":red[x]", ":material/x:", "www.x.y", "a@b.c"):
        shown = components.plain(text)
        assert text not in shown.replace("\\", "")
        assert shown.replace("\\", "").replace("\u2060", "") == text
    assert components.plain("Long Sleeved") == "Long Sleeved"
    assert components.plain("\u202eeulB") == "\u2068\u202eeulB\u2069"


def test_a_spreadsheet_runs_no_formula_from_a_catalogue():
    frame = pd.DataFrame({"name": ["=1+1", "plain", "-x", None], "n": [1, -2, 3, 4]})
    safe = components.safe_for_spreadsheets(frame)
    assert safe["name"].tolist()[:3] == ["'=1+1", "plain", "'-x"]
    assert safe["n"].tolist() == [1, -2, 3, 4]
