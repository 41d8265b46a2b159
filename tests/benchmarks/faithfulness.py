"""Time that ``selfml evaluate`` spends on faithfulness.

    python -m tests.benchmarks.faithfulness

Over the drawn worlds of :mod:`tests.benchmarks.counterfactual`, written as a run: 60,000 images
with 500 basis images and 31 attributes, and features of 256 numbers.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from selfml import flips
from selfml.counterfactual import Counterfactuals
from selfml.faithfulness_measures import measure_faithfulness
from selfml.run import Run, RunWriter
from tests.benchmarks.counterfactual import draw
from tests.evidence_cases import blank

N_FEATURES = 256


def write(path: Path, world: Counterfactuals, seed: int = 0) -> Run:
    """The files that faithfulness is measured from."""
    rng, writer = np.random.default_rng(seed), RunWriter(path)
    (n_images, n_attributes), n_atoms = world.labels_given.shape, len(world.basis_labels)
    given, model = world.labels_given, world.model
    scores = flips.label_scores(world.mixed, flips.basis_values(world.basis_labels, model.prior))
    terms = flips.evidence(
        model, scores, given, world.category_index, world.classifier, world.residual
    )
    basis = rng.normal(size=(n_atoms, N_FEATURES))
    names = np.array(["", *model.categories], object)
    arrays = {
        "features": world.mixed @ basis + 0.3 * rng.normal(size=(n_images, N_FEATURES)),
        "basis": basis,
        "basis_labels": world.basis_labels,
        "label_scores": scores,
        "labels_given": given,
        "labels_corrected": flips.corrected_labels(given, terms.score),
        "labels_strict": flips.corrected_labels(given, terms.strict_score),
        "terms_classifier": world.classifier,
        "terms_residual": world.residual,
    }
    for name, array in arrays.items():
        writer.write_array(name, array)
    writer.write_text("evidence.json", model.to_json())
    images = blank("images", n_images)
    writer.write_table("images", images.assign(category=names[world.category_index]))
    mixed = world.mixed.tocoo()
    shares = {"image_index": mixed.row, "basis_index": mixed.col, "coefficient": mixed.data}
    writer.write_table("coefficients", pd.DataFrame(shares))
    truth = np.full_like(given, -1)
    writer.write_table("flips", flips.flips_frame(given, terms, scores, truth))
    writer.update(n_images=n_images, n_atoms=n_atoms, n_attributes=n_attributes, seed=seed)
    return Run(path)


def report(run: Run) -> pd.DataFrame:
    """Print what one measurement takes."""
    start, cpu = time.perf_counter(), time.process_time()
    rows = measure_faithfulness(run)
    passed, cpu = time.perf_counter() - start, time.process_time() - cpu
    flipped = len(run.table("flips", ["image_index"]))
    print(
        f"{run.info['n_images']:,} images, {run.info['n_attributes']} attributes, {flipped:,} "
        f"flips: {passed:.1f} s (processor {cpu:.1f} s), {len(rows)} rows"
    )
    return rows


if __name__ == "__main__":
    print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f} at the start")
    with tempfile.TemporaryDirectory() as folder:
        for bias in (-2.0, 0.0):  # about as few flips as a trained run has, and very many
            world, _, _ = draw(60_000, 500, 31, 11, bias, seed=0)
            report(write(Path(folder) / f"bias{bias}", world))
