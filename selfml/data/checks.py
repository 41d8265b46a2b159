"""Check a dataset before training: what is there, what is odd, what training could not survive.

An error is what training could not survive or what would quietly be wrong: a file or cell that
breaks a rule, over 5 % unreadable images, fewer than 10 clean train rows or no clean test row, an
attribute never 1 in the given and in the verified labels (its output has nothing to learn and no
measure is defined). The rest is a warning: an attribute with no verified 1 is trained on its given
labels, yet cannot be measured; unlisted images and rows are ignored. These lines are our choice.
"""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from selfml.data.check_report import CheckReport
from selfml.data.dataset import Dataset, DatasetError, scan_dataset
from selfml.data.decoding import ImageFacts, for_each_image, probe_image
from selfml.data.image_cache import MAX_UNREADABLE_FRACTION
from selfml.data.messages import quote, several, some
from selfml.data.splits import MIN_CLEAN_TRAIN, make_splits
from selfml.data.storage import list_image_files


def check_dataset(
    root: str | Path,
    *,
    sample: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    n_workers: int = 2,
    seed: int = 0,
) -> CheckReport:
    """Read a dataset, decode its images to their ends and list every problem.

    Parameters
    ----------
    root : str or Path
        The dataset folder.
    sample : int, optional
        Decode this many images, drawn by ``seed``, in place of all.
    progress : callable, optional
        Called as ``progress(n_done, n_to_decode)``.
    n_workers : int
        Decoding threads.
    """
    scan = scan_dataset(root)
    errors, warnings = list(scan.errors), list(scan.warnings)
    counts: dict[str, int | float] = {}
    attributes, unreadable = attribute_table(None), ()
    if scan.dataset is not None:
        dataset = scan.dataset
        attributes = attribute_table(dataset)
        counts |= _count_labels(dataset)
        warnings += _label_warnings(dataset, attributes)
        errors += _split_errors(dataset)
        counts["n_images_without_row"] = _note_unlisted(dataset, warnings)
        facts, unreadable = _decode_all(dataset, sample, progress, n_workers, seed)
        counts |= _count_images(facts, unreadable)
        errors += _unreadable_errors(dataset, counts, unreadable)
    counts |= scan.counts
    counts["n_errors"] = len(errors) + scan.n_errors - len(scan.errors)
    return CheckReport(
        Path(root), tuple(errors), tuple(warnings), counts, attributes, tuple(unreadable)
    )


def attribute_table(dataset: Dataset | None) -> pd.DataFrame:
    """Return the prevalence of every attribute, see `CheckReport`; no rows for None."""
    columns: dict[str, object] = {"attribute": [] if dataset is None else list(dataset.attributes)}
    for kind in ("given", "verified"):
        empty = np.zeros((0, 0), np.int8)
        labels = empty if dataset is None else getattr(dataset, f"labels_{kind}")
        positive, known = (labels == 1).sum(axis=0), (labels >= 0).sum(axis=0)
        columns[f"{kind}_positive"] = positive
        columns[f"{kind}_known"] = known
        columns[f"{kind}_prevalence_fraction"] = np.where(
            known > 0, positive / np.maximum(known, 1), np.nan
        )
    return pd.DataFrame(columns)


def _count_labels(dataset: Dataset) -> dict[str, int | float]:
    clean = dataset.is_clean
    counts: dict[str, int | float] = {
        "n_images": dataset.n_images,
        "n_attributes": dataset.n_attributes,
        "n_categories": 0,
        "labels_per_image_given": float((dataset.labels_given == 1).sum(axis=1).mean()),
        "labels_per_image_verified": float(
            (dataset.labels_verified[clean] == 1).sum(axis=1).mean()
        ),
        "n_unknown_given": int((dataset.labels_given < 0).sum()),
        "n_clean": int(clean.sum()),
    }
    if dataset.categories is not None:
        counts["n_categories"] = len(set(dataset.categories) - {""})
        counts["n_images_without_category"] = int((dataset.categories == "").sum())
    for split in ("train", "test"):
        counts[f"n_clean_{split}"] = int((dataset.clean_split == split).sum())
    counts["n_clean_without_split"] = int((clean & (dataset.clean_split == "")).sum())
    if dataset.labels_truth is not None:
        counts["n_truth"] = int((dataset.labels_truth >= 0).any(axis=1).sum())
    return counts


