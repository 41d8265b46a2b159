"""A run with other labels of basis images, made from a complete run without training.

**Why a new run and not the old one changed.** A complete run never changes: addresses, notes and
exports that name it stay true, two people cannot overwrite each other, and undoing is to open the
old run again. Every reader of runs reads the new one as it is. It costs little: files that stay the
same are hard links to the old run's (copies where the file system has none); no writer of runs
changes a file in place, so a link is as good as a copy.

**What follows the new labels**: ``basis_labels``, ``label_scores``, corrected and strict labels,
flips with all their terms, and what is measured of these. Labels of images that lean on no changed
label are taken over, digit by digit. A labelled basis image is shown by the image that the person
saw. ``expert_labels.csv`` lists every label given, by whom and when, those of earlier runs first.

**What stays as trained**: coefficients, features, the classifier with its predictions, and the
weights of the evidence. So does the line that turns evidence into confidence. What does not survive
is the guarantee behind flips that are accepted without a look: it was proven of the flips before,
and proving it again on the same images, after one has seen what labels do, would prove too much.
No flip of the new run is accepted so, and ``trust.parquet`` says why.

**Half-written runs** are never seen: everything is written into a hidden folder beside ``out`` that
no list of runs shows and whose status is ``running``; renaming it is the last step.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from selfml import evaluate, flips, trust
from selfml.corrections import neutralise
from selfml.oracle import EXPERT_COLUMNS, EXPERT_FILE, VERIFIED, asked_images, expert_labels
from selfml.run import Run, RunError, RunWriter, utc_now

ROWS_AT_ONCE = 8192
NEEDED = ("images", "basis", "coefficients", "flips", "basis_labels", "label_scores",
          "labels_given", "labels_corrected", "labels_strict", "labels_true",
          "terms_classifier", "terms_residual", "features")  # fmt: skip
LEFT_BEHIND = ("model", "work")  # weights: those of the explainer hold the old labels
# Tables and arrays that no basis label enters. Any other is written anew or left behind: better
# missing, until `selfml evaluate` measures it, than of the labels before.
UNCHANGED = {
    *("images", "attributes", "coefficients", "calibration", "coverage", "features", "basis"),
    *("labels_given", "labels_true", "terms_classifier", "terms_residual", "probabilities"),
    *("probabilities_baseline_0", "probabilities_baseline_1"),
}
MEASURES = ("metrics", "attribute_metrics", "reliability", "realised")


@dataclass(frozen=True, eq=False)
class ExpertLabels:
    """What a person said of basis images, every attribute of each.

    Attributes
    ----------
    basis_index : (n,) int
        Each once.
    labels : (n, L) int8
        1, 0, or -1 where the person could not tell; that counts as the attribute's prior.
    """

    basis_index: np.ndarray
    labels: np.ndarray

    def check(self, n_atoms: int, n_attributes: int) -> None:
        """Raise ValueError, in one line, where a run of this size cannot have these labels."""
        index, labels = np.asarray(self.basis_index), np.asarray(self.labels)
        if not len(index):
            raise ValueError("labels: no basis image is labelled; label one at least")
        if labels.shape != (len(index), n_attributes):
            raise ValueError(
                f"labels: must have a row of {n_attributes} labels for each of {len(index)} basis "
                f"images, got shape {labels.shape}"
            )
        outside = index[(index < 0) | (index >= n_atoms)]
        if len(outside):
            raise ValueError(
                f"labels: there is no basis image {outside[0]}; the run has 0 to {n_atoms - 1}"
            )
        if len(np.unique(index)) < len(index):
            twice = index[np.argmax(np.bincount(index)[index] > 1)]
            raise ValueError(f"labels: basis image {twice} is labelled twice; keep one row of it")
        wrong = labels[~np.isin(labels, (-1, 0, 1))]
        if wrong.size:
            raise ValueError(f"labels: must be 1, 0 or -1 for not known, got {wrong[0]}")


@dataclass(frozen=True)
class Relabelled:
    """What a derived run differs in.

    Attributes
    ----------
    path : Path
    n_basis_images : int
        That were labelled.
    n_labels : int
        Labels of these that changed.
    n_new, n_gone : int
        Labels of images that are newly flipped, and flips that are no more.
    """

    path: Path
    n_basis_images: int
    n_labels: int
    n_new: int
    n_gone: int

    @property
    def n_changed(self) -> int:
        """Labels of images that come out otherwise."""
        return self.n_new + self.n_gone


def write_relabelled(run: Run, expert: ExpertLabels, out: str | Path, *, who: str) -> Relabelled:
    """Write ``out``, a complete run in which basis images have the labels of ``expert``.

    Parameters
    ----------
    out : path
        A folder that does not exist yet.
    who : str
        Who gave the labels; kept with them.

    Raises
    ------
    ValueError, RunError, OSError
        In one line; nothing is left behind.
    """
    out = Path(out)
    if not run.is_complete or not run.has(*NEEDED):
        raise RunError(f"{run.path}: training has not finished; basis images are labelled after it")
    expert.check(int(run.info["n_atoms"]), len(run.attributes))
    if out.exists():
        raise FileExistsError(f"--out: {out} is there already; name a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    hidden = out.with_name(f".{out.name}.{secrets.token_hex(4)}.tmp")
    try:
        hidden.mkdir()
        done = _write(run, expert, hidden, out, who)
        os.rename(hidden, out)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    return done


def _write(run: Run, expert: ExpertLabels, hidden: Path, out: Path, who: str) -> Relabelled:
    writer = RunWriter(hidden)
    (hidden / "model").rmdir()
    writer.info = {**run.info, "created": utc_now(), "run_id": out.name}
    writer.update(status="running")
    before = np.array(run.array("basis_labels"))
    after = before.copy()
    after[expert.basis_index] = expert.labels
    asked = asked_images(run)
    flipped, counts = _write_labels(run, writer, before, after)
    _write_flips(run, writer, flipped)
    writer.write_table("basis", _basis(run, expert.basis_index, asked))
    writer.write_text(EXPERT_FILE, _listed(run, expert, before, asked, who))
    _take_over(run, hidden)
    if run.has("metrics", "attribute_metrics"):
        tables = evaluate.remeasure(Run(hidden), *(run.table(name) for name in MEASURES[:2]))
        for name, table in zip(MEASURES, tables, strict=True):
            if run.has(name):
                writer.write_table(name, table)
    done = Relabelled(out, len(expert.basis_index), int((before != after).sum()), *counts)
    for file in hidden.glob("*.npy"):
        _sync(file)
    writer.update(
        status="complete",
        parent={"run_id": run.run_id, "name": run.path.name, "path": str(run.path.resolve())},
        relabelled={
            "who": who,
            "n_basis_images": done.n_basis_images,
            "n_labels": done.n_labels,
            "n_new": done.n_new,
            "n_gone": done.n_gone,
        },
    )
    return done


def _write_labels(
    run: Run, writer: RunWriter, before: np.ndarray, after: np.ndarray
) -> tuple[pd.DataFrame, tuple[int, int]]:
    """Write the arrays that follow the labels; returns the flips, and how many are new and gone."""
    model, mode = flips.read_evidence_model(run), flips.deciding_mode(run)
    mixed = run.coefficients()
    changed = before != after
    rows = np.unique(mixed[:, np.flatnonzero(changed.any(axis=1))].nonzero()[0])
    columns = np.flatnonzero(changed.any(axis=0))
    categories = run.table("images", ["category"])["category"]
    category = model.category_index(categories, len(categories))
    names = ("label_scores", "labels_corrected", "labels_strict")
    scores, corrected, strict = (np.array(run.array(name)) for name in names)
    given, truth, *terms = (
        run.array(name)
        for name in ("labels_given", "labels_true", "terms_classifier", "terms_residual")
    )
    old = np.array(corrected)
    values = flips.basis_values(after, model.prior)
    found = []
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[start : start + ROWS_AT_ONCE]
        score = flips.label_scores(mixed[part], values)
        evidence = flips.evidence(
            model, score, given[part], category[part], *(term[part] for term in terms)
        )
        frame = flips.flips_frame(given[part], evidence, score, truth[part], mode=mode)
        frame["image_index"] = part[frame["image_index"]].astype(np.int32)
        found.append(frame[frame["attribute_index"].isin(columns)])
        deciding = evidence.score if mode == "full" else evidence.strict_score
        place = np.ix_(part, columns)
        scores[place] = score[:, columns]
        corrected[place] = flips.corrected_labels(given[part], deciding)[:, columns]
        strict[place] = flips.corrected_labels(given[part], evidence.strict_score)[:, columns]
    for name, array in zip(names, (scores, corrected, strict), strict=True):
        writer.write_array(name, array)
    writer.write_array("basis_labels", after)
    other = old != corrected
    n_new = int((other & (corrected != given)).sum())
    return _merged(run, found, rows, columns), (n_new, int(other.sum()) - n_new)


def _merged(
    run: Run, found: list[pd.DataFrame], rows: np.ndarray, columns: np.ndarray
) -> pd.DataFrame:
    """The run's flips with those of ``rows`` and ``columns`` replaced, by image and attribute."""
    table = run.table("flips")
    replaced = table["image_index"].isin(rows) & table["attribute_index"].isin(columns)
    kept = table[~replaced]
    new = _with_confidence(run, pd.concat(found, ignore_index=True)) if found else table[:0]
    both = pd.concat([part for part in (kept, new) if len(part)] or [table[:0]], ignore_index=True)
    order = ["image_index", "attribute_index"]
    return both.sort_values(order, kind="stable", ignore_index=True)


