"""Whether the explanations are the reasons: deletion, sufficiency, agreement, stability.

In the notation of :mod:`selfml.flip_cases`, and *top* means: contributes most toward the label
(ties: the larger coefficient, then the lower index).

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

from selfml.flip_cases import FlipCase, by_contribution, flip_case, shares
from selfml.flips import EvidenceModel
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


def agreement_rows(given: np.ndarray, full: np.ndarray, strict: np.ndarray) -> pd.DataFrame:
    """How often one kind of evidence makes the flips of the other, overall and by attribute.

    Parameters
    ----------
    given, full, strict : (N, L) int8
        Labels as given and as each evidence corrects them; -1 unknown is no flip.

    Returns
    -------
    DataFrame
        ``COLUMNS``; attribute_index -1 is all, attributes without a flip have no row.
    """
    made = {
        "full": (given >= 0) & (full != given),
        "strict": (given >= 0) & (strict != given),
    }
    both = (made["full"] & made["strict"]).sum(axis=0)
    rows = []
    for kind in EVIDENCE:
        n = made[kind].sum(axis=0)
        counts = [(-1, both.sum(), n.sum()), *zip(range(len(n)), both, n, strict=True)]
        rows += [
            ("agreement", kind, "coefficients", 0, j, 100.0 * hits / total, int(total))
            for j, hits, total in counts
            if total
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def stability_rows(
    before: sparse.csr_matrix,
    after: sparse.csr_matrix,
    given: np.ndarray,
    labels: dict[str, tuple[np.ndarray, np.ndarray]],
) -> pd.DataFrame:
    """What a slight change of n images changes in their explanations and flips.

    Parameters
    ----------
    before, after : scipy.sparse CSR (n, K)
        Coefficients of the image and of the changed image.
    given : (n, L) int8
    labels : dict of str to pair of (n, L) int8
        By evidence: corrected labels before and after.

    Returns
    -------
    DataFrame
        ``COLUMNS``; the measures ``stability_*``. Empty without images.
    """
    a, b = sparse.csr_matrix(before), sparse.csr_matrix(after)
    n = a.shape[0]
    if not n:
        return pd.DataFrame(columns=list(COLUMNS))
    used_a, used_b = (a > 0).astype(np.int64), (b > 0).astype(np.int64)
    common = np.asarray(used_a.multiply(used_b).sum(axis=1)).ravel()
    either = np.asarray((used_a + used_b > 0).sum(axis=1)).ravel()
    distance = np.asarray(abs(a - b).sum(axis=1)).ravel()
    same = np.asarray(a.argmax(axis=1)).ravel() == np.asarray(b.argmax(axis=1)).ravel()
    rows = [
        ("stability_jaccard", 100.0 * float(np.mean(common / np.maximum(either, 1)))),
        ("stability_l1", float(distance.mean())),
        ("stability_top", 100.0 * float(same.mean())),
    ]
    found = [(name, "", "changed", 0, -1, value, n) for name, value in rows]
    for kind, (old, new) in labels.items():
        flipped = (given >= 0) & (old != given)
        if flipped.any():
            stay = 100.0 * float((new == old)[flipped].mean())
            found.append(("stability_flips", kind, "changed", 0, -1, stay, int(flipped.sum())))
    return pd.DataFrame(found, columns=list(COLUMNS))
