"""Normalisation folded into convolutions: the same function, and only where it is the same."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from selfml.nn.backbones import small_backbone
from selfml.nn.folding import fold_normalisation

NORM = layers.BatchNormalization


def randomised(model: keras.Model, seed: int = 0) -> keras.Model:
    """Every statistic, factor and bias away from where it starts."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, NORM):
            layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign(rng.normal(size=layer.bias.shape))
    return model


def norms(model: keras.Model) -> int:
    return sum(isinstance(layer, NORM) for layer in model.layers)


def images(model: keras.Model) -> np.ndarray:
    return np.random.default_rng(1).uniform(-1, 1, (4, *model.input_shape[1:])).astype(np.float32)


def outputs(model: keras.Model) -> list[np.ndarray]:
    found = model.predict(images(model), verbose=0)
    return found if isinstance(found, list) else [found]


def assert_same(folded: keras.Model, model: keras.Model) -> None:
    for ours, theirs in zip(outputs(folded), outputs(model), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-5 * np.abs(theirs).max())


def mobilenet() -> keras.Model:
    return keras.applications.MobileNet(
        include_top=False, weights=None, input_shape=(32, 32, 3), alpha=0.25
    )


@pytest.mark.parametrize(("build", "n"), [(lambda: small_backbone(32), 6), (mobilenet, 27)])
def test_every_normalisation_goes_and_nothing_changes(build, n):
    model = randomised(build())
    before = outputs(model)
    folded = fold_normalisation(model)
    assert (norms(model), norms(folded)) == (n, 0)
    assert_same(folded, model)
    np.testing.assert_array_equal(outputs(model)[0], before[0])
    assert folded.count_params() < model.count_params()


def of_one_convolution(**norm) -> keras.Model:
    x = keras.Input((8, 8, 3))
    return keras.Model(x, layers.BatchNormalization(**norm)(layers.Conv2D(5, 3)(x)))


@pytest.mark.parametrize("norm", [{"scale": False}, {"center": False}, {"axis": 3}])
def test_bias_of_the_convolution_and_parts_of_the_normalisation(norm):
    model = randomised(of_one_convolution(**norm))
    folded = fold_normalisation(model)
    assert norms(folded) == 0
    assert_same(folded, model)


def activated(x):
    return layers.BatchNormalization()(layers.Conv2D(5, 3, activation="relu")(x))


def read_twice(x):
    maps = layers.Conv2D(5, 3)(x)
    return layers.Add()([maps, layers.BatchNormalization()(maps)])


def is_an_output(x):
    maps = layers.Conv2D(5, 3)(x)
    return [maps, layers.BatchNormalization()(maps)]


def called_twice(x):
    convolution = layers.Conv2D(3, 3, padding="same")
    return layers.BatchNormalization()(convolution(convolution(x)))


def over_rows(x):
    return layers.BatchNormalization(axis=1)(layers.Conv2D(5, 3)(x))


def of_the_batch(x):
    return layers.BatchNormalization()(layers.Conv2D(5, 3)(x), training=True)


def after_none(x):
    return layers.BatchNormalization()(layers.MaxPooling2D()(x))


def shared(x):
    norm = layers.BatchNormalization()
    return layers.Add()([norm(layers.Conv2D(5, 3)(x)), norm(layers.Conv2D(5, 3)(x))])


@pytest.mark.parametrize(
    "head",
    [
        activated,
        read_twice,
        is_an_output,
        called_twice,
        over_rows,
        of_the_batch,
        after_none,
        shared,
    ],
    ids=lambda head: head.__name__,
)
def test_a_normalisation_that_is_no_part_of_one_convolution_stays(head):
    x = keras.Input((8, 8, 3))
    model = randomised(keras.Model(x, head(x)))
    assert fold_normalisation(model) is model


def test_one_that_stays_beside_one_that_goes_and_layers_with_a_state_of_their_own():
    """Normalization keeps what it divides by beside its weights."""
    x = keras.Input((8, 8, 3))
    state = layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[4.0, 9.0, 0.25])
    adapted = layers.Normalization()
    maps = layers.BatchNormalization(name="goes")(layers.Conv2D(5, 3)(adapted(state(x))))
    maps = layers.Dropout(0.5)(layers.BatchNormalization(name="stays")(layers.ReLU()(maps)))
    model = randomised(keras.Model(x, maps))
    adapted.adapt(images(model) * 7 + 3)
    folded = fold_normalisation(model)
    assert [layer.name for layer in folded.layers if isinstance(layer, NORM)] == ["stays"]
    assert_same(folded, model)


def test_what_computes_in_less_than_float32_or_is_no_graph_is_left_alone():
    class Own(keras.Model):
        def call(self, x):
            return x

    own = Own()
    assert fold_normalisation(own) is own
    before = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        half = small_backbone(32)
    finally:
        keras.mixed_precision.set_global_policy(before)
    assert fold_normalisation(half) is half
