"""The hull of the atoms, against independent methods, closed cases and certificates."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import nnls

from selfml import hull as h


def points(max_rows=6, n=None):
    side = st.integers(1, max_rows) if n is None else st.just(n)
    return side.flatmap(
        lambda k: arrays(np.float64, (k, 3), elements=st.floats(-8, 8, width=16).map(float))
    )


def exact_distance(x, basis):
    """Distance to the hull by NNLS: a heavy extra row forces the weights to sum to one."""
    heavy = 1e4 * max(1.0, np.abs(basis).max(), np.abs(x).max())
    c, _ = nnls(np.vstack([basis.T, np.full(len(basis), heavy)]), np.append(x, heavy))
    return np.linalg.norm(x - basis.T @ (c / c.sum()))


@settings(deadline=None, max_examples=25)
@given(points(), points(n=2))
def test_hull_projection_is_feasible_certified_and_optimal(basis, features):
    got = h.hull_coefficients(features, basis, tolerance=1e-9)
    c = got.coefficients.toarray()
    assert (c >= 0).all()
    assert_allclose(c.sum(axis=1), 1, atol=1e-12)
    assert_allclose(got.hull_distance, np.linalg.norm(features - c @ basis, axis=1), atol=1e-9)
    assert got.converged.all()
    exact = np.array([exact_distance(x, basis) for x in features])
    slack = 1e-5 * (1 + np.abs(basis).max() + np.abs(features).max()) ** 2
    assert (got.hull_distance**2 - exact**2 <= got.gap + slack).all()
    assert (got.hull_distance**2 >= exact**2 - slack).all()


@settings(deadline=None, max_examples=25)
@given(points(), st.data())
def test_a_point_inside_has_no_distance(basis, data):
    weights = data.draw(arrays(np.float64, len(basis), elements=st.floats(0.01, 1)))
    inside = (weights / weights.sum()) @ basis
    got = h.hull_coefficients(inside[None], basis, tolerance=1e-8)
    # so the squared distance is at most 1e-8 of that to the middle of the atoms
    assert got.hull_distance[0] <= 1.1e-4 * np.linalg.norm(inside - basis.mean(axis=0)) + 1e-5


@settings(deadline=None, max_examples=25)
@given(points(), points(n=1), points(n=2))
def test_more_atoms_never_take_the_hull_away(basis, more, features):
    few = h.hull_coefficients(features, basis, tolerance=1e-9)
    many = h.hull_coefficients(features, np.vstack([basis, more]), tolerance=1e-9)
    slack = 1e-9 * (1 + np.abs(features).max() ** 2)
    assert (many.hull_distance**2 - many.gap <= few.hull_distance**2 + slack).all()
    assert (many.hull_distance <= few.hull_distance + 1e-3).all()


def test_hull_closed_cases():
    triangle = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    x = np.array([[2.0, 2.0], [-3.0, -4.0], [0.5, 0.5], [1.0, -1.0]])
    got = h.hull_coefficients(x, triangle, tolerance=1e-10)
    assert_allclose(got.hull_distance, [np.sqrt(2), 5, 0, 1], atol=1e-5)
    expected = [[0, 0.5, 0.5], [1, 0, 0], [0.5, 0.25, 0.25], [0.5, 0.5, 0]]
    assert_allclose(got.coefficients.toarray(), expected, atol=1e-4)


def test_one_atom_twin_atoms_and_no_features():
    one = h.hull_coefficients([[3.0, 4.0]], [[0.0, 0.0]])
    assert one.hull_distance == pytest.approx([5])
    twins = h.hull_coefficients([[1.0, 1.0]], [[0.0, 0.0], [0.0, 0.0], [0.0, 2.0]], tolerance=1e-9)
    assert twins.hull_distance == pytest.approx([1], abs=1e-4)
    none = h.hull_coefficients(np.empty((0, 2)), [[0.0, 0.0]])
    assert none.coefficients.shape == (0, 1)
    assert none.hull_distance.shape == (0,)


def test_rows_that_pairwise_steps_leave_undone_are_finished_exactly():
    # weights swap in circles here: 20,000 pairwise steps end .003 away from a point of the hull
    basis = np.array([[0.0, -1.0, 4.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.75], [0.0, 0.75, 0.0]])
    got = h.hull_coefficients(basis.mean(axis=0)[None], basis, tolerance=1e-8)
    assert_allclose(got.coefficients.toarray(), [[0.25] * 4], atol=1e-9)
    assert got.hull_distance[0] < 1e-9


def test_an_early_stop_is_admitted_and_its_bound_still_holds():
    rng = np.random.default_rng(0)
    x, basis = rng.normal(size=(30, 10)), rng.normal(size=(40, 10))
    early = h.hull_coefficients(x, basis, max_iterations=3, tolerance=1e-6)
    best = h.hull_coefficients(x, basis, tolerance=1e-10)
    assert not early.converged.all()
    assert best.converged.all()
    assert (early.hull_distance > best.hull_distance + 1e-3).any()
    assert (early.hull_distance**2 - early.gap <= best.hull_distance**2 + 1e-9).all()


def test_hull_answer_does_not_depend_on_threads():
    rng = np.random.default_rng(4)
    x, basis = rng.normal(size=(90, 8)), rng.normal(size=(15, 8))
    one, four = (h.hull_coefficients(x, basis, batch=7, threads=n) for n in (1, 4))
    assert one.coefficients.nnz
    assert (one.coefficients != four.coefficients).nnz == 0
    for name in ("hull_distance", "gap", "converged"):
        assert_array_equal(getattr(one, name), getattr(four, name))


def test_hull_answer_does_not_depend_on_batch_or_origin():
    rng = np.random.default_rng(1)
    x, basis = rng.normal(size=(25, 8)), rng.normal(size=(15, 8))
    whole = h.hull_coefficients(x, basis, tolerance=1e-9)
    for other in (
        h.hull_coefficients(x, basis, tolerance=1e-9, batch=4),
        h.hull_coefficients(x + 50, basis + 50, tolerance=1e-9),
    ):
        assert_allclose(other.coefficients.toarray(), whole.coefficients.toarray(), atol=1e-3)
        assert_allclose(other.hull_distance, whole.hull_distance, atol=1e-5)


@pytest.mark.slow
def test_hull_of_a_real_size_meets_its_tolerance():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(1400, 500)) * np.arange(1, 501) ** -0.7
    got = h.hull_coefficients(x[400:], x[:400], tolerance=1e-3)
    assert got.converged.all()
    scale = ((x[400:] - x[:400].mean(axis=0)) ** 2).sum(axis=1)
    assert (got.gap <= 1.01e-3 * scale).all()
    assert got.coefficients.nnz / 1000 < 40


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"basis": np.empty((0, 2))}, "no atoms"),
        ({"basis": np.zeros((2, 3))}, "2 columns"),
        ({"features": np.full((1, 2), np.nan)}, "features"),
        ({"features": np.zeros(2)}, "two axes"),
        ({"tolerance": 0}, "tolerance"),
        ({"batch": 0}, "batch"),
        ({"threads": 0}, "threads"),
        ({"max_iterations": 0}, "max_iterations"),
    ],
)
def test_hull_refuses(change, says):
    with pytest.raises(ValueError, match=says):
        h.hull_coefficients(**{"features": np.zeros((1, 2)), "basis": np.zeros((2, 2))} | change)


def test_pca_explained_variance_matches_scikit_learn(monkeypatch):
    from sklearn.decomposition import PCA

    x = np.random.default_rng(0).normal(size=(60, 12)) * np.arange(1, 13) + 5
    for data in (x, x[:8]):  # more rows than columns, and fewer
        ratio = PCA().fit(data).explained_variance_ratio_
        for k in (0, 1, 4, 50):
            assert h.pca_explained_variance(data, k) == pytest.approx(ratio[:k].sum())
    exact = h.pca_explained_variance(x, 3)
    monkeypatch.setattr(h, "_EXACT_PCA_SIZE", 5)
    assert h.pca_explained_variance(x, 3) == pytest.approx(exact, rel=1e-3)
    assert np.isnan(h.pca_explained_variance(np.ones((4, 2)), 1))
    with pytest.raises(ValueError, match="n_components"):
        h.pca_explained_variance(x, -1)


def test_explained_variance():
    x = np.array([[0.0, 0.0], [2.0, 4.0]])
    assert h.explained_variance(x, x) == 1
    assert h.explained_variance(x, [[1.0, 2.0]] * 2) == 0
    assert h.explained_variance(x, [[0.0, 0.0], [2.0, 2.0]]) == pytest.approx(1 - 4 / 10)
    assert np.isnan(h.explained_variance([[1.0]], [[0.0]]))
    with pytest.raises(ValueError, match="shape"):
        h.explained_variance(x, x[:1])


def test_no_hull_passes_the_pca_bound():
    x = np.random.default_rng(3).normal(size=(200, 20)) * np.arange(20, 0, -1)
    basis = x[h.farthest_first(x, 9, 0)]
    hull = h.hull_coefficients(x, basis)
    r2 = h.explained_variance(x, hull.coefficients @ basis)
    assert r2 <= h.pca_explained_variance(x, 8)


def test_farthest_first_by_hand_and_seeded():
    x = np.array([[0.0], [1.0], [10.0], [6.0], [0.0]])

    class FirstRow(np.random.Generator):
        def integers(self, *_args, **_settings):
            return 0

    got = h.farthest_first(x, 5, FirstRow(np.random.PCG64(0)))
    assert_array_equal(got, [0, 2, 3, 1, 4])  # the twin of row 0 comes last, and only once
    assert_array_equal(h.farthest_first(x, 3, 7), h.farthest_first(x, 3, 7))
    with pytest.raises(ValueError, match=r"1\.\.5"):
        h.farthest_first(x, 6)


def test_distance_to_a_triangle_by_hand():
    triangle = [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]]
    inside, above, corner = [1.0, 1.0], [4.0, 4.0], [0.0, -3.0]
    found = h.hull_coefficients([inside, above, corner], triangle, tolerance=1e-12)
    np.testing.assert_allclose(found.hull_distance, [0, 2 * np.sqrt(2), 3], atol=1e-6)
