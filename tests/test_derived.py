"""Runs with other labels of basis images: everything follows, nothing is lost or half there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selfml import derived, evaluate, flips, trust
from selfml.counterfactual import read_counterfactuals
from selfml.derived import ExpertLabels, Relabelled, write_relabelled
from selfml.export import export
from selfml.oracle import asked_images, expert_labels, label_order
from selfml.receipts import receipt
from selfml.run import Run, RunError, RunWriter, list_runs
from selfml.trust_measures import trust_measures
from tests.oracle_cases import build_unverified_run, flips_of, full_recomputation, rewrite_labels
from tests.tiny_dataset import open_shop, read_csv
from tests.tiny_run import build_tiny_run

ATOMS = np.array([2, 0, 6])


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Nobody writes into it; one label of a verified atom, and one of another, are not known."""
    path = build_unverified_run(tmp_path_factory.mktemp("derived") / "parent")
    run, writer = Run(path), RunWriter(path)
    labels = np.array(run.array("basis_labels"))
    labels[1, 2] = labels[4, 1] = -1
    writer.write_array("basis_labels", labels)
    rewrite_labels(path)
    writer.write_table("metrics", evaluate.evaluate(run)[0])
    writer.write_table("attribute_metrics", evaluate.evaluate(run)[1])
    for name, table in zip(("reliability", "realised"), trust_measures(run)[:2], strict=True):
        writer.write_table(name, table)
    return run


@pytest.fixture(scope="module")
def expert(parent: Run) -> ExpertLabels:
    """The right labels of three atoms; a person could not tell one of them."""
    labels = np.load(parent.path / "right_labels.npy")[ATOMS]
    labels[1, 3] = -1
    return ExpertLabels(ATOMS, labels)


@pytest.fixture(scope="module")
def done(parent: Run, expert: ExpertLabels) -> Relabelled:
    return write_relabelled(parent, expert, parent.path.with_name("child"), who="anna")


@pytest.fixture(scope="module")
def child(done: Relabelled) -> Run:
    return Run(done.path)


def contents(folder: Path) -> dict[Path, bytes]:
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# ---------------------------------------------------------------- what follows the labels, and how
def test_everything_equals_a_full_recomputation(parent: Run, child: Run, expert: ExpertLabels):
    labels = np.array(parent.array("basis_labels"))
    labels[ATOMS] = expert.labels
    np.testing.assert_array_equal(child.array("basis_labels"), labels)
    terms, scores = full_recomputation(child)  # from the new basis labels and the stored terms
    np.testing.assert_allclose(child.array("label_scores"), scores, atol=1e-6)
    given = child.array("labels_given")
    np.testing.assert_array_equal(
        child.array("labels_corrected"), flips.corrected_labels(given, terms.score)
    )
    np.testing.assert_array_equal(
        child.array("labels_strict"), flips.corrected_labels(given, terms.strict_score)
    )
    assert (child.array("labels_corrected") != parent.array("labels_corrected")).sum() > 5
    expected, found = flips_of(child), child.table("flips")
    own = [name for name in expected if name not in ("confidence", "auto_accept")]
    pd.testing.assert_frame_equal(found[own], expected[own], atol=1e-6, rtol=0)


def test_a_strict_run_follows_by_strict_evidence(parent: Run, expert: ExpertLabels, tmp_path: Path):
    path = shutil.copytree(parent.path, tmp_path / "strict")
    RunWriter(path).write_text("config.toml", '[flips]\nmode = "strict"\n')
    rewrite_labels(path)
    child = Run(write_relabelled(Run(path), expert, tmp_path / "child", who="anna").path)
    expected, found = flips_of(child), child.table("flips")
    assert found["score"].to_numpy() == pytest.approx(expected["score"].to_numpy(), abs=1e-6)
    np.testing.assert_array_equal(child.array("labels_corrected"), child.array("labels_strict"))
    corrected = np.array(child.array("labels_given"))
    corrected[found["image_index"], found["attribute_index"]] = found["corrected"]
    np.testing.assert_array_equal(child.array("labels_corrected"), corrected)


