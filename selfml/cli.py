"""The ``selfml`` command: parse, call, report. Heavy imports wait inside the commands."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from selfml.cli_export import CatalogueName, RunFolder, check_import, decisions_of, export
from selfml.cli_relabel import relabel
from selfml.cli_support import interruptible, quiet_import, refuse_early

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Find, correct and explain wrong attribute labels in image catalogues.",
)

Data = Annotated[Path, typer.Argument(help="A dataset folder: images, labels.csv, clean.csv.")]


def main() -> None:
    """Entry point: expected errors are one line on standard error, never a traceback."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # it warns of each model it compiles
    try:
        app()
    except (ValueError, OSError) as error:
        if os.environ.get("SELFML_TRACEBACK"):
            raise
        text = " ".join(str(error).split())
        Console(stderr=True, soft_wrap=True).print(f"selfml: {text}", markup=False, highlight=False)
        sys.exit(1)


@app.command()
def check(data: Data) -> None:
    """Say what a dataset folder holds, and what training could not survive (exit 1)."""
    from selfml.data.check_report import render
    from selfml.data.checks import check_dataset
    from selfml.progress import Reporter

    with Reporter().task("decoding images", 1) as advance:
        report = check_dataset(data, progress=advance)
    Console(soft_wrap=not sys.stdout.isatty()).print(render(report))
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def synth(
    out: Annotated[Path, typer.Argument(help="A new folder.")],
    images: Annotated[int, typer.Option(help="How many garments to draw.")] = 8000,
    size_px: Annotated[int, typer.Option(help="Side in pixels, 32 to 224.")] = 64,
    seed: Annotated[int, typer.Option(help="Same seed, same catalogue.")] = 0,
    clean_fraction: Annotated[float, typer.Option(help="Share of verified images.")] = 0.05,
    extra_test: Annotated[int, typer.Option(help="Further verified images, to test on.")] = 0,
) -> None:
    """Draw a catalogue of garments with noisy given labels, so that nothing need be fetched."""
    from selfml.data.garments import write_catalogue
    from selfml.progress import Reporter

    reporter = Reporter()
    with reporter.task("drawing garments", images) as advance:
        summary = write_catalogue(
            out,
            n_images=images,
            size_px=size_px,
            seed=seed,
            clean_fraction=clean_fraction,
            extra_test=extra_test,
            n_workers=os.cpu_count() or 1,
            progress=advance,
        )
    reporter.say(
        f"{summary.folder}: {summary.n_images} images, {summary.n_clean_train} verified to learn "
        f"from and {summary.n_clean_test} to test on; labels an image: "
        f"{summary.mean_labels_given:.2f} given, {summary.mean_labels_true:.2f} true"
    )


@app.command()
def recipes() -> None:
    """List the recipes, with what each is for."""
    from importlib import resources

    from selfml.config import recipe_names

    for name in recipe_names():
        text = (resources.files("selfml") / "recipes" / f"{name}.toml").read_text()
        lines = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
        print(f"{name}: {' '.join(lines)}")


@app.command()
def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="The run directory to write.")],
    recipe: Annotated[str, typer.Option(help="A name of `selfml recipes` or a .toml file.")] = (
        "quick"
    ),
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, e.g. --set seed=1. Repeatable.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Continue an interrupted run.")] = False,
    decisions: Annotated[
        str, typer.Option(help="Also learn from what people decided: a file or postgresql://...")
    ] = "",
    catalogue: CatalogueName = "",
) -> None:
    """Train Baseline 0, Baseline 1 and SELF-ML, and write a run with corrected labels."""
    from selfml.config import load_recipe, with_settings
    from selfml.progress import Reporter

    config = with_settings(load_recipe(recipe), settings or [])
    reporter = Reporter()
    if catalogue and not decisions:
        raise ValueError("--catalogue: goes with --decisions")
    kept_as = catalogue or config.data.catalogue.strip() or str(data.resolve())
    decided = before = None
    with decisions_of(decisions) as store:
        if store is not None:
            from selfml.decided import read_decisions, run_decided_on

            decided = read_decisions(store, kept_as)
            before = run_decided_on(store, kept_as, out.resolve().parent)
            reporter.say(f"{len(decided):,} decided labels on {kept_as}")
    dataset = refuse_early(data, out, config, resume=resume)
    with quiet_import():
        from selfml.train import train as run_training
    with interruptible(out):
        how = {"resume": resume, "decided": decided, "dataset": dataset, "reporter": reporter}
        run_training(data, out, config, **how)
    from selfml.decided import record_gain, sentence

    learned = sentence(record_gain(out, before))
    if learned:
        reporter.say(learned)
    _show_tables(out, first=1)
    print(f"All else that was measured: {shlex.join(['selfml', 'evaluate', str(out)])}")


