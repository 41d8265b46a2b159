"""The tables of the audit store, and where they are: SQLite or PostgreSQL."""

from __future__ import annotations

import datetime
import math
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

# A host that is gone without a word would hold a page for minutes (our choice of times).
GIVE_UP = {"connect_timeout": 5, "tcp_user_timeout": 15_000}
WAIT_S = 30  # for others who write to the same file


class StoreError(OSError):
    """The store cannot be opened, read or written; one line that says what to do."""


@contextmanager
def in_one_line(url: sa.URL) -> Iterator[None]:
    """Turn what a database, its driver or its migrations raise into `StoreError`."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, ImportError, OSError) as error:
        if isinstance(error, StoreError):
            raise
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        if isinstance(error, ModuleNotFoundError):
            reason += " (pip install 'selfml[postgres]')"
        where = url.render_as_string(hide_password=True)
        raise StoreError(f"{where}: {reason}; nothing was written, try again") from error


class UtcDateTime(sa.types.TypeDecorator):
    """A moment in UTC; SQLite keeps no zone, so it is added when read."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value, dialect):
        """UTC on the way in."""
        return None if value is None else value.astimezone(datetime.UTC)

    def process_result_value(self, value, dialect):
        """UTC on the way out."""
        if value is None:
            return None
        return value.replace(tzinfo=datetime.UTC) if value.tzinfo is None else value


metadata = sa.MetaData()
_number = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # SQLite counts Integer keys only

batch_table = sa.Table(
    "batch",
    metadata,
    sa.Column("id", _number, primary_key=True, autoincrement=True),
    sa.Column("key", sa.String(64), nullable=False, unique=True),
    sa.Column("catalogue", sa.Text, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("auditor", sa.Text, nullable=False),
    sa.Column("decision", sa.String(8), nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("undoes", _number, sa.ForeignKey("batch.id"), unique=True),
    sa.Column("made_at", UtcDateTime, nullable=False),
    sa.CheckConstraint(
        "(kind = 'undo') = (undoes IS NOT NULL) AND kind IN ('single','bulk','settle','undo')"
        " AND decision IN ('accept','reject','unsure','undo')",
        name="batch_is_known",
    ),
)
sa.Index("batch_of_catalogue", batch_table.c.catalogue, batch_table.c.id)
sa.Index("batch_of_auditor", batch_table.c.catalogue, batch_table.c.auditor, batch_table.c.id)
decision_table = sa.Table(
    "decision",
    metadata,
    sa.Column("id", _number, primary_key=True, autoincrement=True),
    sa.Column("batch_id", _number, sa.ForeignKey("batch.id"), nullable=False, index=True),
    sa.Column("image_id", sa.Text, nullable=False),
    sa.Column("attribute", sa.Text, nullable=False),
    sa.Column("given", sa.SmallInteger, nullable=False),
    sa.Column("proposed", sa.SmallInteger, nullable=False),
)
sa.Index("decision_of_cell", decision_table.c.image_id, decision_table.c.attribute)
claim_table = sa.Table(
    "claim",
    metadata,
    sa.Column("catalogue", sa.Text, primary_key=True),
    sa.Column("image_id", sa.Text, primary_key=True),
    sa.Column("attribute", sa.Text, primary_key=True),
    sa.Column("auditor", sa.Text, nullable=False),
    sa.Column("until", UtcDateTime, nullable=False),
)


def database_url(text: str) -> sa.URL:
    """A database's address; ``postgres://`` (as Heroku gives it) and a bare path are understood.

    Raises
    ------
    ValueError
        When it is neither SQLite's nor PostgreSQL's.
    """
    if "://" not in text:
        return sa.URL.create("sqlite", database=text)
    try:
        url = sa.make_url(text)
    except sa.exc.ArgumentError:
        raise ValueError(
            "DATABASE_URL: is not a database's address; give sqlite:///file.db or "
            "postgresql://user:password@host/name"
        ) from None
    kind = url.drivername.partition("+")[0]
    if kind in ("postgres", "postgresql"):
        return url.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise ValueError(f"DATABASE_URL: must be sqlite or postgresql, got {kind}")
    return url


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Write-ahead log; where several switch a new file to it at once SQLite does not wait."""
    end_s = time.monotonic() + WAIT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end_s:
                raise
        time.sleep(0.02)


def open_engine(url: sa.URL, answer_s: float = math.inf) -> sa.Engine:
    """An engine whose acknowledged writes survive the process being killed.

    ``answer_s`` is how many seconds PostgreSQL may take over one question.
    """
    if url.get_backend_name() != "sqlite":
        engine = sa.create_engine(
            url, pool_pre_ping=True, pool_size=5, max_overflow=20, connect_args=GIVE_UP
        )

        @sa.event.listens_for(engine, "do_connect")
        def _connect_to_server(_dialect, _record, arguments, settings):
            from selfml.postgres_connection import AnsweringConnection

            connection = AnsweringConnection.connect(*arguments, **settings)
            connection.answer_s = answer_s
            return connection

        return engine
    if url.database and url.database != ":memory:":
        Path(url.database).resolve().parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": WAIT_S})

    @sa.event.listens_for(engine, "connect")
    def _connect(connection, _record):
        connection.isolation_level = None  # transactions are begun below, DDL included
        _log_ahead(connection)
        for pragma in ("synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection):
        # A transaction that is to write takes the lock at once: one that reads first and then
        # finds another writer could only fail.
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
