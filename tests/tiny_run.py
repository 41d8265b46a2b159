"""A small, complete and internally consistent run, for every test of the browsing side.

Nothing is trained: garments are drawn, images are mixed from a few basis images, labels are
derived from what was drawn and then spoilt. The evidence is that of ``selfml.flips``, so
receipts add up. With ``n_images=3000`` it is also good for looking at the dashboard:

    python -m tests.tiny_run runs/drawn 3000
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from scipy import sparse

from selfml.flips import (
    EvidenceModel,
    basis_values,
    corrected_labels,
    evidence,
    flips_frame,
    label_scores,
    sigmoid,
)
from selfml.run import METHODS, RunWriter

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
TABLE_1 = {
    "precision_at_k": (68.2, 83.8, 86.3),
    "recall_at_k": (57.7, 83.9, 86.8),
    "f1_at_k": (56.3, 83.8, 86.3),
    "ap_all": (75.0, 87.3, 89.5),
    "map": (65.7, 70.9, 75.0),
    "jaccard": (29.6, 74.9, 78.8),
    "exact_match": (1.6, 41.7, 50.0),
}


@dataclass(frozen=True)
class _World:
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


def _world(n_images: int, n_atoms: int, n_attributes: int, rng: np.random.Generator) -> _World:
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
    return _World(category, split, atoms, coefficients, features, places, truth, given, verified)


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


def _thumbnails(world: _World, rng: np.random.Generator) -> tuple[bytes, np.ndarray, np.ndarray]:
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


def _images(world: _World, offset: np.ndarray, sizes: np.ndarray, maps: bool) -> pd.DataFrame:
    names = np.array([*CATEGORIES, None], object)
    category = np.where(np.arange(len(world.category)) % 29 == 28, 4, world.category)
    active = np.diff(world.coefficients.indptr)
    rebuilt = world.coefficients @ world.features[world.atoms]
    turn = np.array([[0.0, 1.0], [-0.6, 0.1]])
    umap = world.places @ turn / 4
    nothing = np.full(len(category), np.nan)
    return pd.DataFrame(
        {
            "image_index": np.arange(len(category)),
            "image_id": [f"photos/item-{i:05d}.jpg" for i in range(len(category))],
            "split": np.array(["noisy_train", "noisy_test", "clean_train", "clean_test"])[
                world.split
            ],
            "category": names[category],
            "thumbnail_offset": offset,
            "thumbnail_bytes": sizes,
            "hull_distance": np.linalg.norm(world.features - rebuilt, axis=1),
            "n_active": active,
            "map_tsne_x": world.places[:, 0] if maps else nothing,
            "map_tsne_y": world.places[:, 1] if maps else nothing,
            "map_umap_x": umap[:, 0] if maps else nothing,
            "map_umap_y": umap[:, 1] if maps else nothing,
        }
    )


def _evidence_model(world: _World) -> EvidenceModel:
    n_attributes = world.truth.shape[1]
    prior = np.clip(world.truth.mean(axis=0), 0.05, 0.95)
    ones = np.ones(n_attributes)
    llr = np.stack([np.stack([-0.5 * ones, 2.2 * ones], axis=1)] * (1 + len(CATEGORIES)))
    llr[2, :, 0] = -0.1  # in jackets a missing label says little
    return EvidenceModel(
        prior=prior,
        smoothing=0.05,
        bias=-0.2 * ones,
        basis_weight=0.7 * ones,
        strict_bias=-0.1 * ones,
        strict_basis_weight=1.1 * ones,
        llr=llr,
        categories=CATEGORIES,
    )


def _basis(world: _World, images: pd.DataFrame) -> pd.DataFrame:
    """The basis table; the last atom is shown by its nearest clean image."""
    columns = world.coefficients.tocsc()
    k = len(world.atoms)
    source = np.array(["oracle"] * k, object)
    source[-1] = "nearest_clean"
    return pd.DataFrame(
        {
            "basis_index": np.arange(k),
            "image_index": world.atoms,
            "image_id": images["image_id"].to_numpy()[world.atoms],
            "label_source": source,
            "distance": np.where(np.arange(k) == k - 1, 0.4, 0.0),
            "usage": np.diff(columns.indptr),
            "mass": np.asarray(columns.sum(axis=0)).ravel(),
            "self_coefficient": np.asarray(columns[world.atoms, np.arange(k)]).ravel(),
        }
    )


def _attributes(world: _World) -> pd.DataFrame:
    known = np.where(world.given < 0, np.nan, world.given)
    verified = np.where(world.verified < 0, np.nan, world.verified)
    n = world.truth.shape[1]
    return pd.DataFrame(
        {
            "attribute_index": np.arange(n),
            "name": attribute_names(n),
            "group": ["shape" if j % 2 else "detail" for j in range(n)],
            "prevalence_given": np.nanmean(known, axis=0),
            "prevalence_verified": np.nanmean(verified, axis=0),
        }
    )


def _metrics(world: _World, corrected: np.ndarray, flips: pd.DataFrame) -> pd.DataFrame:
    """Table 1 with the paper's figures; what is about labels and flips is counted."""
    rows = [
        (method, name, values[i], f"{name} on the verified test images, in %")
        for name, values in TABLE_1.items()
        for i, method in enumerate(METHODS)
    ]
    known = (world.verified >= 0) & (world.given >= 0)
    before = 100 * float((world.given == world.verified)[known].mean())
    after = 100 * float((corrected == world.verified)[known].mean())
    judged = flips[flips["truth"] >= 0]
    precision = 100 * float((judged["corrected"] == judged["truth"]).mean())
    counts = np.diff(world.coefficients.indptr)
    own = {
        "label_accuracy_before": (before, "given labels that equal the verified ones, in %"),
        "label_accuracy_after": (after, "corrected labels that equal the verified ones, in %"),
        "residual_noise_before": (100 - before, "given labels that are wrong, in %"),
        "residual_noise_after": (100 - after, "corrected labels that are wrong, in %"),
        "flip_precision": (precision, "flips that agree with the verified label, in %"),
        "atoms_used": (len(world.atoms) - 1.0, "basis images with a coefficient above .05"),
        "nonzeros_per_image": (float(counts.mean()), "basis images an image is made of"),
        "self_coefficient": (0.9, "mean share of a basis image in itself"),
        "r2": (81.0, "explained variance of the features by the reconstruction, in %"),
        "r2_hull": (84.0, "explained variance by the best convex combination, in %"),
        "r2_pca": (88.0, "explained variance by as many principal components less one, in %"),
    }
    rows += [("self_ml", name, value, text) for name, (value, text) in own.items()]
    return pd.DataFrame(rows, columns=["method", "metric", "value", "definition"])


