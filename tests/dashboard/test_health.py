"""``/healthz``: well where the runs and the database can be read, else which of them fails."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
from collections import namedtuple
from contextlib import closing

import pytest
import sqlalchemy as sa
from starlette.applications import Starlette

from dashboard import health
from selfml import store_health
from selfml.decision_tables import database_url
from selfml.decisions import Store
from tests.asgi import get
from tests.postgres import programs, running_postgres

CONNECT = sqlite3.connect


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """``ask()``: status and body, asked anew."""
    monkeypatch.setenv("SELFML_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'decisions.db'}")
    monkeypatch.setattr(health, "KEEP_S", 0.0)
    site = Starlette(routes=[health.route()])

    def ask_() -> tuple[int, dict]:
        status, headers, body = get(site, "/healthz")
        assert headers["cache-control"] == "no-store"
        assert headers["content-type"] == "application/json"
        return status, json.loads(body)

    return ask_


WELL = {"status": "ok", "runs": "ok", "database": "ok"}


def test_a_new_site_is_well_and_stays_so_once_it_is_used(ask, tmp_path):
    assert ask() == (200, WELL)
    assert not (tmp_path / "decisions.db").exists()  # asking changes nothing
    with Store(f"sqlite:///{tmp_path / 'decisions.db'}"):
        assert ask() == (200, WELL)


def test_a_database_that_is_damaged_is_said(ask, tmp_path):
    (tmp_path / "decisions.db").write_bytes(b"not a database" * 100)
    assert ask() == (503, WELL | {"status": "failing", "database": "cannot be written"})


def test_a_database_that_takes_no_decision_is_said(ask, tmp_path, monkeypatch):
    """It can be read all the same: a file on a full disk, or one that may not be written."""
    failing = (503, WELL | {"status": "failing", "database": "cannot be written"})
    with Store(f"sqlite:///{tmp_path / 'decisions.db'}"):
        space = namedtuple("space", "free")
        with monkeypatch.context() as full:
            full.setattr(store_health.shutil, "disk_usage", lambda _: space(1000))
            assert ask() == failing
        with monkeypatch.context() as locked:
            locked.setattr(store_health.sqlite3, "connect", read_only)
            assert ask() == failing
        assert ask() == (200, WELL)


def read_only(address: str, *args, **kwargs) -> sqlite3.Connection:
    """As a file without the right to write is opened, by whoever is not root."""
    return CONNECT(address.replace("mode=rw", "mode=ro"), *args, **kwargs)


def test_a_database_that_somebody_writes_to_is_well(ask, tmp_path, monkeypatch):
    monkeypatch.setattr(health, "LIMIT_S", 0.2)
    file = tmp_path / "decisions.db"
    with Store(f"sqlite:///{file}"), closing(CONNECT(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert ask() == (200, WELL)
        other.execute("ROLLBACK")
    with closing(CONNECT(file, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=DELETE").fetchall()
        other.execute("BEGIN EXCLUSIVE")  # where even reading has to wait
        assert ask() == (200, WELL)


def test_a_server_that_only_repeats_another_is_said(ask, monkeypatch):
    pytest.importorskip("psycopg")
    if programs() is None:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    with running_postgres() as server:
        url = server.new_database()
        monkeypatch.setenv("DATABASE_URL", url)
        assert ask() == (200, WELL)
        name = database_url(url).database
        with closing(Store(url)) as store, store.engine.begin() as connection:
            connection.execute(
                sa.text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
            )
        assert ask() == (503, WELL | {"status": "failing", "database": "cannot be written"})


def test_a_database_that_does_not_answer_is_said_in_time(ask, monkeypatch):
    """Something listens, takes the connection and is silent."""
    pytest.importorskip("psycopg")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("DATABASE_URL", f"postgresql://who:hidden@127.0.0.1:{port}/x")
        start = time.monotonic()
        status, body = ask()
    assert (status, body["database"]) == (503, "cannot be written")
    assert "hidden" not in str(body)
    assert time.monotonic() - start < 5


def test_runs_that_cannot_be_read_are_said(ask, tmp_path):
    (tmp_path / "runs").write_text("a file, not a folder")
    assert ask() == (503, WELL | {"status": "failing", "runs": "cannot be read"})


def test_an_address_that_cannot_be_read_is_said(ask, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "mysql://who:hidden@x/y")
    assert ask()[1]["database"] == "its address cannot be read"


def test_many_questions_are_one_to_the_database(ask, monkeypatch):
    asked = []
    monkeypatch.setattr(health, "is_writable", lambda *_: asked.append(1) or True)
    monkeypatch.setattr(health, "KEEP_S", 60.0)
    for _ in range(5):
        assert ask()[0] == 200
    assert len(asked) == 1
