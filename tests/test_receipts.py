"""Receipts: a case worked by hand, and laws that hold for any run."""

from __future__ import annotations

import math
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from scipy import sparse

from selfml import flips, receipts
from selfml.receipts import Receipt
from selfml.run import Run
from tests.evidence_cases import HAND_MODEL, recompute, run_parts, write_run


@pytest.fixture
def hand_run(tmp_path: Path) -> Run:
    """One image: half of it atom 0 (yes), a quarter atom 1 (unknown), a quarter atom 2 (no)."""
    return write_run(
        tmp_path / "hand",
        HAND_MODEL,
        np.array([[0.5, 0.25, 0.25]]),
        np.array([[1], [-1], [0]]),
        np.array([[0]]),
        np.array([[1.5]]),
        np.array([[-0.25]]),
        ["dresses"],
    )


def test_the_receipt_of_a_case_worked_by_hand(hand_run: Run):
    r = receipts.receipt(hand_run, 0, 0)
    assert r.atoms["basis_index"].tolist() == [0, 1, 2]
    assert r.atoms["image_index"].tolist() == [100, 101, 102]
    assert r.atoms["image_id"].tolist() == ["b0.jpg", "b1.jpg", "b2.jpg"]
    assert r.atoms["label"].tolist() == [1, -1, 0]
    assert r.atoms["value"].tolist() == [1.0, 0.5, 0.0]  # unknown counts as the prior
    assert r.atoms["contribution"].tolist() == [0.5, 0.125, 0.0]
    assert r.label_score == 0.625
    # s' = (.625 + .25 * .5) / 1.25 = .6, whose log-odds are log 1.5
    basis = math.log(1.5)
    assert r.terms == pytest.approx(
        {"bias": -0.5, "basis": 2 * basis, "given": -1.0, "classifier": 1.5, "residual": -0.25}
    )
    assert r.strict_terms == pytest.approx({"bias": 0.25, "basis": basis, "given": -1.0})
    assert r.score == pytest.approx(2 * basis - 0.25)  # .561: present
    assert r.strict_score == pytest.approx(basis - 0.75)  # -.345: absent
    assert not r.strict_agrees
    assert (r.attribute, r.given, r.prior) == ("attribute 0", 0, 0.5)


def test_strict_evidence_starts_from_the_category(tmp_path: Path):
    """Of jackets: .25 and 1.5 beside the rest, in the receipt and the stored flip alike."""
    model = replace(HAND_MODEL, strict_category=np.array([[0.0], [1.5]]))
    parts = (np.array([[0.5, 0.25, 0.25]]), np.array([[1], [-1], [0]]), np.array([[0]]))
    terms = (np.array([[4.5]]), np.array([[-0.25]]))
    for category, own, llr in (("jackets", 1.5, -3.0), ("dresses", 0.0, -1.0)):
        run = write_run(tmp_path / category, model, *parts, *terms, [category])
        r = receipts.receipt(run, 0, 0)
        assert r.strict_terms == pytest.approx(
            {"bias": 0.25, "category": own, "basis": math.log(1.5), "given": llr}
        )
        bias = 0.25 + own
        assert r.terms["bias"] == -0.5
        flip = run.table("flips").iloc[0]
        assert flip["strict_bias"] == pytest.approx(bias)
        assert flip["strict_score"] == pytest.approx(r.strict_score)
    stored = flips.read_evidence_model(run)
    np.testing.assert_array_equal(stored.strict_category, model.strict_category)
    assert "strict_category" not in HAND_MODEL.to_json()  # as runs of before are read


def test_the_flip_of_the_hand_worked_case(hand_run: Run):
    flip = hand_run.table("flips").iloc[0]
    assert (flip["given"], flip["corrected"], flip["truth"]) == (0, 1, -1)
    assert flip["score"] == pytest.approx(2 * math.log(1.5) - 0.25)
    assert flip["confidence"] == pytest.approx(1 / (1 + math.exp(-flip["score"])))
    assert not flip["strict_agrees"]
    assert not flip["auto_accept"]


def test_taking_the_yes_image_away_undoes_the_hand_worked_flip(hand_run: Run):
    r = receipts.without_atom(receipts.receipt(hand_run, 0, 0), 0)
    assert r.atoms["coefficient"].tolist() == [0.5, 0.5]
    assert r.label_score == 0.25
    # s' = (.25 + .125) / 1.25 = .3
    assert r.terms["basis"] == pytest.approx(2 * math.log(0.3 / 0.7))
    assert r.score < 0
    assert r.terms["classifier"] == 1.5  # nothing else changes


