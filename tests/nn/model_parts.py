"""Small models and inputs for the tests of `selfml.nn.model`, and the losses in float64."""

from __future__ import annotations

import numpy as np

from selfml.config import Config, with_settings
from selfml.nn.flipper import CATEGORY_SHRINK, LabelFlipper
from selfml.nn.model import Explainer
from selfml.nn.reconstruction import SparseReconstruction
from tests.nn.backend import numbers

K, L, D, B = 8, 3, 6, 12
SETTINGS = ["head.d=4", "head.kernel=1", "data.size_px=32"]


def configured(*settings) -> Config:
    return with_settings(Config(), [*SETTINGS, *settings])


def explainer_of(
    config: Config, *, hidden=4, learn_basis=True, labelled=True, n_categories=0
) -> Explainer:
    rng = np.random.default_rng(1)
    reconstruction = SparseReconstruction(K, D, rank=config.basis.rank, learn_basis=learn_basis)
    reconstruction.start_at(rng.normal(size=(K, D)).astype(np.float32), non_zeros=4)
    shrink = config.flips.shrink
    flipper = LabelFlipper(L, D, hidden=hidden, shrink=shrink, n_categories=n_categories)
    explainer = Explainer(reconstruction, flipper, config)
    if labelled:
        values = (rng.random((K, L)) < 0.5).astype(np.float32)
        explainer.label_basis(values, np.arange(100, 100 + K, dtype=np.int32))
    return explainer


def inputs_of(seed=2, unknown=True) -> dict[str, np.ndarray]:
    """Nine images of N, then three of C."""
    rng = np.random.default_rng(seed)
    clean = np.arange(B) >= 9
    verified = np.where(clean[:, None], rng.integers(0, 2, (B, L)), -1).astype(np.float32)
    soft = np.where(clean[:, None], -1, rng.random((B, L))).astype(np.float32)
    if unknown:
        verified[9, 0] = -1
    return {
        "features": rng.normal(size=(B, D)).astype(np.float32),
        "given": rng.integers(-1, 2, (B, L)).astype(np.float32),
        "given_term": rng.normal(size=(B, L)).astype(np.float32),
        "classifier": rng.normal(size=(B, L)).astype(np.float32),
        "image": np.where(clean, np.arange(B), -1).astype(np.int32),
        "verified": verified,
        "soft": soft,
        "category": (np.arange(B) % 3).astype(np.int32),
    }


def joint_inputs(**changes) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    maps = rng.random((B, 2, 2, 5)).astype(np.float32)
    is_clean = (np.arange(B) >= 9).astype(np.float32)
    return {**inputs_of(), "inputs": maps, "is_clean": is_clean, **changes}


# ------------------------------------------------------------- formulas of the paper, in float64
def cells(y, value) -> float:
    return float(value[y >= 0].mean()) if (y >= 0).any() else 0.0


def cross_entropy(y, z) -> float:
    return cells(y, np.logaddexp(0, -z) * y + np.logaddexp(0, z) * (1 - y))


def absolute(y, z) -> float:
    return cells(y, np.abs(1 / (1 + np.exp(-z)) - y))


def focal(y, z, gamma, alpha) -> float:
    p = 1 / (1 + np.exp(-z))
    there, absent = alpha * (1 - p) ** gamma * -np.log(p), (1 - alpha) * p**gamma * -np.log(1 - p)
    return cells(y, y * there + (1 - y) * absent)


def selection_loss(explainer, inputs, c, lambda_c) -> float:
    basis = numbers(explainer.reconstruction.basis).astype(np.float64)
    anchor = numbers(explainer.reconstruction.anchor).astype(np.float64)
    size = np.abs(c @ basis - inputs["features"])
    huber = np.mean(np.where(size <= 1, 0.5 * size**2, size - 0.5))
    group = np.sqrt(np.square(c).mean(0) + 1e-12).mean()
    moved = np.linalg.norm(basis - anchor) / np.linalg.norm(anchor)
    return float(huber + lambda_c * group + moved * explainer.reconstruction.learn_basis)


def flipping_loss(inputs, outputs, distance, moves=True, distil=0.0) -> float:
    full = np.where(inputs["soft"] < 0, -1, 1 / (1 + np.exp(-outputs["logit"])))
    told = distil * cross_entropy(full, outputs["direct_logit"] + inputs["given_term"])
    direct = moves * cross_entropy(inputs["verified"], outputs["direct_logit"])
    return (
        distance(inputs["verified"], outputs["logit"])
        + distance(inputs["verified"], outputs["strict_logit"])
        + direct
        + told
        + cross_entropy(inputs["soft"], outputs["direct_logit"])
    )


def decay(explainer) -> float:
    flipper = explainer.flipper
    own = ["basis_own", "classifier_own", "strict_basis_own", "bias", "strict_bias"]
    shrunk = 0.0
    if flipper.n_categories:
        own.remove("strict_bias")
        shrunk = CATEGORY_SHRINK * np.square(numbers(flipper.category_bias)).sum()
    shrunk += sum(np.square(numbers(getattr(flipper, n))).sum() for n in own) * flipper.shrink
    kernels = [flipper.inner.kernel, flipper.outer.kernel] if flipper.hidden else []
    return float(
        shrunk + sum(np.square(numbers(k)).sum() for k in kernels) * flipper.residual_decay
    )


def moved(explainer) -> Explainer:
    """Weights away from where they start, so that no term of the loss is zero by chance."""
    rng = np.random.default_rng(7)
    skip = ("anchor", "gain", "donors", "basis_values", "prior")
    for variable in explainer.weights:
        if variable.name not in skip:
            variable.assign(
                numbers(variable) + 0.1 * rng.normal(size=variable.shape).astype(np.float32)
            )
    return explainer


def outputs_of(model, inputs) -> dict[str, np.ndarray]:
    return {k: numbers(v).astype(np.float64) for k, v in model(inputs).items()}
