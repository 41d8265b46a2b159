"""What is said while work is done: nothing, lines with time left, or a bar."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from selfml import progress
from selfml.progress import Reporter


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def reporting(monkeypatch, *, terminal: bool, **settings) -> tuple[Reporter, io.StringIO]:
    reporter, sink = Reporter(**settings), io.StringIO()
    reporter.console = Console(file=sink, width=100, quiet=reporter.quiet)
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: terminal, raising=False)
    return reporter, sink


def test_quiet_says_nothing(monkeypatch, capsys):
    reporter, sink = reporting(monkeypatch, terminal=True, quiet=True)
    reporter.say("hello")
    with reporter.task("work", 3) as advance:
        for done in range(1, 4):
            advance(done)
            advance(done, 9)
    assert sink.getvalue() == ""
    assert capsys.readouterr() == ("", "")


def test_goes_to_standard_error(capsys):
    Reporter().say("note: [bold]x[/bold] and a long line " + "y" * 200)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "note: [bold]x[/bold] and a long line " + "y" * 200 + "\n"


def test_lines_now_and_then_with_time_left(monkeypatch, clock):
    reporter, sink = reporting(monkeypatch, terminal=False, every_s=10)
    with reporter.task("training", 100) as advance:
        for done in range(1, 51):
            clock[0] += 1.0
            advance(done)
    lines = sink.getvalue().splitlines()
    assert lines[0] == "training: 10 of 100, 90 s left"  # 9 s for the nine after the first
    assert lines[1] == "training: 20 of 100, 80 s left"
    assert len(lines) == 6
    assert lines[-1] == "training: done in 50 s"


def test_time_left_of_a_resumed_task_counts_from_where_it_began(monkeypatch, clock):
    reporter, sink = reporting(monkeypatch, terminal=False, every_s=5)
    with reporter.task("training", 100) as advance:
        advance(90)
        clock[0] += 5.0
        advance(95)
    assert sink.getvalue().splitlines()[0] == "training: 95 of 100, 5 s left"


def test_a_total_that_becomes_known(monkeypatch, clock):
    reporter, sink = reporting(monkeypatch, terminal=False, every_s=0)
    with reporter.task("reading", 0) as advance:
        for done in (1, 2):
            clock[0] += 1
            advance(done, 4)
    assert sink.getvalue().splitlines()[0] == "reading: 2 of 4, 2 s left"


def test_what_is_prepared_before_the_first_is_not_counted(monkeypatch, clock):
    reporter, sink = reporting(monkeypatch, terminal=False, every_s=10)
    with reporter.task("UMAP", 1) as advance:
        clock[0] += 120.0
        advance(0, 200)
        clock[0] += 10.0
        advance(20, 200)
    lines = sink.getvalue().splitlines()
    assert lines == ["UMAP: 20 of 200, 90 s left", "UMAP: done in 130 s"]


def test_a_failed_task_is_not_called_done(monkeypatch):
    reporter, sink = reporting(monkeypatch, terminal=False)

    def fail():
        with reporter.task("work", 3):
            raise KeyError("x")

    with pytest.raises(KeyError):
        fail()
    assert "done" not in sink.getvalue()


def test_a_bar_on_a_terminal(monkeypatch):
    reporter, sink = reporting(monkeypatch, terminal=True)
    reporter.console = Console(file=sink, width=120, force_terminal=True)
    with reporter.task("training", 8) as advance:
        advance(2)
        advance(8, 8)
    assert "training" in sink.getvalue()
    assert "8/8" in sink.getvalue()
