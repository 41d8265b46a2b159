"""Which categories count, and where they stand in arrays."""

from __future__ import annotations

import numpy as np

from selfml.categories import category_block, category_names, category_places


def test_categories_become_standardised_indicators():
    """Six of ten images are shirts and four dresses; one category is too rare, one is unknown."""
    of = np.array(["shirt"] * 6 + ["dress"] * 5 + ["sock"] * 2 + [""])
    rows = np.r_[0:6, 6:10, 11:12]
    names, block = category_block(of, np.r_[rows, 13:14])
    assert list(names) == ["shirt"]
    names, block = category_block(of, np.arange(14))
    assert list(names) == ["dress", "shirt"]
    share = np.array([5 / 14, 6 / 14])
    deviation = np.sqrt(share * (1 - share) + 0.02)
    np.testing.assert_allclose(block[0], [-share[0], 1 - share[1]] / deviation)
    np.testing.assert_allclose(block[6], [1 - share[0], -share[1]] / deviation)
    np.testing.assert_array_equal(block[11:], 0.0)  # too rare, and unknown: nothing is said


def test_names_are_counted_on_the_rows_alone():
    of = np.array(["b"] * 5 + ["a"] * 9 + ["c"] * 4 + [None, ""], dtype=object)
    assert list(category_names(of, np.arange(20))) == ["a", "b"]
    assert list(category_names(of, np.arange(4, 20))) == ["a"]
    assert list(category_names(of, np.arange(14, 20))) == []


def test_places_begin_at_1_and_what_has_no_name_is_0():
    of = np.array(["b", "a", "zzz", None, "", "b"], dtype=object)
    assert category_places(of, ["a", "b"], 6).tolist() == [2, 1, 0, 0, 0, 2]
    assert category_places(None, ["a"], 3).tolist() == [0, 0, 0]
    assert category_places(of, [], 6).tolist() == [0] * 6
