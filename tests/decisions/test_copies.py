"""Backup and restore of a store: one moment of it, whole, whoever writes; nothing by mistake."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path

import pytest

from selfml.decisions import Cell, Store
from selfml.store_copies import backup, restore
from tests.command import one_line


def cells(n: int, name: str = "i") -> list[Cell]:
    return [Cell(f"{name}{k}", "Red", 0, 1) for k in range(n)]


@pytest.fixture
def path(tmp_path) -> Path:
    """A store with three decisions of one act."""
    found = tmp_path / "decisions.db"
    with Store(str(found)) as store:
        store.decide("shop", cells(3), "accept", auditor="ann", run_id="r")
    return found


def decisions(path: Path) -> list[tuple[str, str]]:
    with Store(str(path)) as store:
        frame = store.history("shop")
    return sorted(zip(frame["image_id"], frame["decision"], strict=True))


def test_a_copy_is_the_store_in_one_file(path, tmp_path):
    done = backup(str(path), tmp_path / "copies" / "monday.db")
    assert (done.path, done.n_decisions) == (tmp_path / "copies" / "monday.db", 3)
    assert [p.name for p in done.path.parent.iterdir()] == ["monday.db"]
    assert decisions(done.path) == decisions(path)


@pytest.mark.slow
def test_a_copy_of_a_store_in_use_is_one_moment_of_it(path, tmp_path):
    """Acts of 50 decisions are written all the while: a copy has each act whole or not at all."""
    stop, wrote = threading.Event(), []

    def write(auditor: str) -> None:
        with Store(str(path)) as store:
            for n in range(10_000):
                if stop.is_set():
                    return
                name = f"{auditor}-{n}-"
                store.decide("shop", cells(50, name), "reject", auditor=auditor, run_id="r")
                wrote.append(name)

    writers = [threading.Thread(target=write, args=(name,)) for name in ("ann", "bob")]
    for writer in writers:
        writer.start()
    try:
        done_before, copies = [], []
        while len(wrote) < 4:
            pass
        for n in range(5):
            done_before.append(list(wrote))
            copies.append(backup(str(path), tmp_path / f"copy{n}.db"))
    finally:
        stop.set()
        for writer in writers:
            writer.join(30)
    assert len(wrote) > len(done_before[0])
    for copy, before in zip(copies, done_before, strict=True):
        with sqlite3.connect(copy.path) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            sizes = dict(connection.execute("SELECT batch_id, count(*) FROM decision GROUP BY 1"))
            acts = [key for (key,) in connection.execute("SELECT id FROM batch")]
            names = {name for (name,) in connection.execute("SELECT image_id FROM decision")}
        connection.close()
        assert sorted(sizes) == sorted(acts)
        assert sorted(sizes.values())[1:] == [50] * (len(acts) - 1)
        assert copy.n_decisions == sum(sizes.values())
        assert {f"{name}0" for name in before} <= names  # what was acknowledged before is in it


def test_a_restore_is_seen_by_who_has_the_store_open(path, tmp_path):
    copy = backup(str(path), tmp_path / "copy.db").path
    with Store(str(path)) as store:
        store.decide("shop", cells(2, "later"), "reject", auditor="bob", run_id="r")
        assert len(store.history("shop")) == 5
        done = restore(copy, f"sqlite:///{path}", force=True)
        assert done.n_decisions == len(store.history("shop")) == 3
        store.decide("shop", cells(1, "after"), "accept", auditor="bob", run_id="r")
    assert len(decisions(path)) == 4
    assert len(decisions(done.before)) == 5  # what was there is kept
    assert done.before.name.startswith("decisions.db.before-restore-")


def test_a_restore_makes_a_store(path, tmp_path):
    copy = backup(str(path), tmp_path / "copy.db").path
    done = restore(copy, str(tmp_path / "new" / "decisions.db"))
    assert done.before is None
    assert decisions(done.path) == decisions(path)


def test_nothing_is_replaced_without_force(path, tmp_path):
    there = tmp_path / "there.db"
    there.write_text("mine")
    with pytest.raises(ValueError, match=r"there\.db: is there already; .* --force"):
        backup(str(path), there)
    assert there.read_text() == "mine"
    assert backup(str(path), there, force=True).n_decisions == 3
    with pytest.raises(ValueError, match="--force"):
        restore(there, str(path))


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_whole_store_is_not_put_back(path, tmp_path, force):
    text, other, torn = tmp_path / "text.db", tmp_path / "other.db", tmp_path / "torn.db"
    text.write_text("hello" * 500)
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE batch (id INTEGER)")
    connection.close()
    whole = backup(str(path), tmp_path / "whole.db").path.read_bytes()
    torn.write_bytes(whole[: len(whole) // 2])
    before = decisions(path)
    for bad, why in (
        (text, "cannot be read"),
        (other, "is not a store of decisions"),
        (torn, r"damaged|cannot be read"),
        (tmp_path / "nowhere.db", "no such file"),
    ):
        with pytest.raises(ValueError, match=why):
            restore(bad, str(path), force=force)
    assert decisions(path) == before
    assert not [p for p in tmp_path.iterdir() if "part" in p.name or "before" in p.name]


def test_a_damaged_store_is_not_copied(path, tmp_path):
    with Store(str(path)) as store:
        store.decide("shop", cells(2000), "accept", auditor="ann", run_id="r")
    backup(str(path), tmp_path / "whole.db")
    torn = bytearray((tmp_path / "whole.db").read_bytes())
    torn[8192:12288] = b"x" * 4096
    (tmp_path / "torn.db").write_bytes(torn)
    with pytest.raises(ValueError, match=r"damaged|cannot be read"):
        backup(str(tmp_path / "torn.db"), tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_a_damaged_store_is_set_aside_and_replaced(path, tmp_path):
    """That is when a backup is needed."""
    copy = backup(str(path), tmp_path / "copy.db").path
    path.write_bytes(b"not a database " * 400)
    done = restore(copy, str(path), force=True)
    assert done.before.read_bytes().startswith(b"not a database")
    assert decisions(path) == decisions(copy)


def test_a_log_that_is_left_over_is_not_read_into_what_is_put_back(path, tmp_path):
    """The server was killed, and somebody removed the file but not its log."""
    copy = backup(str(path), tmp_path / "copy.db").path
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute("DELETE FROM decision")
    connection.commit()
    log = path.with_name(path.name + "-wal").read_bytes()
    connection.close()
    assert log
    path.unlink()
    path.with_name(path.name + "-wal").write_bytes(log)
    done = restore(copy, str(path), force=True)
    assert done.n_decisions == 3
    assert decisions(path) == decisions(copy)


def test_what_is_decided_during_a_restore_is_in_the_store_or_beside_it(path, tmp_path):
    copy = backup(str(path), tmp_path / "copy.db").path
    with Store(str(path)) as store:
        store.decide("shop", cells(5000), "accept", auditor="ann", run_id="r", key="large")
    acknowledged, stop = [], threading.Event()

    def write() -> None:
        with Store(str(path)) as store:
            n = 0
            while not stop.is_set():
                store.decide("shop", cells(1), "reject", auditor="bob", run_id="r", key=f"b{n}")
                acknowledged.append(f"b{n}")
                n += 1

    writer = threading.Thread(target=write)
    writer.start()
    while len(acknowledged) < 20:
        time.sleep(0.01)
    done = restore(copy, str(path), force=True)
    stop.set()
    writer.join()
    kept = set()
    for file in (path, done.before):
        with Store(str(file)) as store:
            kept |= set(store.history("shop")["batch_key"])
    assert set(acknowledged) <= kept


# ---------------------------------------------------------------------------------- by the command
def test_the_commands_say_what_they_did(selfml, path, tmp_path):
    done = selfml("backup", path, tmp_path / "copy.db")
    assert (done.code, done.out) == (0, f"{tmp_path / 'copy.db'}: 3 decisions, checked\n")
    done = selfml("restore", tmp_path / "copy.db", path, "--force")
    assert done.code == 0
    assert "the store as it was" in done.out


def test_the_commands_say_what_is_wrong(selfml, path, tmp_path):
    one_line(
        selfml("backup", tmp_path / "no.db", tmp_path / "c.db"), "no.db: there is no such file"
    )
    one_line(selfml("backup", path, path, "--force"), "is the store itself")
    url = "postgresql://ann:hidden@db/shop"
    for words, program in (
        (("backup", url, tmp_path / "c.db"), "pg_dump"),
        (("restore", path, url), "pg_restore"),
    ):
        done = selfml(*words)
        one_line(done, "is PostgreSQL", program)
        assert "hidden" not in done.err
