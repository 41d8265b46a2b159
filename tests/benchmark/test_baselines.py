"""Which images and labels each baseline learns from, and whose logits it answers with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from selfml.benchmark import baselines, knn, proto_attend
from selfml.calibration import fit_platt
from selfml.flips import sigmoid
from tests.benchmark.fakes import RidgeClassifier, make_problem

METHODS = {method.name: method for method in baselines.METHODS}


def accuracy(probabilities, truth, problem) -> float:
    """Share of right labels among images that nobody learns from."""
    rest = np.setdiff1d(np.arange(len(truth)), problem.train_rows)
    assert len(rest) == len(truth) // 5
    return float(((probabilities > 0.5) == truth)[rest].mean())


def test_only_baseline_0_and_the_oracle_need_no_clean_labels():
    needed = {name for name, method in METHODS.items() if method.needs_clean}
    assert needed == {"baseline_1", "ensemble", "clean_only"}
    assert not baselines.oracle(np.zeros((3, 2), np.int8)).needs_clean


def test_baseline_0_learns_the_given_labels_of_all_training_images():
    problem, _ = make_problem()
    METHODS["baseline_0"].run(problem)
    (call,) = problem.classifier.calls
    np.testing.assert_array_equal(call["labels"], problem.given)
    ((rows, count),) = call["groups"]
    np.testing.assert_array_equal(rows, problem.train_rows)
    assert count == problem.batch_size
    assert call["start"] is None
    assert call["loss"] is None
    assert call["steps"] in (None, problem.steps)


def test_baseline_0_does_not_read_verified_labels():
    problem, _ = make_problem()
    blind = replace(problem, verified=np.full_like(problem.verified, -1))
    one, other = (METHODS["baseline_0"].run(p).probabilities for p in (problem, blind))
    np.testing.assert_array_equal(one, other)


def test_baseline_1_fine_tunes_on_the_clean_images_for_each_share_of_steps():
    problem, truth = make_problem()
    method = METHODS["baseline_1"]
    outcomes = [method.run(problem, **settings) for settings in method.grid]
    calls = problem.classifier.calls
    assert calls[0]["steps"] == problem.steps
    assert {call["steps"] for call in calls} == {25, 50, 100, 200}
    for call in calls:
        np.testing.assert_array_equal(call["labels"], problem.verified)
        ((rows, count),) = call["groups"]
        np.testing.assert_array_equal(rows, problem.clean_rows)
        assert count == problem.batch_size
        assert call["start"] is None
    fitted = RidgeClassifier(problem.features).fit(truth, [(problem.clean_rows, 1)], stage="x")
    np.testing.assert_allclose(outcomes[0].probabilities, sigmoid(fitted.logits), atol=1e-6)


@pytest.fixture(name="ensemble")
def _ensemble():
    """The problem, the outcome, and of each call who was left out and the logits it returned."""
    problem, _ = make_problem(1)
    outcome = METHODS["ensemble"].run(problem)
    left_out, logits = [], []
    for call in problem.classifier.calls:
        ((rows, count),) = call["groups"]
        assert count == problem.batch_size
        assert np.isin(rows, problem.clean_rows).all()
        left_out.append(np.setdiff1d(problem.clean_rows, rows))
        again = RidgeClassifier(problem.features).fit(problem.verified, [(rows, 1)], stage="x")
        logits.append(again.logits)
    return problem, outcome, left_out, logits


def test_ensemble_leaves_every_clean_image_out_once(ensemble):
    problem, _, left_out, _ = ensemble
    assert [len(rows) for rows in left_out] == [16] * 5
    np.testing.assert_array_equal(np.sort(np.concatenate(left_out)), problem.clean_rows)
    assert len({call["stage"] for call in problem.classifier.calls}) == 5


def test_ensemble_averages_logits(ensemble):
    _, outcome, _, logits = ensemble
    np.testing.assert_allclose(outcome.probabilities, sigmoid(np.mean(logits, 0)), atol=1e-6)


def test_label_score_of_a_clean_image_is_of_the_network_that_did_not_see_it(ensemble):
    problem, outcome, left_out, logits = ensemble
    clean = problem.clean_rows
    expected = np.mean(logits, axis=0, dtype=np.float64)
    for rows, of_network in zip(left_out, logits, strict=True):
        expected[rows] = of_network[rows]
    slope, intercept = fit_platt(expected[clean], problem.verified[clean])
    np.testing.assert_allclose(outcome.label_score, slope * expected + intercept, atol=1e-4)


def test_ensemble_reads_clean_labels_only(ensemble):
    problem, outcome, _, _ = ensemble
    blind = replace(problem, given=np.full_like(problem.given, -1))
    again = METHODS["ensemble"].run(blind)
    np.testing.assert_array_equal(again.label_score, outcome.label_score)


def test_clean_only_trains_no_network_and_reads_no_given_label():
    problem, truth = make_problem(2)
    outcome = METHODS["clean_only"].run(problem)
    blind = replace(problem, given=np.full_like(problem.given, -1))
    np.testing.assert_array_equal(
        METHODS["clean_only"].run(blind).probabilities, outcome.probabilities
    )
    assert problem.classifier.calls == []
    np.testing.assert_allclose(sigmoid(outcome.label_score), outcome.probabilities, atol=1e-6)
    assert accuracy(outcome.probabilities, truth, problem) > 0.9


def test_clean_only_does_not_hear_an_image_say_its_own_label():
    """One label turned around: its own raw score stays, so only the shared Platt line moves."""
    problem, _ = make_problem(2)
    row = problem.clean_rows[0]
    turned = problem.verified.copy()
    turned[row] = 1 - turned[row]
    before = METHODS["clean_only"].run(problem).label_score
    after = METHODS["clean_only"].run(replace(problem, verified=turned)).label_score
    moved, size = np.abs(after - before), np.abs(before)
    assert (moved[row] < 0.25 * size[row]).all()
    assert (np.sign(after[row]) == np.sign(before[row])).all()


def test_the_oracle_learns_true_labels_of_training_images_only():
    problem, truth = make_problem(3)
    told = baselines.oracle(truth).run(problem).probabilities
    (call,) = problem.classifier.calls
    ((rows, _),) = call["groups"]
    np.testing.assert_array_equal(rows, problem.train_rows)
    np.testing.assert_array_equal(call["labels"][rows], truth[rows])
    hidden = np.full_like(truth, -1)
    hidden[problem.train_rows] = truth[problem.train_rows]
    np.testing.assert_array_equal(baselines.oracle(hidden).run(problem).probabilities, told)


def test_the_oracle_beats_what_learns_from_noisy_labels():
    """Half of the positives are missing: Baseline 0 misses them, the oracle does not."""
    problem, truth = make_problem(3)
    told = accuracy(baselines.oracle(truth).run(problem).probabilities, truth, problem)
    noisy = accuracy(METHODS["baseline_0"].run(problem).probabilities, truth, problem)
    assert told > 0.93
    assert told > noisy + 0.1


@pytest.mark.parametrize("method", [baselines, knn, proto_attend])
def test_corrections_know_the_category_and_predictions_only_what_the_classifier_sees(method):
    """A category that tells the label: features that are noise know nothing, with it all."""
    problem, truth = make_problem()
    noise = np.random.default_rng(3).normal(size=problem.features.shape).astype(np.float32)
    known = np.concatenate([noise, 30.0 * (truth - 0.5)], axis=1).astype(np.float32)
    run = METHODS["clean_only"].run if method is baselines else method.run
    outcome = run(replace(problem, seen=noise, features=known))
    rows = problem.noisy_rows
    assert ((outcome.probabilities > 0.5) == truth)[rows].mean() < 0.75
    assert ((outcome.label_score > 0) == truth)[rows].mean() > 0.95
    both = run(replace(problem, seen=known, features=known))
    np.testing.assert_array_equal(both.probabilities > 0.5, both.label_score > 0)
