"""Whether the basis images that a receipt shows are the reason of a label.

They are not where strict evidence, which is made of them and the shop's label, says otherwise, nor
where the label stands without any of them: the attribute's prior in their place
(:func:`selfml.receipts.without_all`) and all else as it was. Wherever a flip is shown or exported,
that is said first.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from selfml.flip_cases import flip_case
from selfml.flips import EvidenceModel, basis_logit

REASONS: dict[str, str] = {
    "basis": "basis images and given label",
    "other": "other evidence: it stands without any basis image",
    "contradicted": "other evidence: basis images and given label say otherwise",
    "disputed": "basis images and given label, but the classifier says otherwise",
    "other_disputed": "other evidence: it stands without any basis image, "
    "and the classifier says otherwise",
}
"""Name -> what is written into an export; the last two only where strict evidence decides."""


def reason_names(agrees: ArrayLike, stands: ArrayLike, mode: str) -> np.ndarray:
    """A key of ``REASONS`` for each label, object array of the shape of ``agrees``.

    Parameters
    ----------
    agrees : bool
        Whether full and strict evidence say the same label.
    stands : bool
        Whether the label stands without any basis image, by the evidence that decides.
    mode : {"full", "strict"}
        Which that is.
    """
    agrees, stands = np.asarray(agrees, bool), np.asarray(stands, bool)
    if mode == "full":
        split = np.full(agrees.shape, "contradicted", object)
    else:
        split = np.where(stands, "other_disputed", "disputed").astype(object)
    return np.where(agrees, np.where(stands, "other", "basis").astype(object), split)


def flip_reasons(flips: pd.DataFrame, model: EvidenceModel, mode: str) -> np.ndarray:
    """A key of ``REASONS`` for each row of ``flips.parquet``, (F,) object."""
    return reason_names(flips["strict_agrees"], stands_without_any(flips, model, mode), mode)


def stands_without_any(flips: pd.DataFrame, model: EvidenceModel, mode: str) -> np.ndarray:
    """Whether flips stand with the prior in the place of their basis images, (F,) bool."""
    case = flip_case(flips, model)
    return case.stands(case.margin(mode, case.prior))


def prior_term(model: EvidenceModel, mode: str) -> np.ndarray:
    """The basis images' term where none is left, by attribute, (L,) log-odds."""
    weight = model.basis_weight if mode == "full" else model.strict_basis_weight
    return weight * basis_logit(model.prior, model.prior, model.smoothing)
