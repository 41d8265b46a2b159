"""The promise of the auto-accept threshold, simulated; also where flips of an image go together."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import binom

from selfml import auto_accept as auto


def accept_from(confidence, correct, **settings) -> float | None:
    """The last proven threshold."""
    table = auto.threshold_tests(confidence, correct, **settings)
    proven = table.loc[table["proven"], "threshold"]
    return float(proven.iloc[-1]) if len(proven) else None


def test_lower_bound_is_exact():
    # all of n right: bound = .05 ** (1/n), which passes .95 at n = 59
    assert_allclose(
        auto.precision_lower_bound([58, 59], [58, 59]), 0.05 ** (1 / np.array([58, 59]))
    )
    assert auto.precision_lower_bound(0, 10) == 0
    bound = auto.precision_lower_bound(90, 100)
    assert binom.sf(89, 100, bound) == pytest.approx(0.05)


def test_threshold_by_hand():
    # 100 flips at .97 all right; 100 at .85 with 20 wrong; 100 at .6 all right again
    confidence = np.repeat([0.97, 0.85, 0.6], 100)
    correct = np.ones(300, bool)
    correct[100:120] = False
    settings = {"grid": [0.5, 0.8, 0.95]}
    assert accept_from(confidence, correct, **settings) == 0.95
    # a lower target lets all in: 280 of 300 is a bound of .904
    assert accept_from(confidence, correct, precision=0.85, **settings) == 0.5
    # 180 of 200 (bound .858) fails .88 at .8, so .5 is not reached though 280 of 300 would pass
    assert accept_from(confidence, correct, precision=0.88, **settings) == 0.95
    # a larger count to start from skips .95 and then nothing is proven
    assert accept_from(confidence, correct, min_count=150, **settings) is None


def test_no_guarantee_from_too_few_or_none():
    assert accept_from(np.full(58, 0.99), np.ones(58), min_count=1) is None
    assert accept_from(np.full(59, 0.9991), np.ones(59), min_count=1) == 0.5
    assert accept_from([], []) is None
    assert accept_from(np.full(500, 0.3), np.ones(500)) is None  # below the grid


@pytest.mark.parametrize(
    ("confidence", "correct", "settings", "says"),
    [
        ([0.5], [1, 0], {}, "alike"),
        ([np.nan], [1], {}, "finite"),
        ([0.5], [2], {}, "true or false"),
        ([0.5], [1], {"precision": 1.0}, "precision"),
        ([0.5], [1], {"min_count": 0}, "min_count"),
    ],
)
def test_threshold_refuses(confidence, correct, settings, says):
    with pytest.raises(ValueError, match=says):
        accept_from(confidence, correct, **settings)


def simulate(true_precision, n_flips, resamples=400, seed=0):
    """Draw flips with uniform confidence; return thresholds and how often the promise broke."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.5, 1, (resamples, n_flips))
    correct = rng.random(confidence.shape) < true_precision(confidence)
    thresholds = [accept_from(c, r) for c, r in zip(confidence, correct, strict=True)]
    population = np.linspace(0.5, 1, 20_001)
    precision_above = np.cumsum(true_precision(population)[::-1])[::-1] / np.arange(20_001, 0, -1)
    broken = [
        t is not None and precision_above[np.searchsorted(population, t)] < 0.95 for t in thresholds
    ]
    return thresholds, float(np.mean(broken))


# 5 % and three standard deviations of 400 draws: .05 + 3 * sqrt(.05 * .95 / 400) = .083
@pytest.mark.parametrize(
    ("true_precision", "n_flips"),
    [
        (lambda c: np.full_like(c, 0.949), 600),  # never good enough, by a hair
        (lambda c: np.full_like(c, 0.949), 3000),
        (lambda c: 0.8 + 0.3 * (c - 0.5) / 0.5 * 0.65, 800),  # crosses .95 on the way down
        (lambda c: np.where(c > 0.8, 1.0, 0.88), 800),  # perfect, then a cliff
    ],
    ids=["flat", "flat, many", "slope", "cliff"],
)
def test_promise_is_kept(true_precision, n_flips):
    _, broken = simulate(true_precision, n_flips)
    assert broken <= 0.083


def test_simulation_can_catch_a_broken_promise(monkeypatch):
    # trusting the observed precision instead of its bound breaks the promise far too often
    monkeypatch.setattr(
        auto, "precision_lower_bound", lambda k, n, confidence_level: k / np.maximum(n, 1)
    )
    _, broken = simulate(lambda c: np.full_like(c, 0.949), 600)
    assert broken > 0.2


