"""What every method of the benchmark gets, and what it gives back.

Axes: N images, L attributes, d features. Rows of test images are in the arrays, without their
verified labels; no method is told which rows they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

# labels (B, L) as given to ``fit``, logits (B, L), share of the steps done in 0..1 (a scalar
# tensor) -> scalar loss; written with keras.ops
Loss = Callable[[Any, Any, Any], Any]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained classifier.

    Attributes
    ----------
    logits : (N, L) float32
        Of every image, without augmentation.
    weights : list of arrays
        To start another training from.
    """

    logits: np.ndarray
    weights: Sequence[np.ndarray]


class Classifier(Protocol):
    """The one classifier that every method trains: same maps, batch size and augmentation."""

    def fit(
        self,
        labels: np.ndarray,
        groups: Sequence[tuple[np.ndarray, int]],
        *,
        stage: str,
        steps: int | None = None,
        loss: Loss | None = None,
        start: Sequence[np.ndarray] | None = None,
    ) -> Fitted:
        """Train the layers that the recipe leaves trainable after pre-training.

        Parameters
        ----------
        labels : (N, L) float
            Targets in 0..1, -1 where unknown (the default loss masks these).
        groups : sequence of (rows, count)
            A batch has ``count`` images of each; the counts should add up to ``batch_size``.
        stage : str
            Names this training within the method: it seeds the batches.
        steps : int, optional
            The recipe's ``train.finetune_steps``.
        loss : Loss, optional
            The recipe's focal loss or cross-entropy.
        start : weights, optional
            Of a :class:`Fitted`; the weights pre-trained on the noisy labels.
        """
        ...


@dataclass(frozen=True, eq=False)
class Problem:
    """Noisy labels of N images and verified labels of a few.

    Attributes
    ----------
    features : (N, d) float32
        Standardised, from the extractor as pre-trained on the noisy labels, with the shop's
        categories where the data carry any and the recipe says so: what SELF-ML reconstructs,
        and what every method may correct labels by.
    seen : (N, d') float32
        What a prediction of Table 1 may rest on: the same features, but without the categories
        where the classifier sees the image alone (``head.category``).
    given : (N, L) int8
        -1 unknown.
    verified : (N, L) int8
        Of ``clean_rows``; -1 in every other row.
    clean_rows, noisy_rows : (C,), (M,) int
        To learn from: images with verified labels, and with given labels only. Disjoint.
    categories : (N,) str or None
    seed : int
    batch_size, clean_per_batch, steps : int
        Of the recipe; ``steps`` is ``train.finetune_steps``.
    classifier : Classifier
    self_ml : callable
        From settings (as ``--set``) and ``explain_only`` to the Outcome of the product itself.
    """

    features: np.ndarray
    seen: np.ndarray
    given: np.ndarray
    verified: np.ndarray
    clean_rows: np.ndarray
    noisy_rows: np.ndarray
    categories: np.ndarray | None
    seed: int
    batch_size: int
    clean_per_batch: int
    steps: int
    classifier: Classifier
    self_ml: Callable[..., Outcome] | None = None

    @property
    def n_attributes(self) -> int:
        """L."""
        return self.given.shape[1]

    @property
    def train_rows(self) -> np.ndarray:
        """All rows to learn from, whose given labels every method may use."""
        return np.sort(np.concatenate([self.clean_rows, self.noisy_rows]))


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a method says; at least one of the first two.

    Attributes
    ----------
    probabilities : (N, L) float or None
        Of a classifier that sees the image and, where the recipe says so, its category, but no
        given label: Table 1 is measured on these.
    label_score : (N, L) float or None
        Log-odds that an attribute is present, from all that the method knows of an image and its
        given labels: the corrected label is its sign. Where None, it is that of ``probabilities``.
    strict_score : (N, L) float or None
        The same from the method's explanation alone.
    extras : mapping of str to float
        Further measures of its own.
    label_scores : mapping of str to (N, L) float
        Further label scores to be measured, by the name their metrics begin with.
    """

    probabilities: np.ndarray | None = None
    label_score: np.ndarray | None = None
    strict_score: np.ndarray | None = None
    extras: Mapping[str, float] = field(default_factory=dict)
    label_scores: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A way to correct labels: how it is run, where it is from and what is tuned of it.

    Attributes
    ----------
    name, title : str
        On the command line and in tables.
    source : str
        What was read.
    run : callable
        From a Problem and the settings to an Outcome.
    grid : tuple of settings
        Keyword arguments of ``run`` to choose among on validation images; the first are the
        published or usual ones.
    needs_clean : bool
        False where the verified labels are not used, so that it is run once for all budgets.
    """

    name: str
    title: str
    source: str
    run: Callable[..., Outcome]
    grid: tuple[Mapping[str, Any], ...] = ({},)
    needs_clean: bool = True
