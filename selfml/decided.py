"""What people decided about flips, as labels that the next training learns from.

A decided label is not a verified image: which cells were looked at depends on what was proposed,
so they say nothing of how often the shop notes an attribute, and a set of accepted flips is no
sample to calibrate on. They are therefore left out of the annotation rates, the cross-fitted
classifier, the priors and every measure, and used where only the label given the image matters:
as targets of the flipping loss, of the strict evidence and of the attribute classifier (our
choice). Images that are verified in clean.csv keep what is said there.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from selfml.audited import verified_images, with_indices
from selfml.run import Run, RunWriter, list_runs

if TYPE_CHECKING:
    from selfml.decisions import Store

DECIDED_FILE = "decisions.csv"
COLUMNS = ["image_id", "attribute", "given", "proposed", "label"]


def read_decisions(store: Store, catalogue: str) -> pd.DataFrame:
    """The decided labels of a catalogue, ``COLUMNS``; conflicts and what is unsure left out.

    Raises
    ------
    ValueError
        When there is none, with the names of the catalogues that have some.
    """
    state = store.state(catalogue)
    decided = state[state["state"].isin(("accept", "reject")) & (state["label"] >= 0)]
    if decided.empty:
        others = ", ".join(repr(name) for name in store.catalogues()) or "no catalogue"
        raise ValueError(
            f"--decisions: nothing is decided on {catalogue!r} there, but on {others}; "
            "where the dataset was moved, say which with --catalogue"
        )
    return decided[COLUMNS].reset_index(drop=True)


def to_csv(decided: pd.DataFrame) -> str:
    """What a run keeps of the decisions that it learned from, by image and attribute."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(decided[COLUMNS].sort_values(COLUMNS[:2]).itertuples(index=False))
    return buffer.getvalue()


def keep_decisions(writer: RunWriter, decided: pd.DataFrame | None, *, continues: bool) -> None:
    """Write what a run is to learn from into it, before anything else of it is there.

    Raises
    ------
    FileExistsError
        When a run is continued with other decisions than it began with.
    """
    file = writer.path / DECIDED_FILE
    text = "" if decided is None else to_csv(decided)
    if continues:
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        if text and text != before:
            raise FileExistsError(
                f"--resume: {writer.path} began with {max(before.count(chr(10)) - 1, 0)} decided "
                f"labels, not these {len(decided)}; leave --decisions out to go on with those, or "
                "start a new run"
            )
        return
    file.unlink(missing_ok=True)  # of a run that was refused
    if text:
        writer.write_text(DECIDED_FILE, text)


def decided_cells(folder: Path) -> pd.DataFrame:
    """``COLUMNS`` of the decisions that a run learned from; no rows where there were none."""
    file = folder / DECIDED_FILE
    if not file.exists():
        return pd.DataFrame(columns=COLUMNS)
    rows = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8"), newline="")))
    return pd.DataFrame(rows[1:], columns=rows[0]).astype(dict.fromkeys(COLUMNS[2:], np.int8))


def decided_labels(
    decided: pd.DataFrame, image_ids: np.ndarray, attributes: list[str]
) -> np.ndarray:
    """(N, L) int8, -1 where nothing is decided; cells of other catalogues are passed over."""
    labels = np.full((len(image_ids), len(attributes)), -1, np.int8)
    i = pd.Index(image_ids).get_indexer(decided["image_id"])
    j = pd.Index(attributes).get_indexer(decided["attribute"])
    known = (i >= 0) & (j >= 0)
    labels[i[known], j[known]] = decided["label"].to_numpy(np.int8)[known]
    return labels


def outcome(run: Run) -> dict[str, int]:
    """What became of the decisions that a run learned from, counted on noisy training images.

    Returns
    -------
    dict
        ``decided`` labels; ``kept``, those that the evidence of this run comes to as well;
        ``rejected``, flips that people refused, and ``gone``, those not proposed any more. The
        run learned from them: this says whether it listens, not how well it generalises. Empty
        where it learned from none.
    """
    cells = _of_noisy(run)
    if cells.empty:
        return {}
    i, j = cells["image_index"].to_numpy(), cells["attribute_index"].to_numpy()
    kept = np.asarray(run.array("labels_corrected"))[i, j] == cells["label"].to_numpy()
    rejected = (cells["label"] != cells["proposed"]).to_numpy()
    return {
        "decided": len(cells),
        "kept": int(kept.sum()),
        "rejected": int(rejected.sum()),
        "gone": int((kept & rejected).sum()),
    }


def run_decided_on(store: Store, catalogue: str, folder: Path) -> Run | None:
    """The complete run in ``folder`` whose flips were decided on last; None where it is gone."""
    runs = {run.run_id: run for run in list_runs(folder) if run.is_complete}
    for run_id in store.history(catalogue)["run_id"].unique():
        if run_id in runs:
            return runs[run_id]
    return None


def gain(run: Run, before: Run | None) -> dict[str, object]:
    """`outcome`, and how the run before did: ``before`` (its name), ``kept_before``, ``map``...

    ``map`` and ``map_before`` (%, SELF-ML) are there where both were measured on the same test
    images of the same data with the same settings; nobody learned from these, so the difference
    is what was gained.
    """
    found: dict[str, object] = dict(outcome(run))
    if not found or before is None:
        return found
    found["before"] = before.path.name
    cells = with_indices(before, _of_noisy(run)[COLUMNS])
    there = np.asarray(before.array("labels_corrected"))
    found["kept_before"] = int(
        (there[cells["image_index"], cells["attribute_index"]] == cells["label"]).sum()
    )
    found["decided_before"] = len(cells)
    if _tested_on(run) == _tested_on(before):
        for name, measured in (("map", run), ("map_before", before)):
            values = measured.table("metrics").set_index(["method", "metric"])["value"]
            found[name] = round(float(values["self_ml", "map"]), 2)
    return found


def record_gain(path: Path, before: Run | None) -> dict[str, object]:
    """Write `gain` into ``run.json`` under ``decisions``; what was written."""
    found = gain(Run(path), before)
    if found:
        RunWriter(path).update(decisions=found)
    return found


def sentence(found: dict[str, object]) -> str:
    """`gain` in words; empty where nothing was learned from decisions."""
    if not found:
        return ""
    n = found["decided"]
    text = f"Learned from {n:,} decided labels: {100 * found['kept'] / n:.1f} % come out as decided"
    if "before" in found:
        share = 100 * found["kept_before"] / max(found.get("decided_before", n), 1)
        text += f" ({share:.1f} % in {found['before']})"
    if found["rejected"]:
        text += f"; of {found['rejected']:,} rejected flips {found['gone']:,} are proposed no more"
    if "map" in found:
        text += f"; MAP on the same test images {found['map_before']:.2f} -> {found['map']:.2f} %"
    return text + "."


def _of_noisy(run: Run) -> pd.DataFrame:
    cells = with_indices(run, decided_cells(run.path))
    split = run.table("images", ["split"])["split"]
    learned = split.eq("noisy_train").to_numpy() & ~verified_images(run)
    return cells[learned[cells["image_index"]]]


def _tested_on(run: Run) -> tuple[object, ...]:
    images = run.table("images", ["image_id", "split"])
    tested = images[images["split"] == "clean_test"]["image_id"]
    dataset = run.info.get("dataset", {}).get("sha256")
    return (dataset, run.text("config.toml"), *sorted(tested))  # another recipe is no gain of these
