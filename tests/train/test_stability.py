"""Stability: an unchanged image stays the same, by cached maps and by pixels; a seeded sample."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from selfml import stability
from selfml.flips import deciding_mode
from selfml.progress import Reporter
from selfml.run import Run
from selfml.train import train
from tests.training import tiny_config

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "setting",
    ["train.cache_gib=3", "train.cache_gib=0", "train.finetune_layers=all", "head.category=true"],
)
def test_an_unchanged_image_stays_the_same(catalogue, tmp_path, monkeypatch, setting):
    """Features, coefficients, scores and flips are made again as they were made.

    By cached maps, by pixels, where fine-tuning has moved every layer since, and where the
    classifier sees the category too.
    """
    monkeypatch.setattr(
        stability, "augmentation", lambda *_, **__: keras.layers.Identity(dtype="float32")
    )
    config = tiny_config(setting, "flips.bands_weight=0.5")
    out = train(catalogue, tmp_path / "run", config, reporter=Reporter(quiet=True))
    rows = Run(out).table("faithfulness").set_index(["measure", "evidence"])["value"]
    assert rows["stability_l1", ""] < 1e-3
    assert rows["stability_jaccard", ""] > 99
    assert rows["stability_top", ""] == 100
    assert rows["stability_flips", "full"] == 100
    assert rows["stability_flips", "strict"] == 100


def test_training_stores_all_measures(any_run):
    rows = any_run.table("faithfulness")
    own = rows[rows["measure"].str.startswith("stability")].set_index(["measure", "evidence"])
    flips, images = any_run.table("flips"), any_run.table("images")
    noisy = images["split"].str.startswith("noisy").to_numpy()
    with_flips = np.unique(flips["image_index"])
    assert own.loc[("stability_jaccard", ""), "n"] == noisy[with_flips].sum()
    assert (
        own.loc[("stability_flips", deciding_mode(any_run)), "n"]
        == noisy[flips["image_index"]].sum()
    )
    assert 0 <= own.loc[("stability_l1", ""), "value"] <= 2
    assert own.loc[("stability_l1", ""), "value"] > 1e-3  # the images were changed
    assert {"deletion_reverted", "agreement"} <= set(rows["measure"])


def test_the_sample_is_seeded_and_of_noisy_images_with_flips(monkeypatch):
    monkeypatch.setattr(stability, "SAMPLE", 10)
    flipped, noisy = np.arange(0, 100, 2).repeat(2), np.arange(50, 100)
    one = stability.sample_of(flipped, noisy, 3)
    np.testing.assert_array_equal(one, stability.sample_of(flipped, noisy, 3))
    assert len(one) == 10
    assert set(one) <= set(range(50, 100, 2))
    assert list(one) == sorted(one)
    assert (one != stability.sample_of(flipped, noisy, 4)).any()
    assert len(stability.sample_of(flipped, noisy[:4], 3)) == 2
    assert len(stability.sample_of(flipped[:0], noisy, 3)) == 0
