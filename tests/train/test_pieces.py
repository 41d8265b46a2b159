"""The benchmark of the `paper` recipe, in miniature: in pieces it is the run that never stopped."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import contextmanager

import pytest

from tests.benchmarks import paper_recipe
from tests.training import TINY, assert_same_results

MINIATURE = ["--recipe", "quick", "--images", "150", "--size-px", "32", "--minutes", "60"]
MINIATURE += ["--steps", "6", "--turns", "2"]
MINIATURE += [w for s in TINY if "size_px" not in s for w in ("--set", s)]


class Stopping(paper_recipe.Timed):
    """Ends a piece at each of ``left``, a task and how much of it is done."""

    left: list[tuple[str, int]]

    @contextmanager
    def task(self, name, total):
        """See `Reporter.task`."""
        with super().task(name, total) as show:

            def advance(done, total=None):
                show(done, total)
                if self.left and (name, done) == self.left[0]:
                    self.left.pop(0)
                    os.kill(os.getpid(), signal.SIGINT)

            yield advance


def ended_with(monkeypatch, work) -> int:
    """The exit status of one call."""
    monkeypatch.setattr("sys.argv", ["paper_recipe", "--work", str(work), *MINIATURE])
    with pytest.raises(SystemExit) as ended:
        paper_recipe.main()
    return ended.value.code


@pytest.mark.slow
def test_three_pieces_are_one(trained, catalogue, monkeypatch, tmp_path, capsys):
    """Stopped in two stages: the same run, and at the end the times, Table 1 and the steps."""
    shutil.copytree(catalogue, tmp_path / "catalogue")
    monkeypatch.setattr(Stopping, "left", [("pretrain", 7), ("self ml", 5)], raising=False)
    monkeypatch.setattr(paper_recipe, "Timed", Stopping)
    for _ in range(2):
        assert ended_with(monkeypatch, tmp_path) == paper_recipe.MORE
        assert "Table 1" not in capsys.readouterr().out
    assert ended_with(monkeypatch, tmp_path) == 0
    said = capsys.readouterr().out
    assert_same_results(trained, tmp_path / "run")
    for text in ("pretrain: ", "in 2 piece(s)", "Table 1", "joint / plain", "input alone"):
        assert text in said
    times = paper_recipe.times(tmp_path / "times.jsonl")
    assert list(times.loc[["pretrain", "baseline 0", "self ml"], "pieces"]) == [2, 1, 2]
    assert (times.loc[["pretrain", "baseline 0", "self ml"], "rate"] > 0).all()
    assert ended_with(monkeypatch, tmp_path) == 0  # nothing is left to do: it is told again
    assert "Table 1" in capsys.readouterr().out
