"""The trained models: the attribute classifier, the explainer and SELF-ML.

Axes: B images a batch, L attributes, d features. Trained with ``fit`` and our own
``compute_loss``; only ``keras.ops``, so that TensorFlow, JAX and torch run the same code.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import layers, ops

from selfml.config import Config
from selfml.nn.augment import RandomAffine
from selfml.nn.backbones import InputScaling
from selfml.nn.flipper import LabelFlipper
from selfml.nn.losses import (
    absolute_distance,
    anchor_penalty,
    binary_cross_entropy,
    focal_loss,
    group_penalty,
    huber,
)
from selfml.nn.reconstruction import SparseReconstruction

# Donor of an atom that has no labels yet: no image's index, nor the -1 of images of N.
NOBODY = -2


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

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Focal loss over the known labels, unless ``loss_function`` is set."""
        if self.loss_function is not None:
            return self.loss_function(y, y_pred, self.optimizer.iterations)
        train = self.settings.train
        return focal_loss(y, y_pred, gamma=train.gamma, alpha=train.alpha)


class Explainer(keras.Model):
    """Reconstruction and label flipping on fixed features; loss L_BS and L_EF.

    Takes a dict: ``features`` (B, d), ``given`` (B, L), ``given_term``, ``classifier`` (log-odds),
    ``category`` (B,) int, a row of the evidence model's ``llr``; ``image`` (B,) int, the index of
    an image of C and -1 for others: atoms labelled by that very image are not used, for they would
    hand it its own label; ``verified`` (B, L) with -1 for images of N; and ``soft`` (B, L), what
    the given label and the cross-fitted classifier say of images of N, -1 for those of C. Returns
    a dict of terms with ``coefficients`` and ``scores``. An image that labelled every atom has the
    prior for its scores. In float32 under any policy: under bfloat16 Keras would round the features
    and log-odds before they are weighed.
    """

    def __init__(self, reconstruction: SparseReconstruction, flipper: LabelFlipper, config: Config):
        super().__init__(name="explainer", dtype="float32")
        self.reconstruction = reconstruction
        self.flipper = flipper
        self.settings = config
        self.use_flips = True
        shape = (reconstruction.n_atoms, flipper.n_attributes)
        self.basis_values = self.add_weight(
            name="basis_values", shape=shape, initializer="zeros", trainable=False
        )
        self.donors = self.add_weight(
            name="donors",
            shape=shape[:1],
            initializer=keras.initializers.Constant(NOBODY),
            dtype="int32",
            trainable=False,
        )
        self.build()

    def build(self, input_shape=None):
        """Make the weights of both parts that have none yet."""
        if not self.reconstruction.built:
            self.reconstruction.build((None, self.reconstruction.n_features))
        if not self.flipper.built:
            self.flipper.build()
        self.built = True

    def label_basis(self, values, donors) -> None:
        """Set Y_B (K, L), unknown labels replaced by the prior, and the images it was read from."""
        self.basis_values.assign(values)
        self.donors.assign(donors)

    def call(self, inputs, training=False):
        blocked = ops.equal(inputs["image"][:, None], self.donors[None, :])
        c = self.reconstruction(inputs["features"], blocked=blocked, training=training)
        alone = ops.cast(ops.all(blocked, axis=1, keepdims=True), "float32")
        scores = (1.0 - alone) * ops.matmul(c, self.basis_values) + alone * self.flipper.prior
        moves = self.settings.flips.clean_moves_basis
        weighed = scores if moves else ops.stop_gradient(scores)
        terms = self.flipper({**inputs, "scores": weighed}, training=training)
        direct = self.flipper.direct_logit(scores, inputs.get("category"))
        outputs = {**terms, "direct_logit": direct, "coefficients": c, "scores": scores}
        if self.settings.flips.distil and self.use_flips:
            sure = self.flipper.residual(inputs, weighed, training=False)
            logit = terms["logit"] - terms["residual"] + sure
            outputs["teacher"] = ops.stop_gradient(ops.sigmoid(logit))
        return outputs

    def basis_selection_loss(self, inputs, outputs):
        """L_BS: Huber reconstruction error, group penalty, anchor of X_B (paper section 2)."""
        c = outputs["coefficients"]
        error = self.reconstruction.reconstruct(c) - ops.cast(inputs["features"], "float32")
        loss = huber(error) + self.settings.basis.lambda_c * group_penalty(c)
        if self.reconstruction.learn_basis:
            loss += anchor_penalty(self.reconstruction.basis, self.reconstruction.anchor)
        return loss

    def flipping_loss(self, inputs, outputs):
        """L_EF: verified labels against full and strict evidence, on images of C only.

        The basis images alone also learn to say what is believed of images of N (``soft``), and
        where ``flips.clean_moves_basis`` the verified labels: so c serves labels as well as pixels
        (our choice). The strict bias and weight learn from all of these. With ``flips.distil``
        they also learn, beside the given label, to say what full evidence says of images of N.
        """
        distance = absolute_distance if self.settings.flips.loss == "l1" else binary_cross_entropy
        verified = inputs["verified"]
        loss = distance(verified, outputs["logit"])
        loss += distance(verified, outputs["strict_logit"])
        if self.settings.flips.clean_moves_basis:
            loss += binary_cross_entropy(verified, outputs["direct_logit"])
        soft = inputs["soft"]
        if self.settings.flips.distil:
            strict = outputs["direct_logit"] + inputs["given_term"]
            of_noisy = ops.where(soft < 0, soft, outputs["teacher"])
            loss += self.settings.flips.distil * binary_cross_entropy(of_noisy, strict)
        return loss + binary_cross_entropy(soft, outputs["direct_logit"])

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """lambda_BS L_BS + lambda_EF L_EF (the latter once the basis has labels)."""
        joint = self.settings.joint
        loss = joint.lambda_bs * self.basis_selection_loss(x, y_pred)
        if self.use_flips:
            loss += joint.lambda_ef * self.flipping_loss(x, y_pred)
        for penalty in self.losses:
            loss += penalty
        return loss


