"""Photos on their way into a relabelling: pixels as in training, thumbnails, bounded memory."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from selfml.data.decoding import THUMBNAIL_PX, decode_image
from selfml.data.garments import write_catalogue
from selfml.relabel import photos as p
from selfml.relabel.source import Row


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("photos") / "drawn"
    write_catalogue(out, n_images=40, size_px=200, clean_fraction=1.0)
    return out.resolve()


def rows_of(folder, extra=()):
    names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*.jpg"))]
    return [Row(name, name, -1, None, b"") for name in [*extra, *names]]


def all_of(photos, rows):
    try:
        return list(photos.decoded(rows))
    finally:
        photos.close()


@pytest.mark.parametrize("n_processes", [1, 3])
def test_pixels_are_those_of_training_in_the_order_of_the_rows(folder, n_processes):
    rows = rows_of(folder)
    got = all_of(p.Photos(folder, 48, thumbnails=False, n_processes=n_processes), rows)
    for row, (pixels, thumbnail) in zip(rows, got, strict=True):
        np.testing.assert_array_equal(pixels, decode_image((folder / row.file).read_bytes(), 48))
        assert thumbnail == b""


def test_thumbnails_are_small_pictures_of_the_same(folder):
    rows = rows_of(folder)[:4]
    for row, (_, thumbnail) in zip(rows, all_of(p.Photos(folder, 48), rows), strict=True):
        image = Image.open(io.BytesIO(thumbnail))
        assert (image.format, image.size) == ("JPEG", (160, 160))
        whole = Image.open(folder / row.file).resize((20, 20), Image.Resampling.BOX)
        small = image.resize((20, 20), Image.Resampling.BOX)
        off = np.abs(np.asarray(whole, float) - np.asarray(small, float))
        assert off.mean() < 4  # of 255


def jpeg(side, **more):
    sink = io.BytesIO()
    pixels = np.random.default_rng(side).integers(0, 255, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(sink, "JPEG", quality=60, **more)
    return sink.getvalue()


def exif(tag, value):
    found = Image.Exif()
    found[tag] = value
    return found


@pytest.mark.parametrize(
    ("data", "own"),
    [
        (jpeg(100), True),
        (jpeg(200), False),  # too large
        (jpeg(100, exif=exif(0x0112, 6)), False),  # turned
        (jpeg(100, exif=exif(0x010F, "maker")), False),
        (jpeg(100, comment=b"made by"), False),
        (jpeg(100, icc_profile=b"profile"), False),
        (jpeg(100) + bytes(200_000), False),  # with something behind it
    ],
)
def test_a_small_jpeg_of_pixels_alone_is_its_own_thumbnail(tmp_path, data, own):
    (tmp_path / "a.jpg").write_bytes(data)
    photos = p.Photos(tmp_path.resolve(), 48, n_processes=1)
    [(_, thumbnail)] = all_of(photos, [Row("a.jpg", "a.jpg", -1, None, b"")])
    assert (thumbnail == data) is own
    for secret in (b"Exif", b"made by", b"profile"):
        assert secret not in thumbnail
    assert max(Image.open(io.BytesIO(thumbnail)).size) <= THUMBNAIL_PX


def test_rows_are_taken_some_way_ahead_and_no_further(folder):
    taken = []

    def rows():
        for row in rows_of(folder) * 20:
            taken.append(row)
            yield row

    photos = p.Photos(folder, 48, thumbnails=False, n_processes=1)
    decoded = photos.decoded(rows())
    assert not taken
    next(decoded)
    assert len(taken) == p.AHEAD
    for _ in range(100):
        next(decoded)
    assert p.AHEAD + 100 - p.AT_ONCE <= len(taken) <= p.AHEAD + 100 + p.AT_ONCE
    decoded.close()
    photos.close()
