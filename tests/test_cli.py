"""The commands about datasets: check says what is there or what is wrong, synth draws."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from selfml.data.dataset import read_dataset
from tests.command import Command, Outcome, one_line
from tests.data import random_labels, write_dataset
from tests.tiny_dataset import read_csv, write_csv

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path) -> Path:
    """Sixty images, five attributes, thirty verified images of which ten for testing."""
    root = tmp_path / "shop"
    root.mkdir()
    given = random_labels(60, 5, seed=3)
    verified = random_labels(30, 5, seed=4, unknown_fraction=0)
    return write_dataset(
        root, given, verified, split=[*["train"] * 20, *["test"] * 10], images=True
    )


# -------------------------------------------------------------------------------------------- check
def test_check_says_what_is_there(selfml, folder):
    done = selfml("check", folder)
    assert done.code == 0
    dataset = read_dataset(folder)
    given, verified = dataset.labels_given, dataset.labels_verified[dataset.is_clean]
    counts = dict(re.findall(r"^ *([a-z0-9 ]+?)  +([\d.,]+) *$", done.out, re.MULTILINE))
    assert (counts["images"], counts["attributes"], counts["png"]) == ("60", "5", "60")
    assert (counts["clean"], counts["clean train"], counts["clean test"]) == ("30", "20", "10")
    assert counts["labels per image given"] == f"{(given == 1).sum() / 60:.2f}"
    assert counts["labels per image verified"] == f"{verified.sum() / 30:.2f}"
    assert counts["errors"] == counts["unreadable"] == "0"
    for j, name in enumerate(dataset.attributes):
        (row,) = (line for line in done.out.splitlines() if line.startswith(f"│ {name} "))
        known = given[:, j] >= 0
        share = (given[:, j] == 1).sum() / known.sum()
        assert re.findall(r"[\d.]+", row)[1:] == [
            f"{100 * share:.1f}",
            f"{100 * verified[:, j].mean():.1f}",
            str((given[:, j] == 1).sum()),
            str(verified[:, j].sum()),
        ]
    assert done.out.rstrip().endswith("Ready for training.")
    assert "Not ready" not in done.out


def edit(path: Path, change: Callable[[list[list[str]]], None]) -> None:
    """Change the rows of a CSV in place; the header is row 0."""
    rows = read_csv(path)
    change(rows)
    write_csv(path, rows)


def no_folder(root: Path) -> None:
    root.rename(root.with_name("moved"))


def bad_cell(root: Path) -> None:
    edit(root / "labels.csv", lambda rows: rows[3].__setitem__(1, "maybe"))


def listed_twice(root: Path) -> None:
    edit(root / "labels.csv", lambda rows: rows.append(["000.png", *"10110"]))
    edit(root / "labels.csv", lambda rows: rows[1].__setitem__(slice(1, 6), "01101"))


def corrupt(root: Path) -> None:
    for name in ("003.png", "010.png", "011.png", "059.png"):
        (root / name).write_bytes((root / name).read_bytes()[:40])


def no_clean_rows(root: Path) -> None:
    edit(root / "clean.csv", lambda rows: rows.__delitem__(slice(1, None)))


def never_positive(root: Path) -> None:
    edit(root / "labels.csv", lambda rows: [row.__setitem__(3, "0") for row in rows[1:]])
    edit(root / "clean.csv", lambda rows: [row.__setitem__(4, "0") for row in rows[1:]])


def leaves(root: Path) -> None:
    edit(root / "labels.csv", lambda rows: rows[2].__setitem__(0, "../001.png"))


BAD = {
    no_folder: ("shop: no such folder", "Give the folder that holds labels.csv"),
    bad_cell: ("labels.csv, row 4, column 'a0'", "0, 1 or blank", "'maybe'", "Correct the cell"),
    listed_twice: ("labels.csv, row 62", "'000.png'", "in row 2 already", "one row", "Remove the"),
    corrupt: ("labels.csv: 4 of 60 images", "the limit is 5%", "'003.png'", "remove their rows"),
    no_clean_rows: ("clean.csv: none of its 0 rows", "image of labels.csv", "Add verified rows"),
    never_positive: ("labels.csv, column 'a2'", "never 1", "Remove the column or verify"),
    leaves: ("labels.csv, row 3", "'../001.png'", "leaves the dataset folder", "Move the image"),
}


@pytest.mark.parametrize("spoil", BAD, ids=lambda f: f.__name__)
def test_check_says_in_one_line_what_is_wrong(selfml, folder, spoil):
    assert selfml("check", folder).code == 0
    spoil(folder)
    done = selfml("check", folder)
    assert done.code == 1
    lines = done.out.splitlines()
    at = lines.index("Errors: 1")
    for part in BAD[spoil]:
        assert part in lines[at + 1]
    assert lines[at + 2 :] == ["Not ready for training."]


# -------------------------------------------------------------------------------------------- synth
def drawn(selfml: Command, out: Path, *more: object, images: int = 40) -> Outcome:
    return selfml("synth", out, "--images", images, "--size-px", 32, *more)


def files(root: Path) -> dict[str, str]:
    """Relative path -> hash of every file."""
    found = (p for p in root.rglob("*") if p.is_file())
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in found}


@pytest.fixture
def one_worker(monkeypatch) -> None:
    """Drawing in this process: starting others takes seconds."""
    monkeypatch.setattr("os.cpu_count", lambda: 1)


@pytest.mark.usefixtures("one_worker")
def test_synth_draws_what_was_asked_for(selfml, tmp_path):
    more = ("--seed", 5, "--clean-fraction", 0.5, "--extra-test", 3)
    done = drawn(selfml, tmp_path / "a", *more)
    assert (done.code, done.out) == (0, "")
    assert f"{tmp_path / 'a'}: 40 images, 15 verified to learn from and 8 to test on" in done.err
    dataset = read_dataset(tmp_path / "a")
    assert (dataset.n_images, dataset.n_attributes, dataset.is_clean.sum()) == (40, 17, 23)
    means = [(labels == 1).sum() / 40 for labels in (dataset.labels_given, dataset.labels_truth)]
    assert f"labels an image: {means[0]:.2f} given, {means[1]:.2f} true" in done.err
    assert selfml("check", tmp_path / "a").code == 0


@pytest.mark.slow
@pytest.mark.usefixtures("one_worker")
def test_synth_is_the_same_for_a_seed_and_any_number_of_processes(selfml, tmp_path):
    drawn(selfml, tmp_path / "a", "--seed", 5)
    drawn(selfml, tmp_path / "b", "--seed", 6)
    command = [sys.executable, "-m", "selfml.cli", "synth", str(tmp_path / "c")]
    command += ["--images", "40", "--size-px", "32", "--seed", "5"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    same, other, again = (files(tmp_path / name) for name in "abc")
    assert len(same) == 43
    assert same == again
    assert same.keys() & other.keys() >= {"labels.csv", "clean.csv", "truth.csv"}
    assert not set(same.values()) & set(other.values())


@pytest.mark.usefixtures("one_worker")
def test_synth_leaves_what_is_there_alone(selfml, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    for out in (tmp_path, tmp_path / "mine.txt"):
        one_line(drawn(selfml, out), "new or an empty folder", str(out), "choose another")
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    assert (tmp_path / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("option", "value", "parts"),
    [
        ("--images", 39, ("at least 40", "got 39")),
        ("--size-px", 31, ("from 32 to 224", "got 31")),
        ("--size-px", 225, ("from 32 to 224", "got 225")),
        ("--seed", -1, ("not be negative", "got -1")),
        ("--clean-fraction", 0, ("above 0 and at most 1", "got 0.0")),
        ("--clean-fraction", 1.5, ("above 0 and at most 1", "got 1.5")),
        ("--extra-test", 37, ("from 0 to 36", "got 37")),
    ],
)
def test_synth_refuses_what_is_out_of_range(selfml, tmp_path, option, value, parts):
    done = drawn(selfml, tmp_path / "new", option, value)
    one_line(
        done, *parts, option.removeprefix("--").replace("-", "_").replace("images", "n_images")
    )
    assert not (tmp_path / "new").exists()
