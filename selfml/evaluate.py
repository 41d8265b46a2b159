"""From a run to its tables: Table 1, gains and flips by attribute, and what X_B and c learned.

Classification is measured on C_test alone. Flips are measured on C_test, and with suffix
``_noisy`` on the noisy images whose truth is known; ``_strict`` marks those that the basis
images and the given label alone would make, ``_full`` those of all evidence. All values are
percentages except counts.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from selfml.attribute_metrics import attribute_table, gain_table
from selfml.decided import decided_cells, decided_labels
from selfml.explanation_metrics import (
    EXPLANATION_METRICS,
    FLIP_METRICS,
    atoms_used,
    explanation_metrics,
    flip_metrics,
    flips_by_attribute,
    label_error_auprc,
    probability_given_wrong,
)
from selfml.flips import corrected_labels, corrected_probabilities
from selfml.hull import pca_explained_variance
from selfml.metrics import TABLE_1, table_1
from selfml.run import Run, RunError, RunWriter
from selfml.run_format import METHODS
from selfml.trust_measures import trust_measures

PROBABILITIES = dict(
    zip(
        METHODS,
        ("probabilities_baseline_0", "probabilities_baseline_1", "probabilities"),
        strict=True,
    )
)
BOOTSTRAP = 1_000
GAINS = {"ap_gain": "baseline_1", "ap_gain_baseline_0": "baseline_0"}  # metric -> over what
PCA_IMAGES = 20_000
CHUNK = 65_536  # images whose labels are counted at one time
COUNTS = {"atoms_used", "atoms_95", "atoms_99", "nonzeros_per_image"} | {
    "categories_covered",
    "labels_covered",
}
EXTRA = {
    "label_error_auprc": "average precision of ranking given labels by how likely they are wrong",
    "flips_strict_agree": "percentage of flips that strict evidence makes too",
    "r2": "explained variance of the features by the reconstruction",
    "r2_hull": "explained variance by the best convex combination of the same atoms",
    "r2_pca": "explained variance by as many principal components less one: the bound",
    "labels_per_image_given": "mean positive labels an image as given, noisy images",
    "labels_per_image_corrected": "mean positive labels an image as corrected, noisy images",
    "labels_per_image_verified": "mean positive labels an image, verified images",
}

Row = tuple[str, str, float, str]


Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]


def evaluate(run: Run) -> Tables:
    """Measure a run; returns the rows of the tables that :func:`store` writes, in its order.

    Raises
    ------
    RunError
        When training has not written its results yet.
    """
    needed = ("flips", "coefficients", "labels_corrected", "images", *PROBABILITIES.values())
    if run.info.get("source_run"):
        raise RunError(
            f"{run.path}: is a relabelled catalogue, without verified images to measure on; "
            "evaluate the run that relabelled it"
        )
    if not run.has(*needed):
        raise RunError(
            f"{run.path}: training has not finished; continue it with `selfml train --resume`"
        )
    split = run.table("images", ["split"])["split"].to_numpy()
    test, noisy = split == "clean_test", np.char.startswith(split.astype(str), "noisy")
    rows = [
        *_classification(run, test),
        *_flips(run, test, ""),
        *_flips(run, noisy, "_noisy"),
        *_explanations(run),
        *_variance(run, noisy),
        *_counts(run, split, noisy),
    ]
    reliability, realised, trust = trust_measures(run)
    frame = pd.DataFrame(rows, columns=["method", "metric", "value", "definition"])
    frame = pd.concat([frame, trust], ignore_index=True)
    metrics = frame[frame["value"].notna()].reset_index(drop=True)
    return metrics, _by_attribute(run, test), reliability, realised


def remeasure(run: Run, metrics: pd.DataFrame, attribute_metrics: pd.DataFrame) -> Tables:
    """Measure again what rests on the labels of the basis, and keep the rest as it was.

    For a run whose basis images were labelled after training (`selfml.derived`): equal to
    :func:`evaluate`, without measuring again what the classifier predicts and what variance is
    explained.

    Parameters
    ----------
    metrics, attribute_metrics : DataFrame
        Of the run before.
    """
    split = run.table("images", ["split"])["split"].to_numpy()
    test, noisy = split == "clean_test", np.char.startswith(split.astype(str), "noisy")
    rows = [
        *_flips(run, test, ""),
        *_flips(run, noisy, "_noisy"),
        *_explanations(run),
        *_counts(run, split, noisy),
    ]
    reliability, realised, trust = trust_measures(run)
    again = pd.concat(
        [pd.DataFrame(rows, columns=["method", "metric", "value", "definition"]), trust],
        ignore_index=True,
    )
    counted = pd.concat(_counted(run, test), ignore_index=True)
    own = attribute_metrics["metric"].str.startswith("flips_to_")
    by_attribute = pd.concat([attribute_metrics[~own], counted], ignore_index=True)
    return _replaced(metrics, again), by_attribute, reliability, realised


def _replaced(metrics: pd.DataFrame, again: pd.DataFrame) -> pd.DataFrame:
    """``metrics`` with the values of ``again``; what can no longer be measured is left out."""
    key = ["method", "metric"]
    values = again.set_index(key)[["value", "definition"]]
    names = pd.MultiIndex.from_frame(metrics[key])
    kept = metrics[~names.isin(values.index)]
    both = pd.concat([kept, values.reset_index()], ignore_index=True)
    return both[both["value"].notna()].reset_index(drop=True)


def store(
    run: Run,
    metrics: pd.DataFrame,
    attribute_metrics: pd.DataFrame,
    reliability: pd.DataFrame,
    realised: pd.DataFrame,
    coverage: pd.DataFrame | None = None,
    faithfulness: pd.DataFrame | None = None,
) -> None:
    """Write the tables into the run; repeating it writes the same.

    ``coverage`` and ``faithfulness`` are those of `selfml.coverage.measure_coverage` and
    `selfml.faithfulness_measures.measure_faithfulness`; without them, the run keeps its own.
    """
    writer = RunWriter(run.path)
    if coverage is not None:
        writer.write_table("coverage", coverage)
    writer.write_table("reliability", reliability)
    writer.write_table("realised", realised)
    writer.write_table("attribute_metrics", attribute_metrics)
    if faithfulness is not None:
        writer.write_table("faithfulness", faithfulness)
    writer.write_table("metrics", metrics)  # last: a reader takes its time for that of all


def _classification(run: Run, test: np.ndarray) -> Iterator[Row]:
    truth = run.array("labels_true")[test]
    definitions = {metric.name: metric.definition for metric in TABLE_1}
    for method, name in PROBABILITIES.items():
        for metric, value in table_1(run.array(name)[test], truth).items():
            yield method, metric, value, definitions[metric]


def _flips(run: Run, rows: np.ndarray, suffix: str) -> Iterator[Row]:
    truth, given = run.array("labels_true")[rows], run.array("labels_given")[rows]
    cells = decided_cells(run.path)
    if len(cells):  # what people decided was learned from
        ids = run.table("images", ["image_id"])["image_id"].to_numpy()
        truth = np.where(decided_labels(cells, ids, run.attributes)[rows] >= 0, -1, truth)
    if not ((truth >= 0) & (given >= 0)).any():
        return
    baseline = (run.array("probabilities_baseline_1")[rows] > 0.5).astype(np.int8)
    probable = corrected_probabilities(run)[rows]
    sources = (
        ("self_ml", "", run.array("labels_corrected")[rows]),
        ("self_ml", "_full", corrected_labels(given, probable - 0.5)),
        ("self_ml", "_strict", run.array("labels_strict")[rows]),
        ("baseline_1", "", np.where(given < 0, -1, baseline).astype(np.int8)),
    )
    for method, kind, corrected in sources:
        for name, value in flip_metrics(given, corrected, truth).items():
            yield method, f"{name}{kind}{suffix}", 100 * value, FLIP_METRICS[name]
    wrong = probability_given_wrong(given, probable)
    value = 100 * label_error_auprc(wrong, given, truth)
    yield "self_ml", f"label_error_auprc{suffix}", value, EXTRA["label_error_auprc"]


def _explanations(run: Run) -> Iterator[Row]:
    basis = run.table("basis")
    categories = run.table("images", ["category"])["category"].to_numpy()
    values = explanation_metrics(
        run.coefficients(),
        run.array("basis_labels"),
        own_image=basis["image_index"].to_numpy(),
        basis_categories=categories[basis["image_index"].to_numpy()],
    )
    for name, value in values.items():
        if name != "reconstruction_r2":
            scale = 1.0 if name in COUNTS else 100.0
            yield "self_ml", name, scale * value, EXPLANATION_METRICS[name]


def _variance(run: Run, noisy: np.ndarray) -> Iterator[Row]:
    c = run.coefficients()
    step = max(1, -(-int(noisy.sum()) // PCA_IMAGES))
    rows = np.flatnonzero(noisy)[::step]
    x = np.asarray(run.array("features")[rows], np.float32)
    total = float(np.square(x - x.mean(axis=0)).sum())
    if not total:
        return  # every image has the same features: there is no variance to explain
    rebuilt = c[rows] @ np.asarray(run.array("basis"), np.float64)
    hull = run.table("images", ["hull_distance"])["hull_distance"].to_numpy(np.float64)[rows]
    k = min(max(int(atoms_used(c).sum()) - 1, 1), *x.shape)
    yield "self_ml", "r2", 100 * (1 - float(np.square(x - rebuilt).sum()) / total), EXTRA["r2"]
    yield "self_ml", "r2_hull", 100 * (1 - float(np.square(hull).sum()) / total), EXTRA["r2_hull"]
    yield "self_ml", "r2_pca", 100 * pca_explained_variance(x, k), EXTRA["r2_pca"]


def _counts(run: Run, split: np.ndarray, noisy: np.ndarray) -> Iterator[Row]:
    flips = run.table("flips", ["strict_agrees"])
    if len(flips):
        agree = 100 * float(flips["strict_agrees"].mean())
        yield "self_ml", "flips_strict_agree", agree, EXTRA["flips_strict_agree"]
    clean = np.isin(split, ("clean_train", "clean_test"))
    for name, array, rows in (
        ("given", "labels_given", noisy),
        ("corrected", "labels_corrected", noisy),
        ("verified", "labels_true", clean),
    ):
        value = float((run.array(array)[rows] == 1).sum(axis=1).mean())
        yield "self_ml", f"labels_per_image_{name}", value, EXTRA[f"labels_per_image_{name}"]


def _by_attribute(run: Run, test: np.ndarray) -> pd.DataFrame:
    truth, names = run.array("labels_true")[test], run.attributes
    parts = []
    for method, array in PROBABILITIES.items():
        table = attribute_table(run.array(array)[test], truth, names)
        parts.append(_long(table, method, "ap", 100 * table["average_precision"], table["support"]))
    for metric, baseline in GAINS.items():
        gains, _ = gain_table(
            run.array(PROBABILITIES["self_ml"])[test],
            run.array(PROBABILITIES[baseline])[test],
            truth,
            names,
            n_resamples=BOOTSTRAP,
        )
        part = _long(gains, "self_ml", metric, 100 * gains["gain"], gains["support"])
        parts.append(part.assign(low=100 * gains["gain_low"], high=100 * gains["gain_high"]))
    parts += _counted(run, test)
    whole = pd.concat([part for part in parts if len(part)], ignore_index=True)
    return whole[whole["value"].notna()].reset_index(drop=True)


def _counted(run: Run, test: np.ndarray) -> list[pd.DataFrame]:
    everything = np.arange(len(test))
    return [*_flip_counts(run, everything, ""), *_flip_counts(run, everything[test], "_clean_test")]


def _flip_counts(run: Run, rows: np.ndarray, suffix: str) -> Iterator[pd.DataFrame]:
    arrays = [run.array(f"labels_{name}") for name in ("given", "corrected", "true")]
    table, support = None, 0
    for at in range(0, max(len(rows), 1), CHUNK):  # never all labels of a large run in memory
        given, corrected, truth = (array[rows[at : at + CHUNK]] for array in arrays)
        part = flips_by_attribute(given, corrected, truth, run.attributes)
        table = part if table is None else _added(table, part)
        support = support + (given >= 0).sum(axis=0)
    support = pd.Series(support)
    for direction in ("to_1", "to_0"):
        for kind in ("", "_judged", "_correct"):
            name = f"flips_{direction}{kind}{suffix}"
            yield _long(table, "self_ml", name, table[f"{direction}{kind}"], support)


def _added(table: pd.DataFrame, part: pd.DataFrame) -> pd.DataFrame:
    """Counts of two parts of the images, together."""
    counts = [name for name in table if name.startswith("to_")]
    return table.assign(**{name: table[name] + part[name] for name in counts})


def _long(
    table: pd.DataFrame, method: str, metric: str, value: pd.Series, support: pd.Series
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "attribute_index": table["attribute_index"].astype(np.int16),
            "method": method,
            "metric": metric,
            "value": value.astype(float),
            "low": np.nan,
            "high": np.nan,
            "support": support.astype(np.int32),
        }
    )
