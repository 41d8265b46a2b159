"""Convolutional backbones by name, their input scaling and their weights."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from selfml.config import BackboneConfig
from selfml.nn.devices import replicas

# How each family of keras.applications wants 0..255 RGB (keras.src.applications.imagenet_utils).
SCALINGS = {
    "caffe": ("VGG16", "VGG19", "ResNet50", "ResNet101", "ResNet152"),
    "torch": ("DenseNet121", "DenseNet169", "DenseNet201"),
    "tf": (
        *("MobileNet", "MobileNetV2", "Xception", "InceptionV3", "InceptionResNetV2"),
        *("NASNetMobile", "NASNetLarge", "ResNet50V2", "ResNet101V2", "ResNet152V2"),
    ),
}

# Deviation of what comes out of each, for usual photographs.
INPUT_DEVIATION = {"caffe": 64.0, "tf": 0.5}
NORMALISING = (layers.BatchNormalization, layers.LayerNormalization, layers.GroupNormalization)


class BackboneError(ValueError):
    """A backbone, layer or weight file that does not exist or fit (one line)."""


@keras.saving.register_keras_serializable(package="selfml")
class InputScaling(layers.Layer):
    """From 0..255 RGB to what a backbone was trained with: tf, caffe, torch or none.

    In float32 under any policy; the backbone casts to its own.
    """

    def __init__(self, mode: str = "tf", **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.mode = mode

    def call(self, images):
        x = ops.cast(images, "float32")
        if self.mode == "tf":
            return x / 127.5 - 1.0
        if self.mode == "caffe":
            mean = np.array([103.939, 116.779, 123.68], np.float32)
            return ops.flip(x, axis=-1) - ops.cast(mean, x.dtype)
        if self.mode == "torch":
            mean = ops.cast(np.array([0.485, 0.456, 0.406], np.float32), x.dtype)
            deviation = ops.cast(np.array([0.229, 0.224, 0.225], np.float32), x.dtype)
            return (x / 255.0 - mean) / deviation
        return x

    def get_config(self):
        config = super().get_config()
        config.pop("dtype")
        return {**config, "mode": self.mode}


def scaling_of(name: str) -> str:
    """Input scaling of a backbone by name; ``none`` where the model scales by itself."""
    if name == "small":
        return "tf"
    return next((mode for mode, names in SCALINGS.items() if name in names), "none")


def small_backbone(size_px: int) -> keras.Model:
    """Four strided convolutions and two residual ones between, for small pictures on two cores.

    Each with batch normalisation. At equal time on drawn garments, the residual ones at an eighth
    of the size gave better features than wider strided ones (our choice).
    """
    images = keras.Input((size_px, size_px, 3))

    def convolution(x, width, strides):
        x = layers.Conv2D(width, 3, strides=strides, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.95, synchronized=replicas() > 1)(x)
        return layers.ReLU()(x)

    x = images
    for width in (24, 48, 96):
        x = convolution(x, width, 2)
    for _ in range(2):
        x = layers.Add()([x, convolution(x, 96, 1)])
    return keras.Model(images, convolution(x, 192, 2), name="small")


def build_backbone(
    config: BackboneConfig, size_px: int, *, load_weights=True, seed: int = 0
) -> keras.Model:
    """The model from scaled images (B, S, S, 3) to maps (B, h, w, channels).

    Parameters
    ----------
    load_weights : bool
        False builds it with random weights, for a checkpoint to be loaded into.
    seed : int
        Of random weights (:func:`start_afresh`).

    Raises
    ------
    BackboneError
        When the name, the layer or the weights are not to be had; the message says what to do.
    """
    if config.name == "small":
        if config.weights == "imagenet":
            raise BackboneError(
                "backbone.weights: the backbone 'small' has no ImageNet weights; "
                "set backbone.weights=none or choose one of keras.applications"
            )
        return small_backbone(size_px)
    build = getattr(keras.applications, config.name, None)
    if build is None or not callable(build):
        raise BackboneError(
            f"backbone.name: no {config.name!r} in keras.applications; "
            "e.g. VGG16, MobileNet, ResNet50 (letters as there), or 'small'"
        )
    shape = (size_px, size_px, 3)
    weights_file = find_weights(config) if load_weights else None
    fetch = load_weights and weights_file is None and config.weights == "imagenet"
    try:
        whole = build(include_top=False, weights="imagenet" if fetch else None, input_shape=shape)
    except Exception as error:  # keras raises bare Exception when a download fails
        if isinstance(error, ValueError):  # such as "Input size must be at least 75x75"
            reason = str(error).splitlines()[0][:160]
            raise BackboneError(
                f"backbone.name: {config.name} cannot be built for data.size_px={size_px} "
                f"({reason}); choose another size or backbone"
            ) from error
        raise BackboneError(_no_weights(config, error)) from error
    output = whole.output
    if config.output_layer:
        output = _layer(whole, config.output_layer, "backbone.output_layer").output
    model = keras.Model(whole.input, output, name=config.name)
    if weights_file is not None:
        _load(model, weights_file)
    elif not fetch:
        start_afresh(model, seed, INPUT_DEVIATION.get(scaling_of(config.name), 1.0))
    return _joined(model, config)


def start_afresh(model: keras.Model, seed: int, input_deviation: float = 1.0) -> None:
    """Random kernels that keep the signal's size, for a network that normalises nowhere.

    He et al. 2015: variance 2 / fan-in before a ReLU, and over the input's deviation in the first
    layer. With Keras' own start (Glorot) a signal loses half its variance in each layer: after
    the thirteen of VGG-16 nothing is left to learn from. A network with normalisation layers is
    left as it is.
    """
    if any(isinstance(layer, NORMALISING) for layer in model.layers):
        return
    scale = 1.0 / input_deviation
    for number, layer in enumerate(model.layers):
        if isinstance(layer, layers.Conv2D):
            # of its own seed: what is drawn later is the same where a checkpoint replaces this
            draw = keras.initializers.HeNormal(seed + number)
            layer.kernel.assign(scale * draw(layer.kernel.shape))
            scale = 1.0


def _layer(model: keras.Model, name: str, setting: str) -> layers.Layer:
    try:
        return model.get_layer(name)
    except ValueError as error:
        names = [layer.name for layer in model.layers][-8:]
        raise BackboneError(
            f"{setting}: {model.name} has no layer {name!r}; its last layers are {', '.join(names)}"
        ) from error


def _joined(model: keras.Model, config: BackboneConfig) -> keras.Model:
    """The maps of ``map_layers`` side by side on the grid of the smallest of all layers."""
    names = [name.strip() for name in config.map_layers.split(",") if name.strip()]
    if not names:
        return model
    found = [_layer(model, name, "backbone.map_layers").output for name in names]
    if any(len(maps.shape) != 4 for maps in found):
        raise BackboneError("backbone.map_layers: names a layer that gives no maps")
    side = min(maps.shape[1] for maps in (*found, model.output))
    parts = [_averaged(maps, side) for maps in found]
    joined = parts[0] if len(parts) == 1 else layers.Concatenate(name="maps")(parts)
    return keras.Model(model.input, joined, name=model.name)


def _averaged(maps, side: int):
    """Maps (B, h, h, channels) averaged to (B, side, side, channels)."""
    factor = -(-maps.shape[1] // side)
    if factor == 1:
        return maps
    if maps.shape[1] == side * factor:
        return layers.AveragePooling2D(factor)(maps)
    return layers.AdaptiveAveragePooling2D(side)(maps)


def find_weights(config: BackboneConfig) -> Path | None:
    """The weight file to load, if one is named or lies in SELFML_WEIGHTS_DIR.

    There ``mobilenet_conv_pw_12.weights.h5`` serves MobileNet up to layer ``conv_pw_12`` or
    ``conv_pw_12_relu``, and ``vgg16.weights.h5`` the whole of VGG16.
    """
    if config.weights == "none":
        return None
    if config.weights != "imagenet":
        path = Path(config.weights)
        if not path.is_file():
            raise BackboneError(
                f"backbone.weights: no file {config.weights}; "
                "name a .weights.h5 file, 'imagenet' or 'none'"
            )
        return path
    folder = os.environ.get("SELFML_WEIGHTS_DIR")
    if not folder:
        return None
    files = [Path(folder) / name for name in _weight_files(config)]
    return next((file for file in files if file.is_file()), None)


def _weight_files(config: BackboneConfig) -> list[str]:
    """The names under which weights are looked for, the last the one to recommend."""
    layer, stem = config.output_layer, config.name.lower()
    names = [f"{stem}_{layer}", f"{stem}_{layer.removesuffix('_relu')}"] if layer else [stem]
    return [f"{name}.weights.h5" for name in names]


def _load(model: keras.Model, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # layers left as they were made
            model.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        reason = str(error).splitlines()[0][:160]
        raise BackboneError(
            f"backbone.weights: {path} does not fit {model.name} "
            f"up to layer {model.layers[-1].name} ({reason})"
        ) from error


def _no_weights(config: BackboneConfig, error: Exception) -> str:
    reason = (str(error).splitlines()[0] if str(error) else type(error).__name__)[:300]
    folder = os.environ.get("SELFML_WEIGHTS_DIR")
    place = f"{folder} (SELFML_WEIGHTS_DIR)" if folder else "a folder that SELFML_WEIGHTS_DIR names"
    return (
        f"backbone.weights: no ImageNet weights for {config.name}, they could not be fetched or "
        f"read ({reason}); put {_weight_files(config)[-1]} in {place}, or train from scratch with "
        "--set backbone.weights=none"
    )
