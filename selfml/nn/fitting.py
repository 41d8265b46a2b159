"""One resumable ``fit``: same batches and the same weights whether or not it was interrupted."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from selfml.config import Config
from selfml.nn.input_pipeline import Batches
from selfml.progress import Reporter
from selfml.run import RunWriter

HISTORY_POINTS = 60
MONITOR_POINTS = 5
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h of glibc


class Interrupted(Exception):
    """Training was asked to stop and has saved where it was."""


@dataclass
class Session:
    """What every stage needs: the run being written, its work folder, and whether to stop."""

    config: Config
    writer: RunWriter
    reporter: Reporter
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def work(self) -> Path:
        """Checkpoints and caches; removed when the run is complete."""
        folder = self.writer.path / "work"
        folder.mkdir(exist_ok=True)
        return folder

    def check(self) -> None:
        """Raise Interrupted when a stop was asked for."""
        if self.stop.is_set():
            raise Interrupted


STOPPING = b"\nStopping as soon as what is done is kept; Ctrl-C again stops at once.\n"


@contextmanager
def stop_on_signals(stop: threading.Event, *, quiet: bool = False) -> Iterator[None]:
    """Ctrl-C or a polite kill asks for a stop at the next step; a second Ctrl-C stops at once.

    That it was heard is said at once on standard error, but where ``quiet``.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(_signal, _frame):
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        if not quiet:
            with suppress(OSError):  # a buffered stream may be in the middle of a write
                os.write(2, STOPPING)

    before = {s: signal.signal(s, ask) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def state_of(model: keras.Model) -> list[keras.Variable]:
    """Every variable a resumed fit needs: weights, optimizer, random generators; each once."""
    optimizer = model.optimizer.variables if model.optimizer is not None else []
    seen: dict[int, keras.Variable] = {}
    for variable in [*model.variables, *optimizer]:
        seen.setdefault(id(variable), variable)
    return list(seen.values())


def save_state(model: keras.Model, path: Path, step: int) -> None:
    """Write all variables and the step, whole or not at all."""
    arrays = {f"v{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(state_of(model))}
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "wb") as file:
        np.savez(file, step=step, **arrays)
    os.replace(temporary, path)


def load_state(model: keras.Model, path: Path) -> int:
    """Read what :func:`save_state` wrote; returns the step.

    Raises
    ------
    ValueError
        When the checkpoint was written by a model of another shape.
    """
    variables = state_of(model)
    with np.load(path) as saved:
        if len(saved.files) != len(variables) + 1:
            raise ValueError(
                f"{path}: belongs to another model; start a new run with another --out"
            )
        for i, variable in enumerate(variables):
            variable.assign(saved[f"v{i}"])
        return int(saved["step"])


def sync_state(model: keras.Model) -> None:
    """Bring the variables up to date inside a fit: JAX keeps them elsewhere until it ends."""
    if keras.backend.backend() == "jax":
        model.jax_state_sync()


def jit_choice() -> bool | str:
    """XLA is slower than TensorFlow's own kernels on a CPU; elsewhere Keras decides."""
    if keras.backend.backend() != "tensorflow":
        return "auto"
    devices = keras.distribution.list_devices("gpu")
    return "auto" if devices else False


def keep_freed_memory() -> None:
    """Undo what TensorFlow 2.21 does to glibc's allocator whenever it is fed by a generator.

    It sets ``M_TRIM_THRESHOLD`` to 128 kB, so that what a step frees goes back to the system and
    comes back page by page in the next step: on two cores that doubles the time of a step. Freed
    memory up to 1 GiB is kept for the next step instead (our choice). Does nothing where the C
    library has no ``mallopt``.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_TRIM_THRESHOLD, 1 << 30)
    mallopt(M_MMAP_THRESHOLD, 1 << 30)


def fit_stage(
    session: Session,
    stage: str,
    model: keras.Model,
    batches: Callable[[int], Batches],
    *,
    steps: int,
    learning_rate: float,
    monitor: Callable[[], dict[str, float]] | None = None,
) -> None:
    """Train for ``steps`` steps, or finish what an interrupted run began.

    Parameters
    ----------
    stage : str
        Names the checkpoint and the history lines.
    batches : callable
        From the first step to the batches that are left.
    monitor : callable, optional
        Measures to show while training; never used for a choice.

    Raises
    ------
    Interrupted
        After saving, when a stop was asked for.
    """
    decay = session.config.train.decay
    schedule = keras.optimizers.schedules.InverseTimeDecay(learning_rate, 1, decay)
    model.compile(
        optimizer=keras.optimizers.Adam(schedule),
        jit_compile=jit_choice(),
        steps_per_execution=session.config.train.steps_per_call,
    )
    model(_tensors(batches(0)[0][0]))
    model.optimizer.build(model.trainable_variables)
    checkpoint = session.work / f"{stage}.npz"
    first = load_state(model, checkpoint) if checkpoint.exists() else 0
    if first >= steps:
        return
    session.writer.drop_history(stage, first)
    session.writer.update(status="running", stage=stage, step=first, steps=steps)
    with session.reporter.task(stage.replace("_", " "), steps) as advance:
        callback = _Stage(session, stage, checkpoint, first, steps, advance, monitor)
        model.fit(batches(first), epochs=1, shuffle=False, verbose=0, callbacks=[callback])
        if callback.interrupted:
            raise Interrupted
    save_state(model, checkpoint, steps)


def _tensors(batch):
    if isinstance(batch, dict):
        return {name: keras.ops.convert_to_tensor(value) for name, value in batch.items()}
    return keras.ops.convert_to_tensor(batch)


class _Stage(keras.callbacks.Callback):
    """History, progress, checkpoints and the wish to stop."""

    def __init__(self, session, stage, checkpoint, first, steps, advance, monitor):
        super().__init__()
        self.session, self.stage, self.checkpoint = session, stage, checkpoint
        self.first, self.steps, self.advance, self.monitor = first, steps, advance, monitor
        self.interrupted = self.begun = False
        self.saved = time.monotonic()
        self.logged, self.watched, self.sum = first, first, 0.0

    def on_train_batch_end(self, batch, logs=None):
        if not self.begun:
            keep_freed_memory()  # by now the generator has been made
            self.begun = True
        step = min(self.first + batch + 1, self.steps)  # the last of several a call may be fewer
        self.advance(step)
        every = max(self.steps // HISTORY_POINTS, 1)
        if step // every != self.logged // every or step == self.steps:
            self._log(step, float(logs["loss"]))
        if self.session.stop.is_set() and step < self.steps:
            self.interrupted = True
            self.model.stop_training = True
        due = time.monotonic() - self.saved > self.session.config.train.checkpoint_s
        if (due or self.interrupted) and step < self.steps:
            sync_state(self.model)
            save_state(self.model, self.checkpoint, step)
            self.session.writer.update(step=step)
            self.saved = time.monotonic()

    def _log(self, step: int, mean_loss: float) -> None:
        total = mean_loss * (step - self.first)  # Keras logs the mean since the fit began
        recent = (total - self.sum) / max(step - self.logged, 1)
        self.sum, self.logged = total, step
        values = {"loss": recent}
        every = max(self.steps // MONITOR_POINTS, 1)
        if self.monitor is not None and step // every != self.watched // every:
            self.watched = step
            sync_state(self.model)
            values |= self.monitor()
        self.session.writer.append_history(self.stage, step, values)
