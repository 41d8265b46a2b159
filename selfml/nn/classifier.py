"""The attribute classifier: maps of a backbone, a head, and what a category adds.

Axes: B images a batch, L attributes, d features. Only ``keras.ops``, so that TensorFlow, JAX and
torch run the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
from keras import layers, ops

from selfml.config import Config
from selfml.nn.augment import RandomAffine, augmentation
from selfml.nn.backbones import InputScaling, build_backbone, scaling_of
from selfml.nn.devices import part_of_loss
from selfml.nn.folding import fold_normalisation
from selfml.nn.losses import focal_loss

LARGEST_MAP = 8.0


@keras.saving.register_keras_serializable(package="selfml")
class MapScaling(layers.Layer):
    """Maps (B, h, w, channels) less a mean, over a deviation, channel by channel.

    Neither is trained; they are 0 and 1 until :meth:`adapt`. Channels of early layers would else
    weigh nothing beside those of late ones (our choice).
    """

    def build(self, input_shape):
        """Make the mean and the scale of each channel."""
        shape = (input_shape[-1],)
        self.mean = self.add_weight(
            name="mean", shape=shape, initializer="zeros", trainable=False, dtype="float32"
        )
        self.scale = self.add_weight(
            name="scale", shape=shape, initializer="ones", trainable=False, dtype="float32"
        )
        self.adapted = self.add_weight(
            name="adapted", shape=(), initializer="zeros", trainable=False, dtype="float32"
        )
        self.built = True

    def adapt(self, maps) -> None:
        """Take mean and deviation from maps (N, h, w, channels); a dead channel becomes 0."""
        found = np.asarray(maps, np.float64)
        if not self.built:
            self.build(found.shape)
        mean, deviation = found.mean(axis=(0, 1, 2)), found.std(axis=(0, 1, 2))
        alive = deviation > 1e-3 * deviation.max()
        self.mean.assign(mean.astype(np.float32))
        self.scale.assign(np.where(alive, 1.0 / np.where(alive, deviation, 1.0), 0.0))
        self.adapted.assign(1.0)

    def call(self, maps):
        x = (ops.cast(maps, "float32") - self.mean) * self.scale
        limit = ops.where(self.adapted > 0, LARGEST_MAP, np.float32(np.inf))
        return ops.cast(ops.clip(x, -limit, limit), self.compute_dtype)


@keras.saving.register_keras_serializable(package="selfml")
class OfCategory(layers.Layer):
    """Log-odds (B, L) that an image's category adds: one row a category, zeros for any other.

    Call with places (B,) int: 0 for any other category, else 1 + its row.

    Parameters
    ----------
    gain : float
        Times the stored weights: Adam moves each by about its learning rate a step, and a
        category seldom seen has few of these (chosen on validation photographs among 1, 3, 10,
        30 and 100; the classifiers without it gained most by 30).
    """

    def __init__(self, n_categories, n_attributes, *, gain=30.0, **kwargs):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.n_categories, self.n_attributes, self.gain = n_categories, n_attributes, gain

    def build(self, input_shape=None):
        """Make the rows, all zero."""
        shape = (self.n_categories, self.n_attributes)
        self.rows = self.add_weight(name="rows", shape=shape, initializer="zeros")
        self.built = True

    def call(self, place):
        filed = ops.equal(place[:, None], ops.arange(1, self.n_categories + 1)[None, :])
        return ops.matmul(ops.cast(filed, "float32"), self.gain * self.rows)

    def get_config(self):
        config = super().get_config()
        config.pop("dtype")
        names = ("n_categories", "n_attributes", "gain")
        return {**config, **{name: getattr(self, name) for name in names}}


class AttributeClassifier(keras.Model):
    """Backbone, then Conv2D(d, relu), global average pooling and Dense(L) (paper section 2).

    Takes images (B, S, S, 3) of 0..255, or the backbone's maps (B, h, w, channels): what has
    three channels is an image. With ``categories`` it takes a dict of these, ``inputs``, and of
    ``place`` (B,) int, 1 + the place of an image's category among them or 0, for which nothing is
    added to the logits (our choice: what an image is filed under). Returns logits (B, L).

    Parameters
    ----------
    categories : sequence of str
        Names of G categories; none where the image alone is seen.
    backbone : keras.Model or None
        None when only maps will be given.
    augment : RandomAffine or None
        Applied to images while training.
    """

    def __init__(
        self,
        n_attributes,
        config: Config,
        *,
        categories=(),
        backbone=None,
        augment=None,
        scaling="tf",
    ):
        super().__init__(name="classifier")
        self.settings = config
        self.categories = tuple(str(name) for name in categories)
        self.augment: RandomAffine | None = augment
        self.scale = InputScaling(scaling)
        self.backbone = backbone
        head = config.head
        self.conv = layers.Conv2D(head.d, head.kernel, padding="same", activation="relu")
        self.pool = layers.GlobalAveragePooling2D()
        self.norm = MapScaling(dtype=self.conv.dtype_policy)
        self.drop = layers.Dropout(head.dropout)
        self.dense = layers.Dense(n_attributes, dtype="float32")
        self.filed = None
        if self.categories:
            self.filed = OfCategory(len(self.categories), n_attributes, name="category")
        self.loss_function: Callable | None = None

    def build(self, input_shape):
        """Make the head's weights for images or for maps of this shape."""
        maps = input_shape["inputs"] if isinstance(input_shape, dict) else input_shape
        if self.backbone is not None and maps[-1] == 3:
            maps = self.backbone.compute_output_shape(tuple(maps))
        if not self.norm.built:
            self.norm.build(tuple(maps))
        self.conv.build(tuple(maps))
        self.dense.build((None, self.conv.filters))
        if self.filed is not None:
            self.filed.build()
        self.built = True

    def maps(self, images, training=False):
        """The backbone's maps of images; a frozen backbone runs in inference mode."""
        if self.augment is not None:
            images = self.augment(ops.cast(images, "float32"), training=training)
        return self.backbone(
            self.scale(images), training=bool(training and self.backbone.trainable)
        )

    def features(self, maps):
        """x (B, d) of maps."""
        return self.pool(self.conv(self.norm(maps)))

    def call(self, inputs, training=False):
        place = None
        if isinstance(inputs, dict):
            inputs, place = inputs["inputs"], inputs.get("place")
        is_image = inputs.shape[-1] == 3
        maps = self.maps(inputs, training=training) if is_image else inputs
        logits = self.dense(self.drop(self.features(maps), training=training))
        return logits if self.filed is None else logits + self.filed(place)

    def for_inference(self) -> AttributeClassifier:
        """One that says the same of images, sooner, and is not to be trained.

        Its head is a copy; of the backbone see :func:`selfml.nn.folding.fold_normalisation`.
        """
        backbone = fold_normalisation(self.backbone)
        copy = AttributeClassifier(
            self.dense.units,
            self.settings,
            categories=self.categories,
            backbone=backbone,
            scaling=self.scale.mode,
        )
        copy.build(backbone.input_shape)
        for name in ("norm", "conv", "dense", "filed"):
            if (layer := getattr(self, name)) is not None:
                getattr(copy, name).set_weights(layer.get_weights())
        return copy

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Focal loss over the known labels, unless ``loss_function`` is set."""
        if self.loss_function is not None:
            return part_of_loss(self.loss_function(y, y_pred, self.optimizer.iterations))
        train = self.settings.train
        return part_of_loss(focal_loss(y, y_pred, gamma=train.gamma, alpha=train.alpha))


def build_classifier(
    n_attributes: int, config: Config, *, categories: Sequence[str] = (), load_weights: bool = True
) -> AttributeClassifier:
    """The classifier of a configuration, over its backbone.

    Parameters
    ----------
    load_weights : bool
        False builds the backbone with random weights, for a checkpoint to be loaded into.

    Raises
    ------
    BackboneError
        When the backbone or its weights are not to be had.
    """
    backbone = build_backbone(
        config.backbone, config.data.size_px, load_weights=load_weights, seed=config.seed
    )
    backbone.trainable = config.backbone.trainable
    return AttributeClassifier(
        n_attributes,
        config,
        categories=categories,
        backbone=backbone,
        augment=augmentation(config.augment, config.seed),
        scaling=scaling_of(config.backbone.name),
    )
