"""Tables of runs in DuckDB's memory: the file's rows, a new one when the file is new, few kept."""

from __future__ import annotations

import shutil
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from threading import Barrier, Event

import duckdb
import numpy as np
import pytest

from dashboard.frames import database, overview
from dashboard.frames import map as map_frames
from selfml.run import Run, RunError, RunWriter, damaged


@pytest.fixture
def run(tiny_run, tmp_path) -> Run:
    return Run(shutil.copytree(tiny_run, tmp_path / "run"))


def test_rows_keep_the_numbers_of_the_file(run):
    found = database.ask(f"SELECT rowid, * FROM {database.kept(run, 'flips')}", [])
    assert found["rowid"].tolist() == list(range(len(found)))
    assert found["confidence"].tolist() == run.table("flips")["confidence"].tolist()


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


def test_tables_in_memory_are_compressed(run):
    table = database.kept(run, "coefficients")
    ways = database.ask(f"SELECT compression FROM pragma_storage_info('{table}')", [])
    assert not (ways["compression"] == "Uncompressed").any()


def test_tables_are_compressed_also_while_somebody_reads(run):
    """DuckDB waits for who reads; unasked it would leave the table as it is."""
    database.kept(run, "images")
    reading, done = Event(), Event()

    def read() -> None:
        with database._database().cursor() as cursor:
            cursor.execute("BEGIN").execute(f"SELECT * FROM {database.kept(run, 'images')}").df()
            reading.set()
            done.wait(0.3)
            cursor.execute("COMMIT")

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(read)
        assert reading.wait(10)
        table = database.kept(run, "coefficients")
        done.set()
        other.result()
    ways = database.ask(f"SELECT compression FROM pragma_storage_info('{table}')", [])
    assert not (ways["compression"] == "Uncompressed").any()


def test_a_table_whose_compression_fails_is_made_again(run, monkeypatch):
    answer = database._answer

    def failing(sql, values, **arrays):
        if "CHECKPOINT" in sql:
            raise duckdb.OutOfMemoryException("no memory")
        return answer(sql, values, **arrays)

    monkeypatch.setattr(database, "_answer", failing)
    with pytest.raises(duckdb.OutOfMemoryException):
        database.kept(run, "flips")
    monkeypatch.undo()
    assert count(database.kept(run, "flips")) == len(run.table("flips"))


def test_threads_that_ask_at_once_get_one_table(run):
    with ThreadPoolExecutor(8) as pool:
        names = set(pool.map(lambda _: database.kept(run, "coefficients"), range(16)))
    assert len(names) == 1


def count(table: str) -> int:
    return int(database.ask(f"SELECT count(*) AS n FROM {table}", [])["n"].iloc[0])


def at_once(tasks: list[Callable[[], int]]) -> list[int]:
    """What each task returns, all begun at the same moment, each in a thread of its own."""
    barrier = Barrier(len(tasks))

    def begin(task: Callable[[], int]) -> int:
        barrier.wait(timeout=10)
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(begin, tasks))


@pytest.fixture
def cold(monkeypatch) -> list[duckdb.DuckDBPyConnection]:
    """As when the server has just started; the databases that are opened, slowly."""
    opened, connect = [], duckdb.connect

    def slowly(*args, **kwargs):
        time.sleep(0.05)  # so that others come while it opens
        opened.append(connect(*args, **kwargs))
        return opened[-1]

    monkeypatch.setattr(database, "_tables", OrderedDict())
    monkeypatch.setattr(database, "_opened", cache(database._opened.__wrapped__))
    monkeypatch.setattr(database.duckdb, "connect", slowly)
    return opened


def test_sessions_that_open_at_once_share_one_database(run, cold):
    n_flips, n_images = len(run.table("flips")), len(run.table("images"))

    def paged() -> int:
        return count(database.kept(run, "flips"))

    def plain() -> int:  # as lists of categories are read: from the file
        sql = "SELECT count(*) AS n FROM read_parquet(?)"
        n = database.ask(sql, [str(run.table_path("images"))])["n"].iloc[0]
        assert count(database.kept(run, "flips")) == n_flips
        return int(n)

    assert at_once([paged, plain] * 6) == [n_flips, n_images] * 6
    assert len(cold) == 1


