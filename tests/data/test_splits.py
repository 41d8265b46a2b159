"""Splitting: disjoint, complete, fixed by the seed, and true to clean.csv's own split."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfml.data.dataset import Dataset, DatasetError
from selfml.data.splits import Splits, make_splits
from tests.data import random_labels


def catalogue(n: int, n_clean: int, split: str | list[str] = "", n_attributes: int = 4) -> Dataset:
    """N rows, of which the first ``n_clean`` are verified; no files."""
    labels = random_labels(n, n_attributes, seed=1)
    is_clean = np.arange(n) < n_clean
    clean_split = np.full(n, "", object)
    clean_split[:n_clean] = split
    return Dataset(
        root=Path("nowhere"),
        file_names=np.array([f"{i}.png" for i in range(n)], object),
        categories=None,
        attributes=tuple(f"a{j}" for j in range(n_attributes)),
        labels_given=labels,
        labels_verified=np.where(is_clean[:, None], labels, -1).astype(np.int8),
        is_clean=is_clean,
        clean_split=clean_split,
        labels_truth=None,
        labels_file=Path("nowhere/labels.csv"),
    )


def parts(splits: Splits) -> tuple[np.ndarray, ...]:
    return splits.noisy_train, splits.noisy_test, splits.clean_train, splits.clean_test


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.integers(60, 200), st.integers(20, 55), st.integers(0, 2**32), st.data())
def test_the_four_parts_are_disjoint_and_complete(n, n_clean, seed, data):
    split = data.draw(st.lists(st.sampled_from(["train", "test", ""]), min_size=20, max_size=20))
    split += ["train"] * 10
    split += ["test"]
    dataset = catalogue(n, n_clean=max(n_clean, 31), split="")
    dataset.clean_split[:31] = split
    samples = data.draw(st.none() | st.integers(10, 60))
    splits = make_splits(dataset, clean_samples=samples, seed=seed)
    together = np.concatenate(parts(splits))
    np.testing.assert_array_equal(np.sort(together), np.arange(n))
    for rows in parts(splits):
        assert rows.dtype == np.int64
        assert (np.diff(rows) > 0).all()
    assert dataset.is_clean[splits.clean_train].all()
    assert dataset.is_clean[splits.clean_test].all()
    assert not dataset.is_clean[splits.noisy_test].any()
    assert not set(np.flatnonzero(dataset.clean_split == "test")) - set(splits.clean_test)
    assert not set(np.flatnonzero(dataset.clean_split == "train")) & set(splits.clean_test)
    if samples is not None:
        whole = make_splits(dataset, clean_samples=None, seed=seed)
        assert len(splits.clean_train) == min(samples, len(whole.clean_train))


def test_sizes_by_hand():
    """100 clean: 25 test. 300 noisy: 75 test. 30 of 75 clean train; the other 45 are noisy."""
    splits = make_splits(catalogue(400, 100), clean_samples=30, seed=0)
    assert [len(rows) for rows in parts(splits)] == [225 + 45, 75, 30, 25]
    splits = make_splits(catalogue(400, 100), clean_samples=None, test_fraction=0.1, seed=0)
    assert [len(rows) for rows in parts(splits)] == [270, 30, 90, 10]


def test_the_split_of_the_file_wins():
    dataset = catalogue(100, 40, split=["train"] * 15 + ["test"] * 25)
    for seed in range(3):
        splits = make_splits(dataset, clean_samples=None, seed=seed)
        assert splits.clean_train.tolist() == list(range(15))
        assert splits.clean_test.tolist() == list(range(15, 40))


def test_the_seed_decides_and_budgets_are_nested():
    """A smaller clean budget is part of a larger; test rows and noisy split stay."""
    dataset = catalogue(600, 300, n_attributes=8)
    small, large, whole = (make_splits(dataset, clean_samples=k, seed=5) for k in (20, 80, None))
    assert set(small.clean_train) < set(large.clean_train) < set(whole.clean_train)
    for splits in (small, large):
        np.testing.assert_array_equal(splits.clean_test, whole.clean_test)
        np.testing.assert_array_equal(splits.noisy_test, whole.noisy_test)
    again = make_splits(dataset, clean_samples=20, seed=5)
    for a, b in zip(parts(small), parts(again), strict=True):
        np.testing.assert_array_equal(a, b)
    other = make_splits(dataset, clean_samples=20, seed=6)
    assert set(other.clean_train) != set(small.clean_train)
    assert set(other.clean_test) != set(small.clean_test)


@pytest.mark.parametrize("seed", range(20))
def test_rare_attributes_keep_a_positive(seed):
    """Ten attributes with one positive each in 500 rows: all are in a draw of 20."""
    dataset = catalogue(600, 500, split="train", n_attributes=12)
    dataset.clean_split[480:500] = "test"
    dataset.labels_verified[:, :10] = np.where(dataset.is_clean[:, None], 0, -1)
    dataset.labels_verified[np.arange(10) * 40, np.arange(10)] = 1
    splits = make_splits(dataset, clean_samples=20, seed=seed)
    assert (dataset.labels_verified[splits.clean_train] == 1).any(axis=0).all()
    assert len(splits.clean_train) == 20


def test_the_draw_is_even_over_rows():
    """Over 400 seeds every row is drawn about as often as the next (expected 80 of 400)."""
    dataset = catalogue(120, 110, split=["train"] * 100 + ["test"] * 10)
    times = np.zeros(120)
    for seed in range(400):
        times[make_splits(dataset, clean_samples=20, seed=seed).clean_train] += 1
    assert times[:100].sum() == 400 * 20
    assert times[:100].min() > 45
    assert times[:100].max() < 130


@pytest.mark.parametrize(
    ("dataset", "samples", "message"),
    [
        (catalogue(50, 9, "train"), None, "clean.csv: 9 train rows; training needs at least 10"),
        (catalogue(50, 20, "test"), None, "clean.csv: 0 train rows"),
        (catalogue(50, 20, "train"), None, "clean.csv: no test row"),
        (catalogue(50, 12), 500, "clean.csv: 9 train rows; training needs at least 10"),
        (catalogue(20, 20), None, "labels.csv: every image is verified"),
        (catalogue(20, 20), 500, "labels.csv: every image is verified"),
    ],
)
def test_too_few_rows(dataset, samples, message):
    with pytest.raises(DatasetError) as caught:
        make_splits(dataset, clean_samples=samples, seed=0)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("samples", [75, 76, 500])
def test_a_budget_above_the_clean_rows_uses_them_all(samples):
    """100 clean rows, 75 of them train: what the paper's 500 does is what None does."""
    dataset = catalogue(150, 100)
    splits = make_splits(dataset, clean_samples=samples, seed=3)
    assert [len(rows) for rows in parts(splits)] == [38, 12, 75, 25]
    whole = make_splits(dataset, clean_samples=None, seed=3)
    for a, b in zip(parts(splits), parts(whole), strict=True):
        np.testing.assert_array_equal(a, b)


def test_all_verified_is_fine_with_a_budget():
    splits = make_splits(catalogue(20, 20), clean_samples=10, seed=0)
    assert [len(rows) for rows in parts(splits)] == [5, 0, 10, 5]


def test_arguments_out_of_range():
    for fraction in (0, 1, -0.5):
        with pytest.raises(ValueError, match=r"test_fraction: .* is not between 0 and 1"):
            make_splits(catalogue(50, 20), clean_samples=None, test_fraction=fraction, seed=0)
    with pytest.raises(ValueError, match="clean_samples: 9 is below 10"):
        make_splits(catalogue(50, 20), clean_samples=9, seed=0)
