"""Backbones by name; a missing file, layer or network is one line that says what to do."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from selfml.config import BackboneConfig, Config, with_settings
from selfml.nn import backbones
from selfml.nn.backbones import (
    BackboneError,
    InputScaling,
    build_backbone,
    find_weights,
    scaling_of,
    start_afresh,
)
from selfml.nn.classifier import AttributeClassifier
from tests.nn.backend import numbers

LAYER = "conv_pw_12_relu"


def stand_in(*, include_top, weights, input_shape):
    """A small network with MobileNet's last layer names; refuses to download."""
    assert not include_top
    if weights == "imagenet":
        raise Exception("URL fetch failure on https://storage.example: None -- offline\nmore")
    if input_shape[0] < 32:
        raise ValueError("Input size must be at least 32x32; Received: input_shape=(16, 16, 3)")
    images = keras.Input(input_shape)
    x = layers.Conv2D(3, 1, strides=2, name="conv_pw_1")(images)
    x = layers.ReLU(name="conv_pw_1_relu")(x)
    x = layers.Conv2D(4, 1, strides=4, name="conv_pw_12")(x)
    x = layers.ReLU(name=LAYER)(x)
    x = layers.Conv2D(5, 1, name="conv_pw_13")(x)
    return keras.Model(images, layers.ReLU(name="conv_pw_13_relu")(x))


@pytest.fixture(autouse=True)
def _offline(monkeypatch):
    monkeypatch.setattr(keras.applications, "MobileNet", stand_in)
    monkeypatch.delenv("SELFML_WEIGHTS_DIR", raising=False)


def config(**changes) -> BackboneConfig:
    return BackboneConfig(**{"name": "MobileNet", "output_layer": LAYER, **changes})


def fails(of: BackboneConfig, size_px: int = 32) -> str:
    with pytest.raises(BackboneError) as caught:
        build_backbone(of, size_px)
    message = str(caught.value)
    assert "\n" not in message
    return message


# --------------------------------------------------------------------------------------- errors
def test_unknown_names():
    for name in ("mobilenet", "MobileNett", "VGG", "imagenet_utils"):
        message = fails(BackboneConfig(name=name))
        assert message.startswith("backbone.name:")
        assert name in message
        assert "VGG16" in message


def test_offline_names_both_ways_out():
    message = fails(config())
    assert "SELFML_WEIGHTS_DIR" in message
    assert "--set backbone.weights=none" in message
    assert "put mobilenet_conv_pw_12.weights.h5 in" in message  # as README names it
    assert "offline" in message


def test_small_has_no_imagenet_weights():
    assert "backbone.weights=none" in fails(BackboneConfig(name="small", weights="imagenet"))


def test_a_size_that_does_not_fit_is_not_called_a_missing_file():
    message = fails(config(weights="none"), size_px=16)
    assert "data.size_px=16" in message
    assert "at least 32x32" in message
    assert "SELFML_WEIGHTS_DIR" not in message


def test_unknown_layer_lists_the_last_ones():
    message = fails(config(weights="none", output_layer="conv_pw_99"))
    assert message.startswith("backbone.output_layer:")
    assert "conv_pw_13_relu" in message


def test_weights_that_are_not_there_or_do_not_fit(tmp_path):
    message = fails(config(weights=str(tmp_path / "none.weights.h5")))
    assert message.startswith("backbone.weights: no file")
    path = tmp_path / "other.weights.h5"
    other = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    other.save_weights(path)
    message = fails(config(weights=str(path)))
    assert str(path) in message
    assert "does not fit MobileNet" in message
    path.write_bytes(b"not an h5 file")
    assert "does not fit MobileNet" in fails(config(weights=str(path)))


# -------------------------------------------------------------------------------------- weights
@pytest.mark.parametrize(
    ("layer", "file"),
    [
        (LAYER, "mobilenet_conv_pw_12.weights.h5"),
        (LAYER, "mobilenet_conv_pw_12_relu.weights.h5"),
        ("conv_pw_12", "mobilenet_conv_pw_12.weights.h5"),
        ("", "mobilenet.weights.h5"),
    ],
)
def test_weights_in_the_folder(layer, file, tmp_path, monkeypatch):
    of = config(output_layer=layer)
    saved = build_backbone(config(output_layer=layer, weights="none"), 32, seed=1)
    saved.save_weights(tmp_path / file)
    monkeypatch.setenv("SELFML_WEIGHTS_DIR", str(tmp_path))
    assert find_weights(of) == tmp_path / file
    loaded = build_backbone(of, 32)
    images = np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    np.testing.assert_array_equal(numbers(loaded(images)), numbers(saved(images)))
    assert find_weights(config(output_layer=layer, weights="none")) is None
    other = build_backbone(of, 32, load_weights=False)
    assert np.abs(numbers(other(images)) - numbers(saved(images))).max() > 1e-3


def test_a_folder_without_the_file_falls_back_to_fetching(tmp_path, monkeypatch):
    monkeypatch.setenv("SELFML_WEIGHTS_DIR", str(tmp_path))
    assert find_weights(config()) is None
    assert "SELFML_WEIGHTS_DIR" in fails(config())


def test_a_named_file_goes_before_the_folder(tmp_path, monkeypatch):
    (tmp_path / "mobilenet_conv_pw_12.weights.h5").touch()
    mine = tmp_path / "mine.weights.h5"
    mine.touch()
    monkeypatch.setenv("SELFML_WEIGHTS_DIR", str(tmp_path))
    assert find_weights(config(weights=str(mine))) == mine


