"""A Hugging Face image folder: the photos, and ``metadata.parquet`` with the labels beside them.

``datasets.load_dataset(FOLDER)`` reads it. Photos get names of their own, such as
``images/00/0000007.jpg``, for the library guesses splits from words like "test" in names, leaves
hidden files out and drops the file's name once it has the image; ``image_id`` is what the shop
calls it. ``README.md`` names the files of the one split, as the library's documentation says.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from selfml.data.dataset import UnreadableImage
from selfml.exchange.content import Corrections
from selfml.exchange.staging import Staging
from selfml.exchange.tables import table_bytes

OURS = ("image", "file_name", "image_id", "category", "given", "changed")
PER_FOLDER = 10_000  # what a folder of the Hub may hold
CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path:
    - metadata.parquet
    - images/**
---
# Corrected attribute labels

`datasets.load_dataset` on this folder gives one row a photo: `image`, `image_id` (the file name in
the catalogue), `category` where there is one, and a column for each attribute: 1, 0 or null where
nobody knows. `given` has the labels as they were, `changed` the names of those that were corrected.
"""


def column_names(attributes: tuple[str, ...]) -> list[str]:
    """The column of each attribute: its name, but where that is a column already.

    ``image`` becomes ``attribute: image``, with a number where that is taken, too.
    """
    taken = {*OURS, *attributes}
    names = []
    for name in attributes:
        column, n = name, 1
        while column in taken and (column != name or name in OURS):
            column = f"attribute: {name}" if n == 1 else f"attribute {n}: {name}"
            n += 1
        taken.add(column)
        names.append(column)
    return names


def write_image_folder(content: Corrections, stage: Staging, folder: str, *, link: bool) -> int:
    """Write the photos that can be read and their labels.

    Parameters
    ----------
    folder : str
        Its name.
    link : bool
        Hard links to the dataset's own files where the file system allows it; copies otherwise.

    Returns
    -------
    int
        How many photos were written.
    """
    files = _write_photos(content, stage, folder, link=link)
    stage.write(f"{folder}/metadata.parquet", table_bytes(_metadata(content, files)))
    stage.write(f"{folder}/README.md", CARD.encode())
    return len(files)


def _write_photos(
    content: Corrections, stage: Staging, folder: str, *, link: bool
) -> dict[int, str]:
    """Row -> name in the folder, in the order of rows."""
    dataset, found = content.dataset, {}
    for i, read in dataset.iter_image_bytes():
        if not content.in_run[i]:
            continue
        try:
            data = read()
        except UnreadableImage:
            continue
        suffix = _suffix(data)
        if not suffix:
            continue
        name = f"images/{i // PER_FOLDER:02d}/{i:07d}{suffix}"
        source = None
        if link and dataset.parquet is None:
            source = Path(dataset.root / dataset.file_names[i]).resolve()
        stage.write(f"{folder}/{name}", data, same_as=source)
        found[i] = name
    return dict(sorted(found.items()))


def _suffix(data: bytes) -> str:
    """By the first bytes, for the name may have none or another; "" where it is no photo."""
    if data.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    return ".webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else ""


def _metadata(content: Corrections, files: dict[int, str]) -> pa.Table:
    rows = np.fromiter(files, np.int64, len(files))
    given, corrected = content.given[rows], content.corrected[rows]
    texts = {"file_name": list(files.values()), "image_id": content.file_names[rows].tolist()}
    if content.categories is not None:
        texts["category"] = [name or None for name in content.categories[rows]]
    columns = {name: pa.array(values, pa.string()) for name, values in texts.items()}
    names = column_names(content.attributes)
    for j, name in enumerate(names):
        columns[name] = _labels(corrected[:, j])
    before = [_labels(given[:, j]) for j in range(len(names))]
    columns["given"] = pa.StructArray.from_arrays(before, names=list(content.attributes))
    every = np.array(content.attributes, object)
    changed = [every[row].tolist() for row in corrected != given]
    columns["changed"] = pa.array(changed, pa.list_(pa.string()))
    return pa.table(columns)


def _labels(values: np.ndarray) -> pa.Array:
    return pa.array(values, pa.int8(), mask=values < 0)
