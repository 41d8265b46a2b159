"""A run whose files are damaged or missing: every page says what to do, and none breaks."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.frames import flips as frames
from selfml.run import Run, RunError
from tests.dashboard.conftest import text_of

pytestmark = pytest.mark.slow
Open = Callable[..., AppTest]

# A file, and the pages that cannot do without it.
NEEDED = {
    "images.parquet": [
        ("overview", {}),
        ("map", {}),
        ("basis", {}),
        ("attributes", {"part": "category"}),
        ("flips", {}),
        ("audit", {}),
    ],
    "flips.parquet": [("overview", {}), ("flips", {"flip": "0-0"}), ("audit", {"part": "all"})],
    "coefficients.parquet": [("basis", {"basis": "1"}), ("flips", {"flip": "0-0"})],
    "attributes.parquet": [("audit", {}), ("flips", {"image": "0"})],
    "labels_given.npy": [("attributes", {}), ("audit", {})],
    "labels_true.npy": [("overview", {}), ("attributes", {"part": "right"})],
    "evidence.json": [("flips", {"flip": "0-0"}), ("audit", {})],
    "trust.parquet": [("overview", {})],
    "faithfulness.parquet": [("basis", {"part": "faithfulness"})],
}
CASES = [(name, view, query) for name, pages in NEEDED.items() for view, query in pages]


@pytest.fixture(scope="module")
def cut_off(runs_folder: Path) -> Callable[[str], str]:
    """The name of a run one of whose files has lost its second half."""

    def make(file: str) -> str:
        path = runs_folder / f"cut-{file}"
        if not path.exists():
            shutil.copytree(runs_folder / "tiny", path)
            data = (path / file).read_bytes()
            (path / file).write_bytes(data[: len(data) // 2])
        return path.name

    return make


@pytest.mark.parametrize(("file", "view", "query"), CASES)
def test_a_file_that_was_cut_off_is_named(open_view: Open, cut_off, file, view, query):
    app = open_view(view, run=cut_off(file), **query)
    assert len(app.error) == 1
    said = app.error[0].value
    assert f"{file}: cannot be read, it is damaged or was cut off" in said
    assert "copy the run again from where it was trained, or train it again" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("file", "view", "query"),
    [
        ("terms_classifier.npy", "flips", {"flip": "0-0"}),
        ("labels_strict.npy", "flips", {"image": "0"}),
        ("evidence.json", "audit", {}),
    ],
)
def test_a_file_that_is_missing_is_named(open_view: Open, runs_folder, file, view, query):
    path = runs_folder / f"without-{file}"
    if not path.exists():
        shutil.copytree(runs_folder / "tiny", path)
        (path / file).unlink()
    app = open_view(view, run=path.name, **query)
    assert [f"{file}: is missing, though training has finished" in e.value for e in app.error] == [
        True
    ]


def test_a_view_without_its_table_says_that_the_run_was_finished(open_view: Open, runs_folder):
    shutil.copytree(runs_folder / "tiny", runs_folder / "lost")
    (runs_folder / "lost" / "flips.parquet").unlink()
    for view in ("flips", "audit", "attributes"):
        text = text_of(open_view(view, run="lost"))
        assert "Training has finished, but files of the run are missing: copy it again" in text
        assert "This view needs: flips." in text


@pytest.mark.parametrize("view", ["overview", "map", "basis", "attributes", "flips", "audit"])
@pytest.mark.parametrize("text", ["[1]", "{", '{"schema_version": 99}'])
def test_a_description_that_cannot_be_read(open_view: Open, runs_folder, view, text):
    path = runs_folder / "undescribed"
    path.mkdir(exist_ok=True)
    (path / "run.json").write_text(text)
    try:
        app = open_view(view, run="undescribed")
    finally:
        shutil.rmtree(path)
    assert len(app.error) == 1
    assert app.error[0].value.startswith("This run cannot be shown. ")
    assert "choose one under **Run**" in text_of(app)


def test_a_run_without_later_tables_opens(open_view: Open, runs_folder):
    """As runs of format 1 are: no trust, coverage or faithfulness; each part says so."""
    path = runs_folder / "early"
    shutil.copytree(runs_folder / "tiny", path)
    for name in ("trust", "reliability", "realised", "calibration", "coverage", "faithfulness"):
        (path / f"{name}.parquet").unlink()
    for view, query, said in (
        ("overview", {}, "Train it again with `selfml train` to see which flips need no look"),
        ("basis", {"part": "faithfulness"}, "`selfml evaluate RUN`"),
        ("basis", {"part": "images"}, "Measure them with `selfml evaluate"),
        ("flips", {}, "flips"),
        ("audit", {}, "Decisions are kept"),
    ):
        app = open_view(view, run="early", **query)
        assert said in text_of(app)
        assert not app.error


def test_a_line_of_the_history_that_was_cut_off_is_left_out(runs_folder, tmp_path):
    shutil.copytree(runs_folder / "tiny", tmp_path / "run")
    before = Run(tmp_path / "run").history()
    with open(tmp_path / "run" / "history.jsonl", "ab") as file:
        file.write(b'{"time": "2026-\xff\n[3]\n')
    assert Run(tmp_path / "run").history().equals(before)


def test_queries_name_the_damaged_file_only(runs_folder, cut_off):
    run = Run(runs_folder / cut_off("images.parquet"))
    with pytest.raises(RunError, match=r"images\.parquet: cannot be read") as caught:
        frames.flips_page(run, frames.FlipQuery(), 1)
    assert str(run.table_path("flips")) not in str(caught.value)
    assert "\n" not in str(caught.value)
