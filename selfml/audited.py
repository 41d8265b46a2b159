"""What people decided, as flips to apply: given labels change where a person accepted it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from selfml.run import Run

DECIDED_COLUMNS = ("decision", "auditors", "decided_at")


def audited_flips(
    run: Run,
    flips: pd.DataFrame,
    state: pd.DataFrame,
    said: pd.DataFrame,
    *,
    with_auto: bool = False,
) -> pd.DataFrame:
    """The accepted flips, with who accepted them and when.

    Parameters
    ----------
    flips : DataFrame
        Rows of ``flips.parquet``.
    state, said : DataFrame
        ``Store.state`` and ``Store.of_auditors`` of the run's catalogue.
    with_auto : bool
        Also flips that nobody decided and that may be accepted without a look.

    Returns
    -------
    DataFrame
        The columns of ``flips`` and ``DECIDED_COLUMNS``, by image and attribute. An accepted flip
        that this run does not make, for it was another run's, is there without evidence.
    """
    images = pd.Index(run.table("images", ["image_id"])["image_id"])
    cells = state.assign(
        image_index=images.get_indexer(state["image_id"]),
        attribute_index=pd.Index(run.attributes).get_indexer(state["attribute"]),
    )
    cells = cells[(cells["image_index"] >= 0) & (cells["attribute_index"] >= 0)]
    key = ["image_index", "attribute_index"]
    agreed = said[said["decision"] == "accept"].groupby(["image_id", "attribute"])["auditor"]
    names = agreed.agg(lambda who: ", ".join(sorted(who))).rename("auditors").reset_index()
    accepted = cells[cells["state"] == "accept"].merge(names, on=["image_id", "attribute"])
    accepted = accepted.assign(decision="accept", corrected=accepted["proposed"].astype(np.int8))
    wanted = accepted[[*key, "given", "corrected", *DECIDED_COLUMNS]]
    merged = wanted.merge(
        flips.drop(columns="given"), on=[*key, "corrected"], how="left", validate="one_to_one"
    )
    filled = {"strict_agrees": False, "auto_accept": False, "truth": -1}
    kinds = {name: flips[name].dtype for name in filled}
    parts = [merged.astype(dict.fromkeys(filled, object)).fillna(filled).astype(kinds)]
    if with_auto:
        decided = pd.MultiIndex.from_frame(cells[cells["state"] != "unsure"][key])
        undecided = ~pd.MultiIndex.from_frame(flips[key]).isin(decided)
        sure = flips[undecided & flips["auto_accept"].to_numpy()]
        parts.append(sure.assign(decision="auto", auditors="", decided_at=None))
    order = [*flips.columns, *DECIDED_COLUMNS]
    parts = [part[order] for part in parts if len(part)]
    found = pd.concat(parts, ignore_index=True) if parts else merged[order]
    return found.sort_values(key, ignore_index=True)
