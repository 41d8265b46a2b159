"""What "the same run" means in these tests: rounding is, anything else is not."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training import COUNTED, assert_same


def changed(one: np.ndarray, value: object) -> np.ndarray:
    """A copy with another value in one cell of many."""
    other = one.copy()
    other[700] = value
    return other


ROUNDED = [
    (np.zeros(100_000), 9e-4, "features"),
    (np.full(100_000, 500.0), 500.4, "flips.score"),
    (np.full(100_000, np.nan), np.nan, "metrics.value"),
    (np.full(1000, 7), 8, COUNTED[0]),
    (np.full(1000, 7), 6, COUNTED[1]),
]
OTHER = [
    (np.zeros(100_000, np.float32), 0.0021, "probabilities"),
    (np.full(100_000, 500.0), 501.1, "flips.score"),
    (np.zeros(100_000), np.nan, "images.hull_distance"),
    (np.zeros(100_000, np.int8), 1, "labels_corrected"),
    (np.zeros(1000, bool), True, "flips.auto_accept"),
    (np.full(1000, "a", object), "b", "images.image_id"),
    (np.full(1000, 7), 9, COUNTED[0]),
]


@pytest.mark.parametrize(("one", "value", "name"), ROUNDED)
def test_rounding_is_the_same(one, value, name):
    assert_same(one, changed(one, value), name)


@pytest.mark.parametrize(("one", "value", "name"), OTHER)
def test_a_single_other_cell_is_not(one, value, name):
    with pytest.raises(AssertionError, match="differ"):
        assert_same(one, changed(one, value), name)


def test_another_number_of_rows_is_not():
    with pytest.raises(AssertionError, match="differ"):
        assert_same(np.zeros(5), np.zeros(4), "flips.score")
