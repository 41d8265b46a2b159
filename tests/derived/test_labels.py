"""What follows other labels of basis images: scores, flips, measures, exports."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selfml import evaluate, flips, trust
from selfml.counterfactual import read_counterfactuals
from selfml.derived import ExpertLabels, Relabelled, write_relabelled
from selfml.export import export, verified_by_experts
from selfml.oracle import asked_images, label_order
from selfml.receipts import receipt
from selfml.run import Run, RunWriter
from tests.derived.conftest import ATOMS
from tests.oracle_cases import flips_of, full_recomputation, rewrite_labels
from tests.tiny_dataset import open_shop, read_csv


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


def test_a_label_that_an_expert_withdrew_is_not_verified(parent, child, expert, tmp_path):
    """Who said yes and later "cannot tell" has verified nothing."""
    image = int(asked_images(parent)[ATOMS[0]])
    nothing = np.full((parent.array("labels_given").shape), -1, np.int8)
    said = verified_by_experts(child, nothing)[image]
    np.testing.assert_array_equal(said, expert.labels[0])
    withdrawn = ExpertLabels(ATOMS[:1], np.full((1, len(said)), -1, np.int8))
    later = Run(write_relabelled(child, withdrawn, tmp_path / "later", who="anna").path)
    assert (said >= 0).any()
    assert (verified_by_experts(later, nothing)[image] == -1).all()
    others = np.delete(np.arange(len(nothing)), image)
    np.testing.assert_array_equal(
        verified_by_experts(later, nothing)[others], verified_by_experts(child, nothing)[others]
    )
