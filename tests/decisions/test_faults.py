"""The audit store when the disk is full, the database is silent, or two servers begin at once."""

from __future__ import annotations

import errno
import multiprocessing
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from selfml import decision_tables
from selfml.decisions import Cell, Store, StoreError
from selfml.files import write_atomic
from selfml.run import Run, RunWriter

SHOP = [Cell(f"{n}.jpg", "Red", 0, 1) for n in range(5_000)]


def decide(store: Store, cells, key: str):
    return store.decide("shop", cells, "accept", auditor="ann", run_id="r", key=key)


def kept(store: Store) -> list[str]:
    """The images decided, oldest first."""
    return store.history("shop")["image_id"].tolist()[::-1]


# -------------------------------------------------------------------------------------- full disk
@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Write until nothing more goes in."""
    path = folder / "filler"
    with open(path, "wb", buffering=0) as file:
        for size in (65_536, 1):
            while True:
                try:
                    file.write(b"x" * size)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    break
    return path


def survives_being_full(store: Store, make_room: Callable[[], None]) -> None:
    """The store is full by now: what was before is there, nothing half written, then it goes on."""
    before = kept(store)
    for _ in range(2):
        with pytest.raises(StoreError, match="full") as caught:
            decide(store, SHOP, "k1")
        assert "\n" not in str(caught.value)
        assert kept(store) == before
    make_room()
    assert not decide(store, SHOP, "k1").repeated
    assert kept(store) == before + [cell.image_id for cell in SHOP]
    assert decide(store, SHOP, "k1").repeated


@pytest.mark.slow
def test_a_store_on_a_full_disk(disk):
    with Store(f"sqlite:///{disk / 'decisions.db'}") as store:
        decide(store, [Cell("first.jpg", "Red", 0, 1)], "k0")
        filler = fill(disk)
        survives_being_full(store, filler.unlink)


@pytest.mark.slow
def test_a_store_that_may_not_grow(tmp_path):
    """The same without a small file system: SQLite refuses to grow its file."""
    with Store(f"sqlite:///{tmp_path / 'decisions.db'}") as store:
        decide(store, [Cell("first.jpg", "Red", 0, 1)], "k0")
        limit = [30]

        @sa.event.listens_for(store.engine, "begin")
        def _may_not_grow(connection):
            connection.exec_driver_sql(f"PRAGMA max_page_count={limit[0]}")

        survives_being_full(store, lambda: limit.__setitem__(0, 1_000_000))


def test_files_of_a_run_on_a_full_disk_stay_as_they_were(disk):
    writer = RunWriter(disk / "run")
    writer.update(status="running", stage="first")
    write_atomic(disk / "export.csv", b"old")
    filler = fill(disk)
    with pytest.raises(OSError, match="No space left") as caught:
        write_atomic(disk / "export.csv", b"new" * 100_000)
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No space left"):
        writer.update(stage="second", words="x" * 100_000)
    with pytest.raises(OSError, match=r"space|requested and"):
        writer.write_array("features", np.ones((1_000, 512)))
    assert (disk / "export.csv").read_bytes() == b"old"
    assert not (disk / "run" / "features.npy").exists()
    assert Run(disk / "run").info["stage"] == "first"
    assert [p.name for p in disk.rglob("*.tmp")] == []  # which would take what room there is
    filler.unlink()
    write_atomic(disk / "export.csv", b"new")
    assert (disk / "export.csv").read_bytes() == b"new"


# ---------------------------------------------------------------------------------- silent database
@pytest.mark.slow
def test_a_database_that_takes_the_call_and_says_nothing(monkeypatch):
    """A host behind a wall, or one that hangs: one line after seconds, not minutes."""
    pytest.importorskip("psycopg", reason="no psycopg; pip install 'selfml[postgres]'")
    monkeypatch.setitem(decision_tables.GIVE_UP, "connect_timeout", 2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        start = time.monotonic()
        with pytest.raises(StoreError, match="try again") as caught:
            Store(f"postgres://u:secret@127.0.0.1:{silent.getsockname()[1]}/shop")
    assert time.monotonic() - start < 30
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


# -------------------------------------------------------------------------------------- two servers
ROUNDS, CELLS = 3, [(f"{n}.jpg", "Red") for n in range(40)]
_together = None


def _share(barrier) -> None:
    global _together
    _together = barrier


def _serve(urls: list[str], auditor: str) -> list[list[tuple[str, str]]]:
    """A server: open each database, and claim each item, at the same moment as the other does."""
    got = []
    for url in urls:
        _together.wait(timeout=60)
        with Store(url) as store:
            _together.wait(timeout=60)
            mine: set[tuple[str, str]] = set()
            for cell in CELLS:
                _together.wait(timeout=60)
                mine |= store.claim("shop", [cell], auditor)
            if mine:
                cells = [Cell(*cell, 0, 1) for cell in mine]
                store.decide("shop", cells, "accept", auditor=auditor, run_id="r")
            got.append(sorted(mine))
    return got


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request, tmp_path) -> Callable[[], str]:
    """Makes the address of another empty database."""
    if request.param == "postgresql":
        return request.getfixturevalue("postgres").new_database
    names = iter(range(ROUNDS))
    return lambda: f"sqlite:///{tmp_path / f'{next(names)}.db'}"


def _open_all(urls: list[str]) -> None:
    for url in urls:
        _together.wait(timeout=30)
        try:
            Store(url).close()
        except BaseException:
            _together.abort()
            raise


@pytest.mark.slow
def test_a_new_file_that_three_open_at_once(tmp_path):
    """SQLite does not wait for who switches a file to its write-ahead log; we do."""
    urls = [f"sqlite:///{tmp_path / f'{n}.db'}" for n in range(60)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        3, context, initializer=_share, initargs=(context.Barrier(3),)
    ) as pool:
        running = [pool.submit(_open_all, urls) for _ in range(3)]
        ended = [one.exception(timeout=120) for one in running]
    assert ended == [None] * 3


@pytest.mark.slow
def test_two_servers_that_begin_on_an_empty_database_at_once(new_url):
    """Both make the tables, and no item is claimed, or decided, by both."""
    urls = [new_url() for _ in range(ROUNDS)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        2, context, initializer=_share, initargs=(context.Barrier(2),)
    ) as pool:
        ann, bob = (pool.submit(_serve, urls, name) for name in ("ann", "bob"))
        both = list(zip(ann.result(timeout=120), bob.result(timeout=120), strict=True))
    for url, (one, two) in zip(urls, both, strict=True):
        assert set(one).isdisjoint(two)
        assert sorted([*one, *two]) == sorted(CELLS)
        with Store(url) as store:
            history = store.history("shop")
            assert len(history) == len(CELLS)
            assert set(store.state("shop")["state"]) == {"accept"}
    assert any(one and two for one, two in both)  # else they were never there together
