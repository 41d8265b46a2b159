"""The run that is written: what it shares, what it says of itself; nothing half there or lost."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selfml import derived
from selfml.derived import ExpertLabels, write_relabelled
from selfml.oracle import asked_images, expert_labels
from selfml.run import Run, RunError, RunWriter, list_runs
from selfml.run_format import ARRAYS
from tests.derived.conftest import ATOMS
from tests.oracle_cases import flips_of, rewrite_labels
from tests.tiny_run import build_tiny_run


def contents(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# --------------------------------------------------------------------------------- what is written
def test_the_run_before_is_untouched_and_shares_what_stays(parent: Run, done, child: Run):
    before = parent.path.stat()
    assert parent.info["status"] == "complete"
    for name in ("features.npy", "coefficients.parquet", "thumbnails.bin", "probabilities.npy"):
        assert os.path.samefile(parent.path / name, child.path / name)
    for name in ("flips.parquet", "basis_labels.npy", "run.json", "history.jsonl"):
        assert not os.path.samefile(parent.path / name, child.path / name)
    assert not (child.path / "model").exists()
    assert not (child.path / "right_labels.npy").exists()  # nothing that may be of the old labels
    tables = {path.stem for path in parent.path.glob("*.parquet")}
    # of the old labels, and long to measure: `selfml evaluate` does
    assert tables - {"faithfulness"} == {path.stem for path in child.path.glob("*.parquet")}
    assert {p.name for p in child.path.glob("*.npy")} == {f"{name}.npy" for name in ARRAYS}
    assert before == parent.path.stat()


def test_writing_into_the_new_run_leaves_the_old_one_alone(parent, expert, tmp_path):
    path = shutil.copytree(parent.path, tmp_path / "run")
    child = Run(write_relabelled(Run(path), expert, tmp_path / "child", who="anna").path)
    before = contents(path)
    writer = RunWriter(child.path)
    writer.write_table("images", child.table("images").assign(map_tsne_x=7.0))
    writer.write_array("probabilities", np.zeros(child.array("probabilities").shape))
    writer.append_history("joint", 999, {"loss": 1.0})
    assert contents(path) == before


def test_run_json_says_where_it_comes_from(parent: Run, child: Run):
    assert child.is_complete
    assert child.run_id == "child"
    assert child.info["parent"]["run_id"] == parent.run_id
    assert Path(child.info["parent"]["path"]) == parent.path.resolve()
    assert child.info["relabelled"]["n_basis_images"] == 3
    same = ("n_images", "n_atoms", "n_attributes", "seed", "dataset", "schema_version")
    assert all(child.info[name] == parent.info[name] for name in same)


def test_labels_given_are_listed_and_those_of_later_runs_added(parent, child, expert, tmp_path):
    listed = expert_labels(child)
    assert len(listed) == expert.labels.size
    assert set(listed["who"]) == {"anna"}
    for row in listed.itertuples():
        at = ATOMS.tolist().index(row.basis_index)
        assert row.label == expert.labels[at, row.attribute_index]
        assert row.before == parent.array("basis_labels")[row.basis_index, row.attribute_index]
        assert row.image_index == asked_images(parent)[row.basis_index]
    again = ExpertLabels(np.array([4]), np.load(parent.path / "right_labels.npy")[[4]])
    third = Run(write_relabelled(child, again, tmp_path / "third", who="=b\nen").path)
    both = expert_labels(third)
    pd.testing.assert_frame_equal(both[: len(listed)], listed)
    assert set(both["who"][len(listed) :]) == {"'=b en"}
    assert third.info["parent"]["run_id"] == "child"
    labels = np.array(child.array("basis_labels"))
    labels[4] = again.labels[0]
    np.testing.assert_array_equal(third.array("basis_labels"), labels)


def test_undoing_is_to_give_the_old_labels_again(parent, child, tmp_path):
    back = ExpertLabels(ATOMS, np.array(parent.array("basis_labels"))[ATOMS])
    again = Run(write_relabelled(child, back, tmp_path / "again", who="anna").path)
    for name in ("labels_corrected", "labels_strict", "label_scores"):
        np.testing.assert_allclose(again.array(name), parent.array(name), atol=1e-6)
    columns = ["image_index", "attribute_index", "corrected"]
    pd.testing.assert_frame_equal(again.table("flips")[columns], parent.table("flips")[columns])


def test_confirming_labels_changes_none(parent: Run, tmp_path: Path):
    same = ExpertLabels(np.array([0]), np.array(parent.array("basis_labels"))[[0]])
    done = write_relabelled(parent, same, tmp_path / "same", who="anna")
    assert (done.n_labels, done.n_changed) == (0, 0)
    child = Run(done.path)
    columns = [c for c in child.table("flips") if c != "auto_accept"]
    pd.testing.assert_frame_equal(child.table("flips")[columns], parent.table("flips")[columns])
    assert child.table("basis")["label_source"][0] == "oracle"


def test_a_run_of_format_1_stays_one(parent: Run, expert: ExpertLabels, tmp_path: Path):
    path = shutil.copytree(parent.path, tmp_path / "old")
    for name in ("calibration", "trust", "reliability", "realised", "coverage"):
        (path / f"{name}.parquet").unlink()
    RunWriter(path).update(schema_version=1)
    rewrite_labels(path)
    child = Run(write_relabelled(Run(path), expert, tmp_path / "child", who="anna").path)
    assert child.info["schema_version"] == 1
    assert not child.has("trust")
    assert not child.has("realised")
    new = flips_of(child)
    found = child.table("flips")
    assert found["confidence"].to_numpy() == pytest.approx(new["confidence"].to_numpy(), abs=1e-6)


# ------------------------------------------------------------------------ half-written, or refused
@pytest.mark.parametrize("step", ["_basis", "_take_over", "_sync"])
def test_a_run_that_was_not_finished_is_not_there(parent, expert, tmp_path, monkeypatch, step):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(derived, step, fail)
    with pytest.raises(OSError, match="No space left"):
        write_relabelled(parent, expert, tmp_path / "child", who="anna")
    assert list(tmp_path.iterdir()) == []


def test_a_kill_leaves_nothing_that_is_shown(parent, expert, tmp_path, monkeypatch):
    """As if the process ended before the last step: the folder stays, hidden."""
    from dashboard.settings import run_folders

    monkeypatch.setattr(derived.shutil, "rmtree", lambda *_, **__: None)
    monkeypatch.setattr(derived, "_sync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_relabelled(parent, expert, tmp_path / "child", who="anna")
    (left,) = tmp_path.iterdir()
    assert not Run(left).is_complete
    assert list_runs(tmp_path) == []
    monkeypatch.setenv("SELFML_RUNS", str(tmp_path))
    assert left.name not in run_folders()
    monkeypatch.undo()
    assert write_relabelled(parent, expert, tmp_path / "child", who="anna").n_labels > 0


@pytest.mark.parametrize(
    ("index", "labels", "message"),
    [
        ([], np.zeros((0, 6)), "no basis image is labelled; label one at least"),
        ([8], np.zeros((1, 6)), "there is no basis image 8; the run has 0 to 7"),
        ([-1], np.zeros((1, 6)), "there is no basis image -1"),
        ([1, 3, 3], np.zeros((3, 6)), "basis image 3 is labelled twice"),
        (
            [1],
            np.zeros((1, 5)),
            r"6 labels for each of 1 basis images, got shape \(1, 5\)",
        ),
        ([1], np.full((1, 6), 2), "must be 1, 0 or -1 for not known, got 2"),
    ],
)
def test_labels_that_cannot_be_are_refused(parent: Run, tmp_path: Path, index, labels, message):
    with pytest.raises(ValueError, match=message):
        write_relabelled(
            parent, ExpertLabels(np.array(index, int), labels), tmp_path / "x", who="anna"
        )
    assert list(tmp_path.iterdir()) == []


def test_an_existing_folder_and_an_unfinished_run_are_refused(parent, expert, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(FileExistsError, match="is there already; name a new folder"):
        write_relabelled(parent, expert, tmp_path / "mine", who="anna")
    running = Run(build_tiny_run(tmp_path / "running", status="running"))
    with pytest.raises(RunError, match="training has not finished"):
        write_relabelled(running, expert, tmp_path / "child", who="anna")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_relabelled(parent, expert, tmp_path / "file" / "child", who="anna")


def test_without_hard_links_files_are_copied(parent, expert, tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(derived.os, "link", no_links)
    child = Run(write_relabelled(parent, expert, tmp_path / "child", who="anna").path)
    assert not os.path.samefile(parent.path / "features.npy", child.path / "features.npy")
    np.testing.assert_array_equal(child.array("features"), parent.array("features"))
