"""Exported scores: of every image the probability of each attribute, as the evidence decides."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selfml.corrections import neutralise
from selfml.exchange import scores
from selfml.exchange.left_out import unreadable_sentence
from selfml.exchange.scores import export_scores
from selfml.flips import sigmoid
from selfml.receipts import receipt
from selfml.run import Run, RunError, RunWriter
from tests.command import one_line
from tests.evidence_cases import decide_strictly
from tests.tiny_dataset import read_csv
from tests.tiny_run import build_tiny_run


@pytest.fixture
def run(tiny_run, tmp_path) -> Run:
    return Run(shutil.copytree(tiny_run, tmp_path / "run"))


def as_relabelled(run: Run, n_unreadable: int = 0) -> Run:
    """As if images without labels had been relabelled, of which so many could not be read."""
    bad = [[f"bad-{k}.jpg", "is not an image"] for k in range(min(n_unreadable, 7))]
    RunWriter(run.path).update(
        source_run={"run_id": "other"},
        dataset={"path": ""},
        unreadable=bad,
        relabel={"n_unreadable": n_unreadable},
    )
    given = np.full_like(run.array("labels_given"), -1)
    for name in ("labels_given", "labels_corrected", "labels_strict"):
        RunWriter(run.path).write_array(name, given)
    RunWriter(run.path).write_table("flips", run.table("flips").iloc[:0])
    attributes = run.table("attributes").assign(prevalence_given=np.nan)
    RunWriter(run.path).write_table("attributes", attributes)
    return Run(run.path)


@pytest.mark.parametrize("mode", ["full", "strict"])
def test_they_are_those_of_receipts(run, tmp_path, monkeypatch, mode):
    """Of all images, whatever is read at a time."""
    if mode == "strict":
        decide_strictly(run)
    monkeypatch.setattr(scores, "CHUNK", 7)
    done = export_scores(run, tmp_path / "scores.csv")
    header, *rows = read_csv(done.file)
    images = run.table("images")
    assert header == ["file_name", "category", *map(neutralise, run.attributes)]
    assert [row[0] for row in rows] == images["image_id"].tolist()
    assert [row[1] for row in rows] == images["category"].fillna("").tolist()
    assert (done.n_images, done.n_attributes) == (len(rows), 6) == (60, 6)
    found = np.array([row[2:] for row in rows], float)
    for i in range(0, 60, 3):
        of = [receipt(run, i, j) for j in range(6)]
        deciding = [r.score if mode == "full" else r.strict_score for r in of]
        np.testing.assert_allclose(found[i], sigmoid(np.array(deciding)), atol=5.1e-5)
    assert 0 < found.min() < 0.1 < 0.9 < found.max() < 1
    corrected = np.asarray(run.array("labels_corrected"))
    near = abs(found - 0.5) < 1e-4
    assert ((found > 0.5) == (corrected == 1))[(corrected >= 0) & ~near].all()
    assert max(len(cell) for row in rows for cell in row[2:]) <= 6


def test_parquet_has_the_same(run, tmp_path):
    export_scores(run, tmp_path / "scores.csv")
    done = export_scores(run, tmp_path / "other.parquet")
    one = pd.read_csv(tmp_path / "scores.csv", keep_default_na=False)
    two = pd.read_parquet(done.file)
    assert list(two) == ["file_name", "category", *run.attributes]
    assert two["category"].isna().any()
    np.testing.assert_allclose(two[run.attributes], one.iloc[:, 2:], atol=1e-7)
    assert two["file_name"].tolist() == one["file_name"].tolist()
    assert (two.dtypes[run.attributes] == np.float32).all()


def test_basis_images_of_another_catalogue_have_no_row(run, tmp_path):
    """Nor makes their category a column where no image of this catalogue has one."""
    atoms = set(run.table("basis")["image_index"])
    images = run.table("images")
    here = images["image_index"].isin(atoms)
    RunWriter(run.path).write_table(
        "images", images.assign(category=images["category"].where(here))
    )
    done = export_scores(as_relabelled(run), tmp_path / "scores.csv")
    header, *rows = read_csv(done.file)
    assert header[:2] == ["file_name", neutralise(run.attributes[0])]
    assert [row[0] for row in rows] == images["image_id"][~here].tolist()
    assert done.n_images == 60 - len(atoms) < 60
    i, name = next((i, name) for i, name in enumerate(images["image_id"]) if i not in atoms)
    of = receipt(run, i, 2)  # nothing of a label, for none was given
    assert of.terms["given"] == 0
    assert float(rows[0][3]) == pytest.approx(float(sigmoid(np.array(of.score))), abs=5.1e-5)
    assert rows[0][0] == name


def test_formulas_in_names_are_neutralised_and_twice_is_the_same_bytes(run, tmp_path):
    images = run.table("images")
    images.loc[0, ["image_id", "category"]] = ["=cmd.jpg", "@home"]
    RunWriter(run.path).write_table("images", images)
    done = export_scores(run, tmp_path / "scores.csv")
    header, first, *_ = read_csv(done.file)
    assert first[:2] == ["'=cmd.jpg", "'@home"]
    assert "'=1+1" in header
    before = done.file.read_bytes(), done.manifest_file.read_bytes()
    export_scores(run, tmp_path / "scores.csv")
    assert (done.file.read_bytes(), done.manifest_file.read_bytes()) == before
    said = json.loads(before[1])
    assert said["counts"] == {"images": 60, "attributes": 6, "unreadable": 0}
    assert said["files"][0]["bytes"] == len(before[0])
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        *("run", "scores.csv", "scores.manifest.json")
    ]


def test_what_is_not_its_own_is_not_replaced(selfml, run, tmp_path):
    out = tmp_path / "a.csv"
    where = ("export", run.path, "--out", out)
    assert selfml(*where, "--all-flips").code == 0
    one_line(selfml(*where, "--scores"), "is an export of labels", "--overwrite")
    assert selfml(*where, "--scores", "--overwrite").code == 0
    one_line(selfml(*where, "--all-flips"), "is an export of scores")
    out.write_text("mine\n")
    one_line(selfml(*where, "--scores"), "was changed since it was exported")
    assert out.read_text() == "mine\n"
    assert not list(tmp_path.glob(".export-*"))


# ------------------------------------------------------------------------------------------ command
@pytest.mark.parametrize(
    "options",
    [
        *(["--all-flips"], ["--auto-only"], ["--agreed-only"], ["--min-confidence", 0.5]),
        *(["--decisions", "x.db"], ["--with-auto"], ["--catalogue", "x"], ["--link"]),
        *(["--data", "x"], ["--image-url", "http://x"]),
    ],
)
def test_options_that_say_which_flips_are_refused(selfml, run, tmp_path, options):
    done = selfml("export", run.path, "--out", tmp_path / "a.csv", "--scores", *options)
    one_line(done, f"{options[0]}: does not go with --scores")
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize(
    ("out", "options", "kind"),
    [
        ("tasks.json", [], "label-studio"),
        ("a.csv", ["--format", "label-studio"], "label-studio"),
        ("set", ["--format", "huggingface"], "huggingface"),
    ],
)
def test_other_formats_are_refused(selfml, run, tmp_path, out, options, kind):
    done = selfml("export", run.path, "--out", tmp_path / out, "--scores", *options)
    one_line(done, f"--scores: writes a csv or parquet file, not {kind}", "--out scores.csv")
    assert not (tmp_path / out).exists()


def test_a_run_that_is_not_finished_has_none(tmp_path):
    running = Run(build_tiny_run(tmp_path / "running", status="running"))
    with pytest.raises(RunError, match="no scores yet; wait until training is complete"):
        export_scores(running, tmp_path / "a.csv")
    RunWriter(running.path).update(source_run={"run_id": "other"})
    with pytest.raises(RunError, match=r"no scores yet; wait until it is relabelled; .* relabel"):
        export_scores(Run(running.path), tmp_path / "a.csv")
    assert not (tmp_path / "a.csv").exists()


def test_a_relabelled_run_says_itself_why_no_flip_needs_no_look(selfml, run, tmp_path):
    as_relabelled(run, 0)
    RunWriter(run.path).write_table("flips", run.table("flips").assign(auto_accept=False))
    done = selfml("export", run.path, "--out", tmp_path / "a.csv", "--auto-only")
    assert "; nothing is proven of images that training did not see." in done.out
    assert "evaluate" not in done.out


def test_the_command_counts_and_names_what_could_not_be_read(selfml, run, tmp_path):
    as_relabelled(run, 2)
    done = selfml("export", run.path, "--out", tmp_path / "a.parquet", "--scores")
    n = len(pd.read_parquet(tmp_path / "a.parquet"))
    assert done.out.splitlines() == [
        f"{tmp_path / 'a.parquet'}: {n} images, the probability of each of 6 attributes",
        "Could not be read, so without a row: 2 photos ('bad-0.jpg', 'bad-1.jpg'); why is in the "
        f"column error of {run.path / 'parts'}/*.parquet.",
    ]
    assert json.loads((tmp_path / "a.manifest.json").read_text())["counts"]["unreadable"] == 2


def test_an_export_of_a_catalogue_without_labels_says_what_to_do(selfml, run, tmp_path):
    as_relabelled(run, 1200)
    done = selfml("export", run.path, "--out", tmp_path / "a.csv", "--all-flips")
    assert done.code == 0
    _, none, unread = done.out.splitlines()
    assert none.startswith("No label was given, and so none is corrected")
    assert none.endswith(f": selfml export {run.path} --out scores.csv --scores")
    assert unread.startswith(
        "Could not be read, so without a row: 1,200 photos ('bad-0.jpg', 'bad-1.jpg', 'bad-2.jpg' "
        "and 1,197 more); why is in"
    )


def test_of_a_trained_run_they_are_listed_in_it(run):
    assert unreadable_sentence(run) == ""
    RunWriter(run.path).update(unreadable=[["x.jpg", "is not an image"]])
    assert unreadable_sentence(Run(run.path)) == (
        f"Could not be read: 1 photo ('x.jpg'); why is under unreadable in {run.path / 'run.json'}."
    )


def test_memory_does_not_grow_with_the_run(run, tmp_path, monkeypatch):
    """At most so many images at a time are asked for."""
    asked: list[int] = []
    evidence = scores.evidence

    def counted(model, label_scores, *rest):
        asked.append(len(label_scores))
        return evidence(model, label_scores, *rest)

    monkeypatch.setattr(scores, "evidence", counted)
    monkeypatch.setattr(scores, "CHUNK", 25)
    done = export_scores(run, Path(tmp_path / "a.csv"))
    assert done.n_images == sum(asked) == 60
    assert max(asked) <= 25
