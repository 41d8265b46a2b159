"""Helpers that write small dataset folders for the tests in this folder."""

import csv
import io
from pathlib import Path

import numpy as np
from PIL import Image

CELLS = {1: "1", 0: "0", -1: ""}


def photo(width_px: int = 8, height_px: int = 8, colour=(200, 30, 30), kind="PNG", **save) -> bytes:
    """Return a one-colour image as bytes."""
    out = io.BytesIO()
    Image.new("RGB", (width_px, height_px), colour).save(out, kind, **save)
    return out.getvalue()


def write_csv(path: Path, header: list[str], rows: list[list[str]], **kwargs) -> None:
    """Write a CSV as spreadsheets do."""
    with open(path, "w", newline="", encoding=kwargs.pop("encoding", "utf-8")) as file:
        csv.writer(file, **kwargs).writerows([header, *rows])


def write_dataset(
    root: Path,
    given: np.ndarray,
    verified: np.ndarray | None = None,
    *,
    attributes: list[str] | None = None,
    names: list[str] | None = None,
    split: list[str] | None = None,
    images: bool = False,
) -> Path:
    """Write labels.csv and clean.csv (the first rows of ``verified``), images if asked."""
    given = np.asarray(given)
    verified = given if verified is None else np.asarray(verified)
    n, n_attributes = given.shape
    attributes = attributes or [f"a{j}" for j in range(n_attributes)]
    names = names or [f"{i:03}.png" for i in range(n)]
    rows = [[name, *(CELLS[v] for v in row)] for name, row in zip(names, given, strict=True)]
    write_csv(root / "labels.csv", ["file_name", *attributes], rows)
    rows = [[names[i], *(CELLS[v] for v in row)] for i, row in enumerate(verified)]
    header = ["file_name", *attributes]
    if split is not None:
        rows = [[row[0], part, *row[1:]] for row, part in zip(rows, split, strict=True)]
        header.insert(1, "split")
    write_csv(root / "clean.csv", header, rows)
    if images:
        for i, name in enumerate(names):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(photo(colour=(i % 256, 10, 200)))
    return root


def random_labels(n: int, n_attributes: int, seed: int, unknown_fraction=0.1) -> np.ndarray:
    """Return (n, n_attributes) labels with blanks, every attribute positive at least once."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((n, n_attributes)) < 0.3).astype(np.int8)
    labels[rng.random(labels.shape) < unknown_fraction] = -1
    labels[np.arange(n_attributes) % n, np.arange(n_attributes)] = 1
    return labels
