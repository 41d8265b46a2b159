"""A relabelling that is stopped or killed goes on to the same result, in bounded memory."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selfml.nn.fitting import Interrupted
from selfml.relabel import parts
from selfml.relabel.start import Engine, relabel
from selfml.run import Run
from tests.train.relabelling import SHARD, go, rows_of, same_parts
from tests.training import Interrupting

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
LIMIT_KIB = 30 * 1024


def test_a_stopped_run_goes_on_to_the_same_result(trained, catalogue, relabelled, tmp_path):
    out = tmp_path / "out"
    how = {"shard_images": SHARD, "engine": Engine(n_threads=1)}
    with pytest.raises(Interrupted):
        relabel(trained, catalogue, out, reporter=Interrupting("relabelling", 80), **how)
    assert parts.finished_shards(out) == {0, 1, 2}  # the third had been looked at
    assert Run(out).info["status"] == "running"
    with pytest.raises(FileExistsError, match="add --resume"):
        go(trained, catalogue, out)
    before = [path.stat().st_mtime_ns for path in sorted((out / parts.PARTS).iterdir())]
    go(trained, catalogue, out, resume=True)
    after = [path.stat().st_mtime_ns for path in sorted((out / parts.PARTS).iterdir())]
    assert after[:3] == before
    same_parts(relabelled, out)
    with pytest.raises(FileExistsError, match="complete"):
        go(trained, catalogue, out, resume=True)


def test_a_killed_run_loses_and_doubles_nothing(trained, catalogue, relabelled, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "selfml.cli", "relabel", trained, catalogue, "--out", out]
    command += ["--shard-images", "5"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        list(map(str, command)), env=environment, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    end = time.monotonic() + 120
    while len(parts.finished_shards(out)) < 3:
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = parts.finished_shards(out)
    (out / parts.PARTS / ".part-000029.parquet.1.abc.tmp").write_bytes(b"half a part")
    (out / ".run.json.1.tmp").write_bytes(b"half of what is said of the run")
    go(trained, catalogue, out, resume=True)
    assert 3 <= len(kept) < 30
    assert len(parts.finished_shards(out)) == 30
    assert not list(out.rglob("*.tmp"))
    a, b = rows_of(relabelled), rows_of(out)
    assert b["image_id"].tolist() == a["image_id"].tolist()
    for name in ("label_score", "score", "confidence"):
        np.testing.assert_allclose(np.stack(b[name]), np.stack(a[name]), atol=1e-5)
    for name in ("labels_corrected", "labels_given", "label_scores"):
        x, y = Run(relabelled).array(name), Run(out).array(name)
        np.testing.assert_allclose(np.asarray(y, float), x, atol=1e-5)


def test_what_changed_since_is_not_gone_on_with(trained, catalogue, tmp_path):
    root, out = shutil.copytree(catalogue, tmp_path / "shop"), tmp_path / "out"
    with pytest.raises(Interrupted):
        relabel(
            trained, root, out, reporter=Interrupting("relabelling", 40), shard_images=SHARD,
            engine=Engine(n_threads=1),
        )  # fmt: skip
    with pytest.raises(FileExistsError, match="another --coefficients"):
        go(trained, root, out, resume=True, coefficients="projection")
    table = pd.read_csv(root / "labels.csv", dtype=str)
    table.iloc[7, 4] = ""
    table.to_csv(root / "labels.csv", index=False)
    with pytest.raises(FileExistsError, match="lists other images or labels"):
        go(trained, root, out, resume=True)


def test_memory_does_not_grow_with_the_number_of_shards(trained, catalogue, tmp_path):
    """Ten times the images in ten times the shards; in a process of its own."""
    program = (
        "import resource, sys\n"
        "from selfml.progress import Reporter\n"
        "from selfml.relabel.decoders import Decoder\n"
        "from selfml.relabel.start import relabel\n"
        "run, few, many, out = sys.argv[1:]\n"
        "peaks, close = [0], Decoder.close\n"
        "def told(decoder):\n"
        "    status = open(f'/proc/{decoder._process.pid}/status').read()\n"
        "    peaks.append(int(status.split('VmHWM:')[1].split()[0]))\n"
        "    close(decoder)\n"
        "Decoder.close = told\n"
        "for source in (few, few, many):\n"
        "    place = f'{out}-{source[-4:]}-{resource.getrusage(0).ru_utime}'\n"
        "    relabel(run, source, place, shard_images=50, reporter=Reporter(quiet=True))\n"
        "    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, max(peaks))\n"
    )
    names = sorted((catalogue / "images").rglob("*.jpg"))
    for folder, times in (("few", 1), ("many", 10)):
        (tmp_path / folder).mkdir()
        for i in range(times * len(names)):
            os.link(names[i % len(names)], tmp_path / folder / f"{i:05d}.jpg")
    arguments = [trained, tmp_path / "few", tmp_path / "many", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], cwd=ROOT, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    first, decoder, again, _, many, later = map(int, done.stdout.split())
    assert first <= again
    assert many - again < LIMIT_KIB
    assert 10_000 < decoder <= later < decoder + LIMIT_KIB / 10  # the largest process of them
