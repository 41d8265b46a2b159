"""The pixels of a whole dataset, and their cache."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfml.data import image_cache
from selfml.data.dataset import Dataset, DatasetError, read_dataset
from selfml.data.images import (
    decode_image,
    encode_thumbnail,
    load_images,
)
from tests.data import random_labels, write_dataset


def catalogue(root: Path, n: int = 40, broken: tuple[int, ...] = ()) -> Dataset:
    """N one-colour photos in nested folders, some of them broken."""
    names = [f"{i % 3}/{i:03}.png" for i in range(n)]
    write_dataset(root, random_labels(n, 3, seed=0), names=names, images=True)
    for i in broken:
        (root / names[i]).write_bytes(b"broken")
    return read_dataset(root)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def test_load_images(tmp_path, data):
    dataset = catalogue(data)
    calls = []
    loaded = load_images(
        dataset, 12, tmp_path / "cache" / "x.npy", progress=lambda *c: calls.append(c)
    )
    assert calls == [(i, 40) for i in range(1, 41)]
    assert loaded.unreadable == ()
    assert loaded.indices.tolist() == list(range(40))
    assert isinstance(loaded.pixels, np.memmap)
    assert not loaded.pixels.flags.writeable
    for i in range(40):
        image = dataset.open_image_bytes(i)
        np.testing.assert_array_equal(loaded.pixels[i], decode_image(image, 12))
        assert loaded.thumbnails[i] == encode_thumbnail(image)
    assert len(loaded.thumbnails) == 40
    left = sorted(path.name for path in (tmp_path / "cache").iterdir())
    assert left == ["x.bounds.npy", "x.json", "x.npy", "x.thumbnails.bin"]


@pytest.mark.slow
def test_unreadable_images_are_left_out(tmp_path, data):
    """Rows close up, in pixels, thumbnails and indices alike; also when read from the cache."""
    dataset = catalogue(data, 320, broken=(0, 7, 300, 319))
    (data / "1/001.png").unlink()
    keep = np.setdiff1d(np.arange(320), [0, 1, 7, 300, 319])
    for _ in range(2):
        loaded = load_images(dataset, 6, tmp_path / "x.npy")
        np.testing.assert_array_equal(loaded.indices, keep)
        assert loaded.pixels.shape == (315, 6, 6, 3)
        for m, i in enumerate(keep):
            expected = decode_image(dataset.open_image_bytes(i), 6)
            np.testing.assert_array_equal(loaded.pixels[m], expected)
            if m % 20 == 0:
                assert loaded.thumbnails[m] == encode_thumbnail(dataset.open_image_bytes(i))
        assert loaded.unreadable[0] == ("0/000.png", "not a JPEG, PNG or WebP image")
        assert loaded.unreadable[1][1].startswith("missing")
        assert len(loaded.unreadable) == 5


def test_too_many_unreadable_images_stop(tmp_path, data):
    """Two of forty are 5 % and pass; three stop, and leave no cache behind."""
    load_images(catalogue(data, 40, broken=(1, 2)), 4, tmp_path / "x.npy")
    dataset = catalogue(data, 40, broken=(1, 2, 30))
    with pytest.raises(DatasetError) as caught:
        load_images(dataset, 4, tmp_path / "y.npy")
    message = str(caught.value)
    assert "at least 3 of 40 images are unreadable, the limit is 5%" in message
    for name in ("'1/001.png'", "'2/002.png'", "'0/030.png'", "Run `selfml check`"):
        assert name in message
    assert "\n" not in message
    assert not list(tmp_path.glob("y.*")) + list(tmp_path.glob(".y*"))


def test_the_cache_is_used_while_its_key_matches(tmp_path, data, monkeypatch):
    dataset = catalogue(data)
    cache = tmp_path / "x.npy"
    first = load_images(dataset, 8, cache)
    real, calls = image_cache.decode_upright, []

    def counting(data: bytes, size_px: int):
        calls.append(size_px)
        return real(data, size_px)

    monkeypatch.setattr(image_cache, "decode_upright", counting)
    again = load_images(dataset, 8, cache)
    load_images(dataset, 8, cache, thumbnails=False)
    assert calls == []
    np.testing.assert_array_equal(again.pixels, first.pixels)
    assert list(again.thumbnails) == list(first.thumbnails)
    assert load_images(dataset, 9, cache, thumbnails=False).thumbnails is None
    assert calls == [9] * 40
    load_images(dataset, 9, cache)
    assert len(calls) == 80
    load_images(dataset.take(np.arange(30)), 9, cache)
    assert len(calls) == 110
    for suffix, content in ((".json", "{}"), (".json", "no json"), (".bounds.npy", None)):
        path = cache.with_name("x" + suffix)
        path.unlink() if content is None else path.write_text(content)
        calls.clear()
        load_images(dataset.take(np.arange(30)), 9, cache)
        assert len(calls) == 30


def test_an_interrupted_call_leaves_nothing_half_made(tmp_path, data):
    dataset = catalogue(data)

    def stop(done: int, total: int) -> None:
        if done == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_images(dataset, 8, tmp_path / "cache" / "x.npy", progress=stop)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_parquet_file_gives_the_same_as_a_folder(tmp_path, data):
    dataset = catalogue(data)
    loaded = load_images(dataset, 8, tmp_path / "x.npy")
    order = np.random.default_rng(0).permutation(40)
    table = {
        "file_name": [dataset.file_names[i] for i in order],
        "image_bytes": [dataset.open_image_bytes(i) for i in order],
    }
    pq.write_table(pa.table(table), data / "images.parquet", row_group_size=7)
    for name in dataset.file_names:
        (data / name).unlink()
    stored = load_images(read_dataset(data), 8, tmp_path / "y.npy")
    np.testing.assert_array_equal(stored.pixels, loaded.pixels)
    assert list(stored.thumbnails) == list(loaded.thumbnails)


def test_arguments_are_checked(tmp_path, data):
    dataset = catalogue(data)
    with pytest.raises(ValueError, match=r"'x\.bin' does not end in \.npy"):
        load_images(dataset, 8, tmp_path / "x.bin")
    with pytest.raises(ValueError, match="size_px: 0 is not a positive"):
        load_images(dataset, 0, tmp_path / "x.npy")


def test_the_sidecar_names_what_it_was_made_from(tmp_path, data):
    dataset = catalogue(data)
    load_images(dataset, 8, tmp_path / "x.npy")
    key = json.loads((tmp_path / "x.json").read_text())["key"]
    assert key["dataset_sha256"] == dataset.sha256()
    assert key["size_px"] == 8


def test_a_failure_while_publishing_is_not_taken_for_whole(tmp_path, data, monkeypatch):
    """An older key never stands beside newer pixels."""
    dataset = catalogue(data)
    cache = tmp_path / "x.npy"
    load_images(dataset, 8, cache)
    real = image_cache.os.replace

    def fail_late(source, target):
        if Path(target).name == "x.bounds.npy":
            raise OSError("disk full")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(image_cache.os, "replace", fail_late)
        with pytest.raises(OSError, match="disk full"):
            load_images(dataset, 9, cache)
    assert load_images(dataset, 8, cache).pixels.shape == (40, 8, 8, 3)
