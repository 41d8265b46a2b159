"""What people decided, as flips to apply: given labels change where a person wants another one."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from selfml.run import Run

DECIDED_COLUMNS = ("decision", "auditors", "decided_at")
KEY = ["image_index", "attribute_index"]


def cell_indices(run: Run, cells: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """image_index and attribute_index of cells (image_id, attribute); -1 for what is unknown."""
    file = (run.path / "images.parquet").stat()
    names = _image_ids(run.path.resolve(), file.st_mtime_ns, file.st_size)
    return (
        names.get_indexer(cells["image_id"]),
        pd.Index(run.attributes).get_indexer(cells["attribute"]),
    )


def with_indices(run: Run, cells: pd.DataFrame) -> pd.DataFrame:
    """Rows of cells that the run has, with image_index and attribute_index.

    Parameters
    ----------
    cells : DataFrame
        With image_id and attribute; those of other catalogues are left out.
    """
    i, j = cell_indices(run, cells)
    known = (i >= 0) & (j >= 0)
    return cells[known].assign(image_index=i[known], attribute_index=j[known])


@lru_cache(maxsize=2)  # the audit desk looks names up at every fetch
def _image_ids(path: Path, _changed_ns: int, _size: int) -> pd.Index:
    names = pd.Index(Run(path).table("images", ["image_id"])["image_id"])
    names.get_indexer(names[:1])  # builds its table here, where no other thread has it yet
    return names


def verified_images(run: Run) -> np.ndarray:
    """(N,) bool: images that clean.csv verifies, those set aside included.

    A run of format 1 does not say which were set aside: there they count as noisy.
    """
    split = run.table("images", ["split"])["split"]
    verified = split.str.startswith("clean").to_numpy(bool).copy()
    if run.has("calibration"):
        verified[run.table("calibration", ["image_index"])["image_index"]] = True
    return verified


def audited_flips(
    run: Run,
    flips: pd.DataFrame,
    state: pd.DataFrame,
    said: pd.DataFrame,
    *,
    with_auto: bool = False,
) -> pd.DataFrame:
    """Labels that people want otherwise than they are given, with who wants it and since when.

    Parameters
    ----------
    flips : DataFrame
        Rows of ``flips.parquet``.
    state, said : DataFrame
        ``Store.state`` and ``Store.of_auditors`` of the run's catalogue.
    with_auto : bool
        Also flips that nobody looked at and that may be accepted without a look. What somebody
        left unsure was looked at.

    Returns
    -------
    DataFrame
        The columns of ``flips`` and ``DECIDED_COLUMNS``, by image and attribute. A label that a
        person wants and this run does not propose, for it was another run's flip, is there
        without evidence.
    """
    cells = with_indices(run, state)
    given = np.asarray(run.array("labels_given"))[cells["image_index"], cells["attribute_index"]]
    agreed = said.groupby(["image_id", "attribute", "label"])["auditor"]
    names = agreed.agg(lambda who: ", ".join(sorted(who))).rename("auditors").reset_index()
    wanted = cells.assign(given=given, decision=cells["state"])
    changes = (wanted["label"] >= 0) & (wanted["label"] != given) & (given >= 0)
    wanted = wanted[changes]  # what the shop leaves blank stays blank
    wanted = wanted.merge(names, on=["image_id", "attribute", "label"])
    wanted = wanted.rename(columns={"label": "corrected"})
    wanted = wanted[[*KEY, "given", "corrected", *DECIDED_COLUMNS]]
    merged = wanted.merge(
        flips.drop(columns="given"), on=[*KEY, "corrected"], how="left", validate="one_to_one"
    )
    filled = {"strict_agrees": False, "auto_accept": False, "truth": -1}
    kinds = {name: flips[name].dtype for name in filled}
    parts = [merged.astype(dict.fromkeys(filled, object)).fillna(filled).astype(kinds)]
    if with_auto:
        undecided = ~pd.MultiIndex.from_frame(flips[KEY]).isin(pd.MultiIndex.from_frame(cells[KEY]))
        sure = flips[undecided & flips["auto_accept"].to_numpy()]
        parts.append(sure.assign(decision="auto", auditors="", decided_at=None))
    order = [*flips.columns, *DECIDED_COLUMNS]
    parts = [part[order] for part in parts if len(part)]
    found = pd.concat(parts, ignore_index=True) if parts else merged[order]
    return found.sort_values(KEY, ignore_index=True)
