"""What the basis view counts, against the run's own arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dashboard.figures import basis as figures
from dashboard.frames import basis as frames
from selfml.run import Run


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> Run:
    return Run(tiny_run)


def test_atoms_in_use_come_most_used_first(run: Run):
    atoms = frames.atoms(run)
    c = run.coefficients().toarray()
    used = np.flatnonzero((c > 0).any(axis=0))
    assert set(atoms["basis_index"]) == set(used)
    assert len(used) < c.shape[1]  # the last atom of the tiny run is in nobody's mixture
    assert atoms["mass"].is_monotonic_decreasing
    np.testing.assert_allclose(atoms["mass"], c.sum(axis=0)[atoms["basis_index"]], rtol=1e-5)
    np.testing.assert_allclose(atoms["cumulated"].iloc[-1], 1)
    yes = (run.array("basis_labels")[atoms["basis_index"]] == 1).sum(axis=1)
    assert atoms["n_yes"].tolist() == yes.tolist()


def test_how_many_hold_a_share_of_the_mass():
    atoms = pd.DataFrame({"cumulated": [0.5, 0.95, 0.99, 1.0]})
    assert [frames.n_holding(atoms, s) for s in (0.4, 0.5, 0.95, 0.96, 1.0)] == [1, 1, 2, 3, 4]
    assert frames.n_holding(atoms.iloc[:0]) == 0


def test_images_and_flips_that_lean_on_an_atom(run: Run):
    c = run.coefficients().toarray()
    flips = run.table("flips")
    top = frames.leaning(run, 2, 5)
    best = np.sort(c[:, 2])[::-1][:5]
    np.testing.assert_allclose(top["coefficient"], best, rtol=1e-6)
    own = flips[flips["image_index"].isin(np.flatnonzero(c[:, 2] > 0))]
    total = frames.flips_leaning(run).set_index("basis_index")["n_flips"]
    assert total[2] == len(own)


def test_labels_of_an_atom_yes_first(run: Run):
    labels = frames.labels_of(run, 7)
    assert labels["label"].is_monotonic_decreasing
    assert labels["label"].iloc[-1] == -1  # of the tiny run's last atom, the first attribute
    assert labels["attribute"].iloc[-1] == run.attributes[0]


def test_coverage_counts_the_atoms_in_use(run: Run):
    coverage = frames.coverage(run)
    labels = run.array("basis_labels")[frames.atoms(run)["basis_index"]]
    for row in coverage.itertuples():
        column = labels[:, row.attribute_index]
        counts = tuple((column == v).sum() for v in (1, 0, -1))
        assert (row.n_yes, row.n_no, row.n_unknown) == counts
    matrix = frames.label_matrix(run, max_atoms=3)
    assert matrix.shape == (len(run.attributes), 3)
    assert matrix.index[0] == coverage["attribute"].iloc[-1]


def test_explained_variance_is_read_from_the_metrics(run: Run):
    assert frames.explained(run)["r2_pca"] == 88.0


def test_a_run_without_rows_gives_empty_frames_and_figures_that_say_so(empty_run: Run):
    atoms = frames.atoms(empty_run)
    assert atoms.empty
    assert frames.n_holding(atoms) == 0
    assert frames.explained(empty_run) == {}
    for figure in (
        figures.mass(atoms),
        figures.coverage(frames.label_matrix(empty_run)),
        figures.explained_variance(pd.DataFrame({"name": [], "value": []})),
    ):
        assert not figure.data
        assert figure.layout.annotations[0].text


def test_figures_carry_typed_arrays_and_named_axes(run: Run):
    atoms = frames.atoms(run)
    made = (
        figures.mass(atoms),
        figures.coverage(frames.label_matrix(run)),
    )
    for figure in made:
        assert figure.layout.xaxis.title.text
        for name in ("x", "y", "z"):
            assert isinstance(getattr(figure.data[0], name, None), np.ndarray | type(None))
    np.testing.assert_allclose(made[0].data[0].y[-1], 100, rtol=1e-5)
    assert "<script" not in made[1].to_json()
