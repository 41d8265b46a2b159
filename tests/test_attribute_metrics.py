"""Gains by attribute and their bootstrap, against scikit-learn and cases worked by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import metrics as sk

from selfml import attribute_metrics as am
from selfml import intervals
from selfml import metrics as m
from tests.test_metrics import NAN, SCORES, TRUTH, random_case


def test_attribute_table_by_hand():
    table = am.attribute_table(SCORES, TRUTH, ["a", "b", "c", "d"])
    assert table["support"].tolist() == [1, 1, 1, 0]
    assert table["known"].tolist() == [3, 3, 2, 2]
    assert_allclose(table["prevalence"], [1 / 3, 1 / 3, 1 / 2, 0])
    # b: the positive scores .3, the best of its column; c: .4 against a negative at .6
    assert_allclose(table["average_precision"], [1, 1, 1 / 2, NAN])
    with pytest.raises(ValueError, match="4 columns"):
        am.attribute_table(SCORES, TRUTH, ["a"])


def test_gain_table_is_sorted_by_frequency_and_adds_up():
    scores, truth = random_case(4, n=120, blank=0.2)
    worse = np.random.default_rng(0).random(scores.shape)
    names = list("abcdefg")
    table, overall = am.gain_table(scores, worse, truth, names, n_resamples=200)
    assert table["support"].is_monotonic_decreasing
    assert_allclose(table["gain"], table["average_precision"] - table["baseline_average_precision"])
    assert overall["gain"] == pytest.approx(
        m.mean_average_precision(scores, truth) - m.mean_average_precision(worse, truth)
    )
    assert (table["gain_low"] < table["gain"]).all()
    assert (table["gain"] < table["gain_high"]).all()
    assert 0 < overall["gain_low"] < overall["gain"] < overall["gain_high"]
    again, _ = am.gain_table(scores, worse, truth, names, n_resamples=200)
    assert table.equals(again)
    other, _ = am.gain_table(scores, worse, truth, names, n_resamples=200, seed=1)
    assert not np.array_equal(table["gain_low"], other["gain_low"])


def test_gain_of_equal_scores_is_exactly_zero():
    scores, truth = random_case(5, n=60)
    table, overall = am.gain_table(scores, scores, truth, list("abcdefg"), n_resamples=50)
    assert_array_equal(table[["gain", "gain_low", "gain_high"]].to_numpy(), 0)
    assert overall == {"gain": 0, "gain_low": 0, "gain_high": 0}


def test_gain_table_does_without_resamples_and_undefined_attributes():
    truth = np.array([[1, 0], [0, 0]])
    table, overall = am.gain_table(
        np.array([[0.9, 0.1], [0.1, 0.1]]), np.full((2, 2), 0.5), truth, ["a", "b"], n_resamples=0
    )
    assert_allclose(table["gain"], [0.5, NAN])
    assert np.isnan(overall["gain_low"])
    with pytest.raises(ValueError, match="confidence_level"):
        am.gain_table(truth, truth, truth, ["a", "b"], confidence_level=1.0)


def test_bootstrap_average_precision_matches_scikit_learn_on_repeated_rows():
    scores, truth = random_case(6, n=50)
    weights = np.random.default_rng(1).multinomial(50, np.full(50, 1 / 50), size=5)
    got = am._weighted_average_precision(scores[:, 3], truth[:, 3] == 1, weights.T)
    expected = [
        sk.average_precision_score(np.repeat(truth[:, 3], w), np.repeat(scores[:, 3], w))
        for w in weights
    ]
    assert_allclose(got, expected)


def test_bootstrap_does_not_depend_on_its_blocks(monkeypatch):
    scores, truth = random_case(7, n=40)
    names = list("abcdefg")
    whole, _ = am.gain_table(scores, 1 - scores, truth, names, n_resamples=30)
    monkeypatch.setattr(intervals, "_CELLS_AT_ONCE", 100)
    pieces, _ = am.gain_table(scores, 1 - scores, truth, names, n_resamples=30)
    assert whole.equals(pieces)


def test_rankings_are_measured_on_the_same_resamples():
    scores, truth = random_case(8, n=40, blank=0.1)
    one, again, other = am.resampled_average_precision(
        [scores, scores, 1 - scores], truth, n_resamples=20
    )
    assert one.shape == (20, truth.shape[1])
    assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    (alone,) = am.resampled_average_precision([1 - scores], truth, n_resamples=20)
    assert_array_equal(other, alone)
    assert am.resampled_average_precision([scores[:0]], truth[:0], n_resamples=3).shape[1] == 3
