"""A PostgreSQL on loopback for tests and benchmarks, which can be lost and come back."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": "/"}


def programs() -> Path | None:
    """The folder of initdb and pg_ctl; Debian keeps it out of PATH. None where there is none."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


@dataclass(frozen=True)
class Server:
    """One cluster: where it is, and how it is controlled."""

    address: str  # without a database's name
    control: tuple[str, ...]  # pg_ctl
    options: tuple[str, ...]  # to start it with

    def start(self) -> None:
        """Start it, and wait until it answers."""
        subprocess.run([*self.control, *self.options, "start"], check=True, **QUIET)

    def stop(self) -> None:
        """Stop it at once, as a crash would: what was acknowledged is in its log."""
        subprocess.run([*self.control, "-m", "immediate", "stop"], check=True, **QUIET)

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It takes connections and questions, and answers none."""
        folder = Path(self.control[self.control.index("-D") + 1])
        parent = int((folder / "postmaster.pid").read_text().split()[0])
        listing = ["ps", "-o", "pid=", "--ppid", str(parent)]
        below = subprocess.run(listing, capture_output=True, text=True, check=True).stdout
        everybody = [parent, *map(int, below.split())]
        try:
            for pid in everybody:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in everybody:
                os.kill(pid, signal.SIGCONT)

    def new_database(self) -> str:
        """The address of an empty database."""
        import psycopg

        name = f"t{uuid.uuid4().hex}"
        admin_url = f"{self.address}/postgres".replace("postgres://", "postgresql://")
        with psycopg.connect(admin_url, autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{name}"')
        return f"{self.address}/{name}"


@contextmanager
def running_postgres() -> Iterator[Server]:
    """An empty cluster, gone afterwards.

    Raises
    ------
    RuntimeError
        Where PostgreSQL is not installed.
    """
    folder = programs()
    if folder is None:
        raise RuntimeError("no PostgreSQL on this machine (apt-get install postgresql)")
    with tempfile.TemporaryDirectory(prefix="selfml-postgres-") as root:
        as_user: list[str] = []
        if os.getuid() == 0:  # it refuses to run as root
            as_user = ["runuser", "-u", "postgres", "--"]
            shutil.chown(root, "postgres")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        data = f"{root}/data"
        command = [*as_user, str(folder / "initdb"), "-D", data, "-A", "trust", "-U", "selfml"]
        subprocess.run([*command, "-N"], check=True, **QUIET)
        options = f"-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={root}"
        server = Server(
            f"postgres://selfml@127.0.0.1:{port}",
            (*as_user, str(folder / "pg_ctl"), "-D", data, "-w"),
            ("-o", options, "-l", f"{root}/log"),
        )
        server.start()
        try:
            yield server
        finally:
            subprocess.run([*server.control, "-m", "immediate", "stop"], check=False, **QUIET)
