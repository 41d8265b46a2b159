"""Reading a dataset folder: what is accepted round-trips."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfml.data.dataset import DatasetError, read_dataset, scan_dataset
from tests.data import CELLS, photo, random_labels, write_csv, write_dataset
from tests.data.cases import BASE, fails, write

PRINTABLE = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"))
ATTRIBUTE = st.text(PRINTABLE, min_size=1, max_size=12).filter(
    lambda s: s == s.strip() and s not in ("file_name", "category", "split")
)

# What is accepted


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.lists(ATTRIBUTE, min_size=1, max_size=6, unique=True),
    st.integers(1, 12),
    st.integers(0, 2**32 - 1),
    st.booleans(),
    st.booleans(),
)
def test_any_labels_round_trip(attributes, n, seed, shuffle_columns, mark):
    """Any names (commas, quotes, formulas, scripts) and labels come back exactly, in order."""
    rng = np.random.default_rng(seed)
    labels = random_labels(n, len(attributes), seed, 0.3)
    labels[0] = 1
    truth = rng.choice([-1, 0, 1], labels.shape).astype(np.int8)
    clean = rng.permutation(n)[: max(1, n // 2)]
    split = rng.choice(["train", "test", ""], len(clean))
    order = rng.permutation(len(attributes)) if shuffle_columns else np.arange(len(attributes))
    names = [f"sub {i % 2}/ä{i}.jpg" for i in rng.permutation(n)]
    encoding = "utf-8-sig" if mark else "utf-8"
    with tempfile.TemporaryDirectory() as text:
        root = Path(text)
        rows = [[names[i], f"c{i % 3}", *(CELLS[v] for v in labels[i])] for i in range(n)]
        write_csv(
            root / "labels.csv", ["file_name", "category", *attributes], rows, encoding=encoding
        )
        header = ["file_name", *(attributes[j] for j in order)]
        rows = [
            [names[i], *(CELLS[v] for v in truth[i, order]), part]
            for i, part in zip(clean, split, strict=True)
        ]
        write_csv(root / "clean.csv", [*header, "split"], rows)
        rows = [[names[i], *(CELLS[v] for v in truth[i, order])] for i in rng.permutation(n)]
        write_csv(root / "truth.csv", header, rows)
        dataset = read_dataset(root)
    assert dataset.attributes == tuple(attributes)
    assert list(dataset.file_names) == names
    assert list(dataset.categories) == [f"c{i % 3}" for i in range(n)]
    np.testing.assert_array_equal(dataset.labels_given, labels)
    np.testing.assert_array_equal(dataset.labels_truth, truth)
    np.testing.assert_array_equal(np.flatnonzero(dataset.is_clean), np.sort(clean))
    np.testing.assert_array_equal(dataset.labels_verified[clean], truth[clean])
    assert (dataset.labels_verified[~dataset.is_clean] == -1).all()
    np.testing.assert_array_equal(dataset.clean_split[clean], split)
    assert (dataset.clean_split[~dataset.is_clean] == "").all()
    assert dataset.labels_given.dtype == dataset.labels_verified.dtype == np.int8


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=200))
def test_no_bytes_give_anything_but_a_dataset_error(data):
    """Whatever labels.csv holds, reading it is a DatasetError of one line."""
    with tempfile.TemporaryDirectory() as text:
        root = write_dataset(Path(text), BASE)
        (root / "labels.csv").write_bytes(data)
        assert "labels.csv" in fails(root)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=20))
def test_any_cell_is_a_label_or_an_error(cell):
    """A label cell is 0, 1, 0.0, 1.0 or blank; all else is an error at its row and column."""
    with tempfile.TemporaryDirectory() as text:
        root = Path(text)
        write_csv(root / "labels.csv", ["file_name", "a"], [["x.jpg", "1"], ["y.jpg", cell]])
        write_csv(root / "clean.csv", ["file_name", "a"], [["x.jpg", "1"]])
        known = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "": -1}.get(cell.strip())
        if known is None:
            fails(root, "labels.csv, row 3, column 'a'", "0, 1 or blank", "Correct the cell")
        else:
            assert read_dataset(root).labels_given[1, 0] == known


def test_counts_and_fields(folder):
    dataset = read_dataset(folder)
    assert (dataset.n_images, dataset.n_attributes) == (3, 2)
    assert dataset.labels_file == folder / "labels.csv"
    assert dataset.categories is None
    assert dataset.labels_truth is None
    assert dataset.labels_given.tolist() == BASE.tolist()
    assert "3 images are not in the folder, the first in row 2 ('000.png')" in dataset.warnings[0]


def test_metadata_csv_is_accepted(folder):
    (folder / "labels.csv").rename(folder / "metadata.csv")
    assert read_dataset(folder).labels_file.name == "metadata.csv"
    write(folder, "labels.csv", (folder / "metadata.csv").read_text())
    dataset = read_dataset(folder)
    assert dataset.labels_file.name == "labels.csv"
    assert dataset.warnings[0] == "metadata.csv is ignored, since labels.csv is there too."


def test_crlf_spaces_windows_names_and_blank_lines(folder):
    write(
        folder,
        "labels.csv",
        "\ufefffile_name , a0, a1\r\n\r\n .\\in\\000.png,1 ,\r\n001.png,0.0,1.0\r\n,,\r\n",
    )
    write(folder, "clean.csv", "file_name,a0,a1\nin/000.png,1,0\n")
    dataset = read_dataset(folder)
    assert list(dataset.file_names) == ["in/000.png", "001.png"]
    assert dataset.attributes == ("a0", "a1")
    assert dataset.labels_given.tolist() == [[1, -1], [0, 1]]
    assert dataset.is_clean.tolist() == [True, False]


def test_a_blank_category_column_is_none(folder):
    write(folder, "labels.csv", "file_name,category,a0,a1\n000.png,,1,0\n001.png, ,0,1\n")
    assert read_dataset(folder).categories is None
    write(folder, "labels.csv", "file_name,category,a0,a1\n000.png,,1,0\n001.png, T\tshirt,0,1\n")
    assert list(read_dataset(folder).categories) == ["", "T shirt"]


def test_many_attributes(tmp_path):
    labels = random_labels(30, 200, seed=1)
    np.testing.assert_array_equal(
        read_dataset(write_dataset(tmp_path, labels)).labels_given, labels
    )


def test_rows_repeated_exactly_are_dropped_with_a_warning(folder):
    write(folder, "labels.csv", "file_name,a0,a1\n0.png,1,0\n1.png,0,1\n./0.png,1.0,0\n")
    write(folder, "clean.csv", "file_name,a0,a1\n0.png,1,0\n0.png,1,0\n")
    scan = scan_dataset(folder)
    assert list(scan.dataset.file_names) == ["0.png", "1.png"]
    assert scan.counts["n_duplicate_rows"] == 2
    assert scan.warnings[0].startswith("labels.csv: 1 row repeats an earlier row exactly")
    assert "row 4 ('0.png')" in scan.warnings[0]


def test_verified_columns_that_differ_are_warned(tmp_path):
    root = write_dataset(tmp_path, BASE, attributes=["Red", "T-Shirt"])
    write(root, "clean.csv", "file_name,Red,tees,note\n000.png,1,x,seen by Jo\n")
    dataset = read_dataset(root)
    assert dataset.labels_verified[0].tolist() == [1, -1]
    extra, absent = dataset.warnings[:2]
    assert extra == (
        "clean.csv: 2 columns are not in the labels file and are ignored: 'tees', 'note'."
    )
    assert absent.startswith("clean.csv: 1 attribute has no column")
    assert "'T-Shirt'" in absent
    write(root, "clean.csv", "file_name,Red,T-Shirt,note\n000.png,1,1,seen by Jo\n")
    assert read_dataset(root).warnings[0] == (
        "clean.csv: 1 column is not in the labels file and is ignored: 'note'."
    )


NAMES = "file_name,Red,sleeveless,v-neck,Long Sleeve"


@pytest.fixture
def four(tmp_path) -> Path:
    root = write_dataset(tmp_path, BASE, attributes=["Red", "long"])
    write(root, "labels.csv", f"{NAMES}\n000.png,1,1,1,1\n001.png,0,1,0,1\n002.png,1,0,0,1\n")
    return root


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        *(("sleevless", "sleeveless"), ("sleeeveless", "sleeveless"), ("red", "Red")),
        *(("sleevelses", "sleeveless"), ("Lnog Sleeve", "Long Sleeve"), ("v-nekc", "v-neck")),
        *(("V-neck", "v-neck"), ("v neck", "v-neck"), ("long_sleeve", "Long Sleeve")),
    ],
)
def test_a_misspelt_column_of_what_was_verified_is_an_error(four, name, meant):
    """Its labels would not count."""
    write(four, "clean.csv", f"{NAMES.replace(meant, name)}\n000.png,1,0,1,1\n")
    with pytest.raises(DatasetError) as caught:
        read_dataset(four)
    assert str(caught.value) == (
        f"clean.csv, row 1: column '{name}' is not in the labels file, whose '{meant}' has "
        "no column here. Write it alike if it is the same; if not, remove the column."
    )
    write(four, "clean.csv", f"{NAMES}\n000.png,1,0,1,1\n")
    write(four, "truth.csv", f"{NAMES.replace(meant, name)}\n000.png,1,0,1,1\n")
    assert any(f"'{name}'" in warning for warning in read_dataset(four).warnings)


@pytest.mark.parametrize(
    ("given", "here"),
    [
        *(("symmetric", "asymmetric"), ("washed", "unwashed"), ("short", "shorts")),
        *(("v-neck", "u-neck"), ("size_10", "size_11"), ("pattern_1", "pattern_12")),
        *(("with sleeves", "without sleeves"), ("size 1x0", "size 110")),
        *(("size_12", "size_21"), ("a1", "1a"), ("abcd", "badc"), ("sleeves", "sseevel")),
    ],
)
def test_names_that_are_merely_alike_may_be_two_attributes(tmp_path, given, here):
    root = write_dataset(tmp_path, BASE, attributes=["Red", "long"])
    write(root, "labels.csv", f"file_name,Red,{given}\n000.png,1,1\n001.png,0,1\n002.png,1,0\n")
    write(root, "clean.csv", f"file_name,Red,{here}\n000.png,1,0\n")
    assert f"'{here}'" in read_dataset(root).warnings[0]
    write(root, "clean.csv", f"file_name,Red,{given},{here}\n000.png,1,0,1\n")
    assert f"'{here}'" in read_dataset(root).warnings[0]


def test_verified_rows_without_an_image_are_ignored(folder):
    write(folder, "clean.csv", "file_name,a0,a1\n000.png,1,0\nother.png,1,1\n")
    write(folder, "truth.csv", "file_name,a0,a1\n002.png,0,1\nanother.png,1,1\n")
    scan = scan_dataset(folder)
    assert scan.dataset.is_clean.tolist() == [True, False, False]
    assert scan.dataset.labels_truth.tolist() == [[-1, -1], [-1, -1], [0, 1]]
    assert scan.counts["n_clean_rows_unlisted"] == scan.counts["n_truth_rows_unlisted"] == 1
    said = "clean.csv: 1 row names an image that labels.csv does not list and is ignored"
    assert said in scan.warnings[0]
    assert "row 3 ('other.png')" in scan.warnings[0]


def test_take_keeps_rows_together(tmp_path):
    labels = random_labels(8, 3, seed=0)
    split = ["train", "test"] * 4
    dataset = read_dataset(write_dataset(tmp_path, labels, split=split, images=True))
    part = dataset.take([5, 2])
    assert list(part.file_names) == ["005.png", "002.png"]
    np.testing.assert_array_equal(part.labels_given, labels[[5, 2]])
    assert list(part.clean_split) == ["test", "train"]
    assert part.open_image_bytes(0) == dataset.open_image_bytes(5)
    assert list(dataset.take(np.arange(8) == 3).file_names) == ["003.png"]
    assert part.sha256() != dataset.sha256()


def test_sha256_is_stable_and_sees_changes(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    for path in paths:
        path.mkdir()
        write_dataset(path, BASE, images=True)
    first, second = (read_dataset(path) for path in paths)
    assert first.sha256() == second.sha256() == read_dataset(paths[0]).sha256()
    before = second.sha256()
    (paths[1] / "000.png").write_bytes(photo(90, 90))
    assert second.sha256() != before
    write(paths[0], "truth.csv", "file_name,a0\n000.png,1\n")
    assert first.sha256() != before
