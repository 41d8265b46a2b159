"""Realised precision, reliability and their summary, computed again from a run's files."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

from selfml import trust_measures as measures
from selfml.run import Run
from selfml.run_format import SINCE_2
from selfml.trust import DIRECTIONS
from tests.test_trust import judged
from tests.tiny_run import build_tiny_run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return Run(build_tiny_run(tmp_path_factory.mktemp("runs") / "trusted", n_images=400, seed=1))


@pytest.fixture(scope="module")
def tables(run):
    return measures.trust_measures(run)


def test_reliability_by_hand():
    confidence = np.r_[np.full(10, 0.55), np.full(40, 0.95)]
    correct = np.r_[np.arange(10) < 4, np.arange(40) < 38]
    table = measures.reliability(confidence, correct)
    assert table["count"].tolist() == [10, 40]
    assert table["observed"].tolist() == pytest.approx([0.4, 0.95])
    assert table["mean_confidence"].tolist() == pytest.approx([0.55, 0.95])
    # Clopper-Pearson for 4 of 10: .1216 to .7376
    assert table.loc[0, ["low", "high"]].tolist() == pytest.approx([0.1216, 0.7376], abs=1e-4)
    assert measures.reliability(np.empty(0), np.empty(0, bool)).empty


def test_intervals_end_at_0_and_1():
    table = measures.reliability(np.r_[np.full(5, 0.05), np.full(5, 0.95)], np.arange(10) >= 5)
    assert table["low"].tolist() == pytest.approx([0, 0.025 ** (1 / 5)])
    assert table["high"].tolist() == pytest.approx([1 - 0.025 ** (1 / 5), 1])


def many(n_images, right=1.0, seed=0):
    rng = np.random.default_rng(seed)
    image = np.repeat(np.arange(n_images), 2)
    correct = rng.random(len(image)) < right
    return judged(image, np.ones(len(image), np.int8), np.full(len(image), 8.0), correct)


def test_images_are_dealt_whole_and_once():
    table = measures.resampled_precision(many(300), np.arange(300), 200, seed=1)
    added = table[table["direction"] == "to_1"]
    assert added["resample"].tolist() == list(range(1, 21))
    # two flips an image: 100 images are left to count on, all of their flips
    assert (added["n_flips"] == 200).all()
    assert (added[["n_calibration", "n_images"]] == [200, 100]).all(axis=None)
    assert (added["precision"] == 1).all()
    assert (added["n_accepted"] == 200).all()
    taken = table[table["direction"] == "to_0"]
    assert (taken["n_accepted"] == 0).all()
    assert taken["precision"].isna().all()


def test_nothing_is_accepted_where_nothing_is_proven():
    table = measures.resampled_precision(many(300, right=0.9), np.arange(300), 200)
    assert (table["n_accepted"] == 0).all()
    assert table["threshold"].isna().all()


def test_same_seed_same_draws():
    one, other, third = (
        measures.resampled_precision(many(300, right=0.98), np.arange(300), 200, seed=s)
        for s in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(one, other)
    assert not one.equals(third)


@pytest.mark.parametrize("n", [0, 300])
def test_images_are_needed_on_both_sides(n):
    with pytest.raises(ValueError, match="both sides"):
        measures.resampled_precision(many(300), np.arange(300), n)


def test_the_runs_own_thresholds_are_counted_on_test_images(run, tables):
    _, realised, summary = tables
    flips, images = run.table("flips"), run.table("images")
    tested = flips[images["split"].to_numpy()[flips["image_index"]] == "clean_test"]
    values = summary.set_index("metric")["value"]
    seen = 0
    for direction, label in DIRECTIONS.items():
        row = run.table("trust").set_index("direction").loc[direction]
        covered = images["hull_distance"] <= row["largest_covered_distance"]
        sure = tested["score"].abs() >= row["threshold"]
        sure &= covered.to_numpy()[tested["image_index"]]
        accepted = tested[(tested["corrected"] == label) & sure]
        seen += len(accepted)
        row = realised[(realised["resample"] == 0) & (realised["direction"] == direction)].iloc[0]
        right = (accepted["truth"] == accepted["corrected"]).sum()
        assert (row["n_accepted"], row["n_correct"]) == (len(accepted), right)
        assert values[f"auto_accept_share_{direction}"] == pytest.approx(
            100 * len(accepted) / (tested["corrected"] == label).sum()
        )
    assert seen
    assert not tested["auto_accept"].any()  # measured as if, but the promise is not about them


def test_calibration_error_by_hand(run, tables):
    reliability, _, summary = tables
    table = reliability[reliability["direction"] == "all"]
    gap = (table["mean_confidence"] - table["observed"]).abs()
    expected = 100 * np.average(gap, weights=table["count"])
    values = summary.set_index("metric")["value"]
    assert values["confidence_ece"] == pytest.approx(expected)
    flips, images = run.table("flips"), run.table("images")
    tested = images["split"].to_numpy()[flips["image_index"]] == "clean_test"
    assert table["count"].sum() == (tested & (flips["truth"] >= 0)).sum()


def test_other_truth_of_test_images_changes_measures_and_nothing_else(run, tables, tmp_path):
    copy = Run(shutil.copytree(run.path, tmp_path / "copy"))
    truth = np.array(run.array("labels_true"))
    test = (run.table("images")["split"] == "clean_test").to_numpy()
    truth[test] = 1 - truth[test]
    np.save(copy.path / "labels_true.npy", truth)
    other = measures.trust_measures(copy)
    assert not other[2].equals(tables[2])
    pd.testing.assert_series_equal(
        other[1].query("resample == 0")["n_accepted"],
        tables[1].query("resample == 0")["n_accepted"],
    )


def test_a_run_of_version_1_has_reliability_but_no_promise(run, tmp_path):
    copy = Run(shutil.copytree(run.path, tmp_path / "old"))
    for name in SINCE_2:
        copy.table_path(name).unlink()
    reliability, realised, summary = measures.trust_measures(copy)
    assert len(reliability)
    assert realised.empty
    names = set(summary.dropna()["metric"])
    assert "confidence_ece" in names
    assert not any("resampled" in name for name in names)


def test_every_measure_is_defined(tables):
    assert tables[2]["definition"].str.len().gt(20).all()
    assert tables[2]["metric"].is_unique


def test_no_promise_made_is_none_kept():
    realised = measures.resampled_precision(many(300, 0.9), np.arange(300), 200)
    tested = many(300, 0.9).assign(confidence=0.9, accepted=False)
    values = measures._summary(tested, realised).set_index("metric")["value"]
    assert np.isnan(values["auto_accept_resampled_kept_to_1"])
