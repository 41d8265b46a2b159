"""Which images the basis starts at, and whose labels its atoms get."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfml.basis import choose_sample, label_by_nearest_clean, label_by_oracle
from selfml.config import BasisConfig

RNG = np.random.default_rng(2)
FEATURES = RNG.normal(size=(80, 5)).astype(np.float32)
LABELS = RNG.integers(-1, 2, (80, 4)).astype(np.int8)
KINDS = ("kmeans", "farthest", "random")


@pytest.mark.parametrize("kind", KINDS)
def test_sample_is_of_the_candidates(kind):
    candidates = RNG.permutation(np.arange(20, 70))
    config = BasisConfig(n_atoms=12, seed_with=kind)
    sample = choose_sample(FEATURES, candidates, config, seed=3)
    assert len(sample) == len(set(sample.tolist())) == 12
    assert np.isin(sample, candidates).all()
    assert (np.diff(sample) > 0).all()
    np.testing.assert_array_equal(sample, choose_sample(FEATURES, candidates, config, seed=3))
    assert (sample != choose_sample(FEATURES, candidates, config, seed=4)).any()


@pytest.mark.parametrize("kind", KINDS)
def test_sample_is_all_where_they_are_few(kind):
    candidates = np.array([9, 3, 5])
    config = BasisConfig(n_atoms=3, seed_with=kind)
    np.testing.assert_array_equal(choose_sample(FEATURES, candidates, config, seed=0), [3, 5, 9])


def test_sample_of_very_many_is_of_a_part_of_them():
    config = BasisConfig(n_atoms=6)
    sample = choose_sample(FEATURES, np.arange(80), config, seed=0, sufficient=8)
    assert len(sample) == 6


@pytest.mark.parametrize("kind", ["kmeans", "farthest"])
def test_sample_covers_what_chance_would_miss(kind):
    """Two far images among eighty: seeding by distance takes both."""
    far = FEATURES.copy()
    far[17], far[55] = 100, -100
    sample = choose_sample(far, np.arange(80), BasisConfig(n_atoms=5, seed_with=kind), seed=1)
    assert {17, 55} <= set(sample.tolist())


def test_identical_images_are_no_error():
    same = np.zeros((30, 5), np.float32)
    for kind in KINDS:
        sample = choose_sample(same, np.arange(30), BasisConfig(n_atoms=4, seed_with=kind), seed=0)
        assert 1 <= len(sample) <= 4


def test_nearest_clean_by_brute_force():
    clean = np.arange(10, 40)
    basis = RNG.normal(size=(15, 5)).astype(np.float32)
    found = label_by_nearest_clean(basis, FEATURES, clean, LABELS)
    for k, atom in enumerate(basis):
        distance = np.linalg.norm(FEATURES[clean] - atom, axis=1)
        assert found.image_index[k] == clean[distance.argmin()]
        assert found.distance[k] == pytest.approx(distance.min(), abs=1e-5)
        np.testing.assert_array_equal(found.labels[k], LABELS[found.image_index[k]])
    assert found.source == "nearest_clean"
    assert found.labels.dtype == np.int8


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_nearest_clean_is_never_a_test_image(seed):
    """Also when a test image is the atom itself, exactly."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(80)
    clean_train, clean_test = np.sort(order[:9]), np.sort(order[9:30])
    basis = FEATURES[clean_test]
    found = label_by_nearest_clean(basis, FEATURES, clean_train, LABELS)
    assert np.isin(found.image_index, clean_train).all()
    assert (found.distance > 0).all()
    hidden = LABELS.copy()
    hidden[clean_test] = 1 - hidden[clean_test]
    again = label_by_nearest_clean(basis, FEATURES, clean_train, hidden)
    np.testing.assert_array_equal(found.labels, again.labels)


def test_oracle_labels_the_sampled_images():
    sample = np.array([4, 8, 15])
    basis = FEATURES[sample] + np.array([[0.0], [3.0], [0.0]], np.float32)
    found = label_by_oracle(basis, FEATURES, sample, LABELS)
    np.testing.assert_array_equal(found.labels, LABELS[sample])
    np.testing.assert_array_equal(found.image_index, sample)
    np.testing.assert_allclose(found.distance, [0, 3 * np.sqrt(5), 0], rtol=1e-5)
    assert found.source == "oracle"
