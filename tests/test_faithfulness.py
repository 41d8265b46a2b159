"""Faithfulness: cases worked by hand, the same by receipts, laws, and planted explanations."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from dashboard.frames.faithfulness import value
from selfml import faithfulness as f
from selfml.faithfulness_measures import measure_faithfulness
from selfml.flip_cases import by_contribution, shares
from selfml.flips import basis_values, read_evidence_model
from selfml.receipts import receipt, without_all, without_atom
from selfml.run import Run, RunWriter
from tests.evidence_cases import HAND_MODEL, write_run
from tests.tiny_run import build_tiny_run


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> Run:
    return Run(tiny_run)


@pytest.fixture(scope="module")
def rows(run: Run) -> pd.DataFrame:
    return measure_faithfulness(run)


# --- by hand -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hand(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Half of it atom 0 (yes), a quarter atom 1 (unknown), a quarter atom 2 (no); prior .5."""
    run = write_run(
        tmp_path_factory.mktemp("hand"),
        HAND_MODEL,
        np.array([[0.5, 0.25, 0.25]]),
        np.array([[1], [-1], [0]]),
        np.array([[0]]),
        np.array([[1.5]]),
        np.array([[-0.25]]),
        ["dresses"],
    )
    return measure_faithfulness(run)


@pytest.mark.parametrize(
    ("k", "reverted", "drop"),
    [
        (1, 100, 2 * (math.log(1.5) + math.log(7 / 3))),  # atoms 1, 2 are left: s = .25, s' = .3
        (2, 100, 2 * (math.log(1.5) + math.log(9))),  # atom 2 is left: s = 0, s' = .1
        (3, 100, 2 * math.log(1.5)),  # none is left: the prior, log-odds 0; -.25 of the rest
        (5, 100, 2 * math.log(1.5)),  # as many as there are, no more
        (f.ALL, 100, 2 * math.log(1.5)),
    ],
)
def test_deletion_worked_by_hand(hand: pd.DataFrame, k: int, reverted: float, drop: float):
    assert value(hand, "deletion_reverted", "full", "coefficients", k) == reverted
    assert value(hand, "deletion_drop", "full", "coefficients", k) == pytest.approx(drop)


def test_sufficiency_worked_by_hand(hand: pd.DataFrame):
    """Atom 0 alone: s = 1, s' = .9, so that the log-odds rise."""
    assert value(hand, "sufficiency_stands", "full", "coefficients", 1) == 100
    drop = value(hand, "sufficiency_drop", "full", "coefficients", 1)
    assert drop == pytest.approx(2 * (math.log(1.5) - math.log(9)))
    for k in (3, 5, f.ALL):
        assert value(hand, "sufficiency_stands", "full", "coefficients", k) == 100
        drop = value(hand, "sufficiency_drop", "full", "coefficients", k)
        assert drop == pytest.approx(0, abs=1e-12)


def test_evidence_that_makes_no_flip_is_not_measured_by_it(hand: pd.DataFrame):
    """Strict evidence says no here (-.345), and the only flip is to yes."""
    assert set(hand["evidence"]) == {"full"}
    agree = hand[hand["measure"] == "agreement"]
    assert agree["attribute_index"].tolist() == [-1, 0]
    assert agree["value"].tolist() == [0.0, 0.0]
    assert set(hand["explanation"]) == {
        "coefficients",
        "largest",
        "random",
    }  # no features, no neighbours


