"""Every number of a run's tables, computed again from its files by another way."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score, f1_score, jaccard_score

from selfml.evaluate import PROBABILITIES, corrected_probabilities, evaluate, store
from selfml.receipts import receipt
from selfml.run import Run, RunError
from selfml.run_format import METHODS
from tests.tiny_run import build_tiny_run

STORED = ("metrics", "attribute_metrics", "reliability", "realised")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """A tiny run of its own, with enough test images for every label to occur."""
    return Run(build_tiny_run(tmp_path_factory.mktemp("runs") / "evaluated", n_images=200, seed=3))


@pytest.fixture(scope="module")
def tables(run) -> tuple[pd.DataFrame, ...]:
    return evaluate(run)


@pytest.fixture(scope="module")
def value(tables):
    found = tables[0].set_index(["method", "metric"])["value"]
    assert found.index.is_unique
    return lambda method, metric: float(found[method, metric])


def rows(run, *splits):
    return np.flatnonzero(run.table("images")["split"].isin(splits))


@pytest.mark.parametrize("method", METHODS)
def test_table_1_is_measured_on_clean_test_alone(run, value, method):
    test = rows(run, "clean_test")
    truth = np.asarray(run.array("labels_true")[test])
    scores = np.asarray(run.array(PROBABILITIES[method])[test], np.float64)
    assert (truth >= 0).all()
    columns = truth.any(0) & ~truth.all(0)
    macro = average_precision_score(truth[:, columns], scores[:, columns], average="macro")
    assert value(method, "map") == pytest.approx(100 * macro)
    micro = average_precision_score(truth, scores, average="micro")
    assert value(method, "ap_all") == pytest.approx(100 * micro)
    said = scores >= 0.5
    exact = (said == (truth == 1)).all(1).mean()
    assert value(method, "exact_match") == pytest.approx(100 * exact)
    union = (said | (truth == 1)).any(1)
    jaccard = jaccard_score(truth[union], said[union], average="samples")
    jaccard = (jaccard * union.sum() + (~union).sum()) / len(union)
    assert value(method, "jaccard") == pytest.approx(100 * jaccard, abs=1e-6)
    assert value(method, "of1") == pytest.approx(100 * f1_score(truth, said, average="micro"))


def test_flips_of_the_clean_test_images(run, value):
    test = rows(run, "clean_test")
    check_flips(run, value, "self_ml", "labels_corrected", test, "")
    check_flips(run, value, "self_ml", "labels_strict", test, "_strict")


def test_flips_of_noisy_images_whose_truth_is_known(run, value):
    noisy = rows(run, "noisy_train", "noisy_test")
    assert (run.array("labels_true")[noisy] < 0).any()
    check_flips(run, value, "self_ml", "labels_corrected", noisy, "_noisy")
    check_flips(run, value, "self_ml", "labels_strict", noisy, "_strict_noisy")


def check_flips(run, value, method, array, which, suffix):
    given, truth, corrected = (
        np.asarray(run.array(n)[which]).ravel() for n in ("labels_given", "labels_true", array)
    )
    judged = (given >= 0) & (truth >= 0)
    given, truth, corrected = given[judged], truth[judged], corrected[judged]
    made, needed = corrected != given, truth != given
    hits = (made & needed).sum()
    expected = {
        "flip_precision": hits / made.sum(),
        "flip_recall": hits / needed.sum(),
        "flip_f1": 2 * hits / (made.sum() + needed.sum()),
        "label_accuracy_given": (given == truth).mean(),
        "label_accuracy_corrected": (corrected == truth).mean(),
        "to_1_recall": (made & needed)[given == 0].sum() / needed[given == 0].sum(),
        "to_0_precision": (made & needed)[given == 1].sum() / made[given == 1].sum(),
    }
    for name, number in expected.items():
        assert value(method, f"{name}{suffix}") == pytest.approx(100 * number), name


def test_thresholded_baseline_1_is_judged_as_a_correction(run, value):
    test = rows(run, "clean_test")
    said = np.asarray(run.array("probabilities_baseline_1")[test]) > 0.5
    given, truth = run.array("labels_given")[test], run.array("labels_true")[test]
    judged = (given >= 0) & (truth >= 0)
    expected = 100 * (said == (truth == 1))[judged].mean()
    assert value("baseline_1", "label_accuracy_corrected") == pytest.approx(expected)


def test_finding_wrong_labels(run, value):
    test = rows(run, "clean_test")
    p = corrected_probabilities(run)[test]
    given, truth = run.array("labels_given")[test], run.array("labels_true")[test]
    judged = (given >= 0) & (truth >= 0)
    wrong = np.where(given == 1, 1 - p, p)
    expected = average_precision_score((given != truth)[judged], wrong[judged])
    assert value("self_ml", "label_error_auprc") == pytest.approx(100 * expected)


def test_corrected_probabilities_are_those_of_receipts(run):
    found = corrected_probabilities(run)
    for i, j in [(0, 0), (7, 3), (28, 5), (199, 2)]:
        expected = 1 / (1 + np.exp(-receipt(run, i, j).score))
        assert found[i, j] == pytest.approx(expected, abs=1e-6)


def test_explanations(run, value):
    c = run.coefficients().toarray()
    basis = run.table("basis")
    labels = run.array("basis_labels")
    used = c.max(0) > 0.05
    assert value("self_ml", "atoms_used") == used.sum()
    mass = np.sort(c.sum(0))[::-1].cumsum() / c.sum()
    assert value("self_ml", "atoms_95") == np.argmax(mass >= 0.95 - 1e-9) + 1
    assert value("self_ml", "nonzeros_per_image") == pytest.approx((c > 0).sum(1).mean())
    own = c[basis["image_index"], np.arange(len(basis))]
    assert value("self_ml", "self_coefficient") == pytest.approx(100 * own[used].mean())
    assert value("self_ml", "labels_covered") == (labels[used] == 1).any(0).sum()
    category = run.table("images")["category"].to_numpy()[basis["image_index"][used]]
    assert value("self_ml", "categories_covered") == pd.Series(category).nunique()


def test_explained_variance(run, value):
    noisy = rows(run, "noisy_train", "noisy_test")
    x = np.asarray(run.array("features"), np.float64)[noisy]
    rebuilt = (run.coefficients() @ np.asarray(run.array("basis"), np.float64))[noisy]
    total = np.square(x - x.mean(0)).sum()
    r2 = 1 - np.square(x - rebuilt).sum() / total
    assert value("self_ml", "r2") == pytest.approx(100 * r2, abs=1e-4)
    hull = run.table("images")["hull_distance"].to_numpy(np.float64)[noisy]
    assert value("self_ml", "r2_hull") == pytest.approx(100 * (1 - (hull**2).sum() / total))
    k = int(value("self_ml", "atoms_used")) - 1
    pca = PCA(k).fit(x).explained_variance_ratio_.sum()
    assert value("self_ml", "r2_pca") == pytest.approx(100 * pca, abs=1e-3)
    assert value("self_ml", "r2") <= value("self_ml", "r2_pca")


def test_counts(run, value):
    noisy, clean = rows(run, "noisy_train", "noisy_test"), rows(run, "clean_train", "clean_test")
    for name, array, which in (
        ("given", "labels_given", noisy),
        ("corrected", "labels_corrected", noisy),
        ("verified", "labels_true", clean),
    ):
        expected = (run.array(array)[which] == 1).sum(1).mean()
        assert value("self_ml", f"labels_per_image_{name}") == pytest.approx(expected)
    agree = run.table("flips")["strict_agrees"].mean()
    assert value("self_ml", "flips_strict_agree") == pytest.approx(100 * agree)


def test_tables_have_definitions_and_no_blanks(tables):
    metrics, by_attribute, *_ = tables
    assert metrics["value"].notna().all()
    assert metrics["definition"].str.len().min() > 10
    assert by_attribute["value"].notna().all()
    assert not by_attribute.duplicated(["attribute_index", "method", "metric"]).any()


def test_by_attribute(run, tables):
    table = tables[1].set_index(["attribute_index", "method", "metric"])
    test = rows(run, "clean_test")
    truth = run.array("labels_true")[test]
    for j in range(truth.shape[1]):
        ap = {
            m: 100 * average_precision_score(truth[:, j], run.array(PROBABILITIES[m])[test][:, j])
            for m in METHODS
        }
        for method in METHODS:
            assert table.loc[(j, method, "ap"), "value"] == pytest.approx(ap[method])
            assert table.loc[(j, method, "ap"), "support"] == (truth[:, j] == 1).sum()
        for metric, baseline in (("ap_gain", "baseline_1"), ("ap_gain_baseline_0", "baseline_0")):
            gain = table.loc[(j, "self_ml", metric)]
            assert gain["value"] == pytest.approx(ap["self_ml"] - ap[baseline])
            assert gain["low"] <= gain["value"] <= gain["high"]
    flips = run.table("flips")
    for suffix, part in (
        ("", flips),
        ("_clean_test", flips[flips["image_index"].isin(test)]),
    ):
        for j in range(truth.shape[1]):
            for new in (0, 1):
                mine = part[(part["attribute_index"] == j) & (part["corrected"] == new)]
                counts = {
                    "": len(mine),
                    "_judged": (mine["truth"] >= 0).sum(),
                    "_correct": (mine["truth"] == new).sum(),
                }
                for kind, count in counts.items():
                    name = f"flips_to_{new}{kind}{suffix}"
                    assert table.loc[(j, "self_ml", name), "value"] == count, name


def test_noisy_labels_change_nothing_of_table_1(run, tmp_path):
    """Only clean_test is measured: other truth of other images moves no row of Table 1."""
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    truth = np.array(run.array("labels_true"))
    others = np.setdiff1d(np.arange(len(truth)), rows(run, "clean_test"))
    truth[others] = np.where(truth[others] >= 0, 1 - truth[others], -1)
    np.save(copy / "labels_true.npy", truth)
    before, after = evaluate(run), evaluate(Run(copy))
    names = ["map", "ap_all", "exact_match", "flip_f1", "label_error_auprc"]
    one, other = (t[0][t[0]["metric"].isin(names)].reset_index(drop=True) for t in (before, after))
    pd.testing.assert_frame_equal(one, other)
    assert not before[0]["value"].equals(after[0]["value"])  # the _noisy ones do change


def test_without_truth_of_noisy_images_there_are_no_noisy_rows(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    truth = np.array(run.array("labels_true"))
    truth[rows(run, "noisy_train", "noisy_test")] = -1
    np.save(copy / "labels_true.npy", truth)
    metrics, *_ = evaluate(Run(copy))
    assert not metrics["metric"].str.endswith("_noisy").any()
    assert metrics["value"].notna().all()


def test_features_that_do_not_vary_have_no_r2(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run.path, copy)
    np.save(copy / "features.npy", np.ones_like(run.array("features")))
    metrics, *_ = evaluate(Run(copy))
    assert not metrics["metric"].isin(["r2", "r2_hull", "r2_pca"]).any()


def test_store_writes_the_same_again(run, tables, tmp_path):
    copy = Run(shutil.copytree(run.path, tmp_path / "copy"))
    store(copy, *tables)
    first = [(copy.path / f"{n}.parquet").read_bytes() for n in STORED]
    store(copy, *evaluate(copy))
    again = [(copy.path / f"{n}.parquet").read_bytes() for n in STORED]
    assert first == again
    pd.testing.assert_frame_equal(copy.table("metrics"), tables[0], check_dtype=False)


def test_an_unfinished_run_is_one_line(tmp_path):
    path = build_tiny_run(tmp_path / "running", status="running")
    with pytest.raises(RunError, match=r"--resume") as caught:
        evaluate(Run(path))
    assert "\n" not in str(caught.value)
