"""Decisions are inserted, never changed; what holds now is a query. On SQLite and PostgreSQL."""

from __future__ import annotations

import sys
import time

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from selfml.decision_tables import claim_table, database_url, metadata
from selfml.decisions import Cell, Store, StoreError
from tests.decisions.cases import DRESS, SHIRT, decide, states


def test_the_migrations_make_the_tables_that_the_code_reads(store):
    with store.engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_a_store_is_opened_again_as_it_was(url):
    with Store(url) as store:
        decide(store, SHIRT, "accept")
    with Store(url) as again:
        assert states(again) == {("shirt.jpg", "Red"): "accept"}
        assert again.history("shop")["decided_at"].dt.tz is not None


def test_decisions_of_other_catalogues_are_not_seen(store):
    decide(store, SHIRT, "accept")
    assert states(store, "other shop") == {}
    assert len(store.history("other shop")) == 0


def test_a_key_that_was_there_writes_nothing(store):
    first = decide(store, [SHIRT, DRESS], "accept", key="k1")
    again = decide(store, [SHIRT, DRESS], "reject", key="k1")
    assert (first.repeated, again.repeated) == (False, True)
    assert set(states(store).values()) == {"accept"}
    assert len(store.history("shop")) == 2


def test_the_latest_decision_of_an_auditor_holds(store):
    for decision in ("accept", "unsure", "reject"):
        decide(store, SHIRT, decision)
    assert states(store) == {("shirt.jpg", "Red"): "reject"}
    assert list(store.history("shop")["decision"]) == ["reject", "unsure", "accept"]


def test_undo_goes_back_without_end_and_touches_nobody_else(store):
    decide(store, DRESS, "accept", "bob")
    decide(store, SHIRT, "accept")
    decide(store, [SHIRT, DRESS], "reject")
    seen = [states(store)]
    while store.undo("shop", "ann"):
        seen.append(states(store))
    dress, shirt = ("dress.jpg", "Long"), ("shirt.jpg", "Red")
    assert seen == [
        {dress: "conflict", shirt: "reject"},
        {dress: "accept", shirt: "accept"},
        {dress: "accept"},
    ]
    assert store.undo("shop", "ann") is None
    assert store.history("shop")["taken_back"].tolist() == [True, True, True, False]


def test_a_named_act_can_be_taken_back_once(store):
    first = decide(store, SHIRT, "accept")
    decide(store, DRESS, "accept")
    undone = store.undo("shop", "ann", key=first.key)
    assert vars(undone) == {
        "key": first.key,
        "decision": "accept",
        "n_cells": 1,
        "image_id": "shirt.jpg",
        "attribute": "Red",
    }
    assert store.undo("shop", "ann", key=first.key) is None
    assert store.undo("shop", "bob", key=first.key) is None
    assert states(store) == {("dress.jpg", "Long"): "accept"}


def test_a_contrary_decision_is_a_conflict_until_it_is_settled(store):
    assert decide(store, SHIRT, "accept").n_conflicts == 0
    assert decide(store, [SHIRT, DRESS], "reject", "bob").n_conflicts == 1
    assert states(store)["shirt.jpg", "Red"] == "conflict"
    decide(store, SHIRT, "reject", "cat", settle=True)
    assert states(store)["shirt.jpg", "Red"] == "reject"
    assert decide(store, SHIRT, "accept").n_conflicts == 1  # after the settlement: open again
    assert states(store)["shirt.jpg", "Red"] == "conflict"


def test_a_settlement_stays_when_the_settler_speaks_again(store):
    """It closed what others said before; only the settler's own word changes."""
    decide(store, SHIRT, "accept")
    decide(store, SHIRT, "reject", "bob")
    decide(store, SHIRT, "reject", "cat", settle=True)
    decide(store, SHIRT, "unsure", "cat")
    assert states(store)["shirt.jpg", "Red"] == "unsure"
    decide(store, SHIRT, "accept", "cat")
    frame = store.state("shop")
    assert frame.loc[0, ["state", "label", "n_auditors"]].tolist() == ["accept", 0, 1]
    store.undo("shop", "cat")
    store.undo("shop", "cat")
    assert states(store)["shirt.jpg", "Red"] == "reject"
    store.undo("shop", "cat")
    assert states(store)["shirt.jpg", "Red"] == "conflict"


def test_who_settles_counts_once(store):
    decide(store, SHIRT, "accept")
    decide(store, SHIRT, "reject", "bob")
    decide(store, SHIRT, "accept", "ann", settle=True)
    decide(store, SHIRT, "accept", "ann")
    frame = store.state("shop")
    assert frame.loc[0, ["state", "n_auditors"]].tolist() == ["accept", 1]
    counting = store.of_auditors("shop")
    assert counting[["auditor", "decision", "label"]].to_numpy().tolist() == [["ann", "accept", 0]]
    own = store.of_auditors("shop", settling=False)
    assert own[["auditor", "decision"]].to_numpy().tolist() == [
        *(["bob", "reject"], ["ann", "accept"])
    ]


def test_a_settlement_is_no_independent_judgement(store):
    decide(store, SHIRT, "accept")
    decide(store, SHIRT, "reject", "bob")
    decide(store, SHIRT, "accept", "bob", settle=True)
    own = store.of_auditors("shop", settling=False)
    assert own[["auditor", "decision", "label"]].to_numpy().tolist() == [
        *(["ann", "accept", 0], ["bob", "reject", 1])
    ]


