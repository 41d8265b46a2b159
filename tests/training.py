"""Tiny trainings for the tests: a drawn catalogue, a configuration, and runs that are stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from selfml.config import Config, load_recipe, with_settings
from selfml.progress import Advance, Reporter
from selfml.run import ARRAYS, Run

TINY = [
    "data.size_px=32",
    "data.clean_samples=30",
    "head.d=16",
    "head.kernel=1",
    "train.batch_size=16",
    "train.clean_per_batch=4",
    "train.pretrain_steps=20",
    "train.finetune_steps=12",
    "basis.rank=4",
    "basis.n_atoms=30",
    "basis.steps=12",
    "flips.steps=12",
    "flips.hidden=8",
    "maps.enabled=false",
]
# As in the paper where it differs from `quick`, over the small backbone.
PAPER_LIKE = [
    "basis.source=noisy",
    "basis.labels=nearest_clean",
    "basis.rank=0",
    "basis.features=head",
    "basis.dropout=0",
    "basis.lambda_c=10",
    "basis.n_atoms=60",
    "flips.loss=l1",
    "head.kernel=3",
    "train.baseline_0_layers=all",
]


def tiny_config(*settings: str) -> Config:
    """The recipe `quick`, much smaller."""
    return with_settings(load_recipe("quick"), [*TINY, *settings])


class Interrupting(Reporter):
    """Sends this process a signal when a task has done so many items; once."""

    def __init__(self, task: str, done: int, number: int = signal.SIGINT):
        super().__init__(quiet=True)
        self.awaited, self.done, self.number = task, done, number
        self.reached: list[str] = []

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Advance]:
        """See `Reporter.task`."""
        self.reached.append(name)

        def advance(done: int, total: int | None = None) -> None:
            if name == self.awaited and done >= self.done:
                self.awaited = ""
                os.kill(os.getpid(), self.number)

        yield advance


def arrays_of(path: Path) -> dict[str, np.ndarray]:
    """Every array of a run, and the tables that training writes, column by column."""
    run = Run(path)
    found = {name: np.array(run.array(name)) for name in ARRAYS}
    for table in ("coefficients", "basis", "flips", "images", "faithfulness"):
        frame = run.table(table)
        found |= {f"{table}.{column}": frame[column].to_numpy() for column in frame}
    found |= {"evidence": np.array(run.text("evidence.json"))}
    return found


def assert_same_results(one: Path, other: Path, leave_out: tuple[str, ...] = ()) -> None:
    """Bitwise, on one machine with TensorFlow's CPU kernels."""
    a, b = arrays_of(one), arrays_of(other)
    for name in a:
        if name not in leave_out:
            if a[name].dtype == object:
                pd.testing.assert_series_equal(pd.Series(a[name]), pd.Series(b[name]))
            else:
                np.testing.assert_array_equal(a[name], b[name], err_msg=name)
