"""Explanations whose faithfulness is known, because it was planted: each is found out."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dashboard.frames.faithfulness import carries, value, verdict
from selfml import faithfulness as f
from selfml.faithfulness_measures import measure_faithfulness
from selfml.flips import flips_frame, read_evidence_model
from selfml.run import Run, RunWriter
from tests.evidence_cases import recompute


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> Run:
    return Run(tiny_run)


def planted(run: Run, tmp_path: Path, weight: float) -> pd.DataFrame:
    """The tiny run with the basis images' weight in full and strict evidence replaced."""
    model = read_evidence_model(run)
    flat = np.full_like(model.prior, weight)
    model = replace(model, basis_weight=flat, strict_basis_weight=flat)
    copy = Path(shutil.copytree(run.path, tmp_path / f"w{weight}"))
    writer = RunWriter(copy)
    writer.write_text("evidence.json", model.to_json())
    categories = run.table("images")["category"].tolist()
    terms, scores = recompute(Run(copy), model, categories)
    given = np.asarray(run.array("labels_given"))
    truth = np.full_like(given, -1)
    writer.write_table("flips", flips_frame(given, terms, scores, truth))
    return measure_faithfulness(Run(copy))


def test_images_that_decide_nothing_are_found_out(run: Run, tmp_path: Path):
    rows = planted(run, tmp_path, 0.0)
    for name in ("coefficients", "random", "nearest"):
        for k in (1, 5, f.ALL):
            assert value(rows, "deletion_reverted", "full", name, k) == 0
            assert value(rows, "deletion_drop", "full", name, k) == 0
    assert not carries(rows, "full")
    assert "are not why labels are flipped" in verdict(rows)


def test_images_that_decide_alone_are_told_apart_from_random_ones(run: Run, tmp_path: Path):
    rows = planted(run, tmp_path, 4.0)
    assert carries(rows, "full")
    assert carries(rows, "strict")
    top, chance = (
        value(rows, "deletion_reverted", "full", name, 1) for name in ("coefficients", "random")
    )
    assert top > chance + 10


def test_explanations_of_other_images_are_found_out(run: Run, tmp_path: Path):
    """Coefficients that the flips were not made of: the flips do not stand on all of them."""
    copy = Path(shutil.copytree(run.path, tmp_path / "swapped"))
    frame = run.table("coefficients")
    frame["image_index"] = run.info["n_images"] - 1 - frame["image_index"]
    RunWriter(copy).write_table("coefficients", frame.sort_values(["image_index", "basis_index"]))
    rows, true = measure_faithfulness(Run(copy)), measure_faithfulness(run)
    assert value(true, "sufficiency_stands", "full", "coefficients", f.ALL) == 100
    assert value(rows, "sufficiency_stands", "full", "coefficients", f.ALL) < 95
    drop = value(rows, "sufficiency_drop", "full", "coefficients", f.ALL)
    assert drop > 0.1
    assert abs(value(true, "sufficiency_drop", "full", "coefficients", f.ALL)) < 1e-6
