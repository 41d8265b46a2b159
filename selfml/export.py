"""Corrected labels in the input's own format or another tool's, and each flip with its evidence."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from selfml.audited import audited_flips, verified_images
from selfml.corrections import apply_flips, select_flips
from selfml.data.dataset import Dataset, DatasetError, read_dataset
from selfml.exchange import label_studio
from selfml.exchange.content import Corrections, changed_by_flips
from selfml.exchange.flip_list import flip_rows
from selfml.exchange.image_folder import write_image_folder
from selfml.exchange.left_out import not_yet
from selfml.exchange.manifest import build_manifest
from selfml.exchange.staging import Staging
from selfml.exchange.tables import corrected_rows, csv_bytes, labels_csv, parquet_bytes
from selfml.exchange.targets import Targets, refuse_foreign, targets
from selfml.oracle import expert_labels
from selfml.run import Run, catalogue_of

if TYPE_CHECKING:
    from selfml.decisions import Store


@dataclass(frozen=True)
class Exported:
    """What was written."""

    labels_file: Path  # a folder for "huggingface"
    flips_file: Path
    manifest_file: Path
    n_rows: int
    n_flips: int
    n_changed_cells: int
    from_input: bool
    n_photos: int | None = None
    interface_file: Path | None = None
    n_changed_by_flips: int = 0  # the other changed cells are labels that were verified
    n_unchosen: int = 0  # flips of the run that the options leave out
    n_settled: int = 0  # flips asked for whose label was verified, or changed since


def export(
    run: Run,
    out: str | Path,
    *,
    kind: str = "",
    data: str | Path | None = None,
    min_confidence: float = 0.0,
    agreed_only: bool = False,
    auto_only: bool = False,
    store: Store | None = None,
    with_auto: bool = False,
    catalogue: str = "",
    image_url: str = "",
    link: bool = False,
    overwrite: bool = False,
) -> Exported:
    """Write ``out`` (labels), ``<out stem>.flips.csv`` (flips) and ``<out stem>.manifest.json``.

    The labels file is the dataset's own, row by row and column by column, with only the flipped
    cells and the cells verified in clean.csv changed; so rows of unreadable images stay.
    Blank cells stay blank unless they are verified. Flips of verified labels are left out, and
    those of cells that were changed since the run was trained. Labels that a person gave to a
    basis image after training (`selfml.derived`) are verified labels of the image looked at.
    All files get their names once all are written. The same export has the same bytes.

    Parameters
    ----------
    kind : str, optional
        One of `selfml.exchange.targets.FORMATS`; without it what ``out`` ends in says it, else csv.
        A ``huggingface`` export is a folder (:mod:`selfml.exchange.image_folder`); a
        ``label-studio`` one is a JSON of tasks and ``<out stem>.labels.xml``
        (:mod:`selfml.exchange.label_studio`).
    data : path, optional
        The dataset folder, where it is not where it was when the run was trained.
    store : Store, optional
        Only flips that people accepted there, with who and when; ``with_auto`` adds those that
        nobody decided and that may be accepted without a look.
    catalogue : str, optional
        The name under which the store keeps the decisions, where it is not the run's
        (`catalogue_of`), for the dataset was elsewhere when they were made.
    image_url : str, optional
        What stands before a photo's name in Label Studio; without it its local files.
    link : bool
        Photos are hard links to the dataset's where the file system allows it, not copies.
    overwrite : bool
        Replace files that no export wrote, or that somebody changed since.

    Raises
    ------
    RunError, DatasetError, StoreError, ValueError
        In one line.
    """
    to = targets(Path(out), kind)
    if not run.has("flips", "labels_given", "images"):
        raise not_yet(run, "flips")
    root = Path(data) if data else dataset_folder(run)
    every = run.table("flips")
    n_every = len(every)
    catalogue = catalogue or catalogue_of(run)
    if store is not None:
        every = _audited(run, every, store, catalogue, with_auto=with_auto)
    limits = {"min_confidence": min_confidence, "agreed_only": agreed_only, "auto_only": auto_only}
    flips = select_flips(every, **limits)
    n_chosen = len(flips)
    if root is not None and root.exists():
        content, flips = _from_input(run, read_dataset(root), flips, to.out)
    elif data is not None:
        raise DatasetError(f"--data: no folder {root}; name the dataset the run was trained on")
    else:
        content, flips = _from_run(run, flips)
    _check_photos(content, to, image_url)
    refuse_foreign(to, overwrite=overwrite)
    options = {"format": to.kind, **limits, "with_auto": with_auto, "image_url": image_url}
    with Staging(to.out.parent) as stage:
        n_photos = _write_labels(content, stage, to, image_url=image_url, link=link)
        stage.write(to.flips.name, csv_bytes(flip_rows(run, flips)))
        manifest = build_manifest(
            run, content, flips, stage.files, options,
            n_photos=n_photos, store=store, catalogue=catalogue,
        )  # fmt: skip
        stage.write(to.manifest.name, manifest)
        stage.publish()
    return Exported(
        to.out, to.flips, to.manifest, len(content.rows) - 1, len(flips),
        int(content.changed.sum()), content.dataset is not None, n_photos, to.interface,
        changed_by_flips(content), n_every - n_chosen, n_chosen - len(flips),
    )  # fmt: skip


def dataset_folder(run: Run) -> Path | None:
    """Where the dataset was when the run was trained; None where the run does not say."""
    path = run.info.get("dataset", {}).get("path")
    return Path(path) if path else None


def _check_photos(content: Corrections, to: Targets, image_url: str) -> None:
    """Formats with photos need them."""
    if to.folder and content.dataset is None:
        raise DatasetError(
            "--data: this format needs the photos, and the run's folder of photos, labels.csv and "
            "clean.csv is not there; name it"
        )
    in_parquet = content.dataset is not None and content.dataset.parquet is not None
    if to.kind == "label-studio" and in_parquet and not image_url:
        raise DatasetError(
            "--image-url: the photos are in images.parquet, where Label Studio cannot find them; "
            "name what stands before their names on a server"
        )


def _write_labels(
    content: Corrections, stage: Staging, to: Targets, *, image_url: str, link: bool
) -> int | None:
    """Write what ``out`` names; returns how many photos there are, None where there are none."""
    name = to.out.name
    if to.kind == "csv":
        stage.write(name, labels_csv(content))
    elif to.kind == "parquet":
        stage.write(name, parquet_bytes(content))
    elif to.kind == "label-studio":
        tasks = label_studio.tasks_bytes(content, image_url or label_studio.LOCAL_FILES)
        stage.write(name, tasks)
        stage.write(to.interface.name, label_studio.interface_bytes(content.attributes))
    else:
        return write_image_folder(content, stage, name, link=link)
    return None


def outlook(run: Run, flips: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Before anything is written: the flips that an export makes, and how many cells it fills or
    changes because they are verified.

    By what was verified when the run was trained and after it; the dataset is not opened.
    """
    verified = _verified_labels(run)
    given = np.asarray(run.array("labels_given"))
    settled = (verified >= 0) & (verified != given) & _of_catalogue(run)[:, None]
    return _unverified(flips, verified), int(settled.sum())


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


