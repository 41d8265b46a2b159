"""A run's measures as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from rich.table import Table
from rich.text import Text

from selfml.faithfulness import ALL, DELETED, EXPLANATIONS, MEASURES
from selfml.flips import deciding_mode
from selfml.metrics import HEADLINE, TABLE_1
from selfml.run import Run
from selfml.run_format import METHODS
from selfml.trust import SOURCES, guarantee
from selfml.trust_measures import N_RESAMPLES

TITLES = {"baseline_0": "Baseline 0", "baseline_1": "Baseline 1", "self_ml": "SELF-ML"}
DEFINITIONS = (
    "k* = number of true labels of an image; the columns @k* count the k* highest scores that "
    "are also >= .5; AP_all is micro and MAP macro average precision; blank cells are left out."
)
FLIPS = (
    ("label accuracy, as given", "label_accuracy_given"),
    ("label accuracy, corrected", "label_accuracy_corrected"),
    ("flip precision", "flip_precision"),
    ("flip recall", "flip_recall"),
    ("flip F1", "flip_f1"),
    ("0 -> 1 precision", "to_1_precision"),
    ("0 -> 1 recall", "to_1_recall"),
    ("1 -> 0 precision", "to_0_precision"),
    ("1 -> 0 recall", "to_0_recall"),
    ("residual noise", "residual_noise_corrected"),
)
TRUST = (
    ("calibration error of confidence", "confidence_ece"),
    ("the same before calibration", "confidence_ece_uncalibrated"),
    ("sure enough to be accepted", "auto_accept_share"),
    ("of these right", "auto_accept_precision"),
    (f"{N_RESAMPLES} other sets: mean right", "auto_accept_resampled_mean"),
    (f"{N_RESAMPLES} other sets: lowest", "auto_accept_resampled_lowest"),
    (f"{N_RESAMPLES} other sets: promise kept", "auto_accept_resampled_kept"),
)
TRUST_COLUMNS = (("", "all flips"), ("_to_1", "to 1"), ("_to_0", "to 0"))
LEARNED = (
    *("atoms_used", "atoms_95", "nonzeros_per_image", "self_coefficient"),
    *("categories_covered", "labels_covered", "r2", "r2_hull", "r2_pca", "flips_strict_agree"),
)


def run_tables(run: Run) -> Iterator[Table]:
    """Table 1, flips, which can be trusted, what the basis learned, the attributes, faithfulness.

    The last where it was measured.
    """
    metrics = run.table("metrics")
    values = metrics.set_index(["method", "metric"])["value"]
    yield _table_1(values, run)
    yield _flips(values, deciding_mode(run))
    yield _trust(values, run)
    yield _learned(values, metrics)
    yield _attributes(run)
    if run.has("faithfulness"):
        rows = run.table("faithfulness")
        rows = rows[rows["attribute_index"] < 0]
        yield _by_images(rows)
        yield _without_images(rows)


def _cell(values: pd.Series, *key: str) -> str:
    return f"{values[key]:.2f}" if key in values.index else "-"


def _table_1(values: pd.Series, run: Run) -> Table:
    n_test, n_clean = run.info.get("n_clean_test"), run.info.get("n_clean_train")
    titles = {metric.name: metric.title for metric in TABLE_1}
    table = Table(
        title=f"Table 1: {n_test} verified test images, {n_clean} clean images to learn from (%)",
        caption=DEFINITIONS,
    )
    table.add_column("method")
    for name in HEADLINE:
        table.add_column(titles[name], justify="right")
    for method in METHODS:
        table.add_row(TITLES[method], *(_cell(values, method, name) for name in HEADLINE))
    return table


def _flips(values: pd.Series, mode: str) -> Table:
    table = Table(
        title="Labels and flips (%)",
        caption="strict: the basis images and the given label alone, in a known category; full: "
        "all evidence; SELF-ML: that which decides; noisy: images of N whose truth is known",
    )
    table.add_column("measure")
    other = "strict" if mode == "full" else "full"
    columns = (
        ("Baseline 1 at .5", "baseline_1", ""),
        (f"SELF-ML ({mode})", "self_ml", ""),
        (other, "self_ml", f"_{other}"),
        ("Baseline 1, noisy", "baseline_1", "_noisy"),
        (f"SELF-ML ({mode}), noisy", "self_ml", "_noisy"),
        (f"{other}, noisy", "self_ml", f"_{other}_noisy"),
    )
    for title, _, _ in columns:
        table.add_column(title, justify="right")
    for title, name in FLIPS:
        cells = (_cell(values, method, name + suffix) for _, method, suffix in columns)
        table.add_row(title, *cells)
    return table


def _trust(values: pd.Series, run: Run) -> Table:
    """Calibration of confidence, and what is accepted without a look, by direction."""
    trust = run.table("trust") if run.has("trust") else None
    table = Table(title="Trust: confidence and accepted flips of test images (%)")
    table.add_column("measure")
    for _, title in TRUST_COLUMNS:
        table.add_column(title, justify="right")
    for title, name in TRUST:
        table.add_row(title, *(_cell(values, "self_ml", name + end) for end, _ in TRUST_COLUMNS))
    if trust is None:
        table.caption = "This run is of an older program: nothing is accepted without a look."
        return table
    first = trust.iloc[0]
    lines = [f"calibrated on {first['n_images']} images ({SOURCES[first['source']]})"]
    lines += [
        f"{direction.replace('_', ' ')}: {guarantee(row)}"
        for direction, row in trust.set_index("direction").iterrows()
    ]
    table.caption = "; ".join(lines)
    return table


def _learned(values: pd.Series, metrics: pd.DataFrame) -> Table:
    definitions = metrics.drop_duplicates("metric").set_index("metric")["definition"]
    table = Table(title="What the basis and the coefficients learned")
    table.add_column("measure")
    table.add_column("value", justify="right")
    table.add_column("definition")
    for name in LEARNED:
        if name in definitions.index:
            table.add_row(name, _cell(values, "self_ml", name), definitions[name])
    return table


def _by_images(rows: pd.DataFrame) -> Table:
    """Deletion and sufficiency: a row a measure, evidence and explanation, a column a k."""
    table = Table(
        title="Faithfulness of the explanations: images taken out (deletion) or kept alone",
        caption="; ".join(f"{k}: {v}" for k, v in EXPLANATIONS.items() if k != "changed"),
    )
    for name in ("measure", "evidence", "explanation"):
        table.add_column(name)
    for name in (*map(str, DELETED), "all", "flips"):
        table.add_column(name, justify="right")
    part = rows[rows["k"] != 0]
    keys = ["measure", "evidence", "explanation"]
    for key, own in part.groupby(keys, sort=False):
        values = own.set_index("k")["value"]
        cells = (_number(values.get(k), 2) for k in (*DELETED, ALL))
        unit = f" ({MEASURES[key[0]][0]})"
        table.add_row(key[0] + unit, *key[1:], *cells, str(own["n"].iloc[0]))
    return table


def _without_images(rows: pd.DataFrame) -> Table:
    """Agreement and stability: what has no number of images."""
    table = Table(title="Agreement of the evidence, and stability on slightly changed images")
    for name in ("measure", "evidence", "value", "n", "definition"):
        table.add_column(name, justify="right" if name in ("value", "n") else "left")
    for row in rows[rows["k"] == 0].itertuples():
        unit, definition = MEASURES[row.measure]
        name = f"{row.measure} (%)" if unit else row.measure
        table.add_row(name, row.evidence, f"{row.value:.2f}", str(row.n), definition)
    return table


def _attributes(run: Run) -> Table:
    """Every attribute, most frequent first; those that cannot be measured last, with "-"."""
    frame, names = run.table("attribute_metrics"), run.attributes
    wide = frame.pivot_table(index="attribute_index", columns=["method", "metric"], values="value")
    wide = wide.reindex(range(len(names)))
    gains = frame[frame["metric"] == "ap_gain"].set_index("attribute_index")
    support = frame[(frame["metric"] == "ap") & (frame["method"] == "self_ml")]
    support = support.set_index("attribute_index")["support"].reindex(range(len(names)))
    table = Table(title="Attributes by frequency: average precision and flips")
    for name in ("attribute", "support", "Baseline 1", "SELF-ML", "gain", "95 % interval"):
        table.add_column(name, justify="left" if name == "attribute" else "right")
    table.add_column("flips to 1", justify="right")
    table.add_column("flips to 0", justify="right")
    for j, count in support.sort_values(ascending=False, kind="stable").items():
        interval = "-"
        if j in gains.index and pd.notna(gains.loc[j, "low"]):
            interval = f"{gains.loc[j, 'low']:+.1f} .. {gains.loc[j, 'high']:+.1f}"
        table.add_row(
            Text(names[j]),  # a name is no markup
            _number(count, 0),
            _number(wide.loc[j].get(("baseline_1", "ap")), 1),
            _number(wide.loc[j].get(("self_ml", "ap")), 1),
            _number(wide.loc[j].get(("self_ml", "ap_gain")), 1),
            interval,
            _number(wide.loc[j].get(("self_ml", "flips_to_1")), 0),
            _number(wide.loc[j].get(("self_ml", "flips_to_0")), 0),
        )
    return table


def _number(value: float | None, digits: int) -> str:
    if pd.isna(value):
        return "-"
    return f"{round(value, digits) + 0.0:.{digits}f}"  # no minus before a zero
