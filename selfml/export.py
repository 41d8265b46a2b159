"""Corrected labels in the input's own format, and each flip with its evidence."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from selfml.audited import DECIDED_COLUMNS, audited_flips, verified_images
from selfml.corrections import apply_flips, neutralise, select_flips
from selfml.data.dataset import Dataset, DatasetError, read_dataset
from selfml.data.tables import tidy_name
from selfml.flips import TERMS, deciding_mode, read_evidence_model
from selfml.oracle import expert_labels
from selfml.reasons import REASONS, flip_reasons
from selfml.run import Run, RunError, catalogue_of, write_atomic

if TYPE_CHECKING:
    from selfml.decisions import Store


BY_A_PERSON = "a person's decision"  # of a flip that this run does not make


@dataclass(frozen=True)
class Exported:
    """What was written."""

    labels_file: Path
    flips_file: Path
    n_rows: int
    n_flips: int
    n_changed_cells: int
    from_input: bool


def export(
    run: Run,
    out: str | Path,
    *,
    data: str | Path | None = None,
    min_confidence: float = 0.0,
    agreed_only: bool = False,
    auto_only: bool = False,
    store: Store | None = None,
    with_auto: bool = False,
    catalogue: str = "",
) -> Exported:
    """Write ``out`` (labels) and ``<out stem>.flips.csv`` (flips with their evidence).

    The labels file is the dataset's own, row by row and column by column, with only the flipped
    cells and the cells verified in clean.csv changed; so rows of unreadable images stay.
    Blank cells stay blank unless they are verified. Flips of verified labels are left out, and
    those of cells that were changed since the run was trained. Labels that a person gave to a
    basis image after training (`selfml.derived`) are verified labels of the image looked at.

    Parameters
    ----------
    data : path, optional
        The dataset folder, where it is not where it was when the run was trained.
    store : Store, optional
        Only flips that people accepted there, with who and when; ``with_auto`` adds those that
        nobody decided and that may be accepted without a look.
    catalogue : str, optional
        The name under which the store keeps the decisions, where it is not the run's
        (`catalogue_of`), for the dataset was elsewhere when they were made.

    Raises
    ------
    RunError, DatasetError, StoreError, ValueError
        In one line.
    """
    out = Path(out)
    if out.is_dir():
        raise ValueError(f"--out: {out} is a folder; name a file, e.g. {out / 'corrected.csv'}")
    if not run.has("flips", "labels_given", "images"):
        raise RunError(f"{run.path}: no flips yet; wait until training is complete")
    root = Path(data or run.info["dataset"]["path"])
    every = run.table("flips")
    if store is not None:
        every = _audited(run, every, store, catalogue or catalogue_of(run), with_auto=with_auto)
    flips = select_flips(
        every,
        min_confidence=min_confidence,
        agreed_only=agreed_only,
        auto_only=auto_only,
    )
    if root.exists():
        dataset = read_dataset(root)
        own = [dataset.labels_file, *(dataset.root / n for n in ("clean.csv", "truth.csv"))]
        if out.resolve() in [file.resolve() for file in own]:
            raise ValueError(f"--out: {out} is the dataset's own file; name another, to keep it")
        row_of = _rows_in(run, dataset)
        verified = dataset.labels_verified.copy()
        verified[row_of] = verified_by_experts(run, verified[row_of])
        flips = _unverified(flips, verified[row_of])
        flips = _still_given(flips, dataset.labels_given[row_of])
        rows, changed = _from_input(dataset, row_of, flips, verified)
    elif data is not None:
        raise DatasetError(f"--data: no folder {root}; name the dataset the run was trained on")
    else:
        flips = _unverified(flips, _verified_labels(run))
        rows, changed = _from_run(run, flips)
    out.parent.mkdir(parents=True, exist_ok=True)
    _write_csv(out, rows)
    flips_file = out.with_name(f"{out.stem}.flips.csv")
    _write_csv(flips_file, _flip_rows(run, flips))
    return Exported(out, flips_file, len(rows) - 1, len(flips), changed, root.exists())


def _audited(
    run: Run, flips: pd.DataFrame, store: Store, catalogue: str, *, with_auto: bool
) -> pd.DataFrame:
    state = store.state(catalogue)
    if state.empty and (others := store.catalogues()):
        named = ", ".join(f"{name!r}" for name in others)
        raise ValueError(
            f"--decisions: no decision on {catalogue!r} is kept there, but on {named}; "
            "where the dataset was moved, say which with --catalogue"
        )
    return audited_flips(run, flips, state, store.of_auditors(catalogue), with_auto=with_auto)


def _unverified(flips: pd.DataFrame, verified: np.ndarray) -> pd.DataFrame:
    """The flips of labels that no expert has verified; where one has, the expert is right."""
    return flips[verified[flips["image_index"], flips["attribute_index"]] < 0]


def _still_given(flips: pd.DataFrame, given: np.ndarray) -> pd.DataFrame:
    """The flips whose label the shop has not changed since the run was trained."""
    return flips[given[flips["image_index"], flips["attribute_index"]] == flips["given"]]


def _verified_labels(run: Run) -> np.ndarray:
    """(N, L) int8, the labels of the verified images, those set aside included; -1 elsewhere."""
    verified = verified_images(run)
    return verified_by_experts(run, np.where(verified[:, None], run.array("labels_true"), -1))


def verified_by_experts(run: Run, verified: np.ndarray) -> np.ndarray:
    """(N, L) verified labels with those given after training; the latest word counts."""
    said, verified = expert_labels(run), verified.copy()
    latest = said.drop_duplicates(["image_index", "attribute_index"], keep="last")
    known = latest[latest["label"] >= 0]
    verified[known["image_index"], known["attribute_index"]] = known["label"]
    return verified


def _rows_in(run: Run, dataset: Dataset) -> np.ndarray:
    """The dataset's row of each image of the run, (N,) int."""
    ids = run.table("images", ["image_id"])["image_id"]
    where = pd.Series(np.arange(dataset.n_images), index=dataset.file_names)
    at = where.reindex(ids)
    if at.isna().any() or list(dataset.attributes) != run.attributes:
        raise DatasetError(
            f"{dataset.root}: is not the dataset this run was trained on "
            "(other images or attributes); name that one with --data"
        )
    return at.to_numpy(np.int64)