def test_a_flip_to_no_is_measured_toward_no():
    """Three images without it and one with it: the first alone is enough, one less is not."""
    model = replace(HAND_MODEL, smoothing=0.1)
    flips = pd.DataFrame(
        {
            "image_index": [0],
            "attribute_index": [0],
            "corrected": [0],
            "score": [-2 * math.log(3)],
            "term_basis": [-2 * math.log(3)],
            "strict_score": [1.0],
            "strict_basis": [0.0],
        }
    )
    c = sparse.csr_matrix(np.array([[0.6, 0.4]]))
    found = f.explanation_rows(c, np.array([[0.0], [1.0]]), flips, model)
    assert set(found["evidence"]) == {"full"}
    assert value(found, "deletion_reverted", "full", "coefficients", 1) == 100
    # toward no: (0 + .1 * .5) / 1.1, against what was stored
    after = 2 * math.log(0.05 / 1.05)
    before = 2 * math.log((0.6 + 0.05) / (1.1 - 0.65))
    drop = value(found, "deletion_drop", "full", "coefficients", 1)
    assert drop == pytest.approx(before - after)
    assert value(found, "sufficiency_stands", "full", "coefficients", 1) == 100


def test_largest_coefficients_are_taken_whatever_they_say(hand: pd.DataFrame):
    """Here the largest is also the top one; of a flip to no made by two halves it is not."""
    for k in (1, f.ALL):
        own, largest = (
            value(hand, "deletion_drop", "full", name, k) for name in ("coefficients", "largest")
        )
        assert own == pytest.approx(largest)
    flips = pd.DataFrame(
        {
            "image_index": [0],
            "attribute_index": [0],
            "corrected": [1],
            "score": [1.0],
            "term_basis": [0.0],
            "strict_score": [-1.0],
            "strict_basis": [0.0],
        }
    )
    c, y = sparse.csr_matrix(np.array([[0.6, 0.4]])), np.array([[0.0], [1.0]])
    found = f.explanation_rows(c, y, flips, HAND_MODEL)
    # the largest says no: alone s' = .1, and the rest is 1: 1 + 2 log(1 / 9) < 0
    assert value(found, "sufficiency_stands", "full", "largest", 1) == 0
    assert value(found, "sufficiency_stands", "full", "coefficients", 1) == 100
    assert value(found, "deletion_reverted", "full", "largest", 1) == 0


def test_the_order_is_by_contribution_then_as_they_stand():
    weights = np.array([[0.4, 0.3, 0.2, 0.1, 0.0]])
    toward = np.array([[0.0, 1.0, 0.5, 1.0, 1.0]])
    assert by_contribution(weights, toward).tolist() == [[1, 2, 3, 0, 4]]
    found = shares(weights, toward, np.array([0.25]))
    assert found[0] == pytest.approx([0.25, 0.0, 3 / 7, 4 / 9, 0.5, 0.5])


# --- the same, one receipt at a time -----------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 2, f.ALL])
@pytest.mark.parametrize("kind", f.EVIDENCE)
def test_deletion_is_that_of_receipts(run: Run, rows: pd.DataFrame, kind: str, k: int):
    reverted, drops = [], []
    for flip in run.table("flips").itertuples():
        of = receipt(run, flip.image_index, flip.attribute_index)
        if kind == "strict" and not flip.strict_agrees:
            continue
        atoms = of.atoms.assign(
            toward=of.atoms["coefficient"] * (of.atoms["value"] - (1 - flip.corrected)).abs()
        )
        atoms = atoms.sort_values(["toward", "coefficient"], ascending=False)
        after = of
        for index in atoms["basis_index"].iloc[: None if k == f.ALL else k]:
            after = without_atom(after, index)
        name = "score" if kind == "full" else "strict_score"
        if k == f.ALL:
            assert getattr(after, name) == getattr(without_all(of), name)
        sign = 1 if flip.corrected else -1
        drops.append(sign * (getattr(of, name) - getattr(after, name)))
        reverted.append((getattr(after, name) > 0) != (flip.corrected == 1))
    found = value(rows, "deletion_reverted", kind, "coefficients", k)
    assert found == pytest.approx(100 * np.mean(reverted))
    found = value(rows, "deletion_drop", kind, "coefficients", k)
    assert found == pytest.approx(np.mean(drops), abs=1e-5)
    own = rows[(rows["measure"] == "deletion_drop") & (rows["explanation"] == "coefficients")]
    assert set(own[own["evidence"] == kind]["n"]) == {len(drops)}


