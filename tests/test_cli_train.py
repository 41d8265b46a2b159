"""`selfml train` as a command, and the way from a catalogue to corrected labels."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from selfml.data.garments import write_catalogue
from selfml.run import Run
from tests.command import EVALUATED, contents, one_line
from tests.tiny_dataset import Shop, open_shop, read_csv, write_csv
from tests.training import TINY


@pytest.fixture
def shop(tiny_run, tmp_path) -> Shop:
    return open_shop(tiny_run, tmp_path)


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["--recipe", "fast"], ("--recipe", "'fast'", "paper, photos, quick", ".toml")),
        (["--recipe", "mine.toml"], ("--recipe", "no file mine.toml")),
        (["--set", "train.speed=3"], ("train.speed: no such setting", "pretrain_steps")),
        (["--set", "seed"], ("--set: must be key=value", "'seed'", "--set seed=1")),
        (["--set", "seed=many"], ("seed: must be a whole number", "'many'")),
        (["--set", "data.size_px=-3"], ("data.size_px", "-3")),
        (["--set", "seed=1", "--set", "train=2"], ("train: is a section",)),
        (["--decisions", "none.db"], ("--decisions", "no file none.db")),
        (["--decisions", "mysql://h/d"], ("DATABASE_URL", "mysql")),
        (["--catalogue", "shop"], ("--catalogue", "goes with --decisions")),
    ],
)
def test_train_refuses_bad_settings_before_it_starts(selfml, shop, tmp_path, options, parts):
    out = tmp_path / "new"
    one_line(selfml("train", shop.root, "--out", out, *options), *parts)
    assert not out.exists()
    before = contents(shop.run.path)
    one_line(selfml("train", shop.root, "--out", shop.run.path, *options), *parts)
    assert contents(shop.run.path) == before


def test_train_needs_out(selfml, shop):
    done = selfml("train", shop.root)
    assert (done.code, done.out) == (2, "")
    assert "--out" in done.err


@pytest.mark.slow
def test_train_destroys_nothing(selfml, shop, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "photo.jpg").write_bytes(b"mine")
    before = contents(tmp_path)
    run, root = shop.run.path, shop.root
    one_line(selfml("train", root, "--out", mine), "--out", "not empty and not a run", "new folder")
    one_line(selfml("train", root, "--out", run), "--out", "has a run already", "--resume")
    done = selfml("train", root, "--out", run, "--resume")
    one_line(done, "--out", "complete", "name a new folder")
    assert contents(tmp_path) == before


def test_what_the_tables_tell_is_refused_before_anything_is_begun(selfml, shop, tmp_path):
    """And no run that failed is left behind."""
    out = tmp_path / "new"
    one_line(selfml("train", tmp_path / "nowhere", "--out", out), "no such folder")
    clean = shop.root / "clean.csv"
    rows = read_csv(clean)
    names = rows[0]
    at = [i for i, name in enumerate(names) if name not in ("file_name", "category", "split")]
    ones = [["1" if i in at else cell for i, cell in enumerate(row)] for row in rows[1:]]
    write_csv(clean, [names, *ones])
    one_line(selfml("train", shop.root, "--out", out), "clean.csv", "no verified 0")
    write_csv(clean, rows[:5])
    one_line(selfml("train", shop.root, "--out", out), "clean.csv", "at least 10")
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "benchmark"])
def test_a_wrong_folder_is_refused_before_an_engine_is_loaded(command, tmp_path):
    program = (
        "import sys\n"
        "from selfml.cli import main\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        "    print(sorted({'keras', 'tensorflow'} & set(sys.modules)))\n"
    )
    line = [sys.executable, "-c", program, command, "nowhere", "--out", "new"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "[]\n")
    assert "nowhere: no such folder" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--resume",)])
def test_a_start_that_failed_by_its_images_can_be_made_again(selfml, shop, tmp_path, options):
    """Neither "has a run already" nor "is complete", but the data's own error again."""
    out = tmp_path / "new"
    for photo in [path for path in shop.root.rglob("*") if path.suffix in (".png", ".jpg")]:
        photo.write_bytes(b"no photo")
    first = selfml("train", shop.root, "--out", out)
    assert first.code == 1
    assert "the limit is 5%" in first.err
    assert Run(out).info["status"] == "failed"
    assert selfml("train", shop.root, "--out", out, *options).err == first.err


