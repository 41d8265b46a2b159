"""The attribute classifier takes images or maps, and standardises the maps."""

from __future__ import annotations

import keras
import numpy as np

from selfml.nn.classifier import AttributeClassifier, MapScaling
from selfml.nn.model import SelfML
from tests.nn.backend import numbers, weight_gradients
from tests.nn.model_parts import L, configured, explainer_of, joint_inputs


def test_classifier_takes_images_or_maps():
    config = configured()
    images = keras.Input((8, 8, 3))
    backbone = keras.Model(images, keras.layers.Conv2D(5, 3, strides=4)(images))
    model = AttributeClassifier(L, config, backbone=backbone, scaling="tf")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    logits = numbers(model(pixels))
    maps = backbone(pixels.astype(np.float32) / 127.5 - 1)
    np.testing.assert_allclose(logits, numbers(model(maps)), atol=1e-5)
    features = numbers(model.features(maps))
    assert features.shape == (3, 4)
    assert (features >= 0).all()
    kernel, bias = (numbers(v) for v in model.dense.weights)
    np.testing.assert_allclose(logits, features @ kernel + bias, atol=1e-5)


def test_a_frozen_backbone_stays_as_it_is():
    """Also its batch statistics: inference mode while the head is fine-tuned."""
    config = configured()
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(5, 3, strides=4)(images)
    backbone = keras.Model(images, keras.layers.BatchNormalization()(x))
    model = AttributeClassifier(L, config, backbone=backbone)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    labels = np.ones((6, L), np.float32)
    backbone.trainable = False
    slopes = weight_gradients(model, pixels, labels)
    moved_names = {k for k, v in slopes.items() if (v != 0).any()}
    own = {v.path for v in backbone.weights}
    assert not moved_names & own
    assert moved_names
    backbone.trainable = True
    slopes = weight_gradients(model, pixels, labels)
    assert {k for k, v in slopes.items() if (v != 0).any()} & own


def test_maps_pass_unchanged_until_their_scale_is_known():
    maps = np.random.default_rng(0).normal(3.0, 50.0, (6, 2, 2, 4)).astype(np.float32)
    scaling = MapScaling()
    np.testing.assert_array_equal(numbers(scaling(maps)), maps)


def test_standardised_maps_have_mean_0_and_variance_1_and_dead_channels_are_0():
    rng = np.random.default_rng(0)
    maps = rng.normal([5.0, -2.0, 0.0], [0.01, 10.0, 1.0], (500, 2, 2, 3)).astype(np.float16)
    maps[..., 2] = 7.0
    scaling = MapScaling()
    scaling.adapt(maps)
    found = numbers(scaling(maps)).astype(np.float64)
    np.testing.assert_allclose(found.mean((0, 1, 2)), 0.0, atol=1e-3)
    np.testing.assert_allclose(found.std((0, 1, 2)), [1.0, 1.0, 0.0], atol=0.02)
    far = numbers(scaling(np.full((1, 2, 2, 3), 1e4, np.float32)))
    assert far.max() == 8.0


def test_for_inference_it_says_the_same_without_normalising_layers():
    rng = np.random.default_rng(0)
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(5, 3, strides=4)(images)
    backbone = keras.Model(images, keras.layers.BatchNormalization()(x))
    model = AttributeClassifier(
        L, configured(), categories=("a", "b"), backbone=backbone, scaling="caffe"
    )
    model.build((None, 8, 8, 3))
    for variable in model.weights:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    copy = model.for_inference()
    assert len(copy.backbone.weights) == 2
    pixels = rng.integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    given = {"inputs": pixels, "place": np.arange(6) % 3}
    np.testing.assert_allclose(numbers(copy(given)), numbers(model(given)), rtol=1e-4)
    model.dense.kernel.assign(0 * model.dense.kernel)
    assert np.abs(numbers(copy(given)) - numbers(model(given))).min() > 0.1  # weights of its own


def filed_classifier(**rows) -> AttributeClassifier:
    """Sees two categories, whose log-odds differ; any other has none."""
    model = AttributeClassifier(L, configured(), categories=("a", "b"))
    model.build((None, 2, 2, 5))
    model.filed.rows.assign(np.arange(2 * L).reshape(2, L) / model.filed.gain)
    return model


def test_a_category_adds_its_own_log_odds_and_any_other_none():
    model, alone = filed_classifier(), AttributeClassifier(L, configured())
    maps = np.random.default_rng(0).random((4, 2, 2, 5)).astype(np.float32)
    logits = numbers(model({"inputs": maps, "place": np.array([0, 1, 2, 1], np.int32)}))
    alone.build(maps.shape)
    alone.set_weights(model.get_weights()[: len(alone.weights)])
    added = logits - numbers(alone(maps))
    expected = [np.zeros(L), np.arange(L), np.arange(L) + L, np.arange(L)]
    np.testing.assert_allclose(added, expected, atol=1e-5)


def test_a_category_learns_from_its_own_images_alone():
    model = filed_classifier()
    maps = np.random.default_rng(0).random((3, 2, 2, 5)).astype(np.float32)
    inputs = {"inputs": maps, "place": np.array([0, 2, 2], np.int32)}
    slopes = weight_gradients(model, inputs, np.ones((3, L), np.float32))
    (found,) = (v for k, v in slopes.items() if "category" in k)
    np.testing.assert_array_equal(found[0], 0.0)
    assert (found[1] < 0).all()


def test_joint_training_shows_the_classifier_the_category():
    config = configured()
    classifier = AttributeClassifier(L, config, categories=("a", "b"))
    model = SelfML(classifier, explainer_of(config))
    inputs = joint_inputs()
    filed = {**inputs, "place": (np.arange(len(inputs["image"])) % 3).astype(np.int32)}
    model({**inputs, "place": np.zeros(len(inputs["image"]), np.int32)})
    classifier.filed.rows.assign(np.ones((2, L)))
    found = numbers(model(filed)["class_logits"])
    other = numbers(classifier({"inputs": inputs["inputs"], "place": filed["place"]}))
    np.testing.assert_allclose(found, other, atol=1e-6)
    plain = numbers(classifier({"inputs": inputs["inputs"], "place": 0 * filed["place"]}))
    added = classifier.filed.gain * (filed["place"] > 0)[:, None] * np.ones((1, L))
    np.testing.assert_allclose(found - plain, added, atol=1e-4)
