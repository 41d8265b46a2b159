"""Whether trust is deserved: confidence and accepted flips against labels that nothing else saw.

All of it is measured on images of C_test, which take no part in what is measured. The guarantee
speaks of the images that happened to be set aside, so it is put to the test by drawing these anew:
20 times the verified images that training never used, those set aside and those of C_test, are
dealt out again, as many to calibrate as before and the others to count on. Whole images are dealt,
never single flips, for the flips of one image are right or wrong together. They are dealt without
replacement: an image drawn twice would count as two, and could stand on both sides.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from selfml.auto_accept import precision_lower_bound
from selfml.calibration import expected_calibration_error, reliability_table
from selfml.coverage import is_covered
from selfml.flips import deciding_mode, sigmoid
from selfml.run import Run
from selfml.trust import (
    DIRECTIONS,
    PRECISION,
    choose_threshold,
    deciding_strength,
    judged_flips,
)

N_RESAMPLES = 20
N_BINS = 10
DEFINITIONS = {
    "confidence_ece": "expected calibration error: mean distance of the confidence of flips from "
    f"the share that is right, over {N_BINS} bins",
    "confidence_ece_uncalibrated": "the same for the evidence's own log-odds",
    "auto_accept_share": "percentage of flips sure enough to be accepted without a look",
    "auto_accept_precision": "percentage of these that are right",
    "auto_accept_resampled_mean": f"the same, mean over {N_RESAMPLES} times other images set "
    "aside; those with nothing accepted are left out",
    "auto_accept_resampled_lowest": "the same, lowest",
    "auto_accept_resampled_kept": f"percentage of {N_RESAMPLES} times with accepted flips at least "
    f"{PRECISION:.0%} right, or none accepted; unknown where none ever was",
}
REALISED = ["resample", "direction", "n_calibration", "n_images", "threshold", "n_flips",
            "n_accepted", "n_correct", "precision"]  # fmt: skip


def reliability(
    confidence: np.ndarray, correct: np.ndarray, *, n_bins: int = N_BINS
) -> pd.DataFrame:
    """Reliability diagram: share right by confidence, with exact 95 % intervals.

    Parameters
    ----------
    confidence : (M,) float in 0..1
    correct : (M,) bool

    Returns
    -------
    DataFrame
        bin_low, bin_high, count, mean_confidence, observed, low, high (Clopper & Pearson 1934, as
        if flips were independent); empty bins are left out.
    """
    table = reliability_table(confidence, np.asarray(correct).astype(np.int8), n_bins=n_bins)
    table = table[table["count"] > 0].reset_index(drop=True)
    n = table["count"].to_numpy()
    k = np.round(table["observed_fraction"].to_numpy() * n)
    low = precision_lower_bound(k, n, confidence_level=0.975)
    high = 1.0 - precision_lower_bound(n - k, n, confidence_level=0.975)
    names = {"mean_probability": "mean_confidence", "observed_fraction": "observed"}
    return table.rename(columns=names).assign(low=low, high=high)


def resampled_precision(
    flips: pd.DataFrame,
    pool: np.ndarray,
    n_calibration: int,
    *,
    n_resamples: int = N_RESAMPLES,
    seed: int = 0,
) -> pd.DataFrame:
    """Realised precision of accepted flips, each time with other images set aside.

    Parameters
    ----------
    flips : DataFrame
        Judged flips (``selfml.trust.CALIBRATION``) of the images of ``pool``.
    pool : (n,) int
        Images that training never used, with or without flips.
    n_calibration : int
        How many of them are set aside; the others are counted on.

    Returns
    -------
    DataFrame
        Columns of ``REALISED``, one row a resample and direction: threshold in log-odds (NaN: no
        guarantee, none accepted), flips, accepted and correct ones of the other images, precision
        (NaN where none was accepted).

    Raises
    ------
    ValueError
        Where ``n_calibration`` leaves no image on one side.
    """
    if not 0 < n_calibration < len(pool):
        raise ValueError(
            f"n_calibration: must leave images on both sides of {len(pool)}, got {n_calibration}"
        )
    rng = np.random.default_rng(seed)
    rows = []
    for resample in range(1, n_resamples + 1):
        aside = np.isin(flips["image_index"], rng.permutation(pool)[:n_calibration])
        sizes = n_calibration, len(pool) - n_calibration
        rows += _realised(resample, flips[aside], flips[~aside], sizes)
    return pd.DataFrame(rows, columns=REALISED)


def _realised(
    resample: int, aside: pd.DataFrame, others: pd.DataFrame, sizes: tuple[int, int]
) -> list[tuple]:
    rows = []
    for direction, label in DIRECTIONS.items():
        threshold = choose_threshold(aside[aside["corrected"] == label])[0]
        own = others[others["corrected"] == label]
        accepted = own[own["covered"] & (own["strength"] >= threshold)]
        rows.append((resample, direction, *sizes, threshold, len(own), *_counts(accepted)))
    return rows


def _counts(accepted: pd.DataFrame) -> tuple[int, int, float]:
    n, right = len(accepted), int(accepted["correct"].sum())
    return n, right, right / n if n else float("nan")


def trust_measures(run: Run) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Reliability, realised precision and their summary, for ``selfml evaluate``.

    Returns
    -------
    reliability : DataFrame
        Rows of ``reliability.parquet``, by direction and for both (``all``).
    realised : DataFrame
        Rows of ``realised.parquet``; resample 0 is the run's own threshold on all of C_test.
    summary : DataFrame
        Rows of ``metrics.parquet``; percentages.
    """
    images = run.table("images", ["split", "hull_distance"])
    test = np.flatnonzero(images["split"] == "clean_test")
    truth = run.array("labels_true")
    judged_images = np.flatnonzero((truth >= 0).any(axis=1))
    # of a million relabelled images the truth is known of the first ones alone, the basis images
    flips = run.table("flips", below_image=judged_images.max(initial=-1) + 1)
    trust = run.table("trust") if run.has("trust") else None
    limit = np.inf if trust is None else trust["largest_covered_distance"].iloc[0]
    distance = images["hull_distance"].to_numpy(np.float64)
    covered = is_covered(distance, float(limit))
    strength = deciding_strength(flips, deciding_mode(run))
    judged = judged_flips(flips, strength, truth, covered)
    known = truth[flips["image_index"], flips["attribute_index"]] >= 0
    judged = judged.assign(
        confidence=flips["confidence"].to_numpy(np.float64)[known], accepted=_sure(judged, trust)
    )
    tested = judged[judged["image_index"].isin(test)]
    own = _own(tested, trust, len(test))
    drawn = _drawn(run, judged, test, trust)
    realised = pd.concat([part for part in (own, drawn) if len(part)]) if len(own) else drawn
    return _reliability(tested), realised.reset_index(drop=True), _summary(tested, realised)


