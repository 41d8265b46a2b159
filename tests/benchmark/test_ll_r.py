"""LL-R against its rule: which cells of a batch have no gradient, and what the loss is."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from selfml.benchmark.ll_r import METHOD, rejecting_loss
from selfml.nn.losses import binary_cross_entropy
from tests.benchmark.fakes import make_problem

B, L = 6, 4


def batch(seed=0):
    """Labels of all three kinds and logits that are all different."""
    rng = np.random.default_rng(seed)
    labels = rng.choice([0, 0, 0, 1, -1], (B, L)).astype(np.float32)
    return labels, rng.permutation(B * L).reshape(B, L).astype(np.float32) / 5 - 2


def slope(loss, labels, logits, progress, step=1e-2):
    """d loss / d logit of every cell (B, L), by central differences."""
    found = np.zeros(logits.shape)
    for cell in np.ndindex(*logits.shape):
        ends = []
        for sign in (1, -1):
            moved = logits.copy()
            moved[cell] += sign * step
            ends.append(float(loss(labels, moved, progress)))
        found[cell] = (ends[0] - ends[1]) / (2 * step)
    return found


@pytest.mark.parametrize(("progress", "share"), [(0.5, 0.25), (1.0, 0.5)])
def test_the_largest_losses_of_negatives_have_no_gradient(progress, share):
    labels, logits = batch()
    found = slope(rejecting_loss(0.5), labels, logits, np.float32(progress))
    negatives = np.argwhere(labels == 0)
    count = int(share * len(negatives))
    by_loss = sorted(map(tuple, negatives), key=lambda cell: -logits[cell])
    assert count > 1
    for cell in by_loss[:count]:
        assert found[cell] == pytest.approx(0.0, abs=1e-6)
    for cell in by_loss[count:]:
        assert found[cell] > 1e-4


def test_a_positive_is_never_left_out_and_an_unknown_label_never_learnt():
    labels, logits = batch(1)
    logits[labels == 1] = -9.0  # by far the largest losses
    found = slope(rejecting_loss(1.0), labels, logits, np.float32(1.0))
    assert (found[labels == 1] < -1e-3).all()
    assert np.abs(found[labels != 1]).max() < 1e-6


def test_at_the_start_it_is_cross_entropy():
    labels, logits = batch(2)
    found = rejecting_loss(0.9)(labels, logits, np.float32(0.0))
    assert float(found) == pytest.approx(float(binary_cross_entropy(labels, logits)), rel=1e-6)


def test_it_is_a_scalar_of_float32_for_labels_of_any_type():
    labels, logits = batch(3)
    found = rejecting_loss(0.5)(keras.ops.cast(labels, "int8"), logits, np.float32(0.5))
    assert tuple(found.shape) == ()
    assert keras.backend.standardize_dtype(found.dtype) == "float32"


def test_learns_from_given_labels_then_from_the_clean_set():
    problem, _ = make_problem()
    outcome = METHOD.run(problem)
    first, last = problem.classifier.calls
    np.testing.assert_array_equal(first["labels"], problem.given)
    np.testing.assert_array_equal(first["groups"][0][0], problem.train_rows)
    assert first["loss"] is not None
    assert first["start"] is None
    np.testing.assert_array_equal(last["labels"], problem.verified)
    np.testing.assert_array_equal(last["groups"][0][0], problem.clean_rows)
    assert last["loss"] is None
    assert last["start"] is not None
    assert outcome.probabilities.shape == problem.given.shape