def _with_confidence(run: Run, frame: pd.DataFrame) -> pd.DataFrame:
    """Confidence by the line that the run fitted, where it fitted one."""
    if not run.has("trust"):
        return frame
    strength = trust.deciding_strength(frame, flips.deciding_mode(run))
    nobody = np.zeros(int(run.info["n_images"]), bool)
    return trust.with_trust(frame, run.table("trust"), strength=strength, eligible=nobody)


def _write_flips(run: Run, writer: RunWriter, flipped: pd.DataFrame) -> None:
    writer.write_table("flips", flipped.assign(auto_accept=False))
    if run.has("trust"):
        table = run.table("trust")
        proven = table["status"] != "no_held_out"  # that reason holds as before
        dropped = ["correlation", "threshold", "threshold_confidence", "lower_bound"]
        table.loc[proven, "status"] = "relabelled"
        table.loc[proven, dropped] = np.nan
        table.loc[proven, ["n_tested", "n_tested_correct"]] = 0
        writer.write_table("trust", table)


def _basis(run: Run, labelled: np.ndarray, asked: np.ndarray) -> pd.DataFrame:
    """The basis table, the labelled atoms shown by the image that the person saw."""
    table = run.table("basis")
    images = asked[labelled]
    ids = run.table("images", ["image_id"])["image_id"].to_numpy()
    atoms = np.asarray(run.array("basis")[labelled], np.float32)
    seen = np.asarray(run.array("features")[images], np.float32)
    own = np.asarray(run.coefficients()[images, labelled]).ravel()
    moved = table["image_index"].to_numpy()[labelled] != images
    values = {
        "image_index": images,
        "image_id": ids[images],
        "label_source": VERIFIED,
        "distance": np.where(
            moved, np.linalg.norm(atoms - seen, axis=1), table["distance"].to_numpy()[labelled]
        ),
        "self_coefficient": own,
    }
    for name, value in values.items():
        column = table[name].to_numpy().copy()
        column[labelled] = value
        table[name] = column
    return table


