"""What would change without a basis image, or with other labels of it, as tables and words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dashboard.frames.database import ask
from dashboard.frames.flips import with_names
from selfml.counterfactual import Counterfactuals
from selfml.effects import Effect
from selfml.run import Run


@dataclass(frozen=True)
class Counts:
    """How many flips an edit makes and unmakes, by one kind of evidence."""

    falls: int
    arises: int

    def words(self, other: bool = False) -> str:
        """``12 other flips would fall, 3 labels would newly be flipped``."""
        kind = "other " if other else ""
        if not self.falls and not self.arises:
            return f"No {kind}label would come out otherwise"
        return (
            f"{self.falls:,} {kind}flip{'' if self.falls == 1 else 's'} would fall, "
            f"{self.arises:,} label{'' if self.arises == 1 else 's'} would newly be flipped"
        )


def counts(effect: Effect, mode: str, skip: tuple[int, int] | None = None) -> Counts:
    """How many labels come out otherwise by ``mode``, all or all but one.

    Parameters
    ----------
    skip : (image_index, attribute_index), optional
        The label that is not counted.
    """
    falls, arises = effect.falls(mode), effect.arises(mode)
    place = None if skip is None else effect.place(*skip)
    own = (0, 0) if place is None else (int(falls[place]), int(arises[place]))
    return Counts(int(falls.sum()) - own[0], int(arises.sum()) - own[1])


def changes(run: Run, effect: Effect, skip: tuple[int, int] | None = None) -> pd.DataFrame:
    """Every label that would come out otherwise, flips that fall first, the surest of them first.

    Returns
    -------
    DataFrame
        image_index, image_id, attribute, given, corrected_before, corrected_after, then the
        scores of ``Effect.changes``, and its other columns; without ``skip``.
    """
    frame = effect.changes()
    if skip is not None:
        own = (frame["image_index"] == skip[0]) & (frame["attribute_index"] == skip[1])
        frame = frame[~own]
    name = "score_before" if effect.mode == "full" else "strict_score_before"
    frame = frame.assign(sure=frame[name].abs()).sort_values(
        ["falls", "sure"], ascending=False, kind="stable", ignore_index=True
    )
    sql = (
        "SELECT image_index, image_id FROM read_parquet(?) WHERE image_index IN (SELECT unnest(?))"
    )
    wanted = np.unique(frame["image_index"]).tolist()
    names = ask(sql, [str(run.table_path("images")), wanted]).set_index("image_index")["image_id"]
    given, falls = frame["given"].to_numpy(), frame["falls"].to_numpy()
    frame = with_names(run, frame).assign(
        image_id=frame["image_index"].map(names),
        corrected_before=np.where(falls, 1 - given, given).astype(np.int8),
        corrected_after=np.where(falls, given, 1 - given).astype(np.int8),
    )
    first = ["image_index", "image_id", "attribute_index", "attribute", "falls", "given"]
    last = [c for c in frame if c not in (*first, "sure")]
    return frame[[*first, *last]]


@dataclass(frozen=True)
class BlastRadius:
    """What leans on one basis image.

    Attributes
    ----------
    n_images, n_flips : int
        Images with a coefficient above zero on it, and their flips.
    deciding, strict : Counts
        What would change without it, by the evidence that decides and by strict evidence.
    mode : {"full", "strict"}
        The evidence that decides.
    by_attribute : DataFrame
        attribute_index, attribute, n_flips, n_fall, n_arise; attributes with any of them,
        most flips first.
    changes : DataFrame
        Of :func:`changes`.
    keys : tuple of int
        The flips that would fall, as ``FlipQuery.keys``.
    """

    n_images: int
    n_flips: int
    deciding: Counts
    strict: Counts
    mode: str
    by_attribute: pd.DataFrame
    changes: pd.DataFrame
    keys: tuple[int, ...]


def blast_radius(run: Run, world: Counterfactuals, basis_index: int) -> BlastRadius:
    """The blast radius of one basis image."""
    flips, effect = world.blast_radius(basis_index)
    n_attributes = len(run.attributes)
    fallen = flips[flips["falls"]]
    every = np.arange(n_attributes)
    frame = pd.DataFrame(
        {
            "attribute_index": every.astype(np.int16),
            "n_flips": np.bincount(flips["attribute_index"], minlength=n_attributes),
            "n_fall": np.bincount(fallen["attribute_index"], minlength=n_attributes),
            "n_arise": effect.arises().sum(axis=0),
        }
    )
    frame = with_names(run, frame[(frame["n_flips"] > 0) | (frame["n_arise"] > 0)])
    frame = frame.sort_values(["n_flips", "n_fall"], ascending=False, kind="stable")
    keys = fallen["image_index"].to_numpy(np.int64) * n_attributes + fallen["attribute_index"]
    return BlastRadius(
        n_images=len(effect.image_index),
        n_flips=len(flips),
        deciding=counts(effect, effect.mode),
        strict=counts(effect, "strict"),
        mode=effect.mode,
        by_attribute=frame[["attribute_index", "attribute", "n_flips", "n_fall", "n_arise"]],
        changes=changes(run, effect),
        keys=tuple(keys.tolist()),
    )