def _of_catalogue(run: Run) -> np.ndarray:
    """(N,) bool, images of the catalogue: in a relabelled one the basis images are of another."""
    found = np.ones(int(run.info["n_images"]), bool)
    if run.info.get("source_run"):
        found[run.table("basis", ["image_index"])["image_index"]] = False
    return found


def _rows_in(run: Run, dataset: Dataset) -> np.ndarray:
    """The dataset's row of each image of the run, (N,) int; -1 where it is of another catalogue."""
    ids = run.table("images", ["image_id"])["image_id"]
    where = pd.Series(np.arange(dataset.n_images), index=dataset.file_names)
    at = where.reindex(ids)
    ours = _of_catalogue(run)
    if at[ours].isna().any() or list(dataset.attributes) != run.attributes:
        raise DatasetError(
            f"{dataset.root}: is not the dataset this run was trained on "
            "(other images or attributes); name that one with --data"
        )
    return at.where(ours, -1).to_numpy(np.int64)


def _from_input(
    run: Run, dataset: Dataset, flips: pd.DataFrame, out: Path
) -> tuple[Corrections, pd.DataFrame]:
    """What is to be written of the dataset's own rows, and the flips that are applied."""
    own = [dataset.labels_file, *(dataset.root / n for n in ("clean.csv", "truth.csv"))]
    own += [dataset.root, dataset.root / "images.parquet"]
    if out.resolve() in [file.resolve() for file in own]:
        raise ValueError(f"--out: {out} is the dataset's own file; name another, to keep it")
    row_of = _rows_in(run, dataset)
    ours, verified = row_of >= 0, dataset.labels_verified.copy()
    said = verified_by_experts(run, np.where(ours[:, None], verified[row_of], -1))
    verified[row_of[ours]] = said[ours]
    flips = _unverified(flips, said)
    flips = _still_given(flips, dataset.labels_given[row_of])
    moved = flips.assign(image_index=row_of[flips["image_index"].to_numpy()])
    given = dataset.labels_given
    corrected = apply_flips(given, moved, verified)
    in_run = np.zeros(dataset.n_images, bool)
    in_run[row_of[ours]] = True
    return Corrections(
        run_id=str(run.info.get("run_id") or run.path.name),
        attributes=dataset.attributes,
        file_names=dataset.file_names,
        categories=dataset.categories,
        given=given,
        corrected=corrected,
        flips=moved,
        in_run=in_run,
        rows=corrected_rows(dataset, corrected),
        dataset=dataset,
    ), flips


def _from_run(run: Run, flips: pd.DataFrame) -> tuple[Corrections, pd.DataFrame]:
    """The same where the dataset is gone: the images that the run has."""
    verified = _verified_labels(run)
    flips = _unverified(flips, verified)
    images = run.table("images", ["image_id", "category"])
    own = _of_catalogue(run)
    given = np.asarray(run.array("labels_given"))
    corrected = apply_flips(given, flips, verified)[own]
    given, images = given[own], images[own]
    has_category = images["category"].notna().any()
    categories = images["category"].fillna("").to_numpy(object)
    rows = [["file_name", *(["category"] if has_category else []), *run.attributes]]
    for i, (name, category) in enumerate(zip(images["image_id"], categories, strict=True)):
        first = [name, category] if has_category else [name]
        rows.append([*first, *("" if v < 0 else str(v) for v in corrected[i])])
    return Corrections(
        run_id=str(run.info.get("run_id") or run.path.name),
        attributes=tuple(run.attributes),
        file_names=images["image_id"].to_numpy(object),
        categories=categories if has_category else None,
        given=given,
        corrected=corrected,
        flips=flips.assign(image_index=(np.cumsum(own) - 1)[flips["image_index"]]),
        in_run=np.ones(len(images), bool),
        rows=rows,
        dataset=None,
    ), flips