@pytest.mark.slow
def test_random_images_are_on_average_what_any_single_one_does(run: Run, rows: pd.DataFrame):
    expected = []
    for flip in run.table("flips").itertuples():
        of = receipt(run, flip.image_index, flip.attribute_index)
        without = [without_atom(of, k).score for k in of.atoms["basis_index"]]
        expected.append(np.mean([(s > 0) != (flip.corrected == 1) for s in without]))
    found = value(rows, "deletion_reverted", "full", "random", 1)
    assert found == pytest.approx(100 * np.mean(expected), abs=4)


@pytest.mark.slow
def test_nearest_images_are_a_vote_of_as_many(run: Run, rows: pd.DataFrame):
    """How often the flip would stand if its explanation were the nearest basis images."""
    model, c = read_evidence_model(run), run.coefficients()
    values = basis_values(run.array("basis_labels"), model.prior)
    x, atoms = (np.asarray(run.array(n), np.float64) for n in ("features", "basis"))
    stands = []
    for flip in run.table("flips").itertuples():
        i, j = flip.image_index, flip.attribute_index
        distance = np.linalg.norm(x[i] - atoms, axis=1)
        near = np.argsort(distance, kind="stable")[: c.indptr[i + 1] - c.indptr[i]]
        s = (values[near, j].mean() + model.smoothing * model.prior[j]) / (1 + model.smoothing)
        score = flip.score - flip.term_basis + model.basis_weight[j] * math.log(s / (1 - s))
        stands.append((score > 0) == (flip.corrected == 1))
    found = value(rows, "sufficiency_stands", "full", "nearest", f.ALL)
    assert found == pytest.approx(100 * np.mean(stands))
    counted = rows[(rows["measure"] == "deletion_reverted") & (rows["explanation"] == "nearest")]
    assert set(counted[counted["evidence"] == "full"]["n"]) == {sum(stands)}


# --- laws --------------------------------------------------------------------------------


def test_all_of_it_is_the_prior_whoever_chooses(rows: pd.DataFrame):
    for kind in f.EVIDENCE:
        for measure in ("deletion_reverted", "deletion_drop"):
            own, chance = (
                value(rows, measure, kind, name, f.ALL) for name in ("coefficients", "random")
            )
            assert own == pytest.approx(chance)
        assert value(rows, "sufficiency_stands", kind, "random", f.ALL) == 100


def test_shares_and_counts_are_in_range(rows: pd.DataFrame, run: Run):
    percent = rows[[f.MEASURES[m][0] == "%" for m in rows["measure"]]]
    assert percent["value"].between(0, 100).all()
    assert (rows["n"] > 0).all()
    assert rows[rows["measure"].str.startswith(("del", "suf"))]["n"].max() == len(
        run.table("flips")
    )
    keys = ["measure", "evidence", "explanation", "k", "attribute_index"]
    assert not rows.duplicated(keys).any()


def test_the_same_run_and_seed_give_the_same_table(run: Run, rows: pd.DataFrame, tmp_path: Path):
    pd.testing.assert_frame_equal(rows, measure_faithfulness(run))
    copy = Path(shutil.copytree(run.path, tmp_path / "copy"))
    RunWriter(copy).update(seed=7)
    other = measure_faithfulness(Run(copy))
    random = rows["explanation"] == "random"
    pd.testing.assert_frame_equal(rows[~random], other[~random])
    assert (rows["value"] != other["value"]).any()


def test_chunks_change_nothing_but_the_random_draws(run: Run, rows, monkeypatch):
    monkeypatch.setattr(f, "CELLS", 40)
    small = measure_faithfulness(run)
    own = rows["explanation"] != "random"
    pd.testing.assert_frame_equal(rows[own], small[own])


