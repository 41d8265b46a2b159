"""Losses on ``keras.ops``; unknown labels (-1) are masked, shapes (B, L) unless stated.

``y`` are labels or soft labels in 0..1, ``z`` logits. Every loss returns a scalar in float32, that
of the whole batch also where several devices share it (:func:`selfml.nn.devices.over_devices`).
"""

from __future__ import annotations

from keras import ops

from selfml.nn.devices import over_devices, replicas

EPSILON = 1e-12


def known(y):
    """1 where a label is known (not negative), else 0, float32."""
    return ops.cast(ops.greater_equal(y, 0), "float32")


def masked_mean(values, mask):
    """Mean of ``values`` where ``mask`` is 1; 0 when it is nowhere."""
    count = over_devices(ops.sum(mask))
    return over_devices(ops.sum(values * mask)) / ops.maximum(count, 1.0)


def _batch_mean(values):
    """Mean over the first axis, the images of a batch, over all devices, whose parts are equal."""
    return over_devices(ops.mean(values, axis=0) / replicas())


def focal_loss(y, z, *, gamma: float = 2.0, alpha: float = 0.6):
    """Binary focal loss with soft labels, mean over the known cells (paper section 3).

    A positive weighs ``alpha (1 - p)^gamma``, a negative ``(1 - alpha) p^gamma``; a soft label
    is the mixture of both. Written with softplus, so that it and its gradient are finite for any
    logit and any gamma >= 0: ``p = exp(-softplus(-z))``, ``1 - p = exp(-softplus(z))``.
    """
    z = ops.cast(z, "float32")
    mask = known(y)
    y = ops.maximum(ops.cast(y, "float32"), 0.0)
    miss, alarm = ops.softplus(-z), ops.softplus(z)  # -log p, -log(1 - p)
    positive = alpha * y * ops.exp(-gamma * alarm) * miss
    negative = (1.0 - alpha) * (1.0 - y) * ops.exp(-gamma * miss) * alarm
    return masked_mean(positive + negative, mask)


def binary_cross_entropy(y, z, weight=None):
    """Cross-entropy from logits, mean over the known cells; ``weight`` broadcasts to (B, L)."""
    z = ops.cast(z, "float32")
    mask = known(y) if weight is None else known(y) * weight
    y = ops.maximum(ops.cast(y, "float32"), 0.0)
    return masked_mean(ops.softplus(z) - y * z, mask)


def absolute_distance(y, z, weight=None):
    """|sigmoid(z) - y|, the paper's flipping loss (section 2), mean over the known cells."""
    mask = known(y) if weight is None else known(y) * weight
    y = ops.maximum(ops.cast(y, "float32"), 0.0)
    return masked_mean(ops.abs(ops.sigmoid(ops.cast(z, "float32")) - y), mask)


def huber(residual, delta: float = 1.0):
    """Mean Huber function of a residual of any shape (paper section 2)."""
    size = ops.abs(residual)
    inside = ops.minimum(size, delta)
    return ops.mean(_batch_mean(0.5 * inside * inside + delta * (size - inside)))


def group_penalty(coefficients):
    """``mean_b sqrt(mean_i c_ib^2 + eps)`` of (B, K): leaves few atoms in use (our choice)."""
    return ops.mean(ops.sqrt(_batch_mean(ops.square(coefficients)) + EPSILON))


def anchor_penalty(basis, anchor):
    """``||X_B - X_S|| / ||X_S||``, the paper's basis regulariser made scale-free.

    The epsilon is inside the root: the gradient of a norm at zero is not a number, and X_B
    starts at X_S.
    """
    return ops.sqrt(ops.sum(ops.square(basis - anchor)) + EPSILON) / ops.sqrt(
        ops.sum(ops.square(anchor)) + EPSILON
    )
