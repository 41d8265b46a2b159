"""What there is to decide: flips that nobody has decided yet, as cells of the audit store."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy import sparse

from dashboard.frames.flips import FlipQuery, count_flips, flips_page
from selfml.audited import cell_indices, verified_images, with_indices
from selfml.decisions import Cell
from selfml.run import Run
from selfml.tracing import suspects, trace_rejects

SAID = {"accept": "accepted", "reject": "rejected", "unsure": "left unsure"}


def keys_of(run: Run, cells: pd.DataFrame) -> np.ndarray:
    """``image_index * L + attribute_index`` (int64) of cells (image_id, attribute) of the run.

    -1 for those that it does not have.
    """
    i, j = cell_indices(run, cells)
    return np.where((i >= 0) & (j >= 0), i.astype(np.int64) * len(run.attributes) + j, -1)


def queue(run: Run, query: FlipQuery, skip: np.ndarray, n: int) -> pd.DataFrame:
    """The first ``n`` undecided flips of a query, as `flips_page` has them."""
    return flips_page(run, query, 1, n, without=skip)


def n_left(run: Run, query: FlipQuery, skip: np.ndarray) -> int:
    """How many flips of a query are undecided."""
    return count_flips(run, query, skip)


def cell_of(flip: object) -> Cell:
    """The cell of a row of `queue`."""
    return Cell(flip.image_id, flip.attribute, int(flip.given), int(flip.corrected))


def cells_of(flips: pd.DataFrame) -> list[Cell]:
    """The cells of all rows."""
    return [cell_of(row) for row in flips.itertuples()]


def rate(times_s: Iterable[float], now_s: float, window_s: float = 300.0) -> float | None:
    """Decisions a minute over the last minutes; None for fewer than two."""
    recent = [t for t in times_s if now_s - t <= window_s]
    if len(recent) < 2:
        return None
    return 60.0 * (len(recent) - 1) / max(recent[-1] - recent[0], 1e-9)


def history_frame(history: pd.DataFrame) -> pd.DataFrame:
    """``Store.history`` for readers: when, who, image, attribute, change, decision."""
    change = np.where(history["proposed"] == 1, "add", "take off")
    return pd.DataFrame(
        {
            "when (UTC)": pd.to_datetime(history["decided_at"], utc=True).dt.strftime(
                "%Y-%m-%d %H:%M:%S"
            ),
            "auditor": history["auditor"],
            "image": history["image_id"],
            "attribute": history["attribute"],
            "proposal": change,
            "decision": history["decision"].map(SAID),
            "taken back": np.where(history["taken_back"], "yes", ""),
            "settles a conflict": np.where(history["kind"] == "settle", "yes", ""),
            "run": history["run_id"],
        }
    )


def of_noisy(run: Run, state: pd.DataFrame) -> pd.DataFrame:
    """Rows of ``Store.state`` without verified images: what is said of these is a control."""
    verified = run.table("images", ["image_id"])["image_id"][verified_images(run)]
    return state[~state["image_id"].isin(verified)]


def conflict_rows(state: pd.DataFrame, said: pd.DataFrame) -> pd.DataFrame:
    """One row for each conflict: image_id, attribute, given, proposed, and who says what."""
    open_ = state[state["state"] == "conflict"][["image_id", "attribute", "given", "proposed"]]
    if open_.empty:
        return open_.assign(says=pd.Series(dtype=object))
    words = said.assign(says=said["auditor"] + " " + said["decision"].map(SAID))
    joined = words.groupby(["image_id", "attribute"])["says"].agg(", ".join).reset_index()
    return open_.merge(joined, on=["image_id", "attribute"], how="left")


def decided_flips(run: Run, state: pd.DataFrame) -> pd.DataFrame:
    """Decided cells that the run has: image_index, attribute_index, corrected, rejected."""
    known = with_indices(run, state[state["state"].isin(("accept", "reject"))])
    decided = known.assign(corrected=known["proposed"], rejected=known["state"] == "reject")
    return decided[["image_index", "attribute_index", "corrected", "rejected"]]


def suspect_rows(
    run: Run, coefficients: sparse.csr_matrix, prior: np.ndarray, state: pd.DataFrame
) -> pd.DataFrame:
    """``tracing.suspects`` of what is decided, with image_index, attribute and the other label."""
    flips = decided_flips(run, state)
    found = suspects(trace_rejects(coefficients, run.array("basis_labels"), prior, flips))
    found = found[found["excess"] > 0]
    shown = run.table("basis", ["image_index"])["image_index"].to_numpy()
    names = np.array(run.attributes, object)
    return found.assign(
        image_index=shown[found["basis_index"].to_numpy(np.int64)],
        attribute=names[found["attribute_index"].to_numpy(np.int64)],
        other=np.where(found["label"] == 1, "no", "yes"),
    )
