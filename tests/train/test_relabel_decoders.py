"""Processes that decode photos: answers, ends, and files that end them."""

from __future__ import annotations

import io
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from selfml.data.decoding import decode_image
from selfml.data.messages import UnreadableImage
from selfml.relabel import decoders as d
from selfml.relabel import photos
from selfml.relabel.photos import Photos
from selfml.relabel.source import Row


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
    assert os.getpgid(process.pid) != os.getpgid(0)  # where Ctrl-C is sent
    os.kill(process.pid, signal.SIGTERM)
    decoder.decode([jpeg(1)], thumbnails=False)
    assert decoder._process is process
    decoder.close()
    assert process.returncode == 0


def test_it_ends_when_who_asks_is_killed(tmp_path):
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from selfml.relabel.decoders import Decoder\n"
        "decoder = Decoder(Path(sys.argv[1]), 32)\n"
        "decoder.decode(['gone.jpg'], thumbnails=False)\n"
        "print(decoder._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
        pid = int(asking.stdout.readline())
        assert is_running(pid)
        asking.kill()
    wait_until(lambda: not is_running(pid))


def is_running(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def faulty(tmp_path, monkeypatch, fault: str) -> d.Decoder:
    """One whose ``decode_upright`` does something else with images that are marked deadly."""
    (tmp_path / "selfml_faulty.py").write_text(
        "import os, time, pathlib, selfml.relabel.decoders as d\n"
        "whole = d.decode_upright\n"
        "def faulty(data, size_px):\n"
        f"    if b'deadly' in data: {fault}\n"
        "    return whole(data, size_px)\n"
        "d.decode_upright = faulty\n"
        "d.main()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(d, "MODULE", "selfml_faulty")
    return d.Decoder(tmp_path, 32)


DEADLY = jpeg(5) + b"deadly"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("os.kill(os.getpid(), 9)", "decoding it ends the decoder (signal 9)"),
        ("os._exit(3)", "decoding it ends the decoder (status 3)"),
        ("raise MemoryError", "cannot be decoded: MemoryError"),
    ],
)
def test_what_a_file_does_to_a_decoder_costs_that_image_alone(
    tmp_path, capfd, monkeypatch, fault, reason
):
    decoder = faulty(tmp_path, monkeypatch, fault)
    good = jpeg(5)
    try:
        found = decoder.decode([good, DEADLY, good, DEADLY], thumbnails=False)
        assert [isinstance(photo, UnreadableImage) for photo in found] == [False, True] * 2
        assert str(found[1]) == reason
        np.testing.assert_array_equal(found[2][0], decode_image(good, 32))
        again = decoder.decode([good], thumbnails=False)
        np.testing.assert_array_equal(again[0][0], found[0][0])
    finally:
        decoder.close()
    assert capfd.readouterr().err == ""


def test_an_image_that_keeps_a_decoder_for_ever_costs_that_image_alone(tmp_path, monkeypatch):
    decoder = faulty(tmp_path, monkeypatch, "time.sleep(600)")
    decoder.decode([jpeg(5)], thumbnails=False)  # it has started
    monkeypatch.setattr(d, "ANSWER_S", 1.5)
    started = time.monotonic()
    found = decoder.decode([jpeg(5), DEADLY], thumbnails=False)
    decoder.close()
    assert time.monotonic() - started < 30
    assert not isinstance(found[0], UnreadableImage)
    assert str(found[1]) == "decoding it: no answer within 1.5 s"


def test_where_image_after_image_gets_no_answer_it_stops_and_calls_none_unreadable(
    tmp_path, monkeypatch
):
    """As where the disk that they are on has gone: a later call reads them."""
    decoder = faulty(tmp_path, monkeypatch, "time.sleep(600)")
    decoder.decode([jpeg(5)], thumbnails=False)
    monkeypatch.setattr(d, "ANSWER_S", 0.3)
    with pytest.raises(ChildProcessError, match="2 photos in a row, no answer") as error:
        decoder.decode([DEADLY] * 3, thumbnails=False)
    decoder.close()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("n_images", [1, 3])
