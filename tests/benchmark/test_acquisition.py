"""Strategies on cases with a known answer, and curves that cannot depend on the strategy."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from selfml.benchmark import acquisition
from selfml.benchmark.acquisition import choose, corrected_log_odds, simulate
from selfml.benchmark.acquisition_strategies import STRATEGIES
from selfml.config_sections import FlipConfig
from selfml.explain import evidence_inputs
from selfml.explanation_metrics import flip_metrics
from selfml.metrics import mean_average_precision
from tests.benchmark.fakes import make_problem

NAMES = tuple(STRATEGIES)


def line(*places: float) -> np.ndarray:
    """Images on a line."""
    return np.array(places)[:, None]


def pick(strategy, features, verified, candidates, n, probabilities=None, seed=0):
    """The rows that are chosen, as a list."""
    p = np.full((len(features), 2), 0.3) if probabilities is None else probabilities
    verified = np.asarray(verified, np.int64)
    return choose(strategy, features, verified, np.asarray(candidates), p, n, seed).tolist()


def test_uncovered_takes_the_far_cluster_first():
    rng = np.random.default_rng(0)
    near, far = rng.normal(size=(20, 3)), 30 + rng.normal(size=(5, 3))
    features = np.concatenate([near, far])
    assert pick("uncovered", features, [0, 1], np.arange(2, 25), 1)[0] >= 20


def test_uncovered_worked_by_hand():
    """0 is verified. 10 is farthest; then 5, 5 from both; then 2; then 1 and 9 tie."""
    assert pick("uncovered", line(0, 1, 2, 10, 9, 5), [0], range(6), 5) == [3, 5, 2, 1, 4]


def test_uncovered_with_nothing_verified():
    chosen = pick("uncovered", line(0, 0.1, 0.2, 9), [], range(4), 2)
    assert 3 in chosen
    assert len(set(chosen)) == 2


def test_uncertain_takes_the_even_odds_first():
    """Mean entropies .325, .693, .375 (of .693 and .056) and 0, in nats."""
    p = np.array([[0.9, 0.1], [0.5, 0.5], [0.5, 0.01], [0.0, 1.0]])
    assert pick("uncertain", line(0, 1, 2, 3), [], range(4), 4, p) == [1, 2, 0, 3]
    assert pick("uncertain", line(0, 1, 2, 3), [1], range(4), 1, p) == [2]


def test_effect_takes_many_doubtful_images_before_the_most_doubtful():
    """Twelve alike, .4 labels at stake in each, against a lone image with .5.

    One of the twelve settles 4.8; then nothing is at stake there any more, and the lone one is
    next.
    """
    features = line(50, *[0.0] * 12)
    p = np.array([0.5, *[0.4] * 12])[:, None]
    assert pick("effect", features, [], range(13), 2, p) == [1, 0]
    assert pick("uncertain", features, [], range(13), 1, p) == [0]


def test_effect_is_the_sum_of_kernels():
    rng = np.random.default_rng(0)
    x, p = rng.normal(size=(40, 3)), rng.random((40, 4))
    away = np.square(x[:, None] - x).sum(-1)
    kernel = np.exp(-away / np.median(np.sort(away, axis=1)[:, 10]))
    at_stake = np.minimum(p, 1 - p).sum(1)
    expected = [int(np.argmax(kernel @ at_stake))]
    reach = kernel @ (at_stake * (1 - kernel[expected[0]]))
    reach[expected[0]] = -1
    expected.append(int(np.argmax(reach)))
    assert pick("effect", x, [], range(40), 2, p) == expected


def test_basis_takes_the_image_in_the_middle_of_each_cluster():
    features = line(0, 1, 2, 100, 101, 102, 300, 301, 302)
    assert sorted(pick("basis", features, [], range(9), 3)) == [1, 4, 7]


def test_random_follows_its_seed_and_is_even():
    features = line(*range(10))
    drawn = [pick("random", features, [], range(10), 3, seed=seed) for seed in range(300)]
    assert drawn == [pick("random", features, [], range(10), 3, seed=seed) for seed in range(300)]
    counts = np.bincount(np.concatenate(drawn), minlength=10)
    assert (np.abs(counts - 90) < 40).all()  # five standard deviations


@pytest.mark.parametrize("strategy", NAMES)
def test_never_takes_what_is_verified_or_no_candidate(strategy):
    rng = np.random.default_rng(1)
    features, p = rng.normal(size=(60, 3)), rng.random((60, 4))
    features[20:30] = features[20]  # images that are alike
    verified, candidates = np.arange(0, 60, 3), np.arange(45)
    free = np.setdiff1d(candidates, verified)
    for n in (1, 7, len(free)):
        chosen = pick(strategy, features, verified, candidates, n, p)
        assert len(chosen) == len(set(chosen)) == n
        assert set(chosen) <= set(free.tolist())
    assert pick(strategy, features, verified, candidates, 0, p) == []


def test_a_wrong_request_is_named():
    with pytest.raises(ValueError, match=r"strategy: must be one of random, basis, .* got 'best'"):
        pick("best", line(0, 1), [], range(2), 1)
    with pytest.raises(ValueError, match=r"n: must be in 0\.\.1 .* got 2"):
        pick("random", line(0, 1), [0], range(2), 2)


@pytest.mark.parametrize("by_category", [False, True])
def test_log_odds_are_those_of_the_explainer(by_category):
    problem, truth = make_problem(5)
    categories = np.where(np.arange(len(truth)) % 2, "a", "b") if by_category else None
    data = SimpleNamespace(
        splits=SimpleNamespace(clean_train=problem.clean_rows),
        verified=problem.verified,
        given=problem.given,
        decided=np.full_like(problem.given, -1),
        dataset=SimpleNamespace(categories=categories),
        n_attributes=truth.shape[1],
        n_images=len(truth),
    )
    explained = evidence_inputs(problem.features, data, FlipConfig())
    found = corrected_log_odds(
        problem.features, problem.given, problem.verified, problem.clean_rows, categories
    )
    np.testing.assert_allclose(found, explained.classifier + explained.given_term, atol=1e-5)


@pytest.fixture(name="world")
def _world():
    """Arguments of ``simulate``: 20 verified, 60 to choose from, 80 to measure on."""
    problem, truth = make_problem(6, n=200)
    return {
        "features": problem.features,
        "given": problem.given,
        "truth": truth,
        "start_rows": np.arange(20),
        "pool_rows": np.arange(20, 80),
        "eval_rows": np.arange(120, 200),
    }


@pytest.mark.slow
def test_all_strategies_agree_where_nothing_and_everything_was_chosen(world):
    frame = simulate(**world, budgets=(20, 40, 80), strategies=NAMES, seed=0)
    assert list(frame.columns) == ["strategy", "budget", "metric", "value"]
    assert len(frame) == len(NAMES) * 3 * 3
    spread = frame.groupby(["budget", "metric"])["value"].agg(np.ptp).unstack()
    assert (spread.loc[[20, 80]] == 0).all(axis=None)
    assert (spread.loc[40] > 0).any()


def test_the_end_of_a_curve_is_the_fit_on_all(world):
    frame = simulate(**world, budgets=(20, 50, 80), strategies=["uncertain"], seed=0)
    found = frame[frame["budget"] == 80].set_index("metric")["value"]
    features, given, truth = (world[name] for name in ("features", "given", "truth"))
    score = corrected_log_odds(features, given, truth, np.arange(80))[120:]
    flips = flip_metrics(given[120:], (score > 0).astype(int), truth[120:])
    assert found["label_accuracy"] == flips["label_accuracy_corrected"]
    assert found["flip_f1"] == flips["flip_f1"]
    assert found["map"] == mean_average_precision(score, truth[120:])
    start = frame[frame["budget"] == 20].set_index("metric")["value"]
    assert (found > start).all()
    assert found["label_accuracy"] > flips["label_accuracy_given"] + 0.05


@pytest.mark.parametrize("strategy", NAMES)
def test_chooses_from_the_pool_and_reads_no_label_before(world, strategy, monkeypatch):
    chosen = []

    def spy(*args):
        chosen.extend(choose(*args).tolist())
        return choose(*args)

    monkeypatch.setattr(acquisition, "choose", spy)
    how = {"budgets": (30, 45), "strategies": [strategy], "seed": 0}
    frame = simulate(**world, **how)
    assert len(chosen) == len(set(chosen)) == 25
    assert set(chosen) <= set(range(20, 80))
    hidden = world["truth"].copy()
    unread = np.setdiff1d(np.arange(20, 120), chosen)
    hidden[unread] = 1 - hidden[unread]
    pd.testing.assert_frame_equal(simulate(**{**world, "truth": hidden}, **how), frame)


def test_a_wrong_plan_is_named(world):
    how = {"strategies": ["random"], "seed": 0}
    with pytest.raises(ValueError, match="eval_rows: some are in start_rows or pool_rows"):
        simulate(**{**world, "eval_rows": np.arange(79, 99)}, budgets=(30,), **how)
    for budgets in [(10,), (40, 30), (81,)]:
        with pytest.raises(ValueError, match=r"budgets: must ascend within 20\.\.80"):
            simulate(**world, budgets=budgets, **how)
