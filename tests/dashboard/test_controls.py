"""Control items: flips of verified images among the others, and what they say of an auditor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dashboard.frames.audit import keys_of, queue
from dashboard.frames.controls import (
    ALIKE,
    EVERY,
    Controls,
    by_auditor,
    controls,
    first_answers,
    next_control,
)
from dashboard.frames.flips import NONE, FlipQuery, flips_page
from selfml.audited import verified_images
from selfml.run import Run


@pytest.fixture
def known(run: Run) -> Controls:
    """As if every third proposal on a verified image were wrong; in this run none is."""
    found = controls(run)
    return replace(found, wrong=np.arange(len(found.keys)) % 3 == 0)


def test_none_of_the_flips_of_verified_images_is_to_be_decided(run, known):
    flips = run.table("flips")
    verified = verified_images(run)[flips["image_index"]]
    left = queue(run, FlipQuery(), known.hidden, 10_000)
    assert len(left) == (~verified).sum()
    assert not verified_images(run)[left["image_index"]].any()
    aside = run.table("calibration")["image_index"]
    assert not left["image_index"].isin(aside).any()


def test_a_control_has_a_known_label_that_its_receipt_does_not_show(run):
    known = controls(run)
    assert len(known.keys) > 20
    images, attributes = np.divmod(known.keys, len(run.attributes))
    assert not np.isin(images, run.table("basis")["image_index"]).any()
    assert (run.array("labels_true")[images, attributes] >= 0).all()


def test_a_control_is_wrong_where_the_verified_label_says_otherwise(run, monkeypatch):
    known, flips = controls(run), run.table("flips")
    told = flips.assign(truth=np.where(flips["truth"] >= 0, 1 - flips["corrected"], -1))
    told["truth"] = told["truth"].where(flips.index % 2 == 0, flips["truth"])
    other = Run(run.path)
    table = other.table
    monkeypatch.setattr(other, "table", lambda name, columns=None: (
        told[columns] if name == "flips" else table(name, columns)))  # fmt: skip
    found = controls(other)
    np.testing.assert_array_equal(found.keys, known.keys)
    keys = flips["image_index"] * len(run.attributes) + flips["attribute_index"]
    turned = keys[(flips.index % 2 == 0) & (flips["truth"] >= 0)]
    np.testing.assert_array_equal(found.wrong, known.wrong | np.isin(known.keys, turned))


def simulate(run, known, query, auditor, n, own=()):
    """What an auditor is given: True for a control."""
    left = queue(run, query, known.hidden, 10_000)
    others = iter(keys_of(run, left[["image_id", "attribute"]]).tolist() + list(range(-1, -n, -1)))
    own, given = set(own), []
    for _ in range(n):
        wait, control = next_control(run, known, query, np.array(sorted(own), np.int64), auditor)
        due = wait == 0 and len(control) > 0
        key = keys_of(run, control[["image_id", "attribute"]])[0] if due else next(others)
        own.add(int(key))
        given.append((due, int(key)))
    return given


@pytest.mark.parametrize("auditor", ["ann", "bob", "anna@shop.org"])
def test_one_item_in_thirteen_is_a_control_and_half_of_these_are_wrong(run, known, auditor):
    n = 13 * min(len(known.keys), 24)
    given = simulate(run, known, FlipQuery(), auditor, n)
    keys = [key for due, key in given if due]
    assert len(keys) / n >= 0.05
    assert len(keys) == len(set(keys))
    gaps = np.diff([place for place, (due, _) in enumerate(given) if due])
    assert gaps.max() <= 2 * EVERY
    assert len(set(gaps)) > 3  # not to be guessed by counting
    wrong = known.wrong[np.searchsorted(known.keys, keys)]
    possible = min(known.wrong.sum(), len(keys) // 3)
    assert wrong.sum() >= min(possible, 4)


def test_a_rebuilt_queue_has_the_same_control_at_the_same_place(run, known):
    own = np.arange(-5, 0)
    once, again = (next_control(run, known, FlipQuery(), own, "ann") for _ in range(2))
    assert once[0] == again[0]
    pd.testing.assert_frame_equal(once[1], again[1])
    more = np.append(own, -6)
    assert next_control(run, known, FlipQuery(), more, "ann")[0] == max(once[0] - 1, 0)


def test_a_control_fits_what_is_looked_at(run, known):
    for query in (FlipQuery(attribute=1), FlipQuery(direction="to_0"), FlipQuery(category="tops")):
        _, control = next_control(run, known, query, NONE, "ann")
        fitting = flips_page(run, query, 1, 10_000)
        if len(control):
            key = keys_of(run, control[["image_id", "attribute"]])[0]
            assert key in keys_of(run, fitting[["image_id", "attribute"]])
    _, none = next_control(run, known, FlipQuery(category="no such"), NONE, "ann")
    assert none.empty
    assert next_control(run, known, FlipQuery(), known.keys, "ann")[1].empty


def test_the_first_answer_counts_also_where_it_is_taken_back():
    """Else one could look at the table, take back, and answer again."""
    cell = {"image_id": "a.jpg", "attribute": "Red", "auditor": "ann"}
    history = pd.DataFrame(
        [
            cell | {"decision": "reject", "kind": "settle", "taken_back": False},
            cell | {"decision": "reject", "kind": "single", "taken_back": False},
            cell | {"decision": "accept", "kind": "single", "taken_back": True},
        ]
    )
    assert first_answers(history)["decision"].tolist() == ["accept"]


def test_overdue_a_control_is_anywhere_among_what_is_shown(run, known):
    """Screens of seventeen, or many decided at one time: it would always be the first else."""
    places = [
        next_control(run, known, FlipQuery(), np.arange(-500 - k, 0), f"auditor {k}", 1.0, 17)[0]
        for k in range(24)
    ]
    assert max(places) <= 17
    assert len(set(places)) > 6


def test_over_trust_of_a_hand_worked_case(run, known):
    """ann accepts three of four wrong proposals and rejects one of two right ones."""
    wrong, right = known.keys[known.wrong][:4], known.keys[~known.wrong][:2]
    noisy = queue(run, FlipQuery(), known.hidden, 3)[["image_id", "attribute"]]
    ids, names = run.table("images")["image_id"], run.attributes
    n = len(names)

    def said(keys, decisions, auditor="ann"):
        return pd.DataFrame({"image_id": [ids[k // n] for k in keys],
                             "attribute": [names[k % n] for k in keys],
                             "auditor": auditor, "decision": decisions})  # fmt: skip

    rows = pd.concat(
        [
            said(wrong, ["accept", "accept", "accept", "reject"]),
            said(right, ["accept", "reject"]),
            noisy.assign(auditor="ann", decision=["accept", "unsure", "reject"]),
            said(wrong[:1], ["unsure"], "bob"),
        ]
    )
    found = by_auditor(run, known, rows).set_index("auditor")
    ann = found.loc["ann"]
    assert ann[["decided", "accepted", "rejected", "unsure"]].tolist() == [9, 5, 3, 1]
    assert ann[["wrong proposals", "of these accepted"]].tolist() == [4, 3]
    assert ann[["right proposals", "of these rejected"]].tolist() == [2, 1]
    assert ann["over-trust"] == 0.75
    assert ann["low"] == pytest.approx(0.3006, abs=1e-4)  # Wilson 1927, 3 of 4
    assert ann["high"] == pytest.approx(0.9544, abs=1e-4)
    assert np.isnan(found.loc["bob", "over-trust"])


def test_a_control_is_about_as_sure_as_its_neighbours(run, known):
    flips = run.table("flips").set_index(["image_index", "attribute_index"])["confidence"]
    n = len(run.attributes)
    sure = np.array([flips.loc[divmod(int(key), n)] for key in known.keys])
    for like in (0.55, 0.75, 0.95):
        _, control = next_control(run, known, FlipQuery(), NONE, "ann", like)
        wrong = known.wrong[np.searchsorted(known.keys, keys_of(run, control)[0])]
        far = np.sort(np.abs(sure[known.wrong == wrong] - like))[:ALIKE]
        assert abs(control["confidence"][0] - like) <= far.max() + 1e-9
