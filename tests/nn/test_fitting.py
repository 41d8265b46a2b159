"""A resumed fit is the fit that was never stopped: weights, optimizer, dropout and history."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from contextlib import nullcontext

import keras
import numpy as np
import pytest

from selfml.config import Config, with_settings
from selfml.nn import fitting
from selfml.nn.fitting import (
    STOPPING,
    Interrupted,
    Session,
    fit_stage,
    load_state,
    save_state,
    state_of,
    stop_on_signals,
)
from selfml.nn.input_pipeline import Batches, rows_of
from selfml.progress import Reporter
from selfml.run import Run, RunWriter
from tests.nn.backend import numbers

X = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
Y = (X @ np.arange(5) > 0).astype(np.float32)[:, None]
STEPS = 24


class Small(keras.Model):
    """With dropout, so that the random generator's state matters."""

    def __init__(self):
        super().__init__()
        self.drop = keras.layers.Dropout(0.3, seed=5)
        self.dense = keras.layers.Dense(1, kernel_initializer=keras.initializers.GlorotUniform(3))

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True

    def call(self, x, training=False):
        return self.dense(self.drop(x, training=training))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return keras.ops.mean(keras.ops.square(y_pred - y))


def session_in(path, **settings) -> Session:
    config = with_settings(Config(), [f"train.{k}={v}" for k, v in settings.items()])
    session = Session(config, RunWriter(path), Reporter(quiet=True))
    session.writer.update(status="running")
    return session


def fit(session, model, *, monitor=None, steps=STEPS, stage="stage"):
    def batches(first):
        fields = rows_of(X)
        target = rows_of(Y)
        groups = [(np.arange(40), 8)]
        return Batches(
            groups, fields, target=target, steps=steps, first_step=first, seed=1, stage=stage
        )

    fit_stage(session, stage, model, batches, steps=steps, learning_rate=0.05, monitor=monitor)


def stopping(session, calls=2):
    """A monitor that asks for a stop the second time it is called."""
    seen = []

    def monitor():
        seen.append(1)
        if len(seen) == calls:
            session.stop.set()
        return {"seen": float(len(seen))}

    return monitor


def weights_of(model):
    return [numbers(v) for v in state_of(model)]


@pytest.mark.slow
def test_resumed_equals_straight(tmp_path):
    straight = Small()
    fit(session_in(tmp_path / "a"), straight)
    first = session_in(tmp_path / "b")
    with pytest.raises(Interrupted):
        fit(first, Small(), monitor=stopping(first))
    with np.load(tmp_path / "b/work/stage.npz") as saved:
        assert 0 < int(saved["step"]) < STEPS
    resumed = Small()
    fit(session_in(tmp_path / "b"), resumed)
    for a, b in zip(weights_of(straight), weights_of(resumed), strict=True):
        np.testing.assert_array_equal(a, b)
    with np.load(tmp_path / "b/work/stage.npz") as saved:
        assert int(saved["step"]) == STEPS


def test_state_is_everything_a_fit_needs(tmp_path):
    """Weights, the dropout's generator, Adam's two moments, step count and rate; each once."""
    model = Small()
    fit(session_in(tmp_path), model)
    state = state_of(model)
    assert len({id(v) for v in state}) == len(state)
    names = [v.path for v in state]
    assert any("seed_generator" in name for name in names)
    kernel_like = [v for v in state if tuple(v.shape) == (5, 1)]
    assert len(kernel_like) == 3  # the weight, its momentum and its velocity
    iterations = [v for v in state if v.path.endswith("iteration")]
    assert [int(numbers(v)) for v in iterations] == [STEPS]


def test_a_finished_stage_is_passed_over(tmp_path):
    model = Small()
    fit(session_in(tmp_path), model)
    history = Run(tmp_path).history()
    again = Small()
    fit(session_in(tmp_path), again)
    for a, b in zip(weights_of(model), weights_of(again), strict=True):
        np.testing.assert_array_equal(a, b)
    assert Run(tmp_path).history().equals(history)


