"""Whether the explanations are the reasons: what taking their images out, or alone, does.

Notation (as in :mod:`selfml.flips`). A flip gives attribute j of image i the label f. For each
basis image k of its explanation, ``t_k`` in 0..1 is how far its verified label says f (1 or 0; the
prior's share where it is unknown) and ``c_k`` its coefficient; ``c_k t_k`` is what it contributes
toward f, and *top* means: contributes most (ties: the larger coefficient, then the lower index).
With the set R of images kept, the rest renormalised as in :func:`selfml.receipts.without_atom`,

    s(R)      = sum_R c_k t_k / sum_R c_k, the prior's share where R is empty
    margin(R) = log-odds toward f, nothing but the basis images' term changed

and the flip *stands* where the margin still says f, *reverts* where it does not (a label has two
values, so that a flip that stands has the same label).

*Deletion* takes the top k images out: a faithful explanation falls with its top images and falls
slower with as many random ones (comprehensiveness of DeYoung et al. 2020, ERASER; deletion of
Samek et al. 2017). *Sufficiency* keeps the top k alone (DeYoung et al. 2020). The top images are
chosen because they say f, so that alone they make the flip nearly by construction, whatever the
explanation; so both are also measured with the *largest* coefficients, whatever their labels.

Two more explanations are measured the same way: the basis images nearest in feature space, as many
as the image has non-zeros, all weighted alike or with the image's own coefficients in order of
distance. Counted are the flips of the run that the evidence named makes; deletion from the nearest
images counts those that would stand on these images to begin with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from selfml.flips import (
    EvidenceModel,
    logit,
)
from selfml.nearest import nearest_atoms

EVIDENCE = ("full", "strict")
DELETED = (1, 2, 3, 5)
KEPT = (1, 3, 5)
ALL = -1  # k: every image of the explanation
DRAWS = 5  # orders of random images that are averaged (our choice)
CELLS = 2_000_000  # entries worked on at once
COLUMNS = ("measure", "evidence", "explanation", "k", "attribute_index", "value", "n")

MEASURES: dict[str, tuple[str, str]] = {
    "deletion_reverted": ("%", "flips that revert once k images are out of the explanation"),
    "deletion_drop": ("log-odds", "mean drop of the log-odds of the flip's label by that"),
    "sufficiency_stands": ("%", "flips that stand, same label, with k images alone"),
    "sufficiency_drop": ("log-odds", "mean drop of the log-odds of the flip's label by that"),
    "agreement": ("%", "flips of this evidence that the other one makes too"),
    "stability_flips": ("%", "flips that stay on the slightly changed image"),
    "stability_jaccard": ("%", "basis images in use before and after, common of all, mean"),
    "stability_l1": ("", "sum of the absolute changes of an image's coefficients, mean; 0 to 2"),
    "stability_top": ("%", "images whose largest coefficient stays on the same basis image"),
}
"""Name -> unit and definition of what is in the table."""
EXPLANATIONS: dict[str, str] = {
    "coefficients": "the run's own, its top images",
    "largest": "the run's own, the images with the largest coefficients, whatever their label",
    "random": f"the run's own, random images of it, mean of {DRAWS} draws",
    "nearest": "the nearest basis images, weighted alike, its top images",
    "nearest_weighted": "the nearest basis images, the coefficients in order of distance, its top",
    "closest": "nearest_weighted, its closest images, whatever their label",
    "changed": "the image mirrored, rotated and shifted at random as in training",
}
"""Name -> what it is, of the column ``explanation``."""
NEIGHBOURS = ("nearest", "nearest_weighted", "closest")

Key = tuple[str, str, str, int]


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


class _Sums:
    """Sums and counts by measure, evidence, explanation and k."""

    def __init__(self) -> None:
        self.of: dict[Key, list[float]] = {}

    def add(self, key: Key, values: np.ndarray, share: float = 1.0) -> None:
        total = self.of.setdefault(key, [0.0, 0.0])
        total[0] += share * float(values.sum())
        total[1] += share * len(values)

    def rows(self) -> Iterator[tuple]:
        names, others = list(MEASURES), list(EXPLANATIONS)

        def place(item: tuple[Key, list[float]]) -> tuple[int, ...]:
            measure, kind, explanation, _ = item[0]
            return names.index(measure), EVIDENCE.index(kind), others.index(explanation)

        for (measure, kind, explanation, k), (total, n) in sorted(self.of.items(), key=place):
            scale = 100.0 if MEASURES[measure][0] == "%" else 1.0
            if n:
                yield measure, kind, explanation, k, -1, scale * total / n, round(n)


def _measure(
    sums: _Sums,
    case: FlipCase,
    name: str,
    weights: np.ndarray,
    toward: np.ndarray,
    order: np.ndarray,
    share: float = 1.0,
) -> None:
    """Add deletion and sufficiency of one explanation, its images taken in ``order`` (F, M)."""
    w = np.take_along_axis(weights, order, axis=1)
    t = np.take_along_axis(toward, order, axis=1)
    kept = shares(w, t, case.prior)
    left = shares(w[:, ::-1], t[:, ::-1], case.prior)[:, ::-1]  # without the first 0, 1, ..., M
    last = w.shape[1]
    for kind in EVIDENCE:
        before = case.margin(kind, left[:, 0])
        own = case.own[kind]
        makes = case.stands(own)
        deleted = makes & case.stands(before) if name in NEIGHBOURS else makes
        for measure, ks, start, at, rows in (
            ("deletion", (*DELETED, ALL), before, left, deleted),
            ("sufficiency", (*KEPT, ALL), own, kept, makes),
        ):
            for k in ks:
                margin = case.margin(kind, at[:, last if k == ALL else min(k, last)])
                stands = case.stands(margin)[rows]
                first = ("reverted", ~stands) if measure == "deletion" else ("stands", stands)
                for what, values in (first, ("drop", (start - margin)[rows])):
                    sums.add((f"{measure}_{what}", kind, name, k), values, share)


@dataclass(frozen=True)
class _Rows:
    """Sparse coefficients, each row's largest first."""

    start: np.ndarray
    length: np.ndarray
    atom: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, coefficients: sparse.csr_matrix) -> _Rows:
        c = sparse.csr_matrix(coefficients)
        length = np.diff(c.indptr)
        image = np.repeat(np.arange(c.shape[0]), length)
        order = np.lexsort((c.indices, -c.data, image))
        weight = c.data[order].astype(np.float64)
        return cls(c.indptr[:-1].astype(np.int64), length, c.indices[order], weight)

    def padded(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Atoms and coefficients of images, (F, M); 0 where a row has fewer than M."""
        place = np.arange(max(int(self.length[images].max(initial=0)), 1))
        inside = place < self.length[images][:, None]
        at = np.where(inside, self.start[images][:, None] + place, 0)
        return np.where(inside, self.atom[at], 0), np.where(inside, self.weight[at], 0.0)


def explanation_rows(
    coefficients: sparse.csr_matrix,
    values: np.ndarray,
    flips: pd.DataFrame,
    model: EvidenceModel,
    *,
    features: np.ndarray | None = None,
    basis: np.ndarray | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Deletion and sufficiency of the explanations of flips.

    Parameters
    ----------
    coefficients : scipy.sparse CSR (N, K)
    values : (K, L) float
        Y_B, an unknown label as its prior (:func:`selfml.flips.basis_values`).
    flips : DataFrame
        Rows of ``flips.parquet``.
    features, basis : (N, d) and (K, d) float, optional
        Without both, nothing is compared with the nearest basis images.
    seed : int
        Of the random images.

    Returns
    -------
    DataFrame
        ``COLUMNS``; one row for each measure, evidence, explanation and k of ``DELETED`` or
        ``KEPT`` and ``ALL``. No rows for evidence that makes none of the flips.
    """
    rows, case, sums = _Rows.of(coefficients), flip_case(flips, model), _Sums()
    image = flips["image_index"].to_numpy(np.int64)
    attribute = flips["attribute_index"].to_numpy(np.int64)
    at_once = max(1, CELLS // max(int(rows.length.max(initial=1)), 1))
    rng = np.random.default_rng([seed, 17])
    for start in range(0, len(flips), at_once):
        part = slice(start, start + at_once)
        some, i, j = case.part(part), image[part], attribute[part][:, None]
        atom, w = rows.padded(i)
        flat = (w > 0) / np.maximum((w > 0).sum(axis=1, keepdims=True), 1)

        def toward(atoms: np.ndarray, j=j, some=some) -> np.ndarray:
            says = values[atoms, j]
            return np.where(some.added[:, None], says, 1.0 - says)

        t = toward(atom)
        as_it_stands = np.broadcast_to(np.arange(w.shape[1]), w.shape)  # largest first
        _measure(sums, some, "coefficients", w, t, by_contribution(w, t))
        _measure(sums, some, "largest", w, t, as_it_stands)
        for _ in range(DRAWS):
            order = np.argsort(np.where(w > 0, rng.random(w.shape), 2.0), axis=1)
            _measure(sums, some, "random", w, t, order, 1.0 / DRAWS)
        if features is not None and basis is not None:
            seen, back = np.unique(i, return_inverse=True)
            near = toward(nearest_atoms(features[seen], basis, w.shape[1])[back])
            _measure(sums, some, "nearest", flat, near, by_contribution(flat, near))
            _measure(sums, some, "nearest_weighted", w, near, by_contribution(w, near))
            _measure(sums, some, "closest", w, near, as_it_stands)
    return pd.DataFrame(list(sums.rows()), columns=list(COLUMNS))