def test_threshold_is_useful_where_flips_are_good():
    thresholds, broken = simulate(lambda c: np.where(c > 0.75, 0.99, 0.6), 1500)
    found = [t for t in thresholds if t is not None]
    assert len(found) / len(thresholds) > 0.6
    assert np.median(found) < 0.8
    assert broken <= 0.083


# ------------------------------------------------------------------------ flips of one image
def test_correlation_by_hand():
    # images of two flips, both right or both wrong: correlation 1; no pair, nothing to correlate
    both = np.repeat([1, 0] * 10, 2)
    assert auto.image_correlation(both, np.repeat(np.arange(20), 2)) == pytest.approx(1)
    assert auto.image_correlation(both, np.arange(40)) == 0
    # one right and one wrong in every image: they never go together
    assert auto.image_correlation([1, 0] * 20, np.repeat(np.arange(20), 2)) == 0
    # nine wrong flips are too few to tell: the worst is assumed
    few = np.ones(40)
    few[:9] = 0
    assert auto.image_correlation(few, np.repeat(np.arange(20), 2)) == 1


def test_flips_that_go_together_count_once():
    # 100 images of two flips that are always alike tell as much as 100 flips
    right = np.repeat(np.arange(100) >= 20, 2)
    images = np.repeat(np.arange(100), 2)
    table = auto.threshold_tests(np.full(200, 0.7), right, images=images, precision=0.7)
    last = table.iloc[-1]
    assert (last["count"], last["correct"]) == (200, 160)
    assert last["correlation"] == pytest.approx(1)
    assert last["effective"] == pytest.approx(100)
    assert last["lower_bound"] == pytest.approx(auto.precision_lower_bound(80, 100))
    alone = auto.threshold_tests(np.full(200, 0.7), right, precision=0.7).iloc[-1]
    assert (alone["effective"], alone["lower_bound"] > last["lower_bound"]) == (200, True)


def test_tests_stop_being_proven_at_the_first_failure():
    confidence = np.repeat([0.97, 0.85, 0.6], 100)
    correct = np.ones(300, bool)
    correct[100:120] = False
    table = auto.threshold_tests(confidence, correct, precision=0.88, grid=[0.5, 0.8, 0.95])
    assert table["threshold"].tolist() == [0.95, 0.8]  # .5 would pass, and is not asked
    assert table["proven"].tolist() == [True, False]
    assert auto.threshold_tests([], []).empty


def test_images_must_be_alike():
    with pytest.raises(ValueError, match="images must be"):
        auto.threshold_tests([0.9, 0.8], [1, 1], images=[1])


def clustered(rng, n_images, per_image, share_bad):
    """Flips of images that are either good (all right) or bad (half right): precision .949."""
    size = 1 + rng.poisson(per_image, n_images)
    image = np.repeat(np.arange(n_images), size)
    bad = (rng.random(n_images) < share_bad)[image]
    return image, rng.random(len(image)) < np.where(bad, 0.5, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("per_image", [1, 5])
def test_promise_is_kept_where_flips_of_an_image_go_together(per_image):
    rng = np.random.default_rng(1)
    broken = {True: 0, False: 0}
    for _ in range(300):
        image, right = clustered(rng, 250, per_image, 0.102)  # 1 - .102 / 2 = .949
        for known in broken:
            images = image if known else None
            found = accept_from(np.full(len(image), 0.9), right, images=images)
            broken[known] += found is not None
    assert broken[True] / 300 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
    if per_image == 5:  # and would be broken if they counted as independent
        assert broken[False] / 300 > 0.12


@pytest.mark.slow
def test_promise_is_kept_where_only_sure_flips_go_together():
    """Five sure flips an image, all right or all wrong, among fifteen unsure ones that differ."""
    rng = np.random.default_rng(0)
    image = np.repeat(np.arange(400), 20)
    sure = np.tile(np.arange(20) < 5, 400)
    broken = apart = 0
    for _ in range(200):
        good = (rng.random(400) < 0.949)[image]
        right = np.where(sure, good, rng.random(len(image)) < 0.55)
        found = accept_from(np.where(sure, 0.97, 0.6), right, images=image)
        broken += found is not None
        together = auto.image_correlation(right, image)  # of all flips, as if they were alike
        apart += together < 0.1
    assert apart == 200  # all flips taken together hide it
    assert broken / 200 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)
