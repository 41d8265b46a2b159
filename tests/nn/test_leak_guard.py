"""No image of C is explained by atoms that it labelled; evidence stays in float32."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from selfml.nn.classifier import AttributeClassifier
from selfml.nn.flipper import LabelFlipper
from selfml.nn.model import NOBODY, Explainer, SelfML
from selfml.nn.reconstruction import SparseReconstruction
from tests.nn.backend import numbers
from tests.nn.model_parts import (
    B,
    K,
    L,
    configured,
    explainer_of,
    inputs_of,
    joint_inputs,
)


def test_an_image_never_uses_atoms_it_labelled():
    explainer = explainer_of(configured())
    donors = np.array([9, 9, 3, 10, 11, 11, 4, 5], np.int32)
    explainer.label_basis(np.ones((K, L), np.float32), donors)
    c = numbers(explainer(inputs_of())["coefficients"])
    for image in (9, 10, 11):
        assert (c[image, donors == image] == 0).all()
    np.testing.assert_allclose(c.sum(1), 1, atol=1e-6)
    free = explainer_of(configured())
    free.label_basis(np.ones((K, L), np.float32), np.full(K, NOBODY, np.int32))
    everything = numbers(free(inputs_of())["coefficients"])
    np.testing.assert_array_equal(c[:9], everything[:9])  # images of N: image is -1


def test_before_the_basis_has_labels_nothing_is_blocked():
    """Image 0 may be of C; an unlabelled basis must not be taken for its work."""
    inputs = inputs_of()
    inputs["image"] = np.arange(B, dtype=np.int32)
    explainer = explainer_of(configured(), labelled=False)
    guarded = numbers(explainer(inputs)["coefficients"])
    inputs["image"][:] = -1
    np.testing.assert_array_equal(guarded, numbers(explainer(inputs)["coefficients"]))
    assert guarded.max(1).min() > 1.5 / K


def test_an_image_that_labelled_every_atom_scores_the_prior():
    explainer = explainer_of(configured())
    explainer.label_basis(np.ones((K, L), np.float32), np.full(K, 10, np.int32))
    explainer.flipper.prior.assign(np.array([0.1, 0.2, 0.3], np.float32))
    scores = numbers(explainer(inputs_of())["scores"])
    np.testing.assert_allclose(scores[10], [0.1, 0.2, 0.3], atol=1e-6)
    np.testing.assert_allclose(np.delete(scores, 10, 0), 1.0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 8])
def test_planted_leak(rank):
    """Labels drawn without regard to the features can be learned only from an image's own atom.

    With the guard off, the flipping module is right of nearly all images of C that it is fitted
    on; with it on, it can do little better than guess.
    """
    accuracy = {guard: planted_accuracy(rank, guard) for guard in (True, False)}
    assert accuracy[False] > 0.95
    assert 0.4 < accuracy[True] < 0.66  # .55 is what the more frequent label alone gives


def planted_accuracy(rank: int, guard: bool, n: int = 120, n_attributes: int = 6) -> float:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(n, 12)).astype(np.float32)
    labels = rng.integers(0, 2, (n, n_attributes)).astype(np.float32)
    config = configured("joint.lambda_bs=0")
    reconstruction = SparseReconstruction(n, 12, rank=rank, learn_basis=False)
    reconstruction.start_at(features, non_zeros=4)
    explainer = Explainer(reconstruction, LabelFlipper(n_attributes, 12, hidden=0), config)
    donors = np.arange(n) if guard else np.full(n, NOBODY)
    explainer.label_basis(labels, donors.astype(np.int32))
    zero = np.zeros_like(labels)
    inputs = {
        "features": features,
        "given": zero - 1,
        "given_term": zero,
        "classifier": zero,
        "image": np.arange(n, dtype=np.int32),
        "verified": labels,
        "soft": zero - 1,
    }
    explainer.compile(optimizer=keras.optimizers.Adam(3e-3), jit_compile=False)
    for _ in range(15):
        explainer.train_on_batch(inputs)
    said = numbers(explainer(inputs)["logit"]) > 0
    return float((said == (labels == 1)).mean())


# ---------------------------------------------------------------------------- mixed precision
def test_evidence_is_float32_under_bfloat16(mixed_bfloat16):
    """The policy is for the classifier; rounding evidence would move flips."""
    config, inputs = configured(), joint_inputs()
    explainer = explainer_of(config)
    model = SelfML(AttributeClassifier(L, config), explainer)
    outputs = model(inputs)
    for name in ("logit", "strict_logit", "coefficients", "scores"):
        assert keras.backend.standardize_dtype(outputs[name].dtype) == "float32"
    np.testing.assert_allclose(numbers(outputs["coefficients"]).sum(1), 1.0, atol=1e-6)
    assert keras.backend.standardize_dtype(model.classifier.conv.compute_dtype) == "bfloat16"
    keras.mixed_precision.set_global_policy("float32")
    plain = explainer_of(config)
    plain(inputs)
    plain.set_weights(explainer.get_weights())
    for name in ("logit", "strict_logit", "coefficients", "scores"):
        np.testing.assert_array_equal(numbers(outputs[name]), numbers(plain(inputs)[name]))
