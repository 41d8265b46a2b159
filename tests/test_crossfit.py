"""Leave-one-out scores against refits without the row, one by one."""

from __future__ import annotations

import numpy as np
import pytest

from selfml.crossfit import PENALTIES, leave_one_out_scores, scores_of

N, C, D, L = 20, 14, 4, 5


def case(seed=0):
    """Features with few binary digits, so that float32 products are exact."""
    rng = np.random.default_rng(seed)
    features = rng.integers(-8, 9, (N, D)) / 4.0
    clean = np.sort(rng.choice(N, C, replace=False))
    labels = rng.integers(0, 2, (C, L)).astype(np.int8)
    labels[:, 1] = (features[clean, 0] > 0).astype(np.int8)
    labels[rng.random((C, L)) < 0.15] = -1
    labels[:, 3] = labels[:, 0]  # the same pattern of unknown cells twice
    labels[:, 4] = -1
    labels[2, 4] = 1
    return features, labels, clean


def refit(features, labels, clean, rows, ridge, at) -> float:
    """Kernel ridge on ``rows`` of the clean set, its prediction for image ``at``."""
    x = features[clean]
    scale = np.square(x).sum(1).mean()
    gram = x[rows] @ x[rows].T / scale + 1.0
    weights = np.linalg.solve(gram + ridge * np.eye(len(rows)), 2.0 * labels[rows] - 1.0)
    return float((x[rows] @ features[at] / scale + 1.0) @ weights)


@pytest.mark.parametrize("penalty", [1e-3, 3e-2])
def test_equals_refits_without_the_row(penalty):
    features, labels, clean = case()
    fit = leave_one_out_scores(features, labels, clean, penalties=(penalty,))
    assert fit.penalty == penalty
    for j in range(L):
        known = np.flatnonzero(labels[:, j] >= 0)
        ridge = penalty * len(known)
        for i, image in enumerate(clean):
            rest = known[known != i]
            expected = refit(features, labels[:, j], clean, rest, ridge, image) if len(rest) else 0
            assert fit.scores[image, j] == pytest.approx(expected, abs=1e-5)  # rounded


def test_other_images_get_the_fit_on_all():
    features, labels, clean = case(1)
    fit = leave_one_out_scores(features, labels, clean, penalties=(1e-2,))
    for image in np.setdiff1d(np.arange(N), clean):
        for j in range(L):
            known = np.flatnonzero(labels[:, j] >= 0)
            expected = refit(features, labels[:, j], clean, known, 1e-2 * len(known), image)
            assert fit.scores[image, j] == pytest.approx(expected, abs=1e-5)  # rounded


def test_an_image_does_not_hear_its_own_label():
    """Turning one label around changes the scores of all images but its own."""
    features, labels, clean = case(2)
    labels[5, 0] = 1
    one = leave_one_out_scores(features, labels, clean, penalties=(1e-2,)).scores
    labels[5, 0] = 0
    other = leave_one_out_scores(features, labels, clean, penalties=(1e-2,)).scores
    changed = np.abs(one[:, 0] - other[:, 0])
    assert changed[clean[5]] < 1e-6
    assert (np.delete(changed, clean[5]) > 1e-6).all()
    np.testing.assert_array_equal(one[:, 1:3], other[:, 1:3])


def test_chooses_the_penalty_with_the_least_left_out_error():
    features, labels, clean = case(3)
    chosen = leave_one_out_scores(features, labels, clean).penalty
    errors = {}
    for penalty in PENALTIES:
        scores = leave_one_out_scores(features, labels, clean, penalties=(penalty,)).scores[clean]
        total = 0.0
        for j in range(L):
            known = labels[:, j] >= 0
            target = 2.0 * labels[known, j] - 1.0
            total += np.square(scores[known, j] - target).sum() / max(target.var(), 0.02)
        errors[penalty] = total
    assert errors[chosen] == pytest.approx(min(errors.values()), rel=1e-4)


def test_noise_prefers_a_large_penalty_and_signal_a_small_one():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(80, 20))
    clean = np.arange(80)
    noise = rng.integers(0, 2, (80, 6)).astype(np.int8)
    signal = (features[:, :6] > 0).astype(np.int8)
    penalty = [leave_one_out_scores(features, y, clean).penalty for y in (signal, noise)]
    assert penalty[0] < penalty[1] == max(PENALTIES)


def test_an_attribute_nobody_verified_says_nothing():
    features, labels, clean = case(4)
    labels[:, 2] = -1
    scores = leave_one_out_scores(features, labels, clean).scores
    assert (scores[:, 2] == 0).all()
    assert np.isfinite(scores).all()


def test_features_that_do_not_vary_are_no_error():
    _, labels, clean = case(5)
    for constant in (0.0, 1.0):
        scores = leave_one_out_scores(np.full((N, D), constant), labels, clean).scores
        assert np.isfinite(scores).all()


def test_too_few_rows():
    features, labels, clean = case()
    with pytest.raises(ValueError, match="clean_rows: at least 3"):
        leave_one_out_scores(features, labels[:2], clean[:2])


def test_images_that_are_not_clean_have_the_same_scores_by_their_features_alone():
    """As unseen images are scored: with the weights that are stored, without the clean images."""
    rng = np.random.default_rng(5)
    features = rng.normal(size=(40, 6))
    clean = np.arange(3, 28, 2)
    labels = rng.integers(-1, 2, (len(clean), 4)).astype(np.int8)
    fit = leave_one_out_scores(features, labels, clean)
    others = np.setdiff1d(np.arange(40), clean)
    scores = scores_of(features, fit.weight, fit.bias)
    np.testing.assert_allclose(scores[others], fit.scores[others], atol=1.1e-5)
    known = clean[(labels >= 0).all(axis=1)]
    assert (abs(scores[known] - fit.scores[known]) > 1e-3).any()  # those are left out there
