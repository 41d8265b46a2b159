"""The images of a dataset: files, links, Parquet."""

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfml.data.dataset import UnreadableImage, read_dataset
from tests.data import photo, write_dataset
from tests.data.cases import BASE, fails, write

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
    with pytest.raises(UnreadableImage, match="no bytes, in the Parquet file"):
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
