"""A run whose basis images have the labels of other images, as after ``nearest_clean``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from selfml import flips, trust
from selfml.run import Run, RunWriter
from tests.evidence_cases import recompute
from tests.tiny_run import build_tiny_run


def build_unverified_run(path: str | Path, n_images: int = 60, n_atoms: int = 8, **more) -> Path:
    """A tiny run in which every other basis image shows, and is labelled as, another clean image.

    ``basis_labels`` of the run that it was made from, the right ones, are in ``right_labels.npy``.
    """
    built = build_tiny_run(path, n_images, n_atoms, **more)
    run, writer = Run(built), RunWriter(built)
    basis, images = run.table("basis"), run.table("images")
    rng = np.random.default_rng(7)
    clean = np.flatnonzero(images["split"] == "clean_train")
    right = np.array(run.array("basis_labels"))
    np.save(built / "right_labels.npy", right)
    labels = right.copy()
    for k in range(0, n_atoms - 1, 2):
        shown = int(rng.choice(clean[clean != basis.loc[k, "image_index"]]))
        wrong = rng.random(labels.shape[1]) < 0.6
        labels[k] = np.where(wrong, 1 - np.abs(right[k]), right[k])
        basis.loc[k, "image_index"] = shown
        basis.loc[k, "image_id"] = images["image_id"][shown]
        basis.loc[k, "label_source"] = "nearest_clean"
        basis.loc[k, "distance"] = 1.5
    writer.write_table("basis", basis)
    writer.write_array("basis_labels", labels)
    rewrite_labels(built)
    return built


def full_recomputation(run: Run) -> tuple[flips.Evidence, np.ndarray]:
    """All terms and label scores of a run, from its basis labels and stored terms."""
    categories = run.table("images", ["category"])["category"].tolist()
    return recompute(run, flips.read_evidence_model(run), categories)


def flips_of(run: Run) -> pd.DataFrame:
    """The flips that a recomputation of everything makes; confidence not calibrated."""
    terms, scores = full_recomputation(run)
    given, truth = run.array("labels_given"), run.array("labels_true")
    return flips.flips_frame(given, terms, scores, truth, mode=flips.deciding_mode(run))


def rewrite_labels(path: Path) -> None:
    """Make everything that follows the basis labels of a run fit them."""
    run, writer = Run(path), RunWriter(path)
    terms, scores = full_recomputation(run)
    given = run.array("labels_given")
    deciding = terms.score if flips.deciding_mode(run) == "full" else terms.strict_score
    writer.write_array("label_scores", scores)
    writer.write_array("labels_corrected", flips.corrected_labels(given, deciding))
    writer.write_array("labels_strict", flips.corrected_labels(given, terms.strict_score))
    frame = flips_of(run)
    if run.has("trust"):
        strength = trust.deciding_strength(frame, flips.deciding_mode(run))
        nobody = np.zeros(len(given), bool)
        frame = trust.with_trust(frame, run.table("trust"), strength=strength, eligible=nobody)
    frame["auto_accept"] = frame["confidence"] > 0.9
    writer.write_table("flips", frame)
