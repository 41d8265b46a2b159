"""Photos at full size: the file of the dataset's folder, decoded anew, a few at once."""

from __future__ import annotations

import io
import shutil
import time
from pathlib import Path
from threading import Lock

import pytest
from PIL import Image
from starlette.applications import Starlette

from dashboard import media
from selfml.run import Run, RunWriter
from tests.asgi import get, get_all
from tests.data import photo


@pytest.fixture
def run(tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The tiny run over a folder in which ten of its images are still to be found."""
    monkeypatch.setenv("SELFML_RUNS", str(tmp_path / "runs"))
    run = Run(shutil.copytree(tiny_run, tmp_path / "runs" / "tiny"))
    RunWriter(run.path).update(dataset={"name": "shop", "path": str(tmp_path / "shop")})
    for n, name in enumerate(run.table("images")["image_id"][:10]):
        file = tmp_path / "shop" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(photo(width_px=200 + n, height_px=100, kind="JPEG"))
    return run


@pytest.fixture
def site() -> Starlette:
    return Starlette(routes=media.routes())


def size_of(body: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(body)).size


def test_an_address_gives_the_photo_of_the_folder(run, site):
    status, headers, body = get(site, media.photo_url(run, 3))
    assert (status, headers["content-type"]) == (200, "image/webp")
    assert size_of(body) == (203, 100)


def test_where_the_photo_is_gone_the_thumbnail_is_shown(run, site):
    assert size_of(get(site, media.photo_url(run, 30))[2]) == (96, 96)


@pytest.mark.parametrize("payload", [["../tiny", 3], ["nothing", 3], ["tiny", 60], ["tiny", -1]])
def test_no_photo_outside_the_listed_runs(run, site, payload):
    token = media._serializer("photo").dumps(payload)
    assert get(site, f"/photos/{token}")[0] == 404


def test_the_address_of_a_thumbnail_opens_no_photo(run, site):
    token = media.image_url(run, 3).rpartition("/")[2]
    assert get(site, f"/photos/{token}")[0] == 403


def test_a_run_without_its_images_has_no_photo(run, site):
    (run.path / "images.parquet").unlink()
    assert get(site, media.photo_url(run, 3))[0] == 404


def test_only_the_name_of_the_photo_asked_for_is_read_as_the_run_says_it_now(
    run, site, monkeypatch
):
    read, table, rows_of = [], Run.table, Run.table_rows

    def counted(self, name, rows, columns=None):
        read.append((name, len(rows), columns))
        return rows_of(self, name, rows, columns)

    monkeypatch.setattr(Run, "table", None)
    monkeypatch.setattr(Run, "table_rows", counted)
    for index in (3, 4, 5):
        assert size_of(get(site, media.photo_url(run, index))[2])[0] == 200 + index
    assert read == [("images", 1, ["image_id"])] * 3
    images = table(run, "images")
    names = images["image_id"].tolist()
    names[3], names[4] = names[4], names[3]
    RunWriter(run.path).write_table("images", images.assign(image_id=names))
    assert size_of(get(site, media.photo_url(run, 3))[2])[0] == 204


def test_a_few_are_decoded_at_once(run, site, monkeypatch):
    """Ten come at the same time: never more than two are decoded, and each gets its own."""
    counting, now, most = Lock(), 0, 0
    encode = media.encode_thumbnail

    def counted(*args):
        nonlocal now, most
        with counting:
            now += 1
            most = max(most, now)
        time.sleep(0.02)
        try:
            return encode(*args)
        finally:
            with counting:
                now -= 1

    monkeypatch.setattr(media, "encode_thumbnail", counted)
    answers = get_all(site, [media.photo_url(run, index) for index in range(10)])
    assert [size_of(body)[0] for _, _, body in answers] == list(range(200, 210))
    assert most == media.PHOTOS_AT_ONCE == 2


def test_thumbnails_do_not_wait_for_photos(run, site, monkeypatch):
    """Photos that wait hold no thread of those that answer everything else."""
    done = []

    def slow(*_args):
        time.sleep(0.02)
        done.append("photo")
        return photo()

    monkeypatch.setattr(media, "encode_thumbnail", slow)
    monkeypatch.setattr(media, "_thumbnail", lambda *_args: done.append("thumbnail") or b"x")
    photos = [media.photo_url(run, index % 10) for index in range(60)]
    get_all(site, [*photos, media.image_url(run, 3)])
    assert done.index("thumbnail") < 10
