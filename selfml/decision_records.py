"""What goes into the audit store and comes out of it: cells, and what an act did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """One attribute of one image, its given label and the label that the flip proposes (0, 1)."""

    image_id: str
    attribute: str
    given: int
    proposed: int


@dataclass(frozen=True)
class Written:
    """What one act did.

    Attributes
    ----------
    key : str
        Of the batch; give it to `Store.undo`.
    n_cells : int
    n_conflicts : int
        Cells of this batch on which somebody else decides otherwise.
    repeated : bool
        The key was there already: nothing was written again.
    """

    key: str
    n_cells: int
    n_conflicts: int
    repeated: bool = False


@dataclass(frozen=True)
class Undone:
    """What was taken back: the batch, how many cells it had, and the first of them."""

    key: str
    decision: str
    n_cells: int
    image_id: str
    attribute: str