def test_one_that_was_killed_meanwhile_costs_no_image(decoder, n_images):
    decoder.decode([jpeg(1)], thumbnails=False)
    decoder._process.kill()
    decoder._process.wait()
    found = decoder.decode([jpeg(1)] * n_images, thumbnails=False)
    assert not any(isinstance(photo, UnreadableImage) for photo in found)


def test_an_image_that_ended_one_decoder_by_accident_is_read_by_the_next(tmp_path, monkeypatch):
    """As where memory was short twice: once with others, once by itself."""
    fault = (
        "f = pathlib.Path('times'); n = int(f.read_text()); f.write_text(str(n + 1)); "
        "n < 2 and os._exit(1)"
    )
    monkeypatch.chdir(tmp_path)
    (tmp_path / "times").write_text("0")
    decoder = faulty(tmp_path, monkeypatch, fault)
    found = decoder.decode([DEADLY], thumbnails=False)
    decoder.close()
    assert (tmp_path / "times").read_text() == "3"
    assert not isinstance(found[0], UnreadableImage)


def test_one_that_cannot_start_says_so_and_calls_no_photo_unreadable(tmp_path, monkeypatch, capfd):
    monkeypatch.setattr(d, "MODULE", "selfml.no_such_module")
    decoder = d.Decoder(tmp_path, 32)
    with pytest.raises(ChildProcessError, match=r"does not start \(status 1\)") as error:
        decoder.decode([jpeg(1)], thumbnails=False)
    assert "\n" not in str(error.value)
    decoder.close()
    assert "no_such_module" in capfd.readouterr().err


def test_no_process_at_all_is_one_line_and_leaves_none(tmp_path, monkeypatch):
    started = []

    class Few(subprocess.Popen):
        def __init__(self, *arguments, **options):
            if len(started) == 2:
                raise BlockingIOError(11, "Resource temporarily unavailable")
            super().__init__(*arguments, **options)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Few)
    with pytest.raises(ChildProcessError, match=r"to decode photos \(Resource temporarily"):
        Photos(tmp_path, 32, n_processes=4)
    assert [process.returncode for process in started] == [0, 0]


def test_what_the_start_of_python_prints_is_no_answer(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("print('hello from sitecustomize', end='')")
    monkeypatch.syspath_prepend(tmp_path)
    decoder = d.Decoder(tmp_path, 32)
    [(pixels, _)] = decoder.decode([jpeg(3)], thumbnails=False)
    decoder.close()
    np.testing.assert_array_equal(pixels, decode_image(jpeg(3), 32))


def test_one_that_is_stuck_is_ended_with_the_rest(tmp_path, monkeypatch):
    faulty(tmp_path, monkeypatch, "time.sleep(600)").close()
    monkeypatch.setattr(photos, "END_S", 0.3)
    (tmp_path / "stuck.jpg").write_bytes(DEADLY)
    (tmp_path / "good.jpg").write_bytes(jpeg(1))
    reading = Photos(tmp_path, 32, n_processes=2)
    decoded = reading.decoded([Row(n, n, -1, None, b"") for n in ["good.jpg"] * 16 + ["stuck.jpg"]])
    assert not isinstance(next(decoded), UnreadableImage)
    decoders = [decoder._process for decoder in reading._decoders]
    decoded.close()
    started = time.monotonic()
    reading.close()
    assert time.monotonic() - started < 30
    assert sorted(process.returncode for process in decoders) == [-9, 0]
    reading.close()


def test_serving_in_this_process_gives_the_same(tmp_path):
    requests, replies = io.BytesIO(), io.BytesIO()
    for thumbnails in (True, False):
        pickle.dump(([jpeg(7, 300), b"x"], thumbnails), requests)
    requests.write(pickle.dumps(([jpeg(7)], True))[:-9])  # who asks was killed
    requests.seek(0)
    d.serve(requests, replies, tmp_path, 32)
    replies.seek(0)
    assert d.READY in replies
    for thumbnails in (True, False):
        pixels, (thumbnail, error) = pickle.load(replies)
        assert pixels.shape == (2, 32, 32, 3)
        assert bool(thumbnail) is thumbnails
        assert isinstance(error, UnreadableImage)
    assert not replies.read()


def test_it_imports_nothing_large():
    large = ("pandas", "pyarrow", "scipy", "sklearn", "tensorflow", "keras")
    code = f"import sys, {d.__name__}; print(*[name for name in {large} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
