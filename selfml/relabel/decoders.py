"""Photos decoded in processes of their own, so that the network and the decoding need not wait.

Of decoding a small photo most is Python, which one thread of a process runs at a time: decoded in
threads, photos of 64 px hold up the network and the explanations beside it. A process here is
given encoded images through a pipe and answers with what they are; it imports nothing but NumPy
and Pillow, and ends with its input, so that none is left behind by a program that was killed.

Files are untrusted. A process that one of them ends (out of memory, or a fault of a decoder) or
keeps for `ANSWER_S` is begun anew, its images are tried one by one, and one that ends two more by
itself is unreadable.

    python -m selfml.relabel.decoders ROOT SIZE_PX
"""

from __future__ import annotations

import os
import pickle
import selectors
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from selfml.data.decoding import (
    JPEG_QUALITY,
    THUMBNAIL_PX,
    decode_upright,
    encode_jpeg,
    is_thumbnail,
    quiet_pillow,
    square,
)
from selfml.data.image_files import read_image_file
from selfml.data.messages import UnreadableImage

Encoded = bytes | str | UnreadableImage
Photo = tuple[np.ndarray, bytes] | UnreadableImage

MODULE = "selfml.relabel.decoders"
READY = b"selfml: ready\n"  # a line; whatever Python's own start prints stands before it
TRIES = 2  # of an image by itself, and of a start; what else is at work may end a process too
# The network's threads divide a batch in equal parts: one that waits for a processor keeps all of
# them waiting, while what is decoded is some way ahead.
NICE = 5
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
END_S = 10.0  # that a process has to end by itself
# That a process has for an answer, about several images or one: a photo of the largest size allowed
# takes seconds, and files on a network may have to be waited for (our choice).
ANSWER_S = 300.0
LATE = 2  # images, one after the other, that get no answer: then their disk has none


def decode_photos(
    root: Path, images: Sequence[Encoded], size_px: int, *, thumbnails: bool
) -> tuple[np.ndarray, list[bytes | UnreadableImage]]:
    """Pixels (n, S, S, 3) uint8 of images, and of each a thumbnail, or why there are no pixels.

    An image is its bytes, the name of its file below ``root``, or known to be unreadable. A
    thumbnail is a JPEG of the same decode, or empty where none are wanted. A JPEG that is as
    small already is its own.
    """
    pixels = np.zeros((len(images), size_px, size_px, 3), np.uint8)
    found: list[bytes | UnreadableImage] = []
    for place, encoded in zip(pixels, images, strict=True):
        try:
            data = _bytes_of(root, encoded)
            image = decode_upright(data, size_px)
            place[:] = square(image, size_px)
            found.append(_thumbnail(data, image) if thumbnails else b"")
        except UnreadableImage as error:
            found.append(error)
        except Exception as error:  # such as no memory for it
            found.append(UnreadableImage(f"cannot be decoded: {type(error).__name__}"))
    return pixels, found


def _bytes_of(root: Path, encoded: Encoded) -> bytes:
    if isinstance(encoded, UnreadableImage):
        raise encoded
    return read_image_file(root, encoded) if isinstance(encoded, str) else encoded


def _thumbnail(data: bytes, image) -> bytes:
    if is_thumbnail(data, image, THUMBNAIL_PX):
        return data
    return encode_jpeg(image, THUMBNAIL_PX, JPEG_QUALITY)


def serve(requests: BinaryIO, replies: BinaryIO, root: Path, size_px: int) -> None:
    """Answer requests, each (list of images, whether thumbnails), until they end."""
    replies.write(b"\n" + READY)
    replies.flush()
    with quiet_pillow():
        while True:
            try:
                images, thumbnails = pickle.load(requests)
            except (EOFError, pickle.UnpicklingError):  # the end, or who asks was killed
                return
            _send(replies, decode_photos(root, images, size_px, thumbnails=thumbnails))


def _send(to: BinaryIO, what: object) -> None:
    pickle.dump(what, to, protocol=pickle.HIGHEST_PROTOCOL)
    to.flush()


