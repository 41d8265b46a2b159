"""``/healthz``: well where the runs and the database can be read, else which of them fails."""

from __future__ import annotations

import json
import socket
import time

import pytest
from starlette.applications import Starlette

from dashboard import health
from selfml.decisions import Store
from tests.asgi import get


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
    assert ask() == (503, WELL | {"status": "failing", "database": "does not answer"})


def test_a_database_that_does_not_answer_is_said_in_time(ask, monkeypatch):
    """Something listens, takes the connection and is silent."""
    pytest.importorskip("psycopg")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("DATABASE_URL", f"postgresql://who:hidden@127.0.0.1:{port}/x")
        start = time.monotonic()
        status, body = ask()
    assert (status, body["database"]) == (503, "does not answer")
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
    monkeypatch.setattr(health, "answers", lambda *_: asked.append(1) or True)
    monkeypatch.setattr(health, "KEEP_S", 60.0)
    for _ in range(5):
        assert ask()[0] == 200
    assert len(asked) == 1
