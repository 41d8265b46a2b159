"""Faithfulness of a run, from its files alone: the rows of ``faithfulness.parquet``."""

from __future__ import annotations

import numpy as np
import pandas as pd

from selfml.faithfulness import agreement_rows, explanation_rows
from selfml.flips import (
    basis_values,
    corrected_labels,
    corrected_probabilities,
    deciding_mode,
    read_evidence_model,
)
from selfml.run import Run


def measure_faithfulness(run: Run) -> pd.DataFrame:
    """The rows of ``faithfulness.parquet``: all that the run's files tell, and what is stored.

    Stability needs the model and is measured at the end of training; its rows are kept.

    Raises
    ------
    RunError
        When training has not written its results yet.
    """
    model = read_evidence_model(run)
    places = {}
    if run.has("features", "basis"):
        places = {name: run.array(name) for name in ("features", "basis")}
    found = explanation_rows(
        run.coefficients(),
        basis_values(run.array("basis_labels"), model.prior),
        run.table("flips").sort_values(["image_index", "attribute_index"]),
        model,
        seed=int(run.info.get("seed") or 0),
        **places,
    )
    parts = [found, agreement_rows(np.asarray(run.array("labels_given")), *_both_labels(run))]
    if run.has("faithfulness"):
        stored = run.table("faithfulness")
        parts.append(stored[stored["measure"].str.startswith("stability")])
    return pd.concat([part for part in parts if len(part)] or [found], ignore_index=True)


def _both_labels(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Labels as full and as strict evidence corrects them, each (N, L) int8."""
    strict = np.asarray(run.array("labels_strict"))
    if deciding_mode(run) == "full":
        return np.asarray(run.array("labels_corrected")), strict
    given = np.asarray(run.array("labels_given"))
    return corrected_labels(given, corrected_probabilities(run) - 0.5), strict
