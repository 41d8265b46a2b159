"""Baselines of the paper, an ensemble, clean labels alone, and the oracle."""

from __future__ import annotations

import numpy as np

from selfml.benchmark.problem import Loss, Method, Outcome, Problem
from selfml.calibration import fit_platt
from selfml.crossfit import leave_one_out_scores
from selfml.flips import sigmoid

PAPER = "Quintino Ferreira, Costeira, Gomes, CVPR-W 2021, section 3"
FOLDS = 5


def baseline_0(problem: Problem) -> Outcome:
    """Goes on with the noisy labels of all training images."""
    rows = problem.train_rows
    fitted = problem.classifier.fit(problem.given, [(rows, problem.batch_size)], stage="noisy")
    return Outcome(sigmoid(fitted.logits))


def baseline_1(problem: Problem, *, steps: float = 1.0) -> Outcome:
    """Fine-tunes on the clean images, for ``steps`` times the recipe's steps."""
    n_steps = max(1, round(steps * problem.steps))
    groups = [(problem.clean_rows, problem.batch_size)]
    fitted = problem.classifier.fit(problem.verified, groups, stage="clean", steps=n_steps)
    return Outcome(sigmoid(fitted.logits))


def finetuned_after(problem: Problem, loss: Loss, *, stage: str) -> Outcome:
    """Trains on the noisy labels with a loss that doubts them, then on C as Baseline 1 does."""
    groups = [(problem.train_rows, problem.batch_size)]
    noisy = problem.classifier.fit(problem.given, groups, stage=stage, loss=loss)
    groups = [(problem.clean_rows, problem.batch_size)]
    fitted = problem.classifier.fit(problem.verified, groups, stage="clean", start=noisy.weights)
    return Outcome(sigmoid(fitted.logits))


def ensemble(problem: Problem, *, steps: float = 1.0) -> Outcome:
    """Five Baseline 1, each without a fifth of C; their logits averaged.

    Labels of clean images come from the one that did not see them, Platt-scaled.
    """
    rng = np.random.default_rng([problem.seed, 5])
    clean = problem.clean_rows
    fold = rng.permutation(np.arange(len(clean)) % FOLDS)
    total, out_of_fold = 0.0, np.zeros((len(clean), problem.n_attributes))
    for k in range(FOLDS):
        groups = [(clean[fold != k], problem.batch_size)]
        n_steps = max(1, round(steps * problem.steps))
        fitted = problem.classifier.fit(problem.verified, groups, stage=f"fold-{k}", steps=n_steps)
        total = total + fitted.logits / FOLDS
        out_of_fold[fold == k] = fitted.logits[clean[fold == k]]
    slope, intercept = fit_platt(out_of_fold, problem.verified[clean])
    score = slope * total + intercept
    score[clean] = slope * out_of_fold + intercept
    return Outcome(sigmoid(total), score)


def clean_only(problem: Problem) -> Outcome:
    """Kernel ridge regression on the clean images' features, Platt-scaled; no network.

    Its targets are the verified labels only; the features are the shared ones, whose head was
    pre-trained on the given labels.
    """
    clean = problem.clean_rows
    verified = problem.verified[clean]

    def scores_from(features: np.ndarray) -> np.ndarray:
        fit = leave_one_out_scores(features, verified, clean)
        slope, intercept = fit_platt(fit.scores[clean], verified)
        return slope * fit.scores + intercept

    return Outcome(sigmoid(scores_from(problem.seen)), scores_from(problem.features))


def oracle(truth: np.ndarray) -> Method:
    """The same classifier, trained on the true labels (N, L) of all training images."""

    def run(problem: Problem) -> Outcome:
        groups = [(problem.train_rows, problem.batch_size)]
        return Outcome(sigmoid(problem.classifier.fit(truth, groups, stage="oracle").logits))

    return Method("oracle", "Oracle", "the same classifier on true labels", run, needs_clean=False)


METHODS = (
    Method("baseline_0", "Baseline 0", PAPER, baseline_0, needs_clean=False),
    Method(
        "baseline_1",
        "Baseline 1",
        PAPER,
        baseline_1,
        ({"steps": 1.0}, {"steps": 0.25}, {"steps": 0.5}, {"steps": 2.0}),
    ),
    Method(
        "ensemble",
        "Baseline 1 ensemble",
        "five folds of C; Lakshminarayanan et al. 2017",
        ensemble,
        ({"steps": 1.0}, {"steps": 0.25}, {"steps": 0.5}),
    ),
    Method("clean_only", "Clean only", "kernel ridge regression on the clean images", clean_only),
)
