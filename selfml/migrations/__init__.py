"""The tables of the audit store through time (Alembic)."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError

LOCK = 5_716_402  # any number: servers that start together bring the tables up to date in turn


def configuration() -> Config:
    """Where Alembic finds the revisions, wherever the package is installed."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def upgrade(engine: sa.Engine, revision: str = "head") -> None:
    """Bring the tables to ``revision``, in one transaction, one process at a time.

    Raises
    ------
    OSError
        When the tables are of a later version of SELF-ML, which this one does not know.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        config = configuration()
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, revision)
        except CommandError as error:
            raise OSError(f"{error}; was it written by a later version?") from error
