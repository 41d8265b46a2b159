"""The benchmark from end to end on a tiny catalogue: resuming, budgets, and what must not leak."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from selfml.benchmark.methods import DEFAULT, all_methods, chosen_methods
from selfml.benchmark.prepare import Seed
from selfml.benchmark.problem import Outcome
from selfml.benchmark.run import Benchmark, Plan, measure, parse_budgets
from selfml.data.garments import write_catalogue
from selfml.progress import Reporter
from tests.training import assert_same, tiny_config

FAST = ("baseline_0", "baseline_1", "clean_only", "knn", "acquire")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalogue") / "shop"
    write_catalogue(folder, n_images=240, size_px=32, seed=3, clean_fraction=0.4, n_workers=1)
    return folder


def bench(root, out, methods=FAST, budgets=("20", "all"), seeds=(0,)) -> Benchmark:
    plan = Plan(tuple(methods), tuple(seeds), tuple(budgets))
    config = tiny_config("train.pretrain_steps=4", "train.finetune_steps=3")
    return Benchmark(root, out, config, plan, Reporter(quiet=True))


def test_budgets_are_numbers_or_all():
    assert parse_budgets("50, 200,all") == ("50", "200", "all")
    for text in ("", "5", "-50", "1e3", "some"):
        with pytest.raises(ValueError, match="--budgets"):
            parse_budgets(text)


def test_methods_are_known_by_name():
    assert chosen_methods("knn, self_ml") == ["knn", "self_ml"]
    assert chosen_methods("default") == list(DEFAULT)
    assert set(DEFAULT) <= set(chosen_methods("all"))
    with pytest.raises(ValueError, match="no method fiftyone"):
        chosen_methods("knn,fiftyone")


def test_a_method_without_clean_labels_is_run_once():
    plan = Plan(("baseline_0", "knn"), (0,), ("20", "all"))
    assert plan.cells(all_methods()) == [("baseline_0", "-"), ("knn", "20"), ("knn", "all")]


@pytest.mark.slow
def test_what_is_done_is_not_done_again(catalogue, tmp_path):
    bench(catalogue, tmp_path, budgets=("20",)).run("selfml benchmark shop --budgets 20")
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "cells").iterdir()}
    bench(catalogue, tmp_path).run("selfml benchmark shop")
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    frame = pd.read_parquet(tmp_path / "results.parquet")
    own = frame[~frame["method"].str.startswith("acquire")]
    assert set(map(tuple, own[["method", "budget"]].drop_duplicates().to_numpy())) == {
        ("baseline_0", "-"),
        *((name, budget) for name in FAST[1:4] for budget in ("20", "all")),
    }
    text = (tmp_path / "RESULTS.md").read_text()
    assert "selfml benchmark shop --budgets 20\nselfml benchmark shop\n" in text
    value = own.query("method == 'knn' and budget == 'all' and metric == 'map'")["value"].item()
    assert f"{value:.2f}" in text or f"{value:.1f}" in text
    with pytest.raises(FileExistsError, match="other settings"):
        Benchmark(catalogue, tmp_path, tiny_config(), Plan(FAST, (0,), ("all",)), Reporter())


@pytest.mark.slow
def test_labels_of_test_images_reach_no_method(catalogue, tmp_path):
    """A planted leak: with the verified labels of C_test turned over, every method says the same.

    The oracle alone may know truth; it is given it apart, and trains on training images only.
    """
    import shutil

    other = tmp_path / "turned"
    shutil.copytree(catalogue, other)
    clean = pd.read_csv(other / "clean.csv")
    names = [c for c in clean.columns if c not in ("file_name", "split", "category")]
    rows = clean["split"] == "test"
    clean.loc[rows, names] = 1 - clean.loc[rows, names]
    clean.to_csv(other / "clean.csv", index=False)
    said = {}
    for kind, root in (("as it is", catalogue), ("turned", other)):
        run = bench(root, tmp_path / kind)
        seed = Seed(
            root, run.config, tmp_path / kind / "seed", reporter=run.reporter, stop=run.stop
        )
        for name in ("baseline_1", "knn", "self_ml", "oracle"):
            data = seed.data_of(20)
            with seed.problem(data, name) as problem:
                outside = np.setdiff1d(np.arange(len(problem.given)), problem.clean_rows)
                assert (problem.verified[outside] == -1).all()
                said[kind, name] = all_methods(seed.data.true)[name].run(problem)
        said[kind, "scores"] = measure(said[kind, "knn"], seed.data)
    for name in ("baseline_1", "knn", "self_ml", "oracle"):
        one, two = said["as it is", name], said["turned", name]
        assert_same(one.probabilities, two.probabilities, name)
        if one.label_score is not None:
            assert_same(one.label_score, two.label_score, name)
    assert dict(said["as it is", "scores"])["map"] != dict(said["turned", "scores"])["map"]


def test_an_outcome_that_knows_the_truth_measures_perfect(catalogue, tmp_path):
    """The guard above would see a leak: labels that know the truth have nothing left to correct."""
    run = bench(catalogue, tmp_path)
    seed = object.__new__(Seed)
    from selfml.data.dataset import read_dataset
    from selfml.data.splits import make_splits
    from selfml.training_data import TrainingData, labels_for_training

    dataset = read_dataset(catalogue)
    splits = make_splits(dataset, clean_samples=20, seed=0)
    verified, true = labels_for_training(dataset, splits)
    seed.data = TrainingData(dataset, splits, None, dataset.labels_given, verified, true, None)
    leaked = Outcome(np.clip(true, 0, 1).astype(float), 2.0 * true - 1.0)
    found = dict(measure(leaked, seed.data))
    assert found["label_accuracy"] == found["flip_f1"] == found["exact_match"] == 100.0
    assert run.plan.methods == FAST


@pytest.mark.slow
def test_validation_images_are_learned_from_by_nobody(catalogue, tmp_path):
    run = bench(catalogue, tmp_path)
    seed = Seed(catalogue, run.config, tmp_path / "s", reporter=run.reporter, stop=run.stop)
    data = seed.data_of(20)
    left = np.setdiff1d(seed.data.splits.clean_train, data.splits.clean_train)
    with seed.problem(seed.data_of(20, exclude=left), "tune") as problem:
        assert len(problem.clean_rows) == 20
        assert not np.isin(left, problem.train_rows).any()
        assert not np.isin(seed.data.splits.clean_test, problem.train_rows).any()
