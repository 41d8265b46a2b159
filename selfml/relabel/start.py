"""Relabelling from beginning to end: plan, shards by an engine, and the run that they make."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from selfml.files import clear_unfinished
from selfml.nn.fitting import Interrupted, stop_on_signals
from selfml.progress import Advance, Reporter
from selfml.relabel import parts
from selfml.relabel.finish import finish
from selfml.relabel.local import run_local
from selfml.relabel.model import COEFFICIENTS, fingerprint
from selfml.relabel.plan import PLAN_FILE, SHARD_IMAGES, Listing, Plan, write_plan
from selfml.relabel.ray_engine import require_ray, run_ray
from selfml.relabel.source import source_root
from selfml.run import Run, RunError, RunWriter
from selfml.run_start import origin

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Engine:
    """Who does the work.

    Attributes
    ----------
    name : {"local", "ray"}
    workers : int
        Of Ray; 0 lets it decide.
    address : str
        Of a running Ray cluster; empty for this machine.
    n_threads : int or None
        Processors that the local engine uses; None: all that it may.
    """

    name: str = "local"
    workers: int = 0
    address: str = ""
    n_threads: int | None = None

    def __post_init__(self) -> None:
        if self.name not in ENGINES:
            raise ValueError(f"--engine: must be local or ray, got {self.name!r}")
        if self.name == "local" and (self.workers or self.address):
            raise ValueError("--workers and --address: go with --engine ray")


@dataclass(frozen=True)
class Done:
    """What was made.

    Attributes
    ----------
    path : Path
    n_images, n_unreadable, n_flips : int
    warning : str
        In one line, where the images are unlike those trained on (:mod:`selfml.relabel.unlike`).
    unlisted : str
        In one line, where the folder has images that its table does not list.
    """

    path: Path
    n_images: int
    n_unreadable: int
    n_flips: int
    warning: str = ""
    unlisted: str = ""


def relabel(
    run_path: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    coefficients: str = "trained",
    engine: Engine | None = None,
    resume: bool = False,
    thumbnails: bool = True,
    shard_images: int | None = None,
    reporter: Reporter | None = None,
) -> Done:
    """Relabel the images of a source by a trained run, and write a run of them.

    Parameters
    ----------
    source : path
        See :mod:`selfml.relabel.source`.
    out : path
        A new folder, or with ``resume`` one that was begun so.
    coefficients : {"trained", "projection"}
        By the trained C_X, or by exact projection onto the hull of the basis.
    shard_images : int, optional
        Images a part; 2,048, or with ``resume`` as it was begun.

    Raises
    ------
    DatasetError, RunError, FileExistsError, ValueError
        In one line each.
    Interrupted
        When stopped by Ctrl-C; finished shards are kept.
    """
    engine, reporter = engine or Engine(), reporter or Reporter()
    if coefficients not in COEFFICIENTS:
        raise ValueError(f"--coefficients: must be one of {COEFFICIENTS}, got {coefficients!r}")
    if shard_images is not None and shard_images < 1:
        raise ValueError(f"--shard-images: must be at least 1, got {shard_images}")
    if engine.name == "ray":
        require_ray()
    run, source, out = Run(run_path), Path(source), Path(out).resolve()
    if not run.is_complete:
        raise RunError(f"{run.path}: training has not finished; relabel with a complete run")
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise Interrupted

    with stop_on_signals(stop, quiet=reporter.quiet):
        plan, listing = _begin(
            run, source, out, resume=resume, shard_images=shard_images,
            coefficients=coefficients, thumbnails=thumbnails,
        )  # fmt: skip
        done = parts.finished_shards(out)
        todo = list(parts.iter_shards(plan.n_shards, done))
        n_done = sum(plan.sizes[shard] for shard in done)
        writer = RunWriter(out)
        with reporter.task("relabelling", plan.n_images) as advance:
            said = _telling(writer, plan, advance)
            if todo and engine.name == "local":
                options = {"n_threads": engine.n_threads}
                run_local(out, todo, check=check, advance=said, done=n_done, **options)
            elif todo:
                options = {"workers": engine.workers, "address": engine.address}
                run_ray(out, todo, check=check, advance=said, done=n_done, **options)
                clear_unfinished(out / parts.PARTS)  # of workers that were killed
        with reporter.task("writing the run", plan.n_shards) as advance:
            found = finish(run, out, plan, check=check, advance=advance)
    return Done(out, *found, unlisted=_unlisted(source, listing))


def _unlisted(source: Path, listing: Listing) -> str:
    n = listing.n_unlisted
    if not n:
        return ""
    which = f"{n:,} image file is" if n == 1 else f"{n:,} image files are"
    them = "it" if n == 1 else "them"
    return (
        f"{which} left out: {source / listing.table} does not list {them}. List {them}, and "
        "relabel into a new folder."
    )


def _telling(writer: RunWriter, plan: Plan, advance: Advance) -> Advance:
    """Progress for the terminal and, now and then, for who looks at the run meanwhile."""
    told = 0

    def tell(done: int, total: int | None = None) -> None:
        nonlocal told
        advance(done, total)
        if done - told >= plan.n_images / 100 or done == plan.n_images:
            told = done
            writer.update(step=done)

    return tell


def _begin(
    run: Run, source: Path, out: Path, *, resume: bool, shard_images: int | None, **how
) -> tuple[Plan, Listing]:
    """The plan of a new relabelling, or of the one that is resumed."""
    before = parts.read_manifest(out)
    status = Run(out).info.get("status") if (out / "run.json").exists() else None
    if status == "complete":
        raise FileExistsError(f"--out: the run in {out} is complete; name a new folder")
    if out.exists() and any(out.iterdir()) and not before:
        strange = [p.name for p in out.iterdir() if not p.name.lstrip(".").startswith(PLAN_FILE)]
        if strange or not resume:
            raise FileExistsError(f"--out: {out} is not empty and not a relabelling; name another")
    if before and not resume:
        raise FileExistsError(f"--out: {out} was begun already; add --resume or name a new folder")
    known = fingerprint(run)
    source_root(source)
    (out / parts.PARTS).mkdir(parents=True, exist_ok=True)
    if before:
        _same(before, {"shard_images": shard_images or before["shard_images"]}, out)
    shard_images = before["shard_images"] if before else shard_images or SHARD_IMAGES
    place = out / (f".{PLAN_FILE}.again" if before else PLAN_FILE)
    listing = write_plan(source, run.attributes, place, shard_images)
    wanted = {
        "version": 1,
        "run": str(run.path.resolve()),
        "fingerprint": known,
        "source": str(source.resolve()),
        "root": str(source_root(source)),
        "plan_sha256": listing.sha256,
        "shard_images": shard_images,
        **how,
    }
    if before:
        place.unlink()
        _same(before, wanted, out)
        for folder in (out, out / parts.PARTS):
            clear_unfinished(folder)
    else:
        parts.write_manifest(out, wanted)
    plan = Plan(out / PLAN_FILE)
    _announce(run, source, out, plan)
    return plan, listing


def _same(before: dict, wanted: dict, out: Path) -> None:
    changed = [name for name, value in wanted.items() if before.get(name) != value]
    words = {
        "fingerprint": "the trained run has changed since",
        "plan_sha256": "the source lists other images or labels than then",
        "run": "it was begun with another run",
        "source": "it was begun with another source",
        "shard_images": f"it was begun with --shard-images {before['shard_images']}",
    }
    if changed:
        why = words.get(changed[0], f"it was begun with another --{changed[0].replace('_', '-')}")
        raise FileExistsError(f"--resume: {out} cannot go on: {why}; name a new folder")


def _announce(run: Run, source: Path, out: Path, plan: Plan) -> None:
    """Make ``out`` a run that is being written, for who looks at it meanwhile."""
    writer = RunWriter(out)
    labelled = (source_root(source) / "clean.csv").is_file()
    writer.update(
        status="running",
        stage="relabel",
        step=0,
        stages=[{"stage": "relabel", "steps": plan.n_images}],
        seed=run.info.get("seed", 0),
        recipe=run.info.get("recipe", ""),
        dataset={
            "path": str(source.resolve()) if source.is_dir() and labelled else "",
            "catalogue": str(source.resolve()),
        },
        source_run={"run_id": run.run_id, "path": str(run.path.resolve())},
        **origin(),
    )
    (out / "model").rmdir()
