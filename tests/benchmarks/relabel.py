"""How fast `selfml relabel` is, beside plain ``model.predict`` on the same images.

    python -m tests.benchmarks.relabel --recipe quick

A run of the recipe's size is made from drawn garments, its layers hardly trained: speed depends
little on what they learned. Then, warm and in turns on the same images: ``predict`` on pixels that
lie decoded in memory, ``predict`` on files that Keras' threads decode ahead (one, and one a
processor: the faster counts), and relabelling from files to parts, with and without thumbnails;
with ``--ray 1,2`` also by so many workers. While the last shard is explained nothing is left to be
looked at, so fewer than some eight shards measure an end that no catalogue has. The figure to keep
is 0.9 of ``predict`` on files. On a machine that does other things as well, processor time says
more than the clock.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
from keras.callbacks import LambdaCallback

from selfml.config import load_recipe, with_settings
from selfml.data.decoding import decode_image
from selfml.data.garments import write_catalogue
from selfml.data.image_files import read_image_file
from selfml.extract import PREDICT_BATCH
from selfml.nn.classifier import build_classifier
from selfml.nn.fitting import jit_choice, keep_freed_memory
from selfml.progress import Reporter
from selfml.relabel import parts
from selfml.relabel.local import do_shards
from selfml.relabel.plan import PLAN_FILE, SHARD_IMAGES, Plan
from selfml.relabel.source import Row
from selfml.relabel.start import Engine, relabel
from selfml.relabel.worker import Worker
from selfml.run import Run
from selfml.train import train
from tests.benchmarks.processors import spent_s

LIMIT = 0.9
THREADS = sorted({1, os.cpu_count() or 1})  # too many get into each other's way on small images
DRAWN = 600
FEW = [
    *("train.pretrain_steps=60", "train.finetune_steps=4", "basis.steps=40", "flips.steps=4"),
    *("maps.enabled=false", "data.clean_samples=500"),
]
QUIET = Reporter(quiet=True)


@dataclass(frozen=True)
class Speed:
    """What one measurement gave."""

    images_s: float
    cpu_ms: float


class Decoded(keras.utils.PyDataset):
    """Image files as batches of pixels, decoded ahead by Keras' own threads."""

    def __init__(self, root: Path, rows: list[Row], size_px: int, threads: int):
        super().__init__(workers=threads, use_multiprocessing=False)
        self.root, self.rows, self.size_px = root, rows, size_px

    def __len__(self) -> int:
        return -(-len(self.rows) // PREDICT_BATCH)

    def __getitem__(self, index: int) -> np.ndarray:
        rows = self.rows[index * PREDICT_BATCH : (index + 1) * PREDICT_BATCH]
        files = (read_image_file(self.root, row.file) for row in rows)
        return np.stack([decode_image(data, self.size_px) for data in files])


def make_run(folder: Path, recipe: str, settings: list[str]) -> Path:
    """A run of the recipe's size, hardly trained."""
    config = with_settings(load_recipe(recipe), [*FEW, *settings])
    write_catalogue(
        folder / "drawn", n_images=DRAWN, size_px=config.data.size_px, clean_fraction=0.6
    )
    return train(folder / "drawn", folder / "trained", config, reporter=QUIET)


def make_source(folder: Path, n_images: int) -> Path:
    """``n_images`` photos: the drawn ones over and over, as links."""
    drawn = sorted((folder / "drawn" / "images").rglob("*.jpg"))
    source = folder / "source"
    for i in range(n_images):
        target = source / f"{i // 1000:04d}" / f"{i:07d}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(drawn[i % len(drawn)], target)
    return source


def timed(work: Callable[[], int]) -> Speed:
    """Images a second, and milliseconds of a processor an image, of what returns how many."""
    cpu, start = spent_s(own=True), time.perf_counter()
    n = work()
    passed = time.perf_counter() - start
    return Speed(n / passed, 1e3 * (spent_s(own=True) - cpu) / n)


class Contest:
    """Both on the same images, loaded and warm, in turns: `plain` and `relabelled`."""

    def __init__(self, out: Path):
        self.worker, self.plan = Worker(out), Plan(out / PLAN_FILE)
        config = self.worker.relabeller.config
        n_attributes = len(self.worker.relabeller.attributes)
        self.classifier = build_classifier(n_attributes, config, load_weights=False)
        self.classifier.compile(jit_compile=jit_choice())
        root = Path(parts.read_manifest(out)["root"])
        rows = [row for shard in self.plan for row in shard]
        self.files = {n: Decoded(root, rows, config.data.size_px, n) for n in THREADS}
        self.pixels = np.concatenate([self.files[1][i] for i in range(4)])
        self.classifier.predict(self.pixels, batch_size=PREDICT_BATCH, verbose=0)
        self.worker.write(self.worker.look_at(0))

    def close(self) -> None:
        """Let go of the worker's processes."""
        self.worker.close()

    def memory(self) -> int:
        """``predict`` on pixels that lie in memory."""
        times = self.plan.n_images // len(self.pixels)
        for _ in range(times):
            self.classifier.predict(self.pixels, batch_size=PREDICT_BATCH, verbose=0)
        return times * len(self.pixels)

    def plain(self, threads: int) -> int:
        """``predict`` on files, decoded ahead by so many threads."""
        kept = LambdaCallback(on_predict_batch_end=lambda *_, **__: keep_freed_memory())
        self.classifier.predict(self.files[threads], verbose=0, callbacks=[kept])
        return self.plan.n_images

    def relabelled(self, *, thumbnails: bool) -> int:
        """Files to parts."""
        self.worker.photos.thumbnails = thumbnails
        done = [0]
        do_shards(self.worker, range(self.plan.n_shards), check=lambda: None, advance=done.append)
        return done[-1]


def whole(run: Path, source: Path, out: Path, engine: Engine, **how) -> tuple[float, float]:
    """Images a second of everything, and from the first part that is there to the last."""
    shutil.rmtree(out, ignore_errors=True)
    start = time.perf_counter()
    done = relabel(run, source, out, engine=engine, reporter=QUIET, **how)
    rate = done.n_images / (time.perf_counter() - start)
    written = sorted(path.stat().st_mtime for path in (out / parts.PARTS).iterdir())
    plan = Plan(out / PLAN_FILE)
    return rate, (plan.n_images - plan.sizes[0]) / max(written[-1] - written[0], 1e-9)


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=16_384)
    parser.add_argument("--recipe", default="quick", help="whose sizes the run has")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="key=value")
    parser.add_argument("--shard-images", type=int, default=SHARD_IMAGES)
    parser.add_argument("--rounds", type=int, default=7, help="of which the medians count")
    parser.add_argument("--ray", default="", help="numbers of workers, with commas")
    chosen = parser.parse_args()
    print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f} at the start")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = make_run(folder, chosen.recipe, chosen.settings)
        source, out = make_source(folder, chosen.images), folder / "out"
        shard = {"shard_images": chosen.shard_images}
        facts = Run(run).info
        print(f"{facts['n_atoms']} basis images, {facts['n_features']} features")
        first = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        rate, _ = whole(run, source, out, Engine(), **shard)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        n = chosen.images
        print(f"relabel, with loading and the run's files: {rate:.0f} images/s")
        print(f"memory: {peak / 1024:.0f} MiB at most ({first / 1024:.0f} before it)")
        sizes = [size_of(folder) / n for folder in (out / parts.PARTS, out)]
        print(f"parts: {sizes[0]:.0f} bytes an image; with the run's files {sizes[1]:.0f}")
        contest(out, chosen.rounds)
        for workers in [int(text) for text in chosen.ray.split(",") if text]:
            rate, steady = whole(run, source, out, Engine("ray", workers), **shard)
            print(f"ray, {workers} workers: {steady:.0f} images/s, {rate:.0f} with starting")


