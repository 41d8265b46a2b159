"""Every method of the benchmark by name, in the order of the tables."""

from __future__ import annotations

import numpy as np

from selfml.benchmark import (
    baselines,
    cleanlab_peer,
    knn,
    label_cleaner,
    ll_r,
    proto_attend,
    self_ml,
    splc,
)
from selfml.benchmark.problem import Method

ACQUIRE = "acquire"  # which image to verify next: no method of its own, but a simulation
DEFAULT = (
    *(
        "baseline_0",
        "clean_only",
        "baseline_1",
        "ensemble",
        "label_cleaner",
        "ll_r",
        "splc",
    ),
    *("cleanlab", "knn", "proto_attend", "self_ml", "self_ml_atoms", "oracle"),
    ACQUIRE,
)


def all_methods(truth: np.ndarray | None = None) -> dict[str, Method]:
    """Name -> Method; the oracle learns from ``truth`` (N, L), -1 unknown."""
    known = np.zeros((0, 0), np.int8) if truth is None else truth
    found = [
        *baselines.METHODS,
        *(peer.METHOD for peer in (label_cleaner, ll_r, splc, cleanlab_peer, knn, proto_attend)),
        *self_ml.methods(),
        baselines.oracle(known),
    ]
    return {method.name: method for method in found}


def chosen_methods(names: str) -> list[str]:
    """Names of a comma-separated text; ``default``, or ``all`` with every ablation.

    Raises
    ------
    ValueError
        Naming those there are.
    """
    known = [*all_methods(), ACQUIRE]
    if names == "all":
        return known
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    if names == "default":
        chosen = list(DEFAULT)
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        wrong = ", ".join(unknown) or repr(names)
        raise ValueError(
            f"--methods: no method {wrong}; there are {', '.join(known)}, 'default' and 'all'"
        )
    return chosen
