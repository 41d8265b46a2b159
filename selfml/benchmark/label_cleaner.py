"""A network learns on the clean set what to add to the given labels.

Notation: ``y`` given labels, ``x`` features, ``v`` verified labels, ``c = clip(y + g(y, x), 0, 1)``
cleaned ones; g embeds y and x separately, joins both and maps back to labels, all layers linear.

Veit, Alldrin, Chechik, Krasin, Gupta and Belongie, "Learning From Noisy Large-Scale Datasets With
Minimal Supervision", CVPR 2017. As published: the residual, the clip, the L1 loss on the clean set,
the classifier trained on c (no gradient into g) and v in batches of 9 to 1. Where this differs:
cleaner and classifier are trained one after the other, not jointly, as the benchmark has every
method train the same classifier and the joint form only lets L1 reach the shared features, which
are frozen here for all; sizes, the dropout, the start at g = 0 and the gradient where the clip has
none are our choice; so is cross-entropy, for which the sum is made in log-odds.
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

from selfml.benchmark.problem import Method, Outcome, Problem
from selfml.flips import logit, sigmoid
from selfml.nn.fitting import jit_choice
from selfml.nn.losses import binary_cross_entropy, known, masked_mean

CERTAIN = 1e-3  # a cleaned label is no closer to 0 or 1 when its log-odds are taken
GIVEN_LOGIT = 2.2  # log-odds of a given label for cross-entropy: right nine times of ten


def clipped_distance(v, sums):
    """``|v - clip(sums, 0, 1)|``, mean over the known cells; beyond the wrong end it goes on.

    For v in {0, 1} the clip has no gradient where the sum is past the wrong end, so a wrong label
    could never come back; there the distance is that of the sum before the clip.
    """
    v, sums = ops.cast(v, "float32"), ops.cast(sums, "float32")
    return masked_mean(ops.maximum(v * (1.0 - sums) + (1.0 - v) * sums, 0.0), known(v))


# loss -> (function, given label's weight and offset from a sign, from the sum to cleaned labels)
LOSSES = {
    "l1": (clipped_distance, (0.5, 0.5), lambda sums: np.clip(sums, 0.0, 1.0)),
    "cross_entropy": (binary_cross_entropy, (GIVEN_LOGIT, 0.0), sigmoid),
}


def cleaner(n_attributes: int, n_features: int, *, loss: str, hidden: int) -> keras.Model:
    """(signs of given labels (B, L), 0 unknown; features (B, d)) -> given + residual (B, L)."""
    signs, x = keras.Input((n_attributes,)), keras.Input((n_features,))
    weight, offset = LOSSES[loss][1]
    embedded = [keras.layers.Dense(hidden)(keras.layers.Dropout(0.2)(part)) for part in (signs, x)]
    inner = keras.layers.Dense(hidden)(keras.layers.Concatenate()(embedded))
    residual = keras.layers.Dense(n_attributes, kernel_initializer="zeros")(inner)
    model = keras.Model([signs, x], weight * signs + offset + residual)
    model.compile(keras.optimizers.Adam(1e-3), loss=LOSSES[loss][0], jit_compile=jit_choice())
    return model


def cleaned_labels(problem: Problem, *, loss: str = "l1", hidden: int = 64) -> np.ndarray:
    """Labels in 0..1 of every image, (N, L), by a cleaner trained on the clean set."""
    keras.utils.set_random_seed(problem.seed)
    signs = np.where(problem.given < 0, 0.0, 2.0 * problem.given - 1.0).astype(np.float32)
    x, verified = np.asarray(problem.features, np.float32), problem.verified.astype(np.float32)
    model = cleaner(signs.shape[1], x.shape[1], loss=loss, hidden=hidden)
    rng = np.random.default_rng([problem.seed, 23])
    for _ in range(problem.steps):
        rows = rng.choice(problem.clean_rows, problem.batch_size)
        model.train_on_batch([signs[rows], x[rows]], verified[rows])
    sums = model.predict([signs, x], batch_size=1024, verbose=0)
    return LOSSES[loss][2](sums)


def train_on(problem: Problem, labels: np.ndarray, score: np.ndarray) -> Outcome:
    """Train on ``labels`` (N, L) of noisy images and verified ones of clean, 9 to 1 in a batch.

    Unknown labels (-1) are masked; ``score`` (N, L) is the outcome's label score.
    """
    targets = np.array(labels, np.float32)
    targets[problem.clean_rows] = problem.verified[problem.clean_rows]
    n_clean = problem.clean_per_batch
    groups = [(problem.noisy_rows, problem.batch_size - n_clean), (problem.clean_rows, n_clean)]
    fitted = problem.classifier.fit(targets, groups, stage="corrected")
    return Outcome(probabilities=sigmoid(fitted.logits), label_score=score)


def run(problem: Problem, *, loss: str = "l1", hidden: int = 64) -> Outcome:
    """Clean the given labels, then train on cleaned and verified ones.

    Parameters
    ----------
    loss : {"l1", "cross_entropy"}
        Of the cleaner.
    hidden : int
        Width of its embeddings and of its hidden layer.

    Raises
    ------
    ValueError
        When ``loss`` is another word or ``hidden`` is not positive.
    """
    if loss not in LOSSES:
        raise ValueError(f"loss: must be one of {sorted(LOSSES)}, got {loss!r}")
    if hidden < 1:
        raise ValueError(f"hidden: must be at least 1, got {hidden}")
    cleaned = cleaned_labels(problem, loss=loss, hidden=hidden)
    score = logit(np.clip(cleaned, CERTAIN, 1.0 - CERTAIN))
    return train_on(problem, np.where(problem.given < 0, -1.0, cleaned), score)


METHOD = Method(
    name="label_cleaner",
    title="Label cleaner (Veit)",
    source="Veit et al., CVPR 2017 (arXiv 1701.01619), section 3",
    run=run,
    grid=({"loss": "l1"}, {"loss": "cross_entropy"}, {"loss": "l1", "hidden": 256}),
)