def test_a_table_put_out_before_its_query_is_read_again(run, tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(database, "MAX_TABLES", 2)
    other = Run(shutil.copytree(tiny_run, tmp_path / "other"))
    flips, images = database.kept(run, "flips"), database.kept(run, "images")
    for name in ("flips", "images"):  # another session
        database.kept(other, name)
    assert not {flips, images} & set(database._tables)
    found = database.ask(f"SELECT f.* FROM {flips} f JOIN {images} USING (image_index)", [])
    assert len(found) == len(run.table("flips"))
    assert len(database._tables) == 2
    assert count(database.kept(other, "flips")) == len(found)


def test_sessions_that_put_out_each_others_tables_get_their_answers(
    tiny_run, tmp_path, monkeypatch
):
    monkeypatch.setattr(database, "MAX_TABLES", 1)
    runs = [Run(shutil.copytree(tiny_run, tmp_path / f"run-{i}")) for i in range(8)]
    for i, run in enumerate(runs):
        RunWriter(run.path).write_table("flips", run.table("flips").iloc[: i + 1])

    def often(run: Run) -> int:
        return sum(count(database.kept(run, "flips")) for _ in range(5))

    wanted = [5 * (i + 1) for i in range(8)]
    assert at_once([partial(often, run) for run in runs]) == wanted
    assert len(database._tables) == 1


def test_a_table_that_was_put_out_and_whose_file_is_gone_says_so(run, monkeypatch):
    table = database.kept(run, "flips")
    monkeypatch.setattr(database, "MAX_TABLES", 1)
    database.kept(run, "images")
    run.table_path("flips").unlink()
    with pytest.raises(RunError, match=r"flips\.parquet"):
        count(table)


def test_a_table_that_nobody_keeps_is_an_error():
    with pytest.raises(duckdb.CatalogException):
        count("runs.flips_" + 24 * "0")


def test_memory_that_reading_a_table_freed_is_given_back(run, monkeypatch):
    kept = f"SELECT current_setting('{database.KEEPS_FREED}') AS kept"
    monkeypatch.setitem(database.KEPT, "flips", f"{kept} FROM read_parquet(?)")
    RunWriter(run.path).write_table("flips", run.table("flips").iloc[:1])
    assert database.ask(f"FROM {database.kept(run, 'flips')}", [])["kept"].tolist() == ["0 bytes"]
    assert database.ask(kept, [])["kept"].tolist() != ["0 bytes"]  # queries keep theirs


def test_what_is_damaged_within_a_file_is_one_line_and_costs_other_runs_nothing(run, tmp_path):
    """DuckDB raises a dozen kinds of errors of such files, some of which can end the database."""
    bad = Run(shutil.copytree(run.path, tmp_path / "bad"))
    whole = bad.table_path("images").read_bytes()
    expected = (map_frames.categories(run), overview.is_mapped(run))
    flips, rng, said = database.kept(run, "flips"), np.random.default_rng(0), []
    end = len(whole) - 8  # of the part that says where all columns are
    start = end - int.from_bytes(whole[-8:-4], "little")
    for _ in range(60):
        data = np.frombuffer(whole, np.uint8).copy()
        data[rng.integers(start, end, 8)] = rng.integers(0, 256, 8)
        bad.table_path("images").write_bytes(data.tobytes())
        for asked in (map_frames.categories, overview.is_mapped, places):
            try:
                asked(bad)
            except RunError as error:
                said.append(str(error))
    assert len(said) > 30
    assert all("images.parquet: cannot be read, it is damaged" in one for one in said)
    assert not any("\n" in one for one in said)
    assert (map_frames.categories(run), overview.is_mapped(run)) == expected
    n = database.ask(f"SELECT count(*) AS n FROM {flips}", [])["n"].iloc[0]
    assert n == len(run.table("flips"))


def places(run: Run) -> None:
    map_frames.places(run, "tsne")


def test_a_file_that_has_gone_is_missing_and_not_damaged(run):
    run.table_path("images").unlink()
    for asked in (map_frames.categories, places):
        with pytest.raises(RunError, match=r"images.parquet: is missing, though training"):
            asked(run)


@pytest.mark.parametrize("error", [duckdb.FatalException, duckdb.InternalException])
def test_a_database_that_has_ended_is_begun_anew(run, monkeypatch, error):
    flips, before, answer_of = database.kept(run, "flips"), database._opened(), database._answer_of
    images = str(run.table_path("images"))

    def ended(connection, sql, values, **arrays):
        if connection is before:
            if error is duckdb.InternalException and values:
                raise damaged(images, "inside") from error("inside")
            raise duckdb.FatalException("database has been invalidated")
        return answer_of(connection, sql, values, **arrays)

    monkeypatch.setattr(database, "_answer_of", ended)
    if error is duckdb.InternalException:
        with pytest.raises(RunError, match="inside"):
            database.ask("SELECT count(*) AS n FROM read_parquet(?)", [images])
        assert database._opened() is not before
    n = database.ask(f"SELECT count(*) AS n FROM {flips}", [])["n"].iloc[0]
    assert n == len(run.table("flips"))
    assert database._opened() is not before


def test_what_is_freed_is_given_back_until_the_last_is_through():
    def kept() -> str:
        found = database.ask(f"SELECT current_setting('{database.KEEPS_FREED}') AS v", [])
        return str(found["v"].iloc[0])

    usual = kept()
    with database.giving_back():
        with database.giving_back():
            assert kept() == "0 bytes"
        assert kept() == "0 bytes"
    assert kept() == usual != "0 bytes"
