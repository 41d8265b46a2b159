"""Runs of one label, for tests of evidence and receipts: a case worked by hand, and any case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from selfml import flips
from selfml.flips import EvidenceModel
from selfml.run import Run, RunWriter
from selfml.run_format import SCHEMAS

CATEGORIES = ("jackets", "dresses")


def write_run(
    path: Path,
    model: EvidenceModel,
    coefficients: np.ndarray,
    basis_labels: np.ndarray,
    labels_given: np.ndarray,
    classifier: np.ndarray,
    residual: np.ndarray,
    categories: list[str | None],
) -> Run:
    """The files that receipts and faithfulness read, all from dense arrays."""
    n, k = coefficients.shape
    writer = RunWriter(path)
    writer.update(n_images=n, n_atoms=k, n_attributes=labels_given.shape[1])
    i, b = np.nonzero(coefficients)
    writer.write_table(
        "coefficients",
        pd.DataFrame({"image_index": i, "basis_index": b, "coefficient": coefficients[i, b]}),
    )
    writer.write_table(
        "basis",
        blank("basis", k).assign(
            basis_index=np.arange(k),
            image_index=100 + np.arange(k),
            image_id=[f"b{j}.jpg" for j in range(k)],
        ),
    )
    writer.write_table(
        "images", blank("images", n).assign(image_index=np.arange(n), category=categories)
    )
    names = [f"attribute {j}" for j in range(labels_given.shape[1])]
    writer.write_table("attributes", blank("attributes", len(names)).assign(name=names))
    for name, array in {
        "basis_labels": basis_labels,
        "labels_given": labels_given,
        "terms_classifier": classifier,
        "terms_residual": residual,
    }.items():
        writer.write_array(name, array)
    writer.write_text("evidence.json", model.to_json())
    run = Run(path)
    terms, scores = recompute(run, model, categories)
    truth = np.full_like(labels_given, -1)
    for name, score in (("corrected", terms.score), ("strict", terms.strict_score)):
        writer.write_array(f"labels_{name}", flips.corrected_labels(labels_given, score))
    frame = flips.flips_frame(labels_given, terms, scores, truth)
    writer.write_table("flips", frame)
    return run


def blank(name: str, n_rows: int) -> pd.DataFrame:
    """A table of empty strings and zeros."""
    return pd.DataFrame(
        {f.name: pd.Series(["" if str(f.type) == "string" else 0] * n_rows) for f in SCHEMAS[name]}
    )


def recompute(
    run: Run, model: EvidenceModel, categories: list[str | None]
) -> tuple[flips.Evidence, np.ndarray]:
    """All terms at once, from the run's own arrays: the other way to the same numbers."""
    values = flips.basis_values(run.array("basis_labels"), model.prior)
    scores = flips.label_scores(run.coefficients(), values)
    rows = model.category_index(categories, len(categories))
    terms = flips.evidence(
        model,
        scores,
        run.array("labels_given"),
        rows,
        run.array("terms_classifier"),
        run.array("terms_residual"),
    )
    return terms, scores


def decide_strictly(run: Run, strict_category: np.ndarray | None = None) -> None:
    """Make a whole run one in which strict evidence decides, with such a term of the category."""
    writer = RunWriter(run.path)
    model = replace(flips.read_evidence_model(run), strict_category=strict_category)
    writer.write_text("evidence.json", model.to_json())
    writer.write_text("config.toml", '[flips]\nmode = "strict"\n')
    categories = run.table("images")["category"].tolist()
    terms, scores = recompute(run, model, categories)
    given = np.asarray(run.array("labels_given"))
    corrected = flips.corrected_labels(given, terms.strict_score)
    writer.write_array("labels_corrected", corrected)
    writer.write_array("labels_strict", corrected)
    truth = np.asarray(run.array("labels_true"))
    writer.write_table("flips", flips.flips_frame(given, terms, scores, truth, mode="strict"))


HAND_MODEL = EvidenceModel(
    prior=np.array([0.5]),
    smoothing=0.25,
    bias=np.array([-0.5]),
    basis_weight=np.array([2.0]),
    strict_bias=np.array([0.25]),
    strict_basis_weight=np.array([1.0]),
    llr=np.array([[[-1.0, 2.0]], [[-3.0, 4.0]]]),
    categories=("jackets",),
)


@st.composite
def models(draw: st.DrawFn, n_attributes: int) -> EvidenceModel:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spread = draw(st.sampled_from([0.1, 1.0, 20.0]))
    bias, weight, strict_bias, strict_weight = spread * rng.standard_normal((4, n_attributes))
    return EvidenceModel(
        prior=rng.uniform(0.001, 0.999, n_attributes),
        smoothing=draw(st.floats(1e-3, 1.0)),
        bias=bias,
        basis_weight=weight,
        strict_bias=strict_bias,
        strict_basis_weight=strict_weight,
        llr=spread * rng.standard_normal((1 + len(CATEGORIES), n_attributes, 2)),
        categories=CATEGORIES,
    )


@st.composite
def run_parts(draw: st.DrawFn) -> tuple:
    n, k, n_attributes = (draw(st.integers(1, high)) for high in (6, 8, 4))
    model = draw(models(n_attributes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    raw = rng.random((n, k)) * (rng.random((n, k)) < draw(st.floats(0.1, 1.0)))
    raw[np.arange(n), rng.integers(0, k, n)] += 0.1  # each image leans on one at least
    coefficients = (raw / raw.sum(1, keepdims=True)).astype(np.float32)
    basis_labels = rng.integers(-1, 2, (k, n_attributes))
    labels_given = rng.integers(-1, 2, (n, n_attributes))
    others = 5 * rng.standard_normal((2, n, n_attributes))
    categories = [draw(st.sampled_from([*CATEGORIES, "hats", None])) for _ in range(n)]
    return (model, coefficients, basis_labels, labels_given, *others, categories)
