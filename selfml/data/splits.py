"""Split a dataset into noisy and clean, train and test (paper, section 3).

Notation: noisy images carry the given labels only; clean images (C) also verified ones.
"""

from dataclasses import dataclass

import numpy as np

from selfml.data.dataset import Dataset, DatasetError

MIN_CLEAN_TRAIN = 10  # our choice: below this no rate and no flip can be estimated


@dataclass(frozen=True, eq=False)
class Splits:
    """Four increasing int64 arrays of dataset rows: disjoint, and together every row.

    Attributes
    ----------
    noisy_train, noisy_test : numpy.ndarray
        Rows to be used with their given labels only. Verified rows beyond the clean budget are in
        ``noisy_train``; their verified labels must not be used but to calibrate
        the confidence of flips (`selfml.trust`).
    clean_train, clean_test : numpy.ndarray
        Rows with verified labels to learn from, and to measure on and nothing else.
    """

    noisy_train: np.ndarray
    noisy_test: np.ndarray
    clean_train: np.ndarray
    clean_test: np.ndarray


def make_splits(
    dataset: Dataset, *, clean_samples: int | None, test_fraction: float = 0.25, seed: int
) -> Splits:
    """Split the rows: ``clean.csv``'s own split first, seeded draws for the rest.

    Clean rows without a split, and the noisy images, are drawn 75/25. Of the clean train rows
    at most ``clean_samples`` are drawn (all where there are fewer); the others are used as noisy
    ones. The draw is a plain one, except
    (our choice) that an attribute with a verified 1 among the clean train rows keeps at least one
    wherever ``clean_samples`` allows, for the rate at which it is noted would else be a guess.
    With one seed a smaller draw is part of a larger one, and neither the clean test rows nor the
    noisy split depend on ``clean_samples``, so that budgets can be compared.

    Parameters
    ----------
    dataset : Dataset
    clean_samples : int or None
        Most clean train rows to use, at least 10; None for all of them. Paper: 500.
    test_fraction : float
        Fraction drawn for test, in (0, 1). Paper: 75/25.
    seed : int
        Non-negative.

    Raises
    ------
    DatasetError
        Fewer than 10 clean train rows, no clean test row, or no image left as noisy.
    ValueError
        ``test_fraction`` or ``clean_samples`` outside its range.
    """
    _check_arguments(clean_samples, test_fraction)
    clean_rng, noisy_rng, sample_rng = np.random.default_rng(seed).spawn(3)
    clean = np.flatnonzero(dataset.is_clean)
    split = dataset.clean_split[clean]
    undecided = clean[split == ""]
    drawn_train, drawn_test = _draw(undecided, test_fraction, clean_rng)
    train = np.sort(np.concatenate([clean[split == "train"], drawn_train]))
    clean_test = np.sort(np.concatenate([clean[split == "test"], drawn_test]))
    _check_clean(train, clean_test)
    order = _sampling_order(dataset.labels_verified[train] == 1, sample_rng)
    clean_train = np.sort(train[order[:clean_samples]])
    noisy_train, noisy_test = _draw(np.flatnonzero(~dataset.is_clean), test_fraction, noisy_rng)
    noisy_train = np.sort(np.concatenate([noisy_train, np.setdiff1d(train, clean_train)]))
    if not len(noisy_train):
        raise DatasetError(
            f"{dataset.labels_file.name}: every image is verified, so there is no noisy one to "
            "learn from. List unverified images too, or set data.clean_samples to use fewer."
        )
    arrays = (noisy_train, noisy_test, clean_train, clean_test)
    return Splits(*(rows.astype(np.int64) for rows in arrays))


def require_both_kinds(dataset: Dataset, splits: Splits) -> None:
    """Refuse clean training images that show one kind of label alone.

    Raises
    ------
    DatasetError
        Where no verified label of them is 1, or none is 0.
    """
    verified = dataset.labels_verified[splits.clean_train]
    if not (verified == 1).any() or not (verified == 0).any():
        raise DatasetError(
            "clean.csv: the clean training images have no verified 1 or no verified 0; "
            "verify images of both kinds"
        )


def _check_arguments(clean_samples: int | None, test_fraction: float) -> None:
    if not 0 < test_fraction < 1:
        raise ValueError(
            f"test_fraction: {test_fraction} is not between 0 and 1. Give a fraction such as 0.25."
        )
    if clean_samples is not None and clean_samples < MIN_CLEAN_TRAIN:
        raise ValueError(
            f"clean_samples: {clean_samples} is below {MIN_CLEAN_TRAIN}, too few to learn from. "
            f"Give {MIN_CLEAN_TRAIN} or more, or none to use every row."
        )


def _check_clean(train: np.ndarray, test: np.ndarray) -> None:
    if len(train) < MIN_CLEAN_TRAIN:
        raise DatasetError(
            f"clean.csv: {len(train)} train rows; training needs at least {MIN_CLEAN_TRAIN}. "
            "Verify more images, or mark fewer as test in the column 'split'."
        )
    if not len(test):
        raise DatasetError(
            "clean.csv: no test row, so nothing could be measured. Mark some rows 'test' in the "
            "column 'split', or leave it blank to have them drawn."
        )


def _draw(
    rows: np.ndarray, test_fraction: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return (train, test), each increasing; ``round(test_fraction * n)`` rows are test."""
    n_test = round(test_fraction * len(rows))
    shuffled = rng.permutation(rows)
    return np.sort(shuffled[n_test:]), np.sort(shuffled[:n_test])


def _sampling_order(positive: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a random order of the rows of ``positive`` (n, L) whose start covers the attributes.

    Rows that are the first of a plain shuffle to show some attribute come first, the others follow
    in the shuffle's order: any prefix is the shuffle's own, but for the rows moved up.
    """
    order = rng.permutation(len(positive))
    shuffled = positive[order]
    first = np.unique(shuffled.argmax(axis=0)[shuffled.any(axis=0)])
    is_first = np.zeros(len(order), bool)
    is_first[first] = True
    return np.concatenate([order[is_first], order[~is_first]])
