"""Scores of an outcome on cases worked by hand (the numbers stand in the test)."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from selfml.benchmark.problem import Outcome
from selfml.benchmark.scores import LABEL_METRICS, score
from selfml.metrics import HEADLINE, TABLE_1, table_1

GIVEN = np.array([[0, 1, -1], [1, 0, 0]], np.int8)
TRUTH = np.array([[1, 1, 1], [0, 0, 1]], np.int8)
# corrected: [[1, 0, blank], [0, 0, 0]]
SCORE = np.array([[2.0, -1.0, 3.0], [-1.0, -0.5, -1.0]])
STRICT = np.array([[-1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
BOTH, SECOND = np.array([0, 1]), np.array([1])


def scored(outcome, given=GIVEN, truth=TRUTH, test=BOTH, noisy=SECOND, names=None):
    rows = score(outcome, given, truth, test, noisy, names)
    assert len(dict(rows)) == len(rows)
    return dict(rows)


def test_flips_by_hand():
    found = scored(Outcome(label_score=SCORE))
    # five cells are known; flipped: two right, one wrong; three given labels are wrong
    assert found["label_accuracy"] == pytest.approx(60)
    assert found["label_accuracy_given"] == pytest.approx(40)
    for name in ("flip_precision", "flip_recall", "flip_f1"):
        assert found[name] == pytest.approx(200 / 3)
    # AP 1 and 1/2; the third attribute has no negative
    assert found["label_map"] == pytest.approx(75)
    assert set(found) == {f"{n}{s}" for n in LABEL_METRICS for s in ("", "_noisy")} | {
        "label_accuracy_given",
        "label_accuracy_given_noisy",
    }


def test_flips_of_noisy_rows_by_hand():
    found = scored(Outcome(label_score=SCORE))
    # one flip, right, of two that were needed; two of three labels are right in the end
    assert found["flip_precision_noisy"] == pytest.approx(100)
    assert found["flip_recall_noisy"] == pytest.approx(50)
    assert found["flip_f1_noisy"] == pytest.approx(200 / 3)
    assert found["label_accuracy_noisy"] == pytest.approx(200 / 3)
    assert found["label_accuracy_given_noisy"] == pytest.approx(100 / 3)
    assert np.isnan(found["label_map_noisy"])  # one image ranks nothing


def test_strict_twins_by_hand():
    found = scored(Outcome(label_score=SCORE, strict_score=STRICT))
    # corrected: [[0, 1, blank], [1, 1, 1]]: one flip right, one wrong
    assert found["label_accuracy_strict"] == pytest.approx(40)
    assert found["flip_precision_strict"] == pytest.approx(50)
    assert found["flip_recall_strict"] == pytest.approx(100 / 3)
    assert found["flip_f1_strict"] == pytest.approx(40)
    assert found["label_map_strict"] == pytest.approx(50)
    assert found["flip_precision_strict_noisy"] == pytest.approx(50)
    assert found["label_accuracy"] == pytest.approx(60)
    assert "label_accuracy_given_strict" not in found


def test_a_blank_given_label_is_no_flip_whatever_the_score():
    flipped = np.where(GIVEN < 0, -SCORE, SCORE)
    assert_allclose(
        [scored(Outcome(label_score=flipped))[n] for n in LABEL_METRICS[:4]],
        [scored(Outcome(label_score=SCORE))[n] for n in LABEL_METRICS[:4]],
    )


def test_without_label_scores_the_probabilities_correct_at_one_half():
    probabilities = np.array([[1.0, 0.4, 0.9], [0.0, 0.45, 0.5]])  # the signs of SCORE
    found, expected = scored(Outcome(probabilities)), scored(Outcome(label_score=SCORE))
    for name in ("label_accuracy", "flip_f1", "label_accuracy_noisy", "label_map"):
        assert found[name] == pytest.approx(expected[name])
    both = scored(Outcome(probabilities, label_score=-SCORE))
    assert both["label_accuracy"] == pytest.approx(40)


def test_table_1_is_of_the_test_rows():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (60, 4)).astype(np.int8)
    truth[:, 3][::7] = -1
    probabilities = rng.random((60, 4))
    test = np.arange(10, 50)
    names = ["a", "b/c", "d", "e"]
    found = scored(Outcome(probabilities), truth, truth, test, np.arange(10), names)
    expected = table_1(probabilities[test], truth[test])
    assert set(HEADLINE) < set(expected) == {m.name for m in TABLE_1}
    assert_allclose([found[name] for name in expected], list(expected.values()))
    assert np.mean([found[f"ap/{name}"] for name in names]) == pytest.approx(found["map"])
    assert np.isnan(found["map_rare"])
    assert found["flip_precision"] == 0  # given is the truth: every flip is wrong


def test_rare_attributes_by_hand():
    truth = np.zeros((40, 3), np.int8)
    truth[0, 0] = 1  # 2.5 %
    truth[:2, 1] = 1  # 5 %: not rare
    truth[0, 2], truth[10:, 2] = 1, -1  # 10 % of the known
    probabilities = np.linspace(0.9, 0.1, 40)[:, None].repeat(3, axis=1)
    probabilities[1, 0] = 0.95  # before the positive of image 0, at .9: AP 1/2
    rows, none = np.arange(40), np.array([], int)
    found = scored(Outcome(probabilities), truth, truth, rows, none, ["a", "b", "c"])
    assert found["map_rare"] == found["ap/a"] == pytest.approx(50)
    assert found["ap/b"] == found["ap/c"] == pytest.approx(100)
    assert found["map"] == pytest.approx(250 / 3)


def test_without_rows_or_truth_everything_is_nan():
    none, unknown = np.array([], int), np.full_like(TRUTH, -1)
    outcome = Outcome(np.full((2, 3), 0.5), SCORE, STRICT)
    for truth, test, noisy in ((TRUTH, none, none), (unknown, BOTH, SECOND)):
        found = scored(outcome, GIVEN, truth, test, noisy, ["a", "b", "c"])
        assert {"map", "ap/a", "flip_f1_strict_noisy"} < set(found)
        assert np.isnan(list(found.values())).all()


def test_extras_are_passed_as_they_are():
    outcome = Outcome(label_score=SCORE, extras={"atoms/40/atoms_used": np.float32(38)})
    rows = score(outcome, GIVEN, TRUTH, BOTH, SECOND)
    assert rows[-1] == ("atoms/40/atoms_used", 38.0)
    assert all(type(value) is float for _, value in rows)


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ValueError, match="probabilities or label_score"):
        scored(Outcome())
    with pytest.raises(ValueError, match="finite"):
        scored(Outcome(label_score=np.full((2, 3), np.nan)))
    with pytest.raises(ValueError, match=r"0\.\.1"):
        scored(Outcome(SCORE))
    with pytest.raises(ValueError, match="3 columns"):
        scored(Outcome(np.full((2, 3), 0.5)), names=["a"])
