"""Look-ups in a frame of results (method, budget, seed, metric, value), for tables and figures."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from selfml.benchmark.scores import LABEL_METRICS
from selfml.benchmark.store import NO_BUDGET
from selfml.metrics import gap_closed

ACQUIRE = "acquire/"
_ATOMS = re.compile(r"atoms/(\d+)/(full/)?(.+)")


class Summary:
    """The values of a frame by method, budget and metric; NaN counts as missing.

    A method that uses no clean labels has one budget, ``-``, and stands in every budget with it.
    """

    def __init__(self, frame: pd.DataFrame):
        known = frame.dropna(subset=["value"])
        self._values = {
            key: pd.Series(part["value"].to_numpy(np.float64), part["seed"].to_numpy(np.int64))
            for key, part in known.groupby(["method", "budget", "metric"], sort=False)
        }
        self.seeds: list[int] = sorted({int(seed) for seed in known["seed"]})
        found = {budget for _, budget, _ in self._values}
        self.budgets: list[str] = sorted(found - {NO_BUDGET}, key=budget_order, reverse=True)
        """Largest first; ``-`` alone where no method has another."""
        if found == {NO_BUDGET}:
            self.budgets = [NO_BUDGET]

    def methods(self, budget: str) -> list[str]:
        """Methods with a value of this budget or of ``-``, by first appearance."""
        found = (method for method, b, _ in self._values if b in (budget, NO_BUDGET))
        return list(dict.fromkeys(found))

    def values(self, method: str, budget: str, metric: str) -> pd.Series:
        """Value by seed, sorted; no rows where it is missing."""
        for b in (budget, NO_BUDGET):
            if (method, b, metric) in self._values:
                return self._values[method, b, metric].sort_index()
        return pd.Series(dtype=np.float64, index=pd.Index([], dtype=np.int64))

    def difference(self, method: str, other: str, budget: str, metric: str) -> pd.Series:
        """``method`` minus ``other`` by seed, of the seeds that both have."""
        minus = self.values(method, budget, metric) - self.values(other, budget, metric)
        return minus.dropna()

    def ratio(self, method: str, other: str, budget: str, metric: str) -> pd.Series:
        """``method`` over ``other`` by seed, of the seeds that both have."""
        below = self.values(other, budget, metric)
        return (self.values(method, budget, metric) / below[below != 0]).dropna()

    def share(self, method: str, start: str, end: str, budget: str, metric: str) -> float:
        """Share of the way from ``start`` (0) to ``end`` (1), of means over their common seeds.

        From Baseline 0 to the oracle this is the gap closed. NaN without a common seed.
        """
        found = [self.values(name, budget, metric) for name in (method, start, end)]
        common = pd.concat(found, axis=1, join="inner")
        if common.empty:
            return float("nan")
        return gap_closed(*(float(mean) for mean in common.mean()))


def budget_order(budget: str) -> float:
    """Sorts budgets by their number of clean images: ``-``, numbers, ``all``."""
    if budget == NO_BUDGET:
        return -1.0
    return float("inf") if budget == "all" else float(budget)


def is_acquisition(frame: pd.DataFrame) -> np.ndarray:
    """Mark the rows of ways to choose the clean images (methods ``acquire/...``), (n,) bool."""
    return np.array([method.startswith(ACQUIRE) for method in frame["method"]], bool)


def by_atoms(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of metrics ``atoms/<K>/<metric>``, with K as a column ``atoms`` (int64).

    What corrects labels by a number of atoms is strict evidence, so ``atoms/40/label_accuracy``
    becomes ``label_accuracy_strict``, as ``atoms/40/label_accuracy_strict`` does; under
    ``atoms/40/full/`` it keeps its name. Other metrics keep theirs.
    """
    found = [_ATOMS.fullmatch(metric) for metric in frame["metric"]]
    rows = frame[np.array([match is not None for match in found], bool)].copy()
    parts = [match.groups() for match in found if match is not None]
    rows["atoms"] = np.array([int(k) for k, _, _ in parts], np.int64)
    rows["metric"] = [name if full else _strict(name) for _, full, name in parts]
    return rows


def _strict(metric: str) -> str:
    base, noisy = metric.removesuffix("_noisy"), metric.endswith("_noisy")
    return f"{base}_strict{'_noisy' * noisy}" if base in LABEL_METRICS else metric
