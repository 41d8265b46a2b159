"""The models: losses composed as the paper says, gradients only where they belong, no leak on C."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from selfml.config import Config, with_settings
from selfml.nn.flipper import CATEGORY_SHRINK, LabelFlipper
from selfml.nn.model import NOBODY, AttributeClassifier, Explainer, MapScaling, SelfML
from selfml.nn.reconstruction import SparseReconstruction
from tests.nn.backend import numbers, weight_gradients

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
    config = configured(f"flips.mode={mode}", "joint.lambda_class=2", "joint.lambda_ef=3")
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


# ----------------------------------------------------------------------------------- leak guard
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


# ----------------------------------------------------------------------------------- classifier
def test_classifier_takes_images_or_maps():
    config = configured()
    images = keras.Input((8, 8, 3))
    backbone = keras.Model(images, keras.layers.Conv2D(5, 3, strides=4)(images))
    model = AttributeClassifier(L, config, backbone=backbone, scaling="tf")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    logits = numbers(model(pixels))
    maps = backbone(pixels.astype(np.float32) / 127.5 - 1)
    np.testing.assert_allclose(logits, numbers(model(maps)), atol=1e-5)
    features = numbers(model.features(maps))
    assert features.shape == (3, 4)
    assert (features >= 0).all()
    kernel, bias = (numbers(v) for v in model.dense.weights)
    np.testing.assert_allclose(logits, features @ kernel + bias, atol=1e-5)


def test_a_frozen_backbone_stays_as_it_is():
    """Also its batch statistics: inference mode while the head is fine-tuned."""
    config = configured()
    images = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(5, 3, strides=4)(images)
    backbone = keras.Model(images, keras.layers.BatchNormalization()(x))
    model = AttributeClassifier(L, config, backbone=backbone)
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    labels = np.ones((6, L), np.float32)
    backbone.trainable = False
    slopes = weight_gradients(model, pixels, labels)
    moved_names = {k for k, v in slopes.items() if (v != 0).any()}
    own = {v.path for v in backbone.weights}
    assert not moved_names & own
    assert moved_names
    backbone.trainable = True
    slopes = weight_gradients(model, pixels, labels)
    assert {k for k, v in slopes.items() if (v != 0).any()} & own


def test_maps_pass_unchanged_until_their_scale_is_known():
    maps = np.random.default_rng(0).normal(3.0, 50.0, (6, 2, 2, 4)).astype(np.float32)
    scaling = MapScaling()
    np.testing.assert_array_equal(numbers(scaling(maps)), maps)


def test_standardised_maps_have_mean_0_and_variance_1_and_dead_channels_are_0():
    rng = np.random.default_rng(0)
    maps = rng.normal([5.0, -2.0, 0.0], [0.01, 10.0, 1.0], (500, 2, 2, 3)).astype(np.float16)
    maps[..., 2] = 7.0
    scaling = MapScaling()
    scaling.adapt(maps)
    found = numbers(scaling(maps)).astype(np.float64)
    np.testing.assert_allclose(found.mean((0, 1, 2)), 0.0, atol=1e-3)
    np.testing.assert_allclose(found.std((0, 1, 2)), [1.0, 1.0, 0.0], atol=0.02)
    far = numbers(scaling(np.full((1, 2, 2, 3), 1e4, np.float32)))
    assert far.max() == 8.0
