"""Faithfulness as curves, tables and sentences; every number is one of the run's table."""

from __future__ import annotations

import numpy as np
import pandas as pd

from dashboard.frames.flips import with_names
from selfml.faithfulness import ALL, EXPLANATIONS, MEASURES
from selfml.run import Run

CURVES = {
    "deletion": ("coefficients", "largest", "random", "nearest_weighted", "nearest"),
    "sufficiency": ("coefficients", "largest", "random", "closest"),
}
STABILITY = {
    "stability_flips": "Flips that stay",
    "stability_top": "Same main basis image",
    "stability_jaccard": "Basis images in common",
    "stability_l1": "Change of the coefficients",
}


def table(run: Run) -> pd.DataFrame:
    """The stored rows; none where the run has not been measured."""
    if not run.has("faithfulness"):
        return pd.DataFrame(
            columns=["measure", "evidence", "explanation", "k", "attribute_index", "value", "n"]
        )
    return run.table("faithfulness")


def value(rows: pd.DataFrame, measure: str, evidence: str, explanation: str, k: int = 0) -> float:
    """One value over all attributes; NaN where it was not measured."""
    found = rows[
        (rows["measure"] == measure)
        & (rows["evidence"] == evidence)
        & (rows["explanation"] == explanation)
        & (rows["k"] == k)
        & (rows["attribute_index"] < 0)
    ]
    return float(found["value"].iloc[0]) if len(found) else float("nan")


def count(rows: pd.DataFrame, measure: str, evidence: str) -> int:
    """How many flips or images of a measure were counted, by the run's own explanations."""
    own = rows[rows["explanation"].isin(("coefficients", "changed"))]
    found = own[(own["measure"] == measure) & (own["evidence"] == evidence)]
    return int(found["n"].iloc[0]) if len(found) else 0


def curves(rows: pd.DataFrame, measure: str, evidence: str) -> pd.DataFrame:
    """A measure by the number of images, of each explanation of ``CURVES`` that was measured.

    Returns
    -------
    DataFrame
        explanation, k, value, n; ``k`` ascending with ``ALL`` last. Deletion of no image, which
        reverts nothing, comes first.
    """
    part = rows[(rows["measure"] == measure) & (rows["evidence"] == evidence)]
    part = part[["explanation", "k", "value", "n"]]
    if measure.startswith("deletion"):
        none = part.drop_duplicates("explanation").assign(k=0, value=0.0)
        part = pd.concat([none, part], ignore_index=True)
    shown = CURVES.get(measure.partition("_")[0], ())
    order = {name: n for n, name in enumerate(shown)}
    part = part[part["explanation"].isin(order)].assign(
        place=lambda t: t["explanation"].map(order),
        last=lambda t: np.where(t["k"] == ALL, np.iinfo(np.int16).max, t["k"]),
    )
    part = part.sort_values(["place", "last"], ignore_index=True)
    return part[["explanation", "k", "value", "n"]]


def agreement(run: Run) -> pd.DataFrame:
    """By attribute: of the flips of all evidence, how many strict evidence makes too.

    Returns
    -------
    DataFrame
        attribute_index, attribute, agree (%), n_flips; least agreement first, attributes without
        flips left out.
    """
    rows = table(run)
    own = rows[
        (rows["measure"] == "agreement")
        & (rows["evidence"] == "full")
        & (rows["attribute_index"] >= 0)
    ]
    frame = own.rename(columns={"value": "agree", "n": "n_flips"})
    frame = with_names(run, frame[["attribute_index", "agree", "n_flips"]])
    frame = frame.sort_values(["agree", "attribute_index"], ignore_index=True)
    return frame[["attribute_index", "attribute", "agree", "n_flips"]]


def stability(rows: pd.DataFrame) -> pd.DataFrame:
    """measure, evidence, value, n of what was measured on slightly changed images."""
    part = rows[rows["measure"].isin(STABILITY)]
    order = list(STABILITY)
    part = part.sort_values("measure", key=lambda m: m.map(order.index), kind="stable")
    return part[["measure", "evidence", "value", "n"]].reset_index(drop=True)


