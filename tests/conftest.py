"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before TensorFlow is loaded: one thread rounds in one way, and two workers share two cores.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

from tests.tiny_run import build_tiny_run


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a small complete run, built once; nobody writes into it."""
    return build_tiny_run(tmp_path_factory.mktemp("runs") / "tiny")
