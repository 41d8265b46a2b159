"""Coefficients: exactly sparse, on the simplex, nearest atoms first, never on a blocked one."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from selfml import simplex
from selfml.nn.losses import anchor_penalty
from selfml.nn.reconstruction import SparseReconstruction, principal_directions, sparsemax
from tests.nn.backend import gradient, numbers, tensor

RNG = np.random.default_rng(5)


def layer_at(sample: np.ndarray, **settings_) -> SparseReconstruction:
    layer = SparseReconstruction(*sample.shape, **settings_)
    layer.start_at(sample, non_zeros=3)
    return layer


# ------------------------------------------------------------------------------------ sparsemax
def test_worked_cases():
    logits = np.array([[0.5, 0.5, -9], [2, 0, 0], [0.3, 0.2, -0.2], [0, 0, 0]], np.float32)
    expected = [[0.5, 0.5, 0], [1, 0, 0], [0.3 + 0.2 / 3, 0.2 + 0.7 / 3 - 0.5 / 3, 0], [1 / 3] * 3]
    expected[2] = [0.3 - (0.3 - 1) / 3, 0.2 - (0.3 - 1) / 3, -0.2 - (0.3 - 1) / 3]
    np.testing.assert_allclose(numbers(sparsemax(logits)), expected, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-3, 0.3, 1.0, 10.0, 1e4])
@pytest.mark.parametrize("n_atoms", [1, 2, 7, 400])
def test_agrees_with_numpy_and_sums_to_one(scale, n_atoms):
    logits = RNG.normal(scale=scale, size=(20, n_atoms)).astype(np.float32)
    found = numbers(sparsemax(logits))
    assert found.dtype == np.float32
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(1), 1.0, atol=1e-6)
    np.testing.assert_allclose(found, simplex.sparsemax(logits.astype(np.float64)), atol=2e-6)


def test_extreme_and_tied_logits():
    logits = np.array(
        [[1e4, -1e4, 0, 0], [1e4, 1e4, -1e4, 0], [-1e4] * 4, [1e4, 1e4 - 0.5, 0, 0]], np.float32
    )
    expected = [[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25] * 4, [0.75, 0.25, 0, 0]]
    np.testing.assert_allclose(numbers(sparsemax(logits)), expected, atol=1e-6)
    # Exactly one below the maximum is the edge of the support: zero, not a rounding error.
    assert numbers(sparsemax(np.array([[2.0, 1.0]], np.float32)))[0, 1] == 0


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float32, (3, 6), elements=st.floats(-50, 50, width=32, allow_subnormal=False)))
def test_is_a_projection_onto_the_simplex(logits):
    found = numbers(sparsemax(logits)).astype(np.float64)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(1), 1.0, atol=1e-6)
    np.testing.assert_allclose(found, simplex.project_to_simplex(logits.astype(float)), atol=1e-5)


def test_gradient_is_that_of_finite_differences():
    logits = np.array([[0.4, 0.1, -0.2, -3.0], [1.0, 0.9, 0.2, 0.15]], np.float32)
    weight = RNG.normal(size=logits.shape).astype(np.float32)
    found = gradient(lambda z: keras.ops.sum(sparsemax(z) * tensor(weight)), logits)
    step, expected = 1e-4, np.zeros(logits.shape)
    for place in np.ndindex(*logits.shape):
        up, down = logits.astype(np.float64), logits.astype(np.float64)
        up[place] += step
        down[place] -= step
        change = (simplex.sparsemax(up) - simplex.sparsemax(down)) * weight
        expected[place] = change.sum() / (2 * step)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found.sum(1), 0.0, atol=1e-6)  # a common shift changes nothing


def test_gradient_is_finite_at_ties_and_extremes():
    logits = np.array([[0.5, 0.5, 0.5], [1e4, -1e4, 1e4], [1.0, 0.0, 0.0]], np.float32)
    weight = np.array([[1.0, -2.0, 3.0]], np.float32)
    assert np.isfinite(
        gradient(lambda z: keras.ops.sum(sparsemax(z) * tensor(weight)), logits)
    ).all()


# -------------------------------------------------------------------------------- the layer
@pytest.mark.parametrize("rank", [0, 4, 30])
def test_rows_are_on_the_simplex_also_under_bfloat16(rank, mixed_bfloat16):
    sample = RNG.normal(size=(12, 10)).astype(np.float32)
    layer = layer_at(sample, rank=rank)
    x = RNG.normal(size=(50, 10)).astype(np.float32)
    c = numbers(layer(x))
    assert c.dtype == np.float32
    np.testing.assert_allclose(c.sum(1), 1.0, atol=1e-6)
    assert (c >= 0).all()
    assert (c == 0).mean() > 0.3
    keras.mixed_precision.set_global_policy("float32")
    plain = layer_at(sample, rank=rank)
    np.testing.assert_allclose(c, numbers(plain(x)), atol=1e-6)


@pytest.mark.parametrize("rank", [0, 10, 14])
def test_starts_at_the_nearest_atoms(rank):
    """With the whole space kept, the largest coefficient is the nearest atom's, its own first."""
    sample = RNG.normal(size=(15, 10)).astype(np.float32)
    layer = layer_at(sample, rank=rank)
    if rank == 14:  # beyond the sample's rank random directions are added: only itself is sure
        assert (numbers(layer(sample)).argmax(1) == np.arange(15)).all()
        return
    x = RNG.normal(size=(40, 10)).astype(np.float32)
    distance = np.square(x[:, None] - sample).sum(-1)
    c = numbers(layer(x))
    nearest = distance.argmin(1)
    np.testing.assert_allclose(c[np.arange(40), nearest], c.max(1), atol=1e-6)
    # the further, the less: coefficients fall with distance
    for row, far in zip(c, distance, strict=True):
        assert (np.diff(row[np.argsort(far)]) <= 1e-5).all()
    assert (numbers(layer(sample)).argmax(1) == np.arange(15)).all()


