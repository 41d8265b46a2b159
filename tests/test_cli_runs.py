"""The commands that read a run: evaluate, map, export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selfml import maps
from selfml.cli_export import _say
from selfml.evaluate import evaluate
from selfml.export import Exported, export, select_flips
from selfml.metrics import HEADLINE, TABLE_1
from selfml.run import RunWriter
from selfml.run_format import METHODS
from tests.command import EVALUATED, contents, one_line
from tests.tiny_dataset import Shop, open_shop, read_csv
from tests.tiny_run import build_tiny_run


@pytest.fixture
def shop(tiny_run, tmp_path) -> Shop:
    return open_shop(tiny_run, tmp_path)


@pytest.fixture
def unfinished(tmp_path) -> Path:
    return build_tiny_run(tmp_path / "unfinished", status="running")


@pytest.mark.slow
def test_evaluate_prints_and_stores_the_tables(selfml, shop):
    expected = evaluate(shop.run)
    first = selfml("evaluate", shop.run.path)
    assert (first.code, first.err) == (0, "")
    for name, frame in zip(EVALUATED, expected, strict=True):
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
    stored = [(shop.run.path / f"{name}.parquet").read_bytes() for name in EVALUATED]
    again = selfml("evaluate", shop.run.path)
    assert again == first
    assert [(shop.run.path / f"{name}.parquet").read_bytes() for name in EVALUATED] == stored


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
    flips = shop.run.table("flips")
    chosen = select_flips(flips, **limits)
    settled = len(chosen) - len(shop.unverified(chosen))
    asked = [f"{len(flips) - len(chosen)} by the options"] if limits else []
    left_out = [*asked, *([f"{settled} of labels verified or changed since"] if settled else [])]
    assert done.out == (
        f"{tmp_path / 'a.csv'}: {expected.n_rows} rows, {expected.n_changed_cells} cells changed "
        f"{why}; {tmp_path / 'a.flips.csv'}: {expected.n_flips} flips with their evidence\n"
        f"Flips left out: {', '.join(left_out)}.\n"
    )
    assert settled > 0 or limits
    all_of_them = len(shop.unverified(flips))
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
    assert "No flip may be accepted without a look; `selfml evaluate` says why." in done.out


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
    assert "dataset folder is gone" in done.out
    assert len(read_csv(out)) == 61
    done = selfml("export", shop.run.path, "--out", out, "--all-flips", "--data", moved)
    assert "dataset folder" not in done.out
    assert len(read_csv(out)) == 1 + len(shop.rows)
    where = ("export", shop.run.path, "--out", out)
    one_line(selfml(*where, "--all-flips", "--data", shop.root), "--data")
    one_line(selfml(*where, "--min-confidence", 2), "0..1")


# -------------------------------------------------------------------------------------------- train
