"""Relabelling by a tiny run: what the run itself says, whatever the source, however stopped."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selfml.data.dataset import DatasetError
from selfml.exchange.check import compare
from selfml.export import export, outlook
from selfml.flips import read_evidence_model
from selfml.nn.fitting import Interrupted
from selfml.receipts import receipt
from selfml.relabel.model import HULL_TOLERANCE
from selfml.relabel.start import Engine, relabel
from selfml.run import Run, RunError, RunWriter
from selfml.train import train
from tests.command import command_line, one_line
from tests.train.relabelling import QUIET, go, rows_of
from tests.training import Interrupting, tiny_config

pytestmark = pytest.mark.slow
# Maps are rounded to float16 as in training. Folding (selfml.nn.folding) moves them by parts in a
# million, and so a few of them to the next number of float16.
ROUNDED = 1e-3
ARRAYS = ("features", "label_scores", "terms_classifier", "terms_residual")
# Everything that changes how features are made: pixels, other layers, fewer features, categories.
OTHERWISE = (
    *("train.cache_gib=0", "train.finetune_layers=all", "train.mixed_precision=true"),
    *("basis.features=head", "flips.bands_weight=0", "head.category=true", "flips.mode=strict"),
)


def equal_to_training(trained: Path, out: Path) -> None:
    """Of images that are not clean training ones: these are left-one-out in training."""
    before, after = Run(trained), Run(out)
    images, again = before.table("images"), after.table("images")
    own = dict(zip(again["image_id"], again["image_index"], strict=True))
    rows = images.index[images["split"] != "clean_train"].to_numpy()
    place = np.array([own[name] for name in images["image_id"][rows]])
    assert set(again["split"][place]) == {"noisy_test"}
    for name in ARRAYS:
        x, y = np.asarray(before.array(name)[rows], float), after.array(name)[place].astype(float)
        atol = 4e-3 if name == "features" else ROUNDED  # features are stored as float16
        np.testing.assert_allclose(y, x, atol=atol, err_msg=name)
    c, d = before.coefficients()[rows], after.coefficients()[place]
    assert abs(c - d).max() < ROUNDED
    centre = np.asarray(before.array("basis"), float).mean(axis=0)
    outside = np.square(np.asarray(before.array("features")[rows], float) - centre).sum(axis=1)
    x, y = images["hull_distance"][rows].to_numpy(), again["hull_distance"][place].to_numpy()
    assert (np.abs(x**2 - y**2) <= (HULL_TOLERANCE + ROUNDED) * outside).all()
    flips, found = before.table("flips"), after.table("flips")
    near = np.zeros((len(images), len(before.attributes)), bool)
    weak = flips[["score", "strict_score"]].abs().min(axis=1) < 2 * ROUNDED
    near[flips["image_index"][weak], flips["attribute_index"][weak]] = True
    for name in ("labels_corrected", "labels_strict"):
        differ = (before.array(name)[rows] != after.array(name)[place]) & ~near[rows]
        assert not differ.any(), name
    key = ["image_id", "attribute_index"]
    first = flips.assign(image_id=images["image_id"][flips["image_index"]].to_numpy())
    second = found.assign(image_id=again["image_id"][found["image_index"]].to_numpy())
    both = first[~weak].merge(second, on=key, suffixes=("", "_again"))
    both = both[np.isin(both["image_index"], rows)]
    assert len(both) == np.isin(flips["image_index"][~weak], rows).sum() > 20
    np.testing.assert_allclose(both["score_again"], both["score"], atol=2 * ROUNDED)
    np.testing.assert_allclose(both["confidence_again"], both["confidence"], atol=ROUNDED)


def test_training_images_come_out_as_in_training(any_run, catalogue, tmp_path):
    go(any_run.path, catalogue, tmp_path / "out")
    equal_to_training(any_run.path, tmp_path / "out")


def test_also_where_features_are_made_otherwise(catalogue, tmp_path):
    run = train(catalogue, tmp_path / "run", tiny_config(*OTHERWISE), reporter=QUIET)
    go(run, catalogue, tmp_path / "out")
    equal_to_training(run, tmp_path / "out")


def test_the_run_is_whole_and_its_receipts_add_up(relabelled, trained):
    run, flips = Run(relabelled), Run(relabelled).table("flips")
    assert run.is_complete
    assert not list(relabelled.rglob("*.tmp"))
    images, basis, c = run.table("images"), run.table("basis"), run.coefficients()
    assert len(images) == run.info["n_images"] == 180
    assert run.info["n_noisy_test"] == 150
    assert images["image_id"].is_unique
    np.testing.assert_array_equal(basis["usage"], np.diff(c.tocsc().indptr))
    np.testing.assert_allclose(np.asarray(c.sum(axis=1)).ravel(), 1, atol=1e-5)
    np.testing.assert_array_equal(images["image_id"][basis["image_index"]], basis["image_id"])
    assert not flips["auto_accept"].any()  # nothing is promised of images not trained on
    assert set(run.table("trust")["status"]) <= {"unseen"}
    own = Run(trained).table("images")
    first = int(basis["image_index"].iloc[0])
    name = images["image_id"][first].removesuffix(" (basis image)")
    there = own[own["image_id"] == name].iloc[0]
    assert run.thumbnail(*images.loc[first, ["thumbnail_offset", "thumbnail_bytes"]]) == Run(
        trained
    ).thumbnail(there["thumbnail_offset"], there["thumbnail_bytes"])
    given, corrected = run.array("labels_given"), run.array("labels_corrected")
    i, j = np.nonzero((given >= 0) & (given != corrected))
    np.testing.assert_array_equal(flips["image_index"], i)
    np.testing.assert_array_equal(flips["attribute_index"], j)
    assert not np.isin(i, basis["image_index"]).any()
    model = read_evidence_model(run)
    for row in flips.head(10).itertuples():
        of = receipt(run, row.image_index, row.attribute_index, model=model)
        assert of.score == pytest.approx(row.score, abs=1e-5)


def test_unknown_given_labels_add_no_term_and_are_no_flips(trained, catalogue, tmp_path):
    go(trained, catalogue / "images", tmp_path / "out")
    run = Run(tmp_path / "out")
    assert (run.array("labels_given") == -1).all()
    assert (run.array("labels_corrected") == -1).all()
    assert run.table("flips").empty
    rows = rows_of(tmp_path / "out")
    score, confidence = np.stack(rows["score"]), np.stack(rows["confidence"])
    np.testing.assert_allclose(confidence, 1 / (1 + np.exp(-abs(score))), rtol=1e-5)
    assert rows["category"].isna().all()


def test_coefficients_by_projection_are_the_nearest_mixture(trained, catalogue, tmp_path):
    go(trained, catalogue, tmp_path / "out", coefficients="projection")
    run = Run(tmp_path / "out")
    rebuilt = run.coefficients() @ np.asarray(run.array("basis"), np.float64)
    error = np.linalg.norm(np.asarray(run.array("features"), float) - rebuilt, axis=1)
    unseen = (run.table("images")["split"] == "noisy_test").to_numpy()
    distance = run.table("images")["hull_distance"].to_numpy()
    np.testing.assert_allclose(error[unseen], distance[unseen], atol=0.02)


# ------------------------------------------------------------------------------------------- errors
def test_a_run_without_its_model_says_so(trained, catalogue, tmp_path):
    bare = shutil.copytree(trained, tmp_path / "bare", ignore=shutil.ignore_patterns("model"))
    with pytest.raises(RunError, match=r"has no model/extractor.weights.h5"):
        go(bare, catalogue, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    old = shutil.copytree(trained, tmp_path / "old")
    with np.load(old / "model" / "features.npz") as stored:
        kept = {k: stored[k] for k in stored.files if not k.startswith("unseen")}
    np.savez(old / "model" / "features.npz", **kept)
    with pytest.raises(RunError, match="older release"):
        go(old, catalogue, tmp_path / "out-2")


def test_a_derived_run_takes_the_weights_of_its_parent_and_its_own_labels(
    trained, catalogue, relabelled, tmp_path
):
    from selfml.derived import ExpertLabels, write_relabelled

    labels = 1 - np.maximum(np.array(Run(trained).array("basis_labels")[[0]]), 0)
    expert = ExpertLabels(np.array([0]), labels.astype(np.int8))
    derived = write_relabelled(Run(trained), expert, tmp_path / "derived", who="test").path
    go(derived, catalogue, tmp_path / "out")
    old, new = Run(relabelled), Run(tmp_path / "out")
    assert abs(old.coefficients() - new.coefficients()).max() == 0
    leaning = np.asarray(old.coefficients()[30:, 0].todense()).ravel() > 0
    moved = (old.array("label_scores")[30:] != new.array("label_scores")[30:]).any(axis=1)
    np.testing.assert_array_equal(moved, leaning)
    assert 0 < leaning.sum() < len(leaning)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "nowhere", "no such folder or file"),
        (lambda folder: folder, "no JPEG, PNG or WebP"),
        (lambda folder: _written(folder / "list.csv", "name\na.jpg\n"), "no column 'file_name'"),
        (lambda folder: _written(folder / "list.csv", "file_name\n"), "has no image in it"),
        (lambda folder: _written(folder / "x.parquet", "no parquet"), "not a readable parquet"),
    ],
)
def test_a_source_that_is_none_is_one_line(trained, tmp_path, make, said):
    (tmp_path / "source").mkdir()
    with pytest.raises(DatasetError, match=said) as caught:
        go(trained, make(tmp_path / "source"), tmp_path / "out")
    assert "\n" not in str(caught.value)


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"coefficients": "best"}, "--coefficients: must be one of"),
        ({"shard_images": 0}, "--shard-images: must be at least 1"),
    ],
)
def test_settings_are_checked(trained, catalogue, tmp_path, how, said):
    with pytest.raises(ValueError, match=said):
        go(trained, catalogue, tmp_path / "out", **how)
    with pytest.raises(ValueError, match="--engine: must be local or ray"):
        Engine("dask")
    with pytest.raises(ValueError, match="go with --engine ray"):
        Engine("local", workers=2)


def test_the_command_says_what_was_done_and_what_could_not_be_read(
    trained, catalogue, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in sorted((catalogue / "images").rglob("*.jpg"))[:3]:
        shutil.copy(path, folder)
    (folder / "z.jpg").write_bytes(b"no photo")
    selfml = command_line(monkeypatch, capsys)
    done = selfml("relabel", trained, folder, "--out", tmp_path / "out", "--no-thumbnails")
    assert done.code == 0
    assert "3 images relabelled, 0 labels flipped; 1 images could not be read" in done.out
    assert "No flip is accepted without a look" in done.out
    assert f": selfml export {tmp_path / 'out'} --out scores.csv --scores\n" in done.out
    assert "Could not be read: 1 photo ('z.jpg'); why is in the column error of" in done.out
    scores = tmp_path / "scores.csv"
    done = selfml("export", tmp_path / "out", "--out", scores, "--scores")
    assert "Could not be read, so without a row: 1 photo ('z.jpg')" in done.out
    found = pd.read_csv(scores)
    assert len(found) == 3
    rows = rows_of(tmp_path / "out")
    rows = rows[rows["error"].isna()]
    assert found["file_name"].tolist() == rows["image_id"].tolist()
    expected = 1 / (1 + np.exp(-np.stack(rows["score"]).astype(float)))
    np.testing.assert_allclose(found[Run(trained).attributes], expected, atol=1e-4)
    assert Run(tmp_path / "out").table("images")["thumbnail_offset"].notna().sum() == 30
    one_line(selfml("relabel", trained, folder, "--out", tmp_path / "out"), "is complete")


@pytest.mark.parametrize(("scale", "warned"), [(1.0, False), (0.1, True), (np.nan, False)])
def test_photos_unlike_those_trained_on_are_warned_of(
    trained, catalogue, tmp_path, monkeypatch, capsys, scale, warned
):
    """As if the training run's own had all lain closer; also where a stopped one goes on."""
    run = shutil.copytree(trained, tmp_path / "run")
    images = Run(run).table("images")
    distance = scale * images["hull_distance"]
    RunWriter(run).write_table("images", images.assign(hull_distance=distance))
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        relabel(run, catalogue, out, reporter=Interrupting("relabelling", 80), shard_images=40)
    selfml = command_line(monkeypatch, capsys)
    options = ("--shard-images", 40, "--no-thumbnails")
    one_line(selfml("relabel", run, catalogue, "--out", out, *options), "add --resume")
    other = ("--shard-images", 41, "--no-thumbnails", "--resume")
    one_line(
        selfml("relabel", run, catalogue, "--out", out, *other), "begun with --shard-images 40"
    )
    done = go(run, catalogue, out, resume=True)
    assert bool(done.warning) == warned
    selfml = selfml("relabel", run, catalogue, "--out", tmp_path / "again", *options)
    assert selfml.out.count("Warning: ") == warned
    if warned:
        limit = np.quantile(distance[images["split"] != "clean_train"], 0.99)
        far = Run(out).table("images").query("split == 'noisy_test'")["hull_distance"] > limit
        assert f"({far.sum()} of 150)" in done.warning
        assert far.sum() > 75
        assert done.warning in selfml.out.splitlines()


