"""Reading a dataset folder: what is accepted round-trips, what is not gets one clear line."""

import io
import os
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfml.data.dataset import DatasetError, UnreadableImage, read_dataset, scan_dataset
from tests.data import CELLS, photo, random_labels, write_csv, write_dataset

BASE = np.array([[1, 0], [0, 1], [-1, 1]], np.int8)

PRINTABLE = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"))
ATTRIBUTE = st.text(PRINTABLE, min_size=1, max_size=12).filter(
    lambda s: s == s.strip() and s not in ("file_name", "category", "split")
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images, two attributes a0 and a1, every row verified."""
    return write_dataset(tmp_path, BASE)


def fails(root: Path, *parts: str) -> str:
    """Assert that reading fails with one line that holds all ``parts``; return it."""
    with pytest.raises(DatasetError) as caught:
        read_dataset(root)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message
    return message


def write(root: Path, name: str, text: str) -> None:
    (root / name).write_text(text, encoding="utf-8", newline="")


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
    assert scan.warnings[0].startswith("labels.csv: 1 rows repeat an earlier row exactly")
    assert "row 4 ('0.png')" in scan.warnings[0]


def test_verified_columns_that_differ_are_warned(tmp_path):
    root = write_dataset(tmp_path, BASE, attributes=["Red", "T-Shirt"])
    write(root, "clean.csv", "file_name,Red,T-shirt,note\n000.png,1,x,seen by Jo\n")
    dataset = read_dataset(root)
    assert dataset.labels_verified[0].tolist() == [1, -1]
    extra, absent = dataset.warnings[:2]
    assert extra == (
        "clean.csv: 2 columns are not in the labels file and are ignored: 'T-shirt', 'note'. "
        "Did you mean 'T-Shirt'?"
    )
    assert absent.startswith("clean.csv: 1 attributes have no column")
    assert "'T-Shirt'" in absent


def test_verified_rows_without_an_image_are_ignored(folder):
    write(folder, "clean.csv", "file_name,a0,a1\n000.png,1,0\nother.png,1,1\n")
    write(folder, "truth.csv", "file_name,a0,a1\n002.png,0,1\nanother.png,1,1\n")
    scan = scan_dataset(folder)
    assert scan.dataset.is_clean.tolist() == [True, False, False]
    assert scan.dataset.labels_truth.tolist() == [[-1, -1], [-1, -1], [0, 1]]
    assert scan.counts["n_clean_rows_unlisted"] == scan.counts["n_truth_rows_unlisted"] == 1
    assert "clean.csv: 1 rows name an image that labels.csv does not list" in scan.warnings[0]
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


# What is not


def test_no_such_folder_or_file(tmp_path, folder):
    fails(tmp_path / "nowhere", "nowhere", "no such folder", "Give the folder")
    fails(tmp_path / ("x" * 400), "no such folder")
    fails(folder / "labels.csv", "not a folder")
    (folder / "clean.csv").unlink()
    fails(folder, "no clean.csv", "Verify some images")
    (folder / "labels.csv").unlink()
    fails(folder, "no labels.csv (or metadata.csv)", "Add one")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", ("labels.csv: the file is empty", "Write it again")),
        ("\n\n", ("labels.csv: the file is empty",)),
        ("file_name,a0\n", ("labels.csv: no usable row", "Add one row")),
        ("file_name\n0.png\n", ("labels.csv, row 1", "no attribute column")),
        ("name,a0\n0.png,1\n", ("labels.csv, row 1", "'file_name'", "'name', 'a0'", "Rename")),
        ("file_name;a0\n0.png;1\n", ("labels.csv, row 1", "semicolons", "commas")),
        ("file_name\ta0\n0.png\t1\n", ("labels.csv, row 1", "tabs", "commas")),
        (",file_name,a0\n0,0.png,1\n", ("row 1", "column 1 has no name", "index=False")),
        ("file_name,a0, a0\n0.png,1,1\n", ("row 1", "'a0' appears twice", "Rename or remove")),
        ('file_name,"a\n0"\n0.png,1\n', ("row 1", "'a\\n0'", "line break", "Rename")),
        ("file_name,split,a0\n0.png,train,1\n", ("row 1", "'split' belongs in clean.csv")),
        ("file_name,a0,a1\n0.png,1\n", ("labels.csv, row 2", "2 cells under 3 columns")),
        ("file_name,a0,a1\n0.png,1,2\n", ("row 2, column 'a1'", "'2'", "0, 1 or blank")),
        ("file_name,a0,a1\n0.png,1,true\n", ("row 2, column 'a1'", "'true'")),
        ("file_name,a0,a1\n0.png,1,-1\n", ("row 2, column 'a1'", "'-1'")),
        ('file_name,a0\n0.png,1\n1.png,"1\n', ("labels.csv, row 3", "not valid CSV", "quotes")),
        ("file_name,a0\n ,1\n", ("row 2", "is blank", "Fill it in")),
        ("file_name,a0\n../0.png,1\n", ("row 2", "'../0.png'", "leaves the dataset folder")),
        ("file_name,a0\na/../../0.png,1\n", ("row 2", "leaves the dataset folder")),
        ("file_name,a0\n..\\0.png,1\n", ("row 2", "leaves the dataset folder")),
        ("file_name,a0\n/etc/passwd,1\n", ("row 2", "'/etc/passwd'", "absolute path")),
        ("file_name,a0\nC:\\a\\0.png,1\n", ("row 2", "absolute path", "Shorten")),
        ("file_name,a0\na\x00b.png,1\n", ("row 2", "control character")),
    ],
)
def test_bad_labels_file(folder, text, parts):
    write(folder, "labels.csv", text)
    fails(folder, *parts)


def test_not_utf8(folder):
    (folder / "labels.csv").write_bytes(b"file_name,a0\n0.png,1\ncaf\xe9.png,1\n")
    fails(folder, "labels.csv, row 3", "not UTF-8 (byte 0xe9)", "CSV UTF-8")
    (folder / "labels.csv").write_bytes("file_name,a0\n".encode("utf-16"))
    fails(folder, "labels.csv, row 1", "not UTF-8")


def test_rows_count_as_in_a_spreadsheet(folder):
    """A blank line counts; a line break inside a quoted cell does not."""
    write(folder, "labels.csv", 'file_name,category,a0\n\n0.png,"two\nlines",1\n1.png,,7\n')
    fails(folder, "labels.csv, row 4, column 'a0'", "'7'")


def test_an_image_listed_twice(folder):
    write(folder, "labels.csv", "file_name,a0,a1\n0.png,1,0\n1.png,0,1\n0.png,1,1\n")
    fails(folder, "labels.csv, row 4", "'0.png'", "row 2 already", "'a1'", "Remove the wrong")
    write(folder, "labels.csv", "file_name,category,a0,a1\n0.png,x,1,1\n0.png,y,1,1\n")
    fails(folder, "labels.csv, row 3", "another column")


def test_clean_rows_that_break_the_rules(folder):
    write(folder, "clean.csv", "file_name,split,a0,a1\n000.png,val,1,0\n")
    fails(folder, "clean.csv, row 2, column 'split'", "'val'", "train, test or blank")
    write(folder, "clean.csv", "file_name,split,a0,a1\n000.png,train,1,0\n000.png,test,1,0\n")
    fails(folder, "clean.csv, row 3", "'000.png'", "row 2 already")
    write(folder, "clean.csv", "file_name,a0,a1\n")
    fails(folder, "clean.csv: none of its 0 rows", "Add verified rows")
    write(folder, "clean.csv", "file_name,a0,a1\nimages/000.png,1,0\n")
    fails(folder, "clean.csv: none of its 1 rows names an image of labels.csv", "'000.png'")
    write(folder, "clean.csv", "file_name,b0\n000.png,1\n")
    fails(folder, "clean.csv, row 1", "no attribute of the labels file", "'a0'")
    write(folder, "clean.csv", "file_name,a0,a1\n000.png,1,yes\n")
    fails(folder, "clean.csv, row 2, column 'a1'", "'yes'")


def test_an_attribute_never_positive(folder):
    write(folder, "labels.csv", "file_name,a0,a1\n000.png,1,0\n001.png,0,\n")
    write(folder, "clean.csv", "file_name,a0,a1\n000.png,1,0\n")
    fails(folder, "labels.csv, column 'a1'", "never 1", "Remove the column or verify")
    write(folder, "clean.csv", "file_name,a0,a1\n000.png,1,1\n")
    assert read_dataset(folder).n_attributes == 2


def test_all_errors_are_listed_and_counted(folder):
    rows = "".join(f"{i}.png,x,1\n" for i in range(30))
    write(folder, "labels.csv", "file_name,a0,a1\n000.png,1,1\n" + rows)
    scan = scan_dataset(folder)
    assert scan.n_errors == 30
    assert len(scan.errors) == 20
    assert "row 3, column 'a0'" in scan.errors[0]
    fails(folder, "row 3, column 'a0'", "(29 more: run `selfml check` to list them.)")


def test_long_values_are_cut_in_messages(folder):
    write(folder, "labels.csv", f"file_name,a0\n0.png,{'9' * 5000}\n")
    assert len(fails(folder, "row 2, column 'a0'", "...")) < 300


# Images in a folder


def test_open_image_bytes(tmp_path):
    dataset = read_dataset(write_dataset(tmp_path, BASE, images=True))
    assert dataset.warnings == ()
    assert dataset.open_image_bytes(1) == (tmp_path / "001.png").read_bytes()
    (tmp_path / "000.png").unlink()
    with pytest.raises(UnreadableImage, match="missing: no such file"):
        dataset.open_image_bytes(0)
    (tmp_path / "000.png").write_bytes(b"")
    with pytest.raises(UnreadableImage, match="empty: 0 bytes"):
        dataset.open_image_bytes(0)
    (tmp_path / "000.png").unlink()
    os.mkfifo(tmp_path / "000.png")
    with pytest.raises(UnreadableImage, match="not a regular file"):
        dataset.open_image_bytes(0)
    with open(tmp_path / "001.png", "wb") as file:
        file.truncate(200_000_001)
    with pytest.raises(UnreadableImage, match="200000001 bytes; the limit is 200000000"):
        dataset.open_image_bytes(1)


def test_symbolic_links_may_not_leave(tmp_path):
    outside = tmp_path / "secret.png"
    outside.write_bytes(photo())
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "0.png").write_bytes(photo())
    root = tmp_path / "data"
    root.mkdir()
    write_dataset(root, BASE, images=True)
    dataset = read_dataset(root)
    (root / "001.png").unlink()
    (root / "001.png").symlink_to(outside)
    fails(root, "labels.csv, row 3", "'001.png'", "symbolic link", "Copy the image inside")
    with pytest.raises(UnreadableImage, match="symbolic link leaves the dataset folder"):
        dataset.open_image_bytes(1)
    (root / "001.png").unlink()
    (root / "001.png").symlink_to(root / "000.png")
    assert read_dataset(root).open_image_bytes(1) == dataset.open_image_bytes(0)
    (root / "sub").symlink_to(tmp_path / "pictures")
    write(root, "labels.csv", "file_name,a0,a1\n000.png,1,1\nsub/0.png,1,1\n")
    fails(root, "labels.csv, row 3", "'sub/0.png'", "symbolic link")


def test_hostile_names_are_missing_not_a_traceback(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    names = ["x" * 300 + ".png", "loop", "a/" * 3000 + "b.png", "http://host/x.png", "💥.png"]
    labels = np.ones((5, 2), np.int8)
    dataset = read_dataset(write_dataset(tmp_path, labels, names=names))
    assert "5 images are not in the folder" in dataset.warnings[0]
    for index in range(5):
        with pytest.raises(UnreadableImage):
            dataset.open_image_bytes(index)


# Images in a parquet file


def write_parquet(root: Path, names, data, **kwargs) -> None:
    table = pa.table({"file_name": names, "image_bytes": pa.array(data, pa.binary())})
    pq.write_table(table, root / "images.parquet", **kwargs)


@pytest.mark.parametrize("row_group_size", [1, 2, 100])
def test_parquet_images(folder, row_group_size):
    names = ["002.png", "extra.png", "./000.png", "001.png"]
    write_parquet(folder, names, [b"two", b"x", b"zero", None], row_group_size=row_group_size)
    dataset = read_dataset(folder)
    assert dataset.warnings == ()
    assert [dataset.open_image_bytes(i) for i in (0, 2, 0)] == [b"zero", b"two", b"zero"]
    with pytest.raises(UnreadableImage, match=r"no bytes, in images\.parquet"):
        dataset.open_image_bytes(1)
    order = [index for index, _ in dataset.iter_image_bytes()]
    assert order == [2, 0, 1]
    assert dataset.take([2]).open_image_bytes(0) == b"two"
    fetched = {i: fetch for i, fetch in dataset.iter_image_bytes() if i != 1}
    assert {i: fetch() for i, fetch in fetched.items()} == {0: b"zero", 2: b"two"}


def test_images_missing_from_the_parquet_file(folder):
    write_parquet(folder, ["001.png"], [b"one"])
    dataset = read_dataset(folder)
    assert "2 images are not in images.parquet, the first in row 2" in dataset.warnings[0]
    assert sorted(i for i, _ in dataset.iter_image_bytes()) == [0, 1, 2]
    with pytest.raises(UnreadableImage, match="no such row"):
        dataset.open_image_bytes(0)


def test_bad_parquet_files(folder):
    path = folder / "images.parquet"
    path.write_bytes(b"PAR1 no parquet")
    fails(folder, "images.parquet: not a readable parquet file", "Write it again")
    pq.write_table(pa.table({"name": ["a"], "image_bytes": [b""]}), path)
    fails(folder, "images.parquet: no column 'file_name'", "name, image_bytes", "Rename")
    pq.write_table(pa.table({"file_name": ["a"], "image_bytes": [1.5]}), path)
    fails(folder, "images.parquet: column 'image_bytes' is double", "binary", "Convert")
    pq.write_table(pa.table({"file_name": [1], "image_bytes": [b""]}), path)
    fails(folder, "images.parquet: column 'file_name' is int64")
    write_parquet(folder, ["a", "b", "./a"], [b"", b"", b""])
    fails(folder, "images.parquet, row 3", "'./a' is already in row 1", "Remove one")
    whole = io.BytesIO()
    pq.write_table(pa.table({"file_name": ["a"], "image_bytes": [b"x" * 500]}), whole)
    path.write_bytes(whole.getvalue()[:-40])
    fails(folder, "images.parquet: not a readable parquet file")
