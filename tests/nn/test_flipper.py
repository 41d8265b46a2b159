"""The flipping module says in a graph exactly what `selfml.flips` says from a run's files."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import numpy as np
import pytest

from selfml import flips
from selfml.flips import EvidenceModel
from selfml.nn.flipper import LabelFlipper
from selfml.results import Explained
from tests.nn.backend import gradient, numbers, tensor, weight_gradients

N, L, D, CATEGORIES = 40, 6, 5, ("a", "b")


def model_of(rng: np.random.Generator) -> EvidenceModel:
    zeros = np.zeros(L)
    return EvidenceModel(
        prior=np.array([0.0008, 0.02, 0.3, 0.5, 0.9, 0.9992]),
        smoothing=0.1,
        bias=zeros,
        basis_weight=zeros,
        strict_bias=zeros,
        strict_basis_weight=zeros,
        llr=rng.normal(scale=2, size=(3, L, 2)),
        categories=CATEGORIES,
    )


def case(seed: int = 0, *, hidden: int = 4, smoothing: float = 0.1, n_categories: int = 0):
    """A flipper with random weights, its inputs, and the EvidenceModel that a run would store."""
    rng = np.random.default_rng(seed)
    flipper = LabelFlipper(L, D, hidden=hidden, smoothing=smoothing, n_categories=n_categories)
    flipper.build()
    flipper.set_weights([rng.normal(size=w.shape).astype(np.float32) for w in flipper.weights])
    model = model_of(rng)
    flipper.prior.assign(model.prior.astype(np.float32))
    scores = rng.random((N, L)).astype(np.float32)
    scores[0], scores[1], scores[2] = 0.0, 1.0, 1.0 - 6e-8
    given = rng.integers(-1, 2, size=(N, L)).astype(np.int8)
    categories = model.category_index([None, "a", "b", "other"] * (N // 4), N)
    inputs = {
        "scores": scores,
        "given": given.astype(np.float32),
        "given_term": flips.given_term(model, given, categories).astype(np.float32),
        "classifier": rng.normal(scale=3, size=(N, L)).astype(np.float32),
        "features": rng.normal(size=(N, D)).astype(np.float32),
        "category": categories.astype(np.int32),
    }
    explained = Explained(
        features=inputs["features"],
        classifier=inputs["classifier"],
        given_term=inputs["given_term"],
        soft=np.zeros((N, L)),
        model=model,
        explainer=SimpleNamespace(flipper=flipper),
    )
    return flipper, inputs, given, categories, explained.evidence_model()


@pytest.mark.parametrize("n_categories", [0, len(CATEGORIES)])
@pytest.mark.parametrize("smoothing", [0.1, 1e-3, 1.0])
def test_parity_with_the_evidence_of_a_run(smoothing, n_categories):
    flipper, inputs, given, categories, model = case(smoothing=smoothing, n_categories=n_categories)
    assert (model.strict_category is None) == (n_categories == 0)
    terms = {name: numbers(term).astype(np.float64) for name, term in flipper(inputs).items()}
    weight = numbers(flipper.weight("classifier"))
    expected = flips.evidence(
        model,
        inputs["scores"],
        given,
        categories,
        weight * inputs["classifier"],
        terms["residual"],
    )
    parts = {
        "basis": expected.basis,
        "strict_basis": expected.strict_basis,
        "given": expected.given,
        "classifier": expected.classifier,
        "logit": expected.score,
        "strict_logit": expected.strict_score,
    }
    for name, value in parts.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-5, atol=5e-5, err_msg=name)
    # the same labels, wherever the score is not zero to rounding
    sure = np.abs(expected.score) > 1e-4
    np.testing.assert_array_equal((terms["logit"] > 0)[sure], (expected.score > 0)[sure])


def test_terms_add_up():
    flipper, inputs, *_ = case(1)
    t = {name: numbers(term) for name, term in flipper(inputs).items()}
    full = numbers(flipper.bias) + t["basis"] + t["given"] + t["classifier"] + t["residual"]
    np.testing.assert_allclose(t["logit"], full, atol=1e-4)
    direct = numbers(flipper.strict_bias) + t["strict_basis"]
    np.testing.assert_allclose(numbers(flipper.direct_logit(inputs["scores"])), direct, atol=1e-5)
    np.testing.assert_allclose(t["strict_logit"], direct + t["given"], atol=1e-5)


def test_a_category_moves_strict_evidence_alone():
    flipper, inputs, *_ = case(4, n_categories=2)
    before, after = flipper(inputs), flipper({**inputs, "category": np.full(N, 2, np.int32)})
    own = np.concatenate([np.zeros((1, L)), numbers(flipper.category_bias)])
    assert flipper.category_bias.shape == (2, L)
    expected = numbers(before["strict_logit"]) + own[2] - own[inputs["category"]]
    np.testing.assert_allclose(numbers(after["strict_logit"]), expected, atol=1e-4)
    np.testing.assert_array_equal(numbers(before["logit"]), numbers(after["logit"]))


class Summed(keras.Model):
    """The sum of what ``of`` makes of its input, to be descended."""

    def __init__(self, flipper, of):
        super().__init__()
        self.flipper, self.of = flipper, of

    def call(self, x, training=False):
        return self.of(x)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        rest = sum(keras.ops.sum(variable) for variable in self.trainable_variables)
        return keras.ops.sum(y_pred) + 0.0 * rest  # zero, not None, where one plays no part


def test_only_what_is_believed_of_noisy_images_moves_a_category():
    """`strict_logit`, which meets verified labels, has no gradient into it; `direct_logit` has."""
    flipper, inputs, *_ = case(4, n_categories=2)

    def slope(of) -> np.ndarray:
        found = weight_gradients(Summed(flipper, of), inputs)
        (name,) = (path for path in found if path.endswith("category_bias"))
        return found[name]

    assert (slope(lambda x: flipper(x)["strict_logit"]) == 0).all()
    counts = [(inputs["category"] == row).sum() for row in (1, 2)]
    direct = slope(lambda x: flipper.direct_logit(x["scores"], x["category"]))
    np.testing.assert_allclose(direct, np.repeat([counts], L, 0).T, rtol=1e-4)


def test_strict_evidence_reads_only_basis_and_given():
    flipper, inputs, *_ = case(2)
    before = flipper(inputs)
    changed = {**inputs, "classifier": -inputs["classifier"], "features": inputs["features"] + 1}
    after = flipper(changed)
    np.testing.assert_array_equal(numbers(before["strict_logit"]), numbers(after["strict_logit"]))
    assert np.abs(numbers(before["logit"]) - numbers(after["logit"])).max() > 0.1


def test_unknown_given_labels_are_neutral():
    flipper, inputs, given, *_ = case(3)
    terms = flipper(inputs)
    unknown = given < 0
    assert (numbers(terms["given"])[unknown] == 0).all()
    # the residual sees 0, halfway between a given 0 (-1) and a given 1 (+1)
    middle = {**inputs, "given": np.where(unknown, 0.5, inputs["given"]).astype(np.float32)}
    np.testing.assert_allclose(
        numbers(flipper(middle)["residual"]), numbers(terms["residual"]), atol=1e-6
    )
    direct = numbers(flipper.direct_logit(inputs["scores"]))
    np.testing.assert_array_equal(numbers(terms["strict_logit"])[unknown], direct[unknown])


def test_residual_starts_at_zero_and_can_be_left_out():
    fresh = LabelFlipper(L, D)
    _, inputs, *_ = case()
    assert (numbers(fresh(inputs)["residual"]) == 0).all()
    _, inputs, *_ = case()
    none = LabelFlipper(L, D, hidden=0)
    assert (numbers(none(inputs)["residual"]) == 0).all()
    assert {v.name for v in none.trainable_variables} == {
        *("basis_shared", "basis_own", "classifier_shared", "classifier_own"),
        *("strict_basis_shared", "strict_basis_own", "bias", "strict_bias"),
    }


@pytest.mark.parametrize("smoothing", [0.1, 1e-6])
def test_finite_with_gradient_at_scores_of_zero_and_one(smoothing):
    """A score of exactly 1 is common: all atoms of an image have the label."""
    flipper, _, *_ = case(smoothing=smoothing)
    scores = np.stack([np.full(L, s, np.float32) for s in (0, 1, 1 + 1.2e-7, -1e-7, 0.5)])
    assert np.isfinite(numbers(flipper.basis_logit(tensor(scores)))).all()
    slope = gradient(lambda s: keras.ops.sum(flipper.basis_logit(s)), scores)
    assert np.isfinite(slope).all()
    # the gradient at the ends is the formula's, 1/(s + a) + 1/(1 - s + b), not zero or half
    a, b = smoothing * model_of(np.random.default_rng(0)).prior, smoothing
    b = smoothing - a
    np.testing.assert_allclose(slope[0], 1 / a + 1 / (1 + b), rtol=1e-4)
    np.testing.assert_allclose(slope[1], 1 / (1 + a) + 1 / b, rtol=1e-4)


def test_residual_passes_no_gradient_into_scores():
    flipper, inputs, *_ = case(4)
    slope = gradient(lambda s: keras.ops.sum(flipper.residual(inputs, s)), inputs["scores"])
    assert (slope == 0).all()


def test_dropout_of_the_residual_only_while_training():
    flipper, inputs, *_ = case(5, hidden=32)
    still = numbers(flipper(inputs)["residual"])
    np.testing.assert_array_equal(still, numbers(flipper(inputs, training=False)["residual"]))
    moved = flipper(inputs, training=True)
    assert np.abs(numbers(moved["residual"]) - still).max() > 0.01
    np.testing.assert_array_equal(
        numbers(moved["strict_logit"]), numbers(flipper(inputs)["strict_logit"])
    )


def test_round_trip_of_the_configuration():
    flipper, inputs, *_ = case(6)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(flipper))
    assert again.get_config() == flipper.get_config()
    again.set_weights(flipper.get_weights())
    np.testing.assert_array_equal(
        numbers(again(inputs)["logit"]), numbers(flipper(inputs)["logit"])
    )
    assert LabelFlipper.from_config(LabelFlipper(L, D).get_config()).hidden == 64
