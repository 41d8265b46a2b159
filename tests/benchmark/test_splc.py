"""SPLC against its rule, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest

from selfml.benchmark.splc import FIRST_EPOCH, METHOD, correcting_loss
from selfml.nn.losses import binary_cross_entropy
from tests.benchmark.fakes import make_problem

TAU = 0.6
LATE = np.float32(0.5)


def of_cell(label, p, progress=LATE):
    """Loss of a batch of one cell with predicted probability p."""
    logit = np.log(p / (1 - p))
    cell = np.full((1, 1), label, np.float32), np.full((1, 1), logit, np.float32)
    return float(correcting_loss(TAU)(*cell, progress))


def test_before_the_start_it_is_cross_entropy():
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 2, (6, 4)).astype(np.float32)
    logits = rng.normal(0, 3, (6, 4)).astype(np.float32)
    expected = float(binary_cross_entropy(labels, logits))
    for progress in (0.0, FIRST_EPOCH - 1e-3):
        found = float(correcting_loss(TAU)(labels, logits, np.float32(progress)))
        assert found == pytest.approx(expected, rel=1e-6)
    assert float(correcting_loss(TAU)(labels, logits, LATE)) < expected


@pytest.mark.parametrize(
    ("label", "p", "target"),
    [(0, 0.61, 1), (0, 0.99, 1), (0, 0.59, 0), (0, 0.1, 0), (1, 0.9, 1), (1, 0.1, 1)],
)
def test_a_negative_above_tau_has_the_loss_of_a_positive(label, p, target):
    expected = -np.log(p) if target else -np.log(1 - p)
    assert of_cell(label, p) == pytest.approx(expected, rel=1e-5)


def test_a_negative_above_tau_keeps_its_loss_before_the_start():
    assert of_cell(0, 0.9, np.float32(0.0)) == pytest.approx(-np.log(0.1), rel=1e-5)


@pytest.mark.parametrize("p", [0.1, 0.9])
def test_an_unknown_label_has_no_loss(p):
    assert of_cell(-1, p) == 0.0


def test_learns_from_given_labels_then_from_the_clean_set():
    problem, _ = make_problem()
    METHOD.run(problem, tau=0.7)
    first, last = problem.classifier.calls
    np.testing.assert_array_equal(first["labels"], problem.given)
    np.testing.assert_array_equal(first["groups"][0][0], problem.train_rows)
    np.testing.assert_array_equal(last["labels"], problem.verified)
    np.testing.assert_array_equal(last["groups"][0][0], problem.clean_rows)
    assert last["start"] is not None
    cell = np.zeros((1, 1), np.float32), np.full((1, 1), 0.62, np.float32)  # p = .65 < .7
    assert float(first["loss"](*cell, LATE)) == pytest.approx(np.log1p(np.exp(0.62)), rel=1e-5)