def _listed(run: Run, expert: ExpertLabels, before: np.ndarray, asked: np.ndarray, who: str) -> str:
    """The text of ``expert_labels.csv``: what was there, then a row a label given now."""
    k, j = (axis.ravel() for axis in np.indices(expert.labels.shape))
    atoms = np.asarray(expert.basis_index)[k]
    new = pd.DataFrame(
        {
            "time": utc_now(),
            "who": neutralise(" ".join(who.split())),
            "basis_index": atoms,
            "image_index": asked[atoms],
            "attribute_index": j,
            "label": expert.labels[k, j],
            "before": before[atoms, j],
        }
    )
    both = pd.concat([part for part in (expert_labels(run), new) if len(part)])
    return both[EXPERT_COLUMNS].to_csv(index=False, lineterminator="\n")


def _take_over(run: Run, folder: Path) -> None:
    """Link the files of the run that stay as they are."""
    for file in _files(run.path):
        target = folder / file.relative_to(run.path)
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.name == "history.jsonl":  # the one file that is ever appended to
            shutil.copy2(file, target)
            continue
        try:
            os.link(file, target)
        except OSError:
            shutil.copy2(file, target)


def _files(folder: Path) -> Iterable[Path]:
    for entry in sorted(folder.iterdir()):
        follows = entry.suffix in (".parquet", ".npy") and entry.stem not in UNCHANGED
        if entry.name.startswith(".") or entry.name in LEFT_BEHIND or follows:
            continue
        if entry.is_dir():
            yield from (path for path in sorted(entry.rglob("*")) if path.is_file())
        else:
            yield entry


def _sync(file: Path) -> None:
    with open(file, "rb") as opened:
        os.fsync(opened.fileno())
