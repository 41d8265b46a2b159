"""What an export writes, whatever the format: labels before and after, and the flips."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from selfml.data.dataset import Dataset


@dataclass(frozen=True, eq=False)
class Corrections:
    """Given and corrected labels of N images and L attributes.

    Attributes
    ----------
    run_id : str
        The run that made the flips.
    attributes : tuple of str
        L names.
    file_names : numpy.ndarray
        (N,) str objects.
    categories : numpy.ndarray or None
        (N,) str objects, "" where blank; None without the column.
    given, corrected : numpy.ndarray
        (N, L) int8, -1 blank.
    flips : DataFrame
        Those applied: image_index (a row of this), attribute_index, corrected, confidence (NaN
        where a person decided it and this run makes no such flip).
    in_run : numpy.ndarray
        (N,) bool, the image could be read when the run was trained.
    rows : list of list of str
        The table of labels as the input has it, with the corrected cells; its header first. Texts
        are as they are meant: nothing is guarded against spreadsheets yet.
    dataset : Dataset or None
        None where the folder is gone, and then there are no photos.
    """

    run_id: str
    attributes: tuple[str, ...]
    file_names: np.ndarray
    categories: np.ndarray | None
    given: np.ndarray
    corrected: np.ndarray
    flips: pd.DataFrame
    in_run: np.ndarray
    rows: list[list[str]]
    dataset: Dataset | None

    @property
    def changed(self) -> np.ndarray:
        """(N, L) bool, the cells that are written otherwise than they were given."""
        return self.corrected != self.given


def changed_by_flips(content: Corrections) -> int:
    """How many of the changed cells a flip changed; the others are labels that were verified."""
    at = content.flips["image_index"], content.flips["attribute_index"]
    return int(content.changed[at].sum())


def changes_by_attribute(content: Corrections) -> list[dict[str, object]]:
    """Changed cells of each attribute that has any.

    Returns
    -------
    list of dict
        attribute; added (0 to 1), taken_off (1 to 0), filled_1 and filled_0 (from blank, where
        a person verified the label).
    """
    given, corrected = content.given, content.corrected
    kinds = {
        "added": (given == 0) & (corrected == 1),
        "taken_off": (given == 1) & (corrected == 0),
        "filled_1": (given < 0) & (corrected == 1),
        "filled_0": (given < 0) & (corrected == 0),
    }
    counts = {name: cells.sum(axis=0).tolist() for name, cells in kinds.items()}
    return [
        {"attribute": name, **{kind: counts[kind][j] for kind in kinds}}
        for j, name in enumerate(content.attributes)
        if any(counts[kind][j] for kind in kinds)
    ]
