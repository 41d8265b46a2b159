"""What several commands share: silence while an engine is loaded, and how a stop is told."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from selfml.config import Config
    from selfml.data.dataset import Dataset

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


def refuse_early(data: Path, out: Path, config: Config, *, resume: bool) -> Dataset:
    """Raise what `selfml.train.train` would, before an engine is loaded and a run is begun.

    By the settings and the tables alone; returns what was read of these. Later comes what images
    tell, and whether a resumed run's dataset was changed.

    Raises
    ------
    DatasetError, FileExistsError, ValueError
        In one line each.
    """
    from selfml.data.dataset import read_dataset
    from selfml.data.splits import make_splits, require_both_kinds
    from selfml.run_start import check_out

    check_out(out, config, resume)
    dataset, how = read_dataset(data), config.data
    samples = {"clean_samples": how.clean_samples, "test_fraction": how.test_fraction}
    require_both_kinds(dataset, make_splits(dataset, **samples, seed=config.seed))
    return dataset


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
