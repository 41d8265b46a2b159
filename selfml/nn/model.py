"""The trained models: the explainer, and SELF-ML with the attribute classifier in it.

Axes: B images a batch, L attributes, d features. Trained with ``fit`` and our own
``compute_loss``; only ``keras.ops``, so that TensorFlow, JAX and torch run the same code.
"""

from __future__ import annotations

import keras
from keras import ops

from selfml.config import Config
from selfml.nn.classifier import AttributeClassifier
from selfml.nn.devices import part_of_loss
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


class Explainer(keras.Model):
    """Reconstruction and label flipping on fixed features; loss L_BS and L_EF.

    Takes a dict: ``features`` (B, d), ``given`` (B, L), ``given_term``, ``classifier`` (log-odds),
    ``category`` (B,) int, a row of the evidence model's ``llr``; ``image`` (B,) int, the index of
    an image of C and -1 for others: atoms labelled by that very image are not used, for they would
    hand it its own label; ``verified`` (B, L), which for images of N is -1 where nobody decided;
    and ``soft`` (B, L), what the given label and the cross-fitted classifier say of images of N,
    -1 for those of C. Returns a dict of terms with ``coefficients`` and ``scores``. An image that
    labelled every atom has the prior for its scores. In float32 under any policy: under
    bfloat16 Keras would round the features and log-odds before they are weighed.
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
        """L_EF: known labels against full and strict evidence: of C, and decided ones of N.

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
        return part_of_loss(self.whole_loss(x, y_pred))

    def whole_loss(self, x, y_pred):
        """The same, of a batch however many devices share it."""
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
    gradient through it (paper section 2), or the label that a person decided on.
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
        strict = self.settings.joint.targets == "strict"
        f = ops.sigmoid(outputs["strict_logit" if strict else "logit"])
        verified = ops.cast(inputs["verified"], "float32")
        of_clean = ops.cast(inputs["is_clean"], "float32")[:, None]
        of_noisy = ops.where(verified < 0, ops.stop_gradient(f), verified)
        return of_clean * verified + (1.0 - of_clean) * of_noisy

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """lambda_class L_class + lambda_BS L_BS + lambda_EF L_EF."""
        train, joint = self.settings.train, self.settings.joint
        target = self.targets(x, y_pred)
        loss = joint.lambda_class * focal_loss(
            target, y_pred["class_logits"], gamma=train.gamma, alpha=train.alpha
        )
        return part_of_loss(loss + self.explainer.whole_loss(x, y_pred))
