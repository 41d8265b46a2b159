"""Annotation rates worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from selfml.rates import CATEGORY_MINIMUM, annotation_rates


def test_worked_case():
    """Attribute 0: there 4 times, noted 3 of them. Attribute 1: there twice, never noted.

    Over both: absent 5 times, noted once.
    """
    verified = np.array([[1, 1], [1, 1], [1, 0], [1, 0], [0, 0], [0, -1], [-1, -1]], np.int8)
    given = np.array([[1, 0], [1, 0], [1, 0], [0, 1], [0, 0], [0, 1], [1, 1]], np.int8)
    rates = annotation_rates(given, verified)
    np.testing.assert_allclose(rates.keep, [[(3 + 0.7) / 6, 0.7 / 4]])
    assert rates.false_positive == pytest.approx((1 + 0.07) / (5 + 2))
    fp, keep = 1.07 / 7, np.array([3.7 / 6, 0.7 / 4])
    expected = np.stack([np.log((1 - keep) / (1 - fp)), np.log(keep / fp)], axis=-1)
    np.testing.assert_allclose(rates.llr, expected[None])
    assert rates.categories == ()


def test_unknown_cells_are_left_out():
    rng = np.random.default_rng(0)
    verified = rng.integers(0, 2, (40, 3)).astype(np.int8)
    given = rng.integers(0, 2, (40, 3)).astype(np.int8)
    more_verified = np.concatenate([verified, np.full((9, 3), -1, np.int8), verified[:9]])
    more_given = np.concatenate([given, given[:9], np.full((9, 3), -1, np.int8)])
    one, other = annotation_rates(given, verified), annotation_rates(more_given, more_verified)
    np.testing.assert_allclose(one.llr, other.llr)
    assert one.false_positive == other.false_positive


def by_category(n=20, m=CATEGORY_MINIMUM - 1):
    """Twenty jackets, all with the attribute and noted twice; dresses noted always; few tops."""
    categories = ["jackets"] * n + ["dresses"] * n + ["tops"] * m + [""] * 30
    given = np.r_[np.arange(n) < 2, np.ones(n), np.zeros(m), np.ones(30)].astype(np.int8)
    return given[:, None], np.ones((len(given), 1), np.int8), categories


def test_rates_by_category_are_shrunk_to_the_attributes():
    given, verified, categories = by_category()
    rates = annotation_rates(given, verified, categories)
    assert rates.categories == ("dresses", "jackets")  # tops are too few, a blank is none
    total, noted = 20 + 20 + 14 + 30, 2 + 20 + 0 + 30
    overall = (noted + 0.7) / (total + 2)
    expected = [overall, (20 + 4 * overall) / 24, (2 + 4 * overall) / 24]
    np.testing.assert_allclose(rates.keep[:, 0], expected)
    assert rates.llr.shape == (3, 1, 2)
    # where jackets are hardly ever noted, a missing label says little
    assert abs(rates.llr[2, 0, 0]) < abs(rates.llr[1, 0, 0])


def test_further_categories_have_the_attributes_rates():
    rates = annotation_rates(*by_category())
    more = rates.with_categories(["tops", "jackets", "hats"])
    assert more.categories == ("dresses", "jackets", "tops", "hats")
    np.testing.assert_array_equal(more.llr[:3], rates.llr)
    np.testing.assert_array_equal(more.llr[3:], rates.llr[[0, 0]])
    assert len(more.keep) == len(more.llr) == 5


def test_a_category_without_the_attribute_has_the_attributes_rate():
    given, verified, categories = by_category()
    verified[:20] = 0
    rates = annotation_rates(given, verified, categories)
    np.testing.assert_allclose(rates.keep[2], rates.keep[0])


def test_nothing_present_or_absent_is_finite():
    for value in (0, 1, -1):
        verified = np.full((30, 2), value, np.int8)
        for label in (0, 1, -1):
            given = np.full((30, 2), label, np.int8)
            rates = annotation_rates(given, verified, ["a"] * 30)
            assert np.isfinite(rates.llr).all()
            assert ((rates.keep > 0) & (rates.keep < 1)).all()
            assert 0 < rates.false_positive <= 0.5


def test_a_given_label_speaks_for_itself_where_shops_are_careful():
    rng = np.random.default_rng(1)
    verified = (rng.random((400, 3)) < 0.4).astype(np.int8)
    noted = rng.random((400, 3)) < np.where(verified == 1, [0.9, 0.5, 0.1], 0.02)
    rates = annotation_rates(noted.astype(np.int8), verified)
    np.testing.assert_allclose(rates.keep[0], [0.9, 0.5, 0.1], atol=0.08)
    assert rates.false_positive == pytest.approx(0.02, abs=0.015)
    assert (rates.llr[0, :, 1] > 0).all()
    assert (np.diff(rates.llr[0, :, 0]) > 0).all()  # the rarer noted, the less its absence says
