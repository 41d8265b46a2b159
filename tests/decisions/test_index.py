"""What is decided, kept in memory, is what the store says; on SQLite and PostgreSQL."""

from __future__ import annotations

import random
import threading

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from selfml import decision_changes, decision_index
from selfml.decision_index import DecisionIndex
from selfml.decision_tables import decision_table
from selfml.decisions import Cell, Store, StoreError, _new_batch
from selfml.store_copies import backup, restore
from tests.decisions.cases import decide

SETTLED = ("accept", "reject")
NAMES = [f"{name}.jpg" for name in "abcdefgh"]
LABELS = ["Red", "Long"]


def keys_of(cells: pd.DataFrame) -> np.ndarray:
    """The place of the cell among all of ``NAMES`` and ``LABELS``; -1 for any other."""
    i = pd.Index(NAMES).get_indexer(cells["image_id"]).astype(np.int64)
    j = pd.Index(LABELS).get_indexer(cells["attribute"])
    return np.where((i >= 0) & (j >= 0), len(LABELS) * i + j, -1)


def cells_of(keys: np.ndarray) -> set[tuple[str, str]]:
    return {(NAMES[key // len(LABELS)], LABELS[key % len(LABELS)]) for key in keys}


def names(keys: np.ndarray) -> set[str]:
    return {name for name, _ in cells_of(keys)}


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


@pytest.mark.parametrize(
    ("late", "many", "at_once"), [(500, 2_000, 2), (4, 2_000, 2_000), (500, 2, 9)]
)
def test_it_follows_what_is_added(store, monkeypatch, late, many, at_once):
    """By drawn histories with undos, changes of mind, settlements and acts on several labels: asked
    now and then, it is what the store's own state comes to."""
    monkeypatch.setattr(decision_changes, "LATE", late)
    monkeypatch.setattr(decision_changes, "LATE_S", 0.0)
    monkeypatch.setattr(decision_changes, "MANY", many)
    monkeypatch.setattr(decision_changes, "AT_ONCE", at_once)
    rng, index, everything = random.Random(0), says(store), []
    monkeypatch.setattr(store, "spoken", noting(store.spoken, everything))
    every_cell = [Cell(name, label, 0, 1) for name in NAMES for label in LABELS]
    for n in range(150):
        auditor = rng.choice("abc")
        cells = rng.sample(every_cell, rng.choice((1, 1, 1, 3)))
        if rng.random() < 0.2:
            store.undo("shop", auditor)
        else:
            settle = rng.random() < 0.2
            decision = rng.choice(SETTLED if settle else ("accept", "unsure", "unsure"))
            store.decide("shop", cells, decision, auditor=auditor, run_id="r", settle=settle)
        if rng.random() < 0.4:
            continue  # several acts between two questions
        said = store.of_auditors("shop")
        history = store.history("shop")
        standing = history[~history["taken_back"]]
        for who in "abcd":
            done, own = index.done(who)
            counts = said[(said["decision"] != "unsure") | (said["auditor"] == who)]
            assert cells_of(done) == pairs(counts), n
            mine = pairs(standing[standing["auditor"] == who])
            assert cells_of(own) == mine, n
            assert len(own) == len(mine), n  # none of them twice
    read_anew = sum(everything)
    assert read_anew == 1 if many > 2 else read_anew > 5


def pairs(frame: pd.DataFrame) -> set[tuple[str, str]]:
    return set(zip(frame["image_id"], frame["attribute"], strict=True))


def noting(spoken, everything: list[bool]):
    """``Store.spoken``, and whether each answer was about all cells."""

    def asked(*args):
        answer = spoken(*args)
        everything.append(answer.cells is None)
        return answer

    return asked


def test_an_act_that_appears_late_is_found(postgres, monkeypatch):
    """Acts are numbered before they are committed: one may appear below hundreds of others.

    On SQLite who writes is alone.
    """
    monkeypatch.setattr(decision_changes, "LATE", 3)
    with Store(postgres.new_database()) as store:
        see_a_late_one(store, says(store))


def see_a_late_one(store: Store, index: DecisionIndex) -> None:
    decide(store, Cell("a.jpg", "Red", 0, 1), "accept", "ann")
    with store.engine.begin() as late:
        _, number = _new_batch(
            late, "", catalogue="shop", run_id="r", auditor="bulk", decision="accept", kind="single"
        )
        row = {"batch_id": number, **vars(Cell("b.jpg", "Red", 0, 1))}
        late.execute(sa.insert(decision_table), row)
        for _ in range(10):
            decide(store, Cell("c.jpg", "Red", 0, 1), "accept", "ann")
        assert names(index.done("bob")[0]) == {"a.jpg", "c.jpg"}
    assert names(index.done("bob")[0]) == {"a.jpg", "b.jpg", "c.jpg"}


def test_only_the_newest_acts_are_asked_for_again(store, monkeypatch):
    monkeypatch.setattr(decision_changes, "LATE", 3)
    monkeypatch.setattr(decision_changes, "LATE_S", 0.0)
    for _ in range(9):
        decide(store, Cell("a.jpg", "Red", 0, 1), "accept")
    assert len(store.spoken("shop").known.acts) == 3
    monkeypatch.setattr(decision_changes, "LATE_S", 60.0)
    assert len(store.spoken("shop").known.acts) == 9


def test_a_store_that_is_restored_is_read_anew(tmp_path):
    """Its acts are numbered from where the backup ended, a second time."""
    file, copy = tmp_path / "decisions.db", tmp_path / "backup.db"
    with Store(f"sqlite:///{file}") as store:
        index = says(store)
        decide(store, Cell("a.jpg", "Red", 0, 1), "accept")
        backup(str(file), copy)
        for name in ("b.jpg", "c.jpg"):
            decide(store, Cell(name, "Red", 0, 1), "accept")
        assert names(index.done("bob")[0]) == {"a.jpg", "b.jpg", "c.jpg"}
        restore(copy, str(file), force=True)
        decide(store, Cell("d.jpg", "Red", 0, 1), "accept")
        assert names(index.done("bob")[0]) == {"a.jpg", "d.jpg"}


def test_what_was_missed_is_found_in_the_end(store, monkeypatch):
    index = says(store)
    decide(store, Cell("a.jpg", "Red", 0, 1), "accept", "ann")
    assert names(index.done("bob")[0]) == {"a.jpg"}
    index._known = decision_changes.Known(10**9, {})  # as if all had been read
    decide(store, Cell("b.jpg", "Red", 0, 1), "accept", "ann")
    assert names(index.done("bob")[0]) == {"a.jpg"}
    monkeypatch.setattr(decision_index, "ANEW_S", 3600.0)
    monkeypatch.setattr(index, "_anew_s", 0.0)
    assert names(index.done("bob")[0]) == {"a.jpg", "b.jpg"}


def test_who_waits_for_another_gives_up_in_time(tmp_path):
    """Else a database that hangs would be waited for by one session after the other."""
    with Store(f"sqlite:///{tmp_path / 'decisions.db'}", answer_s=0.2) as store:
        index = says(store)
        with index._lock, pytest.raises(StoreError, match="took more than"):
            index.done("bob")
        assert not len(index.done("bob")[0])


def test_many_who_decide_claim_and_ask_at_once(store, monkeypatch):
    """None is refused for a deadlock, and at rest the index is what the store says."""
    monkeypatch.setattr("selfml.decisions.FORGET", 0.5)
    index, problems = says(store), []

    def work(auditor: str) -> None:
        rng = random.Random(auditor)
        every = [(name, label) for name in NAMES for label in LABELS]
        try:
            for _ in range(12):
                cells = rng.sample(every, 6)
                got = store.claim("shop", cells, auditor, for_s=0.02)
                decide(store, [Cell(*rng.choice(every), 0, 1)], "accept", auditor)
                index.done(auditor)
                store.release("shop", sorted(got, key=lambda _: rng.random()), auditor)
        except Exception as error:  # of a thread nobody would see it
            problems.append(error)

    threads = [threading.Thread(target=work, args=(f"auditor {k}",)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert cells_of(index.done("nobody")[0]) == pairs(store.state("shop"))


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
