"""A run of images that were not trained on says so, while it is written and after it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dashboard import load
from dashboard.figures import relabelled as figures
from dashboard.frames import attributes
from dashboard.frames import overview as overview_frames
from dashboard.frames import relabelled as frames
from selfml.run import Run, RunWriter
from selfml.run_format import SCHEMAS
from tests.dashboard.conftest import text_of

pytestmark = pytest.mark.slow
UNREADABLE = [["photos/a.jpg", "cannot identify image file"], ["<b>b.jpg", "truncated"]]


def rewrite(folder: Path, out: Path, *, n_unreadable: int = 0) -> Path:
    """The tiny run as ``selfml relabel`` by it would write it: nothing verified, no history."""
    run, writer = Run(folder), RunWriter(shutil.copytree(folder, out))
    atoms = run.table("basis", ["image_index"])["image_index"].unique()
    images = run.table("images")
    maps = dict.fromkeys([name for name in images if name.startswith("map_")], np.nan)
    split = np.where(images["image_index"].isin(atoms), "clean_train", "noisy_test")
    writer.write_table("images", images.assign(split=split, **maps))
    flips = run.table("flips")
    flips = flips[~flips["image_index"].isin(atoms)].assign(truth=np.int8(-1), auto_accept=False)
    writer.write_table("flips", flips)
    truth = np.full(run.array("labels_true").shape, -1)
    writer.write_array("labels_true", truth)
    empty = {name: SCHEMAS[name].empty_table().to_pandas() for name in SCHEMAS}
    for name in ("calibration", "reliability", "realised"):
        writer.write_table(name, empty[name])
    metrics = run.table("metrics")
    writer.write_table("metrics", metrics[metrics["metric"].str.startswith("atoms")])
    writer.write_table("trust", run.table("trust").assign(status="unseen", source="none"))
    (out / "history.jsonl").unlink(missing_ok=True)
    counts = {"n_images": len(images) - len(atoms), "n_unreadable": n_unreadable}
    writer.update(
        run_id=out.name, relabel=counts | {"n_flips": len(flips)},
        source_run={"run_id": run.run_id, "path": str(folder)},
        unreadable=UNREADABLE[:n_unreadable],
    )  # fmt: skip
    return out


@pytest.fixture(scope="module")
def relabelled(runs_folder: Path) -> Path:
    """A catalogue relabelled by ``tiny``, and one that `selfml relabel` is at work on."""
    out = rewrite(runs_folder / "tiny", runs_folder / "relabelled", n_unreadable=2)
    half = RunWriter(runs_folder / "half")
    half.update(
        status="running", stage="relabel", step=80, source_run={"run_id": "a", "path": "/a"},
        stages=[{"stage": "relabel", "steps": 160}],
    )  # fmt: skip
    return out


def test_the_overview_says_which_run_made_it_and_leads_there(open_view, relabelled):
    app = open_view("overview", run="relabelled")
    name = Run(relabelled).info["source_run"]["run_id"]
    assert f"relabelled by {name}, not trained on" in text_of(app).replace("\\", "")
    (link,) = [link for link in app.get("page_link") if link.proto.label.startswith("Open ")]
    assert link.proto.query_string == "run=tiny"


def test_images_are_those_of_the_catalogue(open_view, relabelled):
    run = Run(relabelled)
    n = int(run.info["n_images"]) - run.table("basis")["image_index"].nunique()
    app = open_view("overview", run="relabelled")
    text = text_of(app)
    assert f"· {n} images · 2 more could not be read ·" in text
    shown = {metric.label: metric.value for metric in app.metric}
    assert (shown["Images"], shown["Not readable"]) == (str(n), "2")
    assert "Images that could not be read (2)" in [box.label for box in app.expander]
    (summary,) = [run for run in load.runs() if run.name == "relabelled"]
    assert summary.n_images == n


def test_there_is_no_chart_without_anything_to_show(open_view, relabelled):
    app = open_view("overview", run="relabelled")
    headers = [header.value for header in app.header]
    assert headers == [
        *("Flips by attribute", "How alike the images are to those of training"),
        "How far the flips can be trusted",
    ]
    assert len(app.get("plotly_chart")) == 2
    assert "How training went" not in [box.label for box in app.expander]
    links = [link.proto.label for link in app.get("page_link")]
    assert not {"Browse the map", "Which labels gained"} & set(links)
    trained = open_view("overview", run="tiny")
    assert {"Browse the map", "Which labels gained"} <= {
        link.proto.label for link in trained.get("page_link")
    }
    assert len(trained.get("plotly_chart")) > 2
    assert "Not readable" not in [metric.label for metric in trained.metric]


def test_a_source_that_is_gone_or_another_is_not_compared_with(
    open_view, relabelled, runs_folder, tmp_path
):
    run = Run(relabelled)
    found, name = load.source_of(run)
    assert (found.path, name) == (runs_folder / "tiny", "tiny")
    moved = rewrite(runs_folder / "tiny", runs_folder / "orphan")
    for source in (
        {"run_id": "spring", "path": str(tmp_path / "gone")},
        {"run_id": "spring", "path": str(runs_folder / "tiny")},
    ):
        RunWriter(moved).update(source_run=source)
        assert load.source_of(Run(moved)) == (None, "")
        app = open_view("overview", run="orphan")
        assert "The run “spring” is not on this machine to compare with" in text_of(app)
        assert "more could not be read" not in text_of(app)
        assert len(app.get("plotly_chart")) == 2


def test_flips_are_counted_as_from_the_labels(relabelled):
    run = Run(relabelled)
    counts, flips = frames.flip_counts(run), run.table("flips")
    assert (counts["to_1"] + counts["to_0"]).is_monotonic_decreasing
    for row in counts.itertuples():
        own = flips[flips["attribute_index"] == row.attribute_index]["corrected"]
        assert (row.to_1, row.to_0) == ((own == 1).sum(), (own == 0).sum())
    assert set(counts) == set(attributes.flip_counts(run))
    assert not overview_frames.is_mapped(run)


def test_distances_leave_basis_images_out_on_both_sides(relabelled, run):
    of = frames.distances(Run(relabelled), run)
    images = run.table("images")
    atom = images["image_index"].isin(run.table("basis")["image_index"])
    unseen = images["split"].isin(["noisy_test", "clean_test"])
    here = images.loc[~atom, "hull_distance"].to_numpy(np.float64)
    there = images.loc[~atom & unseen, "hull_distance"].to_numpy(np.float64)
    assert of.medians == {"here": np.median(here), "there": np.median(there)}
    assert of.bins[["here", "there"]].sum().tolist() == pytest.approx([100, 100])
    assert of.bins["low"].iloc[0] == min(here.min(), there.min())
    limit = run.table("trust")["largest_covered_distance"].iloc[0]
    if np.isfinite(limit):
        assert of.cut == limit
        assert of.beyond["here"] == (here > limit).mean()
    alone = frames.distances(Run(relabelled))
    assert set(alone.medians) == {"here"}
    assert alone.bins["there"].eq(0).all()


def test_the_figure_draws_the_other_run_where_it_is_known(relabelled, run):
    of = frames.distances(Run(relabelled), run)
    both = figures.distances(of.bins, 1.5, "<b>spring")
    assert [trace.name for trace in both.data] == [
        *("This catalogue", "&lt;b&gt;spring, not seen in training")
    ]
    assert list(both.data[0].y) == of.bins["here"].tolist()
    assert both.layout.shapes[0].x0 == 1.5
    assert "units" in both.layout.xaxis.title.text
    alone = figures.distances(of.bins)
    assert (len(alone.data), len(alone.layout.shapes)) == (1, 0)
    assert figures.distances(of.bins.iloc[:0]).layout.annotations[0].text


def test_a_run_that_does_not_count_its_images_yet_has_none():
    of = frames.relabelled({"source_run": {"run_id": "a", "path": "/a"}})
    assert (of.n_images, of.n_unreadable, len(of.unreadable)) == (0, 0, 0)
    assert frames.relabelled({"unreadable": UNREADABLE}).unreadable.equals(
        pd.DataFrame(UNREADABLE, columns=["image_id", "problem"])
    )
    assert not frames.is_relabelled({})


def test_progress_is_in_images_and_is_gone_on_with_by_its_own_command(open_view, relabelled):
    app = open_view("overview", run="half")
    said = text_of(app)
    assert "selfml relabel" in said
    assert "selfml train" not in said
    (bar,) = app.get("progress")
    assert bar.proto.text == "Relabelling: 80 of 160 images"
    assert bar.proto.value == 50
