"""What there is to see of a catalogue that was relabelled by a run trained on another.

Its first rows are the basis images of that run, shown in receipts: they are none of the catalogue,
and are left out of every count here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dashboard.frames.attributes import DIRECTIONS, FLIP_COUNTS, names
from dashboard.frames.database import ask, giving_back
from selfml.run import Run
from selfml.run_format import SPLITS

N_BINS = 40
UNSEEN = ("noisy_test", "clean_test")  # of a training run: as a relabelled catalogue is


@dataclass(frozen=True)
class Relabelled:
    """How much of a catalogue was relabelled.

    Attributes
    ----------
    n_images, n_unreadable : int
        Images that were relabelled, and that could not be read.
    unreadable : DataFrame
        image_id and problem of the first of these, as many as ``run.json`` lists.
    """

    n_images: int
    n_unreadable: int
    unreadable: pd.DataFrame


def is_relabelled(info: Mapping[str, Any]) -> bool:
    """Whether this is the ``run.json`` of a run that ``selfml relabel`` made."""
    return bool(info.get("source_run"))


def relabelled(info: Mapping[str, Any]) -> Relabelled:
    """From the ``run.json`` of a relabelled run; zeros while it is not complete."""
    counts = info.get("relabel") or {}
    listed = pd.DataFrame(info.get("unreadable") or (), columns=["image_id", "problem"])
    return Relabelled(
        int(counts.get("n_images", 0)), int(counts.get("n_unreadable", 0)), listed
    )  # fmt: skip


def flip_counts(run: Run) -> pd.DataFrame:
    """As ``frames.attributes.flip_counts``, from the flips alone: no label is verified here."""
    sql = """
        SELECT attribute_index, corrected, count(*) AS n FROM read_parquet(?) GROUP BY ALL
    """
    counts = ask(sql, [str(run.table_path("flips"))])
    frame = names(run).assign(**dict.fromkeys(FLIP_COUNTS, 0))
    for direction, label in zip(DIRECTIONS, (1, 0), strict=True):
        own = counts[counts["corrected"] == label]
        frame[direction] = np.bincount(
            own["attribute_index"], own["n"], minlength=len(frame)
        ).astype(np.int64)
    order = (frame["to_1"] + frame["to_0"]).sort_values(ascending=False, kind="stable").index
    return frame.loc[order].reset_index(drop=True)


@dataclass(frozen=True)
class Distances:
    """Hull distances of a relabelled catalogue, beside those of the run that relabelled it.

    Attributes
    ----------
    bins : DataFrame
        low, high (feature units), here and there (% of the images; there is 0 without that run).
    medians, beyond : dict of str to float
        Of ``here`` and, where known, ``there``: median distance, and share (0..1) beyond ``cut``.
    cut : float
        The distance from which training calls an image uncovered; ``inf``: none.
    """

    bins: pd.DataFrame
    medians: dict[str, float]
    beyond: dict[str, float]
    cut: float


def distances(run: Run, source: Run | None = None) -> Distances:
    """The images of the catalogue against those of ``source`` that its training did not see."""
    found = {"here": _distances(run)}
    if source is not None:
        found["there"] = _distances(source, UNSEEN)
    found = {name: values for name, values in found.items() if len(values)}
    cut = _cut(run)
    columns = ["low", "high", "here", "there"]
    if "here" not in found:
        return Distances(pd.DataFrame(columns=columns, dtype=np.float64), {}, {}, cut)
    edges = np.histogram_bin_edges(np.concatenate([*found.values()]), N_BINS)
    bins = pd.DataFrame({"low": edges[:-1], "high": edges[1:], "here": 0.0, "there": 0.0})
    for name, values in found.items():
        bins[name] = 100 * np.histogram(values, edges)[0] / len(values)
    medians = {name: float(np.median(values)) for name, values in found.items()}
    beyond = {name: float((values > cut).mean()) for name, values in found.items()}
    return Distances(bins[columns], medians, beyond, cut)


def _distances(run: Run, splits: tuple[str, ...] = ()) -> np.ndarray:
    """Known distances of images that are no basis images, of some splits or of all."""
    sql = """
        SELECT hull_distance FROM read_parquet(?)
        WHERE list_contains(?, split) AND isfinite(hull_distance)
          AND image_index NOT IN (SELECT image_index FROM read_parquet(?))
    """
    files = [str(run.table_path(name)) for name in ("images", "basis")]
    with giving_back():
        found = ask(sql, [files[0], list(splits or SPLITS), files[1]])
    return found["hull_distance"].to_numpy(np.float64)


def _cut(run: Run) -> float:
    if not run.has("trust"):
        return np.inf
    limit = float(run.table("trust")["largest_covered_distance"].iloc[0])
    return limit if np.isfinite(limit) else np.inf