def _from_input(
    dataset: Dataset, row_of: np.ndarray, flips: pd.DataFrame, verified: np.ndarray
) -> tuple[list[list[str]], int]:
    moved = flips.assign(image_index=row_of[flips["image_index"].to_numpy()])
    given = dataset.labels_given
    corrected = apply_flips(given, moved, verified)
    changed = corrected != given
    return _edit_cells(dataset, corrected, changed), int(changed.sum())


def _edit_cells(dataset: Dataset, corrected: np.ndarray, changed: np.ndarray) -> list[list[str]]:
    text = dataset.labels_file.read_text(encoding="utf-8-sig")
    rows = [
        row
        for row in csv.reader(io.StringIO(text, newline=""))
        if any(cell.strip() for cell in row)
    ]
    header = [name.strip() for name in rows[0]]
    names = rows[0].copy()
    columns = [header.index(name) for name in dataset.attributes]
    key = header.index("file_name")
    index = {name: i for i, name in enumerate(dataset.file_names)}
    result = [[neutralise(name) for name in names]]
    for row in rows[1:]:
        cells = list(row)
        i = index.get(tidy_name(cells[key]))
        for j in np.flatnonzero(changed[i]) if i is not None else ():
            cells[columns[j]] = str(corrected[i, j])
        result.append([neutralise(cell) for cell in cells])
    return result


def _from_run(run: Run, flips: pd.DataFrame) -> tuple[list[list[str]], int]:
    images = run.table("images", ["image_id", "category"])
    given = np.asarray(run.array("labels_given"))
    corrected = apply_flips(given, flips, _verified_labels(run))
    has_category = images["category"].notna().any()
    head = ["file_name", *(["category"] if has_category else []), *run.attributes]
    rows = [[neutralise(name) for name in head]]
    categories = images["category"].fillna("")
    for i, (name, category) in enumerate(zip(images["image_id"], categories, strict=True)):
        first = [name, category] if has_category else [name]
        cells = ["" if v < 0 else str(v) for v in corrected[i]]
        rows.append([*map(neutralise, first), *cells])
    return rows, int((corrected != given).sum())


def _flip_rows(run: Run, flips: pd.DataFrame) -> Iterable[Sequence[object]]:
    """Header and one row a flip: what was changed, how sure, and why.

    ``reason`` says where the basis images listed are not why (:mod:`selfml.reasons`).
    """
    terms = [f"term_{name}" for name in TERMS]
    decided = [name for name in DECIDED_COLUMNS if name in flips]
    numbers = ["confidence", "label_score", *terms, "score", "strict_score", "strict_agrees"]
    first = ["file_name", "attribute", "given", "corrected", "reason"]
    yield [*first, *numbers, "basis_images", *decided]
    ids = run.table("images", ["image_id"])["image_id"].to_numpy()
    shown = run.table("basis", ["image_id"])["image_id"].to_numpy()
    labels, c = run.array("basis_labels"), run.coefficients()
    words = {1: "yes", 0: "no", -1: "unknown"}
    why = flip_reasons(flips, read_evidence_model(run), deciding_mode(run))
    for flip, name in zip(flips.itertuples(index=False), why, strict=True):
        i, j = flip.image_index, flip.attribute_index
        row = c.indices[c.indptr[i] : c.indptr[i + 1]], c.data[c.indptr[i] : c.indptr[i + 1]]
        atoms = sorted(zip(*row, strict=True), key=lambda pair: -pair[1])
        basis = "; ".join(f"{shown[k]} c={v:.4f} {words[int(labels[k, j])]}" for k, v in atoms)
        values = [getattr(flip, name) for name in numbers]
        texts = [neutralise(ids[i]), neutralise(run.attributes[j])]
        who = [neutralise(_number(getattr(flip, name))) for name in decided]
        reason = BY_A_PERSON if pd.isna(flip.score) else REASONS[name]
        made = [flip.given, flip.corrected, reason]
        yield [*texts, *made, *map(_number, values), neutralise(basis), *who]


def _number(value: object) -> object:
    if pd.isna(value):
        return ""
    if isinstance(value, pd.Timestamp):
        return value.isoformat(timespec="seconds")
    return f"{value:.6f}" if isinstance(value, float | np.floating) else value


def _write_csv(path: Path, rows: Iterable[Sequence[object]]) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    write_atomic(path, buffer.getvalue().encode("utf-8"))
