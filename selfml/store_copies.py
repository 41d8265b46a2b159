"""Backup and restore of a store of decisions in SQLite, while others are reading and writing it.

Both use SQLite's own online backup: what is copied is one moment of the store, whole, whatever is
written meanwhile. PostgreSQL has ``pg_dump`` and ``pg_restore`` for this.
"""

from __future__ import annotations

import datetime
import os
import sqlite3
import uuid
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from selfml.decision_tables import database_url

TABLES = {"batch", "decision", "alembic_version"}
WAIT_S = 30.0  # for a writer to end; as long as the store itself waits


@dataclass(frozen=True)
class Copied:
    """What was copied where: decisions ever made, and the store as it was before, if there was."""

    path: Path
    n_decisions: int
    before: Path | None = None


def backup(store: str, file: Path, *, force: bool = False) -> Copied:
    """Copy the store to a file that is one whole SQLite database, by itself.

    Parameters
    ----------
    store : str
        A file or ``sqlite:///file.db``.
    file : Path
        Appears once it is complete and checked.
    force : bool
        Replace a file that is there.

    Raises
    ------
    ValueError
        When there is no such store, it is damaged, is not of SQLite, or the file is there already.
    OSError
        When the file cannot be written.
    """
    source = _path_of(store, "pg_dump --format=custom --file=FILE")
    if source.resolve() == file.resolve():
        raise ValueError(f"{file}: is the store itself; name another file")
    _refuse_to_replace(file, force)
    _check(source)
    file.parent.mkdir(parents=True, exist_ok=True)
    return Copied(file, _write_whole(source, file, force))


def restore(file: Path, store: str, *, force: bool = False) -> Copied:
    """Put what a backup holds in the place of a store, which may be in use.

    A store that is there is kept beside it as ``NAME.before-restore-TIME`` and replaced in the same
    transaction: whoever has it open sees all of it before or all of it after, and what was decided
    until then is in the copy. One that is damaged is set aside as it is, with its log; servers that
    have it open are to be started again then.

    Raises
    ------
    ValueError
        When the file is no whole store of decisions, or the store is there and not ``force``, or it
        is not of SQLite.
    OSError
        When the store cannot be written.
    """
    path = _path_of(store, "pg_restore --clean --dbname=URL FILE", must_exist=False)
    if path.resolve() == file.resolve():
        raise ValueError(f"{file}: is the store itself; name another file")
    n = _check(file)
    _refuse_to_replace(path, force)
    moment = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S")
    before = path.with_name(f"{path.name}.before-restore-{moment}")
    if path.exists() and _is_whole(path):
        _replace_rows(file, path, before)
        return Copied(path, n, before)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Damaged, or gone: what is left of it must not be read into the new one, its log above all.
    kept = [_set_aside(path, before, ending) for ending in ("", "-wal", "-shm")]
    _write_whole(file, path, force)
    _check(path)
    return Copied(path, n, before if any(kept) else None)


def _is_whole(path: Path) -> bool:
    try:
        _check(path)
    except ValueError:
        return False
    return True


def _set_aside(path: Path, before: Path, ending: str) -> bool:
    """Rename a file of a store that cannot be read; whether there was one."""
    left = path.with_name(path.name + ending)
    if left.exists():
        left.rename(before.with_name(before.name + ending))
        return True
    return False


def _replace_rows(file: Path, path: Path, before: Path) -> None:
    """Copy the store to ``before`` and put the backup's rows in place, under one write lock.

    Nobody writes between the two, so whatever was acknowledged is in one of them.
    """
    version = "SELECT version_num FROM {}.alembic_version"
    try:
        with closing(_open(path)) as target:
            target.execute("PRAGMA foreign_keys=OFF")
            target.execute("ATTACH ? AS backup", [str(file.resolve())])
            one, other = (
                target.execute(version.format(name)).fetchall() for name in ("main", "backup")
            )
            if one != other:
                raise ValueError(
                    f"{file}: is of another version than {path}; stop the servers, move {path} "
                    "away, and restore again"
                )
            target.execute("BEGIN IMMEDIATE")
            _write_whole(path, before, force=False)
            for table in ("claim", "decision", "batch"):
                target.execute(f"DELETE FROM main.{table}")
            for table in ("batch", "decision"):
                target.execute(f"INSERT INTO main.{table} SELECT * FROM backup.{table}")
            target.execute("COMMIT")
    except sqlite3.Error as error:
        raise ValueError(f"{path}: could not be replaced ({error}); it is as it was") from error


def _path_of(store: str, instead: str, *, must_exist: bool = True) -> Path:
    url = database_url(store)
    if url.get_backend_name() != "sqlite":
        raise ValueError(f"{url.render_as_string()}: is PostgreSQL; use its own `{instead}`")
    path = Path(url.database or "")
    if must_exist and not path.is_file():
        raise ValueError(f"{path}: there is no such file; name the store of decisions")
    return path


def _refuse_to_replace(path: Path, force: bool) -> None:
    if path.exists() and not force:
        raise ValueError(f"{path}: is there already; name another, or replace it with --force")


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", timeout=WAIT_S, uri=True)
    connection.isolation_level = None
    return connection


def _check(path: Path) -> int:
    """How many decisions a store has.

    Raises
    ------
    ValueError
        When it is damaged or no store of decisions.
    """
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file; name a backup of a store of decisions")
    try:
        with closing(_open(path)) as connection:
            found = {
                name for (name,) in connection.execute("SELECT name FROM sqlite_master").fetchall()
            }
            (said,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            broken = connection.execute("PRAGMA foreign_key_check").fetchone()
            if said != "ok" or broken:
                raise ValueError(
                    f"{path}: is damaged ({said if said != 'ok' else 'a row is lost'})"
                )
            if not found >= TABLES:
                raise ValueError(f"{path}: is not a store of decisions")
            return int(connection.execute("SELECT count(*) FROM decision").fetchone()[0])
    except sqlite3.Error as error:
        raise ValueError(f"{path}: cannot be read as a store of decisions ({error})") from error


def _write_whole(source: Path, target: Path, force: bool) -> int:
    """Copy to a temporary name, check, and give it its name; decisions in it."""
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        with closing(_open(source)) as one, closing(sqlite3.connect(part)) as copy:
            one.backup(copy)
            # The copy would want a log beside it, as the store has; in this mode it is one file.
            copy.execute("PRAGMA journal_mode=DELETE").fetchone()
        n = _check(part)
        with part.open("rb") as written:
            os.fsync(written.fileno())
        if force:
            os.replace(part, target)
        else:
            _name_if_free(part, target)
        return n
    except sqlite3.Error as error:
        raise ValueError(f"{source}: could not be copied ({error})") from error
    finally:
        part.unlink(missing_ok=True)


def _name_if_free(part: Path, target: Path) -> None:
    """Unlike a rename, a link never replaces a file that came to be in the meantime."""
    try:
        os.link(part, target)
    except FileExistsError:
        _refuse_to_replace(target, force=False)
    except OSError:  # a file system without links
        _refuse_to_replace(target, force=False)
        os.replace(part, target)
