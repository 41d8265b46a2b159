"""Relabelling by a tiny run: what the run itself says, whatever the source, however stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from selfml.data.dataset import DatasetError
from selfml.flips import read_evidence_model
from selfml.nn.fitting import Interrupted
from selfml.progress import Reporter
from selfml.receipts import receipt
from selfml.relabel import parts
from selfml.relabel.start import Done, Engine, relabel
from selfml.run import Run, RunError
from selfml.train import train
from tests.training import Interrupting, tiny_config

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
QUIET = Reporter(quiet=True)
SHARD = 40
LIMIT_KIB = 30 * 1024
ARRAYS = ("features", "label_scores", "terms_classifier", "terms_residual")
# Everything that changes how features are made: pixels, other layers, fewer features, categories.
OTHERWISE = (
    *("train.cache_gib=0", "train.finetune_layers=all", "train.mixed_precision=true"),
    *("basis.features=head", "flips.bands_weight=0", "head.category=true", "flips.mode=strict"),
)


def go(run: Path, source: Path, out: Path, **how) -> Done:
    return relabel(run, source, out, reporter=QUIET, **{"shard_images": SHARD, **how})


def rows_of(out: Path) -> pd.DataFrame:
    """All parts, one after the other."""
    tables = [pq.read_table(path) for path in sorted((out / parts.PARTS).glob("*.parquet"))]
    return pa.concat_tables(tables).to_pandas()


def same_parts(one: Path, other: Path) -> None:
    names = sorted(path.name for path in (one / parts.PARTS).iterdir())
    assert names == sorted(path.name for path in (other / parts.PARTS).iterdir())
    for name in names:
        a, b = (pq.read_table(folder / parts.PARTS / name) for folder in (one, other))
        assert a.equals(b), name


@pytest.fixture(scope="module")
def relabelled(trained, catalogue, tmp_path_factory) -> Path:
    """The tiny catalogue relabelled by the run that was trained on it."""
    out = tmp_path_factory.mktemp("relabelled") / "again"
    done = go(trained, catalogue, out)
    assert (done.n_images, done.n_unreadable) == (150, 0)
    return out


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
        atol = 4e-3 if name == "features" else 1e-4  # features are stored as float16
        np.testing.assert_allclose(y, x, atol=atol, err_msg=name)
    c, d = before.coefficients()[rows], after.coefficients()[place]
    assert abs(c - d).max() < 1e-4
    np.testing.assert_allclose(
        again["hull_distance"][place], images["hull_distance"][rows], rtol=0.02, atol=1e-3
    )
    flips, found = before.table("flips"), after.table("flips")
    near = np.zeros((len(images), len(before.attributes)), bool)
    weak = flips[["score", "strict_score"]].abs().min(axis=1) < 1e-3
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
    np.testing.assert_allclose(both["score_again"], both["score"], atol=1e-3)
    np.testing.assert_allclose(both["confidence_again"], both["confidence"], atol=1e-4)


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


# ------------------------------------------------------------------------------------------ sources
def as_parquet(catalogue: Path, folder: Path, form: str) -> Path:
    """The catalogue in two Parquet files, of ten rows a group."""
    folder.mkdir()
    labels = pd.read_csv(catalogue / "labels.csv")
    data = [(catalogue / name).read_bytes() for name in labels["file_name"]]
    struct = [{"bytes": value, "path": None} for value in data]
    images = {"image": struct} if form == "struct" else {"image_bytes": data}
    table = pa.Table.from_pandas(labels, preserve_index=False)
    for name, values in images.items():
        table = table.append_column(name, pa.array(values))
    pq.write_table(table.slice(0, 97), folder / "a.parquet", row_group_size=10)
    pq.write_table(table.slice(97), folder / "b.parquet", row_group_size=10)
    return folder


@pytest.mark.parametrize("form", ["bytes", "struct", "csv"])
def test_all_sources_say_the_same(trained, catalogue, relabelled, tmp_path, form):
    source = catalogue / "labels.csv"
    if form != "csv":
        source = as_parquet(catalogue, tmp_path / "shards", form)
    go(trained, source, tmp_path / "out")
    same_parts(relabelled, tmp_path / "out")


def test_a_dataset_with_images_in_parquet_has_the_labels_beside_it(
    trained, catalogue, relabelled, tmp_path
):
    names = pd.read_csv(catalogue / "labels.csv")["file_name"]
    data = [(catalogue / name).read_bytes() for name in names]
    (tmp_path / "shop").mkdir()
    pq.write_table(
        pa.table({"file_name": names, "image_bytes": data}), tmp_path / "shop" / "images.parquet"
    )
    shutil.copy(catalogue / "labels.csv", tmp_path / "shop")
    go(trained, tmp_path / "shop", tmp_path / "out")
    same_parts(relabelled, tmp_path / "out")


def test_what_cannot_be_read_is_a_row_with_an_error(trained, catalogue, relabelled, tmp_path):
    """Truncated, a bomb, missing, outside, listed twice, a label that is none: others as before."""
    root = shutil.copytree(catalogue, tmp_path / "shop")
    table = pd.read_csv(root / "labels.csv", dtype=str)
    names = table["file_name"].tolist()
    whole = (root / names[0]).read_bytes()
    (root / names[0]).write_bytes(whole[: len(whole) // 2])
    head = b"IHDR" + (60_000).to_bytes(4) * 2 + b"\x08\x02\0\0\0"
    bomb = b"\x89PNG\r\n\x1a\n\0\0\0\r" + head + zlib.crc32(head).to_bytes(4)
    bomb += b"\0\0\0\1IDATx" + zlib.crc32(b"IDATx").to_bytes(4)
    (root / names[41]).write_bytes(bomb)
    (root / names[42]).unlink()
    (tmp_path / "secret.jpg").write_bytes(whole)
    table.loc[43, "file_name"] = "../secret.jpg"
    table.loc[44, "file_name"] = names[45]
    table.iloc[46, -1] = "maybe"
    table.to_csv(root / "labels.csv", index=False)
    (root / names[149]).write_bytes(b"")
    done = go(trained, root, tmp_path / "out")
    errors = rows_of(tmp_path / "out")["error"]
    assert done.n_unreadable == errors.notna().sum() == 7
    assert (done.n_images, len(errors)) == (143, 150)
    for row, word in (
        (0, "truncated"), (41, "limit"), (42, "missing"), (43, "'..'"), (45, "listed before"),
        (46, "not 'maybe'"), (149, "empty"),
    ):  # fmt: skip
        assert word in errors[row], (row, errors[row])
    run, before = Run(tmp_path / "out"), Run(relabelled)
    assert run.is_complete
    assert run.info["unreadable"][0][0] == names[0]
    ids, old = run.table("images")["image_id"], before.table("images")["image_id"]
    place = dict(zip(old, range(len(old)), strict=True))
    moved = names[45]  # by its second line it is filed elsewhere
    found = [(i, place[name]) for i, name in enumerate(ids) if i >= 30 and name != moved]
    here, there = map(list, zip(*found, strict=True))
    np.testing.assert_allclose(
        run.array("label_scores")[here], before.array("label_scores")[there], atol=1e-5
    )


def test_a_damaged_parquet_file_costs_its_own_rows(trained, catalogue, tmp_path):
    folder = as_parquet(catalogue, tmp_path / "shards", "bytes")
    file = pq.ParquetFile(folder / "a.parquet")
    column = file.metadata.row_group(3).column(file.schema_arrow.names.index("image_bytes"))
    with open(folder / "a.parquet", "r+b") as opened:
        opened.seek(column.data_page_offset)
        opened.write(b"\xff" * 200)
    done = go(trained, folder, tmp_path / "out")
    errors = rows_of(tmp_path / "out")["error"]
    assert done.n_unreadable == 10
    assert errors.notna().to_numpy().nonzero()[0].tolist() == list(range(30, 40))


def test_a_shard_without_a_readable_image(trained, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.jpg").write_bytes(b"no photo")
    done = go(trained, folder, tmp_path / "out")
    assert (done.n_images, done.n_unreadable) == (0, 3)
    assert rows_of(tmp_path / "out")["label_score"].isna().all()
    assert Run(tmp_path / "out").is_complete


# ----------------------------------------------------------------------------- stopped and gone on
def test_a_stopped_run_goes_on_to_the_same_result(trained, catalogue, relabelled, tmp_path):
    out = tmp_path / "out"
    how = {"shard_images": SHARD, "engine": Engine(n_threads=1)}
    with pytest.raises(Interrupted):
        relabel(trained, catalogue, out, reporter=Interrupting("relabelling", 80), **how)
    assert parts.finished_shards(out) == {0, 1}
    assert Run(out).info["status"] == "running"
    with pytest.raises(FileExistsError, match="add --resume"):
        go(trained, catalogue, out)
    before = [path.stat().st_mtime_ns for path in sorted((out / parts.PARTS).iterdir())]
    go(trained, catalogue, out, resume=True)
    after = [path.stat().st_mtime_ns for path in sorted((out / parts.PARTS).iterdir())]
    assert after[:2] == before
    same_parts(relabelled, out)
    with pytest.raises(FileExistsError, match="complete"):
        go(trained, catalogue, out, resume=True)


def test_a_killed_run_loses_and_doubles_nothing(trained, catalogue, relabelled, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "selfml.cli", "relabel", trained, catalogue, "--out", out]
    command += ["--shard-images", "5"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        list(map(str, command)), env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + 120
    while len(parts.finished_shards(out)) < 3:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = parts.finished_shards(out)
    (out / parts.PARTS / ".part-000029.parquet.1.abc.tmp").write_bytes(b"half a part")
    go(trained, catalogue, out, resume=True)
    assert 3 <= len(kept) < 30
    assert len(parts.finished_shards(out)) == 30
    assert not list(out.rglob("*.tmp"))
    a, b = rows_of(relabelled), rows_of(out)
    assert b["image_id"].tolist() == a["image_id"].tolist()
    for name in ("label_score", "score", "confidence"):
        np.testing.assert_allclose(np.stack(b[name]), np.stack(a[name]), atol=1e-5)
    for name in ("labels_corrected", "labels_given", "label_scores"):
        x, y = Run(relabelled).array(name), Run(out).array(name)
        np.testing.assert_allclose(np.asarray(y, float), x, atol=1e-5)


def test_what_changed_since_is_not_gone_on_with(trained, catalogue, tmp_path):
    root, out = shutil.copytree(catalogue, tmp_path / "shop"), tmp_path / "out"
    with pytest.raises(Interrupted):
        relabel(
            trained, root, out, reporter=Interrupting("relabelling", 40), shard_images=SHARD,
            engine=Engine(n_threads=1),
        )  # fmt: skip
    with pytest.raises(FileExistsError, match="another --coefficients"):
        go(trained, root, out, resume=True, coefficients="projection")
    table = pd.read_csv(root / "labels.csv", dtype=str)
    table.iloc[7, 4] = ""
    table.to_csv(root / "labels.csv", index=False)
    with pytest.raises(FileExistsError, match="lists other images or labels"):
        go(trained, root, out, resume=True)


def test_memory_does_not_grow_with_the_number_of_shards(trained, catalogue, tmp_path):
    """Ten times the images in ten times the shards; in a process of its own."""
    program = (
        "import resource, sys\n"
        "from selfml.progress import Reporter\n"
        "from selfml.relabel.start import relabel\n"
        "run, few, many, out = sys.argv[1:]\n"
        "for source in (few, few, many):\n"
        "    place = f'{out}-{source[-4:]}-{resource.getrusage(0).ru_utime}'\n"
        "    relabel(run, source, place, shard_images=50, reporter=Reporter(quiet=True))\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    names = sorted((catalogue / "images").rglob("*.jpg"))
    for folder, times in (("few", 1), ("many", 10)):
        (tmp_path / folder).mkdir()
        for i in range(times * len(names)):
            os.link(names[i % len(names)], tmp_path / folder / f"{i:05d}.jpg")
    arguments = [trained, tmp_path / "few", tmp_path / "many", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], cwd=ROOT, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    first, again, many = map(int, done.stdout.split())
    assert first <= again
    assert many - again < LIMIT_KIB


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
