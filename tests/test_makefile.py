"""`make dashboard`: quiet when it is told to stop, and not when the server fails."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")


def start(folder: Path, program: str, port: int = 0) -> subprocess.Popen:
    """`make dashboard` in a group of its own, with ``program`` in the place of streamlit."""
    (folder / "bin").mkdir()
    (folder / "bin" / "streamlit").write_text(f"#!/bin/sh\n{program}\n")
    (folder / "bin" / "streamlit").chmod(0o755)
    (folder / ".installed").touch()  # newer than requirements.txt: nothing is installed
    command = ["make", "dashboard", f"VENV={folder}", f"PORT={port}", "HEADLESS=1"]
    # `make test` runs this, and a make within another says so
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
    environment["HOME"] = str(folder)
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    # A job in the background may ignore Ctrl-C, and what it starts would, too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **how)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_server_that_fails_is_an_error(tmp_path):
    made = start(tmp_path, "echo the port is taken; exit 3")
    said = made.communicate(timeout=30)[0]
    assert made.returncode == 2
    assert "the port is taken" in said
    assert "Error 3" in said


@pytest.mark.slow
def test_ctrl_c_ends_it_quietly(tmp_path):
    """As a terminal does it: to make, the shell and the server at once."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ended = tmp_path / "ended"
    program = f'{shlex.quote(sys.executable)} -m streamlit "$@"; echo $? > {ended}'
    made = start(tmp_path, program, port)
    try:
        end = time.monotonic() + 60
        while not _answers(port):
            assert made.poll() is None, made.communicate()[0]
            assert time.monotonic() < end
            time.sleep(0.2)
        os.killpg(made.pid, signal.SIGINT)
        said = made.communicate(timeout=20)[0]
    finally:
        if made.poll() is None:
            os.killpg(made.pid, signal.SIGKILL)
    assert ended.read_text() == "0\n"
    assert made.returncode in (0, -signal.SIGINT)  # make itself was told to stop as well
    first, *rest = said.strip().splitlines()
    assert first.startswith("Opening the dashboard")
    assert [line for line in rest if line.strip()][-1].strip().endswith(str(port))
    assert not [word for word in ("Aborted", "Error", "Traceback", "***") if word in said]


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
            return True
    except OSError:
        return False
