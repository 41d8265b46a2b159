"""Labels of basis images from a table, and the command that writes the run that follows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from selfml.counterfactual import read_counterfactuals
from selfml.expert_table import read_expert_labels, table_to_fill_in
from selfml.oracle import asked_images, expert_labels, label_order
from selfml.run import Run, RunWriter
from tests.command import Command, one_line
from tests.oracle_cases import build_unverified_run
from tests.tiny_dataset import CELLS, write_csv


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Nobody writes into it."""
    return Run(build_unverified_run(tmp_path_factory.mktemp("table") / "unverified"))


def rows_for(run: Run, key: str, *rows: tuple[str, list[int]]) -> list[list[str]]:
    return [[key, *run.attributes], *([name, *(CELLS[v] for v in cells)] for name, cells in rows)]


def test_what_was_filled_in_comes_back(run: Run, tmp_path: Path):
    """As the dashboard offers it: names that a spreadsheet would run have an apostrophe."""
    order = label_order(run, read_counterfactuals(run))[:4]
    table = table_to_fill_in(run, order)
    header = [f"'{c}" if c.startswith("=") else c for c in table.columns]
    write_csv(tmp_path / "a.csv", [header, *table.to_numpy().tolist()], "utf-8-sig")
    expert = read_expert_labels(tmp_path / "a.csv", run)
    assert expert.basis_index.tolist() == order["basis_index"].tolist() != [0, 2, 4, 6]
    np.testing.assert_array_equal(
        expert.labels, np.array(run.array("basis_labels"))[expert.basis_index]
    )


def test_images_name_basis_images_and_blank_is_not_known(run: Run, tmp_path: Path):
    ids = run.table("images")["image_id"][asked_images(run)].tolist()
    rows = rows_for(run, "image_id", (ids[4], [1, 0, -1, 1, 0, 0]), (ids[1], [0] * 6))
    rows[1][2] = " 0.0 "
    write_csv(tmp_path / "a.csv", [*rows, [" "] * 7])
    expert = read_expert_labels(tmp_path / "a.csv", run)
    assert expert.basis_index.tolist() == [4, 1]
    assert expert.labels.tolist() == [[1, 0, -1, 1, 0, 0], [0] * 6]


def test_an_image_that_stands_for_two_basis_images_labels_both(tmp_path: Path):
    path = build_unverified_run(tmp_path / "run")
    run = Run(path)
    basis = np.array(run.array("basis"))
    basis[2] = basis[0]
    RunWriter(path).write_array("basis", basis)
    name = run.table("images")["image_id"][asked_images(run)[0]]
    write_csv(tmp_path / "a.csv", rows_for(run, "image_id", (name, [1] * 6)))
    expert = read_expert_labels(tmp_path / "a.csv", run)
    assert expert.basis_index.tolist() == [0, 2]
    assert expert.labels.tolist() == [[1] * 6, [1] * 6]


