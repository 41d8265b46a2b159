"""Random rotation, translation and horizontal flip of a share of the images, in the graph."""

from __future__ import annotations

import math

import keras
import numpy as np
from keras import ops

from selfml.config import AugmentConfig


def affine_rows(angle, flip, shift_x, shift_y, size_px: int):
    """Output-to-input transforms (B, 8) for ``keras.ops.image.affine_transform``.

    Rotation by ``angle`` (radians) about the centre, mirrored where ``flip`` is -1, shifted by
    ``shift_x``, ``shift_y`` pixels; each (B,).
    """
    centre = (size_px - 1) / 2.0
    cos, sin = ops.cos(angle), ops.sin(angle)
    a0, a1 = cos * flip, -sin
    b0, b1 = sin * flip, cos
    a2 = centre - a0 * centre - a1 * centre + shift_x
    b2 = centre - b0 * centre - b1 * centre + shift_y
    zero = ops.zeros_like(cos)
    return ops.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)


@keras.saving.register_keras_serializable(package="selfml")
class RandomAffine(keras.layers.Layer):
    """Rotates, shifts and mirrors ``fraction`` of the images while training (paper section 3).

    Parameters
    ----------
    rotation_degrees : float
        Largest angle, either way.
    translation_fraction : float
        Largest shift as a fraction of the side, either way.
    flip : bool
        Whether a chosen image is mirrored with probability one half.

    Notes
    -----
    In float32 under any policy: bfloat16 has too few digits to mix pixels of 0..255.
    """

    def __init__(
        self,
        fraction=1 / 3,
        rotation_degrees=10.0,
        translation_fraction=0.08,
        flip=True,
        seed=0,
        **kwargs,
    ):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.fraction = fraction
        self.rotation_degrees = rotation_degrees
        self.translation_fraction = translation_fraction
        self.flip = flip
        self.seed = seed
        self.generator = keras.random.SeedGenerator(seed)

    def call(self, images, training=False):
        if not training or self.fraction == 0:
            return images
        count = ops.shape(images)[0]

        def draw(low, high):
            return keras.random.uniform((count,), low, high, seed=self.generator, dtype="float32")

        chosen = ops.cast(draw(0.0, 1.0) < self.fraction, "float32")
        angle = chosen * draw(-1.0, 1.0) * math.radians(self.rotation_degrees)
        reach = self.translation_fraction * images.shape[1]
        shift_x, shift_y = (chosen * draw(-1.0, 1.0) * reach for _ in range(2))
        mirrored = ops.cast(draw(0.0, 1.0) < 0.5, "float32") * chosen * float(self.flip)
        rows = affine_rows(angle, 1.0 - 2.0 * mirrored, shift_x, shift_y, images.shape[1])
        return ops.image.affine_transform(
            images, rows, interpolation="bilinear", fill_mode="nearest"
        )

    def get_config(self):
        names = ("fraction", "rotation_degrees", "translation_fraction", "flip", "seed")
        config = super().get_config()
        config.pop("dtype")
        return {**config, **{name: getattr(self, name) for name in names}}


def augmentation(config: AugmentConfig, seed: int, *, everything: bool = False) -> RandomAffine:
    """The layer of a configuration; ``everything`` transforms all images, not a share."""
    return RandomAffine(
        fraction=1.0 if everything else config.fraction,
        rotation_degrees=config.rotation_degrees,
        translation_fraction=config.translation_fraction,
        flip=config.flip,
        seed=int(np.uint32(seed)),
    )
