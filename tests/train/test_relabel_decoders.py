"""Processes that decode photos: answers, ends, and files that end them."""

from __future__ import annotations

import io
import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from selfml.data.decoding import decode_image
from selfml.data.messages import UnreadableImage
from selfml.relabel import decoders as d


def jpeg(shade: int, side: int = 60) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (side, side + 20), (shade, 80, 10)).save(sink, "JPEG")
    return sink.getvalue()


@pytest.fixture
def decoder(tmp_path):
    made = d.Decoder(tmp_path, 32)
    yield made
    made.close()


def test_answers_are_in_order_by_bytes_by_name_or_known_to_be_unreadable(tmp_path, decoder):
    (tmp_path / "a.jpg").write_bytes(jpeg(10))
    images = ["a.jpg", jpeg(200), UnreadableImage("no such row"), "gone.jpg", b"no image"]
    for _ in range(2):
        first, second, *rest = decoder.decode(images, thumbnails=True)
        for (pixels, thumbnail), data in ((first, jpeg(10)), (second, jpeg(200))):
            np.testing.assert_array_equal(pixels, decode_image(data, 32))
            assert thumbnail == data
        assert [str(photo) for photo in rest] == [
            "no such row",
            "missing: no such file in the dataset folder",
            "not a JPEG, PNG or WebP image",
        ]
        assert all(isinstance(photo, UnreadableImage) for photo in rest)
    assert decoder.decode(["a.jpg"], thumbnails=False)[0][1] == b""


def test_it_ends_with_its_input_and_is_deaf_to_signals_meant_for_who_asks(decoder):
    decoder.decode([jpeg(1)], thumbnails=False)
    process = decoder._process
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(process.pid, number)
    decoder.decode([jpeg(1)], thumbnails=False)
    assert decoder._process is process
    decoder.close()
    assert process.returncode == 0


def test_what_ends_a_decoder_costs_that_image_alone(tmp_path, capfd, monkeypatch):
    """A fault in Pillow's C code, as a file could find one, by a decode that kills itself."""
    (tmp_path / "selfml_faulty.py").write_text(
        "import os, selfml.relabel.decoders as d\n"
        "whole = d.decode_upright\n"
        "def faulty(data, size_px):\n"
        "    if b'deadly' in data: os.kill(os.getpid(), 9)\n"
        "    return whole(data, size_px)\n"
        "d.decode_upright = faulty\n"
        "d.main()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(d, "MODULE", "selfml_faulty")
    decoder = d.Decoder(tmp_path, 32)
    good, deadly = jpeg(5), jpeg(5) + b"deadly"
    try:
        found = decoder.decode([good, deadly, good, deadly], thumbnails=False)
        assert [isinstance(photo, UnreadableImage) for photo in found] == [False, True] * 2
        assert str(found[1]) == "decoding it ends the decoder (signal 9)"
        np.testing.assert_array_equal(found[2][0], decode_image(good, 32))
        again = decoder.decode([good], thumbnails=False)
        np.testing.assert_array_equal(again[0][0], found[0][0])
    finally:
        decoder.close()
    assert capfd.readouterr().err == ""


def test_one_that_was_killed_meanwhile_costs_no_image(decoder):
    decoder.decode([jpeg(1)], thumbnails=False)
    decoder._process.kill()
    decoder._process.wait()
    found = decoder.decode([jpeg(1), jpeg(2)], thumbnails=False)
    assert not any(isinstance(photo, UnreadableImage) for photo in found)


def test_one_that_cannot_start_says_so_and_calls_no_photo_unreadable(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(d, "MODULE", "selfml.no_such_module")
    decoder = d.Decoder(tmp_path, 32)
    with pytest.raises(ChildProcessError, match=r"could not start \(status 1\)") as error:
        decoder.decode([jpeg(1)], thumbnails=False)
    assert "\n" not in str(error.value)
    decoder.close()
    assert "no_such_module" in capfd.readouterr().err


def test_serving_in_this_process_gives_the_same(tmp_path):
    requests, replies = io.BytesIO(), io.BytesIO()
    for thumbnails in (True, False):
        pickle.dump(([jpeg(7, 300), b"x"], thumbnails), requests)
    requests.write(b"\x80\x05half a request")
    requests.seek(0)
    d.serve(requests, replies, tmp_path, 32)
    replies.seek(0)
    assert pickle.load(replies) == d.READY
    for thumbnails in (True, False):
        pixels, (thumbnail, error) = pickle.load(replies)
        assert pixels.shape == (2, 32, 32, 3)
        assert bool(thumbnail) is thumbnails
        assert isinstance(error, UnreadableImage)
    assert not replies.read()


def test_it_needs_little_memory_and_nothing_large():
    large = ("pandas", "pyarrow", "scipy", "sklearn", "tensorflow", "keras")
    code = f"import sys, {d.__name__}; print(*[name for name in {large} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
