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
        It goes on as it is. One without such a pair, that is not functional, or that does not
        compute in float32 (in less, folded kernels would be rounded otherwise than in training),
        is returned itself.

    Returns
    -------
    keras.Model
        For inference only; outputs differ by float32 rounding. Folded convolutions are its own,
        all other layers are those of ``model``.

    Notes
    -----
    A normalisation stays where what it follows is no convolution, has an activation, or is read
    by something else as well, and where it was told to use the statistics of the batch.
    """
    config = model.get_config()
    if "input_layers" not in config or model.compute_dtype != "float32":
        return model
    pairs = dict(_pairs(config))
    if not pairs:
        return model
    norms = set(pairs.values())

    def copied(layer: layers.Layer) -> layers.Layer:
        if layer.name in norms:
            return layers.Identity(name=layer.name)
        if layer.name in pairs:
            return type(layer).from_config(layer.get_config() | {"use_bias": True})
        return layer

    def called(layer: layers.Layer, *inputs, **options):
        if layer.name in norms:
            return layer(inputs[0])  # Identity takes no mask
        return layer(*inputs, **options)

    folded = keras.models.clone_model(model, clone_function=copied, call_function=called)
    for conv, norm in pairs.items():
        weights = _joined(model.get_layer(conv), model.get_layer(norm))
        folded.get_layer(conv).set_weights(weights)
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
        if layer["inbound_nodes"][0]["kwargs"].get("training"):
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


def _joined(conv: layers.Layer, norm: layers.BatchNormalization) -> list[np.ndarray]:
    """Kernel and bias of a convolution followed by a normalisation."""
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
