"""Intervals against published figures, cases worked by hand, and repeated rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from selfml import intervals


def test_wilson_against_published_figures():
    """Newcombe 1998, Statistics in Medicine 17, table I, method 3 (score)."""
    low, high = intervals.wilson_interval([81, 15, 0, 1], [263, 148, 20, 29])
    assert_allclose(low, [0.2553, 0.0624, 0.0, 0.0061], atol=5e-5)
    assert_allclose(high, [0.3662, 0.1605, 0.1611, 0.1718], atol=5e-5)


def test_wilson_is_symmetric_and_holds_the_share():
    n = np.arange(1, 200)
    k = np.random.default_rng(0).integers(0, n + 1)
    low, high = intervals.wilson_interval(k, n)
    other_low, other_high = intervals.wilson_interval(n - k, n)
    assert_allclose(low, 1 - other_high, atol=1e-12)
    assert_allclose(high, 1 - other_low, atol=1e-12)
    assert ((low <= k / n) & (k / n <= high) & (low < high)).all()
    narrow = intervals.wilson_interval(k, n, 0.5)
    assert ((low <= narrow[0]) & (narrow[1] <= high)).all()


def test_wilson_of_nothing_is_unknown():
    low, high = intervals.wilson_interval([0, 0], [0, 4])
    assert np.isnan([low[0], high[0]]).all()
    assert low[1] == 0
    with pytest.raises(ValueError, match="between 0 and n"):
        intervals.wilson_interval([3], [2])
    with pytest.raises(ValueError, match="confidence_level"):
        intervals.wilson_interval([1], [2], 1.0)


def test_weights_count_draws_and_do_not_depend_on_the_blocks(monkeypatch):
    whole = np.concatenate([w for _, w in intervals.image_resamples(7, 30, 3)], axis=1)
    assert whole.shape == (7, 30)
    assert_array_equal(whole.sum(axis=0), 7)
    monkeypatch.setattr(intervals, "_CELLS_AT_ONCE", 20)
    blocks = list(intervals.image_resamples(7, 30, 3))
    assert [b.start for b, _ in blocks] == list(range(0, 30, 2))
    assert_array_equal(np.concatenate([w for _, w in blocks], axis=1), whole)
    assert list(intervals.image_resamples(0, 30, 3)) == []


def test_resampled_share_is_that_of_repeated_rows():
    rng = np.random.default_rng(1)
    whole = rng.random((25, 3)) < [0.7, 0.1, 0.0]
    part = whole & (rng.random((25, 3)) < 0.5)
    found = intervals.resampled_share(part, whole, n_resamples=12, seed=4)
    weights = np.concatenate([w for _, w in intervals.image_resamples(25, 12, 4)], axis=1)
    for b in range(12):
        rows = np.repeat(np.arange(25), weights[:, b])
        n = whole[rows].sum(axis=0)
        expected = np.where(n > 0, part[rows].sum(axis=0) / np.maximum(n, 1), np.nan)
        assert_allclose(found[b], expected)
    assert np.isnan(found[:, 2]).all()
    with pytest.raises(ValueError, match="part and whole"):
        intervals.resampled_share(part, whole[:, :2])


def test_percentiles_leave_unknown_resamples_out():
    values = np.column_stack([np.arange(101.0), np.full(101, np.nan), np.arange(101.0)])
    values[::2, 2] = np.nan
    low, high = intervals.percentile_interval(values, 0.9)
    assert_allclose(low, [5, np.nan, np.quantile(np.arange(1, 100, 2), 0.05)])
    assert_allclose(high, [95, np.nan, np.quantile(np.arange(1, 100, 2), 0.95)])
    assert np.isnan(intervals.percentile_interval(np.empty((0, 2)))[0]).all()
    assert intervals.percentile_interval(np.empty((5, 0)))[0].shape == (0,)
