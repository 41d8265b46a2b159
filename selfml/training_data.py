"""From a dataset folder to what training works on: splits, pixels, labels, and the run's tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from selfml.data.dataset import Dataset, DatasetError, read_dataset
from selfml.data.images import LoadedImages, load_images
from selfml.data.splits import Splits, make_splits, require_both_kinds
from selfml.decided import decided_cells, decided_labels
from selfml.nn.fitting import Session
from selfml.run import RunWriter
from selfml.run_format import SPLITS


@dataclass(frozen=True, eq=False)
class TrainingData:
    """The readable images of a dataset; row i of everything is image i of the run.

    Attributes
    ----------
    pixels : (N, S, S, 3) uint8, memory-mapped
    given : (N, L) int8
        As in labels.csv, -1 unknown.
    verified : (N, L) int8
        Verified labels of the clean training images; -1 everywhere else. The only verified
        labels that training may see.
    true : (N, L) int8
        What is known of the truth, for measuring only: clean.csv, else truth.csv, else -1.
    decided : (N, L) int8
        What people decided about flips of images of N (:mod:`selfml.decided`); -1 elsewhere.
    """

    dataset: Dataset
    splits: Splits
    pixels: np.ndarray
    given: np.ndarray
    verified: np.ndarray
    true: np.ndarray
    decided: np.ndarray

    @property
    def known(self) -> np.ndarray:
        """(N, L) int8, labels to learn from as they are: verified, else decided; -1 elsewhere."""
        return np.where(self.verified >= 0, self.verified, self.decided)

    @property
    def n_images(self) -> int:
        """N."""
        return len(self.given)

    @property
    def n_attributes(self) -> int:
        """L."""
        return self.given.shape[1]

    @property
    def set_aside(self) -> np.ndarray:
        """Verified images beyond ``data.clean_samples``, in training noisy ones like any other.

        Their verified labels may be used for nothing but the confidence of flips.
        """
        noisy = self.splits.noisy_train
        return noisy[np.asarray(self.dataset.is_clean)[noisy]]

    @property
    def noisy_rows(self) -> np.ndarray:
        """Rows whose given labels are trained on: N_train and C_train (paper section 3)."""
        return np.sort(np.concatenate([self.splits.noisy_train, self.splits.clean_train]))


def labels_for_training(dataset: Dataset, splits: Splits) -> tuple[np.ndarray, np.ndarray]:
    """``verified`` and ``true`` of :class:`TrainingData`."""
    verified = np.full_like(dataset.labels_verified, -1)
    verified[splits.clean_train] = dataset.labels_verified[splits.clean_train]
    truth = dataset.labels_truth
    elsewhere = np.full_like(verified, -1) if truth is None else truth
    true = np.where(dataset.is_clean[:, None], dataset.labels_verified, elsewhere)
    return verified, true.astype(np.int8)


def prepare(session: Session, root: str | Path, whole: Dataset | None = None) -> TrainingData:
    """Read, split, decode; write the run's images, attributes, thumbnails and labels.

    ``whole`` is what was read of ``root``, where that was done already.

    Raises
    ------
    DatasetError
        In one line, on what training could not survive.
    """
    config, writer = session.config, session.writer
    whole = whole or read_dataset(root)
    for warning in whole.warnings:
        session.reporter.say(f"note: {warning}")
    with session.reporter.task("reading images", whole.n_images) as advance:
        loaded = load_images(
            whole, config.data.size_px, session.work / "pixels.npy", progress=advance
        )
    for name, reason in loaded.unreadable:
        session.reporter.say(f"skipped {name}: {reason}")
    dataset = whole.take(loaded.indices)
    splits = make_splits(
        dataset,
        clean_samples=config.data.clean_samples,
        test_fraction=config.data.test_fraction,
        seed=config.seed,
    )
    require_both_kinds(dataset, splits)
    verified, true = labels_for_training(dataset, splits)
    sha256 = whole.sha256()
    before = (writer.info.get("dataset") or {}).get("sha256", sha256)
    if before != sha256 and any(session.work.glob("*.npz")):
        raise DatasetError(
            f"--resume: {root} is not what this run began with (files were changed); "
            "put them back, or start a new run with another --out"
        )
    decided = _decided(writer, dataset, splits)
    data = TrainingData(
        dataset, splits, loaded.pixels, dataset.labels_given, verified, true, decided
    )
    _write_tables(session, data, loaded)
    writer.update(
        dataset={
            "path": str(Path(root).resolve()),
            "sha256": sha256,
            "catalogue": config.data.catalogue.strip(),
        },
        n_images=data.n_images,
        n_attributes=data.n_attributes,
        unreadable=[list(pair) for pair in loaded.unreadable],
        **{f"n_{name}": len(getattr(splits, name)) for name in SPLITS},
    )
    return data


def _decided(writer: RunWriter, dataset: Dataset, splits: Splits) -> np.ndarray:
    """Labels of ``DECIDED_FILE`` on images of N that nobody verified, (N, L) int8."""
    decided = decided_cells(writer.path)
    labels = decided_labels(decided, dataset.file_names, list(dataset.attributes))
    noisy = np.zeros(dataset.n_images, bool)
    noisy[splits.noisy_train] = True
    labels[~noisy | dataset.is_clean] = -1
    return labels


def images_frame(data: TrainingData) -> pd.DataFrame:
    """The rows of ``images.parquet``, before anything is known of thumbnails and maps."""
    split = np.empty(data.n_images, dtype=object)
    for name in SPLITS:
        split[getattr(data.splits, name)] = name
    categories = data.dataset.categories
    category = [None] * data.n_images if categories is None else [c or None for c in categories]
    frame = pd.DataFrame(
        {
            "image_index": np.arange(data.n_images, dtype=np.int32),
            "image_id": data.dataset.file_names,
            "split": split,
            "category": pd.Series(category, dtype=object),
        }
    )
    empty = ("thumbnail_offset", "thumbnail_bytes", "hull_distance", "n_active")
    maps = ("map_tsne_x", "map_tsne_y", "map_umap_x", "map_umap_y")
    return frame.assign(**dict.fromkeys((*empty, *maps)))


def _write_tables(session: Session, data: TrainingData, loaded: LoadedImages) -> None:
    writer = session.writer
    frame = images_frame(data)
    if loaded.thumbnails is not None:
        bounds = np.asarray(loaded.thumbnails.bounds)
        writer.write_bytes("thumbnails.bin", loaded.thumbnails.data.tobytes())
        frame["thumbnail_offset"] = bounds[:, 0]
        frame["thumbnail_bytes"] = bounds[:, 1] - bounds[:, 0]
    writer.write_table("images", frame)
    writer.write_table(
        "attributes",
        pd.DataFrame(
            {
                "attribute_index": np.arange(data.n_attributes, dtype=np.int16),
                "name": data.dataset.attributes,
                "group": None,
                "prevalence_given": prevalence(data.given),
                "prevalence_verified": prevalence(data.verified),
            }
        ),
    )
    writer.write_array("labels_given", data.given)
    writer.write_array("labels_true", data.true)


def prevalence(labels: np.ndarray) -> np.ndarray:
    """Share of positives among the known labels of each attribute, (L,); NaN where none is."""
    known = (labels >= 0).sum(axis=0)
    return np.divide(
        (labels == 1).sum(axis=0), known, out=np.full(len(known), np.nan), where=known > 0
    )
