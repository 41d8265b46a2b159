"""Exported labels: the input with only flipped and verified cells changed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selfml.corrections import neutralise
from selfml.data.dataset import DatasetError, read_dataset
from selfml.export import Exported, export
from selfml.run import Run, RunError, RunWriter
from tests.tiny_dataset import BROKEN, CELLS, Shop, open_shop, read_csv, write_csv
from tests.tiny_run import build_tiny_run


@pytest.fixture(scope="module")
def shop(tiny_run, tmp_path_factory) -> Shop:
    """Nobody writes into it."""
    return open_shop(tiny_run, tmp_path_factory.mktemp("export"))


@pytest.fixture(scope="module")
def exported(shop, tmp_path_factory) -> Exported:
    return export(shop.run, tmp_path_factory.mktemp("out") / "new" / "corrected.csv")


def new_cells(shop: Shop, flips: pd.DataFrame) -> dict[tuple[str, str], str]:
    """(image, attribute) -> the cell that flips and verified labels call for."""
    ids, names = shop.run.table("images")["image_id"], shop.run.attributes
    rows = zip(flips["image_index"], flips["attribute_index"], flips["corrected"], strict=True)
    return {(ids[i], names[j]): str(v) for i, j, v in rows} | shop.verified


def by_hand(shop: Shop, flips: pd.DataFrame) -> tuple[list[list[str]], int]:
    """The rows that are to be written, and how many cells of the listed images change."""
    new = new_cells(shop, flips)
    rows, changed = [], set()
    for old in shop.rows:
        row = list(old)
        for attribute, cell in shop.labels(old).items():
            key = (shop.name(old), attribute)
            if key in new and cell.removesuffix(".0") != new[key]:
                row[[h.strip() for h in shop.header].index(attribute)] = new[key]
                changed.add(key)
        rows.append(row)
    return rows, len(changed)


# ---------------------------------------------------------------------------------- the labels file
def test_only_flipped_and_verified_cells_change(shop, exported):
    expected, n_changed = by_hand(shop, shop.run.table("flips"))
    found = read_csv(exported.labels_file)
    assert found[0] == [neutralise(name) for name in shop.header]
    assert found[1:] == expected
    assert exported.n_rows == len(shop.rows)
    assert exported.n_changed_cells == n_changed
    assert exported.from_input
    # what the comparison is worth: each kind of row and cell is there, and most are left alone
    before, after = np.array(shop.rows), np.array(found[1:])
    assert 100 < (before != after).sum() < (before == after).sum()
    assert np.char.count(before, "\\").sum() == 6
    assert (before == "1.0").sum() > 5
    assert not exported.labels_file.read_bytes().startswith(b"\xef\xbb\xbf")


def test_blank_cells_stay_blank_unless_verified(shop, exported):
    header, *rows = read_csv(exported.labels_file)
    blank = [
        (row[k], (shop.name(old), attribute) in shop.verified)
        for old, row in zip(shop.rows, rows, strict=True)
        for attribute, cell in shop.labels(old).items()
        for k in [[h.strip() for h in shop.header].index(attribute)]
        if cell == ""
    ]
    assert {was_verified for _, was_verified in blank} == {True, False}
    for cell, was_verified in blank:
        assert (cell != "") == was_verified
    assert len(header) == len(shop.header)


def test_read_back_as_a_dataset_it_has_the_corrected_labels(shop, exported, tmp_path):
    shutil.copy(exported.labels_file, tmp_path / "labels.csv")
    shutil.copy(shop.root / "clean.csv", tmp_path / "clean.csv")
    dataset = read_dataset(tmp_path)
    assert dataset.attributes == tuple(shop.run.attributes)
    assert "=1+1" in dataset.attributes
    row_of = {name: i for i, name in enumerate(dataset.file_names)}
    rows = [row_of[name] for name in shop.run.table("images")["image_id"]]
    verified = dataset.labels_verified
    assert (verified >= 0).sum() == len(shop.verified)
    corrected = np.where(verified[rows] >= 0, verified[rows], shop.run.array("labels_corrected"))
    np.testing.assert_array_equal(dataset.labels_given[rows], corrected)
    assert sorted(row_of.keys() - set(shop.run.table("images")["image_id"])) == list(BROKEN)
    assert dataset.labels_given[row_of[BROKEN[0]]].tolist() == [1, -1, 0, 1, 0, 1]
    assert dataset.labels_given[row_of[BROKEN[1]]].tolist() == [1, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "limits",
    [{"min_confidence": 0.9}, {"agreed_only": True}, {"auto_only": True}, {"min_confidence": 1.0}],
)
def test_limits_leave_flips_out(shop, tmp_path, limits):
    flips = shop.run.table("flips")
    kept = flips[flips["confidence"] >= limits.get("min_confidence", 0)]
    kept = kept[kept["strict_agrees"]] if "agreed_only" in limits else kept
    kept = kept[kept["auto_accept"]] if "auto_only" in limits else kept
    assert len(kept) < len(flips)
    done = export(shop.run, tmp_path / "corrected.csv", **limits)
    expected, n_changed = by_hand(shop, kept)
    assert read_csv(done.labels_file)[1:] == expected
    listed = len(shop.unverified(kept))
    assert (done.n_flips, done.n_changed_cells) == (listed, n_changed)
    assert len(read_csv(done.flips_file)) == listed + 1


@pytest.mark.parametrize("name", ["labels.csv", "clean.csv"])
def test_the_datasets_own_files_are_never_overwritten(shop, name):
    before = (shop.root / name).read_bytes()
    with pytest.raises(ValueError, match=r"--out: .*own file; name another") as caught:
        export(shop.run, shop.root / "x" / ".." / name)
    assert "\n" not in str(caught.value)
    assert (shop.root / name).read_bytes() == before


def test_cells_edited_since_training_are_left_to_their_editor(tiny_run, tmp_path):
    shop = open_shop(tiny_run, tmp_path)
    flips = shop.unverified(shop.run.table("flips"))
    before = export(shop.run, tmp_path / "before.csv")
    ids, names = shop.run.table("images")["image_id"], shop.run.attributes
    image, attribute = ids[flips["image_index"].iloc[0]], names[flips["attribute_index"].iloc[0]]
    rows = read_csv(shop.root / "labels.csv", "utf-8-sig")
    column = [name.strip() for name in rows[0]].index(attribute)
    for row in rows[1:]:
        if shop.name(row) == image:
            row[column] = ""
    write_csv(shop.root / "labels.csv", [*rows, [" "] * len(rows[0])])
    after = export(shop.run, tmp_path / "after.csv")
    assert after.n_flips == before.n_flips - 1
    exported = read_csv(after.labels_file)
    assert {row[column] for row in exported if shop.name(row) == image} == {""}


def test_twice_is_the_same_bytes(shop, exported, tmp_path):
    for _ in range(2):
        again = export(shop.run, tmp_path / "corrected.csv")
        assert again.labels_file.read_bytes() == exported.labels_file.read_bytes()
        assert again.flips_file.read_bytes() == exported.flips_file.read_bytes()
    written = ["corrected.csv", "corrected.flips.csv", "corrected.manifest.json"]
    assert sorted(p.name for p in tmp_path.iterdir()) == written


def test_metadata_csv_is_as_good_as_labels_csv(tiny_run, exported, tmp_path):
    other = open_shop(tiny_run, tmp_path, "metadata.csv")
    done = export(other.run, tmp_path / "corrected.csv")
    assert done.labels_file.read_bytes() == exported.labels_file.read_bytes()


# ----------------------------------------------------------------------- where the dataset has gone
def test_a_moved_dataset_is_named(tiny_run, exported, tmp_path):
    moved = open_shop(tiny_run, tmp_path)
    root = moved.root.rename(tmp_path / "elsewhere")
    done = export(moved.run, tmp_path / "corrected.csv", data=root)
    assert done.labels_file.read_bytes() == exported.labels_file.read_bytes()
    assert done.from_input


@pytest.mark.parametrize("category", [True, False])
def test_without_the_dataset_rows_are_those_of_the_run(tiny_run, tmp_path, category):
    gone = open_shop(tiny_run, tmp_path)
    shutil.rmtree(gone.root)
    run, images = gone.run, gone.run.table("images")
    if not category:
        RunWriter(run.path).write_table("images", images.assign(category=None))
    done = export(run, tmp_path / "corrected.csv")
    assert not done.from_input
    header, *rows = read_csv(done.labels_file)
    attributes = [neutralise(name) for name in run.attributes]
    assert header == ["file_name", *["category"] * category, *attributes]
    assert [row[0] for row in rows] == images["image_id"].tolist()
    if category:
        assert [row[1] for row in rows] == images["category"].fillna("").tolist()
    verified = images["split"].str.startswith("clean").to_numpy().copy()
    aside = run.table("calibration")["image_index"]
    assert not verified[aside].any()
    verified[aside] = True  # a person verified these too
    true = np.where(verified[:, None], run.array("labels_true"), -1)
    expected = np.where(true >= 0, true, run.array("labels_corrected"))
    assert [row[-6:] for row in rows] == [[CELLS[v] for v in labels] for labels in expected]
    assert (expected < 0).any()
    assert done.n_changed_cells == (expected != run.array("labels_given")).sum()
    assert done.n_rows == len(rows) == 60


def other_images(shop: Shop) -> None:
    header, *rows = read_csv(shop.root / "labels.csv", "utf-8-sig")
    write_csv(shop.root / "labels.csv", [header, *rows[1:]])


def other_attributes(shop: Shop) -> None:
    for name in ("labels.csv", "clean.csv"):
        header, *rows = read_csv(shop.root / name, "utf-8-sig")
        write_csv(shop.root / name, [[h.replace("=1+1", "sum") for h in header], *rows])


@pytest.mark.parametrize("change", [other_images, other_attributes])
def test_another_dataset_is_refused(tiny_run, tmp_path, change):
    shop = open_shop(tiny_run, tmp_path)
    change(shop)
    refused(
        shop.run,
        tmp_path / "corrected.csv",
        DatasetError,
        (str(shop.root), "not the dataset this run was trained on", "--data"),
    )


def refused(run: Run, out: Path, error: type[Exception], parts: tuple[str, ...], **named) -> None:
    """One line that holds all parts, and nothing written."""
    with pytest.raises(error) as caught:
        export(run, out, **named)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)
    assert not out.is_file()
    assert not list(out.parent.glob("*.tmp")) + list(out.parent.glob(".*.tmp"))


def test_what_cannot_be_exported_is_one_line(shop, tmp_path):
    out = tmp_path / "corrected.csv"
    nowhere = tmp_path / "nowhere"
    refused(shop.run, out, DatasetError, ("--data: no folder", str(nowhere)), data=nowhere)
    a_file = shop.root / "clean.csv"
    refused(shop.run, out, DatasetError, ("clean.csv: not a folder",), data=a_file)
    refused(shop.run, out, ValueError, ("min_confidence", "0..1", "2"), min_confidence=2)
    running = Run(build_tiny_run(tmp_path / "running", status="running"))
    refused(running, out, RunError, ("no flips yet", "wait until training is complete"))
    refused(shop.run, tmp_path, ValueError, (f"--out: {tmp_path} is a folder", "corrected.csv"))
