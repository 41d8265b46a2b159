"""A planted wrong label of a basis image is found by the flips that people reject."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from selfml.counterfactual import read_counterfactuals
from selfml.flips import corrected_labels
from selfml.run import Run
from selfml.tracing import suspects, trace_rejects
from tests.tiny_run import build_tiny_run

TRIALS = 20


def test_a_hand_worked_case():
    """Two flips to 1. The first, rejected: atom 0 says yes with .6, atom 1 no: all is atom 0's.
    The second, accepted: atom 0 .2 and atom 2 .6 say yes: a quarter and three quarters.
    r = 1/2: excess of atom 0 is 1 - (1 + .25) / 2."""
    c = sparse.csr_matrix([[0.6, 0.4, 0.0], [0.2, 0.2, 0.6]])
    labels = np.array([[1], [0], [1]], np.int8)
    flips = pd.DataFrame({"image_index": [0, 1], "attribute_index": 0, "corrected": 1,
                          "rejected": [True, False]})  # fmt: skip
    found = trace_rejects(c, labels, np.array([0.5]), flips)
    assert found["basis_index"].tolist() == [0]
    assert found.loc[0, ["rejected", "accepted", "excess"]].tolist() == pytest.approx(
        [1.0, 0.25, 0.375]
    )


def test_nothing_rejected_suspects_nobody():
    c = sparse.csr_matrix([[1.0]])
    flips = pd.DataFrame({"image_index": [0], "attribute_index": 0, "corrected": 1,
                          "rejected": [False]})  # fmt: skip
    for decided in (flips, flips.head(0)):
        assert trace_rejects(c, np.ones((1, 1), np.int8), np.array([0.5]), decided).empty


def test_an_unknown_label_counts_as_the_prior():
    c = sparse.csr_matrix([[0.5, 0.5]])
    labels = np.array([[-1], [1]], np.int8)
    flips = pd.DataFrame({"image_index": [0], "attribute_index": 0, "corrected": 1,
                          "rejected": [True]})  # fmt: skip
    found = trace_rejects(c, labels, np.array([0.25]), flips).set_index("basis_index")
    assert found.loc[0, "rejected"] == pytest.approx(0.2)
    assert found.loc[1, "rejected"] == pytest.approx(0.8)


def plant(run: Run, k: int, j: int) -> tuple[np.ndarray, pd.DataFrame, int]:
    """Basis labels with one turned over, all flips then decided by the truth, and how many wrong
    flips are new."""
    labels = np.array(run.array("basis_labels"))
    labels[k, j] = 1 - labels[k, j]
    effect = read_counterfactuals(run).what_if(labels={(k, j): int(labels[k, j])})
    before = np.array(run.array("labels_corrected"))
    corrected = before.copy()
    after = corrected_labels(effect.given, effect.after.deciding(effect.mode))
    corrected[np.ix_(effect.image_index, effect.attribute_index)] = after
    given, truth = np.asarray(run.array("labels_given")), np.asarray(run.array("labels_true"))
    decided = (corrected != given) & (given >= 0) & (truth >= 0)
    wrong = decided & (corrected != truth)
    i, a = np.nonzero(decided)
    flips = pd.DataFrame({"image_index": i, "attribute_index": a, "corrected": corrected[i, a],
                          "rejected": wrong[i, a]})  # fmt: skip
    return labels, flips, int((wrong & (before != corrected)).sum())


@pytest.mark.slow
def test_a_planted_wrong_label_is_found(tmp_path):
    """In the top three in at least 90 % of 20 trials, each with a label that makes wrong flips:
    one that makes fewer than three leaves no trace to follow."""
    run = Run(build_tiny_run(tmp_path / "run", n_images=600, n_atoms=24))
    prior, coefficients = read_counterfactuals(run).model.prior, run.coefficients()
    rng = np.random.default_rng(0)
    places: list[bool] = []
    while len(places) < TRIALS:
        k, j = int(rng.integers(24)), int(rng.integers(len(run.attributes)))
        labels, flips, n_new = plant(run, k, j)
        if n_new < 3:
            continue
        found = suspects(trace_rejects(coefficients, labels, prior, flips))
        places.append(k in found["basis_index"].head(3).tolist())
    assert sum(places) >= 0.9 * TRIALS, f"{sum(places)} of {TRIALS}"
