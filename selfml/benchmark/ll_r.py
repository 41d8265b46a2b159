"""LL-R: large losses of given negatives are taken for missing labels and left out.

Kim, Kim, Akata and Lee, "Large Loss Matters in Weakly Supervised Multi-Label Classification",
CVPR 2022, section 3: an unnoted label is assumed absent; networks learn right labels first, so
that the negatives with the largest losses are likely missing ones. In each batch the share of
negatives that is rejected grows linearly with training, as (epoch - 1) * delta_rel. Here it grows
with the steps, to ``rejected`` at the end; then the classifier is fine-tuned on C, as the others.
It starts, as every method here, from the weights pre-trained on the noisy labels.
"""

from __future__ import annotations

from keras import ops

from selfml.benchmark.baselines import finetuned_after
from selfml.benchmark.problem import Loss, Method, Outcome, Problem
from selfml.nn.losses import known, masked_mean


def rejecting_loss(rejected: float) -> Loss:
    """Cross-entropy without the largest losses of given negatives.

    Parameters
    ----------
    rejected : float
        Share of the batch's given negatives that is left out at the end of training, in 0..1.
    """

    def loss(y, z, progress):
        z = ops.cast(z, "float32")
        mask = known(y)
        positive = ops.cast(ops.equal(y, 1), "float32")
        negative = mask * (1.0 - positive)
        value = positive * ops.softplus(-z) + negative * ops.softplus(z)
        ranked = ops.sort(ops.reshape(ops.where(negative > 0, value, -1.0), (-1,)))
        count = ops.floor(rejected * progress * ops.sum(negative))
        size = ops.shape(ranked)[0]
        place = ops.maximum(size - 1 - ops.cast(count, "int32"), 0)
        limit = ops.stop_gradient(ops.take(ranked, place))  # the largest loss that is kept
        keep = mask * (1.0 - negative * ops.cast(value > limit, "float32"))
        return masked_mean(value, keep)

    return loss


def run(problem: Problem, *, rejected: float = 0.05) -> Outcome:
    """Train on noisy labels with rejection, then fine-tune on C."""
    return finetuned_after(problem, rejecting_loss(rejected), stage="reject")


METHOD = Method(
    "ll_r",
    "LL-R + fine-tuning",
    "Kim et al., CVPR 2022",
    run,
    ({"rejected": 0.02}, {"rejected": 0.05}, {"rejected": 0.1}),
)
