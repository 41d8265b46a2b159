"""Fixtures shared by all tests."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before TensorFlow is loaded: one thread rounds in one way, and two workers share two cores.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

from tests.command import Command, command_line
from tests.tiny_run import build_tiny_run

# What takes longest first, so that two workers end together: one file of minutes that begins last
# has a machine to itself.
FIRST = ("nn/test_other_backends.py", "train/", "browser/", "benchmark/", "dashboard/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order files by ``FIRST``, and leave them as they are otherwise."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        place = item.path.relative_to(here).as_posix() if item.path.is_relative_to(here) else ""
        return next((i for i, name in enumerate(FIRST) if place.startswith(name)), len(FIRST))

    items.sort(key=rank)


@pytest.fixture(scope="module", autouse=True)
def _swept() -> Iterator[None]:
    """What a module leaves is never looked at for garbage again.

    Streamlit collects it all after every rerun, which with TensorFlow and what it has traced in the
    same process takes longer than the rerun. What becomes garbage of it later stays: little.
    """
    yield
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Frozen objects would live beyond the end, and DuckDB complain of them."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a small complete run, built once; nobody writes into it."""
    return build_tiny_run(tmp_path_factory.mktemp("runs") / "tiny")


@pytest.fixture
def selfml(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command ``selfml``, run in this process."""
    return command_line(monkeypatch, capsys)
