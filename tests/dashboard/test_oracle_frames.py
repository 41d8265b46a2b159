"""What labelling basis images would change, as tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dashboard import oracle_html
from dashboard.frames import oracle
from selfml.counterfactual import Counterfactuals, read_counterfactuals
from selfml.run import Run
from tests.oracle_cases import build_unverified_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Nobody writes into it."""
    return Run(build_unverified_run(tmp_path_factory.mktemp("frames") / "shop"))


@pytest.fixture(scope="module")
def world(run: Run) -> Counterfactuals:
    return read_counterfactuals(run)


@pytest.fixture(scope="module")
def rows(run: Run) -> dict[int, tuple[int, ...]]:
    right = np.load(run.path / "right_labels.npy")
    return {k: tuple(right[k].tolist()) for k in (0, 2)}


@pytest.mark.parametrize("mode", ["full", "strict"])
def test_a_preview_counts_what_the_engine_counts(run: Run, world, rows, mode: str):
    world = replace(world, mode=mode)
    of = oracle.preview(run, world, rows)
    labels = {(k, j): v for k, row in rows.items() for j, v in enumerate(row)}
    changes = world.what_if(labels=labels).changes()
    assert of.n_changed == len(changes) > 5
    assert of.deciding.falls == changes["falls"].sum()
    assert of.n_basis_images == 2
    present = np.array(run.array("basis_labels"))
    assert of.n_labels == sum((present[k] != row).sum() for k, row in rows.items())
    table = of.by_attribute
    assert table["n_changed"].sum() == of.n_changed
    assert (table["n_new"].sum(), table["n_gone"].sum()) == (of.deciding.arises, of.deciding.falls)
    assert (np.diff(table["n_changed"]) <= 0).all()
    for row in table.itertuples():
        own = changes[changes["attribute_index"] == row.attribute_index]
        assert (row.n_new, row.n_gone) == ((~own["falls"]).sum(), own["falls"].sum())
        assert row.attribute == run.attributes[row.attribute_index]
    strict = replace(world, mode="strict").what_if(labels=labels)
    assert of.strict.arises == strict.arises().sum()


def test_examples_are_the_surest_of_both_kinds_in_turn(run: Run, world, rows):
    of = oracle.preview(run, world, rows)
    labels = oracle.changed_cells(world.basis_labels, rows)
    changes = world.what_if(labels=labels).changes()
    key = ["image_index", "attribute_index"]
    for falls, name in ((False, "score_after"), (True, "score_before")):
        own = changes[changes["falls"] == falls]
        expected = own.loc[own[name].abs().sort_values(ascending=False).index][: oracle.EXAMPLES]
        found = of.examples[of.examples["falls"] == falls]
        assert found[key].to_numpy().tolist() == expected[key].to_numpy().tolist()
    assert of.examples["falls"].iloc[:2].tolist() == [False, True]
    before = np.array(run.array("labels_corrected"))[of.examples[key[0]], of.examples[key[1]]]
    assert (of.examples["corrected_before"] == before).all()
    assert (of.examples["corrected_after"] == 1 - before).all()


def test_labels_that_are_as_they_were_change_nothing(run: Run, world):
    present = np.array(run.array("basis_labels"))
    of = oracle.preview(run, world, {0: present[0].tolist()})
    assert (of.n_basis_images, of.n_labels, of.n_changed, of.n_images) == (1, 0, 0, 0)
    assert of.by_attribute.empty
    assert of.examples.empty


def test_the_next_one_is_unverified_and_without_labels(run: Run, world):
    order = oracle.order(run, world)
    todo = order[~order["verified"]]["basis_index"].tolist()
    assert sorted(todo) == [0, 2, 4, 6]
    assert oracle.next_to_label(order, {}) == todo[0]
    assert oracle.next_to_label(order, {todo[0]}) == todo[1]
    assert oracle.next_to_label(order, {todo[2]}, after=todo[1]) == todo[3]
    assert oracle.next_to_label(order, {todo[1]}, after=todo[3]) == todo[0]
    assert oracle.next_to_label(order, {}, after=1) == todo[0]  # a verified one was open
    assert oracle.next_to_label(order, set(todo)) is None
    assert oracle.next_to_label(order, set(todo[1:]), after=todo[0]) is None
    names = [*run.attributes, ""]
    assert order["doubtful"].tolist() == [names[j] for j in order["doubt"]]
    assert (order["doubtful"][order["verified"]] == "").all()


def test_names_of_new_runs_do_not_pile_up():
    assert oracle.new_run_name("shop", set()) == "shop-labelled"
    assert oracle.new_run_name("shop", {"shop-labelled"}) == "shop-labelled-2"
    assert oracle.new_run_name("shop-labelled", {"shop-labelled"}) == "shop-labelled-2"
    taken = {"shop-labelled", "shop-labelled-2"}
    assert oracle.new_run_name("shop-labelled-2", taken) == "shop-labelled-3"
    assert oracle.new_run_name("labelled", set()) == "labelled-labelled"


@pytest.mark.parametrize(
    ("n", "words"),
    [
        *((0, "0 labels"), (0.04, "0.0 labels"), (0.4, "0.4 labels"), (1, "1 label")),
        *((1.04, "1.0 labels"), (9.97, "10.0 labels"), (12.3, "12 labels")),
        (1234, "1,234 labels"),
    ],
)
def test_numbers_in_words(n: float, words: str):
    assert oracle_html.count(n, "label") == words


def test_names_from_the_catalogue_are_escaped(run: Run, world, rows):
    table = oracle.preview(run, world, rows).by_attribute
    html = oracle_html.by_attribute(table.assign(attribute="<b>&"))
    assert "&lt;b&gt;&amp;" in html
    assert "<b>" not in html