class SelfML(keras.Model):
    """L_total: the classifier learns from labels that the explainer corrects, all together.

    Takes the explainer's dict and the classifier's, ``inputs`` and ``place``. The target of
    an image of C is its verified labels; of one of N it is the flipped soft label, with no
    gradient through it (paper section 2).
    """

    def __init__(self, classifier: AttributeClassifier, explainer: Explainer):
        super().__init__(name="self_ml", dtype="float32")
        self.classifier = classifier
        self.explainer = explainer
        self.settings = explainer.settings

    def call(self, inputs, training=False):
        outputs = self.explainer(inputs, training=training)
        return {**outputs, "class_logits": self.classifier(inputs, training=training)}

    def build(self, input_shape):
        """Make the weights of both models that have none yet."""
        if not self.classifier.built:
            self.classifier.build(input_shape)
        if not self.explainer.built:
            self.explainer.build()
        self.built = True

    def targets(self, inputs, outputs):
        """Labels the classifier learns from, (B, L) in 0..1."""
        strict = self.settings.flips.mode == "strict"
        f = ops.sigmoid(outputs["strict_logit" if strict else "logit"])
        verified = ops.cast(inputs["verified"], "float32")
        of_clean = ops.cast(inputs["is_clean"], "float32")[:, None]
        return of_clean * verified + (1.0 - of_clean) * ops.stop_gradient(f)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """lambda_class L_class + lambda_BS L_BS + lambda_EF L_EF."""
        train, joint = self.settings.train, self.settings.joint
        target = self.targets(x, y_pred)
        loss = joint.lambda_class * focal_loss(
            target, y_pred["class_logits"], gamma=train.gamma, alpha=train.alpha
        )
        return loss + self.explainer.compute_loss(x=x, y_pred=y_pred)
