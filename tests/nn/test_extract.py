"""What is predicted follows the weights, on every backend."""

from __future__ import annotations

import keras
import numpy as np

from selfml.extract import Part, category_block, predict
from selfml.nn.augment import RandomAffine


def test_predictions_follow_the_weights():
    """JAX compiles what it does not track as constants: the first weights, for ever."""
    dense = keras.layers.Dense(3)
    part = Part(dense, lambda x: dense(x))
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    rows = np.arange(5)
    predict(part, x, rows)
    kernel, bias = np.ones((4, 3), np.float32), np.arange(3, dtype=np.float32)
    dense.set_weights([kernel, bias])
    np.testing.assert_allclose(predict(part, x, rows), x @ kernel + bias, atol=1e-5)


def test_each_batch_is_augmented_anew():
    augment = RandomAffine(fraction=1.0, seed=0)
    part = Part(augment, lambda x: augment(x, training=True))
    x = np.random.default_rng(0).random((128, 8, 8, 3)).astype(np.float32)
    first, second = (predict(part, x, np.arange(128)) for _ in range(2))
    assert not np.allclose(first, second)


def test_categories_become_standardised_indicators():
    """Six of ten images are shirts and four dresses; one category is too rare, one is unknown."""
    of = np.array(["shirt"] * 6 + ["dress"] * 5 + ["sock"] * 2 + [""])
    rows = np.r_[0:6, 6:10, 11:12]
    names, block = category_block(of, np.r_[rows, 13:14])
    assert list(names) == ["shirt"]
    names, block = category_block(of, np.arange(14))
    assert list(names) == ["dress", "shirt"]
    share = np.array([5 / 14, 6 / 14])
    deviation = np.sqrt(share * (1 - share) + 0.02)
    np.testing.assert_allclose(block[0], [-share[0], 1 - share[1]] / deviation)
    np.testing.assert_allclose(block[6], [1 - share[0], -share[1]] / deviation)
    np.testing.assert_array_equal(block[11:], 0.0)  # too rare, and unknown: nothing is said
