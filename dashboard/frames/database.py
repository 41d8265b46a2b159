"""DuckDB over a run's tables: the columns that lists are filtered and sorted by are in its memory.

DuckDB's own tables skip blocks by the smallest and largest value in each. All other columns, of the
few rows that are shown, are read from the file (``Run.table_rows``). 1.8 million flips of a million
images take 13 MB; the ``MAX_TABLES`` last used tables are kept.

Sessions run in threads, and one may put a table out of memory that another is about to query:
:func:`ask` reads it again then.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from threading import Lock
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from selfml.run import Run, RunError, damaged

MAX_TABLES = 12
KEEPS_FREED = "allocator_bulk_deallocation_flush_threshold"  # of DuckDB, by default 512 MiB
#: table of a run -> what is kept of it, in which order of rows. ``mixed`` numbers flips from 1: the
#: surest one of each attribute and direction, then the second of each, and so on; of equals, those
#: that stand without basis images come last. A number to sort by makes late pages twice as fast.
KEPT = {
    "flips": """
        WITH rows AS (
            SELECT file_row_number AS row, image_index, attribute_index, corrected, confidence,
                   strict_agrees, auto_accept, truth, {bare} AS bare,
                   {learned} AS learned, {verified} AS verified
            FROM read_parquet(?, file_row_number = true) f
        ), dealt AS (
            SELECT *, row_number() OVER (
                PARTITION BY attribute_index, corrected ORDER BY confidence DESC, image_index
            ) AS turn FROM rows
        )
        SELECT * EXCLUDE (row, turn), (row_number() OVER (
            ORDER BY turn, bare, confidence DESC, image_index, attribute_index
        ))::INTEGER AS mixed FROM dealt ORDER BY row
    """,
    "images": "SELECT image_index, category, split FROM read_parquet(?)",
    "coefficients": "SELECT * FROM read_parquet(?) ORDER BY basis_index, image_index",
}
#: what is no damage of a file, such as a table that was put out of memory
NOT_OF_FILES = (
    duckdb.CatalogException,
    duckdb.FatalException,
    duckdb.InterruptException,
    duckdb.OutOfMemoryException,
    duckdb.ParserException,
)
NO_COLUMNS = dict.fromkeys(("bare", "learned", "verified"), "false")
_NAMED = re.compile(rf"runs\.(?:{'|'.join(KEPT)})_[0-9a-f]{{24}}")
#: the tables in memory, last used last
_tables: OrderedDict[str, None] = OrderedDict()
#: every name that :func:`kept` gave -> what makes it; some kB for each
_origins: dict[str, tuple[str, list[Any]]] = {}
_lock = Lock()  # of the tables
_opening = Lock()  # of the database
_setting = Lock()  # of what is kept of freed memory
#: as many as are within :func:`giving_back`
_giving: list[None] = []
#: how many databases ended, and how many had when tables were last read
_databases = [0, 0]


@cache
def _opened() -> duckdb.DuckDBPyConnection:
    """One database in memory, with compression (DuckDB has it off there by default)."""
    connection = duckdb.connect()
    connection.execute("ATTACH ':memory:' AS runs (COMPRESS)")
    return connection


def _database() -> duckdb.DuckDBPyConnection:
    """The one database of the process; ``cache`` alone would open one for each of two threads."""
    with _opening:
        return _opened()


def _renew(connection: duckdb.DuckDBPyConnection) -> None:
    """Let go of a database that refuses all queries: tables in it are read again when needed."""
    with _opening:
        if _opened() is connection:
            _opened.cache_clear()
            _databases[0] += 1


@contextmanager
def giving_back() -> Iterator[None]:
    """What is freed meanwhile, here or in another thread, goes back to the system at once.

    DuckDB would keep it: 20 MiB after the tables of 60,000 images are read, 54 after one join over
    the coefficients of a million. Most queries free little, and giving that back takes 12 ms of
    each.
    """
    with _setting:
        _answer(f"SET {KEEPS_FREED} = '0B'", [])
        _giving.append(None)
    try:
        yield
    finally:
        with _setting:
            _giving.pop()
            if not _giving:
                _answer(f"RESET {KEEPS_FREED}", [])


def ask(sql: str, values: list[Any], **arrays: np.ndarray) -> pd.DataFrame:
    """The answer to a DuckDB query; each call has its own cursor, so threads may share it.

    ``arrays`` are tables of that name with one column ``key``: a list among the values is read
    number by number, ten times slower.

    Raises
    ------
    RunError
        When a file that it reads is missing or damaged.
    """
    try:
        return _answer(sql, values, **arrays)
    except duckdb.CatalogException:
        named = dict.fromkeys(name for name in _NAMED.findall(sql) if name in _origins)
        if not named:
            raise
    with _lock:  # nobody puts them out again before the answer is there
        try:
            for table in named:
                _tables.pop(table, None)
                _load(table)
            return _answer(sql, values, **arrays)
        finally:
            _drop_oldest()


def _answer(sql: str, values: list[Any], **arrays: np.ndarray) -> pd.DataFrame:
    database = _database()
    try:
        return _answer_of(database, sql, values, **arrays)
    except duckdb.FatalException:  # what another query did to the database
        _renew(database)
        return _answer_of(_database(), sql, values, **arrays)
    except RunError as error:
        if isinstance(error.__cause__, duckdb.InternalException):
            _renew(database)
        raise


def _answer_of(
    database: duckdb.DuckDBPyConnection, sql: str, values: list[Any], **arrays: np.ndarray
) -> pd.DataFrame:
    files = dict.fromkeys(v for v in values if isinstance(v, str) and v.endswith(".parquet"))
    with database.cursor() as cursor:
        for name, array in arrays.items():
            cursor.register(name, pa.table({"key": array}))
        try:
            return cursor.execute(sql, values).df()
        except NOT_OF_FILES:
            raise
        except (duckdb.Error, UnicodeDecodeError) as error:  # damaged files raise many kinds
            if not files:
                raise
            for file in map(Path, files):
                if not file.exists():
                    Run(file.parent).n_rows(file.stem)  # says what is missing
            named = [file for file in files if file in str(error)] or list(files)
            raise damaged(", ".join(named), error) from error


def kept(
    run: Run, name: str, columns: Mapping[str, str] = NO_COLUMNS, values: Sequence[Any] = ()
) -> str:
    """Name, for a query, of a table of the run; loaded when first asked for.

    Parameters
    ----------
    name : str
        A key of ``KEPT``; row ``r`` of the file is ``rowid`` r, where the order is the file's.
    columns : mapping of str
        The keys of ``NO_COLUMNS``, in SQL over the columns of the file of ``flips``, called f:
        which stand without any basis image, which are of images that training learned from, and
        which of images that anybody verified.
    values : sequence
        Of the question marks in ``columns``; the other files that are read are Paths.
    """
    path = run.table_path(name)
    versions = [_version(file) for file in (*values, path) if isinstance(file, Path)]
    values = [str(value) if isinstance(value, Path) else value for value in values]
    key = f"{versions} {columns} {values}"
    table = f"runs.{name}_{sha256(key.encode()).hexdigest()[:24]}"
    with _lock:
        _origins[table] = KEPT[name].format(**columns), [*values, str(path)]
        _load(table)
        _drop_oldest()
    return table


def _version(path: Path) -> str:
    """Changes where the file does."""
    try:
        stat = path.stat()
    except OSError as error:
        raise damaged(path, error) from error
    return f"{path.resolve()} {stat.st_mtime_ns} {stat.st_size} {stat.st_ino}"


def _load(table: str) -> None:
    """Read a table into memory unless it is there, and note its use; ``_lock`` is held.

    DuckDB compresses what is in memory, to a quarter here, when told to write it down: by force, or
    it would not while anybody reads.
    """
    if _databases[0] != _databases[1]:
        _databases[1] = _databases[0]
        _tables.clear()
    if table not in _tables:
        sql, values = _origins[table]
        with giving_back():
            _answer(f"CREATE OR REPLACE TABLE {table} AS {sql}", values)
            _answer("FORCE CHECKPOINT runs", [])
    _tables[table] = None
    _tables.move_to_end(table)


def _drop_oldest() -> None:
    """Put tables beyond ``MAX_TABLES`` out of memory; ``_lock`` is held."""
    while len(_tables) > MAX_TABLES:
        _answer(f"DROP TABLE IF EXISTS {_tables.popitem(last=False)[0]}", [])
