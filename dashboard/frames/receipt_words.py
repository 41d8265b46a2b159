"""A receipt in sentences that a merchandiser understands; honest where the evidence is split."""

from __future__ import annotations

import pandas as pd

from dashboard.frames.receipt import LABEL_WORDS, Verdict, reason, stands_without_any
from selfml.flips import basis_logit
from selfml.receipts import Receipt

#: Marks of a label whose basis images are not why, or not undisputed, by ``selfml.reasons``.
MARKS: dict[str, tuple[str, ...]] = {
    "basis": (),
    "other": ("stands without basis images",),
    "contradicted": ("basis images disagree",),
    "disputed": ("the classifier disagrees",),
    "other_disputed": ("stands without basis images", "the classifier disagrees"),
}
OTHER_WORDS = {
    "bias": "how common the attribute is",
    "category": "what the shop files the image under",
    "given": "the shop's own label",
    "classifier": "what a classifier sees in the whole photo",
    "residual": "what was learned of photo and label together",
}
_NUMBERS = (
    "no", "one", "two", "three", "four", "five", "six",
    "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip


def number(n: int) -> str:
    """Small numbers in words."""
    return _NUMBERS[n] if 0 <= n < len(_NUMBERS) else f"{n:,}"


def percent(fraction: float) -> str:
    """A share in whole per cent; never 0 or 100 where it is not exactly that."""
    if 0 < fraction < 0.005:
        return "under 1\u00a0%"
    if 0.995 <= fraction < 1 - 1e-6:
        return "over 99\u00a0%"
    return f"{100 * fraction:.0f}\u00a0%"


def _not_the_reason(receipt: Receipt, of: Verdict) -> list[str]:
    """Comes first where the basis images are not why, or the two kinds of evidence disagree."""
    if not receipt.strict_agrees:
        return [_split(receipt, of)]
    if not stands_without_any(receipt, of):
        return []
    return [f"The basis images do not decide here: {_bare(receipt, of)}", _they_say(receipt, of)]


def _they_say(receipt: Receipt, of: Verdict) -> str:
    """What basis images that do not decide say themselves."""
    says, basis = LABEL_WORDS[of.corrected], receipt.strict_terms["basis"]
    if of.mode == "strict" and (basis > 0) == (of.corrected == 1):
        return f"They say {says} as well: {basis:+.2f} of the sum of {receipt.strict_score:+.2f}."
    return f"With {_beside(receipt)} alone they say {says}, too."


def _beside(receipt: Receipt) -> str:
    """What strict evidence has besides the basis images."""
    known = "category" in receipt.strict_terms
    return "the shop's label and category" if known else "the shop's label"


def _what(of: Verdict) -> str:
    return "change" if of.flipped else "label"


def _bare(receipt: Receipt, of: Verdict) -> str:
    """What it rests on where it stands without any basis image."""
    weight = receipt.basis_weight if of.mode == "full" else receipt.strict_basis_weight
    terms = dict(receipt.terms if of.mode == "full" else receipt.strict_terms)
    del terms["basis"]
    terms["bias"] += weight * float(basis_logit(receipt.prior, receipt.prior, receipt.smoothing))
    sign = 1 if of.corrected == 1 else -1
    most = max(terms, key=lambda name: sign * terms[name])
    return f"the {_what(of)} would stand without any of them, mostly on {OTHER_WORDS[most]}."


def _split(receipt: Receipt, of: Verdict) -> str:
    """The two kinds of evidence disagree."""
    strict = LABEL_WORDS[int(receipt.strict_score > 0)]
    beside = _beside(receipt)
    if of.mode == "strict":
        full = LABEL_WORDS[int(receipt.score > 0)]
        decided = (
            f"Only the basis images and {beside} decided here: they say {strict}. "
            f"The classifier, which sees the whole photo, would say {full}."
        )
        if not stands_without_any(receipt, of):
            return decided
        bare = _bare(receipt, of)
        return f"{decided} {bare[:1].upper()}{bare[1:]}"
    said = LABEL_WORDS[of.corrected]
    seen, remainder = receipt.terms["classifier"], receipt.terms["residual"]
    sign = 1 if of.corrected == 1 else -1
    who = "what a classifier sees in the whole photo"
    if sign * remainder > sign * seen:
        who = "what was learned of photo and label together"
    why = (
        f"{who} says {said} and outweighs them."
        if sign * (seen + remainder) > 0
        else f"weighed together with the classifier, the evidence says {said}."
    )
    return f"The basis images alone are not the reason. With {beside} they say {strict}; " + why


def _shop(receipt: Receipt) -> str:
    return {
        1: f"The shop listed “{receipt.attribute}”.",
        0: f"The shop did not list “{receipt.attribute}”.",
        -1: f"The shop left “{receipt.attribute}” open.",
    }[receipt.given]


def _all_alike(n: int, share: str, one: str, many: str) -> str:
    if n == 1:
        return f"The one verified image that looks like this one, making up {share}, {one}."
    both = "both" if n == 2 else "all"
    every = "none has it" if many == "do not have it" else f"{both} {many}"
    return f"Of the {number(n)} verified images that look most like this one, {every}."


def _basis(receipt: Receipt, of: Verdict) -> str:
    atoms = receipt.atoms
    groups = {
        label: (int((atoms["label"] == label).sum()), atoms["coefficient"][atoms["label"] == label])
        for label in (of.corrected, 1 - of.corrected, -1)
    }
    have = {1: ("has it", "have it"), 0: ("does not have it", "do not have it")}
    have[-1] = ("has no verified label for it", "have no verified label for it")
    found = [(n, percent(float(c.sum())), *have[k]) for k, (n, c) in groups.items() if n]
    if not found:
        return "No basis image looks like this one."
    if len(found) == 1:
        return _all_alike(*found[0])
    parts = [f"{number(n)} ({share}) {one if n == 1 else many}" for n, share, one, many in found]
    return (
        f"Of the {number(len(atoms))} verified images that look most like this one, "
        f"{', '.join(parts[:-1])} and {parts[-1]}."
    )


def _conclusion(receipt: Receipt, of: Verdict) -> str:
    sure = f"the chance that this is right is put at {percent(of.confidence)}"
    if receipt.given < 0:
        return (
            f"There is no label to correct; the evidence says {LABEL_WORDS[of.corrected]}, {sure}."
        )
    why = {"basis": "So", "disputed": "So", "other": "With or without them"}
    so = why.get(reason(receipt, of), "On other evidence")
    if not of.flipped:
        return f"{so} the label stays as it is: {sure}."
    done = "is added" if of.corrected == 1 else "is taken off"
    terms = receipt.terms if of.mode == "full" else receipt.strict_terms
    against = (terms["basis"] > 0) != (of.corrected == 1) and receipt.strict_agrees
    outweighed = "The basis images speak rather against it, the other evidence outweighs them: it"
    return f"{outweighed if against else f'{so} it'} {done}; {sure}."


def _fragile(receipt: Receipt, of: Verdict, atoms: pd.DataFrame) -> str:
    """What the label would be without one of the basis images, or without all of them."""
    if atoms.empty:
        return ""
    needed, bare = atoms[~atoms["stands"]], stands_without_any(receipt, of)
    if needed.empty and bare:
        return "" if receipt.strict_agrees else f"The {_what(of)} would stand without any of them."
    if needed.empty:
        return f"The {_what(of)} would stand without any single one of them, not without all."
    shown = ", ".join(f"basis image {k}" for k in needed["basis_index"][:3])
    more = f" or {number(len(needed) - 3)} more" if len(needed) > 3 else ""
    last = "; without all of them it would" if bare else ""
    away = f"Take away {shown.replace(', ', ' or ')}{more}"
    return f"{away}, and the {_what(of)} would not stand{last}."


def sentences(receipt: Receipt, of: Verdict, atoms: pd.DataFrame) -> list[str]:
    """Why the label is what it is, in words; plain text, to be escaped where it is shown."""
    text = [
        *_not_the_reason(receipt, of),
        _shop(receipt),
        _basis(receipt, of),
        _conclusion(receipt, of),
        _fragile(receipt, of, atoms),
    ]
    return [sentence for sentence in text if sentence]
