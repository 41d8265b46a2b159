"""Whether the images relabelled are unlike those that the run was trained on.

Notation: the *cut* is the distance to the hull of the basis beyond which one in a hundred images of
the training run lies (:func:`selfml.coverage.coverage_cut`: without its clean training images, for
those that are atoms lie at distance 0 of their own hull). Of n images like these about n / 100 lie
beyond the cut. There is a warning where ``TIMES`` as many do, and chance explains it with a
probability below ``CHANCE`` (a binomial tail), so that a few images do not raise one.

The rule is our choice. Measured on runs of drawn catalogues: of their own test images 0.1 to 1.7 %
lie beyond, of photographs 4.6 %, so that a limit such as 20 % would say nothing of these. The sign
is weak, for a network that has seen drawings alone finds in a photograph what it looks for in
drawings: that there is no warning proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

from selfml.coverage import coverage_cut
from selfml.run import Run

EXPECTED, TIMES, CHANCE = 0.01, 3.0, 0.01


@dataclass
class Unlike:
    """Counts images beyond the cut, part by part.

    Attributes
    ----------
    cut : float
        ``inf`` where the training run has too few distances (99) to draw it.
    n_images, n_beyond : int
        With a finite distance, and of these beyond the cut.
    """

    cut: float
    n_images: int = 0
    n_beyond: int = 0

    @classmethod
    def of(cls, run: Run) -> Unlike:
        """Nothing counted yet; the cut of a trained run."""
        images = run.table("images", ["split", "hull_distance"])
        others = images[images["split"] != "clean_train"]["hull_distance"]
        return cls(coverage_cut(others, EXPECTED))

    def add(self, hull_distance: ArrayLike) -> None:
        """Count the images of a part, (n,) float."""
        known = np.asarray(hull_distance, np.float64)
        known = known[np.isfinite(known)]
        self.n_images += len(known)
        self.n_beyond += int((known > self.cut).sum())

    @property
    def is_so(self) -> bool:
        """Whether there is something to warn of."""
        if not np.isfinite(self.cut) or self.n_beyond <= TIMES * EXPECTED * self.n_images:
            return False
        return bool(binom.sf(self.n_beyond - 1, self.n_images, EXPECTED) < CHANCE)

    def __str__(self) -> str:
        """The warning in one line; empty where there is none."""
        if not self.is_so:
            return ""
        share = self.n_beyond / self.n_images
        return (
            f"Warning: {100 * share:.1f} % of these images ({self.n_beyond:,} of "
            f"{self.n_images:,}) lie farther from what was verified than {100 * (1 - EXPECTED):.0f}"
            f" % of those trained on (hull_distance above {self.cut:.3g}). They may be unlike "
            "these: look at some before you use their labels, or train with images like them."
        )
