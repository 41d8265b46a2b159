"""Everything that is kept in memory between reruns: the only ``st.cache_*`` of the dashboard.

What is cached is shared by all sessions and must not be changed by its users.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pyarrow as pa
import streamlit as st

from dashboard.draft import Rows
from dashboard.frames import oracle, relabelled, what_if
from dashboard.frames.audit import keys_of
from dashboard.settings import DEMO_NAME, run_folders, settings
from dashboard.state import Selection
from selfml.counterfactual import Counterfactuals, read_counterfactuals
from selfml.decision_index import DecisionIndex
from selfml.decisions import Store
from selfml.flips import EvidenceModel, read_evidence_model
from selfml.run import Run, RunError
from selfml.suggestions import RESULTS
from selfml.suggestions import simulation as read_simulation

# Arrow's own allocators keep what was freed: 60 MB of 315 after one look at a run of 60,000 images.
pa.set_memory_pool(pa.system_memory_pool())


@dataclass(frozen=True)
class RunSummary:
    """A run as the picker shows it; ``problem`` says why it cannot be opened."""

    name: str
    path: Path
    status: str
    created: str
    n_images: int
    problem: str = ""

    @property
    def is_demo(self) -> bool:
        """Whether this is the run that comes with the program."""
        return self.name == DEMO_NAME


@st.cache_data(ttl=2, show_spinner=False)
def _summaries(folders: tuple[tuple[str, str], ...]) -> list[RunSummary]:
    return [_summary(name, Path(path)) for name, path in folders]


def _summary(name: str, path: Path) -> RunSummary:
    try:
        run = Run(path)
        info = run.info
    except RunError as error:
        return RunSummary(name, path, "unreadable", "", 0, str(error))
    status = "stopped" if run.is_stopped else str(info.get("status", ""))
    created = str(info.get("created", ""))
    n_images = (info.get("relabel") or info).get("n_images")  # without basis images of another
    return RunSummary(name, path, status, created, n_images if isinstance(n_images, int) else 0)


def runs() -> list[RunSummary]:
    """All runs: newest first, the demo run, those that failed, those that cannot be read.

    A mistyped folder of data makes a run that failed: it is not what a reader wants to see first.
    """
    found = _summaries(tuple((name, str(path)) for name, path in run_folders().items()))
    newest = sorted(found, key=lambda run: run.created, reverse=True)
    return sorted(newest, key=lambda run: (bool(run.problem), run.status == "failed", run.is_demo))


def open_run(run_id: str) -> Run:
    """The run of this folder name.

    Raises
    ------
    RunError
        When there is none, or it cannot be read.
    """
    path = run_folders().get(run_id)
    if path is None:
        raise RunError(f"{run_id}: there is no run of this name; choose one on the overview")
    stat = (path / "run.json").stat()
    return _open(str(path), stat.st_mtime_ns)


@st.cache_resource(max_entries=32, show_spinner=False)
def _open(path: str, modified_ns: int) -> Run:
    return Run(path)


def selected_run(selection: Selection) -> Run | None:
    """The run of the address, else the first of :func:`runs`; None where there is none at all.

    Raises
    ------
    RunError
        When the run of the address is missing or unreadable.
    """
    if selection.run:
        return open_run(selection.run)
    readable = [run for run in runs() if not run.problem]
    return open_run(readable[0].name) if readable else None


def updated(run: Run) -> str:
    """What changes whenever the run does: the part of every cache key.

    ``selfml evaluate`` writes tables without a word in ``run.json``, so their times count too.
    """
    measured = [run.table_path(name) for name in ("metrics", "attribute_metrics")]
    times = [path.stat().st_mtime_ns for path in measured if path.exists()]
    return " ".join([str(run.info.get("updated", "")), *map(str, times)])


@st.cache_resource(max_entries=96, show_spinner=False)
def _frame(
    path: str, updated: str, function: str, args: tuple, _run: Run, _function: Callable[..., Any]
) -> Any:
    try:
        return _function(_run, *args)
    finally:
        _give_back()


def _give_back() -> None:
    """Return memory that reading took and does not need any more to the system.

    Arrow and the C library keep it otherwise, in each of the threads that sessions run in: half
    of what a server over 300,000 images takes.
    """
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc only
    if trim is not None:
        trim(0)


def frame(run: Run, function: Callable[..., Any], *args: Hashable) -> Any:
    """``function(run, *args)``, worked out once for each state of the run.

    Parameters
    ----------
    function : callable
        A pure function at the top of a module (``frames.map.points``); its name is in the key.
    args : hashable
        Its further arguments.
    """
    name = f"{function.__module__}.{function.__qualname__}"
    return _frame(str(run.path), updated(run), name, args, run, function)


def figure(
    run: Run, draw: Callable[[Any], go.Figure], function: Callable[..., Any], *args: Hashable
) -> go.Figure:
    """``draw`` of :func:`frame`, drawn once for each state of the run; do not change it.

    Plotly takes longer to make a figure than its data take: some 20 ms each.
    """
    names = [f"{f.__module__}.{f.__qualname__}" for f in (draw, function)]
    return _frame(
        str(run.path),
        updated(run),
        " of ".join(names),
        args,
        run,
        lambda run, *rest: draw(frame(run, function, *rest)),
    )


def frame_of_two(run: Run, other: Run, function: Callable[..., Any], *args: Hashable) -> Any:
    """``function(run, other, *args)``, worked out once for each state of the two runs."""
    name = f"{function.__module__}.{function.__qualname__}"
    return _frame(
        f"{run.path}\n{other.path}",
        f"{updated(run)}\n{updated(other)}",
        name,
        args,
        run,
        lambda one, *rest: function(one, other, *rest),
    )


def source_of(run: Run) -> tuple[Run | None, str]:
    """The run that relabelled this one, and its name in addresses.

    None where it is not on this machine or is another by now; no name where it is elsewhere than
    among the runs.
    """
    said = run.info["source_run"]
    path = Path(said["path"])
    try:
        found = _open(str(path), (path / "run.json").stat().st_mtime_ns)
        if found.info.get("run_id") != said["run_id"] or not found.has("images", "basis"):
            return None, ""
    except (OSError, RunError):
        return None, ""
    here = path.resolve()
    names = [name for name, folder in run_folders().items() if folder.resolve() == here]
    return found, names[0] if names else ""


def distances(run: Run, source: Run | None) -> relabelled.Distances:
    """Of a relabelled catalogue, beside the run that relabelled it, worked out once."""
    if source is None:
        return frame(run, relabelled.distances)
    return frame_of_two(run, source, relabelled.distances)


def _table(run: Run, name: str, columns: tuple[str, ...] | None) -> pd.DataFrame:
    return run.table(name, None if columns is None else list(columns))


def table(run: Run, name: str, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """A table of the run, read once; do not change it."""
    return frame(run, _table, name, None if columns is None else tuple(columns))


def evidence_model(run: Run) -> EvidenceModel:
    """The evidence model of the run, read once."""
    return frame(run, read_evidence_model)


def counterfactuals(run: Run) -> Counterfactuals:
    """What answers any question about another basis, read once."""
    return frame(run, read_counterfactuals)


def _blast_radius(run: Run, basis_index: int) -> what_if.BlastRadius:
    return what_if.blast_radius(run, counterfactuals(run), basis_index)


def blast_radius(run: Run, basis_index: int) -> what_if.BlastRadius:
    """What leans on a basis image and what would change without it, worked out once."""
    return frame(run, _blast_radius, basis_index)


def _label_order(run: Run) -> pd.DataFrame:
    return oracle.order(run, counterfactuals(run))


def label_order(run: Run) -> pd.DataFrame:
    """The basis images in use, those to label first, worked out once."""
    return frame(run, _label_order)


def _preview(run: Run, rows: tuple[tuple[int, tuple[int, ...]], ...]) -> oracle.Preview:
    return oracle.preview(run, counterfactuals(run), dict(rows))


def preview(run: Run, rows: Rows) -> oracle.Preview:
    """What labelling basis images would change, worked out once for the same labels."""
    return frame(run, _preview, tuple(rows.items()))


@st.cache_data(show_spinner=False)
def simulation() -> pd.DataFrame:
    """What each way of choosing images to verify was worth, as the benchmark's results say it.

    Without the file there are no rows.
    """
    return read_simulation(RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else "")


ANSWER_S = 15.0  # our choice; the slowest question of a page takes less than a second


@st.cache_resource(show_spinner=False)
def _store(url: str) -> Store:
    return Store(url, answer_s=ANSWER_S)


def store() -> Store:
    """The audit store of ``DATABASE_URL``, opened once; one that fails to open is tried again.

    Raises
    ------
    StoreError, ValueError
        In one line.
    """
    return _store(settings().database_url)


@st.cache_resource(max_entries=8, show_spinner=False)
def _decisions(url: str, catalogue: str, path: str, updated: str, _run: Run, _store: Store):
    return DecisionIndex(_store, catalogue, partial(keys_of, _run))


def decisions(run: Run, store: Store, catalogue: str) -> DecisionIndex:
    """What is decided of the labels of a run, shared by all who audit it."""
    url = store.url.render_as_string(hide_password=False)
    return _decisions(url, catalogue, str(run.path), updated(run), run, store)
