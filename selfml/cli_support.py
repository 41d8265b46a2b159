"""What several commands share: silence while an engine is loaded, and how a stop is told."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import typer

INTERRUPTED = 130


@contextmanager
def quiet_import() -> Iterator[None]:
    """Keep TensorFlow's remarks about absent GPU libraries, written below Python, off stderr.

    They come whatever its log level is. Should the import raise, all that was written is shown.
    """
    with tempfile.TemporaryFile() as kept:
        sys.stderr.flush()
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(stderr, 2)
            kept.seek(0)
            os.write(2, kept.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


@contextmanager
def interruptible(out: Path, again: Sequence[str] = ("--resume",)) -> Iterator[None]:
    """Say what is kept and how to go on when work was asked to stop; exits with 130."""
    from selfml.nn.fitting import Interrupted

    try:
        yield
    except Interrupted:
        more = [flag for flag in again if flag not in sys.argv]
        command = shlex.join(["selfml", *sys.argv[1:], *more])
        print(f"Stopped; {out} keeps what is done. Continue with: {command}", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