def export_frame(run: Run) -> pd.DataFrame:
    """The whole table with names, units and definitions, for a download."""
    rows = table(run)
    names = np.array([*run.attributes, "all"], object)  # -1 is the last
    units = [MEASURES[m][0] if m in MEASURES else "" for m in rows["measure"]]
    texts = [MEASURES[m][1] if m in MEASURES else "" for m in rows["measure"]]
    said = [EXPLANATIONS.get(name, "") for name in rows["explanation"]]
    return rows.assign(
        k=["all" if k == ALL else str(k) if k else "" for k in rows["k"]],
        attribute=names[rows["attribute_index"].to_numpy(np.int64)],
        unit=units,
        definition=texts,
        explanation_is=said,
    ).drop(columns="attribute_index")


def _percent(number: float) -> str:
    return f"{number:.1f}\u00a0%"


def _number(value: float) -> str:
    return f"{round(value, 2) + 0.0:.2f}"  # no minus before a zero


def deletion_sentence(rows: pd.DataFrame, evidence: str, mode: str = "full") -> str:
    """What taking out the top image does, against a random one; "" where nothing was measured.

    ``mode`` is the evidence that decides: the flips of the other one are those it makes too.
    """
    n = count(rows, "deletion_reverted", evidence)
    if not n:
        return ""
    top, chance = (
        value(rows, "deletion_reverted", evidence, name, 1) for name in ("coefficients", "random")
    )
    drop, drop_chance = (
        value(rows, "deletion_drop", evidence, name, 1) for name in ("coefficients", "random")
    )
    bare = value(rows, "deletion_reverted", evidence, "coefficients", ALL)
    name = {"full": "all evidence", "strict": "strict evidence (no classifier)"}[evidence]
    what = f"Of the {n:,} flips, by {name}"
    if evidence != mode:
        what = f"Of the {n:,} flips that {name} makes too, by it"
    return (
        f"{what}, {_percent(top)} revert once the basis image that contributes most is taken out "
        f"of their explanation, against {_percent(chance)} for a random image of it (mean drop in "
        f"log-odds {_number(drop)} against {_number(drop_chance)}); without any basis image "
        f"{_percent(bare)} revert."
    )


def nearest_sentence(rows: pd.DataFrame, mode: str = "full") -> str:
    """What the nearest basis images would do in the explanation's place; "" if not measured."""
    stand = value(rows, "sufficiency_stands", mode, "nearest_weighted", ALL)
    if np.isnan(stand):
        return ""
    reverted = value(rows, "deletion_reverted", mode, "nearest_weighted", 1)
    return (
        f"Were the explanation as many of the nearest basis images with the same weights, "
        f"{_percent(stand)} of the flips would stand, and of these {_percent(reverted)} would "
        "revert without the top one."
    )


def carries(rows: pd.DataFrame, evidence: str) -> bool:
    """Whether the top image matters more than a random one, for flips and for log-odds."""
    return all(
        value(rows, measure, evidence, "coefficients", 1)
        > value(rows, measure, evidence, "random", 1)
        for measure in ("deletion_reverted", "deletion_drop")
    )


def verdict(rows: pd.DataFrame, mode: str = "full") -> str:
    """What the deletions say of the explanations; ``mode`` is the evidence that decides."""
    shown = [kind for kind in ("full", "strict") if count(rows, "deletion_reverted", kind)]
    if not shown:
        return ""
    if not all(carries(rows, kind) for kind in shown):
        return (
            "Taking out the top basis image matters no more than taking out a random one: "
            "the images shown are not why labels are flipped here."
        )
    kind = mode if mode in shown else shown[0]
    rest = 100 - value(rows, "deletion_reverted", kind, "coefficients", ALL)
    return (
        "The basis images shown carry flips: the top ones matter more than random ones. Still, "
        f"{_percent(rest)} of the flips would stand without any of them, on other evidence; "
        "each of these says so first."
    )
