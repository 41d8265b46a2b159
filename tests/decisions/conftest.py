"""The audit store on SQLite, and on a PostgreSQL that is started for the tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from selfml.decisions import Store


def programs() -> Path | None:
    """The folder of initdb and postgres; Debian keeps it out of PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of an empty PostgreSQL on loopback, without the database's name."""
    folder = programs()
    if folder is None:
        pytest.skip("no PostgreSQL on this machine (apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="no psycopg; pip install 'selfml[postgres]'")
    with tempfile.TemporaryDirectory(prefix="selfml-postgres-") as root:
        as_user: list[str] = []
        if os.getuid() == 0:  # it refuses to run as root
            as_user = ["runuser", "-u", "postgres", "--"]
            shutil.chown(root, "postgres")
        yield from _server(root, folder, as_user)


def _server(root: str, folder: Path, as_user: list[str]) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = f"{root}/data"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}
    command = [*as_user, folder / "initdb", "-D", data, "-A", "trust", "-U", "selfml", "-N"]
    subprocess.run(command, check=True, **quiet)
    options = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={root}"
    control = [*as_user, folder / "pg_ctl", "-D", data, "-w"]
    subprocess.run([*control, "-o", options, "-l", f"{root}/log", "start"], check=True, **quiet)
    try:
        yield f"postgres://selfml@127.0.0.1:{port}"
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, **quiet)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'decisions.db'}"
    import psycopg

    server = request.getfixturevalue("postgres")
    name = f"t{uuid.uuid4().hex}"
    address = f"{server}/postgres".replace("postgres://", "postgresql://")
    with psycopg.connect(address, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    return f"{server}/{name}"


@pytest.fixture
def store(url) -> Iterator[Store]:
    """An open store."""
    with Store(url) as opened:
        yield opened
