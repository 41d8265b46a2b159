"""Label scores and flips: the one definition of why a label is flipped.

Notation (axes: N images, K basis atoms, L attributes). ``c`` are the coefficients, rows on
the simplex; ``Y_B`` the basis labels, an unknown one counted as the attribute's prior;
``s = c Y_B`` the label scores in 0..1. The log-odds that attribute j of image i is present
(the form is our choice; the inputs are those of the paper, section 2):

    score_ij = bias_j + w_j logit(s'_ij) + LLR_j(given_ij) + classifier_ij + residual_ij
    s'_ij    = (s_ij + smoothing * prior_j) / (1 + smoothing)

*full* evidence uses all five terms. *strict* evidence has its own bias and weight and only
the first three: there the basis images and the shop's own label are the whole reason, with the
category where strict evidence has a bias for each (``strict_category``).
A label is flipped where the sign of the score contradicts it; unknown labels are not flips.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from selfml.categories import category_places
from selfml.run import Run, damaged

TERMS = ("bias", "basis", "given", "classifier", "residual")
STRICT_TERMS = ("bias", "category", "basis", "given")  # category: only where there is a bias of it


def logit(p: np.ndarray) -> np.ndarray:
    """Log-odds of probabilities strictly between 0 and 1."""
    p = np.asarray(p, np.float64)
    return np.log(p) - np.log1p(-p)


def sigmoid(x: np.ndarray) -> np.ndarray:
    """Probabilities of log-odds, without overflow."""
    x = np.asarray(x, np.float64)
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, e) / (1.0 + e)


@dataclass(frozen=True)
class EvidenceModel:
    """What turns label scores and given labels into log-odds (stored as ``evidence.json``).

    Attributes
    ----------
    prior : (L,) float
        Prevalence of each attribute on the clean training images, within (0, 1).
    smoothing : float
        Weight of the prior in the label score; keeps the logit finite.
    bias, basis_weight : (L,) float
        Of full evidence.
    strict_bias, strict_basis_weight : (L,) float
        Of strict evidence.
    llr : (1 + number of categories, L, 2) float
        Log-likelihood ratio of a given 0 and a given 1; row 0 is for any other category.
    categories : tuple of str
        Names of rows 1, 2, ... of ``llr``.
    strict_category : (1 + number of categories, L) float or None
        What is added to ``strict_bias``, rows as in ``llr``.
    """

    prior: np.ndarray
    smoothing: float
    bias: np.ndarray
    basis_weight: np.ndarray
    strict_bias: np.ndarray
    strict_basis_weight: np.ndarray
    llr: np.ndarray
    categories: tuple[str, ...] = ()
    strict_category: np.ndarray | None = None

    def to_json(self) -> str:
        """As text; :meth:`from_json` gives back equal numbers."""
        fields = {k: np.asarray(v).tolist() for k, v in vars(self).items() if v is not None}
        return json.dumps(fields)

    @classmethod
    def from_json(cls, text: str) -> EvidenceModel:
        """Read what :meth:`to_json` wrote."""
        fields = json.loads(text)
        categories, smoothing = tuple(fields.pop("categories")), fields.pop("smoothing")
        arrays = {k: np.asarray(v, np.float64) for k, v in fields.items()}
        return cls(categories=categories, smoothing=smoothing, **arrays)

    def strict_bias_of(self, category_index: np.ndarray | int) -> np.ndarray:
        """Bias of strict evidence for rows of ``llr``, (..., L)."""
        if self.strict_category is None:
            return np.broadcast_to(self.strict_bias, (*np.shape(category_index), len(self.prior)))
        return self.strict_bias + self.strict_category[category_index]

    def category_index(self, categories: Sequence[str | None] | None, n_images: int) -> np.ndarray:
        """Row of ``llr`` for each image, (N,) int; 0 where the category is unknown."""
        return category_places(categories, self.categories, n_images)


@dataclass(frozen=True)
class Evidence:
    """Log-odds terms of N images and L attributes, each (N, L) or broadcastable to it."""

    bias: np.ndarray
    basis: np.ndarray
    given: np.ndarray
    classifier: np.ndarray
    residual: np.ndarray
    strict_bias: np.ndarray
    strict_basis: np.ndarray

    @property
    def score(self) -> np.ndarray:
        """Full evidence, (N, L) float64."""
        return self.bias + self.basis + self.given + self.classifier + self.residual

    @property
    def strict_score(self) -> np.ndarray:
        """Strict evidence, (N, L) float64."""
        return self.strict_bias + self.strict_basis + self.given


def basis_values(basis_labels: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """Y_B with every unknown label replaced by the attribute's prior, (K, L) float64."""
    labels = np.asarray(basis_labels)
    return np.where(labels < 0, np.asarray(prior, np.float64), labels.astype(np.float64))


def label_scores(coefficients: sparse.csr_matrix, values: np.ndarray) -> np.ndarray:
    """``s = c Y_B``, (N, L) float64, from (N, K) sparse coefficients (paper section 2)."""
    return np.asarray(coefficients.astype(np.float64) @ np.asarray(values, np.float64))


