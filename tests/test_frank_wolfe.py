"""Pairwise steps on the simplex: against a plain solver, alone and beside others."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from selfml import hull
from selfml.frank_wolfe import pairwise_frank_wolfe


def problem(n=40, k=30, d=12, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    atoms, x = rng.normal(size=(k, d)), rng.normal(size=(n, d))
    gram, cross = atoms @ atoms.T, x @ atoms.T
    return gram.astype(dtype), cross.astype(dtype)


def gaps(gram, cross, c):
    gradient = 2 * (c @ gram - cross)
    return (c * gradient).sum(axis=1) - gradient.min(axis=1)


@pytest.mark.parametrize(("dtype", "allowed"), [(np.float64, 1e-8), (np.float32, 1e-3)])
def test_rows_lie_on_the_simplex_within_the_gap(dtype, allowed):
    gram, cross = problem(dtype=dtype)
    c = pairwise_frank_wolfe(gram, cross, np.full(40, allowed, dtype), 5000)
    assert c.dtype == np.float64
    assert (c.data > 0).all()
    assert_allclose(c.sum(axis=1), 1, atol=1e-12)
    assert (gaps(*problem(), c.toarray()) <= 1.01 * allowed).all()


def test_the_answer_is_that_of_a_general_solver():
    gram, cross = problem(n=3, k=6, d=4)
    got = pairwise_frank_wolfe(gram, cross, np.full(3, 1e-12), 5000).toarray()
    for b, c in zip(cross, got, strict=True):
        found = minimize(
            lambda c, b=b: c @ gram @ c - 2 * c @ b,
            np.full(6, 1 / 6),
            jac=lambda c, b=b: 2 * (gram @ c - b),
            bounds=[(0, 1)] * 6,
            constraints={"type": "eq", "fun": lambda c: c.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert c @ gram @ c - 2 * c @ b == pytest.approx(found.fun, abs=1e-7)


def test_a_row_that_is_done_waits_unchanged_for_the_others():
    gram, cross = problem(n=50)
    allowed = np.geomspace(1e-10, 1, 50)  # some end at once, some after hundreds of steps
    together = pairwise_frank_wolfe(gram, cross, allowed, 5000).toarray()
    for i in range(50):
        alone = pairwise_frank_wolfe(gram, cross[i : i + 1], allowed[i : i + 1], 5000).toarray()
        np.testing.assert_array_equal(together[i], alone[0])


def test_more_atoms_than_slots():
    k = 40  # the middle of a simplex: every atom has its part
    gram, cross = np.eye(k), np.full((2, k), 1 / k)
    c = pairwise_frank_wolfe(gram, cross, np.full(2, 1e-12), 5000)
    assert c.nnz == 2 * k
    assert_allclose(c.toarray(), 1 / k, atol=1e-5)


def test_steps_end_where_they_are_told():
    gram, cross = problem()
    none = pairwise_frank_wolfe(gram, cross, np.zeros(40), 0).toarray()
    nearest = np.argmin(np.diag(gram) - 2 * cross, axis=1)
    np.testing.assert_array_equal(none, np.eye(30)[nearest])
    one = pairwise_frank_wolfe(gram, cross, np.zeros(40), 1)
    assert np.diff(one.indptr).max() == 2


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_float32_on_the_way_costs_no_accuracy_whatever_the_units(scale):
    rng = np.random.default_rng(3)
    x, basis = rng.normal(size=(60, 20)), rng.normal(size=(50, 20))
    rough = hull.hull_coefficients(scale * x, scale * basis, tolerance=1e-3)
    best = hull.hull_coefficients(x, basis, tolerance=1e-10)
    squared = ((x - basis.mean(axis=0)) ** 2).sum(axis=1)
    assert rough.converged.all()
    assert_allclose(rough.coefficients.sum(axis=1), 1, atol=1e-12)
    over = (rough.hull_distance / scale) ** 2 - best.hull_distance**2
    assert (over >= -1e-9).all()
    assert (over <= 1.001e-3 * squared).all()


def test_what_float32_cannot_hold_is_done_in_float64():
    basis = np.array([[0.0, 0.0], [1e-30, 0.0], [0.0, 1e-30]])  # far from it lies the image
    got = hull.hull_coefficients([[1e12, -1e12]], basis, tolerance=1e-3)
    assert got.converged.all()
    assert_allclose(got.coefficients.toarray(), [[0, 1, 0]], atol=1e-12)
