"""The Procfile's command, as a host runs it: with PORT and DATABASE_URL, and nothing else."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = (ROOT / "requirements.txt").read_text(encoding="utf-8")


def web() -> str:
    """The command of the process type ``web``."""
    (line,) = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    kind, _, command = line.partition(": ")
    assert kind == "web"
    return command


def answer(url: str) -> tuple[int, dict]:
    try:
        with urllib.request.urlopen(url, timeout=5) as got:
            return got.status, json.loads(got.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_the_lock_has_what_a_host_needs():
    """A database's driver and what signing in needs are no part of a bare install."""
    locked = set(re.findall(r"^([\w.-]+)==", REQUIREMENTS, re.MULTILINE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for need in (*extras["postgres"], *extras["auth"]):
        name = re.match(r"[\w-]+", need)[0].lower()
        assert name in locked, name
    assert "psycopg-binary" in locked


@pytest.mark.slow
@pytest.mark.parametrize(("database", "status"), [("", 200), ("postgres://x@127.0.0.1:9/y", 503)])
def test_it_listens_on_the_port_it_is_given_and_says_how_it_is(tmp_path, database, status):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The installed command, of this environment, for a machine has it in its PATH.
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "streamlit"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m streamlit "$@"\n')
    program.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PORT": str(port),
        "DATABASE_URL": database or f"sqlite:///{tmp_path / 'decisions.db'}",
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    }
    with open(tmp_path / "log.txt", "wb") as log:
        server = subprocess.Popen(
            ["sh", "-c", f"exec {web()}"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            end = time.monotonic() + 60
            while True:
                assert server.poll() is None, (tmp_path / "log.txt").read_text()
                assert time.monotonic() < end, (tmp_path / "log.txt").read_text()
                try:
                    got = answer(f"http://127.0.0.1:{port}/healthz")
                    break
                except OSError:
                    time.sleep(0.2)
        finally:
            server.terminate()
            server.wait(timeout=20)
    failing = {"status": "failing", "runs": "ok", "database": "cannot be written"}
    well = {"status": "ok", "runs": "ok", "database": "ok"}
    assert got == (status, well if status == 200 else failing)
