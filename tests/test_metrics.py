"""Metrics against scikit-learn and against cases worked by hand (the numbers stand in the test)."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import metrics as sk

from selfml import explanation_metrics as xm
from selfml import metrics as m

NAN = float("nan")
# Three images, four labels; b is blank (-1). Image 0: k*=2, image 1: k*=1, image 2: k*=0.
TRUTH = np.array([[1, 1, 0, -1], [0, 0, 1, 0], [0, 0, -1, 0]], dtype=np.int8)
SCORES = np.array([[0.9, 0.3, 0.6, 0.99], [0.7, 0.1, 0.4, 0.2], [0.1, 0.2, 0.9, 0.6]])


def random_case(seed=0, n=200, n_labels=7, blank=0.0):
    rng = np.random.default_rng(seed)
    truth = (rng.random((n, n_labels)) < np.linspace(0.1, 0.6, n_labels)).astype(np.int8)
    scores = np.clip(0.3 * truth + 0.7 * rng.random(truth.shape), 0, 1).round(2)  # with ties
    truth[rng.random(truth.shape) < blank] = -1
    return scores, truth


# ------------------------------------------------------------------------------------- @k*
def test_top_k_ranks_only_known_cells():
    # image 0: the blank label scores highest, yet labels 0 and 2 are its two best known ones
    expected = [[1, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert_array_equal(m.top_k_predictions(SCORES, TRUTH), np.array(expected, bool))


def test_top_k_ties_go_to_the_lower_index():
    got = m.top_k_predictions(np.full((1, 3), 0.5), np.array([[0, 1, 1]]))
    assert_array_equal(got, [[True, True, False]])


def test_at_k_by_hand():
    # plain: image 0 hits 1 of 2, image 1 hits 0 of 1, image 2 is left out -> (1/2 + 0) / 2
    for function in (m.precision_at_k, m.recall_at_k, m.f1_at_k):
        assert function(SCORES, TRUTH) == pytest.approx(0.25)
    # at threshold .65 image 0 keeps only label 0 (P 1, R 1/2, F1 2/3), image 1 label 0 (all 0)
    assert m.precision_at_k(SCORES, TRUTH, threshold=0.65) == pytest.approx(0.5)
    assert m.recall_at_k(SCORES, TRUTH, threshold=0.65) == pytest.approx(0.25)
    assert m.f1_at_k(SCORES, TRUTH, threshold=0.65) == pytest.approx(1 / 3)
    # at .95 nothing is predicted, which is a precision of 0
    assert m.precision_at_k(SCORES, TRUTH, threshold=0.95) == 0
    # by label: support 1, 1, 1; label 0 hit once of two predictions, label 1 and 2 never
    assert m.precision_at_k(SCORES, TRUTH, average="labels") == pytest.approx(1 / 6)
    assert m.recall_at_k(SCORES, TRUTH, average="labels") == pytest.approx(1 / 3)
    assert m.f1_at_k(SCORES, TRUTH, average="labels") == pytest.approx(2 / 3 / 3)


@pytest.mark.parametrize("threshold", [None, 0.5])
@pytest.mark.parametrize(("ours", "theirs"), [("images", "samples"), ("labels", "weighted")])
def test_at_k_matches_scikit_learn(threshold, ours, theirs):
    scores, truth = random_case()
    kept = (truth == 1).any(axis=1)
    predicted = m.top_k_predictions(scores, truth, threshold=threshold)[kept]
    for function, reference in (
        (m.precision_at_k, sk.precision_score),
        (m.recall_at_k, sk.recall_score),
        (m.f1_at_k, sk.f1_score),
    ):
        expected = reference(truth[kept], predicted, average=theirs, zero_division=0)
        assert function(scores, truth, threshold=threshold, average=ours) == pytest.approx(expected)


def test_readings_of_at_k_differ_as_the_docstring_says():
    scores, truth = random_case()
    plain = {f(scores, truth) for f in (m.precision_at_k, m.recall_at_k, m.f1_at_k)}
    assert max(plain) - min(plain) < 1e-12
    half = [f(scores, truth, threshold=0.5) for f in (m.precision_at_k, m.f1_at_k, m.recall_at_k)]
    assert half == sorted(half, reverse=True)
    assert half[0] > half[2]  # precision never below recall: not what the paper prints


def test_averaged_over_labels_f1_can_lie_below_both_as_in_the_first_row_of_the_paper():
    # ten images with one true label each, five of each; label 0 is predicted for nine of them
    truth = np.repeat([[1, 0], [0, 1]], 5, axis=0)
    scores = np.tile([0.8, 0.2], (10, 1))
    scores[9] = [0.2, 0.8]
    got = [f(scores, truth, average="labels") for f in (m.precision_at_k, m.recall_at_k, m.f1_at_k)]
    # label 0: 5/9, 1, 10/14; label 1: 1, 1/5, 1/3
    assert_allclose(got, [7 / 9, 3 / 5, (5 / 7 + 1 / 3) / 2])
    assert got[2] < min(got[:2])


# ------------------------------------------------------------------------- thresholds and AP
def test_thresholded_metrics_by_hand_with_blanks():
    # at .5: image 0 predicts {0, 2} of true {0, 1} -> 1/3; image 1 {0} of {2} -> 0;
    # image 2 (label 2 blank, so its .9 is not counted) {3} of {} -> 0
    assert m.jaccard(SCORES, TRUTH) == pytest.approx(1 / 9)
    assert m.exact_match(SCORES, TRUTH) == 0
    # pooled: 1 hit, 4 predicted, 3 true
    assert m.overall_f1(SCORES, TRUTH) == pytest.approx(2 / 7)
    # labels 0, 1, 2 have a positive: precision 1/2, 0, 0, recall 1, 0, 0 -> 1/6 and 1/3
    assert m.class_f1(SCORES, TRUTH) == pytest.approx(2 * (1 / 6) * (1 / 3) / (1 / 6 + 1 / 3))


def test_empty_sets_agree_and_images_without_known_cells_are_left_out():
    truth = np.array([[0, 0], [-1, -1], [0, -1]])
    scores = np.array([[0.1, 0.1], [0.9, 0.9], [0.6, 0.1]])
    assert m.jaccard(scores, truth) == pytest.approx(0.5)
    assert m.exact_match(scores, truth) == pytest.approx(0.5)


def test_thresholded_metrics_match_scikit_learn():
    scores, truth = random_case(1)
    predicted = scores >= 0.5
    expected = sk.jaccard_score(truth, predicted, average="samples", zero_division=1)
    assert m.jaccard(scores, truth) == pytest.approx(expected)
    assert m.exact_match(scores, truth) == pytest.approx(sk.accuracy_score(truth, predicted))
    assert m.overall_f1(scores, truth) == pytest.approx(
        sk.f1_score(truth, predicted, average="micro")
    )
    p = sk.precision_score(truth, predicted, average="macro", zero_division=0)
    r = sk.recall_score(truth, predicted, average="macro")
    assert m.class_f1(scores, truth) == pytest.approx(2 * p * r / (p + r))


def test_average_precision_matches_scikit_learn_on_known_cells():
    scores, truth = random_case(2, blank=0.3)
    known = truth >= 0
    assert m.average_precision_all(scores, truth) == pytest.approx(
        sk.average_precision_score(truth[known], scores[known])
    )
    each = [
        sk.average_precision_score(truth[known[:, j], j], scores[known[:, j], j]) for j in range(7)
    ]
    assert_allclose(m.average_precision_per_attribute(scores, truth), each)
    assert m.mean_average_precision(scores, truth) == pytest.approx(np.mean(each))


def test_map_leaves_out_attributes_without_a_positive_or_a_negative():
    truth = np.array([[1, 0, 1, -1], [0, 0, 1, -1], [1, 0, -1, -1]])
    scores = np.array([[0.9, 0.1, 0.1, 0.1], [0.8, 0.2, 0.2, 0.2], [0.7, 0.3, 0.3, 0.3]])
    # attribute 0: positives at ranks 1 and 3 -> (1 + 2/3) / 2
    assert_allclose(m.average_precision_per_attribute(scores, truth), [5 / 6, NAN, NAN, NAN])
    assert m.mean_average_precision(scores, truth) == pytest.approx(5 / 6)


@pytest.mark.parametrize("metric", m.TABLE_1, ids=lambda metric: metric.name)
def test_every_metric_ignores_what_a_blank_cell_scores(metric):
    scores, truth = random_case(3, blank=0.4)
    other = np.where(truth < 0, 1 - scores, scores)
    assert metric.function(scores, truth) == metric.function(other, truth)
    # and the case can move it: the same change in known cells does
    assert metric.function(scores, truth) != metric.function(1 - scores, truth)


@pytest.mark.parametrize("metric", m.TABLE_1, ids=lambda metric: metric.name)
def test_every_metric_is_one_when_all_is_right_and_nan_or_one_when_there_is_nothing(metric):
    truth = np.array([[1, 0, 1], [0, 1, 0], [1, 1, -1]])
    assert metric.function(np.where(truth == 1, 0.9, 0.1), truth) == pytest.approx(1)
    blank = np.full((2, 3), -1)
    assert np.isnan(metric.function(np.full((2, 3), 0.7), blank))
    assert np.isnan(metric.function(np.empty((0, 3)), np.empty((0, 3), int)))
    assert metric.definition
    assert metric.title
    assert metric.higher_is_better


def test_table_1_is_in_percent_and_keeps_the_headline_in_order():
    scores, truth = random_case()
    table = m.table_1(scores, truth)
    assert list(table) == [metric.name for metric in m.TABLE_1]
    assert table["map"] == pytest.approx(100 * m.mean_average_precision(scores, truth))
    assert table["precision_at_k"] == pytest.approx(
        100 * m.precision_at_k(scores, truth, threshold=0.5)
    )
    assert table["f1_at_k_plain"] == pytest.approx(100 * m.f1_at_k(scores, truth))
    assert table["recall_at_k_by_label"] == pytest.approx(
        100 * m.recall_at_k(scores, truth, average="labels")
    )
    assert set(m.HEADLINE) <= set(table)
    titles = {metric.name: metric.title for metric in m.TABLE_1}
    assert [titles[name] for name in m.HEADLINE] == [
        "Precision@k*",
        "Recall@k*",
        "F1@k*",
        "AP_all",
        "MAP",
        "Jaccard similarity",
        "0-1 exact match",
    ]


@pytest.mark.parametrize(
    ("scores", "truth", "says"),
    [
        (np.zeros((2, 3)), np.zeros((2, 2), int), "shape of truth"),
        (np.zeros((2, 2)), np.full((2, 2), 2), "0, 1 and -1"),
        (np.zeros(2), np.zeros(2, int), "must be"),
        (np.full((2, 2), NAN), np.zeros((2, 2), int), "finite"),
        (np.full((2, 2), 3.0), np.zeros((2, 2), int), "sigmoid"),
    ],
)
def test_table_1_refuses_what_it_cannot_read(scores, truth, says):
    with pytest.raises(ValueError, match=says):
        m.table_1(scores, truth)


def test_average_must_be_known():
    with pytest.raises(ValueError, match="average"):
        m.f1_at_k(SCORES, TRUTH, average="micro")


def test_gap_closed():
    assert m.gap_closed(68.2, 54.3, 73.6) == pytest.approx(13.9 / 19.3)
    assert m.gap_closed(54.3, 54.3, 73.6) == 0
    assert np.isnan(m.gap_closed(60, 70, 70))


# --------------------------------------------------------------------------------------- flips
#                    flips:   right wrong missed ok   right wrong missed ok  three blanks
GIVEN = np.array([[0, 0, 0, 0, 1, 1, 1, 1, -1, 0, 0]])
FIXED = np.array([[1, 1, 0, 0, 0, 0, 1, 1, 1, 1, -1]])
VERIFIED = np.array([[1, 0, 1, 0, 0, 1, 0, 1, 1, -1, 1]])


def test_flip_metrics_by_hand():
    got = xm.flip_metrics(GIVEN, FIXED, VERIFIED)
    assert list(got) == list(xm.FLIP_METRICS)
    for prefix in ("flip", "to_1", "to_0"):
        for name in ("precision", "recall", "f1"):
            assert got[f"{prefix}_{name}"] == pytest.approx(0.5)
    assert got["label_accuracy_given"] == pytest.approx(4 / 8)
    assert got["label_accuracy_corrected"] == pytest.approx(4 / 8)
    assert got["residual_noise_given"] == pytest.approx(1 - got["label_accuracy_given"])


def test_flip_metrics_tell_the_directions_apart():
    given = np.array([[0, 0, 0, 1, 1, 1, 1, 0]])
    fixed = np.array([[1, 1, 1, 0, 1, 1, 1, 0]])
    truth = np.array([[1, 1, 0, 0, 0, 0, 0, 0]])
    got = xm.flip_metrics(given, fixed, truth)
    assert (got["to_1_precision"], got["to_1_recall"]) == (pytest.approx(2 / 3), 1)
    assert (got["to_0_precision"], got["to_0_recall"]) == (1, pytest.approx(1 / 4))
    assert got["flip_precision"] == pytest.approx(3 / 4)
    assert got["flip_recall"] == pytest.approx(3 / 6)
    assert got["flip_f1"] == pytest.approx(6 / 10)
    assert got["residual_noise_given"] == pytest.approx(6 / 8)
    assert got["residual_noise_corrected"] == pytest.approx(4 / 8)


def test_flip_metrics_match_scikit_learn():
    rng = np.random.default_rng(8)
    given, fixed, truth = rng.integers(0, 2, (3, 100, 4))
    got = xm.flip_metrics(given, fixed, truth)
    wrong, flipped = (truth != given).ravel(), (fixed != given).ravel()
    p, r, f, _ = sk.precision_recall_fscore_support(wrong, flipped, average="binary")
    assert [got[f"flip_{x}"] for x in ("precision", "recall", "f1")] == pytest.approx([p, r, f])


def test_no_flip_has_no_precision_but_a_recall():
    got = xm.flip_metrics([[0, 1]], [[0, 1]], [[1, 1]])
    assert np.isnan(got["flip_precision"])
    assert got["flip_recall"] == 0
    assert np.isnan(got["to_0_recall"])
    assert np.isnan(xm.flip_metrics([[0]], [[0]], [[-1]])["label_accuracy_given"])


def test_label_error_auprc():
    given, truth = np.array([[1, 0, 1, -1, 0]]), np.array([[0, 0, 1, 1, -1]])
    wrong = xm.probability_given_wrong(given, [[0.4, 0.7, 0.8, 0.9, 0.5]])
    assert_allclose(wrong, [[0.6, 0.7, 0.2, NAN, 0.5]])
    # the one wrong label of three judged comes second
    assert xm.label_error_auprc(wrong, given, truth) == pytest.approx(0.5)
    assert np.isnan(xm.label_error_auprc(wrong, given, given))
    with pytest.raises(ValueError, match="finite"):
        xm.label_error_auprc(wrong, np.abs(given), np.abs(truth))


def test_flips_by_attribute_by_hand():
    table = xm.flips_by_attribute(GIVEN.T, FIXED.T, VERIFIED.T, ["sleeve"])
    # the flip of the blank truth counts as a flip and is not judged
    assert table.iloc[0].to_dict() == {
        "attribute_index": 0,
        "attribute": "sleeve",
        "to_1": 3,
        "to_1_judged": 2,
        "to_1_correct": 1,
        "to_0": 2,
        "to_0_judged": 2,
        "to_0_correct": 1,
    }
    with pytest.raises(ValueError, match="corrected must"):
        xm.flips_by_attribute(GIVEN, FIXED.T, VERIFIED, ["a"] * 11)


# -------------------------------------------------------------------------------- explanations
C = sparse.csr_array(np.array([[0.9, 0.1, 0.0, 0.0], [0.96, 0.0, 0.04, 0.0], [0.5, 0.5, 0.0, 0.0]]))


def test_explanation_metrics_by_hand():
    basis = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 5.0], [9.0, 9.0]])
    got = xm.explanation_metrics(
        C,
        np.array([[1, 0, -1], [0, 0, 1], [0, 1, 0], [0, 1, 0]]),
        own_image=[0, 2, 1, -1],
        basis_categories=["dress", "dress", "top", "knit"],
        features=C @ basis,
        basis=basis,
    )
    # masses 2.36, .6, .04, 0 of 3: two atoms hold 98.7 %, three hold all
    assert got == pytest.approx(
        {
            "atoms_used": 2,
            "atoms_95": 2,
            "atoms_99": 3,
            "nonzeros_per_image": 2,
            "self_coefficient": 0.7,  # atoms 0 and 1: .9 and .5; atom 2 is not used
            "categories_covered": 1,
            "labels_covered": 2,
            "reconstruction_r2": 1,
        }
    )
    assert list(got) == list(xm.EXPLANATION_METRICS)


def test_explanation_parts():
    assert_array_equal(xm.atoms_used(C, threshold=0.03), [True, True, True, False])
    assert_allclose(xm.self_coefficients(C, [0, 2, 1, -1]), [0.9, 0.5, 0.04, NAN])
    assert xm.atoms_holding_mass(C, 0) == 0
    assert xm.atoms_holding_mass(C, 1) == 3
    even = sparse.csr_array(np.full((3, 10), 0.1))
    assert xm.atoms_holding_mass(even, 0.7) == 7


def test_explanation_metrics_without_images_or_optional_inputs():
    got = xm.explanation_metrics(sparse.csr_array((0, 2)), np.zeros((2, 3), int))
    assert got["atoms_used"] == got["atoms_95"] == got["labels_covered"] == 0
    assert np.isnan([got["nonzeros_per_image"], got["self_coefficient"]]).all()
    assert np.isnan([got["categories_covered"], got["reconstruction_r2"]]).all()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: xm.atoms_used(sparse.csr_array([[-0.5, 1.5]])), "weights >= 0"),
        (lambda: xm.atoms_holding_mass(C, 1.5), "fraction"),
        (lambda: xm.self_coefficients(C, [0, 1, 2, 3]), "own_image"),
        (lambda: xm.explanation_metrics(C, np.zeros((3, 2), int)), "basis_labels must have 4"),
    ],
)
def test_explanation_metrics_refuse_what_does_not_fit(call, says):
    with pytest.raises(ValueError, match=says):
        call()
