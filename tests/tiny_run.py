"""A small, complete and internally consistent run, for every test of the browsing side.

Nothing is trained: garments are drawn, images are mixed from a few basis images, labels are
derived from what was drawn and then spoilt. The evidence is that of ``selfml.flips``, so
receipts add up. With ``n_images=3000`` it is also good for looking at the dashboard:

    python -m tests.tiny_run runs/drawn 3000
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from selfml.faithfulness_measures import measure_faithfulness
from selfml.flips import (
    EvidenceModel,
    basis_values,
    corrected_labels,
    evidence,
    flips_frame,
    label_scores,
    sigmoid,
)
from selfml.run import Run, RunWriter
from selfml.trust_measures import trust_measures
from tests.tiny_measures import (
    attribute_metrics_table,
    coverage_table,
    metrics_table,
    stability_table,
)
from tests.tiny_trust import write_trust
from tests.tiny_world import (
    CATEGORIES,
    N_FEATURES,
    World,
    attribute_names,
    draw_world,
    thumbnails,
)


def _images(world: World, offset: np.ndarray, sizes: np.ndarray, maps: bool) -> pd.DataFrame:
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


def _evidence_model(world: World) -> EvidenceModel:
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


def _basis(world: World, images: pd.DataFrame) -> pd.DataFrame:
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


def _attributes(world: World) -> pd.DataFrame:
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
            values |= {
                "map": 0.75 - 0.3 * fade,
                "atoms_used": 8 + 30 * fade,
                "flips_per_image": step / 200,
            }
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
    world = draw_world(n_images, n_atoms, n_attributes, rng)
    if status == "complete":
        return write_run(path, world, seed, rng, maps=maps)
    writer = RunWriter(path)
    writer.write_table("attributes", _attributes(world))
    _history(writer, 240)
    shape = (n_images, n_atoms, n_attributes)
    _describe(writer, shape, seed, status=status, stage="joint", step=240)
    return writer.path


def write_run(
    path: str | Path,
    world: World,
    seed: int = 0,
    rng: np.random.Generator | None = None,
    *,
    maps: bool = True,
) -> Path:
    """Write the complete run that a world gives; returns its folder."""
    writer = RunWriter(path)
    writer.write_table("attributes", _attributes(world))
    _history(writer, 400)
    _write_results(writer, world, rng or np.random.default_rng(seed), maps)
    shape = (*world.coefficients.shape, world.truth.shape[1])
    _describe(writer, shape, seed, status="complete", stage="complete", step=400)
    writer.write_table("faithfulness", stability_table())
    writer.write_table("faithfulness", measure_faithfulness(Run(writer.path)))
    return writer.path


def _write_results(writer: RunWriter, world: World, rng: np.random.Generator, maps: bool) -> None:
    """Everything that a complete run has beyond its description and history."""
    data, offset, sizes = thumbnails(world, rng)
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
    flips = write_trust(writer, world, images, flips)
    corrected = corrected_labels(world.given, terms.score)
    writer.write_text("evidence.json", model.to_json())
    i, j = world.coefficients.nonzero()
    share = np.asarray(world.coefficients[i, j]).ravel()
    mixed = pd.DataFrame({"image_index": i, "basis_index": j, "coefficient": share})
    writer.write_table("coefficients", mixed.sort_values(["image_index", "basis_index"]))
    writer.write_table("basis", _basis(world, images))
    writer.write_table("flips", flips)
    writer.write_table("metrics", metrics_table(world, corrected, flips))
    writer.write_table("attribute_metrics", attribute_metrics_table(world, flips, rng))
    writer.write_table("coverage", coverage_table(len(world.atoms)))
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
    writer.update(n_images=len(images), seed=0)
    reliability, realised, _ = trust_measures(Run(writer.path))
    writer.write_table("reliability", reliability)
    writer.write_table("realised", realised)


if __name__ == "__main__":
    target, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 60
    print(build_tiny_run(target, count, n_atoms=8 if count < 500 else 40, n_attributes=17))
