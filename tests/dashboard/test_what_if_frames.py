"""What would change without a basis image: counts, words and tables against the run's arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dashboard.frames import what_if
from dashboard.frames.flips import FlipQuery, flips_page, flips_summary
from dashboard.frames.what_if import Counts
from selfml.counterfactual import Counterfactuals, read_counterfactuals
from selfml.receipts import receipt, without_atom
from selfml.run import Run


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> Run:
    return Run(tiny_run)


@pytest.fixture(scope="module")
def world(run: Run) -> Counterfactuals:
    return read_counterfactuals(run)


def test_the_blast_radius_counts_what_the_run_has(run: Run, world: Counterfactuals):
    flips, c = run.table("flips"), run.coefficients().toarray()
    for k in range(c.shape[1]):
        of = what_if.blast_radius(run, world, k)
        own = flips[flips["image_index"].isin(np.flatnonzero(c[:, k] > 0))]
        assert (of.n_images, of.n_flips) == ((c[:, k] > 0).sum(), len(own))
        table = of.by_attribute.set_index("attribute_index")
        wanted = own["attribute_index"].value_counts().to_dict()
        assert table["n_flips"][table["n_flips"] > 0].to_dict() == wanted
        assert table["n_flips"].is_monotonic_decreasing
        assert (table["n_fall"] <= table["n_flips"]).all()
        assert table["n_fall"].sum() == of.deciding.falls == len(of.keys)
        assert table["n_arise"].sum() == of.deciding.arises
        assert len(of.changes) == of.deciding.falls + of.deciding.arises


def test_the_flips_that_would_fall_are_those_whose_receipts_say_so(run, world):
    k = int(world.leaning.getnnz(axis=0).argmax())
    of = what_if.blast_radius(run, world, k)
    page = flips_page(run, FlipQuery(basis=k), 1, 10_000)
    fall = []
    for row in page.itertuples():
        one = without_atom(receipt(run, row.image_index, row.attribute_index), k)
        if (one.score > 0) != (row.corrected == 1):
            fall.append(row.image_index * len(run.attributes) + row.attribute_index)
    assert 0 < len(fall) < len(page)
    assert sorted(of.keys) == sorted(fall)
    query = FlipQuery(basis=k, keys=of.keys)
    assert flips_summary(run, query)["n"] == len(fall)
    assert flips_summary(run, FlipQuery(keys=()))["n"] == 0


def test_changes_say_what_each_label_would_become(run: Run, world: Counterfactuals):
    k = int(world.leaning.getnnz(axis=0).argmax())
    effect = world.what_if([k])
    changes = what_if.changes(run, effect)
    corrected = run.array("labels_corrected")
    now = corrected[changes["image_index"], changes["attribute_index"]]
    assert (changes["corrected_before"] == now).all()
    assert (changes["corrected_after"] == 1 - now).all()
    assert ((changes["score_after"] > 0) == (changes["corrected_after"] == 1)).all()
    assert changes["falls"].is_monotonic_decreasing
    ids = run.table("images")["image_id"]
    assert (changes["image_id"] == ids[changes["image_index"]].to_numpy()).all()
    first = (int(changes["image_index"][0]), int(changes["attribute_index"][0]))
    assert len(what_if.changes(run, effect, first)) == len(changes) - 1
    counts = what_if.counts(effect, effect.mode)
    assert what_if.counts(effect, effect.mode, first) == Counts(counts.falls - 1, counts.arises)
    assert what_if.counts(effect, effect.mode, (9999, 0)) == counts


def test_an_edit_without_effect_has_no_rows(run: Run, world: Counterfactuals):
    label = int(world.basis_labels[0, 0])
    effect = world.what_if(labels={(0, 0): label})
    assert len(what_if.changes(run, effect)) == 0
    assert what_if.counts(effect, "full") == Counts(0, 0)


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        (Counts(12, 3), "12 other flips would fall, 3 labels would newly be flipped"),
        (Counts(1, 1), "1 other flip would fall, 1 label would newly be flipped"),
        (Counts(0, 0), "No other label would come out otherwise"),
    ],
)
def test_counts_in_words(counts: Counts, words: str):
    assert counts.words(other=True) == words
    assert counts.words() == words.replace("other ", "")
