"""The label flipping module: additive evidence in log-odds (see :mod:`selfml.flips`).

Its inputs are the paper's (section 2): the given labels, the label scores Y_B c and the
features; its additive form and the cross-fitted classifier term are our choice, so that a
flip can be read off term by term. Shapes (B, L) unless stated.
"""

from __future__ import annotations

import keras
from keras import ops

# Penalty on the biases of categories: they are learned from all images of N (our choice).
CATEGORY_SHRINK = 2e-4


@keras.saving.register_keras_serializable(package="selfml")
class LabelFlipper(keras.layers.Layer):
    """Log-odds of every label, by full and by strict evidence.

    Parameters
    ----------
    n_attributes, n_features : int
        L and d.
    n_categories : int
        Above 0, strict evidence has a bias for each category and one for any other.
    hidden : int
        Width of the residual network; 0 leaves it out.
    smoothing : float
        Weight of the prior in a label score.
    residual_decay : float
        Weight decay of the residual network.
    shrink : float
        Penalty on the differences between attributes' weights, so that rare attributes share
        the common ones', and on the biases (but the strict one where there are categories).

    Notes
    -----
    ``call`` takes a dict with ``scores``, ``given_term`` (log-likelihood ratios), ``classifier``
    (cross-fitted, Platt-scaled logits), ``given`` (-1 unknown), ``features`` (B, d) and, with
    categories, ``category`` (B,) int, 0 for any other; it returns a dict of terms with ``logit``
    and ``strict_logit``.
    """

    def __init__(
        self,
        n_attributes,
        n_features,
        *,
        n_categories=0,
        hidden=64,
        smoothing=0.1,
        residual_decay=1e-1,
        shrink=0.02,
        **kwargs,
    ):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.n_attributes = n_attributes
        self.n_features = n_features
        self.n_categories = n_categories
        self.hidden = hidden
        self.smoothing = smoothing
        self.residual_decay = residual_decay
        self.shrink = shrink
        decay = keras.regularizers.L2(residual_decay)
        self.drop = keras.layers.Dropout(0.3, dtype="float32")
        if hidden:
            self.inner = keras.layers.Dense(
                hidden, activation="relu", kernel_regularizer=decay, dtype="float32"
            )
            self.outer = keras.layers.Dense(
                n_attributes,
                kernel_initializer="zeros",
                kernel_regularizer=decay,
                dtype="float32",
            )

    def build(self, input_shape=None):
        row = (self.n_attributes,)
        self.prior = self.add_weight(
            name="prior", shape=row, trainable=False, initializer=keras.initializers.Constant(0.5)
        )
        for name, start in (
            ("basis", 0.3),
            ("classifier", 1.0),
            ("strict_basis", 1.0),
        ):
            shared = self.add_weight(
                name=f"{name}_shared", shape=(), initializer=keras.initializers.Constant(start)
            )
            own = self.add_weight(
                name=f"{name}_own",
                shape=row,
                initializer="zeros",
                regularizer=keras.regularizers.L2(self.shrink),
            )
            setattr(self, f"{name}_shared", shared)
            setattr(self, f"{name}_own", own)
        for name in ("bias", "strict_bias"):
            # where categories differ from it, the common level must not be theirs to carry
            free = self.n_categories and name == "strict_bias"
            weight = self.add_weight(
                name=name,
                shape=row,
                initializer="zeros",
                regularizer=None if free else keras.regularizers.L2(self.shrink),
            )
            setattr(self, name, weight)
        if self.n_categories:
            self.category_bias = self.add_weight(
                name="category_bias",
                shape=(self.n_categories, *row),
                initializer="zeros",
                regularizer=keras.regularizers.L2(CATEGORY_SHRINK),
            )
        if self.hidden:
            self.inner.build((None, self.n_features + 2 * self.n_attributes))
            self.outer.build((None, self.hidden))
        self.built = True

    def weight(self, name: str):
        """(L,) weight of a term: ``basis``, ``classifier`` or ``strict_basis``."""
        return getattr(self, f"{name}_shared") + getattr(self, f"{name}_own")

    def call(self, inputs, training=False):
        scores = ops.cast(inputs["scores"], "float32")
        basis = self.basis_logit(scores)
        given_term = ops.cast(inputs["given_term"], "float32")
        terms = {
            "basis": self.weight("basis") * basis,
            "strict_basis": self.weight("strict_basis") * basis,
            "given": given_term,
            "classifier": self.weight("classifier") * ops.cast(inputs["classifier"], "float32"),
        }
        terms["residual"] = self.residual(inputs, scores, training)
        category = self.category_logit(inputs.get("category"))
        # the few verified images of a category must not set its level: those of N do
        terms["strict_logit"] = (
            self.strict_bias + ops.stop_gradient(category) + terms["strict_basis"] + given_term
        )
        terms["logit"] = (
            self.bias + terms["basis"] + given_term + terms["classifier"] + terms["residual"]
        )
        return terms

    def direct_logit(self, scores, category=None):
        """What the basis images alone say, without the given label: strict evidence less a term."""
        bias = self.strict_bias + self.category_logit(category)
        return bias + self.weight("strict_basis") * self.basis_logit(scores)

    def category_logit(self, category):
        """(B, L) what the category adds to the bias of strict evidence; 0 for any other one."""
        if not self.n_categories:
            return ops.zeros((1, self.n_attributes))
        filed = ops.equal(category[:, None], ops.arange(1, self.n_categories + 1)[None, :])
        return ops.matmul(ops.cast(filed, "float32"), self.category_bias)

    def basis_logit(self, scores):
        """Log-odds of the smoothed label scores, as :func:`selfml.flips.basis_logit`.

        Rounding may leave a score just outside 0..1. The floors keep the logarithms finite there
        and bind nowhere else: a clip would stop the gradient at scores of exactly 0 and 1.
        """
        present, absent = self.smoothing * self.prior, self.smoothing * (1.0 - self.prior)
        return ops.log(ops.maximum(scores + present, 0.5 * present)) - ops.log(
            ops.maximum(1.0 - scores + absent, 0.5 * absent)
        )

    def residual(self, inputs, scores, training=False):
        """The residual network's log-odds from features, given labels and label scores."""
        if not self.hidden:
            return ops.zeros_like(scores)
        given = ops.cast(inputs["given"], "float32")
        given = ops.where(given < 0, ops.zeros_like(given), 2.0 * given - 1.0)
        features = self.drop(ops.cast(inputs["features"], "float32"), training=training)
        joined = ops.concatenate([features, given, ops.stop_gradient(scores)], axis=-1)
        return self.outer(self.drop(self.inner(joined), training=training))

    def get_config(self):
        names = ("n_attributes", "n_features", "n_categories", "hidden", "smoothing")
        names += ("residual_decay", "shrink")
        config = super().get_config()
        config.pop("dtype")
        return {**config, **{name: getattr(self, name) for name in names}}
