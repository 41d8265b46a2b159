"""Whether the store of decisions answers, asked without changing anything."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import sqlalchemy as sa

from selfml.decision_tables import database_url


def answers(text: str, limit_s: float = 2.0) -> bool:
    """Whether the database at this address answers within ``limit_s``.

    A file of SQLite that is not there yet answers if it could be made: the store makes it when it
    is opened first.

    Raises
    ------
    ValueError
        When it is no address of a database.
    """
    url = database_url(text)
    if url.get_backend_name() == "sqlite":
        return _file_answers(Path(url.database or ""), limit_s)
    options = {
        "connect_timeout": max(1, round(limit_s)),
        "options": f"-c statement_timeout={round(1000 * limit_s)}",
    }
    try:
        engine = sa.create_engine(url, connect_args=options, poolclass=sa.NullPool)
        with engine.connect() as connection:
            return connection.scalar(sa.text("SELECT 1")) == 1
    except (sa.exc.SQLAlchemyError, OSError, ImportError):  # or its driver is not installed
        return False


def _file_answers(path: Path, limit_s: float) -> bool:
    if not path.exists():
        folder = next(p for p in path.resolve().parents if p.exists())
        return folder.is_dir() and os.access(folder, os.W_OK)
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", limit_s, uri=True)
        try:  # unlike SELECT 1, this reads the file
            return connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] >= 0
        finally:
            connection.close()
    except sqlite3.Error:
        return False
