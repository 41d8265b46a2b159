"""PostgreSQL stops below an open page and comes back: said, nothing lost, and it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import audit_queue, load
from dashboard.frames.audit import queue
from dashboard.frames.controls import controls
from dashboard.frames.flips import FlipQuery
from selfml import decision_tables
from selfml.decisions import Store
from selfml.run import Run, catalogue_of
from tests.dashboard.conftest import text_of
from tests.postgres import Server, programs, running_postgres

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(programs() is None, reason="no PostgreSQL (apt-get install postgresql)"),
]
Open = Callable[..., AppTest]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    pytest.importorskip("psycopg", reason="no psycopg; pip install 'selfml[postgres]'")
    with running_postgres() as found:
        yield found


@pytest.fixture
def database(server, monkeypatch) -> str:
    url = server.new_database()
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("SELFML_AUDITOR", "ann")
    return url


def accept(app: AppTest) -> str:
    """The key of the button that accepts what is shown."""
    return next(b.key for b in app.button if b.key.startswith("accept"))


def test_a_press_while_it_is_gone_is_said_and_works_afterwards(open_view, server, database, run):
    flips = queue(run, FlipQuery(), controls(run).hidden, 2)
    app = open_view("audit", run="tiny")
    first = accept(app)
    app.button(key=first).click().run()
    second = accept(app)
    assert second != first
    server.stop()
    try:
        app.button(key=second).click().run()
        assert not app.exception
        assert app.error[0].value.startswith("Not saved. postgresql")
        assert "\n" not in app.error[0].value
        assert accept(app) == second  # the undecided item stays
    finally:
        server.start()
    app.button(key=second).click().run()
    assert not app.error
    assert accept(app) not in (first, second)
    with Store(database) as store:
        history = store.history(catalogue_of(run))
    assert history["image_id"].tolist()[::-1] == flips["image_id"].tolist()
    assert history["attribute"].tolist()[::-1] == flips["attribute"].tolist()


def test_a_page_drawn_while_it_is_gone_says_so_and_comes_back(
    open_view: Open, server: Server, database: str, run: Run, monkeypatch
):
    clock = [1000.0]
    monkeypatch.setattr(audit_queue.time, "monotonic", lambda: clock[0])
    app = open_view("audit", run="tiny")
    asked = accept(app)
    server.stop()
    try:
        clock[0] += audit_queue.CLAIM_S  # the claims have run out: the store must be asked
        app.run()
        assert not app.exception
        assert "The store of decisions does not answer" in app.error[0].value
        assert "Everything is decided" not in text_of(app)
        assert not [b for b in app.button if b.key == asked]
    finally:
        server.start()
    next(b for b in app.button if b.label == "Try again").click().run()
    assert not app.error
    assert accept(app) == asked


def test_one_that_hangs_is_not_waited_for(open_view, server, database, run, monkeypatch):
    """The connection is open and what is sent is taken, but nothing comes back."""
    monkeypatch.setattr(load, "ANSWER_S", 1.0)
    monkeypatch.setitem(decision_tables.GIVE_UP, "connect_timeout", 2)
    app = open_view("audit", run="tiny")
    asked = accept(app)
    with server.hanging():
        start = time.monotonic()
        app.button(key=asked).click().run()
        assert time.monotonic() - start < 12
        assert not app.exception
        assert app.error[0].value.startswith("Not saved. postgresql")
        assert accept(app) == asked
    app.button(key=asked).click().run()
    assert not app.error
    assert accept(app) != asked
    with Store(database) as store:
        assert len(store.history(catalogue_of(run))) == 1
