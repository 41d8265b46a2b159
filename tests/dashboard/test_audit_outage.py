"""The audit desk while its database is gone for a while: said, nothing lost, and on it goes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette

from dashboard import health
from tests.asgi import get
from tests.dashboard.conftest import text_of
from tests.dashboard.test_audit_view import history, press
from tests.postgres import Server, running_postgres

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[Server]:
    """A PostgreSQL that may be stopped."""
    with running_postgres() as running:
        yield running


def test_a_database_that_is_gone_for_a_while(open_view, run, server, monkeypatch):
    database = f"{server.url}/postgres"
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("SELFML_AUDITOR", "ann")
    monkeypatch.setattr(health, "KEEP_S", 0.0)
    site = Starlette(routes=[health.route()])
    app = open_view("audit", run="tiny")
    press(app, "accept")
    asked = next(b.key for b in app.button if b.key.startswith("reject"))
    assert get(site, "/healthz")[0] == 200

    server.stop()
    for _ in range(2):  # as often as one likes
        app.button(key=asked).click().run()
        assert not app.exception
        assert "Not saved" in app.error[0].value
        assert "try again" in app.error[0].value
        assert asked in [b.key for b in app.button]  # the same item, as it was
    late = open_view("audit", run="tiny", part="history")  # and who comes meanwhile
    assert "The store of decisions does not answer" in late.error[0].value
    assert "Nothing that was saved is lost" in late.error[0].value
    assert get(site, "/healthz")[0] == 503

    server.start()
    app.button(key=asked).click().run()
    assert not app.error
    assert asked not in [b.key for b in app.button]
    next(b for b in late.button if b.label == "Try again").click().run()
    assert not late.error
    assert "2 decisions on" in text_of(late)
    assert [row[2:] for row in history(database, run)] == [("reject", "ann"), ("accept", "ann")]
    assert get(site, "/healthz")[0] == 200
