"""Which basis images to label next: worked by hand, and against the counterfactual engine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from selfml import flips, oracle
from selfml.counterfactual import Counterfactuals, read_counterfactuals
from selfml.run import Run, RunWriter
from tests.evidence_cases import HAND_MODEL, write_run
from tests.oracle_cases import build_unverified_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Nobody writes into it."""
    return Run(build_unverified_run(tmp_path_factory.mktemp("oracle") / "unverified"))


@pytest.fixture(scope="module")
def world(run: Run) -> Counterfactuals:
    return read_counterfactuals(run)


# --------------------------------------------------------------------------------- a case by hand
@pytest.fixture
def hand(tmp_path: Path) -> Run:
    """Three images and atoms (yes, unknown, no); as in test_counterfactual, image k is atom k's.

    Atom 0 is labelled as the nearest clean image 2; nearest to it lies image 0. Atom 1 is that of
    image 1, a person labelled it and left the label open. Atom 2 is verified.
    """
    coefficients = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0], [0.5, 0.0, 0.5]])
    labels, shop = np.array([[1], [-1], [0]]), np.array([[0], [0], [0]])
    classifier, residual = np.array([[1.5], [-4.0], [0.0]]), np.array([[-0.25], [0.0], [0.0]])
    parts = (HAND_MODEL, coefficients, labels, shop, classifier, residual)
    run = write_run(tmp_path / "hand", *parts, ["dresses", "jackets", None])
    writer = RunWriter(run.path)
    writer.update(status="complete", n_features=1)
    basis = run.table("basis").assign(
        image_index=[2, 1, 2],
        label_source=["nearest_clean", "oracle", "oracle"],
        usage=[3, 1, 2],
        mass=[2.0, 0.25, 0.75],
    )
    writer.write_table("basis", basis)
    images = run.table("images").assign(
        split=["noisy_train", "clean_train", "clean_train"], image_id=["a.jpg", "b.jpg", "c.jpg"]
    )
    writer.write_table("images", images)
    writer.write_array("features", np.array([[0.0], [5.0], [9.0]]))
    writer.write_array("basis", np.array([[0.5], [5.0], [9.0]]))
    return Run(run.path)


def test_what_is_open_by_hand(hand: Run):
    asked = oracle.asked_images(hand)
    assert asked.tolist() == [0, 1, 2]
    assert oracle.open_labels(hand, asked).tolist() == [[True], [True], [False]]


def test_expected_effect_by_hand(hand: Run):
    """Atom 0: without it image 0 is half unknown (.5) and half no, so s = .25.

    What its evidence says then is a log-odds x; the label is yes, so only "no" changes anything:
    image 0 falls from s = .625 to .125, image 1 from 1 to 0 (kept: no flip before and after),
    image 2 from .5 to 0. Atom 1: its image leans on atom 0 alone, a yes; image 0 falls if it is no.
    """
    world = read_counterfactuals(hand)

    def basis(s: float) -> float:
        smoothed = (s + 0.125) / 1.25
        return float(np.log(smoothed / (1 - smoothed)))

    x = -0.5 + 2 * basis(0.25) - 1.0 + 1.5 - 0.25
    p = 1 / (1 + np.exp(-x))
    before = [-0.5 + 2 * basis(s) + r for s, r in ((0.625, 0.25), (1.0, -7.0), (0.5, -1.0))]
    after = [-0.5 + 2 * basis(s) + r for s, r in ((0.125, 0.25), (0.0, -7.0), (0.0, -1.0))]
    changed = sum((b > 0) != (a > 0) for b, a in zip(before, after, strict=True))
    assert changed == 1  # image 0 alone
    assert oracle.chance_of_yes(world, np.array([0]), np.array([0]))[0, 0] == pytest.approx(p)
    order = oracle.label_order(hand, world)
    assert order["basis_index"].tolist() == [1, 0, 2]
    assert order["verified"].tolist() == [False, False, True]
    assert order["expected_effect"].tolist() == pytest.approx(
        [1 - flips.sigmoid(-0.5 + 2 * basis(1.0) - 7.0), 1 - p, 0.0]
    )
    second = order.iloc[1]
    assert (second["most"], second["doubt"], second["n_open"]) == (1, 0, 1)
    assert (second["image_index"], second["image_id"]) == (0, "a.jpg")


def test_with_no_other_atom_the_prior_answers(hand: Run):
    """Image 1 leans on atom 0 alone: without it its label score is the prior, .5."""
    world = read_counterfactuals(hand)
    x = -0.5 + 0.0 - 3.0 - 4.0  # jackets: a missing label is worth -3
    found = oracle.chance_of_yes(world, np.array([0]), np.array([1]))[0, 0]
    assert found == pytest.approx(1 / (1 + np.exp(-x)))


