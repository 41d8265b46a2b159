"""What differs between TensorFlow, JAX and torch when a test wants a gradient."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np


def numbers(value) -> np.ndarray:
    """A tensor or variable as NumPy."""
    return np.asarray(keras.ops.convert_to_numpy(value))


def tensor(array) -> object:
    """A float32 tensor: torch does not mix its own with NumPy's arrays."""
    return keras.ops.convert_to_tensor(np.asarray(array, np.float32))


def gradient(function: Callable, at: np.ndarray) -> np.ndarray:
    """Gradient of a function of one array that returns a scalar, float32."""
    at = np.asarray(at, np.float32)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        x = tf.constant(at)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tape.gradient(y, x, unconnected_gradients="zero").numpy()
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(function)(at))
    import torch

    x = torch.tensor(at, requires_grad=True)
    (function(x) + 0.0 * x.sum()).backward()  # zero, not None, where x plays no part
    return x.grad.numpy()


def weight_gradients(model: keras.Model, x, y=None) -> dict[str, np.ndarray]:
    """What one step of plain descent at rate 1 takes from each variable, by its path.

    So this is the gradient of `compute_loss` as `fit` sees it, on any backend.
    """
    model.compile(optimizer=keras.optimizers.SGD(1.0), run_eagerly=True)
    model(x)
    before = {v.path: numbers(v).copy() for v in model.weights}
    model.train_on_batch(x, y)
    return {v.path: before[v.path] - numbers(v) for v in model.weights if v.dtype != "int32"}
