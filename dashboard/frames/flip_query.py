"""Which flips, in what order: what a list asks for, as SQL over the kept flips ``f``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dashboard.frames.database import kept
from selfml.run import Run

#: what a reader may sort by -> (words, ascending keys before image and attribute)
SORTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "mixed": ("Attributes in turn", ("f.mixed",)),
    "confidence": ("Most confident first", ("-f.confidence",)),
    "doubt": ("Least confident first", ("f.confidence",)),
    "attribute": ("By attribute", ("f.attribute_index", "-f.confidence")),
    "image": ("By image", ()),
}


@dataclass(frozen=True)
class FlipQuery:
    """Which flips, and in what order; ``None`` means any.

    Attributes
    ----------
    attribute : int, optional
        ``attribute_index``.
    category, split : str, optional
        Of the image.
    direction : {"to_1", "to_0"}, optional
        What the label became.
    agreement : {"agree", "disagree", "bare"}, optional
        Whether strict and full evidence say the same; ``bare``: the flip stands without any
        basis image (:mod:`selfml.reasons`).
    auto : bool, optional
        Whether the flip is confident enough to be accepted without a look.
    truth : {"right", "wrong", "known", "unknown"}, optional
        The flip against the verified label.
    min_confidence : float
        In 0..1.
    basis : int, optional
        Flips of images that lean on this ``basis_index``.
    image : int, optional
        ``image_index``.
    keys : tuple of int, optional
        Only these flips, as ``image_index * L + attribute_index``.
    sort : str
        A key of ``SORTS``.
    """

    attribute: int | None = None
    category: str | None = None
    split: str | None = None
    direction: str | None = None
    agreement: str | None = None
    auto: bool | None = None
    truth: str | None = None
    min_confidence: float = 0.0
    basis: int | None = None
    image: int | None = None
    keys: tuple[int, ...] | None = None
    sort: str = "confidence"


_TRUTH = {
    "right": "f.truth = f.corrected",
    "wrong": "f.truth >= 0 AND f.truth <> f.corrected",
    "known": "f.truth >= 0",
    "unknown": "f.truth < 0",
}


KEY = "f.image_index::BIGINT * ? + f.attribute_index"


def conditions(run: Run, query: FlipQuery, *, without: bool = False) -> tuple[str, list[Any], bool]:
    """WHERE of a query over ``f``, its values, and whether the images table is needed.

    With ``without``, none of the flips whose keys are in the table of that name; see `tables_of`.
    """
    parts: list[tuple[str, list[Any]]] = []
    if query.attribute is not None:
        parts.append(("f.attribute_index = ?", [query.attribute]))
    if query.image is not None:
        parts.append(("f.image_index = ?", [query.image]))
    if query.direction in ("to_1", "to_0"):
        parts.append(("f.corrected = ?", [int(query.direction == "to_1")]))
    if query.agreement in ("agree", "disagree"):
        parts.append(("f.strict_agrees = ?", [query.agreement == "agree"]))
    if query.agreement == "bare":
        parts.append(("f.bare", []))
    if query.auto is not None:
        parts.append(("f.auto_accept = ?", [query.auto]))
    if query.truth in _TRUTH:
        parts.append((_TRUTH[query.truth], []))
    if query.min_confidence > 0:
        parts.append(("f.confidence >= ?", [query.min_confidence]))
    if query.basis is not None:
        table = kept(run, "coefficients")
        leaning = f"SELECT image_index FROM {table} WHERE basis_index = ?"
        parts.append((f"f.image_index IN ({leaning})", [query.basis]))
    if query.keys is not None:
        parts.append((f"{KEY} IN (SELECT key FROM listed)", [len(run.attributes)]))
    if without:
        parts.append((f"{KEY} NOT IN (SELECT key FROM without)", [len(run.attributes)]))
    for name in ("category", "split"):
        if getattr(query, name) is not None:
            parts.append((f"i.{name} = ?", [getattr(query, name)]))
    where = " AND ".join(text for text, _ in parts) or "true"
    needs_images = query.category is not None or query.split is not None
    return where, [value for _, values in parts for value in values], needs_images


def tables_of(query: FlipQuery, without: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The tables of keys that `conditions` names."""
    found = {} if query.keys is None else {"listed": np.array(query.keys, np.int64)}
    return found if without is None else {**found, "without": without}


def order_of(query: FlipQuery) -> str:
    """ORDER BY of a query over ``f``; no two flips are equal in it."""
    keys = SORTS.get(query.sort, SORTS["confidence"])[1]
    return ", ".join([*keys, "f.image_index", "f.attribute_index"])