@pytest.mark.slow
def test_train_hands_on_what_it_was_given(selfml, shop, monkeypatch):
    asked, outs = [], (shop.run.path.with_name("first"), shop.run.path.with_name("second"))

    def trained(root, out, config, **named):
        asked.append(((root, out, config), named))
        shutil.copytree(shop.run.path, out)

    monkeypatch.setattr("selfml.train.train", trained)
    options = ["--recipe", "photos", "--set", "seed=7", "--set", "data.size_px=64", "--resume"]
    done = selfml("train", shop.root, "--out", outs[0], *options)
    assert done.code == 0
    first, *lines, last = done.out.rstrip().splitlines()
    assert first.strip().startswith("Table 1: 6 verified test images, 12 clean images")
    titles = ("Baseline 0", "Baseline 1", "SELF-ML")
    assert [title for title in titles for line in lines if f"│ {title} " in line] == [*titles]
    assert len(lines) < 15
    assert last == f"All else that was measured: selfml evaluate {outs[0]}"
    ((root, out, config), named) = asked[0]
    assert (root, out, named["resume"]) == (shop.root, outs[0], True)
    assert named["dataset"].root == shop.root.resolve()
    assert (config.recipe, config.seed, config.data.size_px) == ("photos", 7, 64)
    selfml("train", shop.root, "--out", outs[1])
    ((_, _, config), named) = asked[1]
    assert (config.recipe, config.seed, named["resume"]) == ("quick", 0, False)


@pytest.mark.slow
def test_a_stopped_training_says_how_to_continue(selfml, tmp_path, monkeypatch):
    """The line can be pasted: a path with a space is quoted, --resume is there once."""
    from selfml.nn.fitting import Interrupted

    def stop(*_arguments, **_named):
        raise Interrupted

    monkeypatch.setattr("selfml.train.train", stop)
    monkeypatch.setattr("selfml.cli.refuse_early", lambda *_arguments, **_named: None)
    out = tmp_path / "my run"
    for more in ([], ["--resume"]):
        arguments = ["train", "my shop", "--out", str(out), "--set", "seed=1", *more]
        done = selfml(*arguments)
        assert (done.code, done.out) == (130, "")
        said, again = done.err.rstrip("\n").split(" Continue with: ")
        assert said == f"Stopped; {out} keeps what is done."
        assert shlex.split(again) == ["selfml", *arguments, *(["--resume"] if not more else [])]


@pytest.mark.slow
def test_from_a_catalogue_to_corrected_labels(selfml, tmp_path):
    """Everything once, in the order of the README, on a tiny training."""
    data, run, out = tmp_path / "shop", tmp_path / "runs" / "shop", tmp_path / "corrected.csv"
    write_catalogue(data, n_images=100, size_px=32, clean_fraction=0.3, extra_test=10)
    assert selfml("check", data).code == 0
    settings = [part for setting in TINY for part in ("--set", setting)]
    trained = selfml("train", data, "--recipe", "quick", "--out", run, *settings)
    assert trained.code == 0
    assert Run(run).is_complete
    stored = [(run / f"{name}.parquet").read_bytes() for name in EVALUATED]
    evaluated = selfml("evaluate", run).out.splitlines()
    shown = trained.out.splitlines()[:-1]
    assert evaluated[: len(shown)] == shown
    assert len(evaluated) > 5 * len(shown)
    assert [(run / f"{name}.parquet").read_bytes() for name in EVALUATED] == stored
    assert selfml("export", run, "--out", out, "--all-flips").code == 0
    before, after = read_csv(data / "labels.csv"), read_csv(out)
    assert [row[:2] for row in before] == [row[:2] for row in after]
    split = Run(run).table("images")["split"]
    flips = Run(run).table("flips")
    noisy = split.str.startswith("noisy").to_numpy()[flips["image_index"]]
    assert len(read_csv(out.with_name("corrected.flips.csv"))) == noisy.sum() + 1
    attributes = after[0][2:]
    cells = {row[0]: row[2:] for row in after[1:]}
    clean = read_csv(data / "clean.csv")
    assert clean[0][2:] == attributes
    for row in clean[1:]:
        assert cells[row[0]] == row[2:]
