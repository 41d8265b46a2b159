"""What a method's Outcome is worth: Table 1, and the labels it corrects; all in percent.

Suffixes: ``_strict`` marks what the method's explanation alone decides, ``_noisy`` the noisy
images whose truth is known (without it: the test images), in this order.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from selfml.benchmark.problem import Outcome
from selfml.explanation_metrics import flip_metrics
from selfml.flips import corrected_labels, logit
from selfml.metrics import (
    average_precision_per_attribute,
    check_attribute_names,
    mean_average_precision,
    mean_or_nan,
    table_1,
)

RARE_FRACTION = 0.05  # our choice: "rare" is below 5 % of the verified test images
LABEL_METRICS = ("label_accuracy", "flip_f1", "flip_precision", "flip_recall", "label_map")
"""What is measured of corrected labels, without suffixes."""

_TINY = 1e-12  # keeps the log-odds of 0 and 1 finite
Row = tuple[str, float]


def score(
    outcome: Outcome,
    given: np.ndarray,
    truth: np.ndarray,
    test_rows: np.ndarray,
    noisy_rows: np.ndarray,
    names: Sequence[str] | None = None,
) -> list[Row]:
    """Measure an outcome.

    Parameters
    ----------
    outcome : Outcome
        Table 1 is left out where it has no ``probabilities``; ``label_scores`` are the caller's.
    given, truth : (N, L) int8
        -1 unknown. A cell without a given label is no flip and is not counted among the labels,
        but for ``label_map``, which ranks all cells whose truth is known.
    test_rows, noisy_rows : (n,) int
        Rows to measure on.
    names : sequence of str (L,), optional
        With these, ``ap/<name>`` for each attribute.

    Returns
    -------
    list of (metric, value)
        Percent, NaN where there is nothing to measure: the names of `selfml.metrics.TABLE_1`,
        ``map_rare`` (attributes with a verified prevalence below 5 % among the test images),
        ``ap/<name>``; `LABEL_METRICS` with their suffixes and ``label_accuracy_given`` (of
        the labels as given, for comparison); then ``outcome.extras`` as they are.

    Raises
    ------
    ValueError
        On shapes that differ, scores that are not finite, probabilities outside 0..1, or an
        outcome without probabilities and without label scores.
    """
    full = _label_score(outcome)
    rows = list(_classification(outcome.probabilities, truth, test_rows, names))
    for suffix, where in (("", test_rows), ("_noisy", noisy_rows)):
        for kind, scores in (("", full), ("_strict", outcome.strict_score)):
            if scores is not None:
                rows += _labels(scores[where], given[where], truth[where], kind, suffix)
    return rows + [(name, float(value)) for name, value in outcome.extras.items()]


def _label_score(outcome: Outcome) -> np.ndarray:
    if outcome.label_score is not None:
        return np.asarray(outcome.label_score)
    if outcome.probabilities is None:
        raise ValueError(
            "outcome: must have probabilities or label_score, got neither; return one of them"
        )
    p = np.asarray(outcome.probabilities, np.float64)
    return logit(np.clip(p, _TINY, 1 - _TINY))


def _classification(
    probabilities: np.ndarray | None,
    truth: np.ndarray,
    rows: np.ndarray,
    names: Sequence[str] | None,
) -> Iterator[Row]:
    """Table 1, rare attributes and each attribute."""
    if probabilities is None:
        return
    scores, truth = probabilities[rows], truth[rows]
    yield from table_1(scores, truth).items()
    precision = 100 * average_precision_per_attribute(scores, truth)
    support, known = (truth == 1).sum(axis=0), (truth >= 0).sum(axis=0)
    yield "map_rare", mean_or_nan(precision[support < RARE_FRACTION * known])
    if names is not None:
        check_attribute_names(names, truth)
        for name, value in zip(names, precision, strict=True):
            yield f"ap/{name}", float(value)


def _labels(
    scores: np.ndarray, given: np.ndarray, truth: np.ndarray, kind: str, suffix: str
) -> Iterator[Row]:
    """`LABEL_METRICS` of some images, named with ``kind`` and ``suffix``."""
    found = flip_metrics(given, corrected_labels(given, scores), truth)
    found["label_accuracy"] = found["label_accuracy_corrected"]
    found["label_map"] = mean_average_precision(scores, truth)
    for name in LABEL_METRICS:
        yield f"{name}{kind}{suffix}", 100 * found[name]
    if not kind:
        yield f"label_accuracy_given{suffix}", 100 * found["label_accuracy_given"]
