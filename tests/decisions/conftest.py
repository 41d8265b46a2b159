"""The audit store on SQLite, and on a PostgreSQL that is started for the tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from selfml.decisions import Store
from tests.postgres import running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of an empty PostgreSQL on loopback, without the database's name."""
    with running_postgres() as server:
        yield server.url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'decisions.db'}"
    import psycopg

    server = request.getfixturevalue("postgres")
    name = f"t{uuid.uuid4().hex}"
    address = f"{server}/postgres".replace("postgres://", "postgresql://")
    with psycopg.connect(address, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    return f"{server}/{name}"


@pytest.fixture
def store(url) -> Iterator[Store]:
    """An open store."""
    with Store(url) as opened:
        yield opened
