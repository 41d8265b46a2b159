"""Flips taken toward the label each of them gives, and what they are with some basis images only.

Notation (as in :mod:`selfml.flips`). A flip gives attribute j of image i the label f. For each
basis image k of its explanation, ``t_k`` in 0..1 is how far its verified label says f (1 or 0; the
prior's share where it is unknown) and ``c_k`` its coefficient; ``c_k t_k`` is what it contributes
toward f. With the set R of images kept, the rest renormalised as in
:func:`selfml.receipts.without_atom`,

    s(R)      = sum_R c_k t_k / sum_R c_k, the prior's share where R is empty
    margin(R) = log-odds toward f, nothing but the basis images' term changed

and the flip *stands* where the margin still says f, *reverts* where it does not (a label has two
values, so that a flip that stands has the same label).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from selfml.flips import EvidenceModel, logit


@dataclass(frozen=True)
class FlipCase:
    """F flips, everything toward the label each of them gives.

    Attributes
    ----------
    added : (F,) bool
        Whether the label is 1.
    own, rest, weight : dict of str to (F,) float
        By evidence: log-odds of all terms, of all but the basis images', and the weight of that.
    prior : (F,) float
        The prior's share toward the label, 0..1.
    smoothing : float
    """

    added: np.ndarray
    own: dict[str, np.ndarray]
    rest: dict[str, np.ndarray]
    weight: dict[str, np.ndarray]
    prior: np.ndarray
    smoothing: float

    def part(self, rows: slice) -> FlipCase:
        """Some of the flips."""
        own, rest, weight = (
            {name: values[rows] for name, values in terms.items()}
            for terms in (self.own, self.rest, self.weight)
        )
        return FlipCase(self.added[rows], own, rest, weight, self.prior[rows], self.smoothing)

    def margin(self, kind: str, share: np.ndarray) -> np.ndarray:
        """Log-odds toward the label, (F,), of shares (F,) 0..1 that say it."""
        smoothed = np.clip(share, 0.0, 1.0) + self.smoothing * self.prior
        return self.rest[kind] + self.weight[kind] * logit(smoothed / (1.0 + self.smoothing))

    def stands(self, margin: np.ndarray) -> np.ndarray:
        """Whether the evidence says the label, (F,) bool; at exactly 0 it says no."""
        return np.where(self.added, margin > 0, margin >= 0)


def flip_case(flips: pd.DataFrame, model: EvidenceModel) -> FlipCase:
    """The terms of stored flips (columns of ``flips.parquet``), toward their labels."""
    added = flips["corrected"].to_numpy() == 1
    sign = np.where(added, 1.0, -1.0)
    j = flips["attribute_index"].to_numpy(np.int64)
    score, basis, strict, strict_basis = (
        flips[name].to_numpy(np.float64)
        for name in ("score", "term_basis", "strict_score", "strict_basis")
    )
    return FlipCase(
        added=added,
        own={"full": sign * score, "strict": sign * strict},
        rest={"full": sign * (score - basis), "strict": sign * (strict - strict_basis)},
        weight={"full": model.basis_weight[j], "strict": model.strict_basis_weight[j]},
        prior=np.where(added, model.prior[j], 1.0 - model.prior[j]),
        smoothing=model.smoothing,
    )


def shares(weights: np.ndarray, toward: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """``s`` of the first 0, 1, ..., M images of each row, (F, M + 1).

    Parameters
    ----------
    weights, toward : (F, M) float
        Coefficients, 0 where a row has fewer images, and how far each says the label, 0..1.
    prior : (F,) float
        What counts while there is no image.
    """
    mass = np.cumsum(weights, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        some = np.cumsum(weights * toward, axis=1) / mass
    some = np.where(mass > 0, some, prior[:, None])
    return np.concatenate([prior[:, None], some], axis=1)


def by_contribution(weights: np.ndarray, toward: np.ndarray) -> np.ndarray:
    """Order of the images of each row, (F, M): contributes most first, ties as they stand."""
    value = np.where(weights > 0, weights * toward, -1.0)  # what is no image comes last
    return np.argsort(-value, axis=1, kind="stable")
