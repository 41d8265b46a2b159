"""A wrong label planted into the basis is among the first three that the audit view suspects."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pandas as pd
import pytest

from selfml.decisions import Cell, Store
from selfml.run import Run, RunWriter, catalogue_of
from tests.dashboard.conftest import text_of
from tests.test_tracing import plant
from tests.tiny_run import build_tiny_run

pytestmark = pytest.mark.slow
TRIALS, N_ATOMS = 20, 24
LISTED = re.compile(r"Basis image (\d+): what its other label would change")


def decide_all(url: str, run: Run, flips: pd.DataFrame) -> None:
    """All flips, accepted or rejected as the truth has them."""
    ids = run.table("images", ["image_id"])["image_id"].to_numpy()
    with Store(url) as store:
        for rejected, rows in flips.groupby("rejected"):
            cells = [
                Cell(ids[i], run.attributes[j], 1 - int(label), int(label))
                for i, j, label in zip(
                    rows["image_index"], rows["attribute_index"], rows["corrected"], strict=True
                )
            ]
            decision = "reject" if rejected else "accept"
            store.decide(catalogue_of(run), cells, decision, auditor="ann", run_id="r")


def test_the_page_lists_a_planted_label_first_of_all(tmp_path, monkeypatch, open_view):
    """In at least 90 % of 20 trials, each with a label that makes three wrong flips or more."""
    whole = Run(build_tiny_run(tmp_path / "whole", n_images=600, n_atoms=N_ATOMS))
    rng = np.random.default_rng(1)
    found: list[bool] = []
    monkeypatch.setenv("SELFML_RUNS", str(tmp_path))
    while len(found) < TRIALS:
        k, j = int(rng.integers(N_ATOMS)), int(rng.integers(len(whole.attributes)))
        if whole.array("basis_labels")[k, j] < 0:
            continue
        labels, flips, n_new = plant(whole, k, j)
        if n_new < 3:
            continue
        name = f"trial-{len(found)}"
        shutil.copytree(whole.path, tmp_path / name)
        RunWriter(tmp_path / name).write_array("basis_labels", labels)
        url = f"sqlite:///{tmp_path / name}.db"
        monkeypatch.setenv("DATABASE_URL", url)
        decide_all(url, Run(tmp_path / name), flips)
        listed = LISTED.findall(text_of(open_view("audit", run=name, part="traced")))
        assert listed
        found.append(k in map(int, listed[:3]))
    assert sum(found) >= 0.9 * TRIALS, f"{sum(found)} of {TRIALS}"
