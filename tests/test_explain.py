"""What stands before the explainer's training: rows of categories, what the classifier sees."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from selfml.config_sections import FlipConfig
from selfml.explain import evidence_inputs
from selfml.extract import Extractor, classifier_features

N_CLEAN, N_NOISY, L, D = 40, 60, 3, 5
RNG = np.random.default_rng(0)


def data_of(categories):
    """Forty verified images, then sixty of N."""
    n = N_CLEAN + N_NOISY
    verified = np.full((n, L), -1, np.int8)
    verified[:N_CLEAN] = RNG.integers(0, 2, (N_CLEAN, L))
    return SimpleNamespace(
        dataset=SimpleNamespace(categories=categories),
        splits=SimpleNamespace(
            clean_train=np.arange(N_CLEAN), noisy_train=np.arange(N_CLEAN, n), clean_test=[]
        ),
        given=RNG.integers(0, 2, (n, L)).astype(np.int8),
        decided=np.full((n, L), -1, np.int8),
        verified=verified,
        n_images=n,
        n_attributes=L,
    )


CATEGORIES = np.array(
    # verified: 30 tops, 10 hats; of N: 40 tops, 12 hats, 4 capes (too few), 4 blank
    ["tops"] * 30 + ["hats"] * 10 + ["tops"] * 40 + ["hats"] * 12 + ["capes"] * 4 + [""] * 4,
    dtype=object,
)


@pytest.mark.parametrize("bias", [True, False])
def test_categories_of_noisy_images_have_rows_of_their_own(bias):
    features = RNG.normal(size=(100, D)).astype(np.float32)
    data = data_of(CATEGORIES)
    found = evidence_inputs(features, data, FlipConfig(category_bias=bias))
    # ten verified hats are too few for rates of their own, not for a bias learned from N
    assert found.model.categories == (("tops", "hats") if bias else ("tops",))
    if bias:
        np.testing.assert_array_equal(found.model.llr[2], found.model.llr[0])
        rows = found.category_index(data)
        assert (rows[CATEGORIES == "hats"] == 2).all()
        assert (rows[np.isin(CATEGORIES, ["capes", ""])] == 0).all()
    # what a given label is worth is the same either way
    other = evidence_inputs(features, data, FlipConfig(category_bias=not bias))
    np.testing.assert_array_equal(found.given_term, other.given_term)


def test_without_categories_there_are_no_rows():
    features = RNG.normal(size=(100, D)).astype(np.float32)
    found = evidence_inputs(features, data_of(None), FlipConfig(category_bias=True))
    assert found.model.categories == ()


def test_the_classifier_may_see_more_than_is_reconstructed():
    data = data_of(None)
    features = RNG.normal(size=(100, D)).astype(np.float32)
    seen = features.copy()
    seen[:N_CLEAN, 0] = 5.0 * data.verified[:N_CLEAN, 0]  # a feature that knows the first label
    found = evidence_inputs(features, data, FlipConfig(), seen)
    blind = evidence_inputs(features, data, FlipConfig())
    right = [
        ((e.classifier[:N_CLEAN] > 0) == data.verified[:N_CLEAN]).mean(0) for e in (found, blind)
    ]
    assert right[0][0] > 0.95 > right[1][0]
    assert found.features is features


def bands_case(weight: float):
    """Maps (100, 3, 2, 4): an image's top row is what tells it apart."""
    data = data_of(None)
    maps = RNG.normal(size=(100, 3, 2, 4)).astype(np.float32)
    maps[:, :, :, 3] = 7.0  # a dead channel
    extractor = object.__new__(Extractor)
    extractor.standardisation = {"mean": np.zeros(1)}
    extractor.bands = lambda rows: maps[rows].mean(axis=2).reshape(len(rows), -1)
    features = RNG.normal(size=(100, D)).astype(np.float32)
    return features, classifier_features(features, extractor, data, weight), extractor, maps, data


def test_bands_have_the_asked_share_and_know_the_place():
    features, seen, extractor, maps, data = bands_case(0.5)
    np.testing.assert_array_equal(seen[:, :D], features)
    block, rows = seen[:, D:], data.splits.noisy_train
    assert block.shape == (100, 3 * 4)
    alive = np.arange(12) % 4 != 3
    assert (block[:, ~alive] == 0).all()
    np.testing.assert_allclose(block[rows].mean(0)[alive], 0, atol=1e-5)
    np.testing.assert_allclose(block[rows].std(0)[alive], 0.5 * np.sqrt(D / 12), rtol=1e-4)
    top = maps[:, 0, :, 1].mean(axis=1)  # row 0, channel 1
    assert abs(np.corrcoef(block[rows, 1], top[rows])[0, 1]) > 0.999
    assert set(extractor.standardisation) == {"mean", "bands_mean", "bands_scale"}


def test_without_a_weight_it_sees_the_descriptor():
    features, seen, extractor, *_ = bands_case(0.0)
    assert seen is features
    assert set(extractor.standardisation) == {"mean"}


def test_settings_are_checked():
    with pytest.raises(ValueError, match=r"flips\.bands_weight"):
        replace(FlipConfig(), bands_weight=-0.1)
