"""The vote of the nearest clean images on a line, worked by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from selfml.benchmark.knn import METHOD, votes
from selfml.metrics import mean_average_precision
from tests.benchmark.fakes import make_problem

# Clean images at 0, 1, 2, 10 and 11; others at 1.4, 10.4 and 1.
LINE = np.array([0.0, 1.0, 2.0, 10.0, 11.0, 1.4, 10.4, 1.0])[:, None]
CLEAN = np.arange(5)
LABELS = np.array([[1, 0], [1, -1], [0, 1], [0, 1], [0, 0]], np.int8)


def smoothed(present: int, known: int) -> float:
    """The share, half a vote for and half a vote against added."""
    return (present + 0.5) / (known + 1.0)


def test_votes_worked_by_hand():
    found = votes(LINE, LABELS, CLEAN, 2)
    # 1.4 asks 1 and 2: one of two has the first attribute; of the second only 2 is known.
    np.testing.assert_allclose(found[5], [smoothed(1, 2), smoothed(1, 1)])
    # 10.4 asks 10 and 11.
    np.testing.assert_allclose(found[6], [smoothed(0, 2), smoothed(1, 2)])


def test_a_clean_image_leaves_itself_out():
    found = votes(LINE, LABELS, CLEAN, 2)
    np.testing.assert_allclose(found[0], [smoothed(1, 2), smoothed(1, 1)])  # 1 and 2
    np.testing.assert_allclose(found[1], [smoothed(1, 2), smoothed(1, 2)])  # 0 and 2
    np.testing.assert_allclose(found[4], [smoothed(0, 2), smoothed(2, 2)])  # 10 and 2
    turned = LABELS.copy()
    turned[1] = [0, 1]
    np.testing.assert_array_equal(votes(LINE, turned, CLEAN, 2)[1], found[1])


def test_another_image_at_the_same_place_is_asked():
    """The last image lies on the clean image at 1 and is not that image."""
    turned = LABELS.copy()
    turned[1] = [0, 1]
    for labels in (LABELS, turned):
        found = votes(LINE, labels, CLEAN, 1)[7]
        known = labels[1] >= 0
        np.testing.assert_allclose(found[known], (labels[1][known] + 0.5) / 2)
    twins = np.array([[0.0], [0.0], [5.0]])
    labels = np.array([[1], [0], [0]], np.int8)
    found = votes(twins, labels, np.arange(3), 1)
    np.testing.assert_allclose(found[:2, 0], [smoothed(0, 1), smoothed(1, 1)])


def test_with_fewer_than_k_all_others_vote():
    found = votes(LINE, LABELS, CLEAN, 50)
    np.testing.assert_allclose(found[5], [smoothed(2, 5), smoothed(2, 4)])
    np.testing.assert_allclose(found[0], [smoothed(1, 4), smoothed(2, 3)])


def test_clean_rows_may_lie_anywhere():
    order = np.array([5, 3, 0, 7, 1, 4, 6, 2])
    place = np.argsort(order)
    found = votes(LINE[order], LABELS, place[CLEAN], 2)
    np.testing.assert_allclose(found, votes(LINE, LABELS, CLEAN, 2)[order])


def test_equals_a_plain_loop():
    problem, _ = make_problem(4)
    clean, x = problem.clean_rows, problem.features
    found = votes(x, problem.verified[clean], clean, 7)
    for i in range(0, len(x), 9):
        others = clean[clean != i]
        near = others[np.argsort(np.linalg.norm(x[others] - x[i], axis=1))[:7]]
        np.testing.assert_allclose(found[i], (problem.verified[near].sum(0) + 0.5) / 8)


@pytest.mark.parametrize("settings", METHOD.grid)
def test_the_vote_is_probability_score_and_explanation(settings):
    problem, truth = make_problem(4)
    outcome = METHOD.run(problem, **settings)
    p = outcome.probabilities
    assert ((p > 0) & (p < 1)).all()
    np.testing.assert_allclose(outcome.label_score, np.log(p / (1 - p)), atol=1e-12)
    np.testing.assert_array_equal(outcome.label_score, outcome.strict_score)
    rest = np.setdiff1d(np.arange(len(truth)), problem.train_rows)
    assert mean_average_precision(p[rest], truth[rest]) > truth[rest].mean() + 0.25


def test_labels_of_other_images_play_no_part():
    problem, truth = make_problem(4)
    everything = replace(problem, verified=truth, given=np.full_like(problem.given, -1))
    np.testing.assert_array_equal(
        METHOD.run(problem).probabilities, METHOD.run(everything).probabilities
    )
