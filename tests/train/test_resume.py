"""A training that was stopped, or started again, gives the same run.

"The same" means but for rounding, see `tests.training.assert_same`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selfml.nn.fitting import Interrupted
from selfml.progress import Reporter
from selfml.run import Run
from selfml.train import train
from tests.training import Interrupting, assert_same_results, tiny_config

pytestmark = pytest.mark.slow
QUIET = Reporter(quiet=True)


def test_same_seed_same_run(trained, catalogue, tmp_path):
    again = train(catalogue, tmp_path / "again", tiny_config(), reporter=QUIET)
    assert_same_results(trained, again)
    one, other = (Run(p).table("metrics") for p in (trained, again))
    pd.testing.assert_frame_equal(one, other, rtol=0.01, atol=0.01)


def test_other_seed_other_run(trained, catalogue, tmp_path):
    other = train(catalogue, tmp_path / "other", tiny_config("seed=1"), reporter=QUIET)
    a, b = Run(trained).array("probabilities"), Run(other).array("probabilities")
    assert np.abs(a - b).max() > 1e-3
    with pytest.raises(AssertionError, match="differ"):  # "the same" would notice
        assert_same_results(trained, other)


def test_interrupted_in_every_stage_is_the_same_run(trained, catalogue, tmp_path):
    """Ctrl-C in each stage in turn, then continued: what was never interrupted."""
    out = tmp_path / "stopped"
    places = [
        ("pretrain", 7),
        ("baseline 0", 4),
        ("baseline 1", 5),
        ("reconstruction", 6),
        ("flipping", 3),
        ("self ml", 8),
        ("hull distances", 1),
    ]
    for place in places:
        reporter = Interrupting(*place)
        if place[0] != "hull distances":  # there is but one part of it: nothing is left to stop
            with pytest.raises(Interrupted):
                train(catalogue, out, tiny_config(), resume=True, reporter=reporter)
            assert Run(out).info["status"] == "running"
            assert Run(out).is_stopped
            assert reporter.reached[-1] == place[0]
    train(catalogue, out, tiny_config(), resume=True, reporter=QUIET)
    assert Run(out).is_complete
    assert_same_results(trained, out)
    one, other = (Run(p).history().drop(columns="time") for p in (trained, out))
    assert not other.duplicated(["stage", "step", "name"]).any()
    keys = ["stage", "name", "step"]
    one, other = (f.sort_values(keys, ignore_index=True) for f in (one, other))
    assert one[keys].equals(other[keys])
    # a mean loss since the last line starts anew where a fit was continued: the last ones agree
    last = one.groupby(["stage", "name"])["step"].transform("max") == one["step"]
    np.testing.assert_allclose(one["value"][last], other["value"][last], rtol=1e-4)


def test_killed_without_warning(trained, catalogue, tmp_path):
    """kill -9 in the joint stage: what is there is whole, and the run can be continued."""
    out = tmp_path / "killed"
    program = (
        "import signal, sys\n"
        "from selfml.train import train\n"
        "from tests.training import Interrupting, tiny_config\n"
        "reporter = Interrupting('self ml', 6, signal.SIGKILL)\n"
        "train(sys.argv[1], sys.argv[2], tiny_config('train.checkpoint_s=0'), reporter=reporter)\n"
    )
    command = [sys.executable, "-c", program, str(catalogue), str(out)]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    run = Run(out)
    assert run.info["status"] == "running"
    assert run.info["stage"] == "self_ml"
    assert len(run.history()) > 20
    np.testing.assert_array_equal(run.array("labels_given"), Run(trained).array("labels_given"))
    (out / ".run.json.1.tmp").write_bytes(b"half of what is said of the run")
    train(catalogue, out, tiny_config("train.checkpoint_s=0"), resume=True, reporter=QUIET)
    assert Run(out).is_complete
    assert not list(out.rglob("*.tmp"))
    assert_same_results(trained, out)


def test_interrupted_in_a_process_of_its_own(catalogue, tmp_path):
    """A real Ctrl-C: the process ends by itself, having saved."""
    out = tmp_path / "signalled"
    program = (
        "import sys\n"
        "from selfml.nn.fitting import Interrupted\n"
        "from selfml.progress import Reporter\n"
        "from selfml.train import train\n"
        "from tests.training import tiny_config\n"
        "config = tiny_config('train.pretrain_steps=100000')\n"
        "try:\n"
        "    train(sys.argv[1], sys.argv[2], config, reporter=Reporter(quiet=True))\n"
        "except Interrupted:\n"
        "    print('saved')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(catalogue), str(out)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    wait_for(lambda: '"step": 0' in told(out), process)
    os.kill(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert said.strip() == "saved"
    assert process.returncode == 0
    with np.load(out / "work/pretrain.npz") as saved:
        assert 0 < int(saved["step"]) == Run(out).info["step"]


def told(out: Path) -> str:
    file = out / "run.json"
    return file.read_text() if file.exists() else ""


def wait_for(there, process, seconds=120):
    end = time.monotonic() + seconds
    while not there():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.2)


# ----------------------------------------------------------------------------------- starting again
def test_resume_needs_the_same_settings(catalogue, tmp_path):
    out = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(catalogue, out, tiny_config(), reporter=Interrupting("pretrain", 2))
    for changed in ("seed=5", "flips.steps=13"):
        with pytest.raises(FileExistsError, match="other settings"):
            train(catalogue, out, tiny_config(changed), resume=True, reporter=QUIET)
    with pytest.raises(FileExistsError, match="--resume"):
        train(catalogue, out, tiny_config(), reporter=QUIET)


def test_a_complete_run_is_left_alone(trained, catalogue):
    before = {p: p.stat().st_mtime_ns for p in trained.rglob("*")}
    for resume in (True, False):
        with pytest.raises(FileExistsError):
            train(catalogue, trained, tiny_config(), resume=resume, reporter=QUIET)
    with pytest.raises(FileExistsError, match="complete"):
        train(catalogue, trained, tiny_config(), resume=True, reporter=QUIET)
    assert {p: p.stat().st_mtime_ns for p in trained.rglob("*")} == before


def test_a_folder_that_is_no_run_is_left_alone(catalogue, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not a run"):
        train(catalogue, tmp_path, tiny_config(), reporter=QUIET)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
