"""Tiny runs of a drawn catalogue, trained once; nobody writes into them."""

from __future__ import annotations

from pathlib import Path

import pytest

from selfml.data.garments import write_catalogue
from selfml.progress import Reporter
from selfml.run import Run
from selfml.train import train
from tests.train.relabelling import go
from tests.training import PAPER_LIKE, tiny_config

QUIET = Reporter(quiet=True)


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory) -> Path:
    """150 drawn garments at 32 px: 45 verified for training and testing, 20 more for testing."""
    root = tmp_path_factory.mktemp("data") / "catalogue"
    write_catalogue(root, n_images=150, size_px=32, clean_fraction=0.3, extra_test=20)
    return root


@pytest.fixture(scope="session")
def trained(catalogue, tmp_path_factory) -> Path:
    """One complete tiny run."""
    return train(catalogue, tmp_path_factory.mktemp("runs") / "tiny", tiny_config(), reporter=QUIET)


@pytest.fixture(scope="session")
def paper_like(catalogue, tmp_path_factory) -> Path:
    """One complete tiny run with a linear C_X and noisy atoms, as in the paper."""
    out = tmp_path_factory.mktemp("runs") / "paper-like"
    return train(catalogue, out, tiny_config(*PAPER_LIKE), reporter=QUIET)


@pytest.fixture(params=["trained", "paper_like"])
def any_run(request) -> Run:
    return Run(request.getfixturevalue(request.param))


@pytest.fixture(scope="session")
def relabelled(trained, catalogue, tmp_path_factory) -> Path:
    """The tiny catalogue relabelled by the run that was trained on it."""
    out = tmp_path_factory.mktemp("relabelled") / "again"
    done = go(trained, catalogue, out)
    assert (done.n_images, done.n_unreadable) == (150, 0)
    return out
