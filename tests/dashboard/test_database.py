"""Tables of runs in DuckDB's memory: the file's rows, a new one when the file is new, few kept."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from dashboard.frames import database
from selfml.run import Run, RunWriter


@pytest.fixture
def run(tiny_run, tmp_path) -> Run:
    return Run(shutil.copytree(tiny_run, tmp_path / "run"))


def test_rows_keep_the_numbers_of_the_file(run):
    found = database.ask(f"SELECT rowid, * FROM {database.kept(run, 'flips')}", [])
    assert found["rowid"].tolist() == list(range(len(found)))
    assert found["score"].tolist() == run.table("flips")["score"].tolist()


def test_a_table_that_is_written_again_is_read_again(run):
    first = database.kept(run, "flips")
    assert database.kept(run, "flips") == first
    RunWriter(run.path).write_table("flips", run.table("flips").iloc[:3])
    second = database.kept(run, "flips")
    assert second != first
    assert database.ask(f"SELECT count(*) AS n FROM {second}", [])["n"].iloc[0] == 3


def test_only_the_last_used_are_kept(run, tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "MAX_TABLES", 2)
    old = database.kept(run, "flips")
    database.kept(run, "images")
    database.kept(run, "flips")
    database.kept(Run(shutil.copytree(tiny_run, tmp_path / "other")), "images")
    assert old in database._tables
    assert len(database._tables) == 2
    names = database.ask("SELECT table_name AS n FROM duckdb_tables()", [])["n"].tolist()
    assert sorted(f"runs.{n}" for n in names) == sorted(database._tables)


def test_threads_that_ask_at_once_get_one_table(run):
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: database.kept(run, "coefficients"), range(16)))
    assert len(names) == 1
