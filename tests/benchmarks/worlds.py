"""Drawn catalogues of any size, for the benchmarks: mixtures, evidence, whole runs.

Basis images are used unevenly, more so than in trained runs. :func:`build_run` writes all files
that a trained run of that size has, with the evidence of ``selfml.flips``, so that every page of
the dashboard opens; a few drawn garments serve as thumbnails of all images.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

from selfml import flips
from selfml.counterfactual import Counterfactuals
from selfml.effects import FlipIndex
from selfml.flips import EvidenceModel
from selfml.run import Run, RunWriter
from tests.tiny_run import write_run
from tests.tiny_world import CATEGORIES, N_FEATURES, World

SPLIT_SHARES = (0.8, 0.1, 0.05, 0.05)  # of SPLITS
WRONG = 0.15  # labels as given that are wrong, so that about three an image are flipped
VERSION = 1  # of what build_run writes; a kept run of another one is built again


def mixtures(
    n_images: int, n_atoms: int, non_zeros: int, rng: np.random.Generator
) -> sparse.csr_matrix:
    """Coefficients, (N, K) CSR float32: ``non_zeros`` draws an image, some of the same atom."""
    popular = rng.pareto(1.5, n_atoms) + 0.2
    atoms = rng.choice(n_atoms, (n_images, non_zeros), p=popular / popular.sum())
    shares = rng.dirichlet(np.ones(non_zeros), n_images).astype(np.float32)
    rows = np.repeat(np.arange(n_images, dtype=np.int32), non_zeros)
    return sparse.csr_matrix((shares.ravel(), (rows, atoms.ravel())), (n_images, n_atoms))


def draw(
    n_images: int, n_atoms: int, n_attributes: int, non_zeros: int, flip_bias: float, seed: int
) -> tuple[Counterfactuals, np.ndarray, np.ndarray]:
    """Counterfactuals over drawn arrays, and image_index and attribute_index of its flips.

    Parameters
    ----------
    flip_bias : float
        Log-odds by which the classifier contradicts the given labels; more gives more flips.
    """
    rng = np.random.default_rng(seed)
    mixed = mixtures(n_images, n_atoms, non_zeros, rng)
    shape = (n_images, n_attributes)
    given = rng.choice(np.array([-1, 0, 1], np.int8), shape, p=[0.05, 0.75, 0.2])
    against = np.where(given == 1, -flip_bias, flip_bias)
    model = EvidenceModel(
        prior=rng.uniform(0.02, 0.5, n_attributes),
        smoothing=0.1,
        bias=rng.normal(size=n_attributes),
        basis_weight=rng.uniform(0.5, 1.5, n_attributes),
        strict_bias=rng.normal(size=n_attributes),
        strict_basis_weight=rng.uniform(0.5, 1.5, n_attributes),
        llr=rng.normal(size=(6, n_attributes, 2)),
        categories=tuple("abcde"),
    )
    terms = [
        (against + rng.normal(size=shape)).astype(np.float32),
        rng.normal(size=shape).astype(np.float32),
    ]
    labels = rng.choice(np.array([-1, 0, 1], np.int8), (n_atoms, n_attributes), p=[0.1, 0.6, 0.3])
    category = rng.integers(0, 6, n_images)
    scores = flips.label_scores(mixed, flips.basis_values(labels, model.prior))
    score = flips.evidence(model, scores, given, category, *terms).score
    image, attribute = np.nonzero((given >= 0) & (flips.corrected_labels(given, score) != given))
    index = FlipIndex.build(image, attribute, n_images)
    world = Counterfactuals(
        model, "full", mixed.tocsc(), mixed, labels, given, *terms, category, index
    )
    return world, image, attribute


def large_world(n_images: int, n_atoms: int, n_attributes: int, seed: int = 0) -> World:
    """What a run of this size is about; as ``tests.tiny_world.draw_world``, but sparse.

    An image is mixed mostly of atoms of its category; each atom stands at its own place of the
    map, and images lie between those they are made of.

    Raises
    ------
    ValueError
        When the images of clean_train are fewer than the atoms.
    """
    rng = np.random.default_rng(seed)
    edges = (np.cumsum(SPLIT_SHARES) * n_images).round().astype(int)
    split = np.searchsorted(edges, rng.permutation(n_images), side="right").clip(max=3)
    clean = np.flatnonzero(split == 2)
    if len(clean) < n_atoms:
        raise ValueError(f"n_atoms: at most {len(clean)} for {n_images} images, got {n_atoms}")
    atoms = np.sort(rng.choice(clean, n_atoms, replace=False))
    coefficients = mixtures(n_images, n_atoms, 11, rng)
    leading = np.asarray(coefficients.argmax(axis=1)).ravel()
    group = rng.integers(len(CATEGORIES), size=n_atoms)
    category = group[leading]
    own = sparse.csr_matrix((np.full(n_atoms, 0.9, np.float32), (atoms, np.arange(n_atoms))),
                            coefficients.shape)  # fmt: skip
    keep = np.ones(n_images, np.float32)
    keep[atoms] = 0.1
    coefficients = (sparse.diags(keep) @ coefficients + own).tocsr().astype(np.float32)
    basis = rng.normal(size=(n_atoms, N_FEATURES))
    features = coefficients @ basis + rng.normal(scale=0.1, size=(n_images, N_FEATURES))
    angle = 2 * np.pi * (group + rng.uniform(-0.3, 0.3, n_atoms)) / len(CATEGORIES)
    corner = np.column_stack([np.cos(angle), np.sin(angle)]) * rng.uniform(25, 45, (n_atoms, 1))
    places = coefficients @ corner + 0.5 * corner[leading] + rng.normal(size=(n_images, 2))
    atom_labels = rng.random((n_atoms, n_attributes)) < np.linspace(0.5, 0.25, n_attributes)
    truth = (coefficients @ atom_labels.astype(np.float32) > 0.5).astype(np.int8)
    given = np.where(rng.random(truth.shape) < WRONG, 1 - truth, truth)
    given[rng.random(truth.shape) < 0.03] = -1
    verified = np.where((split >= 2)[:, None], truth, -1).astype(np.int8)
    return World(
        category, split, atoms, coefficients, features, places, truth, given.astype(np.int8),
        verified,
    )  # fmt: skip


def build_run(
    path: str | Path, n_images: int, n_atoms: int = 500, n_attributes: int = 31, seed: int = 0
) -> Path:
    """Write a drawn run of ``n_images``, or keep the one that is there; returns its folder."""
    path = Path(path)
    wanted = {"built": VERSION, "n_images": n_images, "n_atoms": n_atoms}
    if (path / "run.json").exists():
        info = Run(path).info
        if wanted.items() <= info.items() and info.get("status") == "complete":
            return path
    write_run(path, large_world(n_images, n_atoms, n_attributes, seed), seed)
    RunWriter(path).update(**wanted)
    return path
