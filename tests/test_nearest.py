"""The nearest atoms, by hand, and what does not fit."""

from __future__ import annotations

import numpy as np
import pytest

from selfml.nearest import nearest_atoms


def test_nearest_atoms_by_hand():
    atoms = np.array([[0.0, 0.0], [3.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    found = nearest_atoms(np.array([[0.9, 0.0], [5.0, 0.0]]), atoms, 3)
    assert found.tolist() == [[2, 3, 0], [1, 2, 3]]  # ties by index
    assert nearest_atoms(np.zeros((0, 2)), atoms, 1).shape == (0, 1)


def test_nearest_atoms_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match=r"n_nearest: must be within 1\.\.2, got 3"):
        nearest_atoms(np.zeros((1, 2)), np.zeros((2, 2)), 3)
    with pytest.raises(ValueError, match="features: must have 2 columns"):
        nearest_atoms(np.zeros((1, 3)), np.zeros((2, 2)), 1)