class Decoder:
    """One process; :meth:`decode` is for one thread at a time.

    It starts at once and is ready by the time it is asked, or nearly so. To be closed.

    Parameters
    ----------
    root : Path
        The folder that names of files are relative to, resolved.
    size_px : int
        Side of the squares that it makes.

    Raises
    ------
    ChildProcessError
        In one line, where no process can be started.
    """

    def __init__(self, root: Path, size_px: int):
        self.root, self.size_px = root, size_px
        self._is_ready = self._is_given_up = self._is_late = False
        self._n_late = 0
        self._start()

    def _start(self) -> None:
        self._is_ready = False
        paths = [path or os.getcwd() for path in sys.path]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", MODULE, str(self.root), str(self.size_px)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **ONE_THREAD},
                process_group=0,  # Ctrl-C is for who asks
            )
        except OSError as error:
            raise ChildProcessError(
                f"no process can be started to decode photos ({error.strerror or error})"
            ) from error

    def close(self) -> None:
        """End the process; it must not be at work."""
        with suppress(OSError):  # it has ended already
            self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def give_up(self) -> None:
        """End the process whatever it does; who waits for it gets a ChildProcessError."""
        self._is_given_up = True
        self._process.kill()

    def decode(self, images: Sequence[Encoded], *, thumbnails: bool) -> list[Photo]:
        """The photos of images (see `decode_photos`), in order.

        Raises
        ------
        ChildProcessError
            In one line, where no process can be started, or several images get no answer.
        """
        try:
            return self._ask(list(images), thumbnails)
        except _Unanswered:
            self._begin_anew()
        return [self._alone(one, thumbnails) for one in images]

    def _alone(self, image: Encoded, thumbnails: bool) -> Photo:
        for _ in range(TRIES):
            try:
                return self._ask([image], thumbnails)[0]
            except _Unanswered:
                late, status = self._is_late, self._begin_anew()
        if late:
            return self._late()
        return UnreadableImage(f"decoding it ends the decoder ({status})")

    def _late(self) -> UnreadableImage:
        self._n_late += 1
        said = f"no answer within {ANSWER_S:g} s"
        if self._n_late < LATE:
            return UnreadableImage(f"decoding it: {said}")
        raise ChildProcessError(
            f"{LATE} photos in a row, {said}; see that the disk they are on answers, then go on "
            "with --resume"
        )

    def _ask(self, images: list[Encoded], thumbnails: bool) -> list[Photo]:
        self._await_start()
        try:
            _send(self._process.stdin, (images, thumbnails))
            self._await_answer()
            pixels, found = pickle.load(self._process.stdout)
            self._n_late = 0
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise _Unanswered from error
        return [
            said if isinstance(said, UnreadableImage) else (place, said)
            for place, said in zip(pixels, found, strict=True)
        ]

    def _await_start(self) -> None:
        for _ in range(TRIES):
            self._is_ready = self._is_ready or READY in self._process.stdout
            if self._is_ready:
                return
            status = self._begin_anew()
        raise ChildProcessError(f"a process that decodes photos does not start ({status})")

    def _await_answer(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            self._is_late = not selector.select(ANSWER_S)
        if self._is_late:
            self._process.kill()
            raise _Unanswered

    def _begin_anew(self) -> str:
        if self._is_given_up:
            raise ChildProcessError("a process that decoded photos was given up")
        try:
            self._process.wait(1.0)  # it is ending, or cannot be spoken to
        except subprocess.TimeoutExpired:
            self._process.kill()
        status = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was still to be written has no reader
                pipe.close()
        late, self._is_late = self._is_late, False
        self._start()
        if late:
            return f"no answer within {ANSWER_S:g} s"
        return f"signal {-status}" if status < 0 else f"status {status}"


class _Unanswered(Exception):
    """The process ended, or cannot be understood."""


def main() -> None:
    """Decode what comes in, until nothing does."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is for who asks, who ends this one
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not print into the replies
    try:
        serve(sys.stdin.buffer, replies, Path(sys.argv[1]), int(sys.argv[2]))
    except BrokenPipeError:
        os._exit(0)  # nobody reads any more, nor what is left to be flushed


if __name__ == "__main__":
    main()
