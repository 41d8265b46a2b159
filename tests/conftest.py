"""Fixtures shared by all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiny_run import build_tiny_run


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a small complete run, built once; nobody writes into it."""
    return build_tiny_run(tmp_path_factory.mktemp("runs") / "tiny")
