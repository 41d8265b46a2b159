"""Which flips can be trusted: calibrated confidence, and those accepted without a look.

Notation: a flip has a *strength*, the absolute log-odds of the evidence that decided, and is
*correct* where it gives the verified label. Confidence is ``sigmoid(a_d strength + b_d)`` with a
slope and an intercept for each direction d, to 1 and to 0 (Platt 1999, drawn towards one shared
line, and that towards no change, where flips are few: `selfml.calibration.fit_platt`; isotonic
regression needs more flips than there are, and ties what thresholds must tell apart). Thresholds
are set on strength, so that nothing fitted on the calibration images enters the grid that is tested
on them.

**Which images calibrate** (our choice). A flip promises something about images that training knew
only by their given labels, so the images that say whether the promise is kept must be known to
training in the same way, and no better:

1. ``held_out``: verified images beyond ``data.clean_samples``. In training they are noisy images
   like any other, and their verified labels are used here and nowhere else. So they, and they
   alone, speak for the other noisy training images, provided that clean.csv is a random sample of
   the catalogue. One thing sets them apart: `selfml.data.splits` draws images with rare positives
   to learn from first, so that those set aside have fewer of these. Images that training did not
   see at all (noisy_test, C_test) fare a little worse, 70 % against 72 % of the flips to 1 right on
   the demo catalogue: nothing is promised of them, and none of their flips is accepted.
2. ``none``: where fewer than ``HELD_OUT_MINIMUM`` such images are left, confidence is the
   evidence's own ``sigmoid(strength)``, **no guarantee is given and no flip is accepted**; a run
   says so.

The clean training images are no substitute, even without their own atoms and with classifiers that
leave them out: rates, weights, residual and metric were fitted on them. On the demo catalogue
(4,500 images; 338 of them clean training images) their flips to 1 are 75 % correct (90 % with their
own atoms), those of other images 72 %. A threshold found on them promised 95 % and gave 90 % (with
their own atoms 84 %), and calibrating on them raised the calibration error of the noisy images'
flips from 1.5 to 3.5 percentage points. Fitting the last weights again in folds would leave the
residual network and the learned metric as they are; fitting everything again costs as much as
training. Setting images aside costs nothing but their place among the clean ones.

Labels of C_test take no part: they measure what was promised (`selfml.trust_measures`).
Only the hull distances of its images do, in what counts as uncovered.

**Who is accepted.** Flips at or above the threshold of their direction, of noisy training images
that the basis covers (`selfml.coverage.is_covered`). The thresholds are found on covered images
too, so the guarantee is about these. Images set aside are never accepted: a person decided there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from selfml.auto_accept import threshold_tests
from selfml.calibration import apply_platt, fit_platt
from selfml.flips import logit, sigmoid

DIRECTIONS = {"to_1": 1, "to_0": 0}
PRECISION = 0.95  # of accepted flips; our choice
CONFIDENCE_LEVEL = 0.95  # how sure to be of it; our choice
MIN_COUNT = 100  # flips that the first test needs (selfml.auto_accept)
HELD_OUT_MINIMUM = 50  # images; fewer hold too few flips to prove anything, or to calibrate well
# How much calibration images must say before they are believed: the evidence's own confidence
# counts as 4 * OWN flips, both directions together as 4 * SHARED flips of one of them. Our choice:
# on the noisy images of the demo catalogue, of 1, 5, 25 and 100, log loss was lowest at 100 with 50
# to 200 images set aside, the same at 1 and 100 with 400, and lowest at 1 with 1,200.
OWN, SHARED = 100.0, 25.0
CALIBRATION = ["image_index", "attribute_index", "corrected", "strength", "correct", "covered"]

#: What a status of ``trust.parquet`` means, and what to do about it.
STATUS = {
    "guaranteed": "guaranteed",
    "no_held_out": (
        "no guarantee: too few verified images were left out of training to test flips on. "
        "Train with data.clean_samples below the number of verified images; those left over "
        "are then used for it"
    ),
    "too_few": "no guarantee: the images that were set aside have too few confident flips of this "
    "kind to prove anything; set more verified images aside",
    "not_precise": "no guarantee: not even the most confident flips of this kind were right often "
    "enough on the images that were set aside",
    "unseen": "no guarantee: what was proven was proven of the images trained on, and these are "
    "others",
    "relabelled": "no guarantee: basis images were labelled after training, and what was proven "
    "was proven of the flips before that; train again with these labels in clean.csv for a new one",
}


#: What a source of ``trust.parquet`` is.
SOURCES = {
    "held_out": "verified images left out of training",
    "none": "too few were left out, so the evidence's own confidence is shown",
}


@dataclass(frozen=True, eq=False)
class Calibration:
    """Flips of known truth, and where they come from.

    Attributes
    ----------
    source : {"held_out", "none"}
        See the module.
    images : (n,) int
        The images that calibrate, with or without flips.
    flips : DataFrame
        Columns of ``CALIBRATION``; ``strength`` >= 0 in log-odds.
    """

    source: str
    images: np.ndarray
    flips: pd.DataFrame


def deciding_strength(flips: pd.DataFrame, mode: str) -> np.ndarray:
    """Absolute log-odds of ``full`` or ``strict`` evidence, which made the flips, (M,) float64."""
    return np.abs(flips["score" if mode == "full" else "strict_score"].to_numpy(np.float64))


def judged_flips(
    flips: pd.DataFrame, strength: np.ndarray, verified: np.ndarray, covered: np.ndarray
) -> pd.DataFrame:
    """The flips whose verified label is known: rows with the columns of ``CALIBRATION``.

    Parameters
    ----------
    flips : DataFrame
        image_index, attribute_index, corrected.
    strength : (M,) float
    verified : (N, L) int8
        -1 unknown.
    covered : (N,) bool
    """
    i, j = flips["image_index"].to_numpy(), flips["attribute_index"].to_numpy()
    truth = np.asarray(verified[i, j])
    corrected = flips["corrected"].to_numpy()
    frame = pd.DataFrame(
        {
            "image_index": i.astype(np.int32),
            "attribute_index": j.astype(np.int16),
            "corrected": corrected.astype(np.int8),
            "strength": np.asarray(strength, np.float64),
            "correct": truth == corrected,
            "covered": np.asarray(covered, bool)[i],
        }
    )
    return frame[truth >= 0].reset_index(drop=True)


def choose_threshold(flips: pd.DataFrame) -> tuple[float, pd.Series | None, str]:
    """Threshold on strength for the flips of one direction (``CALIBRATION``), covered ones only.

    Returns
    -------
    threshold : float
        NaN where there is no guarantee.
    test : Series or None
        The row of `threshold_tests` that decided: the last proven one, else the first.
    status : str
        A key of ``STATUS``.
    """
    used = flips[flips["covered"]]
    tests = threshold_tests(
        sigmoid(used["strength"].to_numpy()),
        used["correct"].to_numpy(),
        images=used["image_index"].to_numpy(),
        precision=PRECISION,
        confidence_level=CONFIDENCE_LEVEL,
        min_count=MIN_COUNT,
    )
    if tests.empty:
        return float("nan"), None, "too_few"
    proven = tests[tests["proven"]]
    if proven.empty:
        return float("nan"), tests.iloc[0], "not_precise"
    return float(logit(np.array(proven["threshold"].iloc[-1]))), proven.iloc[-1], "guaranteed"


def trust_table(calibration: Calibration, largest_distance: float) -> pd.DataFrame:
    """Calibration and threshold of each direction: the rows of ``trust.parquet``."""
    flips = calibration.flips
    slope, intercept = _lines(flips)
    rows = []
    for column, (direction, label) in enumerate(DIRECTIONS.items()):
        own = flips[flips["corrected"] == label]
        threshold, test, status = float("nan"), None, "no_held_out"
        if calibration.source == "held_out":
            threshold, test, status = choose_threshold(own)
        line = slope[column], intercept[column]
        rows.append(
            {
                "direction": direction,
                "source": calibration.source,
                "status": status,
                "n_images": len(calibration.images),
                "n_flips": len(own),
                "n_correct": int(own["correct"].sum()),
                "slope": line[0],
                "intercept": line[1],
                "correlation": float("nan") if test is None else float(test["correlation"]),
                "precision": PRECISION,
                "confidence_level": CONFIDENCE_LEVEL,
                "threshold": threshold,
                "threshold_confidence": float(apply_platt(threshold, *line)),
                "n_tested": 0 if test is None else int(test["count"]),
                "n_tested_correct": 0 if test is None else int(test["correct"]),
                "lower_bound": float("nan") if test is None else float(test["lower_bound"]),
                "largest_covered_distance": largest_distance,
            }
        )
    return pd.DataFrame(rows)


def _lines(flips: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Slope and intercept of each direction; 1 and 0 where there is nothing to fit."""
    if flips.empty:
        return np.ones(len(DIRECTIONS)), np.zeros(len(DIRECTIONS))
    of = np.stack([flips["corrected"] == label for label in DIRECTIONS.values()], axis=1)
    strength = flips["strength"].to_numpy()[:, None].repeat(of.shape[1], axis=1)
    correct = flips["correct"].to_numpy().astype(np.int8)[:, None].repeat(of.shape[1], axis=1)
    return fit_platt(strength, correct, of, prior_strength=SHARED, identity_strength=OWN)


