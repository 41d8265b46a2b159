"""From parts to a run that the dashboard opens.

Rows are the basis images of the trained run first, so that receipts can show them, then every
readable image of the source in its order. A basis image is no image of this catalogue: it has no
given label and so no flip. All others are ``noisy_test``: training saw none of them. Everything is
written part by part; the memory needed does not grow with the number of images, but for what the
measures at the end count.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from selfml import evaluate, flips, trust
from selfml.progress import Advance
from selfml.relabel import parts
from selfml.relabel.growing import growing_array, growing_file, growing_table
from selfml.relabel.plan import Plan
from selfml.relabel.unlike import Unlike
from selfml.run import Run, RunWriter
from selfml.run_format import ARRAYS, SCHEMAS, SPLITS

TAKEN_OVER = ("config.toml", "evidence.json", "basis.npy", "basis_labels.npy")
# array of the run -> column of a part, None: nothing is known
SOURCES = {
    "features": "features",
    "label_scores": "label_score",
    "labels_given": "given",
    "labels_corrected": "corrected",
    "labels_strict": "strict",
    "labels_true": None,
    "terms_classifier": "term_classifier",
    "terms_residual": "term_residual",
}
UNGIVEN = ("labels_given", "labels_corrected", "labels_strict")  # -1 of a basis image
UNSEEN = "noisy_test"
LISTED_UNREADABLE = 1000  # in run.json; the parts have them all


def finish(
    run: Run, out: Path, plan: Plan, *, check: Callable[[], None], advance: Advance
) -> tuple[int, int, int, str]:
    """Write the run's files; returns its images, how many are unreadable, its flips, a warning.

    May be repeated: it writes the same.
    """
    writer = RunWriter(out)
    (out / "model").rmdir()
    for name in TAKEN_OVER:
        _take_over(run.path / name, out / name)
    unreadable, n_readable, n_bad, names = _survey(run, out, plan)
    made = _Assembly(run, out, n_readable, names)
    with made:
        made.add_basis_images()
        for shard in range(plan.n_shards):
            check()
            made.add(parts.read_part(out, shard))
            advance(shard + 1)
    writer.write_table("basis", made.basis_table())
    writer.write_table("attributes", made.attributes_table())
    writer.write_table("calibration", pd.DataFrame({"image_index": np.zeros(0, np.int32)}))
    if made.trust is not None:
        writer.write_table("trust", made.trust)
    splits = {f"n_{name}": int(made.splits.get(name, 0)) for name in SPLITS}
    writer.update(
        n_images=made.n,
        n_attributes=len(run.attributes),
        n_atoms=int(run.info["n_atoms"]),
        n_features=int(run.info["n_features"]),
        unreadable=unreadable,
        relabel={"n_images": n_readable, "n_unreadable": n_bad, "n_flips": made.n_flips},
        **splits,
    )
    _measure(writer, n_readable)
    writer.update(status="complete", stage="complete", message="")
    return n_readable, n_bad, made.n_flips, str(made.unlike)


def _take_over(source: Path, target: Path) -> None:
    """Link a file that stays as it is; copy it where the file system has no links."""
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:
        shutil.copy2(source, temporary)
    os.replace(temporary, target)
    temporary.unlink(missing_ok=True)  # POSIX leaves it where both names are links to one file


def _survey(run: Run, out: Path, plan: Plan) -> tuple[list[list[str]], int, int, dict[int, str]]:
    """Unreadable images, counts, and a name for each basis image that no other image has."""
    basis = run.table("basis", ["image_index", "image_id"])
    names = dict(zip(basis["image_index"], basis["image_id"], strict=True))
    taken: set[str] = set()
    unreadable, n_readable, n_bad = [], 0, 0
    for shard in range(plan.n_shards):
        table = parts.read_part(out, shard, ["image_id", "error"])
        errors = table["error"].to_pylist()
        ids = table["image_id"].to_pylist()
        taken.update(set(names.values()).intersection(ids))
        bad = [[i, e] for i, e in zip(ids, errors, strict=True) if e is not None]
        unreadable += bad[: LISTED_UNREADABLE - len(unreadable)]
        n_bad += len(bad)
        n_readable += len(ids) - len(bad)
    named = {k: f"{name} (basis image)" if name in taken else name for k, name in names.items()}
    return unreadable, n_readable, n_bad, named


def _measure(writer: RunWriter, n_readable: int) -> None:
    """What can be measured without the truth: what the basis explains, and counts of flips."""
    if not n_readable:
        return
    empty = [pd.DataFrame(columns=SCHEMAS[name].names) for name in ("metrics", "attribute_metrics")]
    run = Run(writer.path)
    metrics, by_attribute, reliability, realised = evaluate.remeasure(run, *empty)
    if run.has("trust"):
        writer.write_table("reliability", reliability)
        writer.write_table("realised", realised)
    writer.write_table("attribute_metrics", by_attribute)
    writer.write_table("metrics", metrics)


class _Assembly:
    """Files of the run that grow part by part, and take their names together at the end."""

    def __init__(self, run: Run, out: Path, n_readable: int, names: dict[int, str]):
        self.run, self.out = run, out
        self.rows = np.array(sorted(names), np.int64)  # basis images, in the trained run
        self.names = [names[row] for row in self.rows]
        self.n = len(self.rows) + n_readable
        self.model, self.mode = flips.read_evidence_model(run), flips.deciding_mode(run)
        self.trust = _no_guarantee(run.table("trust")) if run.has("trust") else None
        n_atoms = int(run.info["n_atoms"])
        self.usage, self.mass = np.zeros(n_atoms, np.int64), np.zeros(n_atoms)
        self.known = np.zeros((2, len(run.attributes)), np.int64)  # given labels, and ones
        self.splits: dict[str, int] = {}
        self.unlike = Unlike.of(run)
        self.at, self.n_flips = 0, 0

    def __enter__(self) -> _Assembly:
        with ExitStack() as stack:
            self.arrays = {
                name: stack.enter_context(
                    growing_array(
                        self.out / f"{name}.npy",
                        (self.n, self.run.array(name).shape[1]),
                        np.dtype(ARRAYS[name][0]),
                    )
                )
                for name in SOURCES
                if self.run.has(name)
            }
            self.tables = {
                name: stack.enter_context(growing_table(self.out, name, SCHEMAS[name]))
                for name in ("images", "coefficients", "flips")
            }
            self.thumbnails = stack.enter_context(growing_file(self.out / "thumbnails.bin"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error) -> None:
        self._stack.__exit__(*error)

    def _write(self, name: str, frame: pd.DataFrame) -> None:
        schema = SCHEMAS[name]
        if len(frame):
            table = pa.Table.from_pandas(frame[schema.names], schema=schema, preserve_index=False)
            self.tables[name].write(table)

    def add_basis_images(self) -> None:
        """Rows 0, 1, ...: as in the trained run, but for labels that this shop never gave."""
        run, rows = self.run, self.rows
        images = run.table("images").iloc[rows]
        thumbnails = [
            run.thumbnail(int(offset), int(size)) if pd.notna(offset) else None
            for offset, size in zip(
                images["thumbnail_offset"], images["thumbnail_bytes"], strict=True
            )
        ]
        self._images(
            self.names, images["category"], images["split"], images["hull_distance"],
            images["n_active"], thumbnails,
        )  # fmt: skip
        for name, array in self.arrays.items():
            values = np.asarray(run.array(name)[rows])
            array.write(np.full_like(values, -1) if name in UNGIVEN else values)
        c = run.coefficients()[rows].tocoo()
        self._coefficients(c.row, c.col, c.data.astype(np.float32))
        self.at = len(rows)

    def add(self, part: pa.Table) -> None:
        """The readable images of a part."""
        part = part.filter(pc.is_null(part["error"])).combine_chunks()
        n = part.num_rows
        if not n:
            return
        dense = {name: _dense(part[name]) for name in SOURCES.values() if name}
        index = part["basis_index"].combine_chunks()
        counts = np.asarray(index.value_lengths(), np.int64)
        distance = part["hull_distance"].to_numpy()
        self.unlike.add(distance)
        self._images(
            part["image_id"].to_pylist(), part["category"].to_pylist(), UNSEEN,
            distance, counts, part["thumbnail"].to_pylist(),
        )  # fmt: skip
        shape = (n, len(self.run.attributes))
        for name, array in self.arrays.items():
            column = SOURCES[name]
            array.write(np.full(shape, -1, np.int8) if column is None else dense[column])
        coefficient = part["coefficient"].combine_chunks().flatten()
        self._coefficients(np.repeat(np.arange(n), counts), index.flatten(), coefficient)
        self._flips(dense, part["category"].to_pylist())
        given = dense["given"]
        self.known += np.stack([(given >= 0).sum(axis=0), (given == 1).sum(axis=0)])
        self.at += n

    def _images(self, names, category, split, distance, n_active, thumbnails) -> None:
        start = self.thumbnails.tell()
        sizes = np.array([len(t or b"") for t in thumbnails], np.int64)
        self.thumbnails.write(b"".join(t or b"" for t in thumbnails))
        offsets = pd.array(start + np.cumsum(sizes) - sizes, dtype="Int64")
        frame = pd.DataFrame(
            {
                "image_index": np.arange(self.at, self.at + len(names), dtype=np.int32),
                "image_id": np.asarray(names, object),
                "split": np.broadcast_to(np.asarray(split, object), len(names)),
                "category": pd.Series(np.asarray(category, object)),
                "thumbnail_offset": offsets,
                "thumbnail_bytes": pd.array(sizes, dtype="Int32"),
                "hull_distance": np.asarray(distance, np.float32),
                "n_active": np.asarray(n_active, np.int16),
                **dict.fromkeys(("map_tsne_x", "map_tsne_y", "map_umap_x", "map_umap_y")),
            }
        )
        frame.loc[sizes == 0, ["thumbnail_offset", "thumbnail_bytes"]] = pd.NA
        for name, count in frame["split"].value_counts().items():
            self.splits[name] = self.splits.get(name, 0) + int(count)
        self._write("images", frame)

    def _coefficients(self, row, column, value) -> None:
        column, value = np.asarray(column), np.asarray(value)
        self.usage += np.bincount(column, minlength=len(self.usage))
        self.mass += np.bincount(column, value, minlength=len(self.mass))
        frame = {"image_index": self.at + np.asarray(row), "basis_index": column}
        self._write("coefficients", pd.DataFrame({**frame, "coefficient": value}))

    def _flips(self, dense: dict[str, np.ndarray], category: list[str | None]) -> None:
        given, scores = dense["given"], dense["label_score"]
        terms = flips.evidence(
            self.model, scores, given, self.model.category_index(category, len(given)),
            dense["term_classifier"], dense["term_residual"],
        )  # fmt: skip
        unknown = np.full(given.shape, -1, np.int8)
        frame = flips.flips_frame(given, terms, scores, unknown, mode=self.mode)
        if self.trust is not None:
            strength = trust.deciding_strength(frame, self.mode)
            nobody = np.zeros(len(given), bool)
            frame = trust.with_trust(frame, self.trust, strength=strength, eligible=nobody)
        frame["image_index"] += self.at
        self.n_flips += len(frame)
        self._write("flips", frame)

    def basis_table(self) -> pd.DataFrame:
        """The basis, shown by its images in this run, used as they are used here."""
        table = self.run.table("basis")
        place = np.searchsorted(self.rows, table["image_index"])
        return table.assign(
            image_index=place,
            image_id=np.asarray(self.names, object)[place],
            usage=self.usage,
            mass=self.mass,
        )

    def attributes_table(self) -> pd.DataFrame:
        """The attributes, with how often the given labels of this source have them."""
        known, positive = self.known
        shares = np.full(len(known), np.nan)
        np.divide(positive, known, out=shares, where=known > 0)
        return self.run.table("attributes").assign(prevalence_given=shares)


def _dense(column: pa.ChunkedArray) -> np.ndarray:
    """Fixed lists without nulls as (n, width)."""
    array = column.combine_chunks()
    return np.asarray(array.flatten()).reshape(len(array), -1)


def _no_guarantee(table: pd.DataFrame) -> pd.DataFrame:
    """The lines of calibration without the thresholds, which are about the images trained on."""
    dropped = ["correlation", "threshold", "threshold_confidence", "lower_bound"]
    table = table.assign(status="unseen", n_tested=0, n_tested_correct=0)
    table[dropped] = np.nan
    return table
