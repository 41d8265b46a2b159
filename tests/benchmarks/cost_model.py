"""The page on cost: tables of what was measured, and what follows for a billion images."""

from __future__ import annotations

from textwrap import fill
from typing import Any

BILLION = 1_000_000_000
# VGG-16 at 224 px with the extra convolution, forward (Simonyan and Zisserman 2015, counted by
# layers), and what an H200 was measured to do in matrix products of bfloat16.
FORWARD_GFLOP, GPU_TFLOPS, SHARE = 30.9, 790.0, 0.6
PHOTO_BYTES = 50_000  # a JPEG of a shop, some 600 px (our assumption)
GPUS = 8
GIB, TIB = 2**30, 2**40
COLUMNS = {
    "images": "images",
    "workers": "workers",
    "seconds": "seconds",
    "per_s": "images/s",
    "processor_s": "processor s",
    "mib": "greatest memory, MiB",
    "part_bytes": "parts, bytes an image",
    "run_bytes": "run, bytes an image",
    "load": "load average",
}
INTRODUCTION = """# How cost grows

Written by `python -m tests.benchmarks.cost` from `docs/cost.json`, what that command measured; do
not edit it. Measured on two processors without an accelerator. The last column is the machine's
load average at the end of each measurement: on a busy machine the seconds are longer, and the
processor's seconds somewhat.
"""
SECTIONS = {
    "relabel": (
        "Relabelling",
        "python -m tests.benchmarks.cost --relabel 1000,10000,100000,1000000",
        "`selfml relabel` as a whole (listing, decoding, network, parts, the run's files), images "
        "of 32 px and a small network, from Parquet files; memory is that of it and of the "
        "processes that decode, together. The limit set is 4 GiB a worker at a million images.",
    ),
    "ray": (
        "From one worker to two",
        "python -m tests.benchmarks.cost --ray 1,2",
        "The same with `--engine ray` on this one machine, with Ray's start; both workers share "
        "its processors, so little can be gained here. Memory is that of all of Ray's processes "
        "together, what they share counted for each; the processor's seconds are the driver's.",
    ),
    "maps": (
        "t-SNE and UMAP",
        "python -m tests.benchmarks.cost --maps 1000,10000,60000",
        "Both maps of drawn coefficients (500 basis images, 11 draws an image), once for a run.",
    ),
    "train": (
        "Training",
        "python -m tests.benchmarks.cost --train 1000,4000,10000,100000",
        "`selfml train --recipe quick` on a drawn catalogue, all three methods and the maps. The "
        "recipe's steps are fixed, so time grows slowly with the images. Memory counts pages of "
        "the cached pixels and maps (at most `train.cache_gib`, 3), which are files: the system "
        "takes them back where it needs them.",
    ),
}


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as a Markdown table."""
    rows = [{**row, "per_s": row["images"] / row["seconds"]} for row in rows]
    used = [name for name in COLUMNS if any(name in row for row in rows)]
    lines = [
        "| " + " | ".join(COLUMNS[name] for name in used) + " |",
        "|" + "--:|" * len(used),
    ]
    for row in rows:
        cells = [f"{row[name]:,.{int(name == 'load')}f}" for name in used]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def billion(
    *, part_bytes: float, run_bytes: float, processor_s: float, flips: float
) -> dict[str, float]:
    """What a billion images would take.

    Parameters
    ----------
    part_bytes, run_bytes : float
        Stored an image, measured.
    processor_s : float
        Of one processor, an image, measured with the small network.
    flips : float
        An image, measured.

    Returns
    -------
    dict
        gpu_per_s (images a second of one GPU, computed), gpu_hours (of one GPU),
        hours (with ``GPUS``), cpu_days (of one processor, with the small network), photo_tib,
        part_tib, run_tib, read_gib_s (what the photos' storage must give to ``GPUS``), looks
        (decisions about one flip in a thousand), weeks (of 40 hours, at 30 decisions a minute).
    """
    gpu_per_s = SHARE * GPU_TFLOPS * 1e3 / FORWARD_GFLOP
    seconds = BILLION / gpu_per_s
    looks = BILLION * flips / 1000
    return {
        "gpu_per_s": gpu_per_s,
        "gpu_hours": seconds / 3600,
        "hours": seconds / 3600 / GPUS,
        "cpu_days": BILLION * processor_s / 86_400,
        "photo_tib": BILLION * PHOTO_BYTES / TIB,
        "part_tib": BILLION * part_bytes / TIB,
        "run_tib": BILLION * run_bytes / TIB,
        "read_gib_s": GPUS * gpu_per_s * PHOTO_BYTES / GIB,
        "looks": looks,
        "weeks": looks / 30 / 60 / 40,
    }


def on_paper(rows: list[dict[str, Any]]) -> str:
    """The section about a billion images, from the largest relabelling measured."""
    largest = rows[-1]
    n = largest["images"]
    of = billion(
        part_bytes=largest["part_bytes"],
        run_bytes=largest["run_bytes"],
        processor_s=largest["processor_s"] / n,
        flips=largest["flips"] / n,
    )
    return f"""## One billion images, on paper

Computed from the table above ({largest["images"]:,} images) by `tests/benchmarks/cost_model.py`;
**nothing of this was measured, and no GPU either**.

| what | figure | from |
|---|--:|---|
| one H200, VGG-16 at 224 px | {of["gpu_per_s"]:,.0f} images/s | {SHARE:.0%} of {GPU_TFLOPS:,.0f} \
TFLOP/s over {FORWARD_GFLOP} GFLOP an image |
| GPU hours | {of["gpu_hours"]:,.0f} | a billion at that rate |
| hours on {GPUS} GPUs | {of["hours"]:,.1f} | shards are independent |
| photos read meanwhile | {of["read_gib_s"]:,.1f} GiB/s | {PHOTO_BYTES // 1000} kB each, assumed |
| photos stored | {of["photo_tib"]:,.0f} TiB | the same |
| parts stored | {of["part_tib"]:,.1f} TiB | {largest["part_bytes"]:,} bytes an image |
| the run's files | {of["run_tib"]:,.1f} TiB | {largest["run_bytes"]:,} bytes an image |
| days of one processor, small network | {of["cpu_days"]:,.0f} | measured |

**What breaks first**, in this order:

1. *Decoding.* {GPUS} GPUs at the rate above want {GPUS * of["gpu_per_s"]:,.0f} photos a second; a
   processor decodes some hundreds. Photos have to be stored as small squares once, or be decoded on
   the GPUs. The distance to the hull of the basis is next: processors compute it, some thousands of
   images a second each with 500 basis images.
2. *One run of it all.* The parts are independent, but `images.parquet`, `flips.parquet` and the
   arrays are one file each, written by one process: beyond some ten million images a catalogue
   should be several runs (by category, say). Image numbers are int32 and end at 2.1 billion.
3. *The list of what was seen.* Listing keeps 8 bytes an image, some 60 as Python holds them, to
   tell images that are listed twice: 60 GB at a billion.
4. *The dashboard.* What flips are filtered and sorted by is in memory, some 5 bytes a flip; a page
   reads its rows from the file, but counts over all flips grow with them. Maps stop at
   `maps.max_images`, 100,000 by default.
5. *People.* One flip in a thousand is {of["looks"]:,.0f} decisions: at thirty a minute
   {of["weeks"]:,.0f} weeks of one person. What needs no look, bulk decisions and tracing rejects
   have to do the work.
"""


def page(kept: dict[str, Any]) -> str:
    """docs/cost.md from docs/cost.json."""
    parts = [INTRODUCTION]
    for kind, (title, command, text) in SECTIONS.items():
        if kind in kept:
            parts.append(
                f"## {title}\n\n    {command}\n\n{fill(text, 100)}\n\n{table(kept[kind])}\n"
            )
    if "relabel" in kept:
        parts.append(on_paper(kept["relabel"]))
    return "\n".join(parts)