def test_decisions_are_about_labels_not_about_the_change_asked_for(store):
    """A later run asks the other way round: who accepted "add" and who rejects "take off" agree."""
    decide(store, Cell("a.jpg", "Red", 0, 1), "accept")
    assert decide(store, Cell("a.jpg", "Red", 1, 0), "reject", "bob").n_conflicts == 0
    frame = store.state("shop")
    assert frame.loc[0, ["given", "proposed", "state", "label", "n_auditors"]].tolist() == [
        *(1, 0, "reject", 1, 2)
    ]
    assert store.of_auditors("shop")["decision"].tolist() == ["reject", "reject"]
    assert decide(store, Cell("a.jpg", "Red", 1, 0), "accept", "cat").n_conflicts == 1
    assert store.state("shop").loc[0, ["state", "label"]].tolist() == ["conflict", -1]


def test_being_unsure_contradicts_nobody(store):
    decide(store, SHIRT, "unsure")
    assert states(store)["shirt.jpg", "Red"] == "unsure"
    assert decide(store, SHIRT, "accept", "bob").n_conflicts == 0
    frame = store.state("shop")
    assert frame.loc[0, ["state", "n_auditors", "given", "proposed"]].tolist() == [
        *("accept", 2, 1, 0)
    ]


def test_only_the_named_cells_change(store):
    decide(store, [Cell("a.jpg", "Red", 0, 1), Cell("a.jpg", "Long", 0, 1)], "accept")
    decide(store, Cell("a.jpg", "Red", 0, 1), "reject")
    assert states(store) == {("a.jpg", "Red"): "reject", ("a.jpg", "Long"): "accept"}


def test_two_do_not_get_the_same_item(store):
    cells = [("a.jpg", "Red"), ("b.jpg", "Red")]
    assert store.claim("shop", cells[:1], "ann") == {cells[0]}
    assert store.claim("shop", cells, "bob") == {cells[1]}
    assert store.claim("shop", cells, "ann") == {cells[0]}
    assert store.claimed("shop") == {cells[0]: "ann", cells[1]: "bob"}
    store.release("shop", cells, "ann")
    assert store.claimed("shop") == {cells[1]: "bob"}
    assert store.claim("shop", cells, "bob") == set(cells)


def test_a_claim_ends_by_itself(store):
    store.claim("shop", [("a.jpg", "Red")], "ann", for_s=0.05)
    time.sleep(0.1)
    assert store.claimed("shop") == {}
    assert store.claim("shop", [("a.jpg", "Red")], "bob") == {("a.jpg", "Red")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decision": "yes"}, "decision: must be one of"),
        ({"cells": []}, "cells: is empty"),
        ({"auditor": " "}, "auditor: is empty"),
        ({"decision": "unsure", "settle": True}, "settles nothing"),
    ],
)
def test_what_is_no_decision_is_refused(store, change, message):
    arguments = {"cells": [SHIRT], "decision": "accept"} | change
    with pytest.raises(ValueError, match=message):
        decide(store, **arguments)
    assert len(store.history("shop")) == 0


def test_a_database_that_is_gone_is_one_line(tmp_path):
    with pytest.raises(StoreError, match="try again") as caught:
        Store("postgresql://selfml:secret@127.0.0.1:1/nothing")
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(StoreError, match="unable to open"):
        Store(f"sqlite:///{folder}")


def test_what_is_not_a_databases_own_error_is_one_line_too(tmp_path, monkeypatch):
    with Store(f"sqlite:///{tmp_path / 'later.db'}") as store, store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"later.db: Can't locate revision .*9999"):
        Store(f"sqlite:///{tmp_path / 'later.db'}")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        Store(f"sqlite:///{tmp_path / 'file' / 'decisions.db'}")
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError, match="pip install"):
        Store("postgresql://u:p@127.0.0.1:1/nothing")


def test_the_catalogues_of_a_store(store):
    assert store.catalogues() == {}
    decide(store, SHIRT, "accept")
    decide(store, DRESS, "accept")
    assert store.catalogues() == {"shop": 2}


def test_a_write_that_fails_writes_nothing(store):
    broken = [SHIRT, Cell("b.jpg", None, 0, 1)]
    with pytest.raises(StoreError):
        decide(store, broken, "accept")
    assert len(store.history("shop")) == 0
    with store.engine.begin() as connection:
        assert connection.scalar(sa.text("SELECT count(*) FROM batch")) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgres://u:p@h/db", "postgresql+psycopg://u:p@h/db"),
        ("postgresql://u:p@h/db?sslmode=require", "postgresql+psycopg://u:p@h/db?sslmode=require"),
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("runs/a.db", "sqlite:///runs/a.db"),
    ],
)
def test_addresses(text, expected):
    assert database_url(text).render_as_string(hide_password=False) == expected


@pytest.mark.parametrize("text", ["mysql://h/db", "http://x", "://"])
def test_other_addresses_are_refused(text):
    with pytest.raises(ValueError, match="DATABASE_URL"):
        database_url(text)


def test_claims_that_ended_are_taken_out(store, monkeypatch):
    """Else every question about claims would read all that were ever made."""
    monkeypatch.setattr("selfml.decisions.FORGET", 1.0)
    store.claim("shop", [("a.jpg", "Red"), ("b.jpg", "Red")], "ann", for_s=0.05)
    time.sleep(0.1)
    store.claim("shop", [("c.jpg", "Red")], "bob")
    with store.engine.begin() as connection:
        rows = connection.execute(sa.select(claim_table.c.image_id, claim_table.c.auditor))
        assert list(map(tuple, rows)) == [("c.jpg", "bob")]
