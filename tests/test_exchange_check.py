"""What a shop's system gives back, beside what was exported."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfml.corrections import restore
from selfml.data.dataset import DatasetError, read_dataset
from selfml.exchange.check import compare
from selfml.export import export
from tests.command import one_line
from tests.exchange_cases import HOSTILE, hostile_shop
from tests.tiny_dataset import Shop, read_csv, write_csv


@pytest.fixture(scope="module")
def shop(tiny_run, tmp_path_factory) -> Shop:
    """Nobody writes into it."""
    return hostile_shop(tiny_run, tmp_path_factory.mktemp("hostile"))


@pytest.fixture(scope="module")
def exported(shop, tmp_path_factory) -> dict[str, Path]:
    """The same export as CSV and Parquet."""
    folder = tmp_path_factory.mktemp("exported")
    return {
        kind: export(shop.run, folder / kind / f"corrected.{kind}").labels_file
        for kind in ("csv", "parquet")
    }


def test_no_cell_is_a_formula_and_names_come_back(shop, exported, tmp_path):
    for file in (exported["csv"], exported["csv"].with_name("corrected.flips.csv")):
        texts = {cell for row in read_csv(file) for cell in row if not _is_number(cell)}
        assert not [t for t in texts if t.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))]
    header = read_csv(exported["csv"])[0]
    assert [restore(n) for n in header] == shop.header
    assert sum(name.startswith("'") for name in header) == 3
    shutil.copy(exported["csv"], tmp_path / "labels.csv")
    shutil.copy(shop.root / "clean.csv", tmp_path / "clean.csv")
    assert read_dataset(tmp_path).attributes == HOSTILE
    assert set(HOSTILE) < set(pq.read_schema(exported["parquet"]).names)


@pytest.fixture
def guarded(tmp_path) -> Path:
    """A dataset as a spreadsheet gives it back: every name with its guard."""
    (tmp_path / "-x.jpg").write_bytes(b"photo")
    rows = [["file_name", "category", "'=1+1"], ["'-x.jpg", "'@home", "1"]]
    write_csv(tmp_path / "labels.csv", rows)
    write_csv(tmp_path / "clean.csv", [["file_name", "=1+1"], ["-x.jpg", "1"]])
    return tmp_path


def test_guards_are_no_part_of_names_of_photos_and_categories(guarded):
    dataset = read_dataset(guarded)
    assert dataset.warnings == ()
    assert dataset.file_names.tolist() == ["-x.jpg"]
    assert dataset.categories.tolist() == ["@home"]
    assert dataset.attributes == ("=1+1",)
    assert dataset.labels_verified.tolist() == [[1]]
    assert dataset.open_image_bytes(0) == b"photo"


def test_a_name_with_and_without_its_guard_is_the_same_twice(guarded):
    rows = read_csv(guarded / "labels.csv")
    write_csv(guarded / "labels.csv", [[*rows[0], "=1+1"], [*rows[1], "0"]])
    with pytest.raises(DatasetError, match="'=1\\+1' appears twice"):
        read_dataset(guarded)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_parquet_has_the_cells_of_the_csv(shop, exported):
    table = pq.read_table(exported["parquet"])
    assert {table.schema.field(name).type for name in HOSTILE} == {pa.int8()}
    header, *rows = read_csv(exported["csv"])
    for k, name in enumerate(restore(n).strip() for n in header):
        cells = [row[k] for row in rows]
        if name in HOSTILE:
            cells = [int(float(cell)) if cell else None for cell in cells]
        assert table[name].to_pylist() == [None if cell == "" else cell for cell in cells]
    assert compare(exported["parquet"], exported["csv"]).same
    assert compare(exported["csv"], exported["parquet"]).same


def shuffled(rows: list[list[str]]) -> list[list[str]]:
    """Rows and columns in another order, names without their guard, labels as ``1.0``."""
    header, *body = rows
    order = np.random.default_rng(0).permutation(len(header))
    body = [[cell + ".0" if cell in ("0", "1") else cell for cell in row] for row in body]
    body = [[body[i][k] for k in order] for i in np.random.default_rng(1).permutation(len(body))]
    return [[restore(header[k]) for k in order], *body]


def test_another_order_and_spelling_is_no_difference(exported, tmp_path):
    rows = shuffled(read_csv(exported["csv"]))
    write_csv(tmp_path / "back.csv", rows, "utf-8-sig")
    found = compare(tmp_path / "back.csv", exported["csv"])
    assert found.same
    assert found.n_cells == 62 * 7


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_one_planted_difference_is_found(exported, tmp_path, kind):
    header, *rows = shuffled(read_csv(exported["csv"]))
    column = header.index(HOSTILE[0])
    name = header.index("file_name")
    # of an image that is there once; a repeated one would contradict itself
    row = next(r for r in rows if sum(r[name] == other[name] for other in rows) == 1
               and r[column] == "1.0")  # fmt: skip
    row[column] = "0"
    back = tmp_path / f"back.{kind}"
    if kind == "csv":
        write_csv(back, [header, *rows])
    else:
        pd.DataFrame(rows, columns=header).to_parquet(back)
    found = compare(back, exported["csv"])
    assert not found.same
    assert found.cells.to_dict("records") == [
        {
            "file_name": row[name].replace("\\", "/"),
            "column": HOSTILE[0],
            "exported": "1",
            "found": "0",
        }
    ]


def test_blanks_categories_rows_and_columns_count_too(exported, tmp_path):
    header, *rows = read_csv(exported["csv"])
    category, name = header.index("category"), header.index("file_name")
    gone = rows.pop(0)
    label = next(k for k, cell in enumerate(rows[0]) if cell == "1")
    rows[0][label], rows[1][category] = "", "shoes"
    keep = [k for k in range(len(header)) if header[k] != HOSTILE[4]]
    rows.append(["new.jpg" if k == name else "1" for k in range(len(header))])
    back = [[header[k] for k in keep] + ["price"]] + [[r[k] for k in keep] + ["9.50"] for r in rows]
    write_csv(tmp_path / "back.csv", back)
    found = compare(tmp_path / "back.csv", exported["csv"])
    assert found.cells["found"].tolist() == ["", "shoes"]
    assert found.cells["column"].tolist() == [restore(header[label].strip()), "category"]
    assert found.missing_images == (gone[name].replace("\\", "/"),)
    assert found.missing_columns == (HOSTILE[4],)
    assert found.other_images == ("new.jpg",)
    assert found.other_columns == ("price",)
    assert not found.same


def test_the_command(exported, tmp_path, selfml):
    rows = read_csv(exported["csv"])
    back = tmp_path / "back.csv"
    write_csv(back, rows)
    done = selfml("check-import", back, "--against", exported["csv"])
    assert (done.code, done.out) == (0, "434 cells compared, 0 differ\n")
    at = next(k for k, cell in enumerate(rows[1]) if cell == "1")
    rows[1][at] = "0"
    write_csv(back, rows)
    done = selfml("check-import", back, "--against", exported["csv"])
    assert done.code == 1
    assert "exported '1', found '0'\n434 cells compared, 1 differ\n" in done.out
    one_line(selfml("check-import", tmp_path / "no.csv", "--against", exported["csv"]), "no such")


def test_an_export_that_was_changed_is_no_measure(shop, tmp_path):
    done = export(shop.run, tmp_path / "corrected.csv")
    back = shutil.copy(done.labels_file, tmp_path / "back.csv")
    done.labels_file.write_bytes(done.labels_file.read_bytes() + b"\n")
    with pytest.raises(ValueError, match=r"--against: .*was changed since it was exported"):
        compare(Path(back), done.labels_file)
