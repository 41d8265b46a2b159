"""What a run says of every label: for each image the probability that it has each attribute.

That is the sigmoid of the score that decides in the run (:mod:`selfml.flips`), whether a label was
given or not; so images without labels get theirs here. It is not calibrated, as the confidence of
a flip is. Rows are written some thousands at a time: memory does not grow with the run.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from selfml.corrections import neutralise
from selfml.exchange.left_out import n_unreadable, not_yet
from selfml.exchange.manifest import KIND, VERSION
from selfml.exchange.staging import Staging
from selfml.exchange.targets import refuse_foreign, targets
from selfml.flips import deciding_mode, evidence, read_evidence_model, sigmoid
from selfml.run import Run, damaged

CHUNK = 8_192  # images at a time; a row group of images.parquet (our choice)
DECIMALS = 4  # more would promise what no evidence holds (our choice)
NEEDED = ("images", "attributes", "label_scores", "labels_given")
NEEDED += ("terms_classifier", "terms_residual")


@dataclass(frozen=True)
class Scores:
    """What was written."""

    file: Path
    manifest_file: Path
    n_images: int
    n_attributes: int


@dataclass(frozen=True)
class _Chunk:
    """Images of the catalogue that follow each other: names, categories, (n, L) float64."""

    names: list[str]
    categories: list[str | None]
    probabilities: np.ndarray


def export_scores(run: Run, out: str | Path, *, kind: str = "", overwrite: bool = False) -> Scores:
    """Write ``out``, a row an image and a column an attribute, and ``<out stem>.manifest.json``.

    Columns are ``file_name``, ``category`` where any image has one, and the attributes, 0..1 with
    ``DECIMALS`` decimals. Images that could not be read have no row, nor have the basis images of
    a relabelled catalogue, which are of another one.

    Parameters
    ----------
    kind : {"csv", "parquet"}, optional
        Without it what ``out`` ends in says it, else csv.
    overwrite : bool
        Replace a file that no export wrote, or that somebody changed since.

    Raises
    ------
    RunError, ValueError
        In one line.
    """
    to = targets(Path(out), kind, scores=True)
    if not run.is_complete or not run.has(*NEEDED):
        raise not_yet(run, "scores")
    refuse_foreign(to, overwrite=overwrite)
    filed = any(c is not None for chunk in _images(run) for c in chunk[2])
    write = _write_parquet if to.kind == "parquet" else _write_csv
    with Staging(to.out.parent) as stage:
        n = write(_chunks(run), stage, to.out.name, run.attributes, filed)
        stage.write(to.manifest.name, _manifest(run, stage, to.kind, n))
        stage.publish()
    return Scores(to.out, to.manifest, n, len(run.attributes))


def _images(run: Run) -> Iterator[tuple[np.ndarray, list[str], list[str | None]]]:
    """Rows, names and categories of the images of the catalogue, some at a time."""
    others = np.zeros(0, np.int64)
    if run.info.get("source_run"):
        others = run.table("basis", ["image_index"])["image_index"].to_numpy()
    path, start = run.table_path("images"), 0
    try:
        with pa.OSFile(str(path)) as source, pq.ParquetFile(source) as file:
            for batch in file.iter_batches(CHUNK, columns=["image_id", "category"]):
                rows = np.arange(start, start := start + len(batch))
                own = ~np.isin(rows, others)
                batch = batch.filter(pa.array(own))
                yield rows[own], batch["image_id"].to_pylist(), batch["category"].to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise damaged(path, error) from error


def _chunks(run: Run) -> Iterator[_Chunk]:
    model, mode = read_evidence_model(run), deciding_mode(run)
    for rows, names, categories in _images(run):
        # opened for each chunk: what was read of a mapped file counts as memory until it is shut
        scores, given, classifier, residual = (run.array(name)[rows] for name in NEEDED[2:])
        place = model.category_index(categories, len(rows))
        terms = evidence(model, scores.astype(np.float64), given, place, classifier, residual)
        deciding = terms.score if mode == "full" else terms.strict_score
        yield _Chunk(names, categories, np.round(sigmoid(deciding), DECIMALS))


def _write_csv(
    chunks: Iterator[_Chunk], stage: Staging, name: str, attributes: Sequence[str], filed: bool
) -> int:
    first, n = ["file_name", *(["category"] if filed else [])], 0
    with stage.open(name) as binary:
        file = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*first, *map(neutralise, attributes)])
        for chunk in chunks:
            ends = chunk.probabilities.tolist()
            for image, category, row in zip(chunk.names, chunk.categories, ends, strict=True):
                texts = [image, category or ""] if filed else [image]
                writer.writerow([*map(neutralise, texts), *row])
            n += len(ends)
        file.flush()
        file.detach()
    return n


def _write_parquet(
    chunks: Iterator[_Chunk], stage: Staging, name: str, attributes: Sequence[str], filed: bool
) -> int:
    texts = [("file_name", pa.string()), *([("category", pa.string())] if filed else [])]
    schema = pa.schema([*texts, *((attribute, pa.float32()) for attribute in attributes)])
    n = 0
    with stage.open(name) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for chunk in chunks:
            columns = [chunk.names, *([chunk.categories] if filed else [])]
            columns += list(chunk.probabilities.T)
            arrays = [pa.array(c, f.type) for c, f in zip(columns, schema, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            n += len(chunk.names)
    return n


def _manifest(run: Run, stage: Staging, kind: str, n: int) -> bytes:
    """As of other exports: what was written, and from what (:mod:`selfml.exchange.manifest`)."""
    said = {
        "kind": KIND,
        "version": VERSION,
        "output": next(iter(stage.files)),
        "run": {"run_id": run.run_id, "dataset": run.info.get("dataset", {}).get("sha256")},
        "options": {"format": kind, "scores": True, "evidence": deciding_mode(run)},
        "counts": {
            "images": n,
            "attributes": len(run.attributes),
            "unreadable": n_unreadable(run),
        },
        "files": [
            {"name": name, "sha256": sha, "bytes": size}
            for name, (sha, size) in stage.files.items()
        ],
    }
    return (json.dumps(said, indent=1, ensure_ascii=False) + "\n").encode()