def _attribute_metrics(
    world: _World, flips: pd.DataFrame, rng: np.random.Generator
) -> pd.DataFrame:
    rows = []
    support = ((world.verified == 1) & (world.split == 3)[:, None]).sum(axis=0)
    for j in range(world.truth.shape[1]):
        base = float(rng.uniform(40, 80))
        for step, method in enumerate(METHODS):
            ap = base + 6.0 * step
            rows.append((j, method, "ap", ap, ap - 5, ap + 5, support[j]))
        gain = float(rng.uniform(-2, 12))
        rows.append((j, "self_ml", "ap_gain", gain, gain - 3, gain + 3, support[j]))
        mine = flips[flips["attribute_index"] == j]
        for label in (0, 1):
            part = mine[mine["corrected"] == label]
            rows.append((j, "self_ml", f"flips_to_{label}", len(part), None, None, len(part)))
            judged = part[part["truth"] >= 0]
            right = 100 * (judged["truth"] == label).mean() if len(judged) else None
            name = f"flip_precision_to_{label}"
            rows.append((j, "self_ml", name, right, None, None, len(judged)))
    columns = ["attribute_index", "method", "metric", "value", "low", "high", "support"]
    return pd.DataFrame(rows, columns=columns)


def _history(writer: RunWriter, n_steps: int) -> None:
    for step in range(10, n_steps + 1, 10):
        fade = float(np.exp(-step / 80))
        values = {
            "loss": 0.2 + fade,
            "loss_class": 0.1 + 0.5 * fade,
            "loss_bs": 0.06 + 0.3 * fade,
            "loss_ef": 0.04 + 0.2 * fade,
        }
        if step % 20 == 0:
            values |= {"map": 75 - 30 * fade, "atoms_used": 8 + 30 * fade, "flips": 4 * step}
        writer.append_history("joint", step, values)


