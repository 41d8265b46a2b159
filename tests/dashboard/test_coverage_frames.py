"""What the coverage part counts, against the run's own arrays."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from dashboard.figures import coverage as figures
from dashboard.frames import coverage as frames
from dashboard.frames import map as map_frames
from selfml.flips import corrected_probabilities
from selfml.run import Run
from selfml.suggestions import RESULTS, SUGGEST_BY, against_chance, simulation
from tests.tiny_run import build_tiny_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """600 images, 60 of them verified test images: enough to draw the line."""
    return Run(build_tiny_run(tmp_path_factory.mktemp("runs") / "covered", n_images=600))


@pytest.fixture(scope="module")
def small(tiny_run: Path) -> Run:
    """Six verified test images: too few for a line."""
    return Run(tiny_run)


def test_the_cut_is_that_of_the_test_images(run):
    images = run.table("images")
    test = np.sort(images.query("split == 'clean_test'")["hull_distance"])
    assert len(test) == 60
    assert frames.cut(run) == pytest.approx(test[57])  # ceil(61 * .95) = 58
    marked = frames.images(run).query("uncovered")["image_index"].tolist()
    assert marked == images.index[images["hull_distance"] > test[57]].tolist()
    assert marked  # or the rest of this file tests nothing


def test_the_summary_leaves_basis_images_out(run):
    images, atoms = run.table("images"), run.table("basis")["image_index"]
    others = images[~images["image_index"].isin(atoms)]
    out = int((others["hull_distance"] > frames.cut(run)).sum())
    found = frames.summary(run)
    assert (found["n"], found["uncovered"]) == (len(others), out)
    assert found["share"] == pytest.approx(out / len(others))
    assert found["n_reference"] == 60


def test_bins_hold_every_image_and_part_at_the_cut(run):
    bins, found = frames.distance_bins(run), frames.summary(run)
    assert bins["n"].sum() == found["n"]
    assert bins["reference"].sum() == pytest.approx(found["n"])
    beyond = bins[(bins["low"] + bins["high"]) / 2 > found["cut"]]
    assert abs(beyond["n"].sum() - found["uncovered"]) <= 1  # the image on the edge itself
    assert np.isclose(bins["low"], found["cut"]).any()


@pytest.mark.parametrize("by", ["category", "attribute", "split"])
def test_groups_count_their_images(run, by):
    images = frames.images(run).query("not is_basis")
    labels = np.asarray(run.array("labels_corrected"))[images["image_index"]]
    groups = frames.groups(run, by)
    assert groups["share"].is_monotonic_decreasing
    for row in groups.itertuples():
        mine = labels[:, int(row.key)] == 1 if by == "attribute" else images[by] == row.key
        part = images[mine]
        assert (row.n, row.uncovered) == (len(part), part["uncovered"].sum())
        assert row.low <= row.share <= row.high
        assert row.median == pytest.approx(part["hull_distance"].median(), rel=1e-6)
    if by != "attribute":
        assert groups["n"].sum() == len(images)
    with pytest.raises(ValueError, match="by"):
        frames.groups(run, "colour")


def test_uncovered_images_come_farthest_first(run):
    rows = frames.uncovered_images(run)
    assert rows["hull_distance"].is_monotonic_decreasing
    assert (rows["times_cut"] > 1).all()
    flips = run.table("flips")["image_index"].value_counts()
    assert rows["n_flips"].tolist() == [flips.get(i, 0) for i in rows["image_index"]]
    name = rows["category"].iloc[0]
    assert set(frames.uncovered_images(run, name)["category"]) == {name}
    mine = frames.uncovered_images(run, None, 1)["image_index"]
    assert (np.asarray(run.array("labels_corrected"))[mine, 1] == 1).all()


def test_without_a_line_nothing_is_uncovered(small):
    assert frames.cut(small) == np.inf
    assert frames.summary(small)["uncovered"] == 0
    assert frames.uncovered_images(small).empty
    assert frames.distance_bins(small)["n"].sum() == frames.summary(small)["n"]


def test_label_next_is_the_simulated_choice(run, monkeypatch):
    split = run.table("images")["split"]
    p = corrected_probabilities(run)
    entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p)).mean(axis=1)
    entropy[split.str.startswith("clean")] = -1
    wanted = np.argsort(-entropy, kind="stable")[:10]
    monkeypatch.setattr(frames, "CHUNK", 7)
    rows = frames.label_next(run, 10)
    assert rows["image_index"].tolist() == wanted.tolist()
    np.testing.assert_allclose(rows["entropy"], entropy[wanted], rtol=1e-4)
    wrong = np.minimum(p, 1 - p)[wanted].sum(axis=1)
    np.testing.assert_allclose(rows["expected_wrong"], wrong, rtol=1e-4)
    nearest = run.attributes[int(np.abs(p[wanted[0]] - 0.5).argmin())]
    assert rows["doubts"].iloc[0].startswith(nearest)
    assert rows["rank"].tolist() == list(range(1, 11))


def test_the_benefit_is_said_with_its_spread():
    gains = against_chance(simulation(RESULTS.read_text(encoding="utf-8")))
    words = frames.benefit_words(gains, SUGGEST_BY)
    for row in gains[gains["strategy"] == SUGGEST_BY].itertuples():
        assert f"{row.gain:+.1f} at {row.budget:,}" in words.replace(" points", "")
    assert "spread between seeds" in words
    assert frames.benefit_words(gains.iloc[:0], SUGGEST_BY) == ""


def test_an_old_run_has_no_curves(run, tmp_path):
    old = Run(shutil.copytree(run.path, tmp_path / "old"))
    (old.path / "coverage.parquet").unlink()
    assert frames.curves(old).empty
    assert set(frames.curves(run)["curve"]) == set(figures.CURVES)


def test_the_map_marks_the_same_images(run):
    points = map_frames.points(run, "tsne")
    marked = frames.images(run).query("uncovered")["image_index"]
    assert points.loc[points["uncovered"], "image_index"].tolist() == marked.tolist()


def test_a_run_without_rows_gives_figures_that_say_so(empty_run):
    assert frames.summary(empty_run)["n"] == 0
    assert frames.label_next(empty_run).empty
    assert frames.uncovered_images(empty_run).empty
    made = (
        figures.variance(frames.curves(empty_run)),
        figures.distances(frames.distance_bins(empty_run), frames.cut(empty_run)),
        figures.shares(frames.groups(empty_run, "category"), 0.05),
        figures.shares(frames.groups(empty_run, "attribute"), 0.05),
    )
    for figure in made:
        assert not figure.data
        assert figure.layout.annotations[0].text


def test_figures_carry_typed_arrays_and_named_axes(run):
    made = (
        figures.variance(frames.curves(run)),
        figures.distances(frames.distance_bins(run), frames.cut(run)),
        figures.shares(frames.groups(run, "attribute"), 0.05),
    )
    for figure in made:
        assert figure.layout.xaxis.title.text
        assert all(isinstance(getattr(t, axis), np.ndarray) for t in figure.data for axis in "xy")
        assert "<script" not in figure.to_json()
    assert [t.name for t in made[1].data][:2] == ["Covered", "Not covered"]


def test_verified_images_that_were_set_aside_are_not_asked_for_again(run):
    aside = run.table("calibration")["image_index"]
    assert len(aside)
    assert (run.table("images").loc[aside, "split"].str.startswith("noisy")).all()
    assert not frames.label_next(run)["image_index"].isin(aside).any()
