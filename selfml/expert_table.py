"""Labels of basis images as a CSV: a row a basis image, a column an attribute, 1, 0 or blank.

Blank means not known, as in labels.csv. A row is all that a person says of a basis image, so every
attribute is a column. Rows are named by ``basis_index``, or by ``image_id``, the image that the
person looks at; where one image stands for several basis images, its labels are those of all.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd

from selfml.corrections import neutralise
from selfml.data.messages import quote, some
from selfml.derived import ExpertLabels
from selfml.oracle import asked_images
from selfml.run import Run

KEYS = ("basis_index", "image_id")
CODES = {"1": 1, "1.0": 1, "0": 0, "0.0": 0, "": -1}
CELLS = {1: "1", 0: "0", -1: ""}


def table_to_fill_in(run: Run, order: pd.DataFrame) -> pd.DataFrame:
    """The present labels of basis images as such a table, text in every cell.

    Parameters
    ----------
    order : DataFrame
        basis_index, image_id; a row each, as ``selfml.oracle.label_order`` has them.
    """
    index = order["basis_index"].to_numpy()
    labels = np.asarray(run.array("basis_labels"))[index]
    cells = pd.DataFrame(
        {name: [CELLS[int(v)] for v in labels[:, j]] for j, name in enumerate(run.attributes)}
    )
    first = {"basis_index": index.astype(str), "image_id": order["image_id"].to_numpy()}
    return pd.concat([pd.DataFrame(first), cells], axis=1)


def read_expert_labels(path: str | Path, run: Run) -> ExpertLabels:
    """Read such a table for a run.

    Raises
    ------
    ValueError
        In one line: file, row, rule, value, next step.
    """
    path = Path(path)
    header, rows = _rows(path)
    columns = _columns(path.name, header, run)
    wanted: dict[int, list[int]] = {}
    first_row: dict[int, int] = {}
    stands_for = _image_ids(run)
    is_used = (run.table("basis", ["usage"])["usage"] > 0).to_numpy()
    for number, cells in rows:
        here = f"{path.name}, row {number}"
        if len(cells) != len(header):
            raise ValueError(
                f"{here}: {len(cells)} cells under {len(header)} columns; correct the row"
            )
        named = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        labels = [_code(here, header[at], cells[at]) for at in columns]
        for k in _atoms(here, named, stands_for, is_used):
            if k in wanted:
                raise ValueError(
                    f"{here}: basis image {k} is in row {first_row[k]} already; keep one of them"
                )
            wanted[k], first_row[k] = labels, number
    if not wanted:
        raise ValueError(f"{path.name}: no row below the names of the columns; label one at least")
    return ExpertLabels(np.array(list(wanted)), np.array(list(wanted.values()), np.int8))


def _rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        read = list(enumerate(csv.reader(io.StringIO(text, newline=""), strict=True), 1))
    except OSError as error:
        raise ValueError(f"--labels: {path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path.name}: not UTF-8; save it again as CSV UTF-8") from None
    except csv.Error as error:
        raise ValueError(f"{path.name}: not valid CSV ({error}); check its quotes") from None
    found = [(n, cells) for n, cells in read if any(cell.strip() for cell in cells)]
    if not found:
        raise ValueError(f"{path.name}: the file is empty; its first row names the columns")
    return [name.strip() for name in found[0][1]], found[1:]


def _columns(file: str, header: list[str], run: Run) -> list[int]:
    """The place of every attribute among the columns."""
    if not set(KEYS) & set(header):
        raise ValueError(f"{file}: no column basis_index or image_id among {some(header)}; add one")
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise ValueError(f"{file}: column {quote(twice[0])} appears twice; remove one")
    place = {neutralise(name): at for at, name in enumerate(header)}
    names = [neutralise(name) for name in run.attributes]
    missing = [name for name in names if name not in place]
    extra = [name for name in header if neutralise(name) not in {*names, *KEYS}]
    if missing:
        raise ValueError(
            f"{file}: no column for {some(missing)}; a row says every attribute of a basis image "
            "(leave blank what is not known)"
        )
    if extra:
        raise ValueError(
            f"{file}: {some(extra)} is no attribute of this run; remove or rename the column"
        )
    return [place[name] for name in names]


def _code(here: str, attribute: str, cell: str) -> int:
    code = CODES.get(cell.strip())
    if code is None:
        raise ValueError(
            f"{here}, column {quote(attribute)}: a label is 0, 1 or blank (not known), not "
            f"{quote(cell)}"
        )
    return code


def _image_ids(run: Run) -> list[str]:
    """The image that stands for each basis image, as a table may name it."""
    ids = run.table("images", ["image_id"])["image_id"].to_numpy()
    return [neutralise(name) for name in ids[asked_images(run)]]


def _atoms(
    here: str, named: dict[str, str], stands_for: list[str], is_used: np.ndarray
) -> list[int]:
    """The basis images that a row is about."""
    index, image = named.get("basis_index", ""), neutralise(named.get("image_id", ""))
    if index:
        k = int(index) if index.isdecimal() else -1
        if not 0 <= k < len(is_used):
            raise ValueError(
                f"{here}: basis_index {quote(index)} does not exist; the run has 0 to "
                f"{len(is_used) - 1}"
            )
        if image and image != stands_for[k]:
            raise ValueError(
                f"{here}: {quote(image)} does not stand for basis image {k}, {stands_for[k]!r} "
                "does; correct one of them"
            )
        return [k]
    if not image:
        raise ValueError(f"{here}: neither basis_index nor image_id; name the basis image")
    found = [k for k in np.flatnonzero(is_used).tolist() if stands_for[k] == image]
    if not found:
        raise ValueError(
            f"{here}: {quote(image)} stands for no basis image in use; take the names from the "
            "Basis view, Label basis images"
        )
    return found
