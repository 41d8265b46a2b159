"""A synthetic garment catalogue with the shape of the paper's, to try everything on at once.

Section 3 of the paper: dresses, jackets, knitwear and tops, 17 attributes, 3.40 true labels an
image but 1.28 given ones, 5 % of the images verified and split 75 | 25. The paper's photographs are
not public; here labels are drawn first (``garment_labels``), then pictures (``garment_drawing``).
"""

import csv
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from selfml.data.garment_drawing import SIZE_RANGE_PX, draw_garment
from selfml.data.garment_labels import ATTRIBUTES, CATEGORIES, CatalogueLabels, draw_labels

__all__ = [
    "ATTRIBUTES",
    "CATEGORIES",
    "CatalogueLabels",
    "CatalogueSummary",
    "draw_garment",
    "draw_image",
    "draw_labels",
    "write_catalogue",
]

N_IMAGES_LEAST = 40
N_CLEAN_LEAST = 4
TRAIN_SHARE = 0.75  # of the clean set: paper, section 3
JPEG_QUALITY = 90
_BATCH = 200


@dataclass(frozen=True)
class CatalogueSummary:
    """What ``write_catalogue`` wrote.

    Attributes
    ----------
    folder : Path
    n_images, n_clean_train, n_clean_test : int
        The clean images are among ``n_images``; the extra test rows count as test.
    mean_labels_true, mean_labels_given : float
        Positive labels an image.
    """

    folder: Path
    n_images: int
    n_clean_train: int
    n_clean_test: int
    mean_labels_true: float
    mean_labels_given: float


def write_catalogue(
    out: Path,
    *,
    n_images: int,
    size_px: int = 64,
    seed: int = 0,
    clean_fraction: float = 0.05,
    extra_test: int = 0,
    n_workers: int = 1,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> CatalogueSummary:
    """Draw a catalogue into a folder: images, given labels, a clean set and the truth.

    ``out`` gets ``images/<category>/<id>.jpg`` and three tables whose first column, ``file_name``,
    is the path below ``out``: ``labels.csv`` (category and given labels of all images),
    ``clean.csv`` (split and true labels of the verified images) and ``truth.csv`` (true labels of
    all, for measuring only). The tables come last, each whole, and ``labels.csv`` last of all: a
    folder without it was interrupted.

    Parameters
    ----------
    out : Path
        Folder that does not exist yet or is empty.
    n_images : int
        At least 40.
    size_px : int
        Side of the images, 32 to 224.
    seed : int
        Not negative. Image i depends on ``(seed, i)`` only, not on ``n_images`` or ``n_workers``.
    clean_fraction : float
        Share of the images that is verified, above 0 and at most 1; at least 4 images are, 75 % of
        them for training.
    extra_test : int
        Further verified images, all for testing, so that measures have narrow intervals.
    n_workers : int
        Processes that draw, at least 1.
    resume : bool
        Go on in a folder where the same call was interrupted; images that are there are kept.
    progress : callable, optional
        Called with (images done, images in all), about every 200 images.

    Returns
    -------
    CatalogueSummary

    Raises
    ------
    ValueError
        In one line, for an argument out of its range or an ``out`` that is not empty.
    """
    out = Path(out)
    _check(out, n_images, size_px, seed, clean_fraction, n_workers, resume)
    n_clean = max(N_CLEAN_LEAST, round(clean_fraction * n_images))
    if not 0 <= extra_test <= n_images - n_clean:
        raise ValueError(
            f"extra_test must be from 0 to {n_images - n_clean} (the images that are not in the "
            f"clean set), got {extra_test}: lower it or raise n_images"
        )
    labels = draw_labels(n_images, seed)
    names = [_file_name(labels.category_index[i], i) for i in range(n_images)]
    for category in CATEGORIES:
        (out / "images" / category).mkdir(parents=True, exist_ok=True)
    _write_images(out, names, labels, size_px, seed, n_workers, progress)
    n_train = round(TRAIN_SHARE * n_clean)
    _write_tables(out, names, labels, n_train, n_clean + extra_test)
    return CatalogueSummary(
        folder=out,
        n_images=n_images,
        n_clean_train=n_train,
        n_clean_test=n_clean + extra_test - n_train,
        mean_labels_true=float(labels.labels_true.sum(axis=1).mean()),
        mean_labels_given=float(labels.labels_given.sum(axis=1).mean()),
    )


def _check(
    out: Path,
    n_images: int,
    size_px: int,
    seed: int,
    clean_fraction: float,
    n_workers: int,
    resume: bool,
) -> None:
    """Refuse arguments out of range, each with its rule and the next step."""
    low, high = SIZE_RANGE_PX
    if n_images < N_IMAGES_LEAST:
        raise ValueError(
            f"n_images must be at least {N_IMAGES_LEAST}, got {n_images}: ask for more images"
        )
    if not low <= size_px <= high:
        raise ValueError(
            f"size_px must be from {low} to {high}, got {size_px}: choose a size in that range"
        )
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}: choose 0 or more")
    if not 0 < clean_fraction <= 1:
        raise ValueError(
            f"clean_fraction must be above 0 and at most 1, got {clean_fraction}: try 0.05"
        )
    if n_workers < 1:
        raise ValueError(f"n_workers must be at least 1, got {n_workers}: choose 1 or more")
    unfinished = resume and not (out / "labels.csv").exists()
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not unfinished)):
        raise ValueError(
            f"out must be a new or an empty folder, got {out}: choose another or empty it"
        )