def test_terms_of_every_flip_add_up_and_receipts_agree(child: Run):
    found = child.table("flips")
    terms = ["bias", "basis", "given", "classifier", "residual"]
    total = found[[f"term_{name}" for name in terms]].sum(axis=1)
    assert total.to_numpy() == pytest.approx(found["score"].to_numpy(), abs=1e-6)
    strict = found[["strict_bias", "strict_basis", "term_given"]].sum(axis=1)
    assert strict.to_numpy() == pytest.approx(found["strict_score"].to_numpy(), abs=1e-6)
    for row in found.itertuples():
        of = receipt(child, row.image_index, row.attribute_index)
        assert of.score == pytest.approx(row.score, abs=1e-6)
        assert of.strict_score == pytest.approx(row.strict_score, abs=1e-6)
        assert of.label_score == pytest.approx(row.label_score, abs=1e-6)
        stored = child.array("label_scores")[row.image_index, row.attribute_index]
        assert of.label_score == pytest.approx(float(stored), abs=1e-6)


def test_the_preview_is_what_comes(parent: Run, child: Run, expert: ExpertLabels, done: Relabelled):
    labels = {
        (int(k), j): int(label)
        for k, row in zip(expert.basis_index, expert.labels, strict=True)
        for j, label in enumerate(row)
    }
    changes = read_counterfactuals(parent).what_if(labels=labels).changes()
    old, new = parent.array("labels_corrected"), child.array("labels_corrected")
    i, j = np.nonzero(old != new)
    assert changes["image_index"].tolist() == i.tolist()
    assert changes["attribute_index"].tolist() == j.tolist()
    assert (done.n_new, done.n_gone) == ((~changes["falls"]).sum(), changes["falls"].sum())
    assert done.n_changed == len(changes) == len(i)
    before = parent.array("basis_labels")[ATOMS]
    assert done.n_labels == (before != expert.labels).sum()
    assert done.n_basis_images == 3


def test_what_leans_on_no_changed_label_stays_to_the_last_bit(parent: Run, child: Run):
    changed = parent.array("basis_labels") != child.array("basis_labels")
    leans = (parent.coefficients().toarray() > 0) @ changed
    untouched = leans == 0
    assert 0 < untouched.sum() < untouched.size
    for name in ("label_scores", "labels_corrected", "labels_strict"):
        np.testing.assert_array_equal(
            child.array(name)[untouched], parent.array(name)[untouched], name
        )

    def kept(run: Run) -> pd.DataFrame:
        table = run.table("flips")
        own = untouched[table["image_index"], table["attribute_index"]]
        return table[own].drop(columns="auto_accept").reset_index(drop=True)

    assert len(kept(child)) > 5
    pd.testing.assert_frame_equal(kept(child), kept(parent))


def test_labelled_basis_images_are_shown_by_the_image_that_was_seen(parent: Run, child: Run):
    asked = asked_images(parent)
    before, after = parent.table("basis"), child.table("basis")
    others = ~before["basis_index"].isin(ATOMS)
    pd.testing.assert_frame_equal(after[others], before[others])
    mine = after.loc[ATOMS]
    assert mine["image_index"].tolist() == asked[ATOMS].tolist()
    assert (mine["image_index"] != before.loc[ATOMS, "image_index"]).all()
    assert (mine["label_source"] == "oracle").all()
    assert mine["image_id"].tolist() == parent.table("images")["image_id"][asked[ATOMS]].tolist()
    c = parent.coefficients().toarray()[asked[ATOMS], ATOMS]
    assert mine["self_coefficient"].to_numpy() == pytest.approx(c)
    assert mine["distance"].to_numpy() == pytest.approx(0, abs=0.02)  # features are float16
    order = label_order(child, read_counterfactuals(child))
    assert order.set_index("basis_index").loc[ATOMS, "verified"].all()


def test_what_was_measured_is_what_evaluate_measures(child: Run, parent: Run):
    metrics, by_attribute, reliability, realised = evaluate.evaluate(child)
    key = ["method", "metric"]
    found = child.table("metrics").sort_values(key, ignore_index=True)
    pd.testing.assert_frame_equal(
        found, metrics.sort_values(key, ignore_index=True), check_dtype=False
    )
    key = ["attribute_index", "method", "metric"]
    found = child.table("attribute_metrics").sort_values(key, ignore_index=True)
    expected = by_attribute.sort_values(key, ignore_index=True)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    for name, table in (("reliability", reliability), ("realised", realised)):
        pd.testing.assert_frame_equal(child.table(name), table, check_dtype=False)
    old = parent.table("metrics").set_index(["method", "metric"])["value"]
    new = child.table("metrics").set_index(["method", "metric"])["value"]
    assert (
        new["self_ml", "label_accuracy_corrected_noisy"]
        > (old["self_ml", "label_accuracy_corrected_noisy"])
    )


