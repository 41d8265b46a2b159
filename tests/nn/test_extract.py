"""What is predicted follows the weights, on every backend."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from selfml.extract import Part, predict
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


def test_several_arrays_are_read_by_the_same_rows():
    part = Part(
        keras.layers.Identity(), lambda x: x["a"] + keras.ops.cast(x["b"], "float32")[:, None]
    )
    a = np.arange(600, dtype=np.float32).reshape(300, 2)
    b = np.arange(300, dtype=np.int32)
    rows = np.r_[299, 5:200]
    found = predict(part, {"a": a, "b": b}, rows)
    np.testing.assert_array_equal(found, a[rows] + b[rows][:, None])


@pytest.mark.parametrize(("policy", "rounds"), [("float32", False), (None, True)])
def test_a_part_rounds_its_inputs_as_what_it_is_of(mixed_bfloat16, policy, rounds):
    """Else coefficients would be of other features than those that C_X was trained on."""
    layer, seen = keras.layers.Dense(2, dtype=policy), []
    layer.build((None, 2))

    def note(inputs):
        seen.append(keras.backend.standardize_dtype(inputs.dtype))
        return ops.cast(inputs, "float32")

    Part(layer, note).predict_on_batch(np.ones((1, 2), np.float32))
    assert ("bfloat16" in seen) == rounds
