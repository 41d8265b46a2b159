"""SPLC: given negatives that the network is sure are present are trained as positives.

Zhang, Cheng, Huang, Wen and Li, "Simple and Robust Loss Design for Multi-Label Learning with
Missing Labels", 2021, section 3.3: after the first epoch a given negative with probability above
tau = .6 gets the positive's loss. Their focal margin is left out: the loss is the cross-entropy
that the other methods have. Then the classifier is fine-tuned on C, as the others.
It starts, as every method here, from the weights pre-trained on the noisy labels.
"""

from __future__ import annotations

from keras import ops

from selfml.benchmark.baselines import finetuned_after
from selfml.benchmark.problem import Loss, Method, Outcome, Problem
from selfml.nn.losses import known, masked_mean

FIRST_EPOCH = 0.1  # share of the steps before labels are corrected


def correcting_loss(tau: float) -> Loss:
    """Cross-entropy; from ``FIRST_EPOCH`` on a negative with probability above tau is positive."""

    def loss(y, z, progress):
        z = ops.cast(z, "float32")
        positive = ops.cast(ops.equal(y, 1), "float32")
        sure = ops.cast(ops.sigmoid(z) > tau, "float32")
        started = ops.cast(progress >= FIRST_EPOCH, "float32")
        target = ops.stop_gradient(ops.maximum(positive, started * sure))
        return masked_mean(ops.softplus(z) - target * z, known(y))

    return loss


def run(problem: Problem, *, tau: float = 0.6) -> Outcome:
    """Train on noisy labels with correction, then fine-tune on C."""
    return finetuned_after(problem, correcting_loss(tau), stage="correct")


METHOD = Method(
    "splc",
    "SPLC + fine-tuning",
    "Zhang et al. 2021",
    run,
    ({"tau": 0.6}, {"tau": 0.4}, {"tau": 0.8}),
)
