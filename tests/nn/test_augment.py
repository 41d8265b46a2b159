"""Augmentation: leaves alone what it should, moves a share, mirrors to the pixel."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from selfml.config import AugmentConfig
from selfml.nn.augment import RandomAffine, affine_rows, augmentation
from tests.nn.backend import numbers, tensor

RNG = np.random.default_rng(8)
IMAGES = RNG.integers(0, 256, size=(60, 12, 12, 3)).astype(np.float32)
STILL = {"rotation_degrees": 0.0, "translation_fraction": 0.0}


def transformed(images, angle=0.0, flip=1.0, shift_x=0.0, shift_y=0.0):
    row = [tensor(np.full(len(images), v)) for v in (angle, flip, shift_x, shift_y)]
    rows = affine_rows(*row, images.shape[1])
    return numbers(ops.image.affine_transform(images, rows, fill_mode="nearest"))


def changed(before, after) -> np.ndarray:
    return np.abs(after - before).reshape(len(before), -1).max(1) > 0


@pytest.mark.parametrize("size_px", [12, 13])
def test_worked_transforms(size_px):
    images = IMAGES[:3, :size_px, :size_px]
    images = np.pad(images, [(0, 0), (0, size_px - 12), (0, size_px - 12), (0, 0)], "reflect")
    np.testing.assert_array_equal(transformed(images), images)
    np.testing.assert_array_equal(transformed(images, flip=-1.0), images[:, :, ::-1])
    quarter = transformed(images, angle=np.pi / 2)
    assert any(np.abs(quarter - np.rot90(images, k, (1, 2))).max() < 0.05 for k in (1, 3))
    right = transformed(images, shift_x=2.0)
    np.testing.assert_allclose(right[:, :, :-2], images[:, :, 2:], atol=1e-3)
    np.testing.assert_allclose(right[:, :, -1], images[:, :, -1], atol=1e-3)  # nearest edge
    down = transformed(images, shift_y=1.0)
    np.testing.assert_allclose(down[:, :-1], images[:, 1:], atol=1e-3)


def test_not_while_predicting():
    layer = RandomAffine(fraction=1.0)
    for images in (IMAGES, IMAGES.astype(np.uint8)):
        np.testing.assert_array_equal(numbers(layer(images, training=False)), images)
    np.testing.assert_array_equal(numbers(layer(IMAGES)), IMAGES)
    none = RandomAffine(fraction=0.0)
    np.testing.assert_array_equal(numbers(none(IMAGES, training=True)), IMAGES)


@pytest.mark.parametrize("fraction", [1 / 3, 1.0])
def test_moves_a_fraction_and_keeps_the_others_to_the_pixel(fraction):
    layer = RandomAffine(fraction=fraction, seed=4)
    hits = np.concatenate([changed(IMAGES, numbers(layer(IMAGES, training=True))) for _ in "abcd"])
    share = hits.mean()
    assert abs(share - fraction) < 3.5 * np.sqrt(fraction * (1 - fraction) / len(hits)) + 1e-9


def test_mirrors_half_of_the_chosen_and_exactly():
    layer = RandomAffine(fraction=1.0, seed=1, **STILL)
    found = np.concatenate([numbers(layer(IMAGES, training=True)) for _ in range(3)])
    images = np.tile(IMAGES, (3, 1, 1, 1))
    mirrored = changed(images, found)
    np.testing.assert_array_equal(found[mirrored], images[mirrored][:, :, ::-1])
    assert 0.35 < mirrored.mean() < 0.65
    without = RandomAffine(fraction=1.0, flip=False, **STILL)
    np.testing.assert_array_equal(numbers(without(IMAGES, training=True)), IMAGES)


def test_stays_within_its_limits():
    """One bright pixel in the middle moves by no more than the shift and the rotation allow."""
    spot = np.zeros((200, 33, 33, 3), np.float32)
    spot[:, 16, 16] = 255
    layer = RandomAffine(fraction=1.0, rotation_degrees=10, translation_fraction=0.1, seed=2)
    found = numbers(layer(spot, training=True))[..., 0]
    total = found.sum((1, 2))
    axis = np.arange(33)
    x = (found.sum(1) * axis).sum(1) / total - 16
    y = (found.sum(2) * axis).sum(1) / total - 16
    # shifts up to 3.3 px along each axis, then turned by up to 10 degrees
    assert np.hypot(x, y).max() <= np.hypot(3.3, 3.3) + 0.1
    assert np.abs(x).max() > 2
    assert np.abs(y).max() > 2
    assert abs(x.mean()) < 0.5
    assert found.min() >= 0
    assert found.max() <= 255


def test_same_seed_same_images():
    first, second = (RandomAffine(fraction=1.0, seed=3) for _ in range(2))
    one = numbers(first(IMAGES, training=True))
    np.testing.assert_array_equal(one, numbers(second(IMAGES, training=True)))
    assert changed(one, numbers(first(IMAGES, training=True))).all()  # the next draw is another
    other = RandomAffine(fraction=1.0, seed=4)
    assert changed(one, numbers(other(IMAGES, training=True))).all()


def test_full_precision_under_bfloat16(mixed_bfloat16):
    layer = RandomAffine(fraction=1.0, seed=3)
    found = layer(IMAGES, training=True)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    keras.mixed_precision.set_global_policy("float32")
    plain = RandomAffine(fraction=1.0, seed=3)
    np.testing.assert_array_equal(numbers(found), numbers(plain(IMAGES, training=True)))


def test_configuration():
    layer = augmentation(AugmentConfig(fraction=0.5, rotation_degrees=3.0, flip=False), 7)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    assert (again.fraction, again.rotation_degrees, again.flip, again.seed) == (0.5, 3.0, False, 7)
    assert augmentation(AugmentConfig(fraction=0.5), 7, everything=True).fraction == 1.0