@app.command()
def evaluate(run: RunFolder) -> None:
    """Print and store Table 1, gains and flips by attribute, the basis, and faithfulness."""
    from selfml.coverage import measure_coverage
    from selfml.evaluate import evaluate as measure
    from selfml.evaluate import store
    from selfml.faithfulness_measures import measure_faithfulness
    from selfml.run import Run

    opened = Run(run)
    store(opened, *measure(opened), measure_coverage(opened), measure_faithfulness(opened))
    _show_tables(run)


@app.command()
def benchmark(
    data: Data,
    out: Annotated[Path, typer.Option(help="Where results, tables and figures are written.")],
    recipe: Annotated[str, typer.Option(help="A name of `selfml recipes` or a .toml file.")] = (
        "quick"
    ),
    methods: Annotated[
        str, typer.Option(help="Names with commas, 'default' or 'all' (with ablations).")
    ] = "default",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds, from 0 on.")] = 3,
    budgets: Annotated[str, typer.Option(help="Clean images, with commas, or all.")] = (
        "50,200,500,all"
    ),
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value of the recipe. Repeatable.")
    ] = None,
) -> None:
    """Measure SELF-ML and its peers side by side; what is done already is not done again."""
    from selfml.config import load_recipe, with_settings
    from selfml.data.dataset import read_dataset
    from selfml.progress import Reporter

    config = with_settings(load_recipe(recipe), settings or [])
    read_dataset(data)  # what its tables tell is told before an engine is loaded
    with quiet_import():
        from selfml.benchmark.methods import chosen_methods
        from selfml.benchmark.run import Benchmark, Plan, parse_budgets
    plan = Plan(tuple(chosen_methods(methods)), tuple(range(seeds)), parse_budgets(budgets))
    with interruptible(out, again=[]):
        Benchmark(data, out, config, plan, Reporter()).run(shlex.join(["selfml", *sys.argv[1:]]))
    print(f"{out / 'RESULTS.md'}")


@app.command("map")
def make_map(run: RunFolder) -> None:
    """Compute t-SNE and UMAP of the coefficients and store them in the run."""
    from selfml.maps import write_maps
    from selfml.progress import Reporter
    from selfml.run import Run

    opened = Run(run)
    n = write_maps(opened, seed=int(opened.info.get("seed", 0)), reporter=Reporter())
    print(f"{run}: {n} images mapped")


app.command()(export)
app.command("check-import")(check_import)
app.command()(relabel)


@app.command("label-basis")
def label_basis(
    run: RunFolder,
    labels: Annotated[
        Path, typer.Option(help="CSV: basis_index or image_id, then 1, 0 or blank an attribute.")
    ],
    out: Annotated[Path, typer.Option(help="The new run directory.")],
    who: Annotated[str, typer.Option(help="Who labelled; kept with the labels.")] = "",
) -> None:
    """Give basis images the labels of a person, and write the run that follows, untrained."""
    from selfml.derived import write_relabelled
    from selfml.expert_table import read_expert_labels
    from selfml.run import Run

    opened = Run(run)
    expert = read_expert_labels(labels, opened)
    done = write_relabelled(opened, expert, out, who=who or os.environ.get("USER", "unknown"))
    print(
        f"{done.path}: {done.n_basis_images} basis images labelled, {done.n_labels} of their labels"
        f" changed; {done.n_changed} labels of images come out otherwise ({done.n_new} new flips, "
        f"{done.n_gone} gone). {run} is as it was."
    )
    print("In the new run no flip is accepted without a look: what was proven was of the old one.")


@app.command()
def backup(
    store: Annotated[str, typer.Argument(help="The store of decisions: a file or sqlite:///...")],
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Copy a store of decisions while it is in use (SQLite; PostgreSQL has pg_dump)."""
    from selfml.store_copies import backup as copy

    done = copy(store, file, force=force)
    print(f"{done.path}: {done.n_decisions} decisions, checked")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `selfml backup` wrote.")],
    store: Annotated[str, typer.Argument(help="The store of decisions: a file or sqlite:///...")],
    force: Annotated[bool, typer.Option("--force", help="Replace a store that is there.")] = False,
) -> None:
    """Put a backup in the place of a store of decisions, which is kept beside it."""
    from selfml.store_copies import restore as put_back

    done = put_back(file, store, force=force)
    print(f"{done.path}: {done.n_decisions} decisions, checked")
    if done.before:
        print(f"{done.before}: the store as it was")


def _show_tables(out: Path, first: int | None = None) -> None:
    from itertools import islice

    from selfml.report import run_tables
    from selfml.run import Run

    console = Console(width=None if sys.stdout.isatty() else 120)
    for table in islice(run_tables(Run(out)), first):
        console.print(table)


if __name__ == "__main__":
    main()
