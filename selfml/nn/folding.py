"""A convolutional network for inference alone: normalisation folded into the convolutions.

At inference batch normalisation is a factor and an offset a channel, and a convolution before it
can carry both (Jacob et al., CVPR 2018, section 3.2). Keras leaves them apart, and TensorFlow then
goes over each map once more, which on a processor costs a sixth of a small network's time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
from keras import layers

CONVOLUTIONS = ("Conv2D", "DepthwiseConv2D")


def fold_normalisation(model: keras.Model) -> keras.Model:
    """The same function, batch normalisation part of the convolution before it where it can be.

    Parameters
    ----------
    model : keras.Model
        Left as it is. One that is not functional, or computes in less than float32 (where folded
        kernels would be rounded otherwise than in training), is returned itself.

    Returns
    -------
    keras.Model
        With weights of its own, for inference only; outputs differ by float32 rounding.

    Notes
    -----
    A normalisation stays where what it follows is no convolution, has an activation, or is read
    by something else as well.
    """
    config = model.get_config()
    if "input_layers" not in config or model.compute_dtype != "float32":
        return model
    pairs = dict(_pairs(config))
    norms = set(pairs.values())
    for layer in config["layers"]:
        if layer["name"] in pairs:
            layer["config"]["use_bias"] = True
        elif layer["name"] in norms:
            layer |= {"class_name": "Identity", "config": {"name": layer["name"]}}
            for node in layer["inbound_nodes"]:
                node["kwargs"] = {}  # such as a mask, which Identity does not take
    folded = type(model).from_config(config)
    for layer in model.layers:
        if layer.name in pairs:
            folded.get_layer(layer.name).set_weights(_joined(model, layer, pairs[layer.name]))
        elif layer.name not in norms:
            folded.get_layer(layer.name).set_weights(layer.get_weights())
    return folded


def _pairs(config: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Names of convolutions, each with that of the normalisation that alone reads it."""
    layers_of = {layer["name"]: layer for layer in config["layers"]}
    reads = {name: list(_read(layer["inbound_nodes"])) for name, layer in layers_of.items()}
    times_read = Counter(name for names in reads.values() for name in names)
    times_read.update(name for name in _flat(config["output_layers"]) if name in layers_of)
    for name, layer in layers_of.items():
        if layer["class_name"] != "BatchNormalization" or len(reads[name]) != 1:
            continue
        source = layers_of[reads[name][0]]
        if (
            source["class_name"] in CONVOLUTIONS
            and source["config"]["activation"] == "linear"
            and len(source["inbound_nodes"]) == times_read[source["name"]] == 1
            and _channels_last(layer["config"]["axis"], source["config"]["data_format"])
        ):
            yield source["name"], name


def _read(value: Any) -> Iterator[str]:
    """Names of the layers whose tensors occur anywhere in arguments of calls."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            yield value["config"]["keras_history"][0]
        else:
            yield from _read(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _read(item)


def _flat(value: Any) -> Iterator[str]:
    """Every text within nested lists or dictionaries, such as the names of outputs."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _flat(list(value.values()))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _flat(item)


def _channels_last(axis: Any, data_format: str) -> bool:
    axes = list(axis) if isinstance(axis, (list, tuple)) else [axis]
    return data_format == "channels_last" and axes in ([-1], [3])


def _joined(model: keras.Model, conv: layers.Layer, norm_name: str) -> list[np.ndarray]:
    """Kernel and bias of a convolution followed by the normalisation."""
    norm = model.get_layer(norm_name)
    mean, variance = (_float64(v) for v in (norm.moving_mean, norm.moving_variance))
    factor = 1.0 / np.sqrt(variance + norm.epsilon)
    if norm.gamma is not None:
        factor = factor * _float64(norm.gamma)
    kernel = _float64(conv.kernel)  # (h, w, in, out); depthwise (h, w, in, of each)
    shape = kernel.shape[2:] if isinstance(conv, layers.DepthwiseConv2D) else kernel.shape[3:]
    bias = _float64(conv.bias) if conv.use_bias else 0.0
    bias = (bias - mean) * factor
    if norm.beta is not None:
        bias = bias + _float64(norm.beta)
    return [(kernel * factor.reshape(shape)).astype(np.float32), bias.astype(np.float32)]


def _float64(variable: keras.Variable) -> np.ndarray:
    return keras.ops.convert_to_numpy(variable).astype(np.float64)