@pytest.mark.slow
@pytest.mark.parametrize("steps", [STEPS, STEPS - 1])
def test_several_steps_a_call_are_the_same_steps(tmp_path, steps):
    """The same weights, also where the last call has fewer; history at the ends of calls."""
    single, several = Small(), Small()
    fit(session_in(tmp_path / "a"), single, steps=steps)
    fit(session_in(tmp_path / "b", steps_per_call=5), several, steps=steps)
    for a, b in zip(weights_of(single), weights_of(several), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    history = Run(tmp_path / "b").history()
    losses = history[history["name"] == "loss"]
    assert list(losses["step"]) == [5, 10, 15, 20, steps]
    whole = Run(tmp_path / "a").history().query("name == 'loss'")
    assert whole["value"].mean() == pytest.approx(
        np.average(losses["value"], weights=np.diff([0, *losses["step"]])), rel=1e-4
    )


@pytest.mark.slow
def test_history_of_a_resumed_stage_has_each_step_once(tmp_path):
    session = session_in(tmp_path / "a")
    session.writer.append_history("other", 3, {"loss": 1.0})
    with pytest.raises(Interrupted):
        fit(session, Small(), monitor=stopping(session))
    # killed later than its last checkpoint: those lines are written again
    session.writer.append_history("stage", STEPS, {"loss": 99.0})
    with open(tmp_path / "a/history.jsonl", "a") as file:
        file.write('{"time": "torn')
    fit(session_in(tmp_path / "a"), Small())
    history = Run(tmp_path / "a").history()
    losses = history[(history["stage"] == "stage") & (history["name"] == "loss")]
    assert losses["step"].tolist() == list(range(1, STEPS + 1))
    assert losses["value"].max() < 99
    assert (history["stage"] == "other").sum() == 1
    fit(session_in(tmp_path / "b"), Small())
    straight = Run(tmp_path / "b").history()
    np.testing.assert_allclose(losses["value"], straight["value"], rtol=1e-4, atol=1e-6)


def test_history_is_the_loss_since_the_last_line(tmp_path):
    """Lines of a long fit: each the mean over its own steps, not since the beginning."""
    steps = 3 * fitting.HISTORY_POINTS
    seen = []

    model = Small()
    session = session_in(tmp_path)

    class Recorder(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(float(logs["loss"]))

    original = model.fit
    model.fit = lambda *a, callbacks, **k: original(*a, callbacks=[*callbacks, Recorder()], **k)
    fit(session, model, steps=steps)
    total = np.array(seen) * np.arange(1, steps + 1)
    each = np.diff(np.r_[0, total]).reshape(-1, 3).mean(1)
    history = Run(tmp_path).history()
    assert history["step"].tolist() == list(range(3, steps + 1, 3))
    np.testing.assert_allclose(history["value"], each, rtol=1e-4, atol=1e-5)


def test_monitor_sees_the_weights_of_its_step(tmp_path):
    """Also on JAX, which keeps them elsewhere while it fits."""
    model, seen = Small(), []

    def monitor():
        seen.append(numbers(model.dense.kernel).copy())
        return {"norm": float(np.linalg.norm(seen[-1]))}

    fit(session_in(tmp_path), model, monitor=monitor)
    assert len(seen) >= fitting.MONITOR_POINTS
    assert all(np.abs(a - b).max() > 1e-4 for a, b in itertools.pairwise(seen))
    np.testing.assert_array_equal(seen[-1], numbers(model.dense.kernel))
    history = Run(tmp_path).history()
    shown = history[history["name"] == "norm"]
    np.testing.assert_allclose(shown["value"], [np.linalg.norm(k) for k in seen], rtol=1e-6)


@pytest.mark.parametrize("steps", [7, 200, 350])
def test_measures_come_five_times_whatever_the_steps(steps, tmp_path):
    """History lines come every third step of 200, and no multiple of 3 is one of 40."""
    fit(session_in(tmp_path), Small(), steps=steps, monitor=lambda: {"map": 1.0})
    history = Run(tmp_path).history()
    shown = history[history["name"] == "map"]["step"].to_numpy()
    assert fitting.MONITOR_POINTS <= len(shown) <= fitting.MONITOR_POINTS + 2
    assert shown[-1] == steps
    assert np.diff(shown).max() <= steps / fitting.MONITOR_POINTS + steps / fitting.HISTORY_POINTS


@pytest.mark.slow
def test_checkpoints_by_time_hold_the_weights_of_their_step(tmp_path, monkeypatch):
    """A kill -9 leaves the last one; it must be a state that the straight fit went through."""
    saved = {}
    original = fitting.save_state

    def keep(model, path, step):
        original(model, path, step)
        saved[step] = [numbers(v).copy() for v in state_of(model)]

    monkeypatch.setattr(fitting, "save_state", keep)
    model = Small()
    fit(session_in(tmp_path / "a", checkpoint_s=0.0), model)
    assert set(saved) == set(range(1, STEPS + 1))
    assert not list((tmp_path / "a/work").glob(".*tmp"))
    halfway = session_in(tmp_path / "b")
    donor = Small()
    fit(session_in(tmp_path / "c"), donor, steps=1)
    for variable, value in zip(state_of(donor), saved[9], strict=True):
        variable.assign(value)
    original(donor, halfway.work / "stage.npz", 9)
    resumed = Small()
    fit(session_in(tmp_path / "b"), resumed)
    for a, b in zip(weights_of(model), weights_of(resumed), strict=True):
        np.testing.assert_array_equal(a, b)


def test_learning_rate_decays_as_in_the_paper(tmp_path):
    model = Small()
    fit(session_in(tmp_path, decay=0.1), model)
    rate = float(numbers(keras.ops.convert_to_tensor(model.optimizer.learning_rate)))
    assert rate == pytest.approx(0.05 / (1 + 0.1 * STEPS), rel=1e-5)


def test_a_checkpoint_of_another_model(tmp_path):
    model = Small()
    fit(session_in(tmp_path), model)
    path = tmp_path / "other.npz"
    save_state(model, path, 7)
    assert load_state(model, path) == 7
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    other.compile(optimizer="sgd")
    with pytest.raises(ValueError, match="belongs to another model"):
        load_state(other, path)


def test_progress_reaches_the_end(tmp_path):
    session = session_in(tmp_path)
    done = []
    session.reporter.task = lambda name, total: nullcontext(done.append)
    fit(session, Small())
    assert done == list(range(1, STEPS + 1))
    info = Run(tmp_path).info
    assert (info["stage"], info["steps"]) == ("stage", STEPS)


# ---------------------------------------------------------------------------------------- signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_ask_and_the_second_insists(number, capfd):
    stop = threading.Event()
    before = signal.getsignal(number)
    with stop_on_signals(stop):
        os.kill(os.getpid(), number)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
    assert capfd.readouterr().err == STOPPING.decode()  # once, at the first


def test_a_stop_of_quiet_work_says_nothing(capfd):
    stop = threading.Event()
    with stop_on_signals(stop, quiet=True):
        os.kill(os.getpid(), signal.SIGINT)
    assert stop.is_set()
    assert capfd.readouterr().err == ""


def test_signals_are_left_alone_in_other_threads():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with stop_on_signals(threading.Event()):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_session_check(tmp_path):
    session = session_in(tmp_path)
    session.check()
    session.stop.set()
    with pytest.raises(Interrupted):
        session.check()


# --------------------------------------------------------------------------------------- memory
def test_freed_memory_is_kept(monkeypatch):
    calls = []

    class Library:
        def mallopt(self, name, value):
            calls.append((name, value))

    monkeypatch.setattr(fitting.ctypes, "CDLL", lambda _name: Library())
    fitting.keep_freed_memory()
    assert calls == [(-1, 1 << 30), (-3, 1 << 30)]
    monkeypatch.setattr(fitting.ctypes, "CDLL", lambda _name: object())
    fitting.keep_freed_memory()  # no mallopt in this C library


def test_a_fit_keeps_freed_memory_once_its_generator_is_made(monkeypatch, tmp_path):
    """TensorFlow's generator has the allocator give freed memory back, so ours must come after."""
    drawn, kept = [], []
    draw = Batches.__getitem__
    monkeypatch.setattr(Batches, "__getitem__", lambda self, i: drawn.append(i) or draw(self, i))
    monkeypatch.setattr(fitting, "keep_freed_memory", lambda: kept.append(len(drawn)))
    fit(session_in(tmp_path), Small())
    assert len(kept) == 1
    assert kept[0] > 1  # one batch is drawn before the fit, to build the model
