"""The dataset folder that the tiny run might have been trained on, odd in every allowed way.

Names with backslashes, ``1.0`` for 1, a padded column name, a row twice, rows of images that
could not be read, a category between the labels, a byte-order mark, CRLF; and one verified
label that contradicts a flip.
"""

from __future__ import annotations

import csv
import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from selfml.run import Run, RunWriter

CELLS = {-1: "", 0: "0", 1: "1"}
BROKEN = ("photos/broken-0.jpg", "photos/broken-1.jpg")


@dataclass(frozen=True)
class Shop:
    """A run, its dataset and what was written there: rows of labels.csv and verified cells."""

    run: Run
    root: Path
    header: list[str]
    rows: list[list[str]]
    verified: dict[tuple[str, str], str]

    def name(self, row: list[str]) -> str:
        """The image of a row, as the run calls it."""
        return row[self.header.index("file_name")].replace("\\", "/")

    def unverified(self, flips: pd.DataFrame) -> pd.DataFrame:
        """The flips of labels that clean.csv does not verify: those to be exported."""
        ids, names = self.run.table("images")["image_id"], self.run.attributes
        keys = zip(ids[flips["image_index"]], flips["attribute_index"], strict=True)
        return flips[[(name, names[j]) not in self.verified for name, j in keys]]

    def labels(self, row: list[str]) -> dict[str, str]:
        """Attribute -> cell of a row."""
        cells = zip((h.strip() for h in self.header), row, strict=True)
        return {h: cell for h, cell in cells if h not in ("file_name", "category")}


def read_csv(path: Path, encoding: str = "utf-8") -> list[list[str]]:
    """All rows of a CSV, the header first."""
    with open(path, newline="", encoding=encoding) as file:
        return list(csv.reader(file))


def write_csv(path: Path, rows: list[list[str]], encoding: str = "utf-8") -> None:
    """Write rows as spreadsheets do, with CRLF."""
    with open(path, "w", newline="", encoding=encoding) as file:
        csv.writer(file).writerows(rows)


def open_shop(tiny_run: Path, folder: Path, labels_name: str = "labels.csv") -> Shop:
    """Copy the run to ``folder/run`` and write its dataset to ``folder/shop``."""
    path = shutil.copytree(tiny_run, folder / "run")
    root = folder / "shop"
    root.mkdir()
    dataset = {"path": str(root), "sha256": "0" * 64}
    RunWriter(path).update(dataset=dataset, n_clean_test=6, n_clean_train=12)
    run = Run(path)
    names = run.attributes
    header = ["category", names[0], f" {names[1]} ", "file_name", *names[2:]]
    rows = _label_rows(run)
    verified = _write_clean(run, root)
    write_csv(root / labels_name, [header, *rows], "utf-8-sig")
    return Shop(run, root, header, rows, verified)


def _label_rows(run: Run) -> list[list[str]]:
    images, given = run.table("images"), run.array("labels_given")
    rows = []
    for i, (name, category) in enumerate(
        zip(images["image_id"], images["category"].fillna(""), strict=True)
    ):
        cells = [CELLS[v] for v in given[i]]
        if i % 7 == 3:
            cells = [c and f"{c}.0" for c in cells]
        name = name.replace("/", "\\") if i % 10 == 4 else name
        rows.append([category, *cells[:2], name, *cells[2:]])
    for at, name in zip((3, 20), BROKEN, strict=True):
        rows.insert(at, ["tops", "1", "", name, *"0101"])
    return [*rows, rows[10]]


def _write_clean(run: Run, root: Path) -> dict[tuple[str, str], str]:
    """clean.csv without the fourth attribute; returns its known cells."""
    images, flips, names = run.table("images"), run.table("flips"), run.attributes
    true = run.array("labels_true").copy()
    clean = images["split"].str.startswith("clean")
    known = [j for j in range(len(names)) if j != 3]
    denied = flips[flips["image_index"].isin(images.index[clean])]
    denied = denied[denied["attribute_index"].isin(known)].iloc[0]
    true[denied["image_index"], denied["attribute_index"]] = denied["given"]
    rows = {
        images["image_id"][i]: (images["split"][i].removeprefix("clean_"), true[i, known])
        for i in images.index[clean]
    }
    rows[BROKEN[1]] = ("train", [1] * len(known))
    table = [["file_name", "split", *(names[j] for j in known)]]
    table += [[n, split, *(CELLS[v] for v in cells)] for n, (split, cells) in rows.items()]
    write_csv(root / "clean.csv", table)
    return {
        (name, names[j]): CELLS[v]
        for name, (_, cells) in rows.items()
        for j, v in zip(known, cells, strict=True)
    }
