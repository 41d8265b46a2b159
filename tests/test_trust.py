"""Calibrated confidence and accepted flips: by hand, and the guarantee in simulated catalogues."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from selfml import trust
from selfml.flips import logit, sigmoid


def flips_of(image, corrected, strength, **more) -> pd.DataFrame:
    """Flips as ``flips.parquet`` has them, by full evidence."""
    sign = np.where(np.asarray(corrected) == 1, 1.0, -1.0)
    score = sign * np.asarray(strength, float)
    frame = {
        "image_index": image,
        "attribute_index": np.zeros(len(score), np.int16),
        "corrected": np.int8(corrected),
        "score": score,
        "strict_score": 2 * score,
    }
    return pd.DataFrame(frame | more)


def judged(image, corrected, strength, correct, covered=True) -> pd.DataFrame:
    """Flips of known truth."""
    frame = flips_of(image, corrected, strength)[["image_index", "attribute_index", "corrected"]]
    return frame.assign(strength=np.asarray(strength, float), correct=correct, covered=covered)


def test_strength_is_that_of_the_evidence_that_decided():
    flips = flips_of([0, 1], [1, 0], [2.0, 3.0])
    assert trust.deciding_strength(flips, "full").tolist() == [2, 3]
    assert trust.deciding_strength(flips, "strict").tolist() == [4, 6]


def test_only_flips_of_known_truth_are_judged():
    verified = np.array([[1], [-1], [0]], np.int8)
    flips = flips_of([0, 1, 2], [1, 1, 1], [1.0, 2.0, 3.0])
    found = trust.judged_flips(
        flips, np.abs(flips["score"]), verified, np.array([True, True, False])
    )
    assert list(found) == trust.CALIBRATION
    assert found["image_index"].tolist() == [0, 2]
    assert found["correct"].tolist() == [True, False]
    assert found["covered"].tolist() == [True, False]


def calibration(n=400, source="held_out", right=0.99) -> trust.Calibration:
    """Sure flips to 1 that are mostly right and unsure ones that are not; few flips to 0."""
    rng = np.random.default_rng(0)
    strength = np.r_[rng.uniform(3, 6, n), rng.uniform(0, 1, n), rng.uniform(0, 6, 20)]
    corrected = np.r_[np.ones(2 * n), np.zeros(20)].astype(np.int8)
    correct = rng.random(len(strength)) < np.r_[np.full(n, right), np.full(n + 20, 0.5)]
    image = np.arange(len(strength))
    return trust.Calibration(source, image, judged(image, corrected, strength, correct))


def test_thresholds_by_direction():
    table = trust.trust_table(calibration(), 7.0).set_index("direction")
    added, taken = table.loc["to_1"], table.loc["to_0"]
    assert (added["status"], taken["status"]) == ("guaranteed", "too_few")
    assert 1 < added["threshold"] <= 3.2
    assert added["n_tested_correct"] / added["n_tested"] >= added["lower_bound"] >= 0.95
    line = added["slope"] * added["threshold"] + added["intercept"]
    assert added["threshold_confidence"] == pytest.approx(sigmoid(line))
    assert np.isnan(taken["threshold"])
    assert (table["n_flips"].tolist(), table["n_images"].tolist()) == ([800, 20], [820, 820])
    assert trust.guarantee(added).startswith("accepted from a confidence of ")
    assert trust.guarantee(taken).startswith("no guarantee")


def test_what_is_not_precise_is_not_guaranteed():
    table = trust.trust_table(calibration(right=0.9), 7.0).set_index("direction")
    assert table.loc["to_1", "status"] == "not_precise"
    assert table.loc["to_1", "n_tested"] >= trust.MIN_COUNT
    assert np.isnan(table.loc["to_1", "threshold"])


def test_nothing_set_aside_nothing_promised_and_nothing_changed():
    nothing = calibration().flips.iloc[:0]
    table = trust.trust_table(trust.Calibration("none", np.empty(0, int), nothing), 7.0)
    assert (table["status"] == "no_held_out").all()
    assert (table["slope"].tolist(), table["intercept"].tolist()) == ([1, 1], [0, 0])
    flips = flips_of([0, 1], [1, 0], [9.0, 1.0])
    found = trust.with_trust(
        flips,
        table,
        strength=np.array([9.0, 1.0]),
        eligible=np.ones(2, bool),
    )
    np.testing.assert_allclose(found["confidence"], sigmoid(np.array([9.0, 1.0])), rtol=1e-6)
    assert not found["auto_accept"].any()
    assert "clean_samples" in trust.guarantee(table.iloc[0])


def test_uncovered_images_prove_nothing_and_are_not_accepted():
    given = calibration()
    uncovered = trust.Calibration("held_out", given.images, given.flips.assign(covered=False))
    assert (trust.trust_table(uncovered, 7.0)["status"] == "too_few").all()
    table = trust.trust_table(given, 7.0)
    flips = flips_of([0, 1, 2, 3, 4], [1, 1, 1, 1, 0], np.r_[[5.0] * 3, 0.1, 5.0])
    found = trust.with_trust(
        flips,
        table,
        strength=trust.deciding_strength(flips, "full"),
        eligible=np.array([True, False, False, True, True]),
    )
    # image 0 is fine; nothing is promised of 1 and 2; 3 is unsure; 4 is to 0
    assert found["auto_accept"].tolist() == [True, False, False, False, False]


def test_confidence_is_the_share_that_is_right():
    """With enough flips the calibrated confidence is the observed share, in both directions."""
    rng = np.random.default_rng(2)
    n = 20_000
    strength, corrected = rng.uniform(0, 5, n), rng.integers(0, 2, n)
    true = sigmoid(np.where(corrected == 1, 0.6 * strength - 0.2, 1.4 * strength))
    frame = judged(np.arange(n), corrected, strength, rng.random(n) < true)
    table = trust.trust_table(trust.Calibration("held_out", np.arange(n), frame), 1.0)
    found = trust.with_trust(frame, table, strength=strength, eligible=np.ones(n, bool))
    np.testing.assert_allclose(found["confidence"], true, atol=0.03)
    np.testing.assert_allclose(table["slope"], [0.6, 1.4], atol=0.06)


# ------------------------------------------------------------------------------ the guarantee
def draw_flips(rng, n_images, *, first=0, flatter=0.0):
    """Flips of images: strength by attribute, errors that images share; ``flatter`` adds to it.

    Precision at a strength t or more crosses .95 within the grid.
    """
    size = rng.poisson(2.0, n_images)
    image = np.repeat(np.arange(first, first + n_images), size)
    strength = rng.gamma(2.0, 1.2, len(image))
    mood = rng.normal(0, 0.7, n_images)[image - first]
    correct = rng.random(len(image)) < sigmoid(1.0 * strength - 0.4 + mood + flatter)
    return judged(image, np.ones(len(image), np.int8), strength, correct)


def broken_promises(n_runs, *, flatter=0.0):
    """How often accepted flips fell short of the promised precision, and how often any were."""
    rng = np.random.default_rng(7)
    population = draw_flips(rng, 100_000)
    broken = given = 0
    for _ in range(n_runs):
        threshold = trust.choose_threshold(draw_flips(rng, 500, flatter=flatter))[0]
        accepted = population.loc[population["strength"] >= threshold, "correct"]
        given += len(accepted) > 0
        broken += len(accepted) > 0 and accepted.mean() < trust.PRECISION
    return broken / n_runs, given / n_runs


@pytest.mark.slow
def test_the_guarantee_holds_for_images_set_aside():
    broken, given = broken_promises(300)
    assert broken <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    assert given > 0.3  # it is no guarantee of nothing


@pytest.mark.slow
def test_images_that_training_used_would_break_it():
    """Evidence fitted on the very images is right more often on them than on others."""
    broken, _ = broken_promises(100, flatter=0.8)
    assert broken > 0.5


def test_thresholds_are_on_the_grid_of_the_evidence():
    threshold, test, _ = trust.choose_threshold(calibration().flips.query("corrected == 1"))
    assert threshold == pytest.approx(float(logit(np.array(test["threshold"]))))
