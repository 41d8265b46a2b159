"""The whole `paper` recipe on a drawn catalogue, in pieces of a few minutes; then single steps.

    KERAS_BACKEND=jax python -m tests.benchmarks.paper_recipe --minutes 9

Draws the catalogue (60,200 images at 224 px, 3,000 verified, split 75 | 25), trains the three
methods of Table 1 without the maps, and measures steps. It needs no network. Each call works for
``--minutes`` at most, saves, and ends with status 75 while something is left: call it again with
the same options and it goes on, as ``make gpu-benchmark`` does. At the end it prints the time of
each stage, Table 1 and what a step costs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path

import pandas as pd
from rich.console import Console

from selfml.config import Config, load_recipe, with_settings
from selfml.data.garments import write_catalogue
from selfml.nn.backbones import find_weights
from selfml.nn.fitting import Interrupted
from selfml.progress import Advance, Reporter
from selfml.report import run_tables
from selfml.run import Run
from selfml.train import train
from tests.benchmarks import steps

MORE = 75  # exit status: call again
N_CLEAN = 3000  # as in the paper, of 60,200
LIMIT_MIN = 25.0  # of one H200, for the three methods
STEPS_S = 240.0  # what the step benchmark may take; a piece with less left does not begin it
SAVING_S = 30.0  # before a piece's end, to reach a step's end and write a checkpoint


class Timed(Reporter):
    """Notes how long each task of a piece took and how far it got, as lines of JSON.

    ``first`` and ``last`` are the items done when it was first and last heard of, ``between`` the
    seconds from one to the other: so compiling is in ``seconds`` alone.
    """

    def __init__(self, file: Path):
        super().__init__(every_s=20.0)
        self.file = file

    @contextmanager
    def task(self, name: str, total: int) -> Iterator[Advance]:
        """See `Reporter.task`."""
        began, heard = time.monotonic(), []
        with super().task(name, total) as show:

            def advance(done: int, total: int | None = None) -> None:
                now = (done, time.monotonic())
                heard[:] = [heard[0] if heard else now, now]
                show(done, total)

            try:
                yield advance
            finally:
                took = time.monotonic() - began
                (first, since), (last, until) = heard or [(0, 0.0)] * 2
                line = {"task": name, "seconds": took, "first": first, "last": last}
                with open(self.file, "a", encoding="utf-8") as file:
                    file.write(json.dumps(line | {"between": until - since}) + "\n")


def times(file: Path) -> pd.DataFrame:
    """Of each task over all pieces: calls, seconds, items a second without the first ones."""
    frame = pd.DataFrame([json.loads(line) for line in file.read_text().splitlines()])
    frame["items"] = frame["last"] - frame["first"]
    found = frame.groupby("task", sort=False).agg(
        pieces=("task", "size"),
        seconds=("seconds", "sum"),
        items=("items", "sum"),
        between=("between", "sum"),
    )
    found["rate"] = found["items"] / found["between"].where(found["between"] > 0)
    return found.drop(columns=["items", "between"])


@contextmanager
def ended_after(seconds: float) -> Iterator[None]:
    """Ask this process to stop as Ctrl-C does, unless what is within ends before."""
    timer = threading.Timer(max(seconds, 0.1), os.kill, (os.getpid(), signal.SIGINT))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def configured(chosen: argparse.Namespace) -> Config:
    """The recipe with what a GPU wants; ImageNet weights only where a file of them is."""
    config = load_recipe(chosen.recipe)
    settings = [f"data.size_px={chosen.size_px}", f"train.cache_gib={chosen.cache_gib}"]
    settings.append("maps.enabled=false")  # minutes on processors alone, and not to be interrupted
    if steps.has_gpu():
        settings.append("train.mixed_precision=true")
    if config.backbone.weights == "imagenet" and find_weights(config.backbone) is None:
        settings.append("backbone.weights=none")
    return with_settings(config, [*settings, *chosen.set])


def draw(folder: Path, chosen: argparse.Namespace, reporter: Reporter) -> None:
    """The catalogue, unless it is there."""
    if (folder / "labels.csv").exists():
        return
    with reporter.task("drawing garments", chosen.images) as advance:
        write_catalogue(
            folder,
            n_images=chosen.images,
            size_px=chosen.size_px,
            clean_fraction=chosen.clean / chosen.images,
            n_workers=chosen.workers or os.cpu_count() or 1,
            resume=True,
            progress=advance,
        )


def report(work: Path, config: Config) -> None:
    """Time by stage, Table 1, what a step costs."""
    run = Run(work / "run")
    console = Console(width=120)
    found = times(work / "times.jsonl")
    stages = [str(s["stage"]).replace("_", " ") for s in run.info["stages"]]
    for name, row in found.iterrows():
        rate = f", {row['rate']:.1f} a second" if row["rate"] > 0 else ""
        console.print(
            f"{name}: {row['seconds']:.0f} s in {row['pieces']:.0f} piece(s){rate}", highlight=False
        )
    learned = found.loc[[s for s in (*stages, "feature maps") if s in found.index], "seconds"].sum()
    limit = f", limit {LIMIT_MIN:.0f} min on an H200" if steps.has_gpu() else ""
    console.print(
        f"all stages and feature maps: {learned / 60:.1f} min{limit}; weights to begin with: "
        f"{config.backbone.weights}",
        highlight=False,
    )
    console.print(next(iter(run_tables(run))))
    console.print((work / "steps.txt").read_text(), highlight=False)


def piece(chosen: argparse.Namespace, started: float) -> bool:
    """Work for one piece; whether all is done."""
    work = chosen.work
    work.mkdir(parents=True, exist_ok=True)
    config = configured(chosen)
    reporter = Timed(work / "times.jsonl")

    def left() -> float:
        return 60 * chosen.minutes - SAVING_S * (chosen.minutes > 1) - time.monotonic() + started

    run = work / "run"
    if not (run / "run.json").exists() or not Run(run).is_complete:
        try:
            with ended_after(left()):
                draw(work / "catalogue", chosen, reporter)
                train(work / "catalogue", run, config, resume=run.exists(), reporter=reporter)
        except (Interrupted, KeyboardInterrupt):
            return False
    if not (work / "steps.txt").exists():
        if left() < min(STEPS_S, 30 * chosen.minutes):
            return False
        said = StringIO()
        with redirect_stdout(said):
            steps.main(step_arguments(chosen, config))
        (work / "steps.txt").write_text(said.getvalue())
    report(work, config)
    return True


def step_arguments(chosen: argparse.Namespace, config: Config) -> list[str]:
    """What :mod:`tests.benchmarks.steps` is called with."""
    settings = [f"data.size_px={chosen.size_px}", *chosen.set]
    found = ["--recipe", chosen.recipe, *(w for s in settings for w in ("--set", s))]
    found += ["--images", str(min(chosen.images, 4096))]
    found += ["--steps", str(chosen.steps), "--turns", str(chosen.turns)]
    return found + ["--mixed"] * config.train.mixed_precision


def main() -> None:
    """One piece; ends with status 75 while something is left."""
    started = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path(".demo/paper-recipe"))
    parser.add_argument("--minutes", type=float, default=9.0, help="of a call, at most")
    parser.add_argument("--recipe", default="paper")
    parser.add_argument("--images", type=int, default=60_200)
    parser.add_argument("--size-px", type=int, default=224)
    parser.add_argument("--clean", type=int, default=N_CLEAN, help="verified images, 75 | 25")
    parser.add_argument("--cache-gib", type=float, default=12.0, help="for feature maps")
    parser.add_argument("--set", action="append", default=[], help="key=value, as in selfml train")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw; 0: all cores")
    parser.add_argument("--steps", type=int, default=60, help="of the step benchmark")
    parser.add_argument("--turns", type=int, default=5, help="of the step benchmark")
    chosen = parser.parse_args()
    if wrong := steps.too_few(chosen.steps, configured(chosen)):
        parser.error(wrong)
    done = piece(chosen, started)
    if not done:
        print("the piece is over; call again to go on", file=sys.stderr)
    sys.exit(0 if done else MORE)


if __name__ == "__main__":
    main()
