"""Relabelling says the same of every kind of source, and loses nothing to a hostile one."""

from __future__ import annotations

import shutil
import zlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfml.run import Run
from tests.train.relabelling import as_parquet, go, rows_of, same_parts

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("form", ["bytes", "struct", "csv"])
def test_all_sources_say_the_same(trained, catalogue, relabelled, tmp_path, form):
    source = catalogue / "labels.csv"
    if form != "csv":
        source = as_parquet(catalogue, tmp_path / "shards", form)
    go(trained, source, tmp_path / "out")
    same_parts(relabelled, tmp_path / "out")


def test_a_dataset_with_images_in_parquet_has_the_labels_beside_it(
    trained, catalogue, relabelled, tmp_path
):
    names = pd.read_csv(catalogue / "labels.csv")["file_name"]
    data = [(catalogue / name).read_bytes() for name in names]
    (tmp_path / "shop").mkdir()
    pq.write_table(
        pa.table({"file_name": names, "image_bytes": data}), tmp_path / "shop" / "images.parquet"
    )
    shutil.copy(catalogue / "labels.csv", tmp_path / "shop")
    go(trained, tmp_path / "shop", tmp_path / "out")
    same_parts(relabelled, tmp_path / "out")


def test_what_cannot_be_read_is_a_row_with_an_error(trained, catalogue, relabelled, tmp_path):
    """Truncated, a bomb, missing, outside, listed twice, a label that is none: others as before."""
    root = shutil.copytree(catalogue, tmp_path / "shop")
    table = pd.read_csv(root / "labels.csv", dtype=str)
    names = table["file_name"].tolist()
    whole = (root / names[0]).read_bytes()
    (root / names[0]).write_bytes(whole[: len(whole) // 2])
    head = b"IHDR" + (60_000).to_bytes(4) * 2 + b"\x08\x02\0\0\0"
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\r" + head + zlib.crc32(head).to_bytes(4)
    bomb += b"\0\0\0\1IDATx" + zlib.crc32(b"IDATx").to_bytes(4)
    (root / names[41]).write_bytes(bomb)
    (root / names[42]).unlink()
    (tmp_path / "secret.jpg").write_bytes(whole)
    table.loc[43, "file_name"] = "../secret.jpg"
    table.loc[44, "file_name"] = names[45]
    table.iloc[46, -1] = "maybe"
    table.to_csv(root / "labels.csv", index=False)
    (root / names[149]).write_bytes(b"")
    done = go(trained, root, tmp_path / "out")
    errors = rows_of(tmp_path / "out")["error"]
    assert done.n_unreadable == errors.notna().sum() == 7
    assert (done.n_images, len(errors)) == (143, 150)
    for row, word in (
        (0, "truncated"), (41, "limit"), (42, "missing"), (43, "'..'"), (45, "listed before"),
        (46, "not 'maybe'"), (149, "empty"),
    ):  # fmt: skip
        assert word in errors[row], (row, errors[row])
    run, before = Run(tmp_path / "out"), Run(relabelled)
    assert run.is_complete
    assert run.info["unreadable"][0][0] == names[0]
    ids, old = run.table("images")["image_id"], before.table("images")["image_id"]
    place = dict(zip(old, range(len(old)), strict=True))
    moved = names[45]  # by its second line it is filed elsewhere
    found = [(i, place[name]) for i, name in enumerate(ids) if i >= 30 and name != moved]
    here, there = map(list, zip(*found, strict=True))
    np.testing.assert_allclose(
        run.array("label_scores")[here], before.array("label_scores")[there], atol=1e-5
    )


def test_a_damaged_parquet_file_costs_its_own_rows(trained, catalogue, tmp_path):
    folder = as_parquet(catalogue, tmp_path / "shards", "bytes")
    file = pq.ParquetFile(folder / "a.parquet")
    column = file.metadata.row_group(3).column(file.schema_arrow.names.index("image_bytes"))
    with open(folder / "a.parquet", "r+b") as opened:
        opened.seek(column.data_page_offset)
        opened.write(b"\xff" * 200)
    done = go(trained, folder, tmp_path / "out")
    errors = rows_of(tmp_path / "out")["error"]
    assert done.n_unreadable == 10
    assert errors.notna().to_numpy().nonzero()[0].tolist() == list(range(30, 40))


@pytest.mark.parametrize("n", [0, 1, 3])
def test_photos_that_the_table_does_not_list_are_counted(trained, catalogue, tmp_path, selfml, n):
    root, out = tmp_path / "shop", tmp_path / "out"
    shutil.copytree(catalogue, root)
    table = pd.read_csv(root / "labels.csv", dtype=str).iloc[:20]
    for name in pd.read_csv(root / "labels.csv")["file_name"].iloc[20 + n :]:
        (root / name).unlink()
    table.iloc[3, -1] = "maybe"  # a row that cannot be used lists its image all the same
    table.to_csv(root / "labels.csv", index=False)
    lines = (root / "labels.csv").read_text().splitlines()
    lines[1] = f"./{lines[1]},1"  # and so does one with a cell too many
    (root / "labels.csv").write_text("\n".join(lines))
    said = selfml("relabel", trained, root, "--out", out).out
    noun = {0: "", 1: "1 image file is left out: ", 3: "3 image files are left out: "}[n]
    assert noun in said
    assert said.count("left out") == bool(n)
    assert f"{out}: 18 images relabelled" in said


def test_a_shard_without_a_readable_image(trained, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.jpg").write_bytes(b"no photo")
    done = go(trained, folder, tmp_path / "out")
    assert (done.n_images, done.n_unreadable) == (0, 3)
    assert rows_of(tmp_path / "out")["label_score"].isna().all()
    assert Run(tmp_path / "out").is_complete
