"""What an edit of the basis does to the labels, and where a run's flips are found by image.

Axes: n images that an edit can touch, m attributes, F flips. :mod:`selfml.counterfactual`
makes both; nothing here reads a file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from selfml import flips


@dataclass(frozen=True)
class Scores:
    """Label scores (0..1) and both kinds of evidence (log-odds), each (n, m) float64."""

    label_score: np.ndarray
    score: np.ndarray
    strict_score: np.ndarray

    @classmethod
    def empty(cls, shape: tuple[int, int]) -> Scores:
        """To be filled by :meth:`put`."""
        return cls(np.empty(shape), np.empty(shape), np.empty(shape))

    def put(self, rows: slice, label_score: np.ndarray, terms: flips.Evidence) -> None:
        """Set some rows."""
        self.label_score[rows] = label_score
        self.score[rows] = terms.score
        self.strict_score[rows] = terms.strict_score

    def deciding(self, mode: str) -> np.ndarray:
        """Log-odds by ``full`` or ``strict`` evidence."""
        return self.score if mode == "full" else self.strict_score


@dataclass(frozen=True)
class Effect:
    """What becomes of the labels that an edit of the basis can touch: n images, m attributes.

    Attributes
    ----------
    image_index : (n,) int
        Images that lean on an edited atom, ascending.
    attribute_index : (m,) int
        All of them where an atom was taken out, else those whose labels were changed.
    given : (n, m) int8
        -1 unknown.
    before, after : Scores
    mode : {"full", "strict"}
        The evidence that decides in this run.
    """

    image_index: np.ndarray
    attribute_index: np.ndarray
    given: np.ndarray
    before: Scores
    after: Scores
    mode: str

    def _flipped(self, scores: Scores, mode: str | None) -> np.ndarray:
        corrected = flips.corrected_labels(self.given, scores.deciding(mode or self.mode))
        return (self.given >= 0) & (corrected != self.given)

    def falls(self, mode: str | None = None) -> np.ndarray:
        """(n, m) bool: flips that would no longer be; by the deciding evidence where None."""
        return self._flipped(self.before, mode) & ~self._flipped(self.after, mode)

    def arises(self, mode: str | None = None) -> np.ndarray:
        """(n, m) bool: labels that would newly be flipped."""
        return ~self._flipped(self.before, mode) & self._flipped(self.after, mode)

    def place(self, image_index: int, attribute_index: int) -> tuple[int, int] | None:
        """Row and column of a label; None where the edit cannot touch it."""
        row = np.flatnonzero(self.image_index == image_index)
        column = np.flatnonzero(self.attribute_index == attribute_index)
        return (int(row[0]), int(column[0])) if len(row) and len(column) else None

    def changes(self, mode: str | None = None) -> pd.DataFrame:
        """Every label that would come out otherwise, by image and attribute.

        Returns
        -------
        DataFrame
            image_index, attribute_index, given, falls (bool; else it arises), then
            label_score, score and strict_score, each ``_before`` and ``_after``.
        """
        falls = self.falls(mode)
        i, j = np.nonzero(falls | self.arises(mode))
        frame = {
            "image_index": self.image_index[i].astype(np.int32),
            "attribute_index": self.attribute_index[j].astype(np.int16),
            "given": self.given[i, j],
            "falls": falls[i, j],
        }
        for name in ("label_score", "score", "strict_score"):
            for side, scores in (("before", self.before), ("after", self.after)):
                frame[f"{name}_{side}"] = getattr(scores, name)[i, j]
        return pd.DataFrame(frame)


@dataclass(frozen=True)
class FlipIndex:
    """Flips by image, so that those of any images are found without a search.

    Attributes
    ----------
    starts : (N + 1,) int64
        The flips of image i are ``starts[i]`` to ``starts[i + 1]``.
    attribute_index : (F,) int16
        Of the flips, by image and attribute.
    """

    starts: np.ndarray
    attribute_index: np.ndarray

    @classmethod
    def build(
        cls, image_index: np.ndarray, attribute_index: np.ndarray, n_images: int
    ) -> FlipIndex:
        """From two columns of ``flips.parquet``, in any order; (F,) each."""
        image, attribute = np.asarray(image_index), np.asarray(attribute_index, np.int16)
        if len(image) and np.any(np.diff(image) < 0):
            order = np.lexsort((attribute, image))
            image, attribute = image[order], attribute[order]
        counts = np.bincount(image, minlength=n_images)
        return cls(np.concatenate([[0], np.cumsum(counts)]), attribute)

    def of_images(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The flips of images ``rows`` (n,): place in ``rows`` and attribute_index, (F',) each."""
        first, counts = self.starts[rows], self.starts[rows + 1] - self.starts[rows]
        place = np.repeat(np.arange(len(rows)), counts)
        before = np.repeat(np.cumsum(counts) - counts, counts)
        positions = np.repeat(first, counts) + np.arange(len(place)) - before
        return place, self.attribute_index[positions]
