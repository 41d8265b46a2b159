"""Tiny trainings from a drawn catalogue to a run directory: whole, consistent, resumable, no leak.

"The same" means bitwise, which TensorFlow's CPU kernels give on one machine.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selfml.config import from_toml
from selfml.data.dataset import DatasetError
from selfml.data.garments import write_catalogue
from selfml.flips import read_evidence_model, receipt
from selfml.nn.fitting import Interrupted
from selfml.progress import Reporter
from selfml.run import ARRAYS, METHODS, SCHEMAS, SPLITS, Run
from selfml.run_start import STAGES
from selfml.train import train
from tests.training import PAPER_LIKE, Interrupting, assert_same_results, tiny_config

pytestmark = pytest.mark.slow
QUIET = Reporter(quiet=True)


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory) -> Path:
    """150 drawn garments at 32 px: 45 verified for training and testing, 20 more for testing."""
    root = tmp_path_factory.mktemp("data") / "catalogue"
    write_catalogue(root, n_images=150, size_px=32, clean_fraction=0.3, extra_test=20)
    return root


@pytest.fixture(scope="module")
def trained(catalogue, tmp_path_factory) -> Path:
    """One complete tiny run."""
    return train(catalogue, tmp_path_factory.mktemp("runs") / "tiny", tiny_config(), reporter=QUIET)


@pytest.fixture(scope="module")
def paper_like(catalogue, tmp_path_factory) -> Path:
    """One complete tiny run with a linear C_X and noisy atoms, as in the paper."""
    out = tmp_path_factory.mktemp("runs") / "paper-like"
    return train(catalogue, out, tiny_config(*PAPER_LIKE), reporter=QUIET)


@pytest.fixture(params=["trained", "paper_like"])
def any_run(request) -> Run:
    return Run(request.getfixturevalue(request.param))


# ------------------------------------------------------------------------------------ the directory
def test_run_is_complete(any_run):
    assert any_run.is_complete
    assert any_run.has(*SCHEMAS, *ARRAYS)
    assert not (any_run.path / "work").exists()
    assert not list(any_run.path.rglob("*.tmp"))
    assert (any_run.path / "thumbnails.bin").stat().st_size > 1000
    assert {p.name for p in (any_run.path / "model").iterdir()} == {
        *("classifier.weights.h5", "explainer.weights.h5", "features.npz"),
    }
    info = any_run.info
    assert info["n_images"] == 150
    assert sum(info[f"n_{split}"] for split in SPLITS) == 150
    assert info["n_clean_train"] == 30
    assert [stage["stage"] for stage in info["stages"]] == list(STAGES)
    assert from_toml(any_run.text("config.toml")).data.size_px == 32
    for name, schema in SCHEMAS.items():
        assert any_run.table(name).columns.tolist() == schema.names


def test_arrays_have_their_axes(any_run):
    info = any_run.info
    size = {letter: info[f"n_{name}"] for letter, name in
            zip("NKLd", ("images", "atoms", "attributes", "features"), strict=True)}  # fmt: skip
    for name, (dtype, axes) in ARRAYS.items():
        array = any_run.array(name)
        assert array.shape == tuple(size[axis] for axis in axes), name
        assert array.dtype == dtype
        assert np.isfinite(array).all()
    for name in ("probabilities", "probabilities_baseline_0", "probabilities_baseline_1"):
        assert ((any_run.array(name) > 0) & (any_run.array(name) < 1)).all()


def test_coefficients_are_on_the_simplex(any_run):
    c = any_run.coefficients()
    assert c.data.min() > 0
    np.testing.assert_allclose(np.asarray(c.sum(axis=1)).ravel(), 1.0, atol=1e-5)
    images = any_run.table("images")
    np.testing.assert_array_equal(images["n_active"], np.diff(c.indptr))
    basis = any_run.table("basis")
    np.testing.assert_array_equal(basis["usage"], np.diff(c.tocsc().indptr))
    np.testing.assert_allclose(basis["mass"], np.asarray(c.sum(axis=0)).ravel(), rtol=1e-5)
    own = c[basis["image_index"], basis["basis_index"]]
    np.testing.assert_allclose(basis["self_coefficient"], np.asarray(own).ravel(), atol=1e-7)
    frame = any_run.table("coefficients")
    order = frame[["image_index", "basis_index"]]
    assert order.equals(order.sort_values(["image_index", "basis_index"], ignore_index=True))


def test_label_scores_are_coefficients_times_basis_labels(any_run):
    labels = any_run.array("basis_labels")
    prior = read_evidence_model(any_run).prior
    values = np.where(labels < 0, prior, labels)
    expected = any_run.coefficients() @ values
    np.testing.assert_allclose(any_run.array("label_scores"), expected, atol=1e-6)


def test_receipts_add_up_to_the_flips_table(any_run):
    flips = any_run.table("flips")
    model = read_evidence_model(any_run)
    assert len(flips) > 20
    for row in flips.itertuples():
        of = receipt(any_run, row.image_index, row.attribute_index, model=model)
        assert of.score == pytest.approx(row.score, abs=1e-6)
        assert of.strict_score == pytest.approx(row.strict_score, abs=1e-6)
        assert of.label_score == pytest.approx(row.label_score, abs=1e-6)
        assert of.atoms["contribution"].sum() == pytest.approx(row.label_score, abs=1e-6)
        for name, value in of.terms.items():
            assert value == pytest.approx(getattr(row, f"term_{name}"), abs=1e-6)
        assert (of.score > 0) == (row.corrected == 1)
    terms = flips[[f"term_{n}" for n in ("bias", "basis", "given", "classifier", "residual")]]
    np.testing.assert_allclose(terms.sum(axis=1), flips["score"], atol=1e-9)


def test_flips_are_where_corrected_differs_from_given(any_run):
    given, corrected = any_run.array("labels_given"), any_run.array("labels_corrected")
    i, j = np.nonzero((given >= 0) & (given != corrected))
    flips = any_run.table("flips")
    np.testing.assert_array_equal(flips["image_index"], i)
    np.testing.assert_array_equal(flips["attribute_index"], j)
    np.testing.assert_array_equal(flips["given"], given[i, j])
    np.testing.assert_array_equal(flips["truth"], any_run.array("labels_true")[i, j])
    assert (corrected[given < 0] == -1).all()


def test_basis_labels_are_verified_clean_training_labels(any_run):
    """Never those of a test image; an atom shows the image whose labels it has."""
    basis, images = any_run.table("basis"), any_run.table("images")
    rows = basis["image_index"].to_numpy()
    assert set(images["split"].to_numpy()[rows]) == {"clean_train"}
    np.testing.assert_array_equal(any_run.array("basis_labels"), any_run.array("labels_true")[rows])
    np.testing.assert_array_equal(basis["image_id"], images["image_id"].to_numpy()[rows])


def test_basis_of_clean_images_stays_at_their_features(trained):
    run = Run(trained)
    rows = run.table("basis")["image_index"]
    features = np.asarray(run.array("features"), np.float32)
    np.testing.assert_allclose(run.array("basis"), features[rows], rtol=2e-3, atol=1e-4)
    assert (run.table("basis")["distance"] == 0).all()
    assert set(run.table("basis")["label_source"]) == {"oracle"}


def test_basis_of_the_paper_is_learned(paper_like):
    run = Run(paper_like)
    basis = run.table("basis")
    assert len(basis) == 60
    assert set(basis["label_source"]) == {"nearest_clean"}
    assert (basis["distance"] > 0).all()


def test_hull_distance_is_at_most_that_of_the_reconstruction(any_run):
    features = np.asarray(any_run.array("features"), np.float64)
    rebuilt = any_run.coefficients() @ np.asarray(any_run.array("basis"), np.float64)
    error = np.linalg.norm(features - rebuilt, axis=1)
    hull = any_run.table("images")["hull_distance"].to_numpy()
    assert (hull <= error * 1.02 + 0.05).all()
    assert (hull >= 0).all()


def test_splits_and_labels_are_those_of_the_catalogue(trained, catalogue):
    run = Run(trained)
    images = run.table("images")
    read = {
        name: pd.read_csv(catalogue / f"{name}.csv", index_col="file_name")
        for name in ("labels", "clean", "truth")
    }
    names = images["image_id"]
    given = read["labels"].loc[names, run.attributes].to_numpy()
    np.testing.assert_array_equal(run.array("labels_given"), given)
    np.testing.assert_array_equal(
        run.array("labels_true"), read["truth"].loc[names, run.attributes].to_numpy()
    )
    assert images["category"].tolist() == read["labels"].loc[names, "category"].tolist()
    tested = images.loc[images["split"] == "clean_test", "image_id"]
    assert set(tested) == set(read["clean"].index[read["clean"]["split"] == "test"])


def test_history_and_metrics(any_run):
    history = any_run.history()
    assert set(history["stage"]) == set(STAGES)
    for _, part in history[history["name"] == "loss"].groupby("stage"):
        assert part["step"].is_monotonic_increasing
        assert part["step"].is_unique
        assert np.isfinite(part["value"]).all()
    metrics = any_run.table("metrics")
    assert set(metrics["method"]) == set(METHODS)
    assert not metrics.duplicated(["method", "metric"]).any()


def test_something_is_learned(trained):
    """A dozen steps are too few for good labels, but not for a falling loss."""
    history = Run(trained).history()
    losses = history[(history["name"] == "loss") & (history["stage"] == "pretrain")]["value"]
    assert losses.iloc[-5:].mean() < 0.8 * losses.iloc[:3].mean()


# ------------------------------------------------------------------------------------ repeatability
def test_same_seed_same_run(trained, catalogue, tmp_path):
    again = train(catalogue, tmp_path / "again", tiny_config(), reporter=QUIET)
    assert_same_results(trained, again)
    pd.testing.assert_frame_equal(Run(trained).table("metrics"), Run(again).table("metrics"))


def test_other_seed_other_run(trained, catalogue, tmp_path):
    other = train(catalogue, tmp_path / "other", tiny_config("seed=1"), reporter=QUIET)
    a, b = Run(trained).array("probabilities"), Run(other).array("probabilities")
    assert np.abs(a - b).max() > 1e-3


def test_interrupted_in_every_stage_is_the_same_run(trained, catalogue, tmp_path):
    """Ctrl-C in each stage in turn, then continued: bitwise what was never interrupted."""
    out = tmp_path / "stopped"
    places = [
        ("pretrain", 7),
        ("baseline 0", 4),
        ("baseline 1", 5),
        ("reconstruction", 6),
        ("flipping", 3),
        ("self ml", 8),
        ("hull distances", 1),
    ]
    for place in places:
        reporter = Interrupting(*place)
        if place[0] != "hull distances":  # there is but one part of it: nothing is left to stop
            with pytest.raises(Interrupted):
                train(catalogue, out, tiny_config(), resume=True, reporter=reporter)
            assert Run(out).info["status"] == "running"
            assert reporter.reached[-1] == place[0]
    train(catalogue, out, tiny_config(), resume=True, reporter=QUIET)
    assert Run(out).is_complete
    assert_same_results(trained, out)
    one, other = (Run(p).history().drop(columns="time") for p in (trained, out))
    assert not other.duplicated(["stage", "step", "name"]).any()
    keys = ["stage", "name", "step"]
    one, other = (f.sort_values(keys, ignore_index=True) for f in (one, other))
    assert one[keys].equals(other[keys])
    # a mean loss since the last line starts anew where a fit was continued: the last ones agree
    last = one.groupby(["stage", "name"])["step"].transform("max") == one["step"]
    np.testing.assert_allclose(one["value"][last], other["value"][last], rtol=1e-4)


def test_killed_without_warning(trained, catalogue, tmp_path):
    """kill -9 in the joint stage: what is there is whole, and the run can be continued."""
    out = tmp_path / "killed"
    program = (
        "import signal, sys\n"
        "from selfml.train import train\n"
        "from tests.training import Interrupting, tiny_config\n"
        "reporter = Interrupting('self ml', 6, signal.SIGKILL)\n"
        "train(sys.argv[1], sys.argv[2], tiny_config('train.checkpoint_s=0'), reporter=reporter)\n"
    )
    command = [sys.executable, "-c", program, str(catalogue), str(out)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[1], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    run = Run(out)
    assert run.info["status"] == "running"
    assert run.info["stage"] == "self_ml"
    assert len(run.history()) > 20
    np.testing.assert_array_equal(run.array("labels_given"), Run(trained).array("labels_given"))
    train(catalogue, out, tiny_config("train.checkpoint_s=0"), resume=True, reporter=QUIET)
    assert Run(out).is_complete
    assert_same_results(trained, out)


def test_interrupted_in_a_process_of_its_own(catalogue, tmp_path):
    """A real Ctrl-C: the process ends by itself, having saved."""
    out = tmp_path / "signalled"
    program = (
        "import sys\n"
        "from selfml.nn.fitting import Interrupted\n"
        "from selfml.progress import Reporter\n"
        "from selfml.train import train\n"
        "from tests.training import tiny_config\n"
        "config = tiny_config('train.pretrain_steps=100000')\n"
        "try:\n"
        "    train(sys.argv[1], sys.argv[2], config, reporter=Reporter(quiet=True))\n"
        "except Interrupted:\n"
        "    print('saved')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(catalogue), str(out)],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    wait_for(lambda: '"step": 0' in told(out), process)
    os.kill(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert said.strip() == "saved"
    assert process.returncode == 0
    with np.load(out / "work/pretrain.npz") as saved:
        assert 0 < int(saved["step"]) == Run(out).info["step"]


def told(out: Path) -> str:
    file = out / "run.json"
    return file.read_text() if file.exists() else ""


def wait_for(there, process, seconds=120):
    end = time.monotonic() + seconds
    while not there():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.2)


# ----------------------------------------------------------------------------------- starting again
def test_resume_needs_the_same_settings(catalogue, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(catalogue, out, tiny_config(), reporter=Interrupting("pretrain", 2))
    for changed in ("seed=5", "flips.steps=13"):
        with pytest.raises(FileExistsError, match="other settings"):
            train(catalogue, out, tiny_config(changed), resume=True, reporter=QUIET)
    with pytest.raises(FileExistsError, match="--resume"):
        train(catalogue, out, tiny_config(), reporter=QUIET)


def test_a_complete_run_is_left_alone(trained, catalogue):
    before = {p: p.stat().st_mtime_ns for p in trained.rglob("*")}
    for resume in (True, False):
        with pytest.raises(FileExistsError):
            train(catalogue, trained, tiny_config(), resume=resume, reporter=QUIET)
    with pytest.raises(FileExistsError, match="complete"):
        train(catalogue, trained, tiny_config(), resume=True, reporter=QUIET)
    assert {p: p.stat().st_mtime_ns for p in trained.rglob("*")} == before


def test_a_folder_that_is_no_run_is_left_alone(catalogue, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not a run"):
        train(catalogue, tmp_path, tiny_config(), reporter=QUIET)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


# ------------------------------------------------------------------------------------------ no leak
def test_nothing_that_training_makes_depends_on_test_labels(trained, catalogue, tmp_path):
    """Other verified labels of C_test and another truth.csv: only what is measured changes."""
    root = tmp_path / "permuted"
    shutil.copytree(catalogue, root)
    rng = np.random.default_rng(0)
    clean = pd.read_csv(root / "clean.csv")
    tested = np.flatnonzero(clean["split"] == "test")
    columns = clean.columns[2:]
    clean.loc[tested, columns] = clean.loc[rng.permutation(tested), columns].to_numpy()
    clean.to_csv(root / "clean.csv", index=False)
    truth = pd.read_csv(root / "truth.csv")
    truth[columns] = truth.loc[rng.permutation(len(truth)), columns].to_numpy()
    truth.to_csv(root / "truth.csv", index=False)
    out = train(root, tmp_path / "run", tiny_config(), reporter=QUIET)
    assert_same_results(trained, out, leave_out=("labels_true", "flips.truth"))
    one, other = (Run(p).table("metrics").set_index(["method", "metric"])["value"]
                  for p in (trained, out))  # fmt: skip
    assert one["self_ml", "map"] != other["self_ml", "map"]
    assert (Run(trained).array("labels_true") != Run(out).array("labels_true")).any()


def test_clean_training_labels_do_matter(trained, catalogue, tmp_path):
    """The other half of the test above: it would notice a change."""
    root = tmp_path / "changed"
    shutil.copytree(catalogue, root)
    clean = pd.read_csv(root / "clean.csv")
    row = np.flatnonzero(clean["split"] == "train")
    columns = clean.columns[2:]
    clean.loc[row, columns] = 1 - clean.loc[row, columns]
    clean.to_csv(root / "clean.csv", index=False)
    out = train(root, tmp_path / "run", tiny_config(), reporter=QUIET)
    for name in ("probabilities", "probabilities_baseline_1", "labels_corrected"):
        assert (Run(trained).array(name) != Run(out).array(name)).any()
    # what is learned from given labels alone knows nothing of it
    for name in ("probabilities_baseline_0", "features"):
        np.testing.assert_array_equal(Run(trained).array(name), Run(out).array(name))


# ----------------------------------------------------------------------------------- other datasets
def reshaped(catalogue: Path, root: Path, change) -> Path:
    """A copy of the catalogue with ``change(labels, clean)`` applied, and without truth.csv."""
    shutil.copytree(catalogue, root)
    (root / "truth.csv").unlink()
    labels, clean = (pd.read_csv(root / f"{n}.csv", dtype=object) for n in ("labels", "clean"))
    for name, frame in zip(("labels", "clean"), change(labels, clean), strict=True):
        frame.to_csv(root / f"{name}.csv", index=False)
    return root


def test_two_attributes_blanks_and_no_category(catalogue, tmp_path):
    def change(labels, clean):
        kept = labels.columns[2:].tolist()
        kept.sort(key=lambda name: -(clean[name] == "1").sum())
        rng = np.random.default_rng(0)
        for frame in (labels, clean):
            for name in kept[:2]:
                frame.loc[rng.random(len(frame)) < 0.2, name] = ""
        return labels[["file_name", *kept[:2]]], clean[["file_name", "split", *kept[:2]]]

    root = reshaped(catalogue, tmp_path / "data", change)
    run = Run(train(root, tmp_path / "run", tiny_config(), reporter=QUIET))
    assert run.is_complete
    assert len(run.attributes) == 2
    given = run.array("labels_given")
    assert (given < 0).mean() > 0.1
    assert (run.array("labels_corrected")[given < 0] == -1).all()
    assert (run.array("basis_labels") < 0).any()
    assert run.table("images")["category"].isna().all()
    flips = run.table("flips")
    for row in flips.head(20).itertuples():
        assert receipt(run, row.image_index, row.attribute_index).score == pytest.approx(
            row.score, abs=1e-6
        )


def test_one_category_and_nested_folders(catalogue, tmp_path):
    def change(labels, clean):
        root = tmp_path / "data"
        deep = {}
        for name in labels["file_name"]:
            deep[name] = str(Path("images", "a b", "ü", name))
            (root / deep[name]).parent.mkdir(parents=True, exist_ok=True)
            (root / name).rename(root / deep[name])
        for frame in (labels, clean):
            frame["file_name"] = frame["file_name"].map(deep)
        labels["category"] = "dresses"
        return labels, clean

    root = reshaped(catalogue, tmp_path / "data", change)
    run = Run(train(root, tmp_path / "run", tiny_config(), reporter=QUIET))
    assert run.is_complete
    assert set(run.table("images")["category"]) == {"dresses"}
    assert read_evidence_model(run).categories == ("dresses",)
    assert run.table("images")["image_id"].str.startswith("images/a b/").all()


def test_oracle_over_noisy_images_is_truth_csv(catalogue, tmp_path):
    config = tiny_config(*PAPER_LIKE, "basis.labels=oracle")
    run = Run(train(catalogue, tmp_path / "run", config, reporter=QUIET))
    rows = run.table("basis")["image_index"].to_numpy()
    assert set(run.table("images")["split"].to_numpy()[rows]) == {"noisy_train"}
    np.testing.assert_array_equal(run.array("basis_labels"), run.array("labels_true")[rows])
    without = reshaped(catalogue, tmp_path / "data", lambda *tables: tables)
    with pytest.raises(DatasetError, match=r"truth\.csv") as caught:
        train(without, tmp_path / "none", config, reporter=QUIET)
    assert "\n" not in str(caught.value)
    assert Run(tmp_path / "none").info["status"] == "failed"
    assert "truth.csv" in json.loads((tmp_path / "none/run.json").read_text())["message"]


def test_all_layers_may_be_finetuned_and_interrupted(catalogue, tmp_path):
    """The backbone too learns from flipped labels, from where pre-training left it."""
    of_all, of_last = (tiny_config(f"train.finetune_layers={name}") for name in ("all", "last"))
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    train(catalogue, whole, of_all, reporter=QUIET)
    with pytest.raises(Interrupted):
        train(catalogue, stopped, of_all, reporter=Interrupting("self ml", 4))
    train(catalogue, stopped, of_all, resume=True, reporter=QUIET)
    assert_same_results(whole, stopped)
    train(catalogue, tmp_path / "last", of_last, reporter=QUIET)
    one, other = Run(whole), Run(tmp_path / "last")
    for name in ("features", "probabilities_baseline_0"):
        np.testing.assert_array_equal(one.array(name), other.array(name))
    for name in ("probabilities_baseline_1", "probabilities"):
        assert not np.array_equal(one.array(name), other.array(name))
