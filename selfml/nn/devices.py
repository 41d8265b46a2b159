"""Several devices that share a batch (data parallelism), behind one setting.

On JAX it is ``keras.distribution.DataParallel``: one program over the whole batch, split by the
compiler. On TensorFlow it is ``tf.distribute.MirroredStrategy``: every device runs the model on
its part, so that what is a mean over the batch has to be summed over the devices
(:func:`over_devices`). This is the one module of selfml that names an engine.

Over several hosts, one process each and on JAX alone, the same program runs in all of them and
writes the same run; the launcher's environment says who takes part (:func:`join_hosts`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import keras
import numpy as np


@cache
def join_hosts() -> bool:
    """Meet the other processes that the environment names, once; whether there are any.

    On JAX, ``KERAS_DISTRIBUTION_NUM_PROCESSES`` and its companions say so (see
    `keras.distribution.initialize`). Before anything is computed.

    Raises
    ------
    ValueError
        When TensorFlow's ``TF_CONFIG`` names several workers. Under MultiWorkerMirroredStrategy
        ``fit`` of Keras 3.15.1 ends twice: it averages a batch that is a dict before the first
        step (``_maybe_symbolic_build``), and the scalar logs of a step along an axis that they do
        not have (``reduce_per_replica``).
    """
    if keras.backend.backend() == "tensorflow":
        cluster = json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {})
        if sum(map(len, cluster.values())) > 1:
            raise ValueError(
                "TF_CONFIG: Keras cannot train on several hosts with TensorFlow; set "
                "KERAS_BACKEND=jax and KERAS_DISTRIBUTION_NUM_PROCESSES, or unset TF_CONFIG"
            )
    if keras.backend.backend() != "jax" or "KERAS_DISTRIBUTION_NUM_PROCESSES" not in os.environ:
        return False
    keras.distribution.initialize()
    return True


def device_names(count: int) -> list[str]:
    """The first ``count`` devices of the kind that Keras prefers; all of them for 0.

    Raises
    ------
    ValueError
        When there are fewer, or the backend is neither JAX nor TensorFlow.
    """
    if count == 1:
        return []
    backend = keras.backend.backend()
    if backend not in ("jax", "tensorflow"):
        raise ValueError(
            f"train.devices: {count} needs the backend jax or tensorflow, this is {backend}; "
            "set KERAS_BACKEND, or train.devices=1"
        )
    names = keras.distribution.list_devices()
    if count > len(names):
        raise ValueError(
            f"train.devices: {count} asked for, {backend} sees {len(names)} ({', '.join(names)}); "
            "set train.devices=0 for all of them"
        )
    return names[: count or len(names)]


@contextmanager
def shared_by(count: int, *batch_sizes: int) -> Iterator[int]:
    """Within it, models that are made and trained share every batch among devices.

    Parameters
    ----------
    count : int
        How many devices; 0 for all, of all hosts; 1 for the one that Keras takes by itself.
    batch_sizes : int
        Of training; each a multiple of the number of devices.

    Yields
    ------
    int
        The number of devices.

    Raises
    ------
    ValueError
        In one line: too few devices, a batch that they cannot share equally, another backend.
    """
    several_hosts = count != 1 and join_hosts()
    names = device_names(count)
    if len(names) < 2 and not several_hosts:
        yield 1
        return
    for size in batch_sizes:
        if size % len(names):
            raise ValueError(
                f"train.devices: a batch of {size} images cannot be shared equally by {len(names)} "
                "devices; choose a power of two"
            )
    if keras.backend.backend() == "jax":
        strategy = keras.distribution.DataParallel(devices=names, auto_shard_dataset=False)
    else:
        from tensorflow import distribute

        strategy = distribute.MirroredStrategy([name.upper() for name in names])
    with strategy.scope():
        yield len(names)


def part_of_batch() -> tuple[int, int]:
    """Which part of a batch this process reads, of how many: (0, 1) unless there are others."""
    shared = keras.distribution.distribution() if keras.backend.backend() == "jax" else None
    return (0, 1) if shared is None else (shared.data_shard_id, shared.num_processes)


def is_shared() -> bool:
    """Whether models that are made now share their batches among devices."""
    if keras.backend.backend() == "jax":
        return keras.distribution.distribution() is not None
    return replicas() > 1


def replicas() -> int:
    """How many copies of the model run at once and see their part of a batch alone; 1 on JAX."""
    if keras.backend.backend() != "tensorflow":
        return 1
    from tensorflow import distribute

    return distribute.get_strategy().num_replicas_in_sync


def over_devices(total):
    """A sum over the images of a batch: of one device's part, to that of all devices.

    Its gradient reaches all of them. What it is given comes back where one program sees the whole
    batch: one device, JAX, or outside of a training step.
    """
    if replicas() == 1:
        return total
    from tensorflow import distribute

    if distribute.in_cross_replica_context():
        return total
    return distribute.get_replica_context().all_reduce("SUM", total)


def part_of_loss(loss):
    """What one device's ``compute_loss`` returns of the loss of a whole batch.

    Keras adds up the gradients of all devices, and leaves it to a model's own loss to be a part.
    """
    return loss / replicas()


def run_batch(part: keras.Model, batch) -> np.ndarray:
    """``part`` of one batch as NumPy; devices of one host share it like a training batch."""
    if not is_shared():
        return part.predict_on_batch(batch)
    # JAX's program is made for the variables that were trained then, and layers are frozen since
    trained = len(part.trainable_variables)
    if getattr(part, "predicts_with", trained) != trained:
        part.make_predict_function(force=True)
    part.predicts_with = trained
    if join_hosts():  # each of them by itself
        return part.predict_on_batch(batch)
    first = next(iter(batch.values())) if isinstance(batch, dict) else batch
    return part.predict(batch, batch_size=len(first), verbose=0)
