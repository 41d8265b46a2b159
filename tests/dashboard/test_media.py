from __future__ import annotations

import io
from pathlib import Path

import pytest
from itsdangerous import URLSafeTimedSerializer
from PIL import Image
from starlette.applications import Starlette

from dashboard import media
from selfml.run import Run
from tests.asgi import get


@pytest.fixture
def run(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("SELFML_RUNS", str(tiny_run.parent))
    monkeypatch.setenv("SELFML_SECRET_KEY", "a key")
    return Run(tiny_run)


@pytest.fixture
def site() -> Starlette:
    return Starlette(routes=[media.route()])


def test_an_address_gives_the_picture(run, site):
    status, headers, body = get(site, media.image_url(run, 3))
    assert (status, headers["content-type"]) == (200, "image/webp")
    assert headers["cache-control"].startswith("private")
    assert "access-control-allow-origin" not in headers
    assert Image.open(io.BytesIO(body)).size == (96, 96)


@pytest.mark.parametrize("block", [1, 7, 4096])
def test_every_image_has_its_own_picture_however_many_places_are_read_together(
    run, site, monkeypatch, block
):
    monkeypatch.setattr(media, "BLOCK", block)
    media._places.cache_clear()
    places = run.table("images", ["thumbnail_offset", "thumbnail_bytes"])
    for index, (offset, n_bytes) in enumerate(places.itertuples(index=False)):
        status, _, body = get(site, media.image_url(run, index))
        assert (status, body) == (200, run.thumbnail(offset, n_bytes))
    for index in (len(places), len(places) + 2 * block, -1):
        assert get(site, media.image_url(run, index))[0] == 404
    media._places.cache_clear()


def test_thumbnails_of_a_relabelling_are_jpeg_and_said_to_be(run, site, monkeypatch):
    sink = io.BytesIO()
    Image.new("RGB", (5, 7), "red").save(sink, "JPEG")
    monkeypatch.setattr(Run, "thumbnail", lambda self, offset, n_bytes: sink.getvalue())
    status, headers, body = get(site, media.image_url(run, 3))
    assert (status, headers["content-type"], body) == (200, "image/jpeg", sink.getvalue())


def test_addresses_stay_the_same_for_an_hour(run, monkeypatch):
    monkeypatch.setattr(media.time, "time", lambda: 7200.0)
    first = media.image_url(run, 3)
    monkeypatch.setattr(media.time, "time", lambda: 10799.0)
    assert media.image_url(run, 3) == first
    assert media.image_url(run, 4) != first


@pytest.mark.parametrize("token", ["x", "a.b.c", "..%2F..%2Frun.json", "%00", "W10.a.b"])
def test_a_made_up_address_is_refused(run, site, token):
    status, _, body = get(site, f"/thumbnails/{token}")
    assert status == 403
    assert b"run.json" not in body


def test_a_changed_address_is_refused(run, site):
    url = media.image_url(run, 3)  # not its last character: some of its bits are padding
    assert get(site, url[:-5] + ("A" if url[-5] != "A" else "B") + url[-4:])[0] == 403


def test_an_address_signed_with_another_key_is_refused(run, site, monkeypatch):
    monkeypatch.setenv("SELFML_SECRET_KEY", "another key")
    url = media.image_url(run, 3)
    monkeypatch.setenv("SELFML_SECRET_KEY", "a key")
    assert get(site, url)[0] == 403


def test_a_signature_made_for_another_purpose_is_refused(run, site):
    token = URLSafeTimedSerializer("a key", salt="other").dumps(["tiny", 3])
    assert get(site, f"/thumbnails/{token}")[0] == 403


@pytest.mark.parametrize("payload", [[], "tiny", {"a": 1}, None, ["tiny", "x"], 5])
def test_a_signed_payload_of_another_form_is_refused(run, site, payload):
    token = media._serializer().dumps(payload)
    assert get(site, f"/thumbnails/{token}")[0] == 403


def test_an_expired_address_is_refused(run, site, monkeypatch):
    now = media.time.time()
    monkeypatch.setattr(media.time, "time", lambda: now - 14 * 3600)
    url = media.image_url(run, 3)
    monkeypatch.setattr(media.time, "time", lambda: now)
    assert get(site, url)[0] == 403


@pytest.mark.parametrize("payload", [["../tiny", 3], ["nothing", 3], ["tiny", 60], ["tiny", -1]])
def test_no_image_outside_the_listed_runs(run, site, payload):
    token = media._serializer().dumps(payload)
    assert get(site, f"/thumbnails/{token}")[0] == 404


def test_without_a_key_one_is_made_for_the_process(monkeypatch, tiny_run):
    monkeypatch.setenv("SELFML_RUNS", str(tiny_run.parent))
    monkeypatch.delenv("SELFML_SECRET_KEY", raising=False)
    first = media.settings().secret_key
    assert first == media.settings().secret_key
    assert len(first) == 64