def test_truth_changes_nothing(run: Run, rows: pd.DataFrame, tmp_path: Path):
    copy = Path(shutil.copytree(run.path, tmp_path / "copy"))
    writer = RunWriter(copy)
    writer.write_array("labels_true", 1 - np.abs(run.array("labels_true")))
    writer.write_table("flips", run.table("flips").assign(truth=np.int8(1)))
    pd.testing.assert_frame_equal(rows, measure_faithfulness(Run(copy)))


def test_stability_is_kept_and_the_rest_measured_again(run: Run, rows: pd.DataFrame):
    stored = run.table("faithfulness")
    kept = stored["measure"].str.startswith("stability")
    assert kept.sum() == 5
    pd.testing.assert_frame_equal(rows, stored, check_dtype=False)


def test_agreement_of_both_kinds_of_evidence(run: Run, rows: pd.DataFrame):
    given, full, strict = (
        np.asarray(run.array(f"labels_{n}")) for n in ("given", "corrected", "strict")
    )
    made = {"full": (given >= 0) & (full != given), "strict": (given >= 0) & (strict != given)}
    both = made["full"] & made["strict"]
    agree = rows[rows["measure"] == "agreement"].set_index(["evidence", "attribute_index"])
    for kind, flips in made.items():
        assert agree.loc[(kind, -1), "value"] == pytest.approx(100 * both.sum() / flips.sum())
        assert agree.loc[(kind, -1), "n"] == flips.sum()
        for j in np.flatnonzero(flips.any(axis=0)):
            share = 100 * both[:, j].sum() / flips[:, j].sum()
            assert agree.loc[(kind, j), "value"] == pytest.approx(share)
    assert agree.loc[("full", -1), "value"] == pytest.approx(
        100 * run.table("flips")["strict_agrees"].mean()
    )


def test_a_run_without_flips_has_no_rows_of_them(run: Run, tmp_path: Path):
    copy = Path(shutil.copytree(run.path, tmp_path / "copy"))
    RunWriter(copy).write_table("flips", run.table("flips").iloc[:0])
    found = measure_faithfulness(Run(copy))
    assert not found["measure"].str.startswith(("deletion", "sufficiency")).any()


@pytest.mark.slow
def test_it_is_fast(tmp_path: Path):
    import time

    run = Run(build_tiny_run(tmp_path / "many", n_images=3000, n_atoms=40, n_attributes=17))
    start = time.perf_counter()
    measure_faithfulness(run)
    assert time.perf_counter() - start < 10


# --- stability ------------------------------------------------------------------------------


def test_stability_by_hand():
    before = sparse.csr_matrix(np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]))
    after = sparse.csr_matrix(np.array([[0.5, 0.0, 0.5], [1.0, 0.0, 0.0]]))
    given = np.array([[0, 1], [1, -1]])
    old, new = np.array([[1, 0], [1, -1]]), np.array([[1, 1], [0, -1]])
    found = f.stability_rows(before, after, given, {"full": (old, new), "strict": (given, new)})
    values = found.set_index(["measure", "evidence"])["value"]
    assert values["stability_jaccard", ""] == pytest.approx(100 * (1 / 3 + 1) / 2)
    assert values["stability_l1", ""] == 0.5
    assert values["stability_top", ""] == 100
    assert values["stability_flips", "full"] == 50  # one of two flips; a new flip counts nothing
    assert ("stability_flips", "strict") not in values.index  # it makes no flip
    assert set(found["n"]) == {2}


def test_stability_of_no_images_and_of_unchanged_ones():
    none = sparse.csr_matrix((0, 3))
    assert f.stability_rows(none, none, np.zeros((0, 2)), {}).empty
    same = sparse.csr_matrix(np.array([[0.2, 0.8]]))
    values = f.stability_rows(same, same, np.zeros((1, 1)), {}).set_index("measure")["value"]
    assert values.to_dict() == {
        "stability_jaccard": 100, "stability_l1": 0, "stability_top": 100,
    }  # fmt: skip
