"""ProtoAttend in a light form: sparse attention from an image to clean images.

Arik and Pfister, "ProtoAttend: Attention-Based Prototypical Learning", JMLR 2020: queries of an
image meet keys of candidate images, sparsemax makes few of them count, and the decision is their
labels' weighted mean. Here the features are fixed, the candidates are all of C, and its trunk,
value encoder, self and intermediate losses and sparsity term are left out: the value of a
prototype is its label, so that the explanation is the decision.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import layers, ops

from selfml.benchmark.problem import Method, Outcome, Problem
from selfml.flips import logit
from selfml.nn.fitting import jit_choice
from selfml.nn.losses import binary_cross_entropy
from selfml.nn.reconstruction import sparsemax

START = 2.0  # sharpness to start with: many images attended to (our choice)
FLOOR = 0.02  # keeps the log-odds of a unanimous vote finite


class Attention(keras.Model):
    """Attention (B, C) of features (B, d + 1), the last the image's place in C or -1.

    Parameters
    ----------
    candidates : (C, d) float
    labels : (C, L) float in 0..1
    width : int
        Of queries and keys.
    """

    def __init__(self, candidates: np.ndarray, labels: np.ndarray, width: int):
        super().__init__(name="proto_attend")
        self.candidates = ops.convert_to_tensor(candidates.astype(np.float32))
        self.labels = ops.convert_to_tensor(labels.astype(np.float32))
        start = keras.initializers.GlorotUniform(seed=1)  # the same for both (our choice)
        self.query = layers.Dense(width, kernel_initializer=start)
        self.key = layers.Dense(width, kernel_initializer=start.clone())
        self.drop = layers.Dropout(0.2)
        self.size = float(np.sqrt(candidates.shape[1]))
        self.sharpness = self.add_weight(
            name="sharpness", shape=(), initializer=keras.initializers.Constant(START)
        )

    def attend(self, x, training=False):
        """Weights (B, C) on the simplex; an image never attends to itself."""
        features, own = x[:, :-1], ops.cast(x[:, -1:], "int32")
        query = ops.relu(self.query(self.drop(features / self.size, training=training)))
        key = ops.relu(self.key(self.candidates / self.size))
        score = self.sharpness * ops.matmul(query, ops.transpose(key))
        itself = ops.equal(own, ops.arange(self.candidates.shape[0], dtype="int32")[None, :])
        return sparsemax(ops.where(itself, -1e9, score))

    def call(self, x, training=False):
        return ops.matmul(self.attend(x, training), self.labels)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Cross-entropy of the smoothed weighted labels."""
        p = (1 - 2 * FLOOR) * y_pred + FLOOR
        return binary_cross_entropy(y, ops.log(p) - ops.log(1 - p))


def attended(
    problem: Problem, features: np.ndarray, *, width: int = 64, epochs: int = 60
) -> np.ndarray:
    """Weighted labels (N, L) by an attention learned on C, each image without itself."""
    keras.utils.set_random_seed(problem.seed)
    clean = problem.clean_rows
    verified = problem.verified[clean].astype(np.float32)
    known = np.maximum((verified >= 0).sum(axis=0), 1)
    prior = (verified == 1).sum(axis=0) / known
    own = np.full((len(features), 1), -1.0, np.float32)
    own[clean, 0] = np.arange(len(clean))
    x = np.concatenate([features, own], axis=1).astype(np.float32)
    labels = np.where(verified < 0, prior, verified)
    model = Attention(features[clean], labels, width)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), jit_compile=jit_choice())
    model.fit(x[clean], verified, batch_size=64, epochs=epochs, verbose=0)
    return np.clip(model.predict(x, batch_size=512, verbose=0), 0.0, 1.0)


def run(problem: Problem, *, width: int = 64, epochs: int = 60) -> Outcome:
    """The weighted labels as probability, and with all features as label score."""
    how = {"width": width, "epochs": epochs}
    found = known = attended(problem, problem.features, **how)
    if problem.seen is not problem.features:
        found = attended(problem, problem.seen, **how)
    score = logit((1 - 2 * FLOOR) * known + FLOOR)
    return Outcome(found, score, score)


METHOD = Method(
    "proto_attend",
    "ProtoAttend",
    "Arik and Pfister, JMLR 2020",
    run,
    ({"epochs": 60}, {"epochs": 30}, {"width": 16}),
)