def _file_name(category_index: int, index: int) -> str:
    return f"images/{CATEGORIES[category_index]}/{index:06d}.jpg"


def draw_image(labels: CatalogueLabels, index: int, *, seed: int, size_px: int) -> np.ndarray:
    """Draw image ``index`` of the catalogue of a seed.

    Parameters
    ----------
    labels : CatalogueLabels
        From ``draw_labels`` with the same seed.
    index : int
        Row of ``labels``.
    seed : int
        The catalogue's.
    size_px : int
        32 to 224.

    Returns
    -------
    ndarray of uint8, (size_px, size_px, 3)
    """
    return _draw(labels.category_index[index], labels.labels_true[index], index, seed, size_px)


def _draw(
    category: int, labels_true: np.ndarray, index: int, seed: int, size_px: int
) -> np.ndarray:
    attributes = [ATTRIBUTES[k] for k in np.flatnonzero(labels_true)]
    rng = np.random.default_rng((seed, index, 1))
    return draw_garment(CATEGORIES[category], attributes, rng, size_px)


def _write_images(
    out: Path,
    names: list[str],
    labels: CatalogueLabels,
    size_px: int,
    seed: int,
    n_workers: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    jobs = [
        (start, names[start : start + _BATCH], labels.category_index[start : start + _BATCH],
         labels.labels_true[start : start + _BATCH])
        for start in range(0, len(names), _BATCH)
    ]  # fmt: skip
    work = partial(_write_batch, out=out, size_px=size_px, seed=seed)
    done = 0
    with _pool(n_workers) as run:
        for count in run(work, jobs):
            done += count
            if progress is not None:
                progress(done, len(names))


@contextmanager
def _pool(n_workers: int) -> Iterator[Callable]:
    """Give a map function: the built-in one, or that of a pool of processes."""
    if n_workers == 1:
        yield map
        return
    # Fresh interpreters: a fork of a process that runs TensorFlow's threads may hang.
    with ProcessPoolExecutor(n_workers, mp_context=get_context("spawn")) as pool:
        try:
            yield pool.map
        except BaseException:  # such as Ctrl-C: else what is left would be drawn first
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _write_batch(job: tuple, *, out: Path, size_px: int, seed: int) -> int:
    """Draw and write the images of one batch; return how many."""
    start, names, categories, labels_true = job
    for k, name in enumerate(names):
        if (out / name).exists():  # of an interrupted call: only whole images have their name
            continue
        pixels = _draw(categories[k], labels_true[k], start + k, seed, size_px)
        unfinished = (out / name).with_suffix(".part")
        Image.fromarray(pixels).save(unfinished, "JPEG", quality=JPEG_QUALITY)
        os.replace(unfinished, out / name)
    return len(names)


def _write_tables(
    out: Path, names: list[str], labels: CatalogueLabels, n_train: int, n_verified: int
) -> None:
    """Write truth.csv, clean.csv and, last, labels.csv."""
    truth, given = labels.labels_true.tolist(), labels.labels_given.tolist()
    category = [CATEGORIES[k] for k in labels.category_index]
    rank = labels.verification_rank
    verified = np.flatnonzero(rank < n_verified)
    split = {i: "train" if rank[i] < n_train else "test" for i in verified}
    everything = range(len(names))
    _write_csv(
        out / "truth.csv",
        ("file_name", *ATTRIBUTES),
        ((names[i], *truth[i]) for i in everything),
    )
    _write_csv(
        out / "clean.csv",
        ("file_name", "split", *ATTRIBUTES),
        ((names[i], split[i], *truth[i]) for i in verified),
    )
    _write_csv(
        out / "labels.csv",
        ("file_name", "category", *ATTRIBUTES),
        ((names[i], category[i], *given[i]) for i in everything),
    )


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterator[tuple]) -> None:
    """Write a table under a temporary name, then rename it."""
    unfinished = path.with_suffix(".csv.part")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
    os.replace(unfinished, path)
