"""Platt scaling, calibration error, and the promise of the auto-accept threshold, simulated."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from selfml import calibration as cal


def platt_case(n=400, slopes=(0.5, 1.0, 2.0), intercepts=(0.5, 0.0, -1.0), seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(0, 2, (n, len(slopes)))
    return z, (rng.random(z.shape) < expit(z * slopes + intercepts)).astype(np.int8)


# --------------------------------------------------------------------------------------- Platt
def test_platt_without_a_prior_is_logistic_regression():
    z, y = platt_case()
    y[:50, 1] = -1
    slope, intercept = cal.fit_platt(z, y, prior_strength=1e-8)
    for j in range(3):
        known = y[:, j] >= 0
        reference = LogisticRegression(C=np.inf, tol=1e-10).fit(z[known, j : j + 1], y[known, j])
        assert slope[j] == pytest.approx(reference.coef_[0, 0], rel=1e-4)
        assert intercept[j] == pytest.approx(reference.intercept_[0], rel=1e-3, abs=1e-4)


def test_platt_minimises_what_its_notes_say():
    z, y = platt_case(n=60)
    slope, intercept = cal.fit_platt(z, y, prior_strength=7.0)
    s2 = np.var(z)

    def loss(line, zj, yj, centre, strength):
        t = line[0] * zj + line[1]
        away = s2 * (line[0] - centre[0]) ** 2 + (line[1] - centre[1]) ** 2
        return (np.logaddexp(0, t) - yj * t).sum() + strength / 2 * away

    shared = minimize(loss, [1, 0], args=(z.ravel(), y.ravel(), (1, 0), 1.0), tol=1e-12).x
    for j in range(3):
        best = minimize(loss, shared, args=(z[:, j], y[:, j], shared, 7.0), tol=1e-12).x
        assert_allclose([slope[j], intercept[j]], best, atol=1e-4)


def test_platt_draws_rare_attributes_to_the_shared_line_and_leaves_common_ones():
    z, y = platt_case(n=3000, slopes=(1.0, 1.0, 3.0, 1.0), intercepts=(0.0, 0.0, 1.0, 0.0))
    y[6:, 3] = -1  # six examples
    y[:, 1] = -1  # none at all
    y[:6, 3] = z[:6, 3] > 0  # separable: unshrunk, the slope has no bound
    slope, _ = cal.fit_platt(z, y)
    alone, _ = cal.fit_platt(z, y, prior_strength=1e-6)
    assert abs(slope[3] - slope[1]) < 1 < alone[3] - slope[1]
    assert slope[2] == pytest.approx(3, abs=0.4)
    stronger, _ = cal.fit_platt(z, y, prior_strength=1e6)
    assert_allclose(stronger, stronger[1], atol=0.02)


def test_platt_mask_and_blanks_leave_cells_out():
    z, y = platt_case()
    mask = np.random.default_rng(1).random(z.shape) < 0.6
    expected = cal.fit_platt(z, np.where(mask, y, -1))
    assert_allclose(cal.fit_platt(z, y, mask), expected)
    assert_allclose(cal.fit_platt(np.where(mask, z, np.nan), y, mask), expected)
    assert not np.allclose(cal.fit_platt(z, y), expected)


def test_platt_scales_with_the_logits_and_undoes_overconfidence():
    z, y = platt_case(n=2000)
    slope, intercept = cal.fit_platt(z, y)
    sharper, same = cal.fit_platt(10 * z, y)
    assert_allclose(sharper, slope / 10, rtol=0.02)
    assert_allclose(same, intercept, atol=0.02)
    before = cal.expected_calibration_error(expit(10 * z), y)
    after = cal.expected_calibration_error(cal.apply_platt(10 * z, sharper, same), y)
    assert after < 0.03 < before


def test_platt_never_turns_an_attribute_round():
    z, y = platt_case(slopes=(1.0, -2.0), intercepts=(0.0, 0.0))
    slope, intercept = cal.fit_platt(z, y)
    assert slope[1] == 0
    assert expit(intercept[1]) == pytest.approx(y[:, 1].mean(), abs=0.02)
    assert slope[0] > 0.3


def test_platt_survives_extremes_and_no_data():
    slope, intercept = cal.fit_platt(np.zeros((0, 2)), np.zeros((0, 2), int))
    assert_allclose([slope, intercept], [[1, 1], [0, 0]])
    z = np.array([[1e4, -1e4], [-1e4, 1e4], [5e3, 0.0]])
    slope, intercept = cal.fit_platt(z, z > 0)
    assert np.isfinite([slope, intercept]).all()
    slope, _ = cal.fit_platt(np.zeros((5, 1)), np.ones((5, 1), int))
    assert np.isfinite(slope).all()


@pytest.mark.parametrize(
    ("arguments", "settings", "says"),
    [
        ((np.zeros((2, 2)), np.zeros((2, 3), int)), {}, "alike"),
        ((np.zeros((2, 2)), np.full((2, 2), 3)), {}, "0, 1 and -1"),
        ((np.full((2, 2), np.nan), np.zeros((2, 2), int)), {}, "finite"),
        ((np.zeros((2, 2)), np.zeros((2, 2), int)), {"prior_strength": 0}, "prior_strength"),
    ],
)
def test_platt_refuses(arguments, settings, says):
    with pytest.raises(ValueError, match=says):
        cal.fit_platt(*arguments, **settings)


# --------------------------------------------------------------------------------- reliability
def test_reliability_by_hand():
    p = np.array([[0.0, 0.1, 0.25], [0.6, 1.0, 0.9]])
    y = np.array([[0, 1, -1], [1, 1, 0]])
    table = cal.reliability_table(p, y, n_bins=2)
    assert table["count"].tolist() == [2, 3]
    assert_allclose(table["mean_probability"], [0.05, 2.5 / 3])
    assert_allclose(table["observed_fraction"], [0.5, 2 / 3])
    # (2 * .45 + 3 * (2.5 - 2) / 3) / 5
    assert cal.expected_calibration_error(p, y, n_bins=2) == pytest.approx(1.4 / 5)


def test_reliability_edges_empty_bins_and_no_labels():
    table = cal.reliability_table([0.5, 1.0], [1, 1], n_bins=4)
    assert table["count"].tolist() == [0, 0, 1, 1]
    assert table["mean_probability"].isna().tolist() == [True, True, False, False]
    assert_allclose(table["bin_low"], [0, 0.25, 0.5, 0.75])
    assert np.isnan(cal.expected_calibration_error([0.5], [-1]))


@pytest.mark.parametrize(
    ("p", "y", "n_bins", "says"),
    [([1.5], [1], 5, r"0\.\.1"), ([0.5], [1, 0], 5, "shape"), ([0.5], [1], 0, "n_bins")],
)
def test_reliability_refuses(p, y, n_bins, says):
    with pytest.raises(ValueError, match=says):
        cal.reliability_table(p, y, n_bins=n_bins)
