"""What labelling basis images would change, as tables; which one comes next."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dashboard.frames import what_if
from dashboard.frames.flips import with_names
from selfml.counterfactual import Counterfactuals
from selfml.effects import Effect
from selfml.oracle import label_order
from selfml.run import Run

EXAMPLES = 12  # of new flips, and as many of those that would be gone


@dataclass(frozen=True)
class Preview:
    """What all labels would be, were basis images labelled so.

    Attributes
    ----------
    n_basis_images, n_labels : int
        That are labelled, and labels of theirs that differ from the present ones.
    n_images : int
        That lean on one of these.
    deciding, strict : Counts
        By the evidence that decides, and by strict evidence; falls are flips gone.
    mode : {"full", "strict"}
        The evidence that decides.
    by_attribute : DataFrame
        attribute_index, attribute, n_new, n_gone, n_changed; attributes with any change, most
        changed first.
    examples : DataFrame
        image_index, attribute_index, attribute, given, falls (bool), corrected_before,
        corrected_after; the surest of each kind.
    """

    n_basis_images: int
    n_labels: int
    n_images: int
    deciding: what_if.Counts
    strict: what_if.Counts
    mode: str
    by_attribute: pd.DataFrame
    examples: pd.DataFrame

    @property
    def n_changed(self) -> int:
        """Labels of images that would come out otherwise."""
        return self.deciding.falls + self.deciding.arises


def order(run: Run, world: Counterfactuals) -> pd.DataFrame:
    """``selfml.oracle.label_order`` with doubtful (the name of ``doubt``, empty where none)."""
    frame = label_order(run, world)
    names = np.array([*run.attributes, ""], object)
    return frame.assign(doubtful=names[frame["doubt"].to_numpy()])


def next_to_label(
    ordered: pd.DataFrame, labelled: Container[int], after: int | None = None
) -> int | None:
    """basis_index of the next unverified basis image without labels, the first again at the end."""
    todo = ordered[~ordered["verified"]]["basis_index"].tolist()
    start = todo.index(after) + 1 if after in todo else 0
    return next((k for k in todo[start:] + todo[:start] if k not in labelled and k != after), None)


def changed_cells(
    basis_labels: np.ndarray, rows: Mapping[int, Sequence[int]]
) -> dict[tuple[int, int], int]:
    """(basis_index, attribute_index) -> label, of the labels that differ from the present ones."""
    return {
        (k, j): int(label)
        for k, row in rows.items()
        for j, label in enumerate(row)
        if label != basis_labels[k, j]
    }


def preview(run: Run, world: Counterfactuals, rows: Mapping[int, Sequence[int]]) -> Preview:
    """The effect of labelling basis images on all labels.

    Parameters
    ----------
    rows : mapping of basis_index to L labels
        1, 0, or -1 for not known.
    """
    labels = changed_cells(world.basis_labels, rows)
    effect = world.what_if(labels=labels)
    new, gone = effect.arises(), effect.falls()
    frame = pd.DataFrame(
        {
            "attribute_index": effect.attribute_index.astype(np.int16),
            "n_new": new.sum(axis=0),
            "n_gone": gone.sum(axis=0),
        }
    )
    frame = frame.assign(n_changed=frame["n_new"] + frame["n_gone"])
    frame = with_names(run, frame[frame["n_changed"] > 0])
    columns = ["attribute_index", "attribute", "n_new", "n_gone", "n_changed"]
    return Preview(
        n_basis_images=len(rows),
        n_labels=len(labels),
        n_images=len(effect.image_index),
        deciding=what_if.Counts(int(gone.sum()), int(new.sum())),
        strict=what_if.counts(effect, "strict"),
        mode=effect.mode,
        by_attribute=frame.sort_values("n_changed", ascending=False, kind="stable")[columns],
        examples=_examples(run, effect, new, gone),
    )


def _examples(run: Run, effect: Effect, new: np.ndarray, gone: np.ndarray) -> pd.DataFrame:
    """The surest new flips and the surest of those gone, in turn, by the evidence that makes them:
    that after, and that before."""
    parts = []
    for which, scores, falls in ((new, effect.after, False), (gone, effect.before, True)):
        i, j = np.nonzero(which)
        sure = np.abs(scores.deciding(effect.mode)[i, j])
        top = np.argsort(-sure, kind="stable")[:EXAMPLES]
        i, j = i[top], j[top]
        given = effect.given[i, j]
        flipped = (1 - given).astype(np.int8)
        parts.append(
            pd.DataFrame(
                {
                    "image_index": effect.image_index[i].astype(np.int32),
                    "attribute_index": effect.attribute_index[j].astype(np.int16),
                    "given": given,
                    "falls": np.full(len(i), falls),
                    "corrected_before": flipped if falls else given,
                    "corrected_after": given if falls else flipped,
                }
            )
        )
    both = pd.concat(parts).sort_index(kind="stable")  # the surest of each kind first
    return with_names(run, both.reset_index(drop=True))


def new_run_name(name: str, taken: Container[str]) -> str:
    """``shop-labelled``, ``shop-labelled-2``, ...: the first that is not taken."""
    base = re.sub(r"-labelled(-\d+)?$", "", name)
    number, found = 1, f"{base}-labelled"
    while found in taken:
        number += 1
        found = f"{base}-labelled-{number}"
    return found
