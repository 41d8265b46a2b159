"""What training may not see changes nothing that it makes; what it may see does."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from selfml.progress import Reporter
from selfml.run import Run
from selfml.train import train
from tests.training import assert_same, assert_same_results, tiny_config

pytestmark = pytest.mark.slow
QUIET = Reporter(quiet=True)


def test_nothing_that_training_makes_depends_on_test_labels(trained, catalogue, tmp_path):
    """Other verified labels of C_test and another truth.csv: only what is measured changes."""
    root = tmp_path / "permuted"
    shutil.copytree(catalogue, root)
    rng = np.random.default_rng(0)
    clean = pd.read_csv(root / "clean.csv")
    tested = np.flatnonzero(clean["split"] == "test")
    columns = clean.columns[2:]
    clean.loc[tested, columns] = clean.loc[rng.permutation(tested), columns].to_numpy()
    clean.to_csv(root / "clean.csv", index=False)
    truth = pd.read_csv(root / "truth.csv")
    truth[columns] = truth.loc[rng.permutation(len(truth)), columns].to_numpy()
    truth.to_csv(root / "truth.csv", index=False)
    out = train(root, tmp_path / "run", tiny_config(), reporter=QUIET)
    assert_same_results(trained, out, leave_out=("labels_true", "flips.truth"))
    one, other = (Run(p).table("metrics").set_index(["method", "metric"])["value"]
                  for p in (trained, out))  # fmt: skip
    assert one["self_ml", "map"] != other["self_ml", "map"]
    assert (Run(trained).array("labels_true") != Run(out).array("labels_true")).any()


def test_clean_training_labels_do_matter(trained, catalogue, tmp_path):
    """The other half of the test above: it would notice a change."""
    root = tmp_path / "changed"
    shutil.copytree(catalogue, root)
    clean = pd.read_csv(root / "clean.csv")
    row = np.flatnonzero(clean["split"] == "train")
    columns = clean.columns[2:]
    clean.loc[row, columns] = 1 - clean.loc[row, columns]
    clean.to_csv(root / "clean.csv", index=False)
    out = train(root, tmp_path / "run", tiny_config(), reporter=QUIET)
    for name in ("probabilities", "probabilities_baseline_1", "labels_corrected"):
        with pytest.raises(AssertionError, match="differ"):
            assert_same(Run(trained).array(name), Run(out).array(name), name)
    # what is learned from given labels alone knows nothing of it
    for name in ("probabilities_baseline_0", "features"):
        assert_same(Run(trained).array(name), Run(out).array(name), name)


def test_the_threads_of_linear_algebra_change_nothing(trained, catalogue, tmp_path):
    """They change the last bit of products, which flips of Adam's signs then make large."""
    with threadpool_limits(1):
        out = train(catalogue, tmp_path / "run", tiny_config(), reporter=QUIET)
    assert_same_results(trained, out)


def test_the_classifier_may_see_the_category(trained, catalogue, tmp_path):
    config = tiny_config("head.category=true")
    out = train(catalogue, tmp_path / "run", config, reporter=QUIET)
    with (
        np.load(out / "model" / "features.npz") as saved,
        np.load(trained / "model" / "features.npz") as alone,
    ):
        assert len(saved["classifier_categories"]) > 1
        assert set(saved["classifier_categories"]) <= set(Run(out).table("images")["category"])
        assert len(alone["classifier_categories"]) == 0
    with pytest.raises(AssertionError, match="differ"):
        assert_same(Run(trained).array("probabilities"), Run(out).array("probabilities"))
