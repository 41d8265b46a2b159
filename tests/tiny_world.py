"""What the tiny run is about: categories, mixtures, labels and drawn garments."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy import sparse

NAMES = (
    "Long Sleeved",
    "Round Neck",
    "Dress Length: Long",
    "<script>alert('x')</script>",
    "=1+1",
    "An attribute whose name is as long as sixty characters goes.",
)
CATEGORIES = ("dresses", "jackets", "knitwear", "tops")
COLOURS = ("#b23a48", "#2f6690", "#3a7d44", "#8d6a9f", "#d98e04", "#4a4e69")
N_FEATURES = 8


@dataclass(frozen=True)
class World:
    """What the run is about, before anything is written; axes as in ``selfml.run``."""

    category: np.ndarray
    split: np.ndarray
    atoms: np.ndarray  # (K,) image_index of each basis image
    coefficients: sparse.csr_matrix
    features: np.ndarray
    places: np.ndarray  # (N, 2)
    truth: np.ndarray
    given: np.ndarray
    verified: np.ndarray


def attribute_names(n_attributes: int) -> list[str]:
    """Names with odd characters first, then plain ones."""
    return [*NAMES, *(f"Attribute {i}" for i in range(len(NAMES), n_attributes))][:n_attributes]


def _coefficients(
    rng: np.random.Generator, category: np.ndarray, atoms: np.ndarray, n_used: int
) -> sparse.csr_matrix:
    """Rows on the simplex over the first ``n_used`` atoms, mostly those of one's category."""
    n, k = len(category), len(atoms)
    weight = rng.gamma(0.25, size=(n, k)) * np.where(category[:, None] == category[atoms], 4, 0.05)
    weight[:, n_used:] = 0.0
    weight[weight < np.sort(weight, axis=1)[:, [-min(4, k)]]] = 0.0
    own = atoms[:n_used]
    weight /= weight.sum(axis=1, keepdims=True)
    weight[own] *= 0.1
    weight[own, np.arange(n_used)] += 0.9
    rounded = weight.astype(np.float32)
    rounded[rounded < 1e-3] = 0.0
    rounded /= rounded.sum(axis=1, keepdims=True)
    return sparse.csr_matrix(rounded)


def draw_world(n_images: int, n_atoms: int, n_attributes: int, rng: np.random.Generator) -> World:
    """Draw categories, splits, mixtures and labels."""
    category = rng.integers(len(CATEGORIES), size=n_images)
    share = np.array([0.6, 0.1, 0.2, 0.1])
    edges = (np.cumsum(share) * n_images).astype(int)
    split = np.searchsorted(edges, np.arange(n_images), side="right").clip(max=3)
    clean_train = np.flatnonzero(split == 2)
    if len(clean_train) < n_atoms:
        raise ValueError(
            f"n_atoms: at most {len(clean_train)} for {n_images} images, got {n_atoms}"
        )
    atoms = np.sort(rng.choice(clean_train, n_atoms, replace=False))
    used = max(1, n_atoms - 1)  # the last atom is in nobody's mixture
    coefficients = _coefficients(rng, category, atoms, used)
    basis = rng.normal(size=(n_atoms, N_FEATURES))
    features = coefficients @ basis + rng.normal(scale=0.1, size=(n_images, N_FEATURES))
    angle = 2 * np.pi * (category[atoms] + rng.uniform(-0.3, 0.3, n_atoms)) / len(CATEGORIES)
    corner = np.column_stack([np.cos(angle), np.sin(angle)]) * rng.uniform(25, 45, (n_atoms, 1))
    places = coefficients @ corner + rng.normal(scale=1.2, size=(n_images, 2))
    rate = np.linspace(0.5, 0.25, n_attributes)
    atom_labels = (rng.random((n_atoms, n_attributes)) < rate).astype(np.float64)
    chance = np.clip(coefficients @ atom_labels + rng.normal(scale=0.12, size=(n_images, 1)), 0, 1)
    truth = (chance > 0.5).astype(np.int8)
    truth[atoms] = atom_labels.astype(np.int8)
    given = np.where(truth == 1, rng.random(truth.shape) < 0.45, rng.random(truth.shape) < 0.12)
    given = np.where(rng.random(truth.shape) < 0.03, -1, given).astype(np.int8)
    checked = (split >= 2) | (rng.random(n_images) < 0.5)
    verified = np.where(checked[:, None], truth, -1).astype(np.int8)
    return World(category, split, atoms, coefficients, features, places, truth, given, verified)


def _draw(category: int, colour: str, long_sleeves: bool) -> bytes:
    """A garment of 96 x 96 pixels as WebP."""
    image = Image.new("RGB", (96, 96), "#f4f1ec")
    draw = ImageDraw.Draw(image)
    hem, width = ((86, 30), (66, 24), (64, 22), (58, 20))[category]
    draw.polygon([(36, 18), (60, 18), (48 + width, hem), (48 - width, hem)], fill=colour)
    reach = 62 if long_sleeves else 38
    draw.line([(38, 22), (16, reach)], fill=colour, width=10)
    draw.line([(58, 22), (80, reach)], fill=colour, width=10)
    draw.ellipse([40, 12, 56, 26], fill="#f4f1ec")
    if category == 1:
        draw.line([(48, 24), (48, hem)], fill="#f4f1ec", width=2)
    sink = io.BytesIO()
    image.save(sink, "WEBP", quality=70, method=0)
    return sink.getvalue()


def thumbnails(world: World, rng: np.random.Generator) -> tuple[bytes, np.ndarray, np.ndarray]:
    """All thumbnails in one piece, with offsets and sizes; equal drawings are stored once."""
    parts: dict[tuple[int, str, bool], tuple[int, bytes]] = {}
    offset, sizes = np.zeros(len(world.category), np.int64), np.zeros(len(world.category), np.int32)
    end = 0
    for i, category in enumerate(world.category):
        colour = COLOURS[rng.integers(len(COLOURS))]
        key = (int(category), colour, bool(world.truth[i, 0]))
        if key not in parts:
            parts[key] = (end, _draw(*key))
            end += len(parts[key][1])
        offset[i], sizes[i] = parts[key][0], len(parts[key][1])
    return b"".join(data for _, data in parts.values()), offset, sizes
