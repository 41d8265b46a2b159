"""Attention is on the simplex, never on the image itself, and predicts by its prototypes."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from selfml.benchmark.proto_attend import METHOD, Attention
from tests.benchmark.fakes import RidgeClassifier, make_problem

C, D, N = 9, 3, 24


@pytest.fixture(autouse=True)
def _seeded():
    keras.utils.set_random_seed(0)


def attention(candidates, features, own, sharpness=1.0):
    """Weights (B, C): with one label to each candidate the prediction is the attention."""
    model = Attention(candidates, np.eye(len(candidates)), 4)
    x = np.concatenate([features, np.asarray(own)[:, None]], axis=1).astype(np.float32)
    model(x)
    for layer in (model.query, model.key):
        layer.kernel.assign(sharpness * np.eye(D, 4, dtype=np.float32))
    model.sharpness.assign(D / 2)  # features are over sqrt(D): products count by half
    return np.asarray(keras.ops.convert_to_numpy(model(x)))


@pytest.mark.parametrize("sharpness", [0.0, 0.3, 1.0, 30.0])
def test_attention_rows_are_on_the_simplex_and_miss_the_image_itself(sharpness):
    rng = np.random.default_rng(0)
    candidates = rng.normal(size=(C, D))
    candidates[0] *= 10  # its own key answers it best by far
    own = np.concatenate([np.arange(C), np.full(4, -1)])
    features = np.concatenate([candidates, rng.normal(size=(4, D))])
    a = attention(candidates, features, own, sharpness)
    np.testing.assert_allclose(a.sum(1), 1.0, atol=1e-5)
    assert (a >= 0).all()
    assert (a[np.arange(C), np.arange(C)] == 0).all()


def test_attention_without_differences_is_even():
    """All keys alike: 1/C each, and 1/(C - 1) each where the image is itself a candidate."""
    a = attention(np.ones((C, D)), np.ones((2, D)), [-1, 2])
    np.testing.assert_allclose(a[0], 1 / C, atol=1e-6)
    np.testing.assert_allclose(np.delete(a[1], 2), 1 / (C - 1), atol=1e-6)


def test_attention_is_sparsemax_of_scaled_products():
    """Products 0, .4, .8 and 3, by half: after the last come none within one; worked by hand.

    Halved they are 0, .2, .4 and 1.5: the gap of 1.1 leaves one candidate. Without it the rest are
    within one: the threshold is (.6 - 1)/3 and the weights .133, .333 and .533.
    """
    candidates = np.array([[0.0, 0, 0], [0.4, 0, 0], [0.8, 0, 0], [3.0, 0, 0]])
    a = attention(candidates, np.array([[1.0, 0, 0]] * 2), [-1, 3])
    np.testing.assert_allclose(a[0], [0, 0, 0, 1], atol=1e-6)
    np.testing.assert_allclose(a[1], [0.4 / 3, 1 / 3, 1.6 / 3, 0], atol=1e-6)


def clusters():
    """A problem of two far clusters; the third attribute is unknown in the second of them."""
    rng = np.random.default_rng(0)
    side = np.arange(N) % 2
    features = np.where(side, 1.0, -1.0)[:, None] + rng.normal(scale=0.05, size=(N, D))
    truth = np.stack([side, 1 - side, np.ones(N)], axis=1).astype(np.int8)
    clean = np.arange(12)
    verified = np.full_like(truth, -1)
    verified[clean] = truth[clean]
    verified[side == 1, 2] = -1
    problem = replace(
        make_problem(n=20, n_clean=10)[0],
        features=features.astype(np.float32),
        seen=features.astype(np.float32),
        given=np.zeros_like(truth),
        verified=verified,
        clean_rows=clean,
        noisy_rows=np.arange(12, N),
        classifier=RidgeClassifier(features),
    )
    return problem, truth


@pytest.mark.slow
def test_predicts_the_labels_of_the_cluster():
    """Even of a clean image that says the opposite: it does not attend to itself."""
    problem, truth = clusters()
    problem.verified[0] = [1, 0, 1]
    outcome = METHOD.run(problem, **METHOD.grid[0])
    p = outcome.probabilities
    assert ((p > 0.5) == truth).all()
    of_other_cluster = truth[:, 0] == 1  # where nobody says otherwise
    np.testing.assert_allclose(p[of_other_cluster], truth[of_other_cluster], atol=0.05)
    assert np.isfinite(outcome.label_score).all()
    np.testing.assert_array_equal(np.sign(outcome.label_score), 2 * truth - 1)
    np.testing.assert_array_equal(outcome.strict_score, outcome.label_score)
    assert problem.classifier.calls == []
