"""A batch that two devices share gives the step, and the run, that one device gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selfml.run import Run

pytestmark = pytest.mark.several
ROOT = Path(__file__).parents[2]
BACKENDS = ["jax", "tensorflow"]
CLASSIFIED = ("pretrain", "baseline_0", "baseline_1")
RUN = """
import sys
from tests.nn.shared_steps import two_devices
two_devices(sys.argv[1])
from selfml.progress import Reporter
from selfml.train import train
from tests.training import tiny_config

short = ["train.pretrain_steps=6", "train.finetune_steps=4", "basis.steps=4", "flips.steps=4"]
for n in (1, 2):
    config = tiny_config(f"train.devices={n}", "basis.dropout=0", "augment.fraction=0", *short)
    train(sys.argv[2], f"{sys.argv[3]}/{n}", config, reporter=Reporter(quiet=True))
"""


def in_a_process(*command: str) -> None:
    """Run Python with these arguments; fails with what it said."""
    done = subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_two_devices_take_the_step_of_one(backend, tmp_path):
    """Images of C are all on one of them, so that means over each part would show."""
    out = tmp_path / "steps.npz"
    in_a_process("-m", "tests.nn.shared_steps", backend, str(out), "1,2")
    with np.load(out) as saved:
        one = {k[2:]: saved[k] for k in saved.files if k.startswith("1|")}
        two = {k[2:]: saved[k] for k in saved.files if k.startswith("2|")}
    assert len(one) == len(two) > 40
    assert one["losses"].shape == (3,)
    assert one["losses"][0] > one["losses"][2]
    for (name, a), b in zip(one.items(), two.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_on_two_devices_is_the_run_of_one(backend, catalogue, tmp_path):
    """But for rounding, and for dropout, of which TensorFlow draws the same on both devices.

    Adam's first steps go by a gradient's sign: where it is of the size of rounding, one weight in a
    hundred goes the other way, on TensorFlow, and features show it after a few steps. Losses and
    probabilities hardly do.
    """
    in_a_process("-c", RUN, backend, str(catalogue), str(tmp_path))
    one, two = Run(tmp_path / "1"), Run(tmp_path / "2")
    assert one.is_complete
    assert two.is_complete
    losses = []
    for run in (one, two):
        history = run.history()
        kept = history[(history["name"] == "loss") & history["stage"].isin(CLASSIFIED)]
        losses.append(kept.set_index(["stage", "step"])["value"].sort_index())
    assert len(losses[0]) == 14
    pd.testing.assert_series_equal(*losses, rtol=1e-2)
    names = ["probabilities_baseline_0", "probabilities_baseline_1"]
    if backend == "jax":
        names += ["features", "basis", "coefficients", "label_scores", "terms_residual"]
        names += ["probabilities"]
    for name in names:
        a, b = (
            run.coefficients().toarray() if name == "coefficients" else np.array(run.array(name))
            for run in (one, two)
        )
        differs = ~np.isclose(a, b, rtol=1e-2, atol=5e-3)
        assert differs.sum() <= a.size // 100, f"{name}: {differs.sum()} of {a.size}"
    np.testing.assert_allclose(
        np.array(two.array("probabilities")), np.array(one.array("probabilities")), atol=0.02
    )
