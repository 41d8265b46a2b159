"""The commands that write or read a run: train, evaluate, map, export."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selfml import maps
from selfml.cli_export import _say
from selfml.data.garments import write_catalogue
from selfml.evaluate import evaluate
from selfml.export import Exported, export
from selfml.metrics import HEADLINE, TABLE_1
from selfml.run import Run, RunWriter
from selfml.run_format import METHODS
from tests.command import Command, command_line, one_line
from tests.tiny_dataset import Shop, open_shop, read_csv, write_csv
from tests.tiny_run import build_tiny_run
from tests.training import TINY

TABLES = ("metrics", "attribute_metrics", "reliability", "realised")


@pytest.fixture
def selfml(monkeypatch, capsys) -> Command:
    return command_line(monkeypatch, capsys)


@pytest.fixture
def shop(tiny_run, tmp_path) -> Shop:
    return open_shop(tiny_run, tmp_path)


@pytest.fixture
def unfinished(tmp_path) -> Path:
    return build_tiny_run(tmp_path / "unfinished", status="running")


def contents(folder: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# ----------------------------------------------------------------------------------------- evaluate
@pytest.mark.slow
def test_evaluate_prints_and_stores_the_tables(selfml, shop):
    expected = evaluate(shop.run)
    first = selfml("evaluate", shop.run.path)
    assert (first.code, first.err) == (0, "")
    for name, frame in zip(TABLES, expected, strict=True):
        pd.testing.assert_frame_equal(shop.run.table(name), frame, check_dtype=False)
    metrics = expected[0].set_index(["method", "metric"])["value"]
    lines = [[cell.strip() for cell in line.split("│")] for line in first.out.splitlines()]
    header = next(line for line in first.out.splitlines() if "Precision@k*" in line)
    titles = {metric.name: metric.title for metric in TABLE_1}
    assert [c.strip() for c in header.split("┃")[1:-1]] == [
        "method",
        *(titles[name] for name in HEADLINE),
    ]
    assert len(HEADLINE) == 7
    for method, title in zip(METHODS, ("Baseline 0", "Baseline 1", "SELF-ML"), strict=True):
        (row,) = (line for line in lines if line[1:2] == [title])
        assert row[2:-1] == [f"{metrics[method, name]:.2f}" for name in HEADLINE]
    for said in ("flip precision", "residual noise", "atoms_used", "<script>alert('x')</script>"):
        assert said in first.out
    stored = [(shop.run.path / f"{name}.parquet").read_bytes() for name in TABLES]
    again = selfml("evaluate", shop.run.path)
    assert again == first
    assert [(shop.run.path / f"{name}.parquet").read_bytes() for name in TABLES] == stored


def test_commands_need_a_finished_run(selfml, unfinished, tmp_path):
    before = contents(unfinished)
    out = tmp_path / "corrected.csv"
    for command, *parts in (
        (("evaluate", unfinished), "not finished", "selfml train --resume"),
        (("map", unfinished), "coefficients.parquet: not written yet (status: running)"),
        (
            ("export", unfinished, "--out", out, "--all-flips"),
            "no flips yet",
            "until training is complete",
        ),
    ):
        one_line(selfml(*command), str(unfinished), *parts)
    assert contents(unfinished) == before
    assert not out.exists()


@pytest.mark.parametrize("command", ["evaluate", "map", "export"])
def test_commands_need_a_run(selfml, tmp_path, command):
    options = ["--out", tmp_path / "corrected.csv", "--all-flips"] if command == "export" else []
    for folder in (tmp_path / "nowhere", tmp_path):
        done = selfml(command, folder, *options)
        one_line(done, f"{folder}: not a run directory", "that `selfml train` wrote")
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------- map
def test_map_places_every_image(selfml, shop, monkeypatch):
    """With instant stand-ins for t-SNE and UMAP; test_maps has the real ones."""
    monkeypatch.setattr(maps, "tsne_map", lambda points, seed, reporter: points[:, :2])
    monkeypatch.setattr(maps, "umap_map", lambda points, seed, reporter: -points[:, :2])
    before = shop.run.table("images")
    done = selfml("map", shop.run.path)
    assert (done.code, done.out) == (0, f"{shop.run.path}: 60 images mapped\n")
    after = shop.run.table("images")
    points = maps.embedding_input(shop.run.coefficients(), 0)[:, :2]
    np.testing.assert_array_equal(after[["map_tsne_x", "map_tsne_y"]], points)
    np.testing.assert_array_equal(after[["map_umap_x", "map_umap_y"]], -points)
    others = [name for name in after if not name.startswith("map_")]
    pd.testing.assert_frame_equal(after[others], before[others])


# ------------------------------------------------------------------------------------------- export
@pytest.mark.parametrize(
    "limits", [{}, {"min_confidence": 0.9, "agreed_only": True}, {"auto_only": True}]
)
def test_export_writes_what_the_function_writes(selfml, shop, tmp_path, limits):
    options = ["--min-confidence", 0.9, "--agreed-only"] if "agreed_only" in limits else []
    options += ["--auto-only"] if "auto_only" in limits else []
    options = options or ["--all-flips"]
    done = selfml("export", shop.run.path, "--out", tmp_path / "a.csv", *options)
    expected = export(shop.run, tmp_path / "b.csv", **limits)
    for suffix in ("csv", "flips.csv"):
        files = [tmp_path / f"{name}.{suffix}" for name in "ab"]
        assert files[0].read_bytes() == files[1].read_bytes()
    assert done.code == 0
    verified = expected.n_changed_cells - expected.n_changed_by_flips
    why = f"({expected.n_changed_by_flips} by flips, {verified} verified)"
    assert done.out == (
        f"{tmp_path / 'a.csv'}: {expected.n_rows} rows, {expected.n_changed_cells} cells changed "
        f"{why}; {tmp_path / 'a.flips.csv'}: {expected.n_flips} flips with their evidence\n"
    )
    all_of_them = len(shop.unverified(shop.run.table("flips")))
    assert (expected.n_flips < all_of_them) == bool(limits)


def test_an_export_without_verified_cells_counts_no_such(capsys):
    files = (Path("a.csv"), Path("a.flips.csv"), Path("a.manifest.json"))
    _say(Exported(*files, 3, 2, 2, True, n_changed_by_flips=2))
    assert capsys.readouterr().out == (
        "a.csv: 3 rows, 2 cells changed; a.flips.csv: 2 flips with their evidence\n"
    )


def test_export_of_accepted_flips_alone_says_when_there_are_none(selfml, shop, tmp_path):
    """Then only cells that a person verified are changed."""
    flips = shop.run.table("flips")
    RunWriter(shop.run.path).write_table("flips", flips.assign(auto_accept=False))
    done = selfml("export", shop.run.path, "--out", tmp_path / "a.csv", "--auto-only")
    assert done.code == 0
    assert "0 flips with their evidence" in done.out
    assert "No flip may be accepted without a look" in done.out


def test_export_asks_which_flips_are_meant(selfml, shop, tmp_path):
    """A file of corrections that nobody has looked at is never what one gets without asking."""
    where = ("export", shop.run.path, "--out", tmp_path / "a.csv")
    one_line(selfml(*where), "--decisions STORE", "--auto-only", "--all-flips")
    one_line(selfml(*where, "--all-flips", "--auto-only"), "--all-flips: goes with no option")
    assert not list(tmp_path.glob("a.*"))


def test_export_of_a_dataset_that_has_moved(selfml, shop, tmp_path):
    out, moved = tmp_path / "corrected.csv", shop.root.rename(tmp_path / "moved")
    done = selfml("export", shop.run.path, "--out", out, "--all-flips")
    assert done.code == 0
    assert "dataset folder is gone" in done.out.splitlines()[1]
    assert len(read_csv(out)) == 61
    done = selfml("export", shop.run.path, "--out", out, "--all-flips", "--data", moved)
    assert done.out.count("\n") == 1
    assert len(read_csv(out)) == 1 + len(shop.rows)
    where = ("export", shop.run.path, "--out", out)
    one_line(selfml(*where, "--all-flips", "--data", shop.root), "--data")
    one_line(selfml(*where, "--min-confidence", 2), "0..1")


# -------------------------------------------------------------------------------------------- train
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
    stored = [(run / f"{name}.parquet").read_bytes() for name in TABLES]
    evaluated = selfml("evaluate", run).out.splitlines()
    shown = trained.out.splitlines()[:-1]
    assert evaluated[: len(shown)] == shown
    assert len(evaluated) > 5 * len(shown)
    assert [(run / f"{name}.parquet").read_bytes() for name in TABLES] == stored
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
