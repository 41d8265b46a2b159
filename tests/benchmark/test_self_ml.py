"""The ablations are what their titles say, under every recipe."""

from __future__ import annotations

import pytest

from selfml.benchmark.self_ml import NO_CATEGORY, PAPER, VARIANTS
from selfml.config import Config, load_recipe, with_settings


@pytest.mark.parametrize("recipe", ["quick", "photos"])
def test_the_paper_variant_has_the_papers_basis_and_flips(recipe):
    """All of it but the sizes that follow the data: steps, batches, smoothing, the residual."""
    found = with_settings(load_recipe(recipe), list(PAPER))
    paper, default = load_recipe("paper"), Config()
    for name in ("source", "labels", "n_atoms", "rank", "features", "lambda_c", "dropout"):
        assert getattr(found.basis, name) == getattr(paper.basis, name), name
    assert not found.basis.learn_keys
    assert found.basis.category_weight == 0
    assert found.flips.loss == paper.flips.loss
    for name in ("category_bias", "distil", "shrink", "bands_weight", "clean_moves_basis"):
        assert getattr(found.flips, name) == getattr(default.flips, name), name
    assert found.flips.learning_rate == default.flips.learning_rate
    assert found.train.gamma == paper.train.gamma


@pytest.mark.parametrize("recipe", ["quick", "photos"])
def test_without_categories_neither_features_nor_bias_know_them(recipe):
    assert VARIANTS["self_ml_no_category"][1] == NO_CATEGORY
    found = with_settings(load_recipe(recipe), list(NO_CATEGORY))
    assert found.basis.category_weight == 0
    assert not found.flips.category_bias