def contest(out: Path, rounds: int) -> None:
    """Print what `compared` gives of a contest."""
    with closing(Contest(out)) as both:
        print(compared(both, rounds))


def compared(both: Contest, rounds: int) -> str:
    """The median of some rounds of each, and the medians of the ratios within a round."""
    plain = {n: f"predict from files, {n} thread{'s' * (n > 1)}" for n in THREADS}
    ways = {
        "predict from memory": both.memory,
        **{name: partial(both.plain, n) for n, name in plain.items()},
        "relabel without thumbnails": lambda: both.relabelled(thumbnails=False),
        "relabel": lambda: both.relabelled(thumbnails=True),
    }
    seen: dict[str, list[Speed]] = {name: [] for name in ways}
    for turn in range(rounds):  # there and back, so that a drift is on neither side
        for name in list(ways)[:: -1 if turn % 2 else 1]:
            seen[name].append(timed(ways[name]))
    rate = {name: np.array([speed.images_s for speed in found]) for name, found in seen.items()}
    cpu = {name: np.array([speed.cpu_ms for speed in found]) for name, found in seen.items()}
    lines = []
    for name in ways:
        passed, work = np.median(rate[name]), np.median(cpu[name])
        lines.append(f"{name}: {passed:.0f} images/s, {work:.2f} ms of a processor an image")
    best = max(plain.values(), key=lambda name: np.median(rate[name]))
    for name in ("relabel without thumbnails", "relabel"):
        ratios, work = rate[name] / rate[best], np.median(cpu[best] / cpu[name])
        ratio, met = np.median(ratios), "met" if np.median(ratios) >= LIMIT else "MISSED"
        lines.append(
            f"{name} against {best}: {ratio:.2f} ({ratios.min():.2f} to {ratios.max():.2f}; limit "
            f"{LIMIT}: {met}); by processor time {work:.2f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
