"""What is left to decide, as frames: cells to keys and back, skips, rates, conflicts."""

from __future__ import annotations

import pandas as pd
import pytest

from dashboard.frames import audit
from dashboard.frames.flips import FlipQuery, flips_page, flips_summary
from selfml.agreement import kappas
from selfml.run import Run


@pytest.fixture
def run(tiny_run) -> Run:
    return Run(tiny_run)


def cells(flips: pd.DataFrame) -> pd.DataFrame:
    return flips[["image_id", "attribute"]]


def test_cells_lead_back_to_their_flips(run):
    flips = flips_page(run, FlipQuery(), 1, 50)
    keys = audit.keys_of(run, cells(flips))
    n = len(run.attributes)
    assert (keys // n == flips["image_index"]).all()
    assert (keys % n == flips["attribute_index"]).all()


def test_cells_of_other_catalogues_have_no_key(run):
    known = cells(flips_page(run, FlipQuery(), 1, 2))
    strange = pd.DataFrame({"image_id": ["elsewhere.jpg", known["image_id"][0]],
                            "attribute": [known["attribute"][0], "No such attribute"]})  # fmt: skip
    keys = audit.keys_of(run, pd.concat([known, strange]))
    assert (keys[:2] >= 0).all()
    assert keys[2:].tolist() == [-1, -1]
    assert len(audit.keys_of(run, strange.head(0))) == 0


def test_the_queue_leaves_out_what_is_decided(run):
    query = FlipQuery(direction="to_1")
    every = flips_page(run, query, 1, 10_000)
    skip = audit.keys_of(run, cells(every.iloc[:7]))
    left = audit.queue(run, query, skip, 10_000)
    pd.testing.assert_frame_equal(left, every.iloc[7:].reset_index(drop=True))
    assert audit.n_left(run, query, skip) == len(every) - 7
    assert audit.n_left(run, query, skip[:0]) == flips_summary(run, query)["n"]


def test_cells_say_what_was_given_and_proposed(run):
    flips = flips_page(run, FlipQuery(), 1, 5)
    for cell, (_, flip) in zip(audit.cells_of(flips), flips.iterrows(), strict=True):
        assert (cell.image_id, cell.attribute) == (flip["image_id"], flip["attribute"])
        assert (cell.given, cell.proposed) == (flip["given"], flip["corrected"])


def test_the_rate_is_of_the_last_minutes():
    assert audit.rate([], 0.0) is None
    assert audit.rate([10.0], 10.0) is None
    assert audit.rate([0.0, 2.0, 4.0, 6.0], 6.0) == pytest.approx(30.0)
    assert audit.rate([0.0, 1000.0, 1001.0], 1001.0) == pytest.approx(60.0)


def test_conflicts_say_who_says_what():
    cell = {"image_id": "a.jpg", "attribute": "Red"}
    state = pd.DataFrame([cell | {"given": 0, "proposed": 1, "state": "conflict"},
                          cell | {"attribute": "Long", "given": 0, "proposed": 1,
                                  "state": "accept"}])  # fmt: skip
    said = pd.DataFrame([cell | {"auditor": "ann", "decision": "accept"},
                         cell | {"auditor": "bob", "decision": "reject"}])  # fmt: skip
    rows = audit.conflict_rows(state, said)
    assert rows["says"].tolist() == ["ann accepted, bob rejected"]
    assert audit.conflict_rows(state[state["state"] == "accept"], said).empty


def test_kappa_of_a_hand_worked_case():
    """Cohen 1960: 20 both yes, 15 both no, 5 + 10 differ: agree .7, by chance .5, kappa .4."""
    pairs = [("accept", "accept")] * 20 + [("accept", "reject")] * 5
    pairs += [("reject", "accept")] * 10 + [("reject", "reject")] * 15
    said = pd.DataFrame(
        [{"image_id": str(n), "attribute": "Red", "auditor": who, "decision": decision}
         for n, pair in enumerate(pairs) for who, decision in zip("ab", pair, strict=True)]
        + [{"image_id": "z", "attribute": "Red", "auditor": who, "decision": d}
           for who, d in (("a", "accept"), ("b", "unsure"))]
    )  # fmt: skip
    row = kappas(said).iloc[0]
    assert row.tolist()[:3] == ["a", "b", 50]
    assert row["agree"] == pytest.approx(0.7)
    assert row["kappa"] == pytest.approx(0.4)


def test_kappa_without_variety_or_overlap():
    same = pd.DataFrame({"image_id": ["1", "1", "2"], "attribute": "Red",
                         "auditor": ["a", "b", "c"], "decision": "accept"})  # fmt: skip
    found = kappas(same)
    assert found[["one", "other"]].to_numpy().tolist() == [["a", "b"]]
    assert found["kappa"].isna().all()
    assert kappas(same.head(0)).empty
