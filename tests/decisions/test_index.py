"""What is decided, kept in memory, is what the store says; on SQLite and PostgreSQL."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pytest

from selfml import decision_changes, decision_index
from selfml.decision_index import DecisionIndex
from selfml.decisions import Cell, Store
from tests.decisions.cases import decide

SETTLED = ("accept", "reject")
NAMES = [f"{name}.jpg" for name in "abcdefgh"]


def keys_of(cells: pd.DataFrame) -> np.ndarray:
    """The place of the image among ``NAMES``; -1 for any other."""
    return pd.Index(NAMES).get_indexer(cells["image_id"]).astype(np.int64)


def names(keys: np.ndarray) -> set[str]:
    return {NAMES[k] for k in keys}


def says(store: Store) -> DecisionIndex:
    return DecisionIndex(store, "shop", keys_of)


def test_what_an_auditor_need_not_see(store):
    """What anybody decided, in conflict or not, and what one left unsure oneself."""
    cells = {name: Cell(f"{name}.jpg", "Red", 0, 1) for name in "abcdef"}
    decide(store, [cells["a"], cells["b"]], "accept", "bob")
    decide(store, cells["b"], "reject", "cat")
    decide(store, cells["c"], "unsure", "ann")
    decide(store, cells["d"], "unsure", "bob")
    decide(store, cells["e"], "reject", "bob")
    decide(store, cells["e"], "unsure", "bob")
    decide(store, cells["f"], "reject", "bob")
    store.undo("shop", "bob")
    decide(store, Cell("of another run.jpg", "Red", 0, 1), "accept", "ann")
    index = says(store)
    done = {who: names(index.done(who)[0]) for who in ("ann", "bob")}
    assert done["ann"] == {"a.jpg", "b.jpg", "c.jpg"}
    assert done["bob"] == {"a.jpg", "b.jpg", "d.jpg", "e.jpg"}
    assert names(index.done("bob")[1]) == {"a.jpg", "b.jpg", "d.jpg", "e.jpg"}
    assert names(index.done("cat")[1]) == {"b.jpg"}
    assert not DecisionIndex(store, "other shop", keys_of).done("ann")[0].size


@pytest.mark.parametrize(("late", "many"), [(500, 2_000), (4, 2_000), (500, 2)])
def test_it_follows_what_is_added(store, monkeypatch, late, many):
    """By drawn histories with undos, changes of mind, settlements and acts on several images: asked
    now and then, it is what the store's own state comes to."""
    monkeypatch.setattr(decision_changes, "LATE", late)
    monkeypatch.setattr(decision_changes, "MANY", many)
    rng, index, everything = random.Random(0), says(store), []
    monkeypatch.setattr(store, "spoken", noting(store.spoken, everything))
    for n in range(150):
        auditor = rng.choice("abc")
        cells = [Cell(name, "A", 0, 1) for name in rng.sample(NAMES, rng.choice((1, 1, 1, 3)))]
        if rng.random() < 0.2:
            store.undo("shop", auditor)
        else:
            settle = rng.random() < 0.2
            decision = rng.choice(
                ["accept", "reject"] if settle else ["accept", "unsure", "unsure"]
            )
            store.decide("shop", cells, decision, auditor=auditor, run_id="r", settle=settle)
        if rng.random() < 0.4:
            continue  # several acts between two questions
        said = store.of_auditors("shop")
        history = store.history("shop")
        standing = history[~history["taken_back"]]
        for who in "abcd":
            done, own = index.done(who)
            counts = said[(said["decision"] != "unsure") | (said["auditor"] == who)]
            assert names(done) == set(counts["image_id"]), n
            assert names(own) == set(standing.loc[standing["auditor"] == who, "image_id"]), n
    read_anew = sum(everything)
    assert read_anew == 1 if many > 2 else read_anew > 5


def noting(spoken, everything: list[bool]):
    """``Store.spoken``, and whether each answer was about all cells."""

    def asked(*args):
        answer = spoken(*args)
        everything.append(answer.cells is None)
        return answer

    return asked


def test_an_act_that_appears_late_is_found(store):
    """Acts are numbered before they are committed: a lower number may come after a higher one."""
    index = says(store)
    decide(store, Cell("a.jpg", "Red", 0, 1), "accept", "ann")
    assert names(index.done("bob")[0]) == {"a.jpg"}
    known = index._known
    decide(store, Cell("b.jpg", "Red", 0, 1), "accept", "ann")
    decide(store, Cell("c.jpg", "Red", 0, 1), "accept", "ann")
    late = store.spoken("shop", known)
    second = max(late.known.numbers - known.numbers)
    # as if the second of the two had been committed, and read, before the first one was
    index._known = decision_changes.Known(known.numbers | {second}, known.all_below)
    assert names(index.done("bob")[0]) == {"a.jpg", "b.jpg"}


def test_what_was_missed_is_found_in_the_end(store, monkeypatch):
    monkeypatch.setattr(decision_index, "ANEW_S", -1.0)
    index = says(store)
    decide(store, Cell("a.jpg", "Red", 0, 1), "accept", "ann")
    assert names(index.done("bob")[0]) == {"a.jpg"}
    index._known = decision_changes.Known(frozenset(), 10**9)  # as if all had been read
    decide(store, Cell("b.jpg", "Red", 0, 1), "accept", "ann")
    assert names(index.done("bob")[0]) == {"a.jpg", "b.jpg"}


def test_a_store_that_fails_between_is_asked_for_everything_again(store, monkeypatch):
    index = says(store)
    decide(store, Cell("a.jpg", "Red", 0, 1), "accept", "ann")
    assert names(index.done("bob")[0]) == {"a.jpg"}
    decide(store, Cell("b.jpg", "Red", 0, 1), "accept", "ann")
    monkeypatch.setattr(index, "keys_of", lambda cells: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        index.done("bob")
    monkeypatch.setattr(index, "keys_of", keys_of)
    assert names(index.done("bob")[0]) == {"a.jpg", "b.jpg"}
