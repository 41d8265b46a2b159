"""The simplex, against independent methods and closed cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import brentq

from selfml import simplex as s

rows = arrays(
    np.float64,
    array_shapes(min_dims=1, max_dims=2, min_side=1, max_side=12),
    elements=st.floats(-50, 50, width=32),
)


def nearest_by_bisection(v):
    """Find the threshold of the projection of one vector by root finding, without sorting."""
    root = brentq(lambda t: np.maximum(v - t, 0).sum() - 1, v.max() - 1.5, v.max(), xtol=1e-14)
    return np.maximum(v - root, 0)


# ----------------------------------------------------------------------------------- sparsemax
@settings(deadline=None, max_examples=60)
@given(rows)
def test_sparsemax_is_the_projection_of_its_logits(v):
    p = s.sparsemax(v)
    assert (p >= 0).all()
    assert_allclose(p.sum(axis=-1), 1, atol=1e-12)
    for row, got in zip(np.atleast_2d(v), np.atleast_2d(p), strict=True):
        assert_allclose(got, nearest_by_bisection(row), atol=1e-9)
    assert_array_equal(s.project_to_simplex(v), p)


@settings(deadline=None, max_examples=60)
@given(rows, st.floats(-100, 100, width=16))
def test_sparsemax_ignores_a_shift_and_keeps_the_order(v, shift):
    p = s.sparsemax(v)
    assert_allclose(s.sparsemax(v + shift), p, atol=1e-11)
    order = np.argsort(v, axis=-1, kind="stable")
    assert (np.diff(np.take_along_axis(p, order, axis=-1), axis=-1) >= 0).all()


@settings(deadline=None, max_examples=50)
@given(rows)
def test_a_point_of_the_simplex_is_its_own_projection(v):
    p = s.sparsemax(v)
    assert_allclose(s.project_to_simplex(p), p, atol=1e-12)


@pytest.mark.parametrize(
    ("logits", "expected"),
    [
        ([0.5, 0.5], [0.5, 0.5]),  # keras.ops.sparsemax gives [.25, .25]
        ([0.0], [1.0]),
        ([3.0, 0.0, 0.0], [1.0, 0.0, 0.0]),
        ([0.1, 1.1, 0.2], [0.0, 0.95, 0.05]),
        ([1000.0, 999.5], [0.75, 0.25]),
        ([0.0, -1.0], [1.0, 0.0]),
        ([-np.inf, 2.0, 2.0], [0.0, 0.5, 0.5]),
        ([0, 0, 0, 0], [0.25] * 4),
    ],
)
def test_sparsemax_closed_cases(logits, expected):
    assert_allclose(s.sparsemax(logits), expected, atol=1e-12)


def test_sparsemax_float32_of_many_logits_still_sums_to_one():
    logits = np.random.default_rng(0).normal(0, 1e-3, (20, 4000)).astype(np.float32)
    p = s.sparsemax(logits)
    assert p.dtype == np.float32
    assert_allclose(p.astype(np.float64).sum(axis=1), 1, atol=1e-6)


def test_sparsemax_along_another_axis_and_without_rows():
    v = np.random.default_rng(0).normal(size=(3, 4))
    assert_allclose(s.sparsemax(v, axis=0), s.sparsemax(v.T).T)
    assert s.sparsemax(np.empty((0, 3))).shape == (0, 3)


@pytest.mark.parametrize("bad", [[np.nan, 0], [np.inf, 0], [-np.inf, -np.inf], []])
def test_sparsemax_refuses(bad):
    with pytest.raises(ValueError, match="logits"):
        s.sparsemax(bad)


def test_renormalise_without():
    assert_allclose(s.renormalise_without([0.5, 0.3, 0.2], 0), [0, 0.6, 0.4])
    row = np.array([0.5, 0.5])
    s.renormalise_without(row, 0)
    assert_array_equal(row, [0.5, 0.5])
    with pytest.raises(ValueError, match="only atom"):
        s.renormalise_without([0.0, 1.0], 1)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        s.renormalise_without([0.0, 1.0], 2)