def _write_arrays(writer: RunWriter, arrays: dict[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        writer.write_array(name, array)


def _describe(writer: RunWriter, shape: tuple[int, int, int], seed: int, **fields: object) -> None:
    n_images, n_atoms, n_attributes = shape
    writer.write_text("config.toml", f"seed = {seed}\n[basis]\nn_atoms = {n_atoms}\n")
    writer.update(
        dataset={"name": "drawn garments", "sha256": "0" * 64},
        git_commit="0" * 40,
        versions={"selfml": "0.1.0"},
        seed=seed,
        n_images=n_images,
        n_atoms=n_atoms,
        n_attributes=n_attributes,
        n_features=N_FEATURES,
        stages=[{"stage": "joint", "steps": 400}],
        **fields,
    )


def build_tiny_run(
    path: str | Path,
    n_images: int = 60,
    n_atoms: int = 8,
    n_attributes: int = 6,
    seed: int = 0,
    *,
    status: str = "complete",
    maps: bool = True,
) -> Path:
    """Write a run directory.

    Parameters
    ----------
    path : str or Path
        The run directory, made when missing.
    n_images, n_atoms, n_attributes : int
        N, K and L; a fifth of the images are clean_train, and the atoms are among them.
    status : {"complete", "running", "failed"}
        A run that is not complete has only its description, history and attributes.
    maps : bool
        Whether images have places in the t-SNE and UMAP maps (NaN otherwise).

    Returns
    -------
    Path
        The run directory.
    """
    rng = np.random.default_rng(seed)
    world = _world(n_images, n_atoms, n_attributes, rng)
    writer = RunWriter(path)
    writer.write_table("attributes", _attributes(world))
    shape = (n_images, n_atoms, n_attributes)
    if status != "complete":
        _history(writer, 240)
        _describe(writer, shape, seed, status=status, stage="joint", step=240)
        return writer.path
    _history(writer, 400)
    _write_results(writer, world, rng, maps)
    _describe(writer, shape, seed, status="complete", stage="complete", step=400)
    return writer.path


def _write_results(writer: RunWriter, world: _World, rng: np.random.Generator, maps: bool) -> None:
    """Everything that a complete run has beyond its description and history."""
    data, offset, sizes = _thumbnails(world, rng)
    writer.write_bytes("thumbnails.bin", data)
    images = _images(world, offset, sizes, maps)
    writer.write_table("images", images)
    basis_labels = world.truth[world.atoms].copy()
    basis_labels[-1, 0] = -1
    model = _evidence_model(world)
    scores = label_scores(world.coefficients, basis_values(basis_labels, model.prior))
    noise = rng.normal(scale=0.5, size=world.truth.shape)
    classifier = (1.3 * (2 * world.truth - 1) + 1.5 * noise).astype(np.float32)
    residual = (0.3 * noise[:, ::-1]).astype(np.float32)
    rows = model.category_index(images["category"].tolist(), len(images))
    terms = evidence(model, scores, world.given, rows, classifier, residual)
    flips = flips_frame(world.given, terms, scores, world.verified)
    flips["auto_accept"] = flips["confidence"] > 0.9
    corrected = corrected_labels(world.given, terms.score)
    writer.write_text("evidence.json", model.to_json())
    i, j = world.coefficients.nonzero()
    share = np.asarray(world.coefficients[i, j]).ravel()
    mixed = pd.DataFrame({"image_index": i, "basis_index": j, "coefficient": share})
    writer.write_table("coefficients", mixed.sort_values(["image_index", "basis_index"]))
    writer.write_table("basis", _basis(world, images))
    writer.write_table("flips", flips)
    writer.write_table("metrics", _metrics(world, corrected, flips))
    writer.write_table("attribute_metrics", _attribute_metrics(world, flips, rng))
    arrays = {
        "features": world.features,
        "basis": world.features[world.atoms],
        "basis_labels": basis_labels,
        "label_scores": scores,
        "labels_given": world.given,
        "labels_corrected": corrected,
        "labels_strict": corrected_labels(world.given, terms.strict_score),
        "labels_true": world.verified,
        "terms_classifier": classifier,
        "terms_residual": residual,
        "probabilities": sigmoid(terms.score),
        "probabilities_baseline_0": sigmoid(classifier - 1.5),
        "probabilities_baseline_1": sigmoid(0.8 * classifier),
    }
    _write_arrays(writer, arrays)


if __name__ == "__main__":
    target, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 60
    print(build_tiny_run(target, count, n_atoms=8 if count < 500 else 40, n_attributes=17))
