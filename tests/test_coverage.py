"""Explained variance by number of atoms, by hand and by what must always hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from selfml.coverage import CURVES, coverage_cut, is_covered, measure_coverage, variance_curves
from selfml.run import Run, RunWriter


def curve(frame, name):
    part = frame[frame["curve"] == name]
    return dict(zip(part["n_atoms"], part["value"], strict=True))


def test_a_line_by_hand():
    """Four points on a line, an atom at each end."""
    x = np.array([[0.0], [1.0], [3.0], [4.0]])  # squares about the mean: 4 + 1 + 1 + 4 = 10
    basis = np.array([[0.0], [4.0]])
    c = sparse.csr_matrix([[1.0, 0.0], [1.0, 0.0], [0.25, 0.75], [0.0, 1.0]])
    far = np.array([[-1.0], [5.0]])
    frame = variance_curves(x, basis, c, np.array([1.0, 3.0]), far, sizes=(1,))
    # one atom, the most used: 4, errors 16 + 9 + 1 + 0 = 26; both: error 1 in the second point
    assert curve(frame, "learned") == pytest.approx({1: 100 * (1 - 26 / 10), 2: 90})
    assert curve(frame, "hull") == pytest.approx({1: 100 * (1 - 26 / 10), 2: 100})
    assert curve(frame, "pca") == pytest.approx({1: 0, 2: 100})
    assert curve(frame, "farthest")[2] == pytest.approx(100)  # -1 and 5, whichever comes first
    assert set(frame["n_images"]) == {4}


def test_an_image_that_leaned_on_nothing_left_stands_on_the_mean_of_what_is():
    x = np.array([[0.0], [4.0]])
    c = sparse.csr_matrix([[0.0, 0.0, 1.0], [0.5, 0.5, 0.0]])
    frame = variance_curves(
        x, np.array([[1.0], [3.0], [0.0]]), c, np.array([3.0, 2.0, 1.0]), x[:0], sizes=(2,)
    )
    # both are rebuilt as (1 + 3) / 2 = 2: the mean, which explains nothing
    assert curve(frame, "learned")[2] == pytest.approx(0)
    assert curve(frame, "learned")[3] == pytest.approx(100 * (1 - 4 / 8))
    assert not len(curve(frame, "farthest"))


@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_no_curve_passes_the_bound_and_the_best_beats_the_learned(seed, n_atoms, d):
    rng = np.random.default_rng(seed)
    x, basis = rng.normal(size=(12, d)), rng.normal(size=(n_atoms, d))
    c = sparse.csr_matrix(rng.dirichlet(np.full(n_atoms, 0.3), size=12))
    frame = variance_curves(
        x, basis, c, rng.random(n_atoms), rng.normal(size=(20, d)), sizes=range(1, 9)
    )
    found = {name: curve(frame, name) for name in CURVES}
    for k, bound in found["pca"].items():
        for name in ("learned", "hull", "farthest"):
            assert found[name][k] <= bound + 1e-6
    # the projection is certified to 1 % of the squared distance to the mean atom
    total = np.square(x - x.mean(0)).sum()
    slack = 100 * 0.01 * np.square(x - basis.mean(0)).sum() / total
    assert found["hull"][n_atoms] >= found["learned"][n_atoms] - slack - 1e-6
    assert max(found["pca"]) == n_atoms


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match="coefficients and mass"):
        variance_curves(np.eye(2), np.eye(2), sparse.eye(3), np.ones(2), np.eye(2))


def test_features_that_do_not_vary_have_no_curves():
    one = np.ones((2, 2))
    frame = variance_curves(one, one, sparse.csr_matrix(np.eye(2)), np.ones(2), one)
    assert frame.empty


def test_a_run_is_measured_on_noisy_images_alone(tiny_run: Path, tmp_path: Path):
    run = Run(tiny_run)
    frame = measure_coverage(run)
    assert set(frame["curve"]) == set(CURVES)
    assert frame["n_images"].max() <= run.table("images")["split"].str.startswith("noisy").sum() / 2
    assert frame.equals(measure_coverage(run))
    copy = Run(shutil.copytree(run.path, tmp_path / "copy"))
    features = np.array(run.array("features"))
    clean = run.table("images")["split"].str.startswith("clean").to_numpy()
    features[clean] += 100
    RunWriter(copy.path).write_array("features", features)
    assert frame.equals(measure_coverage(copy))


def test_the_cut_is_a_conformal_rank():
    """Of 19 distances at 5 %: rank ceil(20 * .95) = 19, the largest; of 18 there is none."""
    assert coverage_cut(np.arange(19)) == 18
    assert coverage_cut(np.arange(18)) == np.inf
    assert coverage_cut([]) == np.inf
    assert coverage_cut([np.nan, *range(19)]) == 18
    assert coverage_cut(np.arange(99), 0.01) == 98
    assert coverage_cut(np.arange(199)) == 189  # ceil(200 * .95) = 190th smallest
    with pytest.raises(ValueError, match="false_alarm"):
        coverage_cut([1.0], 0)


def test_what_is_covered_lies_within_the_cut():
    distance = np.array([3.0, 5.0, 5.1, np.nan])
    assert is_covered(distance, 5.0).tolist() == [True, True, False, False]
    # without a cut every image of known distance is covered; of others nothing is known
    assert is_covered(distance, np.inf).tolist() == [True, True, True, False]


def test_false_alarms_are_as_rare_as_promised():
    """An image drawn as the reference was is called uncovered at most once in twenty."""
    rng = np.random.default_rng(0)
    beyond = [(lambda d: d[60] > coverage_cut(d[:60]))(rng.gamma(2, size=61)) for _ in range(4000)]
    assert 0.03 < np.mean(beyond) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4000)
