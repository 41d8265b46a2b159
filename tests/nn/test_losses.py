"""Losses worked by hand, masked where a label is unknown, finite at the extremes."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from selfml.nn.losses import (
    absolute_distance,
    anchor_penalty,
    binary_cross_entropy,
    focal_loss,
    group_penalty,
    huber,
    known,
    masked_mean,
)
from tests.nn.backend import gradient, numbers, tensor

RNG = np.random.default_rng(3)
LOGITS = RNG.normal(scale=2, size=(5, 4)).astype(np.float32)
LABELS = np.array(
    [[1, 0, -1, 0.3], [0, 0, 1, 1], [-1, -1, -1, -1], [0.5, 0.9, 0, -1], [1, 1, 1, 0]], np.float32
)
MASKED = (focal_loss, binary_cross_entropy, absolute_distance)


def value(tensor) -> float:
    return float(numbers(tensor))


def by_hand(cell, y=LABELS, z=LOGITS) -> float:
    """Mean of ``cell(y, p)`` over the known cells, in float64."""
    y, z = y.astype(np.float64), z.astype(np.float64)
    p = 1 / (1 + np.exp(-z))
    return float(np.mean(cell(y, p)[y >= 0]))


def focal_cell(gamma: float, alpha: float):
    def cell(y, p):
        there = -alpha * (1 - p) ** gamma * np.log(p)
        absent = -(1 - alpha) * p**gamma * np.log(1 - p)
        return y * there + (1 - y) * absent

    return cell


def test_focal_loss_of_one_cell():
    """p = .5: alpha * .25 * ln 2 where the label is there, (1 - alpha) * .25 * ln 2 where not."""
    zero = np.zeros((1, 1), np.float32)
    for label, weight in ((1.0, 0.6), (0.0, 0.4), (0.5, 0.5), (0.25, 0.45)):
        found = value(focal_loss(np.full((1, 1), label, np.float32), zero))
        assert found == pytest.approx(weight * 0.25 * np.log(2), rel=1e-6)


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.6), (0.0, 0.5), (1.0, 0.25), (0.5, 0.6)])
def test_focal_loss_agrees_with_the_formula(gamma, alpha):
    found = value(focal_loss(LABELS, LOGITS, gamma=gamma, alpha=alpha))
    assert found == pytest.approx(by_hand(focal_cell(gamma, alpha)), rel=1e-5)


def test_focal_loss_without_focus_is_half_the_cross_entropy():
    half = value(focal_loss(LABELS, LOGITS, gamma=0.0, alpha=0.5))
    assert 2 * half == pytest.approx(value(binary_cross_entropy(LABELS, LOGITS)), rel=1e-6)


def test_cross_entropy_and_absolute_distance_agree_with_the_formula():
    found = value(binary_cross_entropy(LABELS, LOGITS))
    expected = by_hand(lambda y, p: -y * np.log(p) - (1 - y) * np.log(1 - p))
    assert found == pytest.approx(expected, rel=1e-5)
    found = value(absolute_distance(LABELS, LOGITS))
    assert found == pytest.approx(by_hand(lambda y, p: np.abs(p - y)), rel=1e-5)


@pytest.mark.parametrize("loss", [binary_cross_entropy, absolute_distance])
def test_weights_choose_cells(loss):
    weight = np.zeros_like(LABELS)
    weight[1] = 1.0
    found = value(loss(LABELS, LOGITS, tensor(weight)))
    assert found == pytest.approx(value(loss(LABELS[1:2], LOGITS[1:2])), rel=1e-6)


@pytest.mark.parametrize("loss", MASKED)
def test_unknown_labels_contribute_nothing(loss):
    changed = np.where(LABELS < 0, RNG.normal(scale=50, size=LABELS.shape), LOGITS)
    a, b = value(loss(LABELS, LOGITS)), value(loss(LABELS, changed.astype(np.float32)))
    assert a == b
    slope = gradient(lambda z: loss(LABELS, z), LOGITS)
    assert (slope[LABELS < 0] == 0).all()
    assert (slope[LABELS >= 0] != 0).all()
    nothing = np.full_like(LABELS, -1)
    assert value(loss(nothing, LOGITS)) == 0
    assert (gradient(lambda z: loss(nothing, z), LOGITS) == 0).all()


@pytest.mark.parametrize("loss", MASKED)
@pytest.mark.parametrize("label", [0.0, 1.0, 0.4])
def test_values_and_gradients_are_finite_at_the_extremes(loss, label):
    z = np.array([[-1e4, -100, -30, -17, 0, 17, 30, 100, 1e4]], np.float32)
    y = np.full_like(z, label)
    assert np.isfinite(value(loss(y, z)))
    assert np.isfinite(gradient(lambda logits: loss(y, logits), z)).all()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_gradient_is_finite_for_every_gamma(gamma):
    z = np.array([[-200.0, -40, 40, 200]], np.float32)
    for y in (0.0, 1.0, 0.5):
        slope = gradient(lambda v, y=y: focal_loss(np.full_like(z, y), v, gamma=gamma), z)
        assert np.isfinite(slope).all()
    # a certain and wrong prediction pulls with its full weight over four cells
    wrong = gradient(lambda v: focal_loss(np.ones_like(z), v, gamma=gamma), z)
    assert wrong[0, 0] == pytest.approx(-0.6 / 4, rel=1e-5)


def test_losses_are_float32_of_bfloat16_logits():
    z = keras.ops.cast(LOGITS, "bfloat16")
    for loss in MASKED:
        assert keras.backend.standardize_dtype(loss(LABELS, z).dtype) == "float32"


def test_huber():
    residual = np.array([[0.5, -0.5, 1.0], [-3.0, 0.0, 2.0]], np.float32)
    expected = np.mean([0.125, 0.125, 0.5, 2.5, 0.0, 1.5])
    assert value(huber(residual)) == pytest.approx(expected, rel=1e-6)
    slope = gradient(huber, residual) * residual.size
    np.testing.assert_allclose(slope, np.clip(residual, -1, 1), atol=1e-6)
    assert value(huber(np.array([3.0], np.float32), delta=2.0)) == pytest.approx(4.0)


def test_group_penalty():
    """One atom always used and one never cost the same as both used by half of the images: no."""
    one = np.array([[1, 0], [1, 0], [1, 0], [1, 0]], np.float32)
    split = np.array([[1, 0], [1, 0], [0, 1], [0, 1]], np.float32)
    assert value(group_penalty(one)) == pytest.approx(0.5, abs=1e-6)
    assert value(group_penalty(split)) == pytest.approx(np.sqrt(0.5), abs=1e-6)
    assert np.isfinite(gradient(group_penalty, one)).all()
    assert np.isfinite(gradient(group_penalty, np.zeros((4, 2)))).all()


def test_anchor_penalty_is_relative():
    anchor = np.array([[3.0, 4.0]], np.float32)
    assert value(anchor_penalty(anchor, anchor)) == pytest.approx(0, abs=1e-6)
    assert value(anchor_penalty(anchor * 1.5, anchor)) == pytest.approx(0.5, rel=1e-5)
    zeros = np.zeros_like(anchor)
    assert np.isfinite(gradient(lambda b: anchor_penalty(b, tensor(zeros)), zeros)).all()


def test_masks():
    np.testing.assert_array_equal(numbers(known(np.array([-1.0, 0, 0.2, 1]))), [0, 1, 1, 1])
    np.testing.assert_array_equal(numbers(known(np.array([-1, 0, 1], np.int8))), [0, 1, 1])
    found = masked_mean(np.array([1.0, 5.0], np.float32), np.array([1.0, 0.0], np.float32))
    assert value(found) == 1
