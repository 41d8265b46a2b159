"""The label cleaner: its loss by hand, and rules between labels that it must find."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from selfml.benchmark.label_cleaner import METHOD, cleaned_labels, clipped_distance, train_on
from tests.benchmark.fakes import make_problem


def with_labels(problem, given, truth):
    """The problem with other labels, the clean rows verified by ``truth``."""
    verified = np.full_like(truth, -1)
    verified[problem.clean_rows] = truth[problem.clean_rows]
    return replace(problem, given=given, verified=verified)


def test_the_distance_is_that_of_the_clipped_sum_and_goes_on_past_the_wrong_end():
    v = np.array([[1, 0, 1, 0, 1, 0, -1]], np.float32)
    sums = np.array([[0.75, 0.75, 1.5, -0.5, -0.5, 1.5, 0.5]], np.float32)
    # |v - clip(sum)| but for the fifth and sixth, where the clip would be flat at 1
    expected = np.mean([0.25, 0.75, 0, 0, 1.5, 1.5])
    assert float(clipped_distance(v, sums)) == pytest.approx(expected)


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["l1", "cross_entropy"])
def test_right_labels_stay_as_they_are(loss):
    problem, truth = make_problem()
    problem = with_labels(replace(problem, steps=40), truth, truth)
    cleaned = cleaned_labels(problem, loss=loss)
    assert ((cleaned > 0.5) == truth).mean() > 0.999
    assert np.abs(cleaned - truth).mean() < {"l1": 0.03, "cross_entropy": 0.15}[loss]


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["l1", "cross_entropy"])
def test_learns_that_one_label_is_missing_beside_another(loss):
    problem, truth = make_problem(seed=1)
    truth[:, 2] |= truth[:, 1]
    given = truth.copy()
    given[truth[:, 1] == 1, 2] = 0
    problem = with_labels(replace(problem, steps=120), given, truth)
    held = np.setdiff1d(np.arange(len(truth)), problem.clean_rows)
    cleaned = cleaned_labels(problem, loss=loss)
    assert (given[held, 2] == truth[held, 2]).mean() < 0.8
    assert ((cleaned[held, 2] > 0.5) == truth[held, 2]).mean() > 0.95


@pytest.mark.slow
def test_the_classifier_learns_cleaned_and_verified_labels_nine_to_one():
    problem, _ = make_problem()
    problem.given[::7, 1] = -1
    outcome = METHOD.run(replace(problem, steps=20))
    (call,) = problem.classifier.calls
    clean, noisy = problem.clean_rows, problem.noisy_rows
    np.testing.assert_array_equal(call["labels"][clean], problem.verified[clean])
    known = problem.given[noisy] >= 0
    assert (call["labels"][noisy][~known] == -1).all()
    cleaned = np.clip(call["labels"][noisy], 1e-3, 1 - 1e-3)
    score = outcome.label_score[noisy]
    np.testing.assert_allclose(score[known], np.log(cleaned / (1 - cleaned))[known], rtol=1e-4)
    assert [count for _, count in call["groups"]] == [28, 4]
    np.testing.assert_array_equal(call["groups"][0][0], noisy)
    np.testing.assert_array_equal(call["groups"][1][0], clean)


def test_train_on_leaves_what_it_was_given_alone():
    problem, truth = make_problem()
    labels = np.zeros_like(truth)
    train_on(problem, labels, labels.astype(float))
    assert not labels.any()


@pytest.mark.parametrize("wrong", [{"loss": "l2"}, {"hidden": 0}])
def test_settings_that_do_not_exist_are_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: must be"):
        METHOD.run(make_problem()[0], **wrong)
