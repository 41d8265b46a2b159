"""How far flips can be trusted, as the overview shows it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from selfml.run import Run
from selfml.trust import SOURCES, STATUS

DIRECTION_NAMES = {"to_1": "Added", "to_0": "Taken off"}
WHICH = {"all": "All flips", **DIRECTION_NAMES}


@dataclass(frozen=True)
class Trust:
    """What the panel is made of; empty frames where the run has nothing of the kind.

    Attributes
    ----------
    thresholds : DataFrame
        ``trust.parquet``.
    reliability : DataFrame
        ``reliability.parquet``.
    realised : DataFrame
        ``realised.parquet``.
    errors : dict of str to (float, float)
        Calibration error of flips in percent, after and before calibration, by ``WHICH``.
    """

    thresholds: pd.DataFrame
    reliability: pd.DataFrame
    realised: pd.DataFrame
    errors: dict[str, tuple[float, float]]

    @property
    def guaranteed(self) -> bool:
        """Whether flips of at least one direction may be accepted without a look."""
        return bool((self.thresholds["status"] == "guaranteed").any())

    @property
    def is_measured(self) -> bool:
        """Whether there are test images with flips, or verified ones set aside, to measure on."""
        return bool(len(self.reliability) or (self.realised["n_flips"] > 0).any())


def trust(run: Run) -> Trust | None:
    """What a run knows of its flips' confidence; None where it was made before that was kept."""
    if not run.has("trust", "reliability", "realised"):
        return None
    errors: dict[str, tuple[float, float]] = {}
    if run.has("metrics"):
        metrics = run.table("metrics")
        values = metrics[metrics["method"] == "self_ml"].set_index("metric")["value"].to_dict()
        for which in WHICH:
            end = "" if which == "all" else f"_{which}"
            pair = (f"confidence_ece{end}", f"confidence_ece_uncalibrated{end}")
            if pair[0] in values and pair[1] in values:
                errors[which] = (float(values[pair[0]]), float(values[pair[1]]))
    tables = (run.table(name) for name in ("trust", "reliability", "realised"))
    return Trust(*tables, errors)


def source_sentence(thresholds: pd.DataFrame) -> str:
    """Which images calibrated the confidence, in a sentence."""
    first = thresholds.iloc[0]
    if first["source"] == "none":
        return "Confidence is not calibrated: it is what the evidence itself says."
    n = int(first["n_images"])
    return f"Calibrated on {n:,} images: {SOURCES[first['source']]}."


def promise(row: pd.Series) -> str:
    """What is promised of one direction, or why nothing is, in words."""
    if row["status"] != "guaranteed":
        text = STATUS[row["status"]].removeprefix("no guarantee: ")
        return f"No guarantee, so none is accepted: {text}."
    return (
        f"Accepted from a confidence of {100 * row['threshold_confidence']:.1f} % on: with "
        f"{100 * row['confidence_level']:.0f} % certainty at least {100 * row['precision']:.0f} % "
        f"of them are right. On the images set aside {row['n_tested_correct']:,} of "
        f"{row['n_tested']:,} were."
    ).replace(" %", "\u00a0%")


def threshold_rows(of: Trust) -> pd.DataFrame:
    """One row a direction: what was promised, and what became of it on test images.

    Returns
    -------
    DataFrame
        direction, title, threshold (confidence, NaN: none), lower_bound, n_accepted, n_flips,
        precision (on C_test), and of the resamples mean, lowest, highest (fractions; NaN where
        nothing was accepted), n_kept and n_resamples, promise (text).
    """
    rows = []
    for _, row in of.thresholds.iterrows():
        own = of.realised[of.realised["direction"] == row["direction"]]
        drawn, once = own[own["resample"] > 0], own[own["resample"] == 0]
        precision = drawn["precision"].to_numpy(np.float64)
        known = precision[np.isfinite(precision)]
        spread = (known.mean(), known.min(), known.max()) if len(known) else (np.nan,) * 3
        accepted = once.iloc[0] if len(once) else None
        promised = row["status"] == "guaranteed"
        rows.append(
            {
                "direction": row["direction"],
                "title": DIRECTION_NAMES[row["direction"]],
                "threshold": row["threshold_confidence"] if promised else np.nan,
                "lower_bound": row["lower_bound"] if promised else np.nan,
                "n_accepted": 0 if accepted is None else int(accepted["n_accepted"]),
                "n_flips": 0 if accepted is None else int(accepted["n_flips"]),
                "precision": np.nan if accepted is None else float(accepted["precision"]),
                "mean": spread[0],
                "lowest": spread[1],
                "highest": spread[2],
                "n_accepting": len(known),
                "n_kept": len(drawn) - int((known < row["precision"]).sum()),
                "n_resamples": len(drawn),
                "promise": promise(row),
            }
        )
    return pd.DataFrame(rows)


def acceptance(of: Trust | None, flip: pd.Series, hull_distance: float) -> str:
    """Why a flip may be accepted without a look, or why it may not though it is sure enough.

    Parameters
    ----------
    of : Trust or None
        Of :func:`trust`.
    flip : Series
        A row of ``flips.parquet``.
    hull_distance : float
        Of the flip's image.

    Returns
    -------
    str
        Empty where there is nothing to say: the flip is not sure enough, or nothing is promised.
    """
    if of is None:
        return ""
    direction = "to_1" if flip["corrected"] == 1 else "to_0"
    row = of.thresholds.set_index("direction").loc[direction]
    if flip["auto_accept"]:
        return (
            f"Safe to accept: of labels that are {DIRECTION_NAMES[direction].lower()} with a "
            f"confidence of {100 * row['threshold_confidence']:.1f} % or more, at least "
            f"{100 * row['precision']:.0f} % are right, with {100 * row['confidence_level']:.0f} % "
            "certainty. This is a promise about all of them together, not about this one."
        )
    sure = row["status"] == "guaranteed" and flip["confidence"] >= row["threshold_confidence"]
    if not sure:
        return ""
    if hull_distance > row["largest_covered_distance"]:
        return (
            "Sure enough, yet not accepted without a look: the image is unlike the basis images "
            f"(distance from their hull {hull_distance:.3g}, the limit is "
            f"{row['largest_covered_distance']:.3g})."
        )
    return (
        "Sure enough, yet not accepted without a look: the promise is about images that training "
        "saw and nobody verified, and this is none."
    )