def test_what_a_person_could_not_tell_is_not_asked_again(hand: Run):
    row = "2025-01-01,anna,1,1,0,-1,-1\n"
    RunWriter(hand.path).write_text(
        oracle.EXPERT_FILE, ",".join(oracle.EXPERT_COLUMNS) + "\n" + row
    )
    order = oracle.label_order(hand, read_counterfactuals(hand))
    assert order.set_index("basis_index")["verified"].to_dict() == {0: False, 1: True, 2: True}


def test_images_set_aside_are_never_asked_about(hand: Run):
    table = hand.table("images")
    RunWriter(hand.path).write_table("calibration", table[["image_index"]][:1])
    assert oracle.asked_images(hand).tolist() == [1, 1, 2]
    test = table.assign(split=["noisy_train", "clean_test", "clean_train"])
    RunWriter(hand.path).write_table("images", test)
    assert oracle.asked_images(hand)[0] == 2


def test_an_atom_that_its_verified_image_is_nearest_to_is_verified(hand: Run):
    basis = hand.table("basis")
    RunWriter(hand.path).write_array("basis", np.array([[8.0], [5.0], [9.0]]))
    assert oracle.asked_images(hand).tolist() == [2, 1, 2]
    assert basis["image_index"][0] == 2
    assert not oracle.open_labels(hand, oracle.asked_images(hand))[0, 0]


# ---------------------------------------------------------------- against the counterfactual engine
@pytest.mark.parametrize("mode", ["full", "strict"])
def test_counts_equal_the_counterfactual_engine(world: Counterfactuals, mode: str):
    world = replace(world, mode=mode)
    atoms = np.array([0, 3, 4, 6])
    n_attributes = world.basis_labels.shape[1]
    total = 0
    for label in (0, 1):
        labels = np.full((len(atoms), n_attributes), label, np.int8)
        counts = oracle.changed_labels(world, atoms, labels)
        for row, k in enumerate(atoms):
            for j in range(n_attributes):
                expected = len(world.what_if(labels={(k, j): label}).changes())
                assert counts[row, j] == expected, (k, j, label)
                total += expected
    assert total > 10


def test_chances_equal_the_counterfactual_engine(run: Run, world: Counterfactuals):
    atoms = np.array([0, 2, 4])
    images = oracle.asked_images(run)[atoms]
    found = oracle.chance_of_yes(world, atoms, images)
    for row, (k, i) in enumerate(zip(atoms, images, strict=True)):
        effect = world.what_if([k])
        at = np.searchsorted(effect.image_index, i)
        assert effect.image_index[at] == i
        np.testing.assert_allclose(found[row], flips.sigmoid(effect.after.score[at]), atol=1e-9)


def test_the_expected_effect_of_an_atom_is_the_mean_over_its_answers(run, world):
    """Drawn answers, all labels of the atom at once: the mean effect is the expected one."""
    order = oracle.label_order(run, world)
    k, image = (int(order.iloc[0][name]) for name in ("basis_index", "image_index"))
    chance = oracle.chance_of_yes(world, np.array([k]), np.array([image]))[0]
    rng = np.random.default_rng(0)
    seen: dict[tuple, int] = {}
    effects = []
    for _ in range(600):
        answers = tuple((rng.random(len(chance)) < chance).astype(int).tolist())
        if answers not in seen:
            labels = {(k, j): label for j, label in enumerate(answers)}
            seen[answers] = len(world.what_if(labels=labels).changes())
        effects.append(seen[answers])
    spread = np.std(effects) / np.sqrt(len(effects))
    assert np.std(effects) > 0
    assert abs(np.mean(effects) - order.iloc[0]["expected_effect"]) < 4 * spread


def test_the_order_is_that_of_effect_then_verified_by_mass(run: Run, world: Counterfactuals):
    order = oracle.label_order(run, world)
    todo, done = order[~order["verified"]], order[order["verified"]]
    assert sorted(todo["basis_index"]) == [0, 2, 4, 6]
    assert sorted(done["basis_index"]) == [1, 3, 5]  # 7 is in nobody's mixture
    assert (np.diff(todo["expected_effect"]) <= 0).all()
    assert (done["expected_effect"] == 0).all()
    assert (np.diff(done["mass"]) <= 0).all()
    assert (order["expected_effect"] <= order["most"]).all()
    basis = run.table("basis").set_index("basis_index")
    asked = order.set_index("basis_index")["image_index"]
    assert (asked[[1, 3, 5]] == basis["image_index"][[1, 3, 5]]).all()
    # the atom is that image's features; another, clean image is shown for it
    assert (asked[[0, 2, 4, 6]] != basis["image_index"][[0, 2, 4, 6]]).all()
    at = np.asarray(run.array("features"), np.float64)[asked[[0, 2, 4, 6]]]
    np.testing.assert_allclose(at, run.array("basis")[[0, 2, 4, 6]], atol=0.01)
