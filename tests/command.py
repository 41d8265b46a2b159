"""The ``selfml`` command run in this process, as its entry point runs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from selfml.cli import main


@dataclass(frozen=True)
class Outcome:
    """Exit code and what was printed."""

    code: int
    out: str
    err: str


EVALUATED = ("metrics", "attribute_metrics", "reliability", "realised")  # tables of `evaluate`

Command = Callable[..., Outcome]


def command_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """A function that runs ``selfml`` with the arguments it is given."""
    for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS", "SELFML_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")  # main sets it where it is not set

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr("sys.argv", ["selfml", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return Outcome(int(ended.value.code or 0), out, err)

    return run


def one_line(outcome: Outcome, *parts: str) -> None:
    """Assert exit code 1, nothing on standard output, and one line that holds all parts."""
    assert outcome.code == 1
    assert outcome.out == ""
    assert outcome.err.startswith("selfml: ")
    assert outcome.err.count("\n") == 1
    for part in parts:
        assert part in outcome.err


def contents(folder: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# ----------------------------------------------------------------------------------------- evaluate
