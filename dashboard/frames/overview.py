"""What the overview shows: Table 1, noise before and after, progress of a run in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from dashboard.frames.database import ask, giving_back
from selfml.run import Run
from selfml.run_format import METHODS

TABLE_1 = {
    "precision_at_k": "Precision@k*",
    "recall_at_k": "Recall@k*",
    "f1_at_k": "F1@k*",
    "ap_all": "AP, all labels",
    "map": "MAP",
    "jaccard": "Jaccard",
    "exact_match": "Exact match",
}
GROUPS = {
    "Labels": ("label_", "residual_"),
    "Flips": ("flip", "auto_accept", "confidence_"),
    "Explanations": (
        "atoms", "nonzeros", "self_coefficient", "r2", "categories_", "labels_covered", "hull",
    ),
}  # fmt: skip
SETS = {
    "Noisy images": ("noisy_train", "noisy_test"),
    "Verified test images": ("clean_test",),
}
LABELS = {"Given": "labels_given", "Corrected": "labels_corrected", "Verified": "labels_true"}


def table_1(metrics: pd.DataFrame) -> pd.DataFrame:
    """The paper's Table 1: one row a method, one column a metric, in percent.

    Parameters
    ----------
    metrics : DataFrame
        ``metrics.parquet``; metrics and methods that are not there are left out.

    Returns
    -------
    DataFrame
        Index ``method`` in the order of ``METHODS``, then others; columns named as in
        :data:`TABLE_1`'s keys, NaN where a method lacks the metric.
    """
    rows = metrics[metrics["metric"].isin(TABLE_1)]
    wide = rows.pivot_table(index="method", columns="metric", values="value", aggfunc="last")
    methods = [m for m in METHODS if m in wide.index]
    others = sorted(set(wide.index) - set(METHODS))
    return wide.reindex(index=methods + others, columns=[m for m in TABLE_1 if m in wide.columns])


def definitions(metrics: pd.DataFrame) -> dict[str, str]:
    """The definition of each metric, as the run states it."""
    stated = metrics.dropna(subset=["definition"]).drop_duplicates("metric", keep="last")
    return dict(zip(stated["metric"], stated["definition"], strict=True))


def other_measures(metrics: pd.DataFrame) -> pd.DataFrame:
    """All measures outside Table 1: group, measure, method, value, definition."""
    rest = metrics[~metrics["metric"].isin(TABLE_1)].copy()
    rest["group"] = [_group(name) for name in rest["metric"]]
    rest["measure"] = [name.replace("_", " ") for name in rest["metric"]]
    order = {name: i for i, name in enumerate([*GROUPS, "Other"])}
    rest = rest.sort_values("group", key=lambda s: s.map(order), kind="stable", ignore_index=True)
    return rest[["group", "measure", "method", "value", "definition"]]


def _group(metric: str) -> str:
    for group, starts in GROUPS.items():
        if metric.startswith(starts):
            return group
    return "Other"


def noise(run: Run) -> pd.DataFrame:
    """Labels per image and wrong labels, where verified labels are known.

    ``clean_train`` is left out: its verified labels were used in training.

    Returns
    -------
    DataFrame
        ``set``; ``labels`` (Given, Corrected, Verified); ``labels_per_image``; ``wrong_percent``
        of the cells whose given and verified labels are known (0 for Verified); ``n_images``.
        No rows where nothing was verified.
    """
    columns = ["set", "labels", "labels_per_image", "wrong_percent", "n_images"]
    if not run.has("images", *LABELS.values()):
        return pd.DataFrame(columns=columns)
    split = run.table("images", ["split"])["split"].to_numpy()
    arrays = {name: run.array(file) for name, file in LABELS.items()}
    rows = []
    for name, splits in SETS.items():
        truth = arrays["Verified"]
        chosen = np.flatnonzero(np.isin(split, splits) & (truth >= 0).any(axis=1))
        if not len(chosen):
            continue
        known = truth[chosen] >= 0
        judged = known & (arrays["Given"][chosen] >= 0)
        for labels, array in arrays.items():
            per_image = float(((array[chosen] == 1) & known).sum(axis=1).mean())
            differs = (array[chosen] != truth[chosen])[judged]
            wrong = 100 * float(differs.mean()) if differs.size else np.nan
            rows.append((name, labels, per_image, wrong, len(chosen)))
    return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True)
class FlipCounts:
    """How many labels are to be changed."""

    flips: int
    to_1: int
    to_0: int
    auto_accept: int
    images: int


def flip_counts(run: Run) -> FlipCounts:
    """Counts over the whole run; zeros where flips are not written yet."""
    if not run.has("flips"):
        return FlipCounts(0, 0, 0, 0, 0)
    sql = """
        SELECT count(*) AS flips, count(*) FILTER (corrected = 1) AS to_1,
               count(*) FILTER (corrected = 0) AS to_0,
               count(*) FILTER (auto_accept) AS auto_accept,
               count(DISTINCT image_index) AS images
        FROM read_parquet(?)
    """
    with giving_back():
        found = ask(sql, [str(run.table_path("flips"))])
    return FlipCounts(**{name: int(found[name].iloc[0]) for name in found})


def is_mapped(run: Run) -> bool:
    """Whether there is a map of its images."""
    if not run.has("images"):
        return False
    sql = """
        SELECT count(*) AS n FROM read_parquet(?)
        WHERE NOT isnan(map_tsne_x) OR NOT isnan(map_umap_x)
    """
    return bool(ask(sql, [str(run.table_path("images"))])["n"].iloc[0])


@dataclass(frozen=True)
class Progress:
    """Where a run in training is.

    Attributes
    ----------
    stage, step, n_steps
        The present stage, its step and its number of steps (None: not known).
    stage_number, n_stages : int
        From 1; 0 where the plan is not known.
    fraction : float or None
        Of all steps of all stages, 0 to 1; None while the plan is not known.
    latest : dict of str to float
        The last value of each name in the history.
    """

    stage: str
    step: int
    n_steps: int | None
    stage_number: int
    n_stages: int
    fraction: float | None
    latest: dict[str, float]


def progress(info: Mapping[str, Any], history: pd.DataFrame) -> Progress:
    """Progress from ``run.json`` (its ``stage``, ``step`` and planned ``stages``) and history."""
    last = history.drop_duplicates("name", keep="last").set_index("name")["value"]
    latest = {str(k): float(v) for k, v in last.items()}
    stage = str(info.get("stage") or (history["stage"].iloc[-1] if len(history) else "starting"))
    logged = history.loc[history["stage"] == stage, "step"]
    step = max(int(info.get("step") or 0), int(logged.iloc[-1]) if len(logged) else 0)
    plan = {str(s["stage"]): int(s["steps"]) for s in info.get("stages") or ()}
    if stage not in plan:
        return Progress(stage, step, None, 0, len(plan), None, latest)
    names = list(plan)
    number, n_steps = names.index(stage) + 1, plan[stage]
    step = min(step, n_steps)
    done = sum(plan[name] for name in names[: number - 1]) + step
    fraction = done / max(sum(plan.values()), 1)
    return Progress(stage, step, n_steps, number, len(plan), fraction, latest)


def losses(history: pd.DataFrame, n_points: int = 400) -> pd.DataFrame:
    """The losses over all stages, one after the other, thinned to at most ``n_points`` each.

    Returns
    -------
    DataFrame
        ``name``, ``stage``, ``position`` (steps since the beginning of the run), ``value``.
    """
    rows = history[history["name"].str.startswith("loss")].copy()
    spans = rows.groupby("stage", sort=False)["step"].max()
    starts = dict(zip(spans.index, spans.cumsum() - spans, strict=True))
    rows["position"] = rows["step"] + rows["stage"].map(starts).astype(float)
    parts = [part.iloc[:: -(-len(part) // n_points)] for _, part in rows.groupby("name")]
    columns = ["name", "stage", "position", "value"]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)
