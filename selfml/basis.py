"""Which images the basis starts from, and where its labels come from (paper section 2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.cluster import kmeans_plusplus

from selfml.config import BasisConfig
from selfml.hull import farthest_first


@dataclass(frozen=True)
class BasisLabels:
    """Labels of K atoms and the images they were read from.

    Attributes
    ----------
    labels : (K, L) int8
        -1 unknown.
    image_index : (K,) int
        The image whose verified labels these are, which is also the image shown.
    distance : (K,) float
        Euclidean, from the atom to that image's features.
    source : str
        ``oracle`` or ``nearest_clean``.
    """

    labels: np.ndarray
    image_index: np.ndarray
    distance: np.ndarray
    source: str


def choose_sample(
    features: np.ndarray,
    candidates: np.ndarray,
    config: BasisConfig,
    *,
    seed: int,
    sufficient: int = 20_000,
) -> np.ndarray:
    """Image indices of X_sample, at most ``config.n_atoms`` of the candidates, ascending.

    All candidates where they are no more than that; else by k-means++ seeding, farthest-first
    or chance, on at most ``sufficient`` of them.
    """
    rng = np.random.default_rng([seed, 11])
    candidates = np.sort(np.asarray(candidates))
    if len(candidates) <= config.n_atoms:
        return candidates
    if len(candidates) > sufficient:
        candidates = np.sort(rng.choice(candidates, sufficient, replace=False))
    points = np.asarray(features[candidates], np.float32)
    if config.seed_with == "random":
        chosen = rng.choice(len(candidates), config.n_atoms, replace=False)
    elif config.seed_with == "farthest":
        chosen = farthest_first(points, config.n_atoms, seed=seed)
    else:
        _, chosen = kmeans_plusplus(points, config.n_atoms, random_state=seed)
    return np.unique(candidates[np.asarray(chosen)])


def label_by_oracle(
    basis: np.ndarray, features: np.ndarray, sample: np.ndarray, labels: np.ndarray
) -> BasisLabels:
    """Strategy 1: an expert has labelled the sampled images; ``labels`` (N, L), -1 unknown."""
    distance = np.linalg.norm(basis - features[sample], axis=1)
    return BasisLabels(labels[sample].astype(np.int8), sample, distance, "oracle")


def label_by_nearest_clean(
    basis: np.ndarray, features: np.ndarray, clean_rows: np.ndarray, labels: np.ndarray
) -> BasisLabels:
    """Strategy 2: each atom takes the labels of the nearest clean training image.

    Parameters
    ----------
    basis : (K, d) float
    features : (N, d) float
    clean_rows : (C,) int
        Clean training images only: a test image must never lend its labels.
    labels : (N, L) int8
        Verified labels, -1 unknown.
    """
    clean = np.asarray(features[clean_rows], np.float64)
    atoms = np.asarray(basis, np.float64)
    squared = np.square(atoms).sum(1)[:, None] + np.square(clean).sum(1) - 2.0 * atoms @ clean.T
    nearest = np.argmin(squared, axis=1)
    distance = np.sqrt(np.maximum(squared[np.arange(len(atoms)), nearest], 0.0))
    index = np.asarray(clean_rows)[nearest]
    return BasisLabels(labels[index].astype(np.int8), index, distance, "nearest_clean")
