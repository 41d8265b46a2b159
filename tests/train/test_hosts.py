"""Two processes on loopback, as on two hosts: on JAX they take the steps that one takes."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.several

ROOT = Path(__file__).parents[2]


def free_ports(n: int) -> list[int]:
    """Ports that nobody listened on just now."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@pytest.mark.slow
def test_two_processes_take_the_steps_of_one(tmp_path):
    addresses = ",".join(f"localhost:{port}" for port in free_ports(2))
    script = [sys.executable, "-m", "tests.nn.shared_steps", "jax"]
    files = [tmp_path / f"{i}.npz" for i in range(3)]
    commands = [[*script, str(files[i]), "0", addresses, str(i)] for i in range(2)]
    commands.append([*script, str(files[2]), "1"])
    started = [
        subprocess.Popen(c, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for c in commands
    ]
    try:
        for process in started:
            said, _ = process.communicate(timeout=600)
            assert process.returncode == 0, said[-3000:]
    finally:
        for process in started:
            process.kill()
            process.communicate()
    found = []
    for file in files:
        with np.load(file) as saved:
            found.append({k.partition("|")[2]: saved[k] for k in saved.files})
    assert len(found[2]) > 40
    for name, one in found[2].items():
        np.testing.assert_allclose(found[0][name], one, rtol=1e-3, atol=1e-4, err_msg=name)
        np.testing.assert_array_equal(found[0][name], found[1][name], err_msg=name)


@pytest.mark.slow
def test_tensorflow_says_that_it_cannot(tmp_path):
    """Rather than ending in the middle of Keras."""
    command = [sys.executable, "-m", "tests.nn.shared_steps", "tensorflow", str(tmp_path / "x.npz")]
    command += ["0", "localhost:1,localhost:2", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ValueError: TF_CONFIG: ")
    assert "KERAS_BACKEND=jax" in last
