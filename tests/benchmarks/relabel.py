"""How fast `selfml relabel` is, beside plain ``model.predict`` on the same images.

    python -m tests.benchmarks.relabel --images 4000

Without ``--run`` a run of the recipe's size is made from drawn garments, its layers hardly trained:
speed does not depend on what they learned. Everything is measured one after the other, in the
order given, on the same machine: ``predict`` on pixels that lie decoded in memory, decoding and
``predict`` together, then `selfml relabel` from files to parts, with and without thumbnails, and
with ``--ray 1,2`` by so many workers. The figure to keep is 0.9 of decoding and ``predict``.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path

import keras
import numpy as np

from selfml.config import load_recipe, with_settings
from selfml.data.decoding import decode_image
from selfml.data.garments import write_catalogue
from selfml.data.storage import read_image_file
from selfml.extract import PREDICT_BATCH
from selfml.nn.classifier import build_classifier
from selfml.nn.fitting import jit_choice
from selfml.progress import Reporter
from selfml.relabel import parts
from selfml.relabel.photos import Photos
from selfml.relabel.plan import PLAN_FILE, Plan
from selfml.relabel.source import Row
from selfml.relabel.start import Engine, relabel
from selfml.relabel.worker import Worker
from selfml.run import Run
from selfml.train import train

LIMIT = 0.9
DRAWN = 600
FEW = [f"{name}=4" for name in ("train.pretrain_steps", "train.finetune_steps")] + [
    *("basis.steps=4", "flips.steps=4", "maps.enabled=false", "data.clean_samples=500"),
]
QUIET = Reporter(quiet=True)


class Decoded(keras.utils.PyDataset):
    """Image files as batches of pixels, decoded ahead by Keras' own threads."""

    def __init__(self, root: Path, rows: list[Row], size_px: int):
        super().__init__(workers=os.cpu_count() or 1, use_multiprocessing=False)
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


def plain(run: Run, out: Path) -> tuple[float, float]:
    """Images a second of ``predict`` on pixels in memory, and with their decoding."""
    config = Worker(out).relabeller.config
    classifier = build_classifier(len(run.attributes), config, load_weights=False)
    classifier.compile(jit_compile=jit_choice())
    photos = Photos(Path(parts.read_manifest(out)["root"]), config.data.size_px, thumbnails=False)
    plan = Plan(out / PLAN_FILE)
    predict = {"batch_size": PREDICT_BATCH, "verbose": 0}
    pixels = np.stack([photo[0] for photo in photos.decoded(plan.shard(0))])
    classifier.predict(pixels, **predict)
    start, n = time.perf_counter(), 0
    for _ in range(plan.n_shards):
        classifier.predict(pixels, **predict)
        n += len(pixels)
    in_memory = n / (time.perf_counter() - start)
    photos.close()
    rows = [row for shard in plan for row in shard]
    root = Path(parts.read_manifest(out)["root"])
    start = time.perf_counter()
    classifier.predict(Decoded(root, rows, config.data.size_px), verbose=0)
    return in_memory, plan.n_images / (time.perf_counter() - start)


def measured(run: Path, source: Path, out: Path, engine: Engine, **how) -> tuple[float, float]:
    """Images a second of a whole relabelling, and of the parts alone (loading left out)."""
    shutil.rmtree(out, ignore_errors=True)
    start = time.perf_counter()
    done = relabel(run, source, out, engine=engine, reporter=QUIET, **how)
    whole = done.n_images / (time.perf_counter() - start)
    written = sorted(path.stat().st_mtime for path in (out / parts.PARTS).iterdir())
    plan = Plan(out / PLAN_FILE)
    alone = (plan.n_images - plan.sizes[0]) / max(written[-1] - written[0], 1e-9)
    return whole, alone


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--recipe", default="quick", help="whose sizes the run has")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="key=value")
    parser.add_argument("--shard-images", type=int, default=1024)
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
        whole, alone = measured(run, source, out, Engine(), **shard)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        n = chosen.images
        print(f"relabel: {alone:.0f} images/s, {whole:.0f} with loading and the run's files")
        print(f"memory: {peak / 1024:.0f} MiB at most ({first / 1024:.0f} before it)")
        sizes = [size_of(folder) / n for folder in (out / parts.PARTS, out)]
        print(f"parts: {sizes[0]:.0f} bytes an image; with the run's files {sizes[1]:.0f}")
        in_memory, both = plain(Run(run), out)
        print(f"predict: {in_memory:.0f} images/s from memory, {both:.0f} with decoding")
        _, bare = measured(run, source, out, Engine(), thumbnails=False, **shard)
        print(f"relabel without thumbnails: {bare:.0f} images/s")
        for title, value, against in (
            ("with thumbnails, against predict with decoding", alone, both),
            ("without thumbnails, against predict with decoding", bare, both),
            ("without thumbnails, against predict from memory", bare, in_memory),
        ):
            print(f"{title}: {value / against:.2f}")
        print(
            f"limit {LIMIT} of predict with decoding: {'met' if bare >= LIMIT * both else 'MISSED'}"
        )
        rates = {}
        for workers in [int(text) for text in chosen.ray.split(",") if text]:
            whole, rates[workers] = measured(run, source, out, Engine("ray", workers), **shard)
            print(
                f"ray, {workers} workers: {rates[workers]:.0f} images/s, {whole:.0f} with loading"
            )


if __name__ == "__main__":
    main()
