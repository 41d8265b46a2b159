"""The engine of many workers: Ray Data with stateful actors, on this machine or on a cluster.

Each actor loads the run once and then writes the parts of the shards that it is handed; through
Ray go only their numbers. An actor that is lost is made again and its shard done anew: parts are
renamed into place whole, so nothing is missing and nothing is there twice. On a cluster the run,
the source and the output must be on a disk that every machine sees under the same path.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from selfml.progress import Advance
from selfml.relabel.worker import Worker

LOCAL = ""
CONNECT_S = 10
SHARDS_AT_ONCE = 2  # shards of an actor: one is looked at, one explained


class ShardActor:
    """What Ray Data calls with a batch of one shard number, from two threads.

    While one looks at its shard, the other explains and writes the one before.
    """

    def __init__(self, out: str, n_threads: int):
        self.worker = Worker(out, n_threads=n_threads)
        self._looking, self._writing = threading.Lock(), threading.Lock()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        counts = [self._do(int(shard)) for shard in batch["shard"]]
        return {
            "shard": batch["shard"],
            "n_images": [n for n, _ in counts],
            "worker": [os.getpid() for _ in counts],
        }

    def _do(self, shard: int) -> tuple[int, int]:
        with self._looking:
            looked = self.worker.look_at(shard)
        with self._writing:
            return self.worker.write(looked)


def require_ray() -> Any:
    """The package ray.

    Raises
    ------
    ValueError
        In one line, where it is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ValueError(
            "--engine ray: needs Ray (pip install 'selfml[ray]'); or leave it at local"
        ) from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # it tells of every plan and bar
    return ray


def run_ray(
    out: Path,
    shards: Sequence[int],
    *,
    check: Callable[[], None],
    advance: Advance,
    done: int = 0,
    workers: int = 0,
    address: str = LOCAL,
) -> None:
    """Do shards by actors; returns when the parts of all of them are there.

    Parameters
    ----------
    check : callable
        Called after each shard; what it raises ends the work.
    workers : int
        How many actors; 0 is one a GPU or, where there is none, one a machine.
    address : str
        Of a cluster that is running, HOST:PORT; empty starts one here and ends it again.

    Raises
    ------
    ValueError
        In one line, where there is no such cluster, or a shard fails whoever does it.
    """
    ray = require_ray()
    started = not ray.is_initialized()
    if started:
        _connect(ray, address)
    try:
        resources = ray.cluster_resources()
        gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
        machines = sum(bool(node["Alive"]) for node in ray.nodes())
        workers = max(1, min(workers or gpus or machines, len(shards)))
        workers = workers if gpus else min(workers, cpus)  # one more would wait for ever
        threads = max(1, cpus // max(workers, machines))
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.enable_operator_progress_bars = False
        results = ray.data.from_items(
            [{"shard": shard} for shard in shards], override_num_blocks=len(shards)
        ).map_batches(
            ShardActor,
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(
                size=workers,
                max_concurrent_calls_per_actor=SHARDS_AT_ONCE,
                max_tasks_in_flight_per_actor=SHARDS_AT_ONCE,
                enable_true_multi_threading=True,
            ),
            num_cpus=max(1, min(threads, cpus // workers)),
            num_gpus=min(1.0, gpus / workers) if gpus else None,
            fn_constructor_args=(str(out), threads),
            runtime_env={"env_vars": _environment(threads, on_cpu=not gpus)},
        )
        for row in results.iter_rows():
            done += int(row["n_images"])
            advance(done)
            check()
    except ray.exceptions.RayError as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = lines[-1].strip()[:200]
        raise ValueError(
            f"--engine ray: a worker failed for good ({reason}); what is finished is kept, and "
            "--resume goes on"
        ) from error
    finally:
        if started:
            ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    """Join a cluster, or start one on this machine.

    Raises
    ------
    ValueError
        In one line, where there is none at the address.
    """
    try:
        host, _, port = address.rpartition(":")
        if host and port.isdigit():  # Ray itself would try for minutes
            socket.create_connection((host, int(port)), CONNECT_S).close()
        ray.init(
            address=address or "local",
            log_to_driver=False,
            logging_level="ERROR",
            **({} if address else {"include_dashboard": False}),
        )
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ValueError(f"--address: no Ray cluster at {address!r} ({reason})") from error


def _environment(threads: int, *, on_cpu: bool) -> dict[str, str]:
    """What an actor's process has from this one, and how many processors are its own."""
    names = ("TF_CPP_MIN_LOG_LEVEL", "TF_NUM_INTRAOP_THREADS", "PYTHONPATH")
    own = {"TF_NUM_INTRAOP_THREADS": str(threads)} if on_cpu else {}
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return {**own, **kept, "KERAS_BACKEND": keras.backend.backend()}
