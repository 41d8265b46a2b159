"""What a training promises of its flips, and that it rests on images set aside, never on C_test."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selfml import trust
from selfml.data import splits
from selfml.progress import Reporter
from selfml.run import Run
from selfml.train import train
from tests.training import assert_same_results, tiny_config

pytestmark = pytest.mark.slow
QUIET = Reporter(quiet=True)
PROMISED = ("flips.confidence", "flips.auto_accept")


@pytest.fixture(scope="module")
def easily_pleased():
    """A dozen steps prove nothing, so little is asked: flips are accepted all the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trust, "HELD_OUT_MINIMUM", 5)
        patch.setattr(trust, "MIN_COUNT", 3)
        patch.setattr(trust, "PRECISION", 0.005)
        # which images are drawn to learn from depends on verified labels: not what is tested here
        patch.setattr(
            splits, "_sampling_order", lambda positive, rng: rng.permutation(len(positive))
        )
        yield


@pytest.fixture(scope="module")
def aside(catalogue, tmp_path_factory, easily_pleased) -> Path:
    """A tiny run with 12 clean images to learn from; the other verified ones are set aside."""
    out = tmp_path_factory.mktemp("runs") / "aside"
    return train(catalogue, out, tiny_config("data.clean_samples=12"), reporter=QUIET)


def test_too_few_set_aside_and_nothing_is_promised(trained):
    run = Run(trained)
    assert (run.table("trust")["source"] == "none").all()
    assert (run.table("trust")["n_images"] == 0).all()
    flips = run.table("flips")
    assert not flips["auto_accept"].any()
    stated = 1 / (1 + np.exp(-np.abs(flips["strict_score"])))  # which decides in `quick`
    np.testing.assert_allclose(flips["confidence"], stated, rtol=1e-5)


def test_images_set_aside_calibrate(aside, catalogue):
    run = Run(aside)
    images, table = run.table("images"), run.table("trust")
    rows = run.table("calibration")["image_index"].to_numpy()
    clean = pd.read_csv(catalogue / "clean.csv")
    verified = set(clean.loc[clean["split"] == "train", "file_name"])
    learned = set(images.loc[images["split"] == "clean_train", "image_id"])
    assert set(images.loc[rows, "image_id"]) == verified - learned
    assert set(images.loc[rows, "split"]) == {"noisy_train"}
    assert (table["n_images"] == len(rows)).all()
    flips = run.table("flips")
    own = flips[flips["image_index"].isin(rows)]
    assert table["n_flips"].sum() == len(own)
    assert table["n_correct"].sum() == (own["truth"] == own["corrected"]).sum()


def test_who_is_accepted(aside):
    run = Run(aside)
    flips, images = run.table("flips"), run.table("images")
    table = run.table("trust").set_index("direction")
    assert flips["auto_accept"].any()
    row = table.loc[np.where(flips["corrected"] == 1, "to_1", "to_0")].reset_index()
    strength = flips["strict_score"].abs()
    line = row["slope"] * strength + row["intercept"]
    np.testing.assert_allclose(flips["confidence"], 1 / (1 + np.exp(-line)), rtol=1e-5)
    own = images.loc[flips["image_index"]].reset_index()
    decided = own["image_index"].isin(run.table("calibration")["image_index"])
    decided |= own["split"] != "noisy_train"
    covered = own["hull_distance"] <= row["largest_covered_distance"]
    expected = (strength >= row["threshold"]) & covered & ~decided
    np.testing.assert_array_equal(flips["auto_accept"], expected)


def test_no_promise_depends_on_test_labels(aside, catalogue, tmp_path, easily_pleased):
    """Nor on truth.csv; that of images set aside, though, is what it is made of."""
    root = tmp_path / "permuted"
    shutil.copytree(catalogue, root)
    rng = np.random.default_rng(0)
    clean, truth = pd.read_csv(root / "clean.csv"), pd.read_csv(root / "truth.csv")
    columns = clean.columns[2:]
    tested = np.flatnonzero(clean["split"] == "test")
    clean.loc[tested, columns] = clean.loc[rng.permutation(tested), columns].to_numpy()
    truth[columns] = truth.loc[rng.permutation(len(truth)), columns].to_numpy()
    clean.to_csv(root / "clean.csv", index=False)
    truth.to_csv(root / "truth.csv", index=False)
    config = tiny_config("data.clean_samples=12")
    out = train(root, tmp_path / "run", config, reporter=QUIET)
    assert_same_results(aside, out, leave_out=("labels_true", "flips.truth"))
    one, other = (Run(p).table("metrics").set_index("metric")["value"] for p in (aside, out))
    assert one["confidence_ece"] != other["confidence_ece"]


def test_images_set_aside_teach_nothing_but_confidence(aside, catalogue, tmp_path, easily_pleased):
    root = tmp_path / "changed"
    shutil.copytree(catalogue, root)
    run = Run(aside)
    rows = run.table("calibration")["image_index"]
    names = run.table("images").loc[rows, "image_id"]
    clean = pd.read_csv(root / "clean.csv")
    chosen, columns = clean["file_name"].isin(names), clean.columns[2:]
    clean.loc[chosen, columns] = 1 - clean.loc[chosen, columns]
    clean.to_csv(root / "clean.csv", index=False)
    config = tiny_config("data.clean_samples=12")
    out = train(root, tmp_path / "run", config, reporter=QUIET)
    promises = [f"trust.{name}" for name in run.table("trust")]
    same = ("labels_true", "flips.truth", *PROMISED, *promises)
    assert_same_results(aside, out, leave_out=same)
    one, other = (Run(p).table("flips") for p in (aside, out))
    assert (one["confidence"] != other["confidence"]).any()
