"""Tiny trainings for the tests: a drawn catalogue, a configuration, and runs that are stopped."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from selfml.config import Config, load_recipe, with_settings
from selfml.progress import Advance, Reporter
from selfml.run import Run
from selfml.run_format import ARRAYS

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

# How many coefficients are above zero: rounding may put one of them over or under.
COUNTED = ("basis.usage", "images.n_active")
SUMMED = ("basis.mass",)  # coefficients of all images


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
    found |= {"coefficients": run.coefficients().toarray()}
    for table in ("basis", "flips", "images", "calibration", "trust", "faithfulness"):
        frame = run.table(table)
        if table == "flips":  # sorted by score, where the last bit may put one before another
            frame = frame.sort_values(["image_index", "attribute_index"])
        found |= {f"{table}.{column}": frame[column].to_numpy() for column in frame}
    evidence = json.loads(run.text("evidence.json"))
    return found | {f"evidence.{name}": np.array(value) for name, value in evidence.items()}


def assert_same_results(
    one: Path, other: Path, leave_out: tuple[str, ...] = (), *, within: float = 1e-3
) -> None:
    """The same to what rounding may do; see `assert_same`."""
    a, b = arrays_of(one), arrays_of(other)
    assert set(a) == set(b)
    for name in a:
        if name not in leave_out:
            assert_same(a[name], b[name], name, within)


def assert_same(one: np.ndarray, other: np.ndarray, name: str = "", within: float = 1e-3) -> None:
    """Equal but for rounding, which on some machines differs between two equal trainings.

    TensorFlow's kernels round by how many threads they were given (`tests.conftest` gives them
    one) and promise no more. So every number may differ by ``within``, relative or absolute, and a
    count of ``COUNTED`` by one; a sum of ``SUMMED`` over all images by a hundredth of it, for
    each of these may differ; whatever else is whole, yes or no, or text is exactly equal.
    """
    assert one.shape == other.shape, f"{name} differs in shape"
    if one.dtype.kind == "f":
        rtol = max(within, 1e-2) if name in SUMMED else within
        np.testing.assert_allclose(one, other, rtol=rtol, atol=within, err_msg=f"{name} differs")
    elif name in COUNTED:
        off = np.abs(one.astype(np.int64) - other.astype(np.int64))
        assert off.max(initial=0) <= 1, f"{name} differs by {off.max()}"
    else:
        np.testing.assert_array_equal(one, other, err_msg=f"{name} differs")