def _sure(judged: pd.DataFrame, trust: pd.DataFrame | None) -> np.ndarray:
    """(M,) bool: flips that would be accepted, were their image one that the promise is about."""
    found = np.zeros(len(judged), bool)
    for row in () if trust is None else trust.itertuples():
        own = judged["corrected"] == DIRECTIONS[row.direction]
        found |= (own & judged["covered"] & (judged["strength"] >= row.threshold)).to_numpy()
    return found


def _reliability(tested: pd.DataFrame) -> pd.DataFrame:
    parts = [("all", tested)]
    parts += [(name, tested[tested["corrected"] == label]) for name, label in DIRECTIONS.items()]
    tables = []
    for direction, part in parts:
        table = reliability(part["confidence"].to_numpy(), part["correct"].to_numpy())
        table.insert(0, "direction", direction)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _own(tested: pd.DataFrame, trust: pd.DataFrame | None, n_test: int) -> pd.DataFrame:
    """The run's own thresholds on C_test: resample 0."""
    rows = []
    for row in () if trust is None else trust.itertuples():
        own = tested[tested["corrected"] == DIRECTIONS[row.direction]]
        accepted = own[own["accepted"]]
        n_calibration = row.n_images if row.source == "held_out" else 0
        sizes = n_calibration, n_test
        rows.append((0, row.direction, *sizes, row.threshold, len(own), *_counts(accepted)))
    return pd.DataFrame(rows, columns=REALISED)


def _drawn(
    run: Run, judged: pd.DataFrame, test: np.ndarray, trust: pd.DataFrame | None
) -> pd.DataFrame:
    """Images set aside anew; without any, half of C_test stands in, to show what they would do."""
    aside = np.empty(0, np.int64)
    if trust is not None and (trust["source"] == "held_out").all():
        aside = run.table("calibration")["image_index"].to_numpy()
    pool = np.concatenate([aside, test])
    n_calibration = len(aside) or len(test) // 2
    if trust is None or not 0 < n_calibration < len(pool):
        return pd.DataFrame(columns=REALISED)
    seed = int(run.info.get("seed") or 0)
    return resampled_precision(
        judged[judged["image_index"].isin(pool)], pool, n_calibration, seed=seed
    )


def _summary(tested: pd.DataFrame, realised: pd.DataFrame) -> pd.DataFrame:
    found: dict[str, float] = {}
    parts = {"": tested}
    parts |= {f"_{d}": tested[tested["corrected"] == label] for d, label in DIRECTIONS.items()}
    for suffix, part in parts.items():
        correct = part["correct"].to_numpy().astype(np.int8)
        for name, values in (
            ("confidence_ece", part["confidence"]),
            ("confidence_ece_uncalibrated", sigmoid(part["strength"])),
        ):
            error = expected_calibration_error(np.asarray(values), correct, n_bins=N_BINS)
            found[f"{name}{suffix}"] = 100 * error
        n, _, precision = _counts(part[part["accepted"]])
        found[f"auto_accept_share{suffix}"] = 100 * n / len(part) if len(part) else np.nan
        found[f"auto_accept_precision{suffix}"] = 100 * precision
    for direction in DIRECTIONS:
        drawn = realised[(realised["resample"] > 0) & (realised["direction"] == direction)]
        precision = drawn["precision"].astype(float)
        kept = (precision.isna() | (precision >= PRECISION)).mean()
        kept = kept if precision.notna().any() else np.nan  # no promise was made, and none kept
        values = {"mean": precision.mean(), "lowest": precision.min(), "kept": kept}
        for name, value in values.items():
            found[f"auto_accept_resampled_{name}_{direction}"] = 100 * value
    rows = [("self_ml", name, value, _definition(name)) for name, value in found.items()]
    return pd.DataFrame(rows, columns=["method", "metric", "value", "definition"])


def _definition(name: str) -> str:
    for direction in DIRECTIONS:
        if name.endswith(f"_{direction}"):
            meaning = DEFINITIONS[name.removesuffix(f"_{direction}")]
            return f"{meaning}; flips {direction.replace('_', ' ')} alone"
    return DEFINITIONS[name]