# ----------------------------------------------------------------------------- shapes and scaling
def test_output_layer_cuts_the_model():
    assert build_backbone(config(weights="none"), 32).output_shape == (None, 4, 4, 4)
    whole = build_backbone(config(weights="none", output_layer=""), 32)
    assert whole.output_shape == (None, 4, 4, 5)
    assert whole.name == "MobileNet"


def test_small_backbone():
    model = build_backbone(BackboneConfig(name="small", weights="none"), 64)
    assert model.output_shape == (None, 4, 4, 192)
    assert (numbers(model(np.ones((1, 64, 64, 3), np.float32))) >= 0).all()


def test_every_listed_backbone_exists():
    for names in backbones.SCALINGS.values():
        assert all(callable(getattr(keras.applications, name, None)) for name in names)
    assert scaling_of("VGG16") == "caffe"
    assert scaling_of("MobileNet") == scaling_of("small") == "tf"
    assert scaling_of("EfficientNetB0") == "none"


@pytest.mark.parametrize(
    ("name", "module"),
    [("VGG16", "vgg16"), ("MobileNet", "mobilenet"), ("DenseNet121", "densenet")],
)
def test_scaling_is_that_of_keras(name, module):
    images = np.random.default_rng(1).integers(0, 256, (2, 4, 4, 3)).astype(np.float32)
    expected = getattr(keras.applications, module).preprocess_input(images.copy())
    found = numbers(InputScaling(scaling_of(name))(images.astype(np.uint8)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mode", ["tf", "caffe", "torch", "none"])
def test_scaling_is_float32_also_under_bfloat16(mode, mixed_bfloat16):
    images = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    layer = InputScaling(mode)
    found = layer(images)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    again = InputScaling.from_config(layer.get_config())
    np.testing.assert_array_equal(numbers(again(images)), numbers(found))


def test_maps_of_several_layers_lie_side_by_side_on_the_smallest_grid():
    """The channels of an early layer are its maps averaged over the cells of the late grid."""
    of = config(weights="none", map_layers=f"conv_pw_1_relu, {LAYER}")
    joined = build_backbone(of, 64)
    first = keras.Model(joined.input, joined.get_layer("conv_pw_1_relu").output)
    late = keras.Model(joined.input, joined.get_layer(LAYER).output)
    x = np.random.default_rng(0).random((2, 64, 64, 3)).astype(np.float32)
    early, last, both = (keras.ops.convert_to_numpy(m(x)) for m in (first, late, joined))
    side = last.shape[1]
    factor = early.shape[1] // side
    cells = early.reshape(2, side, factor, side, factor, -1).mean(axis=(2, 4))
    np.testing.assert_allclose(both[..., : early.shape[-1]], cells, atol=1e-5)
    np.testing.assert_allclose(both[..., early.shape[-1] :], last, atol=1e-5)


def test_a_layer_for_maps_that_is_not_there_is_named():
    message = fails(config(weights="none", map_layers="conv_pw_1_relu, conv_pw_99"))
    assert message.startswith("backbone.map_layers:")
    assert "conv_pw_99" in message


# ------------------------------------------------------------------------- without ImageNet weights
def thirteen_convolutions(width=16, size_px=32) -> keras.Model:
    """VGG-16's shape, narrow: no normalisation anywhere."""
    images = x = keras.Input((size_px, size_px, 3))
    for block, count in enumerate((2, 2, 3, 3, 3)):
        for i in range(count):
            x = layers.Conv2D(width, 3, padding="same", activation="relu", name=f"c{block}{i}")(x)
        x = layers.MaxPooling2D(2)(x)
    return keras.Model(images, x)


def photographs(n=8, size_px=32) -> np.ndarray:
    """Smooth colours in 0..255, less the mean as VGG-16 wants them."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (n, 4, 4, 3)).repeat(size_px // 4, 1).repeat(size_px // 4, 2)
    return numbers(InputScaling("caffe")(coarse.astype(np.float32)))


def test_a_network_without_normalisation_keeps_the_signals_size():
    """With Keras' own start nearly nothing is left of it after thirteen layers."""
    model, x = thirteen_convolutions(), photographs()
    lost = numbers(model(x)).std() / x.std()
    start_afresh(model, 3, 64.0)
    first = numbers(model.get_layer("c00")(x)).std()
    last = numbers(model(x)).std()
    assert 0.3 < first < 3
    assert 0.2 < last / first < 10
    assert lost < 0.1
    again = thirteen_convolutions()
    start_afresh(again, 3, 64.0)
    np.testing.assert_array_equal(numbers(again(x)), numbers(model(x)))
    start_afresh(again, 4, 64.0)
    assert np.abs(numbers(again(x)) - numbers(model(x))).max() > 0.01


def test_a_network_with_normalisation_is_left_as_it_is():
    model = backbones.small_backbone(32)
    before = [numbers(w).copy() for w in model.weights]
    start_afresh(model, 3, 64.0)
    for a, b in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(a, numbers(b))


@pytest.mark.slow
def test_it_learns_from_scratch_with_the_head_of_the_paper():
    """Thirteen layers, the paper's head and loss, its learning rate: the loss falls by half."""
    model, images = thirteen_convolutions(), photographs(32)
    labels = (images.mean((1, 2)) > 0).astype(np.float32)
    start_afresh(model, 3, 64.0)
    settings = with_settings(Config(), ["head.d=32"])
    classifier = AttributeClassifier(3, settings, backbone=model, scaling="none")
    classifier.compile(optimizer=keras.optimizers.Adam(1e-3))
    losses = classifier.fit(images, labels, batch_size=16, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0]
