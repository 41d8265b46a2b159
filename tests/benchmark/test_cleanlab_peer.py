"""cleanlab as a peer: planted errors are found, unknown labels left alone."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from selfml.benchmark.cleanlab_peer import METHOD, flagged
from tests.benchmark.fakes import make_problem

pytest.importorskip("cleanlab")
N, L = 600, 3


def planted(seed=0):
    """Given labels, good probabilities of the true ones, and which cells were made wrong."""
    rng = np.random.default_rng(seed)
    truth = (rng.random((N, L)) < 0.4).astype(np.int8)
    wrong = rng.random((N, L)) < 0.08
    probabilities = np.where(truth == 1, 0.9, 0.1) + rng.uniform(-0.08, 0.08, (N, L))
    return np.where(wrong, 1 - truth, truth).astype(np.int8), probabilities, wrong


def test_most_planted_errors_are_flagged_and_few_others():
    given, probabilities, wrong = planted()
    found = flagged(given, probabilities)
    assert found[wrong].mean() > 0.85  # the library estimates how many, with caution
    assert found[~wrong].mean() < 0.01


def test_an_unknown_label_is_not_flagged_and_does_not_change_others():
    given, probabilities, wrong = planted(1)
    given[:200, 1] = -1
    found = flagged(given, probabilities)
    assert not found[:200, 1].any()
    assert found[wrong & (given >= 0)].mean() > 0.85
    np.testing.assert_array_equal(
        found[200:, 1:2], flagged(given[200:, 1:2], probabilities[200:, 1:2])
    )


def test_an_attribute_with_labels_of_one_kind_is_not_checked():
    given, probabilities, _ = planted(2)
    given[:, 0], given[:, 2] = 0, -1
    found = flagged(given, probabilities)
    assert not found[:, [0, 2]].any()
    assert found[:, 1].any()


def test_probabilities_from_the_clean_set_correct_most_missing_labels():
    problem, truth = make_problem()
    problem.given[::9, 0] = -1
    outcome = METHOD.run(problem, predictions="clean")
    (call,) = problem.classifier.calls
    noisy, clean = problem.noisy_rows, problem.clean_rows
    known = problem.given[noisy] >= 0
    before = (problem.given[noisy] == truth[noisy])[known].mean()
    after = (call["labels"][noisy] == truth[noisy])[known].mean()
    assert before < 0.86
    assert after > before + 0.04
    assert (call["labels"][noisy][~known] == -1).all()
    np.testing.assert_array_equal(call["labels"][clean], problem.verified[clean])
    says = outcome.label_score[noisy] > 0
    np.testing.assert_array_equal(says[known], (call["labels"][noisy] == 1)[known])


def test_its_absence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cleanlab.filter", None)
    with pytest.raises(ValueError, match=r"pip install 'selfml\[benchmark\]'"):
        flagged(np.zeros((4, 1), np.int8), np.zeros((4, 1)))