def test_with_no_basis_image_left_the_prior_speaks(hand_run: Run):
    r = receipts.receipt(hand_run, 0, 0)
    for basis_index in (0, 1, 2):
        r = receipts.without_atom(r, basis_index)
    assert r.atoms.empty
    assert r.label_score == 0.5
    assert r.terms["basis"] == 0.0  # log-odds of a prior of one half


def test_an_atom_that_takes_no_part_cannot_be_taken_out(hand_run: Run):
    with pytest.raises(ValueError, match=r"7 takes no part.*\[0, 1, 2\]"):
        receipts.without_atom(receipts.receipt(hand_run, 0, 0), 7)


def test_a_mode_that_does_not_exist_is_refused(hand_run: Run):
    terms, scores = recompute(hand_run, HAND_MODEL, ["dresses"])
    one = np.array([[0]], np.int8)
    with pytest.raises(ValueError, match="mode: must be 'full' or 'strict', got 'both'"):
        flips.flips_frame(one, terms, scores, one, mode="both")
    assert flips.flips_frame(one, terms, scores, one, mode="strict").empty


# --- laws --------------------------------------------------------------------------------


law = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.slow
@law
@given(run_parts())
def test_every_receipt_adds_up_to_the_score(parts: tuple):
    model, categories = parts[0], parts[-1]
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Path(folder), *parts)
        terms, scores = recompute(run, model, categories)
        for i, j in np.ndindex(scores.shape):
            r = receipts.receipt(run, i, j)  # the model as stored: JSON gives back equal numbers
            assert r.atoms["contribution"].sum() == pytest.approx(scores[i, j], abs=1e-6)
            assert r.score == pytest.approx(terms.score[i, j], abs=1e-6)
            assert r.strict_score == pytest.approx(terms.strict_score[i, j], abs=1e-6)
            assert r.atoms["coefficient"].is_monotonic_decreasing
        check_flips(run, terms)


def check_flips(run: Run, terms: flips.Evidence) -> None:
    """Terms of every stored flip add up; exactly the contradicted known labels are flips."""
    table, labels_given = run.table("flips"), run.array("labels_given")
    parts = [f"term_{t}" for t in flips.TERMS]
    np.testing.assert_allclose(table[parts].sum(axis=1), table["score"], atol=1e-6)
    strict = table["strict_bias"] + table["strict_basis"] + table["term_given"]
    np.testing.assert_allclose(strict, table["strict_score"], atol=1e-6)
    flipped = (labels_given >= 0) & ((terms.score > 0) != (labels_given == 1))
    cells = np.zeros_like(flipped)
    cells[table["image_index"], table["attribute_index"]] = True
    np.testing.assert_array_equal(cells, flipped)
    assert (table["corrected"] == 1 - table["given"]).all()
    assert table["confidence"].between(0.5, 1).all()


@pytest.mark.slow
@law
@given(run_parts())
def test_without_an_atom_equals_a_full_recomputation(parts: tuple):
    model, coefficients, categories = parts[0], parts[1], parts[-1]
    with tempfile.TemporaryDirectory() as folder:
        run = write_run(Path(folder), *parts)
        values = flips.basis_values(run.array("basis_labels"), model.prior)
        of = receipts.receipt(run, 0, 0)
        for basis_index in of.atoms["basis_index"]:
            rest = coefficients[:1].astype(np.float64)
            rest[0, basis_index] = 0
            total = rest.sum()
            scores = flips.label_scores(sparse.csr_matrix(rest / (total or 1)), values)
            if not total:
                scores[:] = model.prior
            terms = flips.evidence(
                model,
                scores,
                run.array("labels_given")[:1],
                model.category_index(categories[:1], 1),
                run.array("terms_classifier")[:1],
                run.array("terms_residual")[:1],
            )
            r = receipts.without_atom(of, basis_index)
            assert r.score == pytest.approx(terms.score[0, 0], abs=1e-6)
            assert r.strict_score == pytest.approx(terms.strict_score[0, 0], abs=1e-6)
            assert_adds_up(r)


def assert_adds_up(r: Receipt) -> None:
    atoms = r.atoms
    np.testing.assert_allclose(atoms["contribution"], atoms["coefficient"] * atoms["value"])
    if len(atoms):
        assert atoms["coefficient"].sum() == pytest.approx(1, abs=1e-6)
        assert atoms["contribution"].sum() == pytest.approx(r.label_score, abs=1e-6)
