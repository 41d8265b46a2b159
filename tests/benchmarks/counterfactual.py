"""Times of counterfactuals and of the blast radius beside their acceptance figures.

    python -m tests.benchmarks.counterfactual

Arrays are drawn, nothing is read from disk: 60,000 images with 500 basis images and nine
non-zeros each (eleven draws, some twice), and a catalogue of about a million flips. Atoms are
used unevenly, more so than in trained runs: each time is measured on atoms drawn at random and
on the most used one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import numpy as np

from selfml.counterfactual import Counterfactuals
from selfml.effects import FlipIndex
from tests.benchmarks.worlds import draw

REPEATS = 25


def measure(name: str, limit_ms: float | None, calls: list[Callable[[], object]]) -> None:
    """Print p50 and p95 of the calls, and p95 of their processor time; one warms up.

    The verdict is on the time that passed; where other programs run, the processor's time says
    what it would be without them.
    """
    calls[0]()
    times, cpu_times = [], []
    for call in calls:
        start, cpu_start = time.perf_counter(), time.process_time()
        call()
        times.append(1000 * (time.perf_counter() - start))
        cpu_times.append(1000 * (time.process_time() - cpu_start))
    p50, p95 = np.percentile(times, [50, 95])
    cpu = np.percentile(cpu_times, 95)
    met = "no figure set"
    if limit_ms is not None:
        met = f"limit {limit_ms:.0f} ms: {'met' if p95 <= limit_ms else 'MISSED'}"
    print(f"  {name:<48} p50 {p50:6.1f} p95 {p95:6.1f} ms (processor {cpu:6.1f} ms)  {met}")


def report(world: Counterfactuals, image: np.ndarray, attribute: np.ndarray, seed: int) -> None:
    """Measure everything on one world."""
    n_images, n_attributes = world.labels_given.shape
    usage = np.diff(world.leaning.indptr)
    top = int(usage.argmax())
    print(
        f"{n_images:,} images, {len(usage)} basis images, {n_attributes} attributes, "
        f"{world.mixed.nnz / n_images:.1f} non-zeros an image, {len(image):,} flips; "
        f"{usage.mean():,.0f} images lean on a basis image, {usage[top]:,} on the most used"
    )
    start = time.perf_counter()
    FlipIndex.build(image, attribute, n_images)
    world.mixed.tocsc()
    print(f"  index built once in {1000 * (time.perf_counter() - start):.0f} ms")
    rng = np.random.default_rng(seed)
    what_if_ms = 200 if n_images <= 60_000 else None  # the figure is for 60,000 images
    drawn = rng.integers(0, len(usage), REPEATS).tolist()
    for which, atoms in (("any", drawn), ("the most used", [top] * REPEATS)):
        measure(
            f"take {which} basis image out, all labels", what_if_ms,
            [lambda k=k: world.what_if([k]).changes() for k in atoms],
        )  # fmt: skip
        measure(
            f"change one label of {which} basis image", what_if_ms,
            [lambda k=k: world.what_if(labels={(k, 0): 1}).changes() for k in atoms],
        )  # fmt: skip
        measure(
            f"all flips that lean on {which} basis image", 100,
            [lambda k=k: world.dependents(k) for k in atoms],
        )  # fmt: skip
        measure(
            f"blast radius of {which}, with what falls", what_if_ms,
            [lambda k=k: world.blast_radius(k) for k in atoms],
        )  # fmt: skip


if __name__ == "__main__":
    print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f} at the start")
    for n_attributes in (17, 31):
        report(*draw(60_000, 500, n_attributes, 11, 0.0, seed=0), seed=1)
    report(*draw(300_000, 500, 17, 11, -1.0, seed=0), seed=1)
