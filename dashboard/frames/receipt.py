"""A receipt as tables and as words: what the reader of one flip sees."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dashboard.frames.flips import flips_of_image, with_names
from selfml.flips import STRICT_TERMS, TERMS, deciding_mode, read_evidence_model, sigmoid
from selfml.reasons import REASONS, flip_reasons, reason_names
from selfml.receipts import Receipt, without_all, without_atom
from selfml.run import Run

TERM_WORDS = {
    "bias": "Starting point",
    "category": "Category",
    "basis": "Basis images",
    "given": "The shop's own label",
    "classifier": "Classifier",
    "residual": "Photo and label together",
}
TERM_HELP = {
    "bias": "Where the sum starts for this attribute, learned from all images",
    "category": "How much more or less often what is filed there has the attribute",
    "basis": "The share of the basis images that have it, as log-odds and weighted",
    "given": "What the shop's entry is worth, from how often such entries prove right",
    "classifier": "What a classifier trained on verified photos sees in the whole photo",
    "residual": "A learned remainder from the photo, the shop's label and the basis images",
}
LABEL_WORDS = {1: "yes", 0: "no", -1: "unknown"}


@dataclass(frozen=True)
class Verdict:
    """What was done with one label, and by which evidence.

    Attributes
    ----------
    given, truth : int
        1, 0 or -1 for unknown.
    corrected : int
        What the evidence says, 1 or 0, also where the shop gave no label.
    confidence : float
        Probability that the corrected label is right.
    mode : {"full", "strict"}
        The evidence that decided.
    auto_accept : bool
        Confident enough to be accepted without a look.
    """

    given: int
    corrected: int
    truth: int
    confidence: float
    mode: str
    auto_accept: bool = False

    @property
    def flipped(self) -> bool:
        """Whether the label was changed."""
        return self.given >= 0 and self.given != self.corrected


def deciding_score(receipt: Receipt, mode: str) -> float:
    """Log-odds by the evidence that decided."""
    return receipt.score if mode == "full" else receipt.strict_score


def verdict(run: Run, receipt: Receipt, flip: pd.Series | None) -> Verdict:
    """What became of a label, from its stored flip or, where it was kept, from the arrays."""
    i, j = receipt.image_index, receipt.attribute_index
    stored = int(run.array("labels_corrected")[i, j]) if flip is None else int(flip["corrected"])
    mode = deciding_mode(run)
    corrected = stored if stored >= 0 else int(deciding_score(receipt, mode) > 0)
    chance = float(sigmoid(np.abs(deciding_score(receipt, mode))))
    return Verdict(
        given=receipt.given,
        corrected=corrected,
        truth=int(run.array("labels_true")[i, j]),
        confidence=chance if flip is None else float(flip["confidence"]),
        mode=mode,
        auto_accept=flip is not None and bool(flip["auto_accept"]),
    )


def terms_frame(receipt: Receipt, mode: str) -> pd.DataFrame:
    """The log-odds terms in order, with where each starts and ends.

    Returns
    -------
    DataFrame
        term, name, help, value, start, end (log-odds); the last ``end`` is the score.
    """
    terms = receipt.terms if mode == "full" else receipt.strict_terms
    names = [name for name in (TERMS if mode == "full" else STRICT_TERMS) if name in terms]
    value = np.array([terms[name] for name in names], np.float64)
    end = np.cumsum(value)
    return pd.DataFrame(
        {
            "term": list(names),
            "name": [TERM_WORDS[name] for name in names],
            "help": [TERM_HELP[name] for name in names],
            "value": value,
            "start": end - value,
            "end": end,
        }
    )


def strict_name(receipt: Receipt) -> str:
    """What strict evidence is made of, as a heading."""
    if "category" in receipt.strict_terms:
        return "Basis images, shop's label and category alone"
    return "Basis images and shop's label alone"


def atoms_frame(receipt: Receipt, of: Verdict) -> pd.DataFrame:
    """The basis images of a receipt, each with what its absence would change.

    Returns
    -------
    DataFrame
        The columns of ``Receipt.atoms``, then score_without (log-odds of the evidence that
        decided) and stands (bool): whether the label would come out the same without it.
    """
    scores = np.array(
        [
            deciding_score(without_atom(receipt, index), of.mode)
            for index in receipt.atoms["basis_index"]
        ],
        np.float64,
    )
    return receipt.atoms.assign(score_without=scores, stands=(scores > 0) == (of.corrected == 1))


def stands_without_any(receipt: Receipt, of: Verdict) -> bool:
    """Whether the label would come out the same with no basis image: the prior in their place."""
    return (deciding_score(without_all(receipt), of.mode) > 0) == (of.corrected == 1)


def reason(receipt: Receipt, of: Verdict) -> str:
    """A key of ``selfml.reasons.REASONS``: whether the basis images are why."""
    stands = stands_without_any(receipt, of)
    return str(reason_names(receipt.strict_agrees, stands, of.mode))


def export_frame(receipt: Receipt, atoms: pd.DataFrame, of: Verdict) -> pd.DataFrame:
    """A receipt as one long table with all digits: basis images first, then the terms.

    Returns
    -------
    DataFrame
        part (basis, full or strict), name, image_id, coefficient, label, value, contribution,
        score_without; the contributions of a part add up to its sum. First come strict_agrees
        (False: the basis images alone say another label than all evidence) and reason, what of
        ``selfml.reasons.REASONS`` holds.
    """
    basis = atoms.assign(part="basis", name=[f"basis image {k}" for k in atoms["basis_index"]])
    terms = [
        terms_frame(receipt, mode).assign(part=mode, contribution=lambda t: t["value"])
        for mode in ("full", "strict")
    ]
    terms = [t[["part", "name", "contribution"]] for t in terms]
    columns = ["part", "name", "image_id", "coefficient", "label", "value", "contribution"]
    both = pd.concat([basis[[*columns, "score_without"]], *terms], ignore_index=True)
    both["label"] = both["label"].astype("Int8")
    both.insert(0, "reason", REASONS[reason(receipt, of)])
    both.insert(0, "strict_agrees", receipt.strict_agrees)
    both.insert(0, "attribute", receipt.attribute)
    both.insert(0, "image_index", receipt.image_index)
    return both


def shown_parts(values: np.ndarray, decimals: int = 4) -> np.ndarray:
    """Values rounded so that the digits shown add up exactly to the rounded sum.

    Each differs from its value by at most one unit of the last digit (our choice: the running
    sums are rounded, and their differences shown).
    """
    ends = np.round(np.cumsum(np.asarray(values, np.float64)), decimals)
    return np.round(np.diff(ends, prepend=0.0), decimals) + 0.0


def image_labels(run: Run, image_index: int) -> pd.DataFrame:
    """Every label of one image, flips first.

    Returns
    -------
    DataFrame
        attribute_index, attribute, given, corrected, strict, truth (int8, -1 unknown),
        label_score (0..1), flipped (bool), reason (a key of ``selfml.reasons.REASONS``, "" where
        not flipped).
    """
    i = int(image_index)
    rows = {
        "given": run.array("labels_given")[i],
        "corrected": run.array("labels_corrected")[i],
        "strict": run.array("labels_strict")[i],
        "truth": run.array("labels_true")[i],
        "label_score": run.array("label_scores")[i],
    }
    frame = pd.DataFrame({name: np.array(row) for name, row in rows.items()})
    frame.insert(0, "attribute_index", np.arange(len(frame), dtype=np.int16))
    frame = with_names(run, frame)
    frame["flipped"] = (frame["given"] >= 0) & (frame["given"] != frame["corrected"])
    flips = flips_of_image(run, i)
    names = flip_reasons(flips, read_evidence_model(run), deciding_mode(run))
    why = dict(zip(flips["attribute_index"], names, strict=True))
    frame["reason"] = frame["attribute_index"].map(why).fillna("")
    return frame.sort_values("flipped", ascending=False, kind="stable", ignore_index=True)
