"""The Ray engine on a cluster of two nodes: equal to the local one, also where one is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from selfml.nn.fitting import Interrupted
from selfml.progress import Reporter
from selfml.relabel import parts
from selfml.relabel.model import fingerprint
from selfml.relabel.start import relabel
from selfml.run import Run
from tests.training import Interrupting

pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.several]
ROOT = Path(__file__).parents[2]
SHARD, N_SHARDS = 2, 75
LIMIT_S = 180
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}


def started(*arguments: object, **how) -> subprocess.Popen:
    command = [sys.executable, "-m", *map(str, arguments)]
    piped = {"stderr": subprocess.DEVNULL, "text": True} | how
    return subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, **piped)


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[str, int]]:
    """Address and process of a cluster of two nodes with a processor each."""
    piped = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with started("tests.train.ray_cluster", **piped) as process:
        try:
            line = next(text for text in process.stdout if text.startswith("address "))
            yield line.split()[1], process.pid
        finally:
            process.stdin.close()
            process.wait(timeout=60)


@pytest.fixture(scope="module")
def local(trained, catalogue, tmp_path_factory) -> Path:
    """What the local engine makes of the same shards."""
    out = tmp_path_factory.mktemp("local") / "out"
    relabel(trained, catalogue, out, shard_images=SHARD, reporter=Reporter(quiet=True))
    return out


def by_ray(trained: Path, catalogue: Path, out: Path, *options: object, **how) -> subprocess.Popen:
    own = ("selfml.cli", "relabel", trained, catalogue, "--out", out, "--engine", "ray")
    sizes = ("--shard-images", SHARD, "--workers", 2)
    return started(*own, *sizes, *options, stdout=subprocess.DEVNULL, **how)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert process.poll() is None, "it ended before"
        assert time.monotonic() < end
        time.sleep(0.005)


def descendants(pid: int, name: str) -> list[int]:
    """Processes below ``pid`` whose command line begins with ``name``."""
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text().rpartition(")")[2].split()
                names[int(entry.name)] = (entry / "cmdline").read_bytes().decode(errors="replace")
            except OSError:
                continue
            parents[int(entry.name)] = int(status[1])

    def is_below(child: int) -> bool:
        while child > 1 and child != pid:
            child = parents.get(child, 0)
        return child == pid

    return [child for child in names if names[child].startswith(name) and is_below(child)]


def same(one: Path, other: Path) -> None:
    """Part for part, and the arrays of the run."""
    assert parts.finished_shards(one) == parts.finished_shards(other) == set(range(N_SHARDS))
    for shard in range(N_SHARDS):
        a, b = (pq.read_table(parts.part_path(folder, shard)) for folder in (one, other))
        assert a.equals(b), shard
    assert Run(other).is_complete
    for name in ("label_scores", "labels_corrected", "features"):
        np.testing.assert_array_equal(Run(one).array(name), Run(other).array(name))
    assert Run(one).table("flips").equals(Run(other).table("flips"))
    assert not list(other.rglob("*.tmp"))


def test_two_workers_on_this_machine_say_the_same(trained, catalogue, local, tmp_path):
    with by_ray(trained, catalogue, tmp_path / "out") as process:
        assert process.wait(timeout=LIMIT_S) == 0
    same(local, tmp_path / "out")


def test_a_killed_driver_and_a_killed_worker_lose_and_double_nothing(
    trained, catalogue, local, cluster, tmp_path
):
    address, pid = cluster
    out = tmp_path / "out"

    def done() -> int:
        return len(parts.finished_shards(out))

    with by_ray(trained, catalogue, out, "--address", address) as process:
        wait_for(lambda: done() >= 3, process)
        process.send_signal(signal.SIGKILL)
    end = time.monotonic() + 60
    while descendants(pid, "ray::MapWorker") and time.monotonic() < end:
        time.sleep(0.05)  # Ray ends the actors of a driver that is gone
    kept = done()
    assert 3 <= kept < N_SHARDS
    with by_ray(trained, catalogue, out, "--address", address, "--resume") as process:
        wait_for(lambda: done() > kept, process)
        workers = descendants(pid, "ray::MapWorker")
        assert 1 <= len(workers) <= 2
        os.kill(workers[0], signal.SIGKILL)
        (out / parts.PARTS / ".part-000000.parquet.1.ab.tmp").touch()  # as when it was writing
        assert done() < N_SHARDS
        assert process.wait(timeout=LIMIT_S) == 0
    same(local, out)


def test_an_address_without_a_cluster_is_one_line(trained, catalogue, tmp_path):
    address = "127.0.0.1:1"
    own = ("relabel", trained, catalogue, "--out", tmp_path / "out", "--engine", "ray")
    done = subprocess.run(
        [sys.executable, "-m", "selfml.cli", *map(str, own), "--address", address],
        cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=LIMIT_S,
    )  # fmt: skip
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"selfml: --address: no Ray cluster at '{address}'")


def test_a_shard_that_no_worker_can_do_is_one_line(trained, catalogue, tmp_path):
    """Its run is gone before the actors read it: they fail, whoever tries again."""
    run = shutil.copytree(trained, tmp_path / "run")
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        relabel(run, catalogue, out, shard_images=SHARD, reporter=Interrupting("relabelling", 50))
    (run / "basis.npy").write_bytes(b"damaged")
    manifest = parts.read_manifest(out)
    parts.write_manifest(out, manifest | {"fingerprint": fingerprint(Run(run))})
    with by_ray(run, catalogue, out, "--resume", stderr=subprocess.PIPE) as process:
        said = process.communicate(timeout=LIMIT_S)[1]
    assert process.returncode == 1
    assert "selfml: --engine ray: a worker failed for good" in said.strip().splitlines()[-1]
    assert "Traceback" not in said.strip().splitlines()[-1]
