"""Which images to have verified next, and what choosing them so was worth when it was measured.

``p_ij`` is the probability that image i has attribute j, by full evidence. The benchmark
(`selfml.benchmark.acquisition`) verifies a pool of images step by step, each step chosen by one
strategy, and measures the corrected labels of other images. The strategy named here is the one
that did best there; a test holds it to the table in ``selfml/benchmark/RESULTS.md``.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import entr

SUGGEST_BY = "uncertain"  # of selfml.benchmark.acquisition_strategies.STRATEGIES
RESULTS = Path(__file__).parent / "benchmark" / "RESULTS.md"
HEADING = "## Which images to verify"
METRIC = "flip F1, test"  # our choice: how good the flips are on images nobody verified
COLUMNS = ["strategy", "budget", "metric", "mean", "sd"]


def mean_entropy(probabilities: np.ndarray) -> np.ndarray:
    """Mean binary entropy of an image's labels in nats (M,), of ``probabilities`` (M, L) in 0..1.

    Uncertainty sampling (Settles 2009). 0 where all is certain, log 2 = .69 where nothing is.
    """
    p = np.asarray(probabilities, np.float64)
    return (entr(p) + entr(1.0 - p)).mean(axis=1)


def most_uncertain(probabilities: np.ndarray, n: int) -> np.ndarray:
    """The n rows (n,) of the highest `mean_entropy`, highest first, ties to the lowest row."""
    return highest(mean_entropy(probabilities), n)


def highest(values: np.ndarray, n: int) -> np.ndarray:
    """The places (n,) of the n highest of ``values`` (M,), highest first, ties to the first."""
    return np.argsort(-values, kind="stable")[:n]


def simulation(text: str) -> pd.DataFrame:
    """The table "Which images to verify" of a benchmark's ``RESULTS.md``.

    Parameters
    ----------
    text : str
        Markdown as `selfml benchmark` writes it; of several such tables the first is read.

    Returns
    -------
    DataFrame
        strategy, budget (verified images in all), metric (the column's heading), mean and sd over
        seeds in %; no rows where there is no such table.
    """
    _, found, rest = text.partition(HEADING)
    lines = [line for line in rest.split("\n#")[0].splitlines() if line.startswith("|")]
    if not found or len(lines) < 3:
        return pd.DataFrame(columns=COLUMNS)
    head, _, *body = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    rows = []
    for strategy, budget, *cells in body:
        for metric, cell in zip(head[2:], cells, strict=True):
            numbers = re.findall(r"\d+(?:\.\d+)?", cell)
            if numbers:
                sd = float(numbers[1]) if len(numbers) > 1 else np.nan
                rows.append((strategy, int(budget.replace(",", "")), metric, float(numbers[0]), sd))
    return pd.DataFrame(rows, columns=COLUMNS)


def against_chance(table: pd.DataFrame, metric: str = METRIC) -> pd.DataFrame:
    """Each strategy against choosing at random, where the choice can matter.

    Budgets at which all strategies are equal are left out: at the first none has chosen yet, at
    the last the pool is used up.

    Parameters
    ----------
    table : DataFrame
        Of `simulation`.

    Returns
    -------
    DataFrame
        strategy, budget, mean, sd, random (mean of the random choice, %), random_sd, gain (points)
        and spread (points): the standard deviation that a difference of two such runs has. By
        budget, best first.
    """
    part = table[table["metric"] == metric]
    part = part[part.groupby("budget")["mean"].transform("nunique") > 1]
    chance = part[part["strategy"] == "random"][["budget", "mean", "sd"]]
    chance = chance.rename(columns={"mean": "random", "sd": "random_sd"})
    joined = part[part["strategy"] != "random"].merge(chance, on="budget").drop(columns="metric")
    joined = joined.assign(
        gain=joined["mean"] - joined["random"],
        spread=np.hypot(joined["sd"], joined["random_sd"]),
    )
    return joined.sort_values(
        ["budget", "gain", "strategy"], ascending=[True, False, True], ignore_index=True
    )


def winner(table: pd.DataFrame, metric: str = METRIC) -> str:
    """The strategy with the largest mean gain over random; empty where nothing was measured."""
    gains = against_chance(table, metric).groupby("strategy")["gain"].mean()
    return str(gains.idxmax()) if len(gains) else ""
