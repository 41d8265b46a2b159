"""What each garment of the synthetic catalogue is, and what the shop wrote down about it.

No image is drawn here. Every image has its own 32 uniform numbers, drawn from ``(seed, image
index)`` alone, so image i has the same labels in a catalogue of any size. The figures imitate
section 3 of the paper: 17 attributes, 4 categories, 3.40 true labels an image against 1.28 given
ones, and gaps that follow the category (no jacket is ever noted as Long Sleeved). The tables of
probabilities are our choice, made to reach those means with plausible clothes.
"""

from dataclasses import dataclass

import numpy as np

ATTRIBUTES: tuple[str, ...] = (
    "Round Neck",
    "V-Neck",
    "Long Sleeved",
    "Short Sleeved",
    "Sleeveless",
    "Dress Length Long",
    "Dress Length Short",
    "Dress Silhouette Flared",
    "Dress Silhouette Fitted",
    "Striped",
    "Floral",
    "Checked",
    "Occasion Formal",
    "Occasion Casual",
    "Zip Closure",
    "Button Closure",
    "Hooded",
)
CATEGORIES: tuple[str, ...] = ("dresses", "jackets", "knitwear", "tops")

N_UNIFORMS = 32
"""Uniform numbers an image's labels are made of: 8 choose the truth, 1 the annotator's care, 17
the given labels, 1 the place in the queue for verification; the rest are spare."""

_CATEGORY_SHARE = (0.30, 0.20, 0.20, 0.30)

# One row a category (the order of CATEGORIES), one column a choice; what is left is "none of them".
_NECK = ((0.37, 0.29), (0.20, 0.22), (0.50, 0.27), (0.50, 0.24))  # round, V
_SLEEVE = ((0.30, 0.30, 0.40), (0.88, 0.05, 0.07), (0.80, 0.11, 0.09), (0.28, 0.48, 0.24))
_LENGTH = ((0.40, 0.42), (0, 0), (0, 0), (0, 0))  # long, short
_SILHOUETTE = ((0.44, 0.38), (0, 0), (0, 0), (0, 0))  # flared, fitted
_PATTERN = ((0.08, 0.19, 0.03), (0.03, 0.02, 0.08), (0.18, 0.05, 0.03), (0.17, 0.12, 0.05))
_OCCASION = ((0.34, 0.36), (0.30, 0.42), (0.10, 0.42), (0.15, 0.40))  # formal, casual
_CLOSURE = ((0.05, 0.10), (0.46, 0.40), (0.07, 0.20), (0.02, 0.16))  # zip, button
_HOOD = (0.0, 0.20, 0.06, 0.03)

# The chance that the shop notes an attribute that is there; columns follow ATTRIBUTES.
_NOTED = (
    # necks    sleeves           lengths     shapes      patterns          occasions   zip btn hood
    (0.41, 0.43, 0.27, 0.31, 0.10, 0.64, 0.52, 0.33, 0.20, 0.60, 0.72, 0.50, 0.50, 0.08, 0, 0, 0),
    (0.00, 0.04, 0.00, 0.40, 0.45, 0, 0, 0, 0, 0.50, 0.50, 0.55, 0.46, 0.36, 0.52, 0.34, 0.75),
    (0.46, 0.52, 0.36, 0.30, 0.02, 0, 0, 0, 0, 0.66, 0.42, 0.40, 0.20, 0.02, 0.40, 0.46, 0.60),
    (0.36, 0.46, 0.42, 0.46, 0.50, 0, 0, 0, 0, 0.66, 0.62, 0.50, 0.25, 0.25, 0.20, 0.03, 0.50),
)
_CARE_RANGE = (0.40, 1.45)  # one annotator notes more than another: multiplies a whole image's row
_FALSE_POSITIVE = 0.0155  # a wrong label that the category can have
_FALSE_POSITIVE_ODD = 0.004  # one that it cannot have, such as Dress Length Long on a top
_NEVER_GIVEN = {"jackets": ("Long Sleeved", "Round Neck"), "dresses": ("Zip Closure",)}


@dataclass(frozen=True)
class CatalogueLabels:
    """Labels of N images, row i being image i.

    Attributes
    ----------
    category_index : ndarray of int, (N,)
        Position in ``CATEGORIES``.
    labels_true, labels_given : ndarray of int8, (N, 17)
        0 or 1; columns follow ``ATTRIBUTES``.
    verification_rank : ndarray of int, (N,)
        0 for the image that experts verify first. It depends on N, the rest does not.
    """

    category_index: np.ndarray
    labels_true: np.ndarray
    labels_given: np.ndarray
    verification_rank: np.ndarray


