"""The audit store on SQLite, and on a PostgreSQL that is started for the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from selfml.decisions import Store
from tests.postgres import Server, programs, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL on loopback."""
    if programs() is None:
        pytest.skip("no PostgreSQL on this machine (apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="no psycopg; pip install 'selfml[postgres]'")
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'decisions.db'}"
    return request.getfixturevalue("postgres").new_database()


@pytest.fixture
def store(url) -> Iterator[Store]:
    """An open store."""
    with Store(url) as opened:
        yield opened