def _label_warnings(dataset: Dataset, table: pd.DataFrame) -> list[str]:
    """Return what training survives, but whoever reads its results should know."""
    warnings = []
    never = table["verified_positive"].to_numpy() == 0
    groups = [("clean.csv", never, "there is nothing to measure, nor flips to learn")]
    for split, effect in (
        ("train", "no flips are learned"),
        ("test", "there is nothing to measure"),
    ):
        rows = dataset.clean_split == split
        if rows.any():
            absent = ~(dataset.labels_verified[rows] == 1).any(axis=0) & ~never
            groups.append((f"the {split} rows of clean.csv", absent, effect))
    for place, absent, effect in groups:
        names = [dataset.attributes[j] for j in np.flatnonzero(absent)]
        if names:
            warnings.append(
                f"{several(len(names), 'attribute is', 'attributes are')} never 1 in {place}, so "
                f"{effect}: {some(names)}. Verify images that have them."
            )
    if dataset.is_clean.all():
        warnings.append(
            "clean.csv: every image is verified, and training needs noisy ones: it stops unless "
            "data.clean_samples is below the number of train rows. List unverified images too."
        )
    return warnings


def _split_errors(dataset: Dataset) -> list[str]:
    """Return why no split could be made, at the smallest clean budget there is."""
    try:
        make_splits(dataset, clean_samples=MIN_CLEAN_TRAIN, seed=0)
    except DatasetError as error:
        return [str(error)]
    return []


def _note_unlisted(dataset: Dataset, warnings: list[str]) -> int:
    """Return how many stored images have no row, with a warning that names the first."""
    in_folder = list_image_files(dataset.root)
    if dataset.parquet is not None and in_folder:
        warnings.append(
            "images.parquet is read, so "
            f"{several(len(in_folder), 'image file beside it is', 'image files beside it are')} "
            "ignored."
        )
    stored = in_folder if dataset.parquet is None else set(dataset.parquet.rows)
    unlisted = sorted(stored - set(dataset.file_names))
    if unlisted:
        none = f"no row in {dataset.labels_file.name} and"
        warnings.append(
            f"{several(len(unlisted), f'image has {none} is', f'images have {none} are')} ignored, "
            f"such as {quote(unlisted[0])}."
        )
    return len(unlisted)


def _decode_all(
    dataset: Dataset, sample: int | None, progress, n_workers: int, seed: int
) -> tuple[list[ImageFacts], list[tuple[str, str]]]:
    if sample is not None and sample < dataset.n_images:
        rows = np.random.default_rng(seed).choice(dataset.n_images, max(1, sample), replace=False)
        dataset = dataset.take(np.sort(rows))
    facts: list[ImageFacts] = []
    unreadable: list[tuple[str, str]] = []

    def note(index: int, result: object) -> None:
        if isinstance(result, ImageFacts):
            facts.append(result)
        else:
            unreadable.append((str(dataset.file_names[index]), str(result)))
        if progress is not None:
            progress(len(facts) + len(unreadable), dataset.n_images)

    for_each_image(dataset, probe_image, note, n_workers)
    return facts, unreadable


def _count_images(facts: list[ImageFacts], unreadable) -> dict[str, int | float]:
    counts: dict[str, int | float] = {
        "n_images_decoded": len(facts) + len(unreadable),
        "n_unreadable": len(unreadable),
    }
    formats = Counter(fact.format for fact in facts)
    counts |= {f"n_{name.lower()}": n for name, n in sorted(formats.items())}
    if facts:
        counts["shortest_side_px"] = min(min(f.width_px, f.height_px) for f in facts)
        counts["longest_side_px"] = max(max(f.width_px, f.height_px) for f in facts)
    return counts


def _unreadable_errors(dataset: Dataset, counts, unreadable) -> list[str]:
    n, total = len(unreadable), counts["n_images_decoded"]
    if n <= MAX_UNREADABLE_FRACTION * total:
        return []
    first = "; ".join(f"{quote(name)}: {reason}" for name, reason in unreadable[:3])
    return [
        f"{dataset.labels_file.name}: {n} of {total} images are unreadable, the limit is "
        f"{MAX_UNREADABLE_FRACTION:.0%} ({first}). Replace them or remove their rows."
    ]
