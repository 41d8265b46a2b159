"""A run, labels that a person gives to three of its basis images, and the run that follows."""

from __future__ import annotations

import numpy as np
import pytest

from selfml import evaluate
from selfml.derived import ExpertLabels, Relabelled, write_relabelled
from selfml.run import Run, RunWriter
from selfml.trust_measures import trust_measures
from tests.oracle_cases import build_unverified_run, rewrite_labels

ATOMS = np.array([2, 0, 6])


@pytest.fixture(scope="session")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Nobody writes into it; one label of a verified atom, and one of another, are not known."""
    path = build_unverified_run(tmp_path_factory.mktemp("derived") / "parent")
    run, writer = Run(path), RunWriter(path)
    labels = np.array(run.array("basis_labels"))
    labels[1, 2] = labels[4, 1] = -1
    writer.write_array("basis_labels", labels)
    rewrite_labels(path)
    writer.write_table("metrics", evaluate.evaluate(run)[0])
    writer.write_table("attribute_metrics", evaluate.evaluate(run)[1])
    for name, table in zip(("reliability", "realised"), trust_measures(run)[:2], strict=True):
        writer.write_table(name, table)
    return run


@pytest.fixture(scope="session")
def expert(parent: Run) -> ExpertLabels:
    """The right labels of three atoms; a person could not tell one of them."""
    labels = np.load(parent.path / "right_labels.npy")[ATOMS]
    labels[1, 3] = -1
    return ExpertLabels(ATOMS, labels)


@pytest.fixture(scope="session")
def done(parent: Run, expert: ExpertLabels) -> Relabelled:
    return write_relabelled(parent, expert, parent.path.with_name("child"), who="anna")


@pytest.fixture(scope="session")
def child(done: Relabelled) -> Run:
    return Run(done.path)
