"""A PostgreSQL on loopback that is started for the tests, and can be stopped and started again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}


def programs() -> Path | None:
    """The folder of initdb and postgres; Debian keeps it out of PATH."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


@dataclass(frozen=True)
class Server:
    """A server that keeps its port and its data while it is stopped."""

    url: str
    control: tuple
    options: tuple

    def start(self) -> None:
        """Returns once it answers."""
        subprocess.run([*self.control, *self.options, "start"], check=True, **QUIET)

    def stop(self) -> None:
        """At once; whoever is connected is cut off."""
        subprocess.run([*self.control, "-m", "immediate", "stop"], check=False, **QUIET)


@contextmanager
def running_postgres() -> Iterator[Server]:
    """An empty server; its address is without a database's name. Skips the test without one."""
    folder = programs()
    if folder is None:
        pytest.skip("no PostgreSQL on this machine (apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="no psycopg; pip install 'selfml[postgres]'")
    with tempfile.TemporaryDirectory(prefix="selfml-postgres-") as root:
        as_user: list[str] = []
        if os.getuid() == 0:  # it refuses to run as root
            as_user = ["runuser", "-u", "postgres", "--"]
            shutil.chown(root, "postgres")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        data = f"{root}/data"
        command = [*as_user, folder / "initdb", "-D", data, "-A", "trust", "-U", "selfml", "-N"]
        subprocess.run(command, check=True, **QUIET)
        where = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={root}"
        server = Server(
            f"postgres://selfml@127.0.0.1:{port}",
            (*as_user, folder / "pg_ctl", "-D", data, "-w"),
            ("-o", where, "-l", f"{root}/log"),
        )
        server.start()
        try:
            yield server
        finally:
            server.stop()
