"""The change list: each flip with before and after, its evidence, and who decided it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from selfml.audited import DECIDED_COLUMNS
from selfml.corrections import neutralise
from selfml.flips import STRICT_TERMS, TERMS, EvidenceModel, deciding_mode, read_evidence_model
from selfml.reasons import REASONS, flip_reasons
from selfml.run import Run

BY_A_PERSON = "a person's decision"  # of a flip that this run does not make


def flip_rows(run: Run, flips: pd.DataFrame) -> Iterable[Sequence[object]]:
    """Header and one row a flip: what was changed, how sure, and why.

    ``reason`` says where the basis images listed are not why (:mod:`selfml.reasons`). The terms are
    those of the evidence that decides in this run, and add up to ``score``.
    """
    model, mode = read_evidence_model(run), deciding_mode(run)
    deciding = deciding_columns(flips, model, mode)
    decided = [name for name in DECIDED_COLUMNS if name in flips]
    numbers = ["confidence", "label_score", *deciding]
    first = ["file_name", "attribute", "given", "corrected", "reason"]
    yield [*first, *numbers, "basis_images", *decided]
    ids = run.table("images", ["image_id"])["image_id"].to_numpy()
    shown = run.table("basis", ["image_id"])["image_id"].to_numpy()
    labels, c = run.array("basis_labels"), run.coefficients()
    words = {1: "yes", 0: "no", -1: "unknown"}
    why = flip_reasons(flips, model, mode)
    flips = flips.assign(**deciding)
    for flip, name in zip(flips.itertuples(index=False), why, strict=True):
        i, j = flip.image_index, flip.attribute_index
        row = c.indices[c.indptr[i] : c.indptr[i + 1]], c.data[c.indptr[i] : c.indptr[i + 1]]
        atoms = sorted(zip(*row, strict=True), key=lambda pair: -pair[1])
        basis = "; ".join(f"{shown[k]} c={v:.4f} {words[int(labels[k, j])]}" for k, v in atoms)
        values = [getattr(flip, name) for name in numbers]
        texts = [neutralise(ids[i]), neutralise(run.attributes[j])]
        who = [neutralise(_number(getattr(flip, name))) for name in decided]
        reason = BY_A_PERSON if pd.isna(flip.score) else REASONS[name]
        made = [flip.given, flip.corrected, reason]
        yield [*texts, *made, *map(_number, values), neutralise(basis), *who]


def deciding_columns(flips: pd.DataFrame, model: EvidenceModel, mode: str) -> pd.DataFrame:
    """What decided each flip: ``term_*``, their sum ``score``, and what the other evidence says.

    The other's are ``strict_score`` and ``strict_agrees`` where full evidence decides, and
    ``full_score`` and ``full_agrees`` where strict evidence does. ``term_category`` is there where
    strict evidence decides and has such a term.

    Parameters
    ----------
    flips : DataFrame
        Columns of ``flips.parquet``; a row without numbers gets none.
    """
    if mode == "full":
        terms = {f"term_{name}": flips[f"term_{name}"] for name in TERMS}
        ends = {name: flips[name] for name in ("score", "strict_score", "strict_agrees")}
        return pd.DataFrame({**terms, **ends}, index=flips.index)
    bias = pd.Series(model.strict_bias[flips["attribute_index"]], flips.index)
    found = {
        "bias": bias.where(flips["strict_bias"].notna()),
        "category": flips["strict_bias"] - bias,
        "basis": flips["strict_basis"],
        "given": flips["term_given"],
    }
    left_out = ("category",) if model.strict_category is None else ()
    terms = {f"term_{name}": found[name] for name in STRICT_TERMS if name not in left_out}
    ends = {"score": flips["strict_score"], "full_score": flips["score"]}
    ends["full_agrees"] = flips["strict_agrees"]
    return pd.DataFrame({**terms, **ends}, index=flips.index)


def _number(value: object) -> object:
    if pd.isna(value):
        return ""
    if isinstance(value, pd.Timestamp):
        return value.isoformat(timespec="seconds")
    return f"{value:.6f}" if isinstance(value, float | np.floating) else value