def spoil(rows: list[list[str]], what: str) -> list[list[str]]:
    """The table with one thing wrong."""
    head, first, *rest = [list(row) for row in rows]
    if what == "no key":
        head[0] = "photo"
    elif what == "missing":
        head[2] = "Square Neck"
    elif what == "extra":
        head, first = [*head, "Colour"], [*first, "1"]
    elif what == "twice":
        head[2] = head[1]
    elif what == "cells":
        first = first[:-1]
    elif what == "maybe":
        first[2] = "maybe"
    elif what == "index":
        first[0] = "8"
    elif what == "repeat":
        rest = [list(first)]
    elif what == "blank key":
        first[0] = " "
    elif what == "no rows":
        return [head]
    return [head, first, *rest]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no key", "no column basis_index or image_id among 'photo', 'Long Sleeved'"),
        ("missing", "no column for 'Round Neck'; a row says every attribute"),
        ("extra", "'Colour' is no attribute of this run; remove or rename the column"),
        ("twice", "column 'Long Sleeved' appears twice; remove one"),
        ("cells", r"a.csv, row 2: 6 cells under 7 columns"),
        (
            "maybe",
            r"column 'Round Neck': a label is 0, 1 or blank \(not known\), not 'maybe",
        ),
        ("index", "row 2: basis_index '8' does not exist; the run has 0 to 7"),
        ("repeat", "row 3: basis image 0 is in row 2 already; keep one of them"),
        ("blank key", "row 2: neither basis_index nor image_id"),
        ("no rows", "no row below the names of the columns"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(run: Run, tmp_path: Path, what: str, message: str):
    rows = rows_for(run, "basis_index", ("0", [1, 0, 1, 0, 1, 0]))
    write_csv(tmp_path / "a.csv", spoil(rows, what))
    with pytest.raises(ValueError, match=message) as caught:
        read_expert_labels(tmp_path / "a.csv", run)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read_are_one_line(run: Run, tmp_path: Path):
    with pytest.raises(ValueError, match=r"--labels: .*nowhere.csv cannot be read \(No such file"):
        read_expert_labels(tmp_path / "nowhere.csv", run)
    for name, data, message in (
        ("latin.csv", b"image_id,\xe9", "not UTF-8; save it again"),
        ("empty.csv", b" \n\n", "the file is empty"),
        ("quotes.csv", b'"a"b', "not valid CSV"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ValueError, match=f"{name}: {message}"):
            read_expert_labels(tmp_path / name, run)


def test_an_image_that_stands_for_nothing_is_named(run: Run, tmp_path: Path):
    shown = run.table("basis")["image_id"][0]  # the clean image whose labels atom 0 has
    write_csv(tmp_path / "a.csv", rows_for(run, "image_id", ("photos/none.jpg", [0] * 6)))
    with pytest.raises(ValueError, match=r"'photos/none.jpg' stands for no basis image in use"):
        read_expert_labels(tmp_path / "a.csv", run)
    both = rows_for(run, "basis_index", ("0", [0] * 6))
    both = [[*row, cell] for row, cell in zip(both, ["image_id", shown], strict=True)]
    write_csv(tmp_path / "b.csv", both)
    with pytest.raises(ValueError, match="does not stand for basis image 0, '"):
        read_expert_labels(tmp_path / "b.csv", run)


# ------------------------------------------------------------------------------------- the command
def test_relabel_writes_the_run_that_follows(selfml: Command, run: Run, tmp_path: Path):
    right = np.load(run.path / "right_labels.npy")
    rows = rows_for(run, "basis_index", ("0", right[0]), ("4", right[4]))
    write_csv(tmp_path / "a.csv", rows)
    out = tmp_path / "new"
    done = selfml(
        "label-basis", run.path, "--labels", tmp_path / "a.csv", "--out", out, "--who", "eve"
    )
    assert (done.code, done.err) == (0, "")
    child = Run(out)
    old, new = (np.array(r.array("labels_corrected")) for r in (run, child))
    given = np.array(run.array("labels_given"))
    fresh, gone = ((old != new) & (side != given) for side in (new, old))
    assert f"{out}: 2 basis images labelled, " in done.out
    n = (np.array(run.array("basis_labels"))[[0, 4]] != right[[0, 4]]).sum()
    assert f"{n} of their labels changed; {(old != new).sum()} labels of images" in done.out
    assert f"({fresh.sum()} new flips, {gone.sum()} gone)" in done.out
    assert "no flip is accepted without a look" in done.out
    assert set(expert_labels(child)["who"]) == {"eve"}
    again = selfml("label-basis", run.path, "--labels", tmp_path / "a.csv", "--out", out)
    one_line(again, f"--out: {out} is there already", "name a new folder")


def test_relabel_says_what_is_wrong_and_writes_nothing(selfml: Command, run: Run, tmp_path: Path):
    write_csv(tmp_path / "a.csv", spoil(rows_for(run, "basis_index", ("0", [0] * 6)), "maybe"))
    done = selfml(
        "label-basis", run.path, "--labels", tmp_path / "a.csv", "--out", tmp_path / "new"
    )
    one_line(done, "a.csv, row 2, column 'Round Neck'", "'maybe'")
    done = selfml(
        "label-basis", tmp_path, "--labels", tmp_path / "a.csv", "--out", tmp_path / "new"
    )
    one_line(done, "not a run directory")
    assert [p.name for p in tmp_path.iterdir()] == ["a.csv"]