# -------------------------------------------------------------------------- what is no longer said
def test_no_flip_is_accepted_without_a_look(parent: Run, child: Run):
    before, after = parent.table("trust"), child.table("trust")
    assert (before["status"] == "guaranteed").any()
    assert parent.table("flips")["auto_accept"].any()
    assert not child.table("flips")["auto_accept"].any()
    assert not (after["status"] == "guaranteed").any()
    assert after["threshold"].isna().all()
    assert after["lower_bound"].isna().all()
    assert (after["n_tested"] == 0).all()
    for _, row in after.iterrows():
        assert "basis images were labelled after training" in trust.guarantee(row)
    line = ["slope", "intercept", "n_images", "largest_covered_distance"]
    pd.testing.assert_frame_equal(after[line], before[line])


def test_too_few_images_set_aside_stay_the_reason(parent: Run, expert, tmp_path: Path):
    path = shutil.copytree(parent.path, tmp_path / "run")
    table = parent.table("trust").assign(status="no_held_out")
    RunWriter(path).write_table("trust", table)
    child = Run(write_relabelled(Run(path), expert, tmp_path / "child", who="anna").path)
    pd.testing.assert_frame_equal(child.table("trust"), table)


def test_confidence_follows_the_line_of_the_run(parent: Run, child: Run):
    table = child.table("flips")
    lines = parent.table("trust").set_index("direction")
    for direction, label in trust.DIRECTIONS.items():
        own = table[table["corrected"] == label]
        old = parent.table("flips")
        known = set(zip(old["image_index"], old["attribute_index"], strict=True))
        new = [
            key not in known for key in zip(own["image_index"], own["attribute_index"], strict=True)
        ]
        x = lines.loc[direction, "slope"] * own["score"].abs() + lines.loc[direction, "intercept"]
        expected = flips.sigmoid(x.to_numpy())[new]
        assert own["confidence"].to_numpy()[new] == pytest.approx(expected, abs=1e-6)


# --------------------------------------------------------------------------------- what is written
def test_the_run_before_is_untouched_and_shares_what_stays(parent: Run, done, child: Run):
    before = parent.path.stat()
    assert parent.info["status"] == "complete"
    for name in ("features.npy", "coefficients.parquet", "thumbnails.bin", "probabilities.npy"):
        assert os.path.samefile(parent.path / name, child.path / name)
    for name in ("flips.parquet", "basis_labels.npy", "run.json", "history.jsonl"):
        assert not os.path.samefile(parent.path / name, child.path / name)
    assert not (child.path / "model").exists()
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


# ------------------------------------------------------------------------------------------ export
def test_export_follows_and_says_of_the_labelled_images_what_the_person_said(
    parent, expert, tmp_path
):
    shop = open_shop(parent.path, tmp_path)
    child = Run(write_relabelled(shop.run, expert, tmp_path / "child", who="anna").path)
    done = export(child, tmp_path / "corrected.csv")
    header, *rows = read_csv(done.labels_file)
    at = header.index("file_name")
    cells = {row[at].replace("\\", "/"): row for row in rows}
    ids, names = child.table("images")["image_id"], [h.strip(" '") for h in header]
    for k, labels in zip(ATOMS, expert.labels, strict=True):
        row = cells[ids[asked_images(parent)[k]]]
        for name, label in zip(child.attributes, labels, strict=True):
            if label >= 0:
                assert row[names.index(name)].removesuffix(".0") == str(label)
    listed = read_csv(done.flips_file)[1:]
    images = set(ids[asked_images(parent)[ATOMS]])
    assert not [r for r in listed if r[0] in images and r[1] != child.attributes[3]]
    before = read_csv(export(shop.run, tmp_path / "before.csv").flips_file)[1:]
    assert {tuple(r[:2]) for r in listed} != {tuple(r[:2]) for r in before}
