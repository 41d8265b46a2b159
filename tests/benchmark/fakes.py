"""A small problem with a known answer, and a classifier that is solved instead of trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from selfml.benchmark.problem import Fitted, Problem

D, L = 12, 4
PENALTY, LOGIT_SCALE = 1.0, 4.0


class RidgeClassifier:
    """``problem.Classifier`` by ridge regression on features; ``calls`` keeps what it was asked.

    The loss and the start play no part. A row weighs its group's count over the group's size, so
    groups act as they do in batches.
    """

    def __init__(self, features: np.ndarray):
        self.inputs = np.concatenate([features, np.ones((len(features), 1))], axis=1)
        self.calls: list[dict[str, Any]] = []

    def fit(
        self,
        labels: np.ndarray,
        groups: Sequence[tuple[np.ndarray, int]],
        *,
        stage: str,
        steps: int | None = None,
        loss=None,
        start=None,
    ) -> Fitted:
        """Solve for the labels of the groups' rows, unknown ones (-1) left out."""
        call = {"labels": np.array(labels), "groups": [(np.array(r), n) for r, n in groups]}
        self.calls.append({**call, "stage": stage, "steps": steps, "loss": loss, "start": start})
        weight = np.zeros(len(self.inputs))
        for rows, count in groups:
            np.add.at(weight, rows, count / len(rows))
        weight /= weight.max()
        kernel = np.zeros((self.inputs.shape[1], labels.shape[1]))
        for j in range(labels.shape[1]):
            scaled = self.inputs * (weight * (labels[:, j] >= 0))[:, None]
            gram = scaled.T @ self.inputs + PENALTY * np.eye(len(kernel))
            kernel[:, j] = np.linalg.solve(gram, scaled.T @ (2.0 * labels[:, j] - 1.0))
        return Fitted((LOGIT_SCALE * self.inputs @ kernel).astype(np.float32), [kernel])


def make_problem(seed: int = 0, n: int = 400, n_clean: int = 80) -> tuple[Problem, np.ndarray]:
    """A problem whose labels are linear in its features, half of the positives not given.

    A fifth of the images is in neither ``clean_rows`` nor ``noisy_rows``: those are for tests.

    Returns
    -------
    problem : Problem
        With a :class:`RidgeClassifier`.
    truth : (N, L) int8
    """
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, D)).astype(np.float32)
    truth = (features @ rng.normal(size=(D, L)) / np.sqrt(D) > 0.4).astype(np.int8)
    given = np.where(rng.random((n, L)) < 0.5, 0, truth).astype(np.int8)
    order = rng.permutation(n)
    clean, noisy = np.sort(order[:n_clean]), np.sort(order[n_clean : n - n // 5])
    verified = np.full_like(truth, -1)
    verified[clean] = truth[clean]
    problem = Problem(
        features=features,
        seen=features,
        given=given,
        verified=verified,
        clean_rows=clean,
        noisy_rows=noisy,
        categories=None,
        seed=seed,
        batch_size=32,
        clean_per_batch=4,
        steps=100,
        classifier=RidgeClassifier(features),
    )
    return problem, truth