def basis_logit(scores: np.ndarray, prior: np.ndarray, smoothing: float) -> np.ndarray:
    """Log-odds of the smoothed label scores, (N, L)."""
    return logit((np.clip(scores, 0.0, 1.0) + smoothing * prior) / (1.0 + smoothing))


def given_term(
    model: EvidenceModel, given: np.ndarray, category_index: np.ndarray | int
) -> np.ndarray:
    """What the shop's own labels are worth, (N, L); 0 where a label is unknown."""
    given = np.asarray(given)
    table = model.llr[category_index]
    return np.where(given < 0, 0.0, np.where(given == 1, table[..., 1], table[..., 0]))


def evidence(
    model: EvidenceModel,
    scores: np.ndarray,
    given: np.ndarray,
    category_index: np.ndarray,
    classifier: np.ndarray,
    residual: np.ndarray,
) -> Evidence:
    """All log-odds terms.

    Parameters
    ----------
    scores : (N, L) float in 0..1
        Label scores ``c Y_B``.
    given : (N, L) int8
        Labels as the shop gave them, -1 unknown.
    category_index : (N,) int
        Rows of ``model.llr``.
    classifier, residual : (N, L) float
        The last two terms, in log-odds.
    """
    basis = basis_logit(scores, model.prior, model.smoothing)
    return Evidence(
        bias=np.broadcast_to(model.bias, basis.shape),
        basis=model.basis_weight * basis,
        given=given_term(model, given, category_index),
        classifier=np.asarray(classifier, np.float64),
        residual=np.asarray(residual, np.float64),
        strict_bias=model.strict_bias_of(category_index),
        strict_basis=model.strict_basis_weight * basis,
    )


def corrected_labels(given: np.ndarray, score: np.ndarray) -> np.ndarray:
    """The labels that the score says, int8; an unknown given label stays unknown."""
    return np.where(np.asarray(given) < 0, -1, score > 0).astype(np.int8)


def flips_frame(
    given: np.ndarray,
    terms: Evidence,
    scores: np.ndarray,
    truth: np.ndarray,
    *,
    mode: str = "full",
) -> pd.DataFrame:
    """Every flip with its terms: the columns of ``flips.parquet``, ``auto_accept`` false.

    Parameters
    ----------
    given, truth : (N, L) int8
        -1 unknown.
    mode : {"full", "strict"}
        Which evidence decides.
    """
    if mode not in ("full", "strict"):
        raise ValueError(f"mode: must be 'full' or 'strict', got {mode!r}")
    score, strict = terms.score, terms.strict_score
    deciding = score if mode == "full" else strict
    corrected = corrected_labels(given, deciding)
    i, j = np.nonzero((given >= 0) & (corrected != given))
    return pd.DataFrame(
        {
            "image_index": i.astype(np.int32),
            "attribute_index": j.astype(np.int16),
            "given": given[i, j],
            "corrected": corrected[i, j],
            "score": score[i, j],
            "term_bias": terms.bias[i, j],
            "term_basis": terms.basis[i, j],
            "term_given": terms.given[i, j],
            "term_classifier": terms.classifier[i, j],
            "term_residual": terms.residual[i, j],
            "strict_score": strict[i, j],
            "strict_bias": terms.strict_bias[i, j],
            "strict_basis": terms.strict_basis[i, j],
            "strict_agrees": (score[i, j] > 0) == (strict[i, j] > 0),
            "label_score": scores[i, j],
            "confidence": sigmoid(np.abs(deciding[i, j])).astype(np.float32),
            "auto_accept": np.zeros(len(i), bool),
            "truth": truth[i, j],
        }
    )


def read_evidence_model(run: Run) -> EvidenceModel:
    """The evidence model of a run.

    Raises
    ------
    RunError
        When the file is missing or damaged.
    """
    text = run.text("evidence.json")
    try:
        return EvidenceModel.from_json(text)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise damaged(run.path / "evidence.json", error) from error


def deciding_mode(run: Run) -> str:
    """``full`` or ``strict``: the evidence that makes the flips of a run (``flips.mode``).

    Read from ``config.toml`` without the checks of :mod:`selfml.config`, so that a run of an
    older release answers too; ``full`` where it does not say.
    """
    if not (run.path / "config.toml").exists():
        return "full"
    try:
        return tomllib.loads(run.text("config.toml")).get("flips", {}).get("mode", "full")
    except tomllib.TOMLDecodeError as error:
        raise damaged(run.path / "config.toml", error) from error


def corrected_probabilities(
    run: Run, rows: np.ndarray | slice = slice(None), categories: np.ndarray | None = None
) -> np.ndarray:
    """Probability that each attribute is present by full evidence.

    Parameters
    ----------
    run : Run
    rows : (M,) int or slice
        Which images; all by default.
    categories : (N,) object, optional
        Of all images, for who asks again and again; read from the run by default.

    Returns
    -------
    (M, L) float64
    """
    model = read_evidence_model(run)
    if categories is None:
        categories = run.table("images", ["category"])["category"].to_numpy(object)
    of = categories[rows].tolist()
    terms = evidence(
        model,
        np.asarray(run.array("label_scores")[rows], np.float64),
        run.array("labels_given")[rows],
        model.category_index(of, len(of)),
        run.array("terms_classifier")[rows],
        run.array("terms_residual")[rows],
    )
    return sigmoid(terms.score)
