"""How cost grows with the catalogue: measures, keeps what it measured, and writes docs/cost.md.

    python -m tests.benchmarks.cost --relabel 1000,10000,100000,1000000
    python -m tests.benchmarks.cost --maps 1000,10000,60000 --train 1000,4000,10000,100000
    python -m tests.benchmarks.cost --ray 1,2

Each measurement is a process of its own, so that its greatest memory can be told. What is measured
goes into docs/cost.json, beside what was measured before, and docs/cost.md is written from that;
``python -m tests.benchmarks.cost`` writes the page alone. Relabelling reads Parquet files with the
bytes of drawn photos, over and over the same, and a small network, so that a million images take
minutes: memory and bytes do not depend on the network, images a second do.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tests.benchmarks.cost_model import page
from tests.benchmarks.processors import resident_mib
from tests.benchmarks.relabel import make_run, size_of

ROOT = Path(__file__).resolve().parents[2]
KEPT, PAGE = ROOT / "docs" / "cost.json", ROOT / "docs" / "cost.md"
SIZE_PX = 32
PER_FILE = 20_000
LOOK_S = 0.1
SMALL = [f"data.size_px={SIZE_PX}"]
SELFML = "import sys; from selfml.cli import main; sys.argv[0] = 'selfml'; main()"


def measured(arguments: list[str]) -> dict[str, float]:
    """Run Python with these arguments: seconds, of a processor, and the greatest MiB resident.

    Memory is that of all its processes together, looked at every `LOOK_S`. What Linux reports at
    the end of one would be no less than what *this* one had when it began it.

    Raises
    ------
    RuntimeError
        Where it fails.
    """
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL)
    mib, ended = 0.0, 0
    while not ended:
        mib = max(mib, resident_mib(process.pid))
        time.sleep(LOOK_S)
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{arguments}: ended with {process.returncode}")
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "processor_s": round(used.ru_utime + used.ru_stime, 1),
        "mib": round(mib, 0),
    }


def write_source(drawn: Path, out: Path, n: int) -> Path:
    """``n`` rows of file_name, image_bytes and given labels: the drawn photos over and over."""
    labels = pd.read_csv(drawn / "labels.csv")
    photos = [(drawn / name).read_bytes() for name in labels["file_name"]]
    given = labels.drop(columns="file_name").convert_dtypes()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    for start in range(0, n, PER_FILE):
        rows = range(start, min(start + PER_FILE, n))
        which = np.array(rows) % len(photos)
        table = pa.table(
            {
                "file_name": [f"{i:09d}.jpg" for i in rows],
                "image_bytes": pa.array([photos[k] for k in which], pa.binary()),
                **{name: pa.array(given[name].iloc[which]) for name in given},
            }
        )
        name = out / f"part-{start // PER_FILE:05d}.parquet"
        pq.write_table(table, name, row_group_size=2048, use_dictionary=False)
    return out


def measure_relabel(work: Path, n: int, engine: list[str]) -> dict[str, Any]:
    """`selfml relabel` of ``n`` images, as a command."""
    made = work / "cost-run"
    if not (made / "trained" / "run.json").exists():
        make_run(made, "quick", SMALL)
    source, out = write_source(made / "drawn", work / "source", n), work / f"relabelled-{n}"
    shutil.rmtree(out, ignore_errors=True)
    options = [made / "trained", source, "--out", out, *engine]
    found = measured(["-c", SELFML, "relabel", *map(str, options)])
    info = json.loads((out / "run.json").read_text())
    parts = size_of(out / "parts")
    return {
        "images": n,
        **found,
        "flips": info["relabel"]["n_flips"],
        "part_bytes": round(parts / n),
        "run_bytes": round((size_of(out) - parts) / n),
    }


def measure_maps(n: int) -> dict[str, Any]:
    """t-SNE and UMAP of ``n`` drawn rows of coefficients."""
    return {"images": n, **measured(["-m", "tests.benchmarks.maps", "--images", str(n)])}


def measure_training(work: Path, n: int) -> dict[str, Any]:
    """`selfml train` of the recipe ``quick`` on ``n`` drawn images, maps included.

    Drawing them takes as long and is not measured: a catalogue that is there already is taken.
    """
    data, out = work / f"train-{n}", work / f"trained-{n}"
    shutil.rmtree(out, ignore_errors=True)
    if not (data / "labels.csv").exists():  # written last
        shutil.rmtree(data, ignore_errors=True)
        synth = ["synth", str(data), "--images", str(n), "--clean-fraction", "0.15"]
        subprocess.run([sys.executable, "-c", SELFML, *synth], cwd=ROOT, check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
    train = ["train", str(data), "--recipe", "quick", "--out", str(out)]
    found = measured(["-c", SELFML, *train])
    return {"images": n, **found, "run_bytes": round(size_of(out) / n)}


def keep(kind: str, found: dict[str, Any], by: tuple[str, ...] = ("images",)) -> None:
    """Put a measurement in the place of the same one made before."""
    all_of_it = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    found["load"] = round(os.getloadavg()[0], 1)
    rows = [r for r in all_of_it.get(kind, []) if any(r.get(k) != found.get(k) for k in by)]
    all_of_it[kind] = sorted([*rows, found], key=lambda row: [row[k] for k in by])
    KEPT.parent.mkdir(exist_ok=True)
    KEPT.write_text(json.dumps(all_of_it, indent=1) + "\n")
    print(kind, found, flush=True)


def main() -> None:
    """Measure what is asked for, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("relabel", "maps", "train"):
        parser.add_argument(f"--{name}", default="", help="numbers of images, with commas")
    parser.add_argument("--ray", default="", help="numbers of Ray workers, with commas")
    parser.add_argument("--ray-images", type=int, default=40_000)
    parser.add_argument("--work", type=Path, help="folder for runs (default: a temporary one)")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="selfml-cost-") as temporary:
        work = chosen.work or Path(temporary)
        for n in numbers(chosen.relabel):
            keep("relabel", measure_relabel(work, n, []))
        for workers in numbers(chosen.ray):
            engine = ["--engine", "ray", "--workers", str(workers)]
            found = measure_relabel(work, chosen.ray_images, engine)
            keep("ray", {"workers": workers, **found}, ("images", "workers"))
        for n in numbers(chosen.maps):
            keep("maps", measure_maps(n))
        for n in numbers(chosen.train):
            keep("train", measure_training(work, n))
    PAGE.write_text(page(json.loads(KEPT.read_text())))


def numbers(text: str) -> list[int]:
    """``1000,2000`` as numbers."""
    return [int(part) for part in text.split(",") if part]


if __name__ == "__main__":
    main()
