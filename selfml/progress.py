"""Progress with time left: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Advance(Protocol):
    """Called with how much is done and, where known, of how much."""

    def __call__(self, done: int, total: int | None = None) -> None: ...


class Reporter:
    """Shows what is being done on standard error.

    Parameters
    ----------
    quiet : bool
        Show nothing, as in tests.
    every_s : float
        Seconds between lines where there is no terminal.
    """

    def __init__(self, *, quiet: bool = False, every_s: float = 10.0):
        self.quiet = quiet
        self.every_s = every_s
        self.console = Console(stderr=True, quiet=quiet)

    def say(self, text: str) -> None:
        """Print one line."""
        self.console.print(text, highlight=False, soft_wrap=True, markup=False)

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Advance]:
        """A bar for ``total`` items; yields a function to call with the number done."""
        if self.quiet:
            yield lambda done, total=None: None
        elif sys.stderr.isatty():
            yield from self._bar(name, total)
        else:
            yield from self._lines(name, total)

    def _bar(self, name: str, total: int) -> Iterator[Advance]:
        columns = (
            TextColumn("{task.description:<34}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console) as progress:
            bar = progress.add_task(name, total=total)

            def advance(done: int, total: int | None = None) -> None:
                progress.update(bar, completed=done, total=total)

            yield advance

    def _lines(self, name: str, total: int) -> Iterator[Advance]:
        started = said = time.monotonic()
        first: tuple[float, int] | None = None  # what comes before is preparation, or resumed

        def advance(done: int, of: int | None = None) -> None:
            nonlocal said, first
            now = time.monotonic()
            begun, at = first = first or (now, done)
            if now - said < self.every_s or done <= at:
                return
            said = now
            left = (now - begun) * ((of or total) - done) / (done - at)
            self.say(f"{name}: {done} of {of or total}, {left:.0f} s left")

        yield advance
        self.say(f"{name}: done in {time.monotonic() - started:.0f} s")