def draw_labels(n_images: int, seed: int = 0) -> CatalogueLabels:
    """Draw the categories, the true and the given labels of a catalogue.

    Parameters
    ----------
    n_images : int
        How many images, at least 1.
    seed : int
        Not negative. Image i's labels depend on ``(seed, i)`` only.

    Returns
    -------
    CatalogueLabels
        About 3.4 true and 1.28 given labels an image.
    """
    uniforms = np.stack(
        [np.random.default_rng((seed, i, 0)).random(N_UNIFORMS) for i in range(n_images)]
    )
    category_index = _choose(uniforms[:, 0], np.tile(_CATEGORY_SHARE, (n_images, 1)))
    labels_true = _true_labels(category_index, uniforms[:, 1:9])
    labels_given = _given_labels(category_index, labels_true, uniforms[:, 9], uniforms[:, 10:27])
    rank = np.empty(n_images, dtype=np.int64)
    rank[np.argsort(uniforms[:, 27], kind="stable")] = np.arange(n_images)
    return CatalogueLabels(category_index, labels_true, labels_given, rank)


def _choose(uniform: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Column that each uniform number falls in; the number of columns where it falls in none."""
    return (uniform[:, None] >= np.cumsum(probabilities, axis=1)).sum(axis=1)


def _true_labels(category: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """True labels (N, 17) from 8 uniform numbers an image, group by group."""
    labels = np.zeros((len(category), len(ATTRIBUTES)), dtype=np.int8)

    def settle(group: tuple[str, ...], column: int, probabilities: np.ndarray) -> None:
        chosen = _choose(uniforms[:, column], probabilities)
        for k, name in enumerate(group):
            labels[:, ATTRIBUTES.index(name)] = chosen == k

    def has(name: str) -> np.ndarray:
        return labels[:, ATTRIBUTES.index(name)][:, None] == 1

    def table(rows: tuple) -> np.ndarray:
        return np.asarray(rows, dtype=float).reshape(len(CATEGORIES), -1)[category]

    settle(("Hooded",), 0, table(_HOOD))
    settle(("Round Neck", "V-Neck"), 1, table(_NECK) * np.where(has("Hooded"), 0.6, 1.0))
    settle(("Long Sleeved", "Short Sleeved", "Sleeveless"), 2, table(_SLEEVE))
    settle(("Dress Length Long", "Dress Length Short"), 3, table(_LENGTH))
    settle(("Dress Silhouette Flared", "Dress Silhouette Fitted"), 4, table(_SILHOUETTE))
    settle(("Striped", "Floral", "Checked"), 5, table(_PATTERN))
    more_zips = np.where(has("Hooded"), (1.45, 0.45), (1.0, 1.0))
    settle(("Zip Closure", "Button Closure"), 6, table(_CLOSURE) * more_zips)
    tilt = np.where(has("Hooded"), (0.05, 1.7), (1.0, 1.0))
    tilt = tilt * np.where(has("Dress Length Long"), (1.55, 0.6), (1.0, 1.0))
    tilt = tilt * np.where(has("Zip Closure"), (0.45, 1.15), (1.0, 1.0))
    tilt = tilt * np.where(has("Checked"), (0.6, 1.3), (1.0, 1.0))
    settle(("Occasion Formal", "Occasion Casual"), 7, table(_OCCASION) * tilt)
    return labels


def _given_labels(
    category: np.ndarray, labels_true: np.ndarray, care: np.ndarray, uniforms: np.ndarray
) -> np.ndarray:
    """Given labels (N, 17): attributes noted by habit of the category, and some wrong ones."""
    noted = np.asarray(_NOTED)
    low, high = _CARE_RANGE
    keep = noted[category] * (low + (high - low) * care)[:, None]
    wrong = np.where(noted > 0, _FALSE_POSITIVE, _FALSE_POSITIVE_ODD)
    for name, never in _NEVER_GIVEN.items():
        for attribute in never:
            wrong[CATEGORIES.index(name), ATTRIBUTES.index(attribute)] = 0.0
    chance = np.where(labels_true == 1, keep, wrong[category])
    return (uniforms < chance).astype(np.int8)
