from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dashboard import load
from dashboard.figures import overview as figures
from dashboard.frames import overview as frames
from selfml.run import Run, RunWriter
from tests.dashboard.conftest import text_of
from tests.tiny_measures import TABLE_1
from tests.tiny_run import build_tiny_run


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> Run:
    return Run(tiny_run)


def test_table_1_has_the_methods_and_metrics_in_the_papers_order(run):
    table = frames.table_1(run.table("metrics"))
    assert list(table.index) == ["baseline_0", "baseline_1", "self_ml"]
    assert list(table.columns) == list(frames.TABLE_1)
    assert table.loc["self_ml", "map"] == TABLE_1["map"][2]


def test_table_1_takes_what_is_there():
    rows = [("self_ml", "map", 70.0, None), ("peer", "map", 60.0, None), ("x", "new", 1.0, "d")]
    metrics = pd.DataFrame(rows, columns=["method", "metric", "value", "definition"])
    table = frames.table_1(metrics)
    assert (list(table.index), list(table.columns)) == (["self_ml", "peer"], ["map"])
    assert frames.definitions(metrics) == {"new": "d"}
    assert frames.table_1(metrics.iloc[:0]).empty
    assert frames.other_measures(metrics)["measure"].tolist() == ["new"]


def test_noise_is_counted_where_labels_were_verified(run):
    noise = frames.noise(run).set_index(["set", "labels"])
    split = run.table("images")["split"].to_numpy()
    rows = np.flatnonzero(split == "clean_test")
    given, truth = run.array("labels_given")[rows], run.array("labels_true")[rows]
    row = noise.loc[("Verified test images", "Given")]
    assert row["labels_per_image"] == pytest.approx((given == 1).sum() / len(rows))
    known = given >= 0
    assert row["wrong_percent"] == pytest.approx(100 * (given != truth)[known].mean())
    assert noise.loc[("Verified test images", "Verified"), "wrong_percent"] == 0
    assert "Noisy images" in noise.index.get_level_values("set")


def test_no_verified_labels_no_noise(tmp_path):
    run = Run(build_tiny_run(tmp_path / "run", status="running"))
    assert frames.noise(run).empty
    assert frames.flip_counts(run).flips == 0


def test_flip_counts(run):
    counts, flips = frames.flip_counts(run), run.table("flips")
    assert counts.flips == len(flips) == counts.to_1 + counts.to_0
    assert counts.auto_accept == flips["auto_accept"].sum()
    assert counts.images == flips["image_index"].nunique()


def _history(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["time", "stage", "step", "name", "value"])


def test_progress_is_of_all_planned_stages():
    plan = [{"stage": "a", "steps": 100}, {"stage": "b", "steps": 300}]
    history = _history(("t", "a", 100, "loss", 2.0), ("t", "b", 50, "loss", 1.0))
    now = frames.progress({"stage": "b", "step": 10, "stages": plan}, history)
    assert (now.step, now.n_steps, now.stage_number, now.n_stages) == (50, 300, 2, 2)
    assert now.fraction == pytest.approx(150 / 400)
    assert now.latest == {"loss": 1.0}


def test_progress_without_a_plan_or_history():
    now = frames.progress({}, _history())
    assert (now.stage, now.step, now.fraction) == ("starting", 0, None)


def test_losses_run_on_over_the_stages():
    history = _history(
        ("t", "a", 10, "loss", 3.0), ("t", "a", 20, "loss", 2.0),
        ("t", "b", 5, "loss", 1.0), ("t", "b", 5, "map", 50.0),
    )  # fmt: skip
    curves = frames.losses(history)
    assert curves["position"].tolist() == [10, 20, 25]
    assert curves["value"].tolist() == [3, 2, 1]


def test_losses_are_thinned():
    rows = [("t", "a", i, "loss", 1.0) for i in range(1000)]
    assert len(frames.losses(_history(*rows), n_points=100)) <= 100


def test_figures_have_titled_axes_and_their_values(run):
    noise = frames.noise(run)
    figure = figures.labels_per_image(noise)
    given = next(t for t in figure.data if t.name == "Given")
    expected = noise.query("labels == 'Given'")["labels_per_image"]
    assert list(given.x) == expected.tolist()
    assert "Labels per image" in figure.layout.xaxis.title.text
    assert "%" in figures.wrong_labels(noise).layout.xaxis.title.text
    losses = figures.losses(frames.losses(run.history()))
    assert [t.name for t in losses.data][:2] == ["Total", "Classification"]


@pytest.mark.parametrize("figure", [figures.labels_per_image, figures.wrong_labels])
def test_no_rows_no_error(figure, run):
    assert figure(frames.noise(run).iloc[:0]).layout.annotations[0].text
    assert figures.losses(frames.losses(_history())).layout.annotations[0].text


def test_what_was_learned_from_decisions_is_said_as_text(tmp_path, open_view, monkeypatch):
    """``<b>`` is a folder's name here, nothing else."""
    run = RunWriter(build_tiny_run(tmp_path / "runs" / "next"))
    run.update(decisions={"decided": 200, "kept": 190, "rejected": 20, "gone": 15,
                          "before": "<b>old", "kept_before": 180, "map": 75.6,
                          "map_before": 75.1})  # fmt: skip
    monkeypatch.setenv("SELFML_RUNS", str(tmp_path / "runs"))
    text = text_of(open_view("overview", run="next"))
    assert "95.0 % come out as decided (90.0 % in &lt;b&gt;old)" in text
    assert "MAP on the same test images 75.10 -&gt; 75.60 %" in text


def test_figures_are_drawn_once_for_each_state_and_showing_them_leaves_them_alone(
    runs_folder, tmp_path, open_view
):
    shown = Run(runs_folder / "tiny")
    made = load.figure(shown, figures.wrong_labels, frames.noise)
    drawn = figures.wrong_labels(frames.noise(shown)).to_json()
    assert made.to_json() == drawn
    for _ in range(2):
        open_view("overview", run="tiny")
    assert load.figure(shown, figures.wrong_labels, frames.noise) is made
    assert made.to_json() == drawn
    assert load.figure(shown, figures.labels_per_image, frames.noise).to_json() != drawn
    changed = Run(shutil.copytree(shown.path, tmp_path / "tiny"))
    given = np.array(changed.array("labels_given"))
    before = load.figure(changed, figures.wrong_labels, frames.noise).to_json()
    assert before == drawn
    writer = RunWriter(changed.path)
    writer.write_array("labels_corrected", given)
    writer.update(step=1)
    again = load.figure(Run(changed.path), figures.wrong_labels, frames.noise)
    assert again.to_json() != drawn
