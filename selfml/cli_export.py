"""The commands that hand corrected labels out and check what came back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from selfml.decisions import Store
    from selfml.exchange.check import Comparison
    from selfml.export import Exported

SHOWN = 50  # cells that differ
CatalogueName = Annotated[
    str, typer.Option(help="With --decisions: the name they were kept under, where it changed.")
]
RunFolder = Annotated[Path, typer.Argument(help="A run directory that `selfml train` wrote.")]


def export(
    run: RunFolder,
    out: Annotated[Path, typer.Option(help="Corrected labels: a file, or a folder with photos.")],
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
    look), --agreed-only or --min-confidence, or --all-flips.
    """
    from selfml.export import dataset_folder
    from selfml.export import export as write
    from selfml.run import Run

    limits = {"min_confidence": min_confidence, "agreed_only": agreed_only, "auto_only": auto_only}
    how = {"kind": kind, "image_url": image_url, "link": link, "overwrite": overwrite}
    opened = Run(run)
    if with_auto and not decisions:
        raise ValueError("--with-auto: goes with --decisions; without it see --auto-only")
    if catalogue and not decisions:
        raise ValueError("--catalogue: goes with --decisions")
    if all_flips and (decisions or auto_only or agreed_only or min_confidence):
        raise ValueError("--all-flips: goes with no option that leaves flips out")
    if not (all_flips or decisions or auto_only or agreed_only or min_confidence):
        raise ValueError(
            "which flips? --decisions STORE exports those that people accepted, --auto-only those "
            "that need no look, --all-flips every one"
        )
    audited = {"with_auto": with_auto, "catalogue": catalogue}
    with decisions_of(decisions) as store:
        done = write(opened, out, data=data, store=store, **audited, **limits, **how)
    _say(done)
    if auto_only and not done.n_flips:
        print("No flip may be accepted without a look; `selfml evaluate` says why.")
    if not done.from_input and dataset_folder(opened) is None:
        print("The run names no folder of tables, so photos that could not be read are left out.")
    elif not done.from_input:
        print("The dataset folder is gone, so rows of unreadable images are left out (see --data).")


def _say(done: Exported) -> None:
    photos = "" if done.n_photos is None else f"{done.n_photos} photos, "
    verified = done.n_changed_cells - done.n_changed_by_flips
    why = f" ({done.n_changed_by_flips} by flips, {verified} verified)" if verified else ""
    print(
        f"{done.labels_file}: {photos}{done.n_rows} rows, {done.n_changed_cells} cells changed"
        f"{why}; {done.flips_file}: {done.n_flips} flips with their evidence"
    )
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
