"""Whether the store of decisions answers and can be written, asked without changing anything."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

import sqlalchemy as sa

from selfml.decision_tables import database_url

LEAST_FREE = 4 * 2**20  # bytes of disk; a decision takes some hundred (our choice)


def is_writable(text: str, limit_s: float = 2.0) -> bool:
    """Whether the database at this address answers within ``limit_s`` and could take decisions.

    Not so where PostgreSQL only repeats another server, nor where a file of SQLite may not be
    written or its disk is full; a full disk of PostgreSQL shows only when it is written to. A file
    that is not there yet is well if it could be made: the store makes it when it is opened first.

    Raises
    ------
    ValueError
        When it is no address of a database.
    """
    url = database_url(text)
    if url.get_backend_name() == "sqlite":
        return _is_file_writable(Path(url.database or ""), limit_s)
    options = {
        "connect_timeout": max(1, round(limit_s)),
        "options": f"-c statement_timeout={round(1000 * limit_s)}",
    }
    try:
        engine = sa.create_engine(url, connect_args=options, poolclass=sa.NullPool)
        with engine.connect() as connection:
            return connection.scalar(sa.text("SHOW transaction_read_only")) == "off"
    except (sa.exc.SQLAlchemyError, OSError, ImportError):  # or its driver is not installed
        return False


def _is_file_writable(path: Path, limit_s: float) -> bool:
    folder = next(p for p in path.resolve().parents if p.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        return False
    if shutil.disk_usage(folder).free < LEAST_FREE:
        return False
    if not path.exists():
        return True
    try:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode=rw", timeout=limit_s, uri=True, isolation_level=None
        )
        try:
            connection.execute("SELECT count(*) FROM sqlite_master")  # unlike SELECT 1, it is read
            connection.execute("BEGIN IMMEDIATE")  # of a file to be read only, it just reads
            connection.execute("CREATE TABLE can_be_written (x)")
            connection.execute("ROLLBACK")
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY  # somebody is writing
    except sqlite3.Error:
        return False
    return True
