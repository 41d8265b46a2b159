"""Counterfactuals against a recomputation of everything, and against single receipts."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import sparse

from selfml import counterfactual, flips, receipts
from selfml.counterfactual import Counterfactuals
from selfml.effects import Effect, FlipIndex
from selfml.run import Run
from tests.evidence_cases import CATEGORIES, HAND_MODEL, run_parts, write_run

SIDES = ("label_score", "score", "strict_score")


def recompute_without(
    run: Run, world: Counterfactuals, taken_out: list[int], labels: dict[tuple[int, int], int]
) -> tuple[flips.Evidence, np.ndarray]:
    """Every label of the run over dense arrays, from ``flips.evidence``: the slow other way."""
    model = world.model
    dense = run.coefficients().toarray()
    touched = (dense[:, taken_out] > 0).any(axis=1)
    dense[:, taken_out] = 0
    total = dense.sum(axis=1, keepdims=True)
    rest = np.divide(dense, total, out=np.zeros_like(dense), where=total > 0)
    dense[touched] = rest[touched]
    basis = np.array(run.array("basis_labels"))
    for key, label in labels.items():
        basis[key] = label
    scores = dense @ flips.basis_values(basis, model.prior)
    scores[total[:, 0] == 0] = model.prior
    terms = flips.evidence(
        model,
        scores,
        run.array("labels_given"),
        world.category_index,
        run.array("terms_classifier"),
        run.array("terms_residual"),
    )
    return terms, scores


def check_against_recomputation(
    run: Run, world: Counterfactuals, effect: Effect, out: list[int], labels: dict
) -> None:
    before, scores_before = recompute_without(run, world, [], {})
    after, scores = recompute_without(run, world, out, labels)
    block = np.ix_(effect.image_index, effect.attribute_index)
    for mine, terms, label_score in (
        (effect.before, before, scores_before),
        (effect.after, after, scores),
    ):
        np.testing.assert_allclose(mine.label_score, label_score[block], atol=1e-6)
        np.testing.assert_allclose(mine.score, terms.score[block], atol=1e-6)
        np.testing.assert_allclose(mine.strict_score, terms.strict_score[block], atol=1e-6)
    shop = np.array(run.array("labels_given"))
    for mode, name in (("full", "score"), ("strict", "strict_score")):
        was, now = getattr(before, name), getattr(after, name)
        away_from_zero = (np.abs(was) > 1e-6) & (np.abs(now) > 1e-6)
        flipped = (shop >= 0) & ((was > 0) != (shop == 1))
        then = (shop >= 0) & ((now > 0) != (shop == 1))
        for found, expected in (
            (effect.falls(mode), flipped & ~then),
            (effect.arises(mode), ~flipped & then),
        ):
            whole = np.zeros(shop.shape, bool)
            whole[block] = found  # outside of the block nothing changes
            np.testing.assert_array_equal(whole[away_from_zero], expected[away_from_zero])


@st.composite
def edits(draw: st.DrawFn) -> tuple:
    parts = draw(run_parts())
    model, coefficients, basis_labels = parts[:3]
    if draw(st.booleans()):
        own = np.random.default_rng(draw(st.integers(0, 99))).normal(size=model.llr.shape[:2])
        parts = (replace(model, strict_category=own), *parts[1:])
    atoms = st.integers(0, coefficients.shape[1] - 1)
    keys = st.tuples(atoms, st.integers(0, basis_labels.shape[1] - 1))
    out = draw(st.lists(atoms, max_size=3, unique=True))
    return parts, out, draw(st.dictionaries(keys, st.sampled_from([-1, 0, 1]), max_size=3))


@pytest.mark.slow
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits())
def test_any_edit_equals_a_full_recomputation(edit: tuple):
    parts, out, labels = edit
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Path(folder), *parts)
        world = counterfactual.read_counterfactuals(run)
        effect = world.what_if(out, labels)
        check_against_recomputation(run, world, effect, out, labels)
        check_against_receipts(run, world, out[0] if out else 0)


def check_against_receipts(run: Run, world: Counterfactuals, k: int) -> None:
    """One atom out of every label it has a part in, as the receipt of that label has it."""
    effect = world.what_if([k])
    for row, i in enumerate(effect.image_index):
        for j in effect.attribute_index:
            one = receipts.without_atom(receipts.receipt(run, i, j, model=world.model), k)
            for name in SIDES:
                mine = getattr(effect.after, name)[row, j]
                assert mine == pytest.approx(getattr(one, name), abs=1e-6)


@pytest.fixture
def hand_world(tmp_path: Path) -> Counterfactuals:
    """Three images on three atoms (yes, unknown, no); image 1 leans on atom 0 alone.

    Image 2 was left open by the shop.
    """
    coefficients = np.array([[0.5, 0.25, 0.25], [1.0, 0.0, 0.0], [0.5, 0.0, 0.5]])
    labels, shop = np.array([[1], [-1], [0]]), np.array([[0], [0], [-1]])
    classifier, residual = np.array([[1.5], [-4.0], [0.0]]), np.array([[-0.25], [0.0], [0.0]])
    categories = ["dresses", "jackets", None]
    parts = (HAND_MODEL, coefficients, labels, shop, classifier, residual, categories)
    return counterfactual.read_counterfactuals(write_run(tmp_path / "hand", *parts))


def test_a_case_worked_by_hand(hand_world: Counterfactuals):
    """Without atom 0, image 0 is half unknown (.5) and half no: its label score is .25."""
    effect = hand_world.what_if([0])
    assert effect.image_index.tolist() == [0, 1, 2]
    # image 1 has nothing left: the prior; image 2 leans on a "no" alone
    assert effect.after.label_score.ravel().tolist() == [0.25, 0.5, 0.0]
    smoothed = (0.25 + 0.125) / 1.25
    basis = np.log(smoothed / (1 - smoothed))
    assert effect.after.score[0, 0] == pytest.approx(-0.5 + 2 * basis - 1.0 + 1.5 - 0.25)
    assert effect.after.strict_score[0, 0] == pytest.approx(0.25 + basis - 1.0)
    # the flip of image 0 falls (.561 before); image 2 has no label that could be a flip
    assert effect.falls().ravel().tolist() == [True, False, False]
    assert not effect.arises().any()
    assert effect.place(0, 0) == (0, 0)
    assert effect.place(7, 0) is None
    assert effect.place(0, 7) is None


def test_the_blast_radius_by_hand(hand_world: Counterfactuals):
    frame, effect = hand_world.blast_radius(0)
    assert frame["image_index"].tolist() == [0]
    assert frame["coefficient"].tolist() == [0.5]
    assert frame["falls"].tolist() == [True]
    assert len(effect.image_index) == 3
    assert hand_world.blast_radius(1)[0]["falls"].tolist() == [False]
    assert hand_world.dependents(2)["image_index"].tolist() == [0]


def test_another_label_touches_that_attribute_of_the_images_that_lean_on_it(
    hand_world: Counterfactuals,
):
    effect = hand_world.what_if(labels={(2, 0): 1})
    assert effect.image_index.tolist() == [0, 2]
    assert effect.after.label_score.ravel().tolist() == [0.875, 1.0]
    same = hand_world.what_if(labels={(2, 0): 0})
    assert len(same.changes()) == 0
    unknown = hand_world.what_if(labels={(0, 0): -1})
    assert unknown.after.label_score.ravel().tolist() == [0.375, 0.5, 0.25]


def test_nothing_edited_changes_nothing(hand_world: Counterfactuals):
    effect = hand_world.what_if()
    assert effect.before.score.shape == (0, 0)
    assert len(effect.changes()) == 0


@pytest.mark.parametrize(
    ("out", "labels", "message"),
    [
        ([3], {}, "basis_index: 3 does not exist; the run has 0 to 2"),
        ([-1], {}, "basis_index: -1 does not exist"),
        ([], {(3, 0): 1}, "there is no basis image 3 with an attribute 0"),
        ([], {(0, 1): 1}, "there is no basis image 0 with an attribute 1"),
        ([], {(0, 0): 2}, "must be 1, 0 or -1 for unknown, got 2"),
    ],
)
def test_an_edit_that_cannot_be_is_refused(hand_world, out, labels, message):
    with pytest.raises(ValueError, match=message):
        hand_world.what_if(out, labels)


@pytest.mark.parametrize("mode", ["full", "strict"])
def test_flips_before_an_edit_are_those_of_the_run(tiny_run: Path, mode: str):
    run = Run(tiny_run)
    world = replace(counterfactual.read_counterfactuals(run), mode=mode)
    labels = run.array("labels_corrected" if mode == "full" else "labels_strict")
    shop = run.array("labels_given")
    for k in range(len(world.basis_labels)):
        frame, effect = world.blast_radius(k)
        assert effect.image_index.tolist() == sorted(set(effect.image_index))
        flipped = (shop >= 0) & (labels != shop)
        changes = effect.changes()
        i, j = changes["image_index"], changes["attribute_index"]
        assert (flipped[i, j] == changes["falls"]).all()
        if mode == "full":
            assert frame["falls"].sum() == changes["falls"].sum()
            assert len(frame) == flipped[effect.image_index].sum()


def test_the_evidence_that_decides_is_that_of_the_configuration(tmp_path: Path, tiny_run: Path):
    assert flips.deciding_mode(Run(tiny_run)) == "full"
    (tmp_path / "run.json").write_text('{"schema_version": 1}')
    assert flips.deciding_mode(Run(tmp_path)) == "full"
    (tmp_path / "config.toml").write_text('[flips]\nmode = "strict"\nof_an_older_release = 1\n')
    assert flips.deciding_mode(Run(tmp_path)) == "strict"


def test_the_index_finds_the_flips_of_images_in_any_order():
    rng = np.random.default_rng(0)
    image, attribute = rng.integers(0, 50, 400), rng.integers(0, 9, 400)
    index = FlipIndex.build(image, attribute, 60)
    rows = np.array([59, 3, 17, 3])
    place, found = index.of_images(rows)
    expected = [
        (n, j) for n, row in enumerate(rows) for j in sorted(attribute[image == row].tolist())
    ]
    assert list(zip(place.tolist(), found.tolist(), strict=True)) == expected
    empty = FlipIndex.build(np.zeros(0, int), np.zeros(0, int), 5)
    assert len(empty.of_images(np.arange(5))[0]) == 0


def test_only_rows_that_lean_on_the_atom_are_read():
    """Rows that do not, hold NaN: a result that used them would show it."""
    n, k = 200, 6
    rng = np.random.default_rng(1)
    mixed = sparse.csr_matrix(np.eye(k, dtype=np.float32)[rng.integers(0, k, n)])
    untouched = mixed[:, 2].toarray().ravel() == 0
    classifier = np.where(untouched[:, None], np.nan, 0.0)
    world = Counterfactuals(
        HAND_MODEL, "full", mixed.tocsc(), mixed, np.ones((k, 1), np.int8),
        np.zeros((n, 1), np.int8), classifier, np.zeros((n, 1)), np.zeros(n, int),
        FlipIndex.build(np.arange(n), np.zeros(n), n),
    )  # fmt: skip
    frame, effect = world.blast_radius(2)
    assert len(effect.image_index) == len(frame) == (~untouched).sum()
    assert np.isfinite(effect.after.score).all()
    assert (effect.after.label_score == HAND_MODEL.prior).all()


def test_changes_name_both_sides(hand_world: Counterfactuals):
    changes = hand_world.what_if([0]).changes()
    assert changes["image_index"].tolist() == [0]
    assert changes["given"].tolist() == [0]
    row = changes.iloc[0]
    assert row["score_before"] > 0 > row["score_after"]
    assert isinstance(changes, pd.DataFrame)
    strict = hand_world.what_if([0]).changes("strict")
    assert set(strict.columns) == set(changes.columns)


def test_categories_count(tmp_path: Path):
    """The same image in two categories: their llr differ, and so do the new scores."""
    model = replace(HAND_MODEL, categories=CATEGORIES[:1])
    two = [np.repeat(a, 2, axis=0) for a in (np.array([[0.5, 0.5]]), np.array([[0]]))]
    zeros = np.zeros((2, 1))
    run = write_run(
        tmp_path, model, two[0], np.array([[1], [0]]), two[1], zeros, zeros, ["jackets", "hats"]
    )
    after = counterfactual.read_counterfactuals(run).what_if([0]).after
    assert after.score[1, 0] - after.score[0, 0] == pytest.approx(2.0)  # -1 against -3


def test_parts_worked_out_beside_each_other_come_to_the_same(tiny_run: Path, monkeypatch):
    world = counterfactual.read_counterfactuals(Run(tiny_run))
    out = [int(np.bincount(world.mixed.indices).argmax())]
    whole = world.what_if(taken_out=out)
    assert len(whole.image_index) > 20
    monkeypatch.setattr(counterfactual, "ROWS_AT_ONCE", 3)
    parts = world.what_if(taken_out=out)
    for side in ("before", "after"):
        for name in SIDES:
            one, other = (getattr(getattr(effect, side), name) for effect in (whole, parts))
            np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(whole.given, parts.given)