def test_logits_are_squared_distances():
    sample = RNG.normal(size=(6, 5)).astype(np.float32)
    x = RNG.normal(size=(4, 5)).astype(np.float32)
    learned = layer_at(sample, rank=3)
    kernel = numbers(learned.kernel) * numbers(learned.gain)
    offset = RNG.normal(size=6).astype(np.float32)
    learned.offset.assign(offset)
    expected = offset - np.square((x @ kernel)[:, None] - sample @ kernel).sum(-1)
    np.testing.assert_allclose(numbers(learned.logits(x)), expected, rtol=1e-4, atol=1e-4)
    linear = layer_at(sample)
    kernel = numbers(linear.kernel) * numbers(linear.gain)
    expected = x @ kernel + numbers(linear.offset)
    np.testing.assert_allclose(numbers(linear.logits(x)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rank", [0, 20])
def test_non_zeros_grow_with_what_was_asked_for(rank):
    sample = RNG.normal(size=(60, 20)).astype(np.float32)
    x = RNG.normal(size=(200, 20)).astype(np.float32)
    counts = []
    for asked in (2, 6, 12, 30):
        layer = SparseReconstruction(60, 20, rank=rank)
        layer.start_at(sample, non_zeros=asked)
        counts.append((numbers(layer(x)) > 0).sum(1).mean())
        assert 1 <= counts[-1] <= asked
    assert (np.diff(counts) > 0.5).all()


@pytest.mark.parametrize("rank", [0, 5])
def test_blocked_atoms_get_exactly_nothing(rank):
    sample = RNG.normal(size=(9, 8)).astype(np.float32)
    layer = layer_at(sample, rank=rank)
    blocked = np.eye(9, dtype=bool)
    blocked[3, 4:] = True
    c = numbers(layer(sample, blocked=blocked))
    assert (c[blocked] == 0).all()
    np.testing.assert_allclose(c.sum(1), 1.0, atol=1e-6)
    free = numbers(layer(sample))
    # what is not blocked is the sparsemax over the others, not a rescaled remainder
    logits = numbers(layer.logits(sample)).astype(np.float64)
    others = [np.flatnonzero(~row) for row in blocked]
    for i, rest in enumerate(others):
        np.testing.assert_allclose(c[i, rest], simplex.sparsemax(logits[i, rest]), atol=1e-5)
    assert (free[np.arange(9), np.arange(9)] > 0.5).all()


def test_reconstructs_as_a_convex_combination():
    sample = RNG.normal(size=(7, 5)).astype(np.float32)
    layer = layer_at(sample)
    c = np.zeros((2, 7), np.float32)
    c[0, 2], c[1, [0, 6]] = 1.0, (0.25, 0.75)
    expected = [sample[2], 0.25 * sample[0] + 0.75 * sample[6]]
    np.testing.assert_allclose(numbers(layer.reconstruct(c)), expected, atol=1e-6)


def test_gradient_is_finite_where_the_basis_starts():
    sample = RNG.normal(size=(7, 5)).astype(np.float32)
    at_start = gradient(lambda basis: anchor_penalty(basis, tensor(sample)), sample)
    np.testing.assert_array_equal(at_start, np.zeros_like(sample))
    moved = sample + 0.1
    away = gradient(lambda basis: anchor_penalty(basis, tensor(sample)), moved)
    expected = (moved - sample) / np.linalg.norm(moved - sample) / np.linalg.norm(sample)
    np.testing.assert_allclose(away, expected, rtol=1e-4)


def test_gradient_reaches_features_in_use():
    sample = RNG.normal(size=(7, 5)).astype(np.float32)
    layer = layer_at(sample, rank=3)
    target = RNG.normal(size=(4, 7)).astype(np.float32)
    x = RNG.normal(size=(4, 5)).astype(np.float32)
    found = gradient(lambda v: keras.ops.sum(layer(v) * tensor(target)), x)
    assert np.isfinite(found).all()
    assert (np.abs(found).max(1) > 0).any()


@pytest.mark.parametrize("learn", [True, False])
def test_what_is_trained(learn):
    layer = layer_at(RNG.normal(size=(7, 5)).astype(np.float32), rank=2, learn_basis=learn)
    names = {v.name for v in layer.trainable_variables}
    assert names == {"kernel", "offset"} | ({"basis"} if learn else set())
    np.testing.assert_array_equal(numbers(layer.basis), numbers(layer.anchor))


def test_dropout_only_while_training():
    sample = RNG.normal(size=(7, 30)).astype(np.float32)
    layer = layer_at(sample, rank=4, dropout=0.5)
    still = numbers(layer(sample, training=False))
    np.testing.assert_array_equal(still, numbers(layer(sample)))
    assert np.abs(numbers(layer(sample, training=True)) - still).max() > 0.01


@pytest.mark.parametrize("settings_", [{}, {"rank": 3, "dropout": 0.2, "learn_basis": False}])
def test_round_trip_of_the_configuration(settings_):
    sample = RNG.normal(size=(7, 5)).astype(np.float32)
    layer = layer_at(sample, **settings_)
    again = SparseReconstruction.from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    text = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(text)
    again.set_weights(layer.get_weights())
    x = RNG.normal(size=(3, 5)).astype(np.float32)
    np.testing.assert_array_equal(numbers(again(x)), numbers(layer(x)))


def test_degenerate_samples_still_give_coefficients():
    """Equal or constant features, as of a dead extractor, must not give NaN."""
    for sample in (np.zeros((4, 5)), np.ones((4, 5)), np.repeat(RNG.normal(size=(1, 5)), 4, 0)):
        for rank in (0, 2):
            c = numbers(layer_at(sample.astype(np.float32), rank=rank)(sample.astype(np.float32)))
            np.testing.assert_allclose(c.sum(1), 1.0, atol=1e-6)


def test_principal_directions_are_orthonormal_and_ordered():
    sample = RNG.normal(size=(30, 6)) * [5, 4, 3, 2, 1, 0.5]
    found = principal_directions(sample, 3, np.random.default_rng(0))
    np.testing.assert_allclose(found.T @ found, np.eye(3), atol=1e-5)
    spread = ((sample - sample.mean(0)) @ found).std(0)
    assert (np.diff(spread) < 0).all()
    assert principal_directions(sample[:2], 6, np.random.default_rng(0)).shape == (6, 6)


# ----------------------------------------------------------------------------------------- keys
def test_keys_start_at_the_images_and_move_alone():
    """Until a key is learned c is that without keys; a key moves the logits of its own atom only,
    to those of an atom that stands elsewhere: -||P x - P x_b - K_b||^2."""
    sample = RNG.normal(size=(5, 4)).astype(np.float32)
    x = RNG.normal(size=(7, 4)).astype(np.float32)
    plain, keyed = layer_at(sample, rank=2), layer_at(sample, rank=2, learn_keys=True)
    np.testing.assert_array_equal(numbers(plain.logits(x)), numbers(keyed.logits(x)))
    key = np.zeros((5, 2), np.float32)
    key[3] = 0.5, -1.0
    keyed.keys.assign(key)
    kernel = numbers(keyed.kernel) * numbers(keyed.gain)
    expected = -np.square(x @ kernel - sample[3] @ kernel - key[3]).sum(1)
    found = numbers(keyed.logits(x))
    np.testing.assert_allclose(found[:, 3], expected + numbers(keyed.offset)[3], rtol=1e-4)
    others = [0, 1, 2, 4]
    np.testing.assert_array_equal(found[:, others], numbers(plain.logits(x))[:, others])


def test_a_linear_layer_has_no_keys():
    layer = layer_at(RNG.normal(size=(5, 4)).astype(np.float32), learn_keys=True)
    assert not layer.learn_keys
    assert {v.name for v in layer.trainable_variables} == {"basis", "kernel", "offset"}
