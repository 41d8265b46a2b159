"""The commands that hand corrected labels out and check what came back."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from selfml.decisions import Store
    from selfml.exchange.check import Comparison
    from selfml.export import Exported
    from selfml.run import Run

SHOWN = 50  # cells that differ
CatalogueName = Annotated[
    str, typer.Option(help="With --decisions: the name they were kept under, where it changed.")
]
RunFolder = Annotated[Path, typer.Argument(help="A run directory that `selfml train` wrote.")]


def export(
    run: RunFolder,
    out: Annotated[
        Path, typer.Option(help="Corrected labels or scores: a file, or a folder with photos.")
    ],
    kind: Annotated[
        str,
        typer.Option(
            "--format",
            help="csv, parquet, huggingface, label-studio; else by --out's ending.",
        ),
    ] = "",
    data: Annotated[Path | None, typer.Option(help="The dataset, if it has moved.")] = None,
    all_flips: Annotated[
        bool, typer.Option(help="Every flip of the run, whether anybody has looked or not.")
    ] = False,
    scores: Annotated[
        bool, typer.Option(help="No labels, but the probability of each (csv or parquet).")
    ] = False,
    min_confidence: Annotated[float, typer.Option(help="Leave out less sure flips.")] = 0.0,
    agreed_only: Annotated[
        bool, typer.Option(help="Only flips that strict evidence makes too.")
    ] = False,
    auto_only: Annotated[
        bool, typer.Option(help="Only flips that may be accepted without a look.")
    ] = False,
    decisions: Annotated[
        str, typer.Option(help="Only flips accepted in this store: a file or postgresql://...")
    ] = "",
    with_auto: Annotated[
        bool, typer.Option(help="With --decisions: undecided flips that need no look, too.")
    ] = False,
    catalogue: CatalogueName = "",
    image_url: Annotated[
        str, typer.Option(help="For label-studio: what stands before a photo's name.")
    ] = "",
    link: Annotated[
        bool, typer.Option(help="For huggingface: hard links to the photos, not copies.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option(help="Replace files that no export wrote, or that were changed.")
    ] = False,
) -> None:
    """Write corrected labels in the input's format, and each flip with its evidence.

    Which flips is said by --decisions (those that people accepted), --auto-only (those that need no
    look), --agreed-only or --min-confidence, or --all-flips. --scores writes a table of how likely
    each image has each attribute in their place, also of images without labels.
    """
    from selfml.export import dataset_folder
    from selfml.export import export as write
    from selfml.run import Run

    limits = {"min_confidence": min_confidence, "agreed_only": agreed_only, "auto_only": auto_only}
    how = {"kind": kind, "image_url": image_url, "link": link, "overwrite": overwrite}
    opened = Run(run)
    if scores:
        _alone(
            decisions=decisions, with_auto=with_auto, catalogue=catalogue, all_flips=all_flips,
            data=data, image_url=image_url, link=link, **limits,
        )  # fmt: skip
        _export_scores(opened, out, kind=kind, overwrite=overwrite)
        return
    if with_auto and not decisions:
        raise ValueError("--with-auto: goes with --decisions; without it see --auto-only")
    if catalogue and not decisions:
        raise ValueError("--catalogue: goes with --decisions")
    if all_flips and (decisions or auto_only or agreed_only or min_confidence):
        raise ValueError(
            "--all-flips: goes with no option that leaves flips out; --decisions, --auto-only, "
            "--agreed-only or --min-confidence in its place says which"
        )
    if not (all_flips or decisions or auto_only or agreed_only or min_confidence):
        raise ValueError(
            "which flips? --decisions STORE exports those that people accepted, --auto-only those "
            "that need no look, --all-flips every one; --scores exports probabilities instead"
        )
    audited = {"with_auto": with_auto, "catalogue": catalogue}
    with decisions_of(decisions) as store:
        done = write(opened, out, data=data, store=store, **audited, **limits, **how)
    _say(done)
    if auto_only and not done.n_flips:
        why = "`selfml evaluate` says why"
        if opened.info.get("source_run"):
            why = "nothing is proven of images that training did not see"
        print(f"No flip may be accepted without a look; {why}.")
    if opened.table("attributes")["prevalence_given"].isna().all():
        print(
            "No label was given, and so none is corrected; how likely each image has each "
            f"attribute: {scores_command(run)}"
        )
    if done.from_input:
        return
    if dataset_folder(opened) is not None:
        print("The dataset folder is gone, so rows of unreadable images are left out (see --data).")
    _tell_unreadable(opened)


def scores_command(run: Path) -> str:
    """The command that exports the scores of a run, to be pasted."""
    return shlex.join(["selfml", "export", str(run), "--out", "scores.csv", "--scores"])


def _alone(**others: object) -> None:
    """Refuse options that say which flips, or what photos: with --scores there are neither."""
    for name, value in others.items():
        if value:
            raise ValueError(
                f"--{name.replace('_', '-')}: does not go with --scores, which writes what is said "
                "of every image; leave one of them out"
            )


def _export_scores(run: Run, out: Path, **how: Any) -> None:
    from selfml.exchange.scores import export_scores

    done = export_scores(run, out, **how)
    print(
        f"{done.file}: {done.n_images} images, the probability of each of {done.n_attributes} "
        "attributes"
    )
    _tell_unreadable(run)


def _tell_unreadable(run: Run) -> None:
    from selfml.exchange.left_out import unreadable_sentence

    said = unreadable_sentence(run, ", so without a row")
    if said:
        print(said)


def _say(done: Exported) -> None:
    photos = "" if done.n_photos is None else f"{done.n_photos} photos, "
    verified = done.n_changed_cells - done.n_changed_by_flips
    why = f" ({done.n_changed_by_flips} by flips, {verified} verified)" if verified else ""
    print(
        f"{done.labels_file}: {photos}{done.n_rows} rows, {done.n_changed_cells} cells changed"
        f"{why}; {done.flips_file}: {done.n_flips} flips with their evidence"
    )
    left_out = [
        *([f"{done.n_unchosen} by the options"] if done.n_unchosen else []),
        *([f"{done.n_settled} of labels verified or changed since"] if done.n_settled else []),
    ]
    if left_out:
        print(f"Flips left out: {', '.join(left_out)}.")
    if done.interface_file:
        print(f"{done.interface_file}: the labelling interface for these tasks")


def check_import(
    found: Annotated[Path, typer.Argument(help="What the shop's system gives back.")],
    against: Annotated[Path, typer.Option(help="The CSV or Parquet file that was exported.")],
) -> None:
    """Say which cells differ between an exported file and what came back (exit 1)."""
    from selfml.exchange.check import compare

    result = compare(found, against)
    for line in _lines(result):
        print(line)
    if not result.same:
        raise typer.Exit(1)


def _lines(result: Comparison) -> Iterator[str]:
    from selfml.data.messages import some

    for row in result.cells.head(SHOWN).itertuples():
        yield f"{row.file_name!r}, {row.column!r}: exported {row.exported!r}, found {row.found!r}"
    if len(result.cells) > SHOWN:
        yield f"and {len(result.cells) - SHOWN} more"
    for names, what in (
        (result.missing_images, "exported images are missing"),
        (result.missing_columns, "exported columns are missing"),
        (result.other_images, "images were not exported"),
        (result.other_columns, "columns were not exported"),
    ):
        if names:
            yield f"{len(names)} {what}: {some(names)}"
    yield f"{result.n_cells} cells compared, {len(result.cells)} differ"


@contextmanager
def decisions_of(url: str) -> Iterator[Store | None]:
    """The store that is named; a file must be there, for a new one would have no decisions."""
    if not url:
        yield None
        return
    from selfml.decision_tables import database_url
    from selfml.decisions import Store

    address = database_url(url)
    if address.get_backend_name() == "sqlite" and not Path(address.database or "").is_file():
        raise ValueError(f"--decisions: there is no file {address.database}")
    with Store(url) as store:
        yield store
