"""What the shop files an image under: which categories count, and their place in arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

CATEGORY_FLOOR = 0.02  # keeps a rare category from standing far outside (our choice)
CATEGORY_IMAGES = 5  # a category with fewer images has no place of its own (our choice)


def category_names(categories: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Names (G,), sorted, of the categories that ``CATEGORY_IMAGES`` or more of ``rows`` have.

    Parameters
    ----------
    categories : (N,) str
        "" or None where unknown.
    rows : (M,) int
    """
    of = np.array([str(name or "") for name in np.asarray(categories, dtype=object)[rows]], str)
    found, counts = np.unique(of, return_counts=True)
    return found[(found != "") & (counts >= CATEGORY_IMAGES)]


def category_places(
    categories: Sequence[str | None] | None, names: Sequence[str], n_images: int
) -> np.ndarray:
    """1 + place in ``names`` of each image's category, (N,) int32; 0 for any other or none."""
    if categories is None:
        return np.zeros(n_images, np.int32)
    places = {str(name): i + 1 for i, name in enumerate(names)}
    return np.array([places.get(name, 0) for name in categories], np.int32)


def category_shares(categories: np.ndarray, names: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Share (G,) of ``rows`` that is filed under each of ``names``."""
    of = np.array([str(name or "") for name in np.asarray(categories, dtype=object)[rows]])
    return (of[:, None] == names).mean(axis=0)


def category_indicators(
    categories: Sequence[str | None], names: np.ndarray, share: np.ndarray
) -> np.ndarray:
    """Standardised indicators (n, G) of images' categories; 0 everywhere for any other category."""
    inside = np.array([str(name or "") for name in categories])[:, None] == names
    block = (inside - share) / np.sqrt(share * (1 - share) + CATEGORY_FLOOR)
    return np.where(inside.any(axis=1, keepdims=True), block, 0.0)


def category_block(categories: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Names (G,) and standardised indicators (N, G) of the categories of an image.

    Parameters
    ----------
    categories : (N,) str
        "" where unknown; such an image, or one of a category that fewer than ``CATEGORY_IMAGES``
        of ``rows`` have, has the mean, 0, everywhere.
    rows : (M,) int
        Images whose shares of the categories are taken.
    """
    names = category_names(categories, rows)
    share = category_shares(categories, names, rows)
    return names, category_indicators(categories, names, share)
