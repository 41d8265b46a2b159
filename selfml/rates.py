"""What the shop's own label is worth: annotation rates on the clean training images.

Notation: ``keep_j`` is the probability that the shop notes attribute j where it is there,
``fp`` the one probability that it notes an attribute where it is not. The log-likelihood ratio
of a given label y is ``y log(keep/fp) + (1-y) log((1-keep)/(1-fp))`` (method.md, Modules 4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

# Pseudo-counts of a rate, from method.md.
HITS, COUNTS = 0.7, 2.0
# Images' worth of the attribute's rate that a category's own rate starts from (our choice).
SHRINK = 4.0
# A category needs this many clean images to have rates of its own (our choice).
CATEGORY_MINIMUM = 15


@dataclass(frozen=True)
class AnnotationRates:
    """Rates and log-likelihood ratios; row 0 is for images of any other category.

    Attributes
    ----------
    keep : (1 + G, L) float
    false_positive : float
    llr : (1 + G, L, 2) float
        Of a given 0 and a given 1.
    categories : tuple of G str
    """

    keep: np.ndarray
    false_positive: float
    llr: np.ndarray
    categories: tuple[str, ...]

    def with_categories(self, names: Sequence[str]) -> AnnotationRates:
        """The same with rows for further categories, whose rates are the attributes' own."""
        more = [name for name in names if name not in self.categories]
        rows = [*range(len(self.keep)), *[0] * len(more)]
        return replace(
            self,
            keep=self.keep[rows],
            llr=self.llr[rows],
            categories=(*self.categories, *more),
        )


def annotation_rates(
    given: np.ndarray, verified: np.ndarray, categories: Sequence[str] | None = None
) -> AnnotationRates:
    """Estimate the rates on clean training images.

    Parameters
    ----------
    given, verified : (C, L) int8
        -1 unknown; cells unknown in either are left out.
    categories : (C,) str or None
        Where given, categories with at least ``CATEGORY_MINIMUM`` images get rates of their
        own, shrunk to the attribute's.
    """
    known = (given >= 0) & (verified >= 0)
    present, absent = known & (verified == 1), known & (verified == 0)
    noted = given == 1
    false_positive = float((noted & absent).sum() + HITS * 0.1) / float(absent.sum() + COUNTS)
    false_positive = float(np.clip(false_positive, 1e-4, 0.5))
    overall = ((noted & present).sum(0) + HITS) / (present.sum(0) + COUNTS)
    names: tuple[str, ...] = ()
    keep = [overall]
    if categories is not None:
        of = np.asarray(categories, dtype=object)
        found, counts = np.unique(of[of != ""].astype(str), return_counts=True)
        names = tuple(found[counts >= CATEGORY_MINIMUM])
        for name in names:
            rows = (of == name)[:, None]
            hits = (noted & present & rows).sum(0) + SHRINK * overall
            keep.append(hits / ((present & rows).sum(0) + SHRINK))
    rates = np.clip(np.stack(keep), 1e-3, 1.0 - 1e-3)
    llr = np.stack(
        [np.log((1 - rates) / (1 - false_positive)), np.log(rates / false_positive)], axis=-1
    )
    return AnnotationRates(rates, false_positive, llr, names)
