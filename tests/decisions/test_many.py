"""Many at once: threads, cells, and the process killed between them. On SQLite and PostgreSQL."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from selfml.decision_queries import acts_after, cells_of_acts, spoken_of, state_of
from selfml.decisions import ROWS_AT_ONCE, Cell, Store
from tests.decisions.cases import SHIRT, decide


def test_many_at_once_lose_and_double_nothing(store):
    """Eight auditors, 25 acts each, at the same time, every key sent twice."""

    def work(auditor: str) -> None:
        for n in range(25):
            for _ in range(2):
                decide(
                    store, Cell(f"{n}.jpg", auditor, 0, 1), "accept", auditor, key=f"{auditor}{n}"
                )

    threads = [threading.Thread(target=work, args=(f"auditor {k}",)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = store.history("shop")
    assert len(history) == 8 * 25
    assert (history["attribute"] == history["auditor"]).all()
    assert not history.duplicated(["image_id", "attribute"]).any()


@contextmanager
def statements(engine: sa.Engine) -> Iterator[list[str]]:
    """What is asked of a database meanwhile; many rows inserted at once count as one."""
    said: list[str] = []

    def note(_connection, _cursor, statement: str, *_rest) -> None:
        said.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        yield said
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)


def many(n: int, attribute: str = "Red") -> list[Cell]:
    return [Cell(f"{k}.jpg", attribute, 0, 1) for k in range(n)]


def test_many_cells_are_one_act(store):
    """Written in a few statements, and undone in as many as a single one."""
    with statements(store.engine) as of_one:
        decide(store, SHIRT, "accept")
    with statements(store.engine) as of_many:
        assert decide(store, many(10_000), "accept").n_cells == 10_000
    assert len(of_many) == len(of_one) + 10_000 // ROWS_AT_ONCE - 1
    assert len(store.state("shop")) == 10_001
    with statements(store.engine) as undone:
        store.undo("shop", "ann")
    assert len(undone) <= len(of_one)
    assert len(store.state("shop")) == 1


def test_ten_times_the_cells_are_ten_times_the_work(tmp_path):
    """In steps of SQLite's machine, which are the same everywhere; rows of others stand by."""

    def steps(n: int) -> int:
        with Store(f"sqlite:///{tmp_path / f'{n}.db'}") as store:
            decide(store, many(n), "reject", "bob")
            count = 0

            def step() -> None:
                nonlocal count
                count += 1

            with store.engine.connect() as connection:  # the pool has one, used again below
                connection.connection.dbapi_connection.set_progress_handler(step, 100)
            assert decide(store, many(n), "accept").n_conflicts == n
            assert len(store.state("shop")) == n
            return 100 * count

    few, lots = steps(300), steps(3000)
    print(f"{few:,} and {lots:,} steps")
    assert 300 < few < lots < 12 * few


@pytest.mark.slow
def test_what_was_acknowledged_survives_being_killed(url, tmp_path):
    program = (
        "import sys\n"
        "from selfml.decisions import Cell, Store\n"
        "store = Store(sys.argv[1])\n"
        "for n in range(1000):\n"
        "    store.decide('shop', [Cell(f'{n}.jpg', 'Red', 0, 1)], 'accept', auditor='ann',"
        " run_id='r', key=str(n))\n"
        "    print(n, flush=True)\n"
    )
    command = [sys.executable, "-c", program, url]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        for line in process.stdout:
            if int(line) == 60:
                process.send_signal(signal.SIGKILL)
                break
        rest = process.stdout.read().split()
    acknowledged = 61 + len(rest)
    with Store(url) as store:
        kept = set(store.history("shop")["batch_key"])
    assert {str(n) for n in range(acknowledged)} <= kept
    assert len(kept) <= acknowledged + 1  # the one in flight may be there or not


def plan_of(store: Store, query: sa.Select) -> str:
    """How the database would answer."""
    text = query.compile(store.engine, compile_kwargs={"literal_binds": True})
    lite = store.engine.dialect.name == "sqlite"
    with store.engine.connect() as connection:
        if not lite:
            connection.exec_driver_sql("ANALYZE")
        explain = f"EXPLAIN {'QUERY PLAN ' if lite else ''}{text}"
        return "\n".join(str(tuple(row)) for row in connection.exec_driver_sql(explain))


def test_what_is_asked_again_and_again_does_not_grow_with_what_is_decided(store):
    """Acts and decisions are looked up by an index, and no others are read."""
    decide(store, many(20_000), "accept", "bulk")
    for n in range(1_000):
        decide(store, Cell(f"{n}.jpg", "Long", 0, 1), "accept")
    for query, index in (
        (state_of("shop", 2, ["shirt.jpg"]), "decision_of_cell"),
        (spoken_of("shop", ["shirt.jpg"]), "decision_of_cell"),
        (cells_of_acts([999, 1000], 10), "batch_id"),
        (
            acts_after("shop", 990),
            r"(batch_of_catalogue \(catalogue=\? AND id>|batch_pkey|Index Cond.* id > )",
        ),
    ):
        plan = plan_of(store, query)
        assert re.search(index, plan), plan
        assert "SCAN decision" not in plan, plan
        assert "Seq Scan on decision" not in plan, plan


def test_what_an_index_asks_does_not_grow_with_what_is_decided(store):
    decide(store, many(3_000), "accept", "bulk")
    everything = store.spoken("shop")
    assert len(everything.rows) == 3_000
    decide(store, [SHIRT, *many(2)], "reject")
    since = store.spoken("shop", everything.known)
    assert set(since.cells) == {("shirt.jpg", "Red"), ("0.jpg", "Red"), ("1.jpg", "Red")}
    assert len(since.rows) == 5
    assert store.spoken("shop", since.known).rows == []