def with_trust(
    flips: pd.DataFrame,
    trust: pd.DataFrame,
    *,
    strength: np.ndarray,
    eligible: np.ndarray,
) -> pd.DataFrame:
    """Flips with calibrated ``confidence``, and ``auto_accept`` where the guarantee holds.

    Parameters
    ----------
    flips : DataFrame
        image_index, corrected and the other columns of ``flips.parquet``.
    trust : DataFrame
        Of :func:`trust_table`.
    strength : (M,) float
        Of :func:`deciding_strength`.
    eligible : (N,) bool
        Images that the guarantee speaks of: see the module.
    """
    corrected = flips["corrected"].to_numpy()
    confidence = sigmoid(strength)
    accept = np.zeros(len(flips), bool)
    for row in trust.itertuples():
        own = corrected == DIRECTIONS[row.direction]
        confidence[own] = apply_platt(strength[own], row.slope, row.intercept)
        accept |= own & (strength >= row.threshold)  # never true of NaN
    accept &= np.asarray(eligible, bool)[flips["image_index"].to_numpy()]
    return flips.assign(confidence=confidence.astype(np.float32), auto_accept=accept)


def guarantee(row: pd.Series) -> str:
    """What a row of ``trust.parquet`` promises, or why it does not, in words."""
    if row["status"] != "guaranteed":
        return STATUS[row["status"]]
    return (
        f"accepted from a confidence of {100 * row['threshold_confidence']:.1f} % on; at least "
        f"{100 * row['precision']:.0f} % are right ({100 * row['confidence_level']:.0f} % sure): "
        f"{row['n_tested_correct']} of {row['n_tested']} were where it was tested"
    )
