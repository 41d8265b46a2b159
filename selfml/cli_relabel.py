"""The command that applies a trained run to another catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from selfml.cli_export import RunFolder, scores_command
from selfml.cli_support import interruptible, quiet_import


def relabel(
    run: RunFolder,
    source: Annotated[
        Path, typer.Argument(help="Images: a folder, a CSV of paths, or Parquet with image bytes.")
    ],
    out: Annotated[Path, typer.Option(help="The new run directory, with Parquet parts in it.")],
    engine: Annotated[
        str, typer.Option(help="local: this process; ray: many, also on other machines.")
    ] = "local",
    address: Annotated[
        str, typer.Option(help="With ray: HOST:PORT of a running cluster; else one is started.")
    ] = "",
    workers: Annotated[
        int, typer.Option(min=0, help="With ray: how many; 0: one a GPU, else one a machine.")
    ] = 0,
    coefficients: Annotated[
        str, typer.Option(help="trained: by the trained C_X; projection: the nearest mixture.")
    ] = "trained",
    shard_images: Annotated[
        int | None,
        typer.Option(min=1, help="Images a part, what a stop may lose; by default 2048."),
    ] = None,
    thumbnails: Annotated[bool, typer.Option(help="Keep small pictures for the dashboard.")] = True,
    resume: Annotated[bool, typer.Option(help="Go on where an earlier call stopped.")] = False,
) -> None:
    """Correct and explain the labels of images that were not trained on."""
    from selfml.exchange.left_out import unreadable_sentence
    from selfml.run import Run

    with quiet_import():
        from selfml.relabel.start import Engine
        from selfml.relabel.start import relabel as start

    with interruptible(out):
        done = start(
            run,
            source,
            out,
            coefficients=coefficients,
            engine=Engine(engine, workers, address),
            resume=resume,
            thumbnails=thumbnails,
            shard_images=shard_images,
        )
    print(
        f"{out}: {done.n_images} images relabelled, {done.n_flips} labels flipped; "
        f"{done.n_unreadable} images could not be read"
    )
    if not done.n_flips:
        print(
            "Labels that were not given cannot be flipped; how likely each image has each "
            f"attribute: {scores_command(out)}"
        )
    if done.unlisted:
        print(done.unlisted)
    if done.n_unreadable:
        print(unreadable_sentence(Run(out)))
    if done.warning:
        print(done.warning)
    print("No flip is accepted without a look: nothing is proven of images not trained on.")