def test_its_corrected_labels_are_exported_without_the_basis_images(relabelled, tmp_path):
    """Those are of the catalogue that was trained on, and this shop never had them."""
    shutil.copytree(relabelled, tmp_path / "run")
    RunWriter(tmp_path / "run").update(dataset={})  # as of Parquet files: no table to go by
    run = Run(tmp_path / "run")
    n_basis = run.table("basis")["image_index"].nunique()
    done = export(run, tmp_path / "out.csv")
    assert done.n_rows == run.info["n_images"] - n_basis == 150
    rows = pd.read_csv(done.labels_file, dtype=str, keep_default_na=False)
    assert not rows["file_name"].str.contains("basis image").any()
    kept = np.setdiff1d(np.arange(run.info["n_images"]), run.table("basis")["image_index"])
    found = rows[run.attributes].replace("", "-1").astype(int).to_numpy()
    np.testing.assert_array_equal(found, run.array("labels_corrected")[kept])
    assert done.n_changed_cells == done.n_flips == len(run.table("flips")) > 20
    assert outlook(run, run.table("flips"))[1] == 0
    assert compare(done.labels_file, done.labels_file).same


def test_its_source_is_exported_in_its_own_format(relabelled, catalogue, tmp_path):
    run = Run(relabelled)
    done = export(run, tmp_path / "out.csv")
    assert done.from_input
    before = pd.read_csv(catalogue / "labels.csv", dtype=str, keep_default_na=False)
    after = pd.read_csv(done.labels_file, dtype=str, keep_default_na=False)
    assert list(before) == list(after)
    assert before["file_name"].tolist() == after["file_name"].tolist()
    assert int((before != after).to_numpy().sum()) == done.n_changed_cells >= done.n_flips > 20
