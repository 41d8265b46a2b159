"""Two runs side by side, on the attributes that both have.

Everything is measured on the verified test images (C_test). Where both runs have the same
images there, resamples are paired: each draws the same images for both. Where they have not,
each run's images are drawn on their own, and the difference is one of different images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dashboard.frames.attributes import MIN_SUPPORT, ratio, rows_of
from selfml.attribute_metrics import resampled_average_precision
from selfml.intervals import percentile_interval, resampled_share
from selfml.metrics import average_precision_per_attribute
from selfml.run import Run

ARRAY = {
    "self_ml": "probabilities",
    "baseline_0": "probabilities_baseline_0",
    "baseline_1": "probabilities_baseline_1",
}
NEEDS = (
    *("images", "attributes", "labels_true", "labels_given", "labels_corrected"),
    *ARRAY.values(),
)
MEASURES = ("gain", "ap", "precision")
RESAMPLES = 1_000
CELLS = 1_000_000_000  # images x attributes x rankings x resamples: about 10 s of one core
FEWEST_RESAMPLES = 200


@dataclass(frozen=True)
class SharedImages:
    """How the verified test images of two runs relate.

    Attributes
    ----------
    n, n_other, n_shared : int
        Images of either run, and those of one name in both.
    n_attributes : int
        Attributes that both runs have.
    same_images, same_labels : bool
        Whether the names are equal, and then also the verified labels of shared attributes.
    """

    n: int
    n_other: int
    n_shared: int
    n_attributes: int
    same_images: bool
    same_labels: bool

    @property
    def paired(self) -> bool:
        """Whether differences can be measured image by image."""
        return self.same_images and self.same_labels


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` found.

    Attributes
    ----------
    images : SharedImages
    frame : DataFrame
        attribute, value and value_other (percentage points for a gain, else %), difference
        (value - value_other, points) with low and high (95 % bootstrap interval), support and
        support_other (what was measured on: positives, or judged flips), few (either under
        ``MIN_SUPPORT``); largest difference first, what cannot be compared last.
    mean : dict
        value, value_other, difference, low, high: means over the attributes with a difference.
    n_resamples : int
    """

    images: SharedImages
    frame: pd.DataFrame
    mean: dict[str, float]
    n_resamples: int


@dataclass(frozen=True)
class _Part:
    """C_test of one run: its rows, in the order of image names, and its columns."""

    run: Run
    ids: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    def array(self, name: str) -> np.ndarray:
        return np.asarray(self.run.array(name)[self.rows])[:, self.columns]


def _parts(run: Run, other: Run) -> tuple[list[str], _Part, _Part]:
    own = {name: j for j, name in enumerate(other.attributes)}
    shared = [name for name in run.attributes if name in own]
    found = []
    for one in (run, other):
        rows = np.flatnonzero(rows_of(one, "clean_test"))
        ids = one.table("images", ["image_id"])["image_id"].to_numpy(object)[rows].astype(str)
        order = np.argsort(ids, kind="stable")
        place = {name: j for j, name in enumerate(one.attributes)}
        columns = np.array([place[name] for name in shared], np.int64)
        found.append(_Part(one, ids[order], rows[order], columns))
    return shared, found[0], found[1]


def shared_images(run: Run, other: Run) -> SharedImages:
    """Compare the verified test images of two runs, by name and by verified label."""
    shared, a, b = _parts(run, other)
    same = np.array_equal(a.ids, b.ids)
    labels = same and np.array_equal(a.array("labels_true"), b.array("labels_true"))
    n_shared = len(np.intersect1d(a.ids, b.ids))
    return SharedImages(len(a.ids), len(b.ids), n_shared, len(shared), same, labels)


def compare(
    run: Run, other: Run, measure: str = "gain", baseline: str = "baseline_1"
) -> Comparison:
    """One measure of both runs with the difference, attribute by attribute.

    Parameters
    ----------
    run, other : Run
        With ``NEEDS``.
    measure : {"gain", "ap", "precision"}
        SELF-ML's gain in average precision, its average precision, or the share of its judged
        flips that are right.
    baseline : {"baseline_1", "baseline_0"}
        What a gain is measured over, in each run its own.
    """
    if measure not in MEASURES:
        raise ValueError(f"measure: must be one of {MEASURES}, got {measure!r}")
    shared, a, b = _parts(run, other)
    images = shared_images(run, other)
    cells = max(images.n, images.n_other, 1) * max(len(shared), 1) * 4
    n_resamples = int(np.clip(CELLS // cells, FEWEST_RESAMPLES, RESAMPLES))
    seeds = (0, 0) if images.paired else (0, 1)
    found = [
        _measured(part, measure, baseline, n_resamples, seed)
        for part, seed in zip((a, b), seeds, strict=True)
    ]
    (value, support, drawn), (value_other, support_other, drawn_other) = found
    low, high = percentile_interval(drawn - drawn_other)
    frame = pd.DataFrame(
        {
            "attribute": np.array(shared, object),
            "value": value,
            "value_other": value_other,
            "difference": value - value_other,
            "low": low,
            "high": high,
            "support": support,
            "support_other": support_other,
            "few": np.minimum(support, support_other) < MIN_SUPPORT,
        }
    )
    mean = _mean(frame, drawn - drawn_other)
    frame = frame.sort_values("difference", ascending=False, kind="stable", ignore_index=True)
    return Comparison(images, frame, mean, n_resamples)


def _measured(
    part: _Part, measure: str, baseline: str, n_resamples: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value (L,), support (L,) and resampled values (B, L); in points or %."""
    truth = part.array("labels_true")
    if measure == "precision":
        given, corrected = part.array("labels_given"), part.array("labels_corrected")
        judged = (given >= 0) & (corrected != given) & (truth >= 0)
        right = judged & (corrected == truth)
        drawn = resampled_share(right, judged, n_resamples=n_resamples, seed=seed)
        support = judged.sum(axis=0)
        return 100 * ratio(right.sum(axis=0), support), support, 100 * drawn
    methods = ("self_ml", baseline) if measure == "gain" else ("self_ml",)
    scores = [part.array(ARRAY[name]) for name in methods]
    drawn = resampled_average_precision(scores, truth, n_resamples=n_resamples, seed=seed)
    values = [average_precision_per_attribute(one, truth) for one in scores]
    support = (truth == 1).sum(axis=0)
    if measure == "ap":
        return 100 * values[0], support, 100 * drawn[0]
    return 100 * (values[0] - values[1]), support, 100 * (drawn[0] - drawn[1])


def _mean(frame: pd.DataFrame, drawn: np.ndarray) -> dict[str, float]:
    known = frame["difference"].notna().to_numpy()
    names = ("value", "value_other", "difference")
    if not known.any():
        return dict.fromkeys((*names, "low", "high"), np.nan)
    means = {name: float(frame.loc[known, name].mean()) for name in names}
    rows = drawn[:, known]
    n = (~np.isnan(rows)).sum(axis=1)
    resampled = ratio(np.nansum(rows, axis=1), n)
    (low,), (high,) = percentile_interval(resampled[:, None])
    return means | {"low": float(low), "high": float(high)}
