"""Receipts: why one label of one image has the score it has, from the files of a run alone.

The terms and their notation are those of :mod:`selfml.flips`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from selfml.flips import EvidenceModel, basis_logit, basis_values, read_evidence_model
from selfml.run import Run


@dataclass(frozen=True)
class Receipt:
    """Why one label of one image has the score it has; adds up exactly.

    Attributes
    ----------
    atoms : DataFrame
        basis_index, image_index, image_id, coefficient, label (-1 unknown), value (the label,
        or the prior where unknown) and contribution = coefficient * value; the contributions
        add up to ``label_score``. Largest coefficient first.
    terms, strict_terms : dict of str to float
        Log-odds by ``TERMS`` and ``STRICT_TERMS`` (without ``category`` in a run whose strict
        evidence has none); they add up to ``score``, ``strict_score``.
    """

    image_index: int
    attribute_index: int
    attribute: str
    given: int
    label_score: float
    prior: float
    smoothing: float
    basis_weight: float
    strict_basis_weight: float
    atoms: pd.DataFrame
    terms: dict[str, float]
    strict_terms: dict[str, float]

    @property
    def score(self) -> float:
        """Log-odds by full evidence."""
        return float(sum(self.terms.values()))

    @property
    def strict_score(self) -> float:
        """Log-odds by strict evidence."""
        return float(sum(self.strict_terms.values()))

    @property
    def strict_agrees(self) -> bool:
        """Whether both kinds of evidence say the same label."""
        return (self.score > 0) == (self.strict_score > 0)


def receipt(
    run: Run, image_index: int, attribute_index: int, *, model: EvidenceModel | None = None
) -> Receipt:
    """The receipt of one label of one image, from the files of the run alone."""
    model = model or read_evidence_model(run)
    i, j = int(image_index), int(attribute_index)
    atoms = run.coefficients_of(i).merge(
        run.table("basis", ["basis_index", "image_index", "image_id"])
    )
    labels = run.array("basis_labels")[atoms["basis_index"].to_numpy(), j]
    values = basis_values(labels[:, None], model.prior[j])[:, 0]
    coefficients = atoms["coefficient"].to_numpy(np.float64)
    atoms = atoms.assign(label=labels, value=values, contribution=coefficients * values)
    atoms = atoms.sort_values("coefficient", ascending=False, ignore_index=True)
    score = float(atoms["contribution"].sum())
    given = int(run.array("labels_given")[i, j])
    category = run.table("images", ["category"])["category"].iloc[i]
    rows = model.category_index([category], 1)
    llr = float(model.llr[rows[0], j, given]) if given >= 0 else 0.0
    basis = float(basis_logit(np.array(score), model.prior[j], model.smoothing))
    own = model.strict_category
    category_term = {} if own is None else {"category": float(own[rows[0], j])}
    return Receipt(
        image_index=i,
        attribute_index=j,
        attribute=run.attributes[j],
        given=given,
        label_score=score,
        prior=float(model.prior[j]),
        smoothing=float(model.smoothing),
        basis_weight=float(model.basis_weight[j]),
        strict_basis_weight=float(model.strict_basis_weight[j]),
        atoms=atoms,
        terms={
            "bias": float(model.bias[j]),
            "basis": float(model.basis_weight[j]) * basis,
            "given": llr,
            "classifier": float(run.array("terms_classifier")[i, j]),
            "residual": float(run.array("terms_residual")[i, j]),
        },
        strict_terms={
            "bias": float(model.strict_bias[j]),
            **category_term,
            "basis": float(model.strict_basis_weight[j]) * basis,
            "given": llr,
        },
    )


def without_atom(of: Receipt, basis_index: int) -> Receipt:
    """The receipt with one basis image taken out and its share spread over the others.

    The remaining coefficients are divided by their sum; with none left, the label score
    becomes the prior. Nothing else of the evidence changes.

    Raises
    ------
    ValueError
        When the receipt has no such basis image.
    """
    atoms = of.atoms
    if basis_index not in set(atoms["basis_index"]):
        raise ValueError(
            f"basis_index: {basis_index} takes no part in this label; "
            f"its basis images are {sorted(atoms['basis_index'])}"
        )
    return _with(of, atoms[atoms["basis_index"] != basis_index].reset_index(drop=True))


def without_all(of: Receipt) -> Receipt:
    """The receipt with every basis image taken out: the prior speaks in their place."""
    return _with(of, of.atoms.iloc[:0])


def _with(of: Receipt, atoms: pd.DataFrame) -> Receipt:
    """The receipt with these of its basis images alone, their coefficients renormalised."""
    rest = atoms["coefficient"].to_numpy(np.float64)
    rest = rest / rest.sum() if len(rest) else rest
    values = atoms["value"].to_numpy(np.float64)
    score = float(rest @ values) if len(rest) else of.prior
    basis = float(basis_logit(np.array(score), of.prior, of.smoothing))
    return replace(
        of,
        label_score=score,
        atoms=atoms.assign(coefficient=rest, contribution=rest * values),
        terms={**of.terms, "basis": of.basis_weight * basis},
        strict_terms={**of.strict_terms, "basis": of.strict_basis_weight * basis},
    )
