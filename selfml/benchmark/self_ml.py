"""SELF-ML as `selfml train` runs it, and its ablations, as methods of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from selfml.benchmark.problem import Method, Outcome, Problem

SOURCE = "Quintino Ferreira, Costeira, Gomes, CVPR-W 2021; method.md where it differs"
PAPER = (
    *("basis.source=noisy", "basis.labels=nearest_clean", "basis.n_atoms=1000", "basis.rank=0"),
    *("basis.features=head", "basis.lambda_c=10", "basis.category_weight=0", "basis.dropout=0"),
    *("basis.learn_keys=false", "flips.loss=l1", "flips.clean_moves_basis=true", "train.gamma=2"),
    *("flips.category_bias=false", "flips.distil=0", "flips.shrink=0.02", "flips.bands_weight=0"),
    "flips.learning_rate=1e-3",
)
# The worth of a given label is still measured by category.
NO_CATEGORY = ("basis.category_weight=0", "flips.category_bias=false")
VARIANTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "self_ml": ("SELF-ML", ()),
    "self_ml_strict": ("SELF-ML on strict flips", ("joint.targets=strict",)),
    "self_ml_sequential": ("SELF-ML, sequential", ("joint.lambda_bs=0", "joint.lambda_ef=0")),
    "self_ml_no_category": ("SELF-ML, features without categories", NO_CATEGORY),
    "self_ml_paper": ("SELF-ML, paper's basis and L1", PAPER),
}
GRID = ({}, {"clean_per_batch": 12}, {"alpha": 0.5})
ATOMS = (10, 40, 100, 500, 1000)


def run(problem: Problem, *, settings: Sequence[str] = (), **train: float) -> Outcome:
    """Explain, flip, and train the classifier on the flips.

    Parameters
    ----------
    settings : sequence of str
        As ``--set``: what makes the variant.
    train : float
        Settings of section ``train`` that are tuned.
    """
    tuned = [f"train.{name}={value}" for name, value in train.items()]
    return problem.self_ml([*tuned, *settings])


def run_atoms(problem: Problem, *, settings: Sequence[str] = ()) -> Outcome:
    """Explanations by at most 10, 40, 100, 500 and 1000 atoms, without a classifier on top.

    Raises
    ------
    ValueError
        When there are fewer than 10 clean images.
    """
    extras: dict[str, float] = {}
    scores: dict[str, np.ndarray] = {}
    for n_atoms in ATOMS:
        if n_atoms > len(problem.clean_rows) and n_atoms != ATOMS[0]:
            break
        outcome = problem.self_ml([f"basis.n_atoms={n_atoms}", *settings], explain_only=True)
        scores[f"atoms/{n_atoms}"] = outcome.strict_score
        scores[f"atoms/{n_atoms}/full"] = outcome.label_score
        extras |= {f"atoms/{n_atoms}/{k}": v for k, v in outcome.extras.items()}
    if not scores:
        raise ValueError("clean_rows: at least 10 clean images are needed to take atoms from")
    last = next(reversed(scores))
    return Outcome(label_score=scores[last], label_scores=scores, extras=extras)


def methods() -> list[Method]:
    """SELF-ML, tuned like its peers, and its ablations at the same settings."""
    found = []
    for name, (title, settings) in VARIANTS.items():
        of = partial(run, settings=settings) if settings else run
        found.append(Method(name, title, SOURCE, of, GRID if name == "self_ml" else ({},)))
    found.append(Method("self_ml_atoms", "SELF-ML by number of atoms", SOURCE, run_atoms))
    found.append(
        Method(
            "self_ml_atoms_no_category",
            "SELF-ML by number of atoms, features without categories",
            SOURCE,
            partial(run_atoms, settings=NO_CATEGORY),
        )
    )
    return found
