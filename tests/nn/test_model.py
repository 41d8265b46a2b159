"""The models: losses composed as the paper says, gradients only where they belong, no leak on C."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from selfml.nn.classifier import AttributeClassifier
from selfml.nn.model import Explainer, SelfML
from tests.nn.backend import numbers, weight_gradients
from tests.nn.model_parts import (
    B,
    L,
    absolute,
    configured,
    cross_entropy,
    decay,
    explainer_of,
    flipping_loss,
    focal,
    inputs_of,
    joint_inputs,
    moved,
    selection_loss,
)


# ---------------------------------------------------------------------------------- composition
@pytest.mark.parametrize(("learn_basis", "moves"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize(("loss", "distance"), [("cross_entropy", cross_entropy), ("l1", absolute)])
def test_explainer_loss_is_bs_plus_ef(loss, distance, learn_basis, moves):
    config = configured(
        *(f"flips.loss={loss}", f"flips.clean_moves_basis={str(moves).lower()}"),
        *("joint.lambda_bs=0.7", "joint.lambda_ef=3", "basis.lambda_c=2"),
    )
    inputs = inputs_of()
    explainer = explainer_of(config, learn_basis=learn_basis)
    explainer(inputs)
    moved(explainer)
    outputs = explainer(inputs)
    found = float(numbers(explainer.compute_loss(x=inputs, y_pred=outputs)))
    exact = {k: numbers(v).astype(np.float64) for k, v in outputs.items()}
    bs = selection_loss(explainer, inputs, exact["coefficients"], 2.0)
    ef = flipping_loss(inputs, exact, distance, moves)
    assert found == pytest.approx(0.7 * bs + 3 * ef + decay(explainer), rel=1e-4)
    explainer.use_flips = False
    found = float(numbers(explainer.compute_loss(x=inputs, y_pred=outputs)))
    assert found == pytest.approx(0.7 * bs + decay(explainer), rel=1e-4)


@pytest.mark.parametrize("n_categories", [0, 2])
def test_strict_evidence_is_told_what_full_evidence_says_of_noisy_images(n_categories):
    inputs = inputs_of()
    config = configured("flips.distil=0.5", "flips.clean_moves_basis=false", "joint.lambda_ef=3")
    explainer = explainer_of(config, n_categories=n_categories)
    explainer(inputs)
    moved(explainer)
    outputs = explainer(inputs)
    exact = {k: numbers(v).astype(np.float64) for k, v in outputs.items()}
    flipper = explainer.flipper
    direct = numbers(flipper.strict_bias) + exact["strict_basis"]
    if n_categories:
        rows = np.concatenate([np.zeros((1, L)), numbers(flipper.category_bias)])
        direct = direct + rows[inputs["category"]]
    np.testing.assert_allclose(exact["direct_logit"], direct, atol=1e-4)
    # the teacher forgets nothing by chance, also where the pupil does
    noisy = explainer(inputs, training=True)
    np.testing.assert_allclose(
        numbers(noisy["teacher"]), 1 / (1 + np.exp(-exact["logit"])), atol=1e-4
    )
    assert np.abs(numbers(noisy["logit"]) - exact["logit"]).max() > 0.01
    bs = selection_loss(explainer, inputs, exact["coefficients"], config.basis.lambda_c)
    ef = flipping_loss(inputs, exact, cross_entropy, moves=False, distil=0.5)
    found = float(numbers(explainer.compute_loss(x=inputs, y_pred=outputs)))
    assert found == pytest.approx(bs + 3 * ef + decay(explainer), rel=1e-4)
    assert 3 * (ef - flipping_loss(inputs, exact, cross_entropy, moves=False)) > 0.01
    # full evidence is told nothing: where no image is verified its weights have no gradient
    inputs["verified"][:] = -1
    without = configured("flips.clean_moves_basis=false", "flips.shrink=0")
    slopes = []
    for at in (0.0, 0.5):
        settings = replace(without, flips=replace(without.flips, distil=at))
        explainer = explainer_of(settings, hidden=0, n_categories=n_categories)
        found = weight_gradients(moved(explainer), inputs)
        slopes.append({path.split("/")[-1]: slope for path, slope in found.items()})
    for name in ("classifier_shared", "classifier_own", "basis_shared", "basis_own", "bias"):
        np.testing.assert_allclose(slopes[0][name], slopes[1][name], atol=1e-7, err_msg=name)


@pytest.mark.parametrize("mode", ["full", "strict"])
def test_total_loss_and_targets(mode):
    config = configured(f"joint.targets={mode}", "joint.lambda_class=2", "joint.lambda_ef=3")
    inputs = joint_inputs()
    model = SelfML(AttributeClassifier(L, config), explainer_of(config))
    model(inputs)
    moved(model.explainer)
    outputs = model(inputs)
    exact = {k: numbers(v).astype(np.float64) for k, v in outputs.items()}
    logit = exact["strict_logit" if mode == "strict" else "logit"]
    target = np.where(np.arange(B)[:, None] < 9, 1 / (1 + np.exp(-logit)), inputs["verified"])
    found = numbers(model.targets(inputs, outputs))
    np.testing.assert_allclose(found, target, atol=1e-5)
    assert found[9, 0] == -1  # unknown on C: no target, not the flipped label
    expected = (
        2 * focal(target, exact["class_logits"], 2.0, 0.6)
        + selection_loss(model.explainer, inputs, exact["coefficients"], 10.0)
        + 3 * flipping_loss(inputs, exact, cross_entropy)
        + decay(model.explainer)
    )
    total = float(numbers(model.compute_loss(x=inputs, y_pred=outputs)))
    assert total == pytest.approx(expected, rel=1e-4)
    # and fit minimises exactly that
    model.compile(optimizer=keras.optimizers.SGD(0.0), run_eagerly=True)
    model.explainer.flipper.drop.rate = 0.0
    assert float(model.train_on_batch(inputs)) == pytest.approx(total, rel=1e-5)


def test_classifier_loss_is_focal_over_known_cells():
    config = configured("train.gamma=1.5", "train.alpha=0.3")
    model = AttributeClassifier(L, config)
    maps = np.random.default_rng(0).random((4, 2, 2, 5)).astype(np.float32)
    labels = np.array([[1, 0, -1], [0.5, 1, 1], [-1, -1, -1], [0, 0, 1]], np.float32)
    z = model(maps)
    found = float(numbers(model.compute_loss(x=maps, y=labels, y_pred=z)))
    assert found == pytest.approx(focal(labels, numbers(z).astype(float), 1.5, 0.3), rel=1e-5)


# ------------------------------------------------------------------------------------ gradients
def test_classifier_loss_gives_the_explainer_no_gradient():
    config = configured("joint.lambda_bs=0", "joint.lambda_ef=0", "basis.rank=3")
    model = SelfML(AttributeClassifier(L, config), explainer_of(config, hidden=0))
    slopes = weight_gradients(model, joint_inputs())
    mine = {k: v for k, v in slopes.items() if "explainer" in k or "flipper" in k}
    assert len(mine) >= 10
    assert all((v == 0).all() for v in mine.values()), mine
    others = {k: v for k, v in slopes.items() if k not in mine and "sparse_" not in k}
    assert all((v == 0).all() for k, v in slopes.items() if "sparse_" in k)
    assert any((v != 0).any() for v in others.values())


def test_verified_labels_move_the_coefficients_only_where_asked():
    """Of L_EF on C alone: the weights of the evidence learn, C_X as the setting says."""
    inputs = inputs_of()
    inputs["soft"][:] = -1
    for moves in (True, False):
        config = configured(
            "joint.lambda_bs=0", "basis.rank=3", f"flips.clean_moves_basis={str(moves).lower()}"
        )
        slopes = weight_gradients(explainer_of(config, hidden=0), inputs)
        reached = [bool((v != 0).any()) for k, v in slopes.items() if "kernel" in k]
        assert reached == [moves]
        assert any((v != 0).any() for k, v in slopes.items() if "basis_shared" in k)


def test_what_is_believed_of_noisy_images_always_moves_the_coefficients():
    config = configured("joint.lambda_bs=0", "basis.rank=3", "flips.clean_moves_basis=false")
    inputs = inputs_of()
    inputs["verified"][:] = -1
    slopes = weight_gradients(explainer_of(config, hidden=0), inputs)
    assert any((v != 0).any() for k, v in slopes.items() if "kernel" in k)


def test_explainer_losses_give_the_classifier_no_gradient():
    config = configured("joint.lambda_class=0")
    model = SelfML(AttributeClassifier(L, config), explainer_of(config))
    slopes = weight_gradients(model, joint_inputs())
    head = {k: v for k, v in slopes.items() if "conv2d" in k or "dense" in k}
    head = {k: v for k, v in head.items() if "flipper" not in k}
    assert len(head) == 4
    assert all((v == 0).all() for v in head.values())
    kernel = next(v for k, v in slopes.items() if k.endswith("/kernel") and "sparse_" in k)
    assert (kernel != 0).any()


def test_flipping_loss_reaches_the_coefficients():
    """So that c serves labels as well as pixels: L_EF alone moves C_X, and not the anchor."""
    config = configured("joint.lambda_class=0", "joint.lambda_bs=0")
    slopes = weight_gradients(explainer_of(config, hidden=0), inputs_of())
    named = {k.split("/")[-1]: v for k, v in slopes.items()}
    assert (named["kernel"] != 0).any()
    assert (named["offset"] != 0).any()
    assert (named["basis"] == 0).all()  # linear C_X: labels say nothing of X_B itself
    for fixed in ("anchor", "gain", "basis_values", "prior"):
        assert (named[fixed] == 0).all()
    assert all(np.isfinite(v).all() for v in slopes.values())


def test_gradient_where_the_basis_starts_is_finite():
    slopes = weight_gradients(explainer_of(configured()), inputs_of())
    assert all(np.isfinite(v).all() for v in slopes.values())


def test_reconstruction_alone_needs_no_labels():
    explainer = explainer_of(configured(), labelled=False)
    explainer.use_flips = explainer.flipper.trainable = False
    before, after = inputs_of(2), inputs_of(2)
    for name in ("verified", "soft"):
        after[name] = 1 - after[name]
    slopes = [weight_gradients(explainer_of_same(explainer), x) for x in (before, after)]
    for a, b in zip(*(s.values() for s in slopes), strict=True):
        np.testing.assert_array_equal(a, b)
    flipper = [v for k, v in slopes[0].items() if "flipper" in k]
    assert all((v == 0).all() for v in flipper)


def explainer_of_same(explainer) -> Explainer:
    again = explainer_of(explainer.settings, labelled=False)
    again.use_flips = again.flipper.trainable = False
    return again


# ------------------------------------------------------------------------------- unknown labels
def test_unknown_labels_contribute_nothing():
    """What an unknown label's cell looks like changes neither loss nor any gradient."""
    config = configured("joint.lambda_bs=0")
    known, changed = joint_inputs(), joint_inputs()
    nothing = {"verified": np.full((B, L), -1, np.float32), "soft": np.full((B, L), -1, np.float32)}
    changed["classifier"] = known["classifier"].copy()
    changed["classifier"][9, 0] += 5.0  # image 9 of C, attribute 0: verified is -1
    losses = []
    for x in (known, changed):
        explainer = explainer_of(config, hidden=0)
        outputs = explainer(x)
        losses.append(float(numbers(explainer.compute_loss(x=x, y_pred=outputs))))
    assert losses[0] == losses[1]
    explainer = explainer_of(config, hidden=0)
    slopes = weight_gradients(explainer, {**inputs_of(), **nothing})
    assert all((v == 0).all() for v in slopes.values())


def test_unknown_given_labels_of_n_still_get_a_target():
    """The flipped label of a blank cell is what basis and classifier say: it is used."""
    config = configured()
    inputs = joint_inputs()
    inputs["given"][:] = -1
    inputs["given_term"][:] = 0
    model = SelfML(AttributeClassifier(L, config), explainer_of(config))
    outputs = model(inputs)
    target = numbers(model.targets(inputs, outputs))
    np.testing.assert_array_equal(
        numbers(outputs["strict_logit"]), numbers(outputs["direct_logit"])
    )
    assert ((target[:9] > 0) & (target[:9] < 1)).all()
