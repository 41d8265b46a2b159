"""What a training step costs: the plain classifier, SELF-ML's joint step, inference, input alone.

    python -m tests.benchmarks.steps                                    # `quick`, two cores
    KERAS_BACKEND=jax python -m tests.benchmarks.steps --recipe paper --mixed   # a GPU

All in one run, the plain and the joint step in turns, on drawn pixels and evidence of the recipe's
sizes. Beside them stands what a large matrix product reaches in the same type, and the share of
that bound which training and inference come to.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops

from selfml.config import Config, load_recipe, with_settings
from selfml.extract import Part, predict
from selfml.nn.augment import augmentation
from selfml.nn.backbones import build_backbone, scaling_of
from selfml.nn.classifier import AttributeClassifier
from selfml.nn.devices import shared_by
from selfml.nn.fitting import jit_choice, keep_freed_memory
from selfml.nn.input_pipeline import Batches
from selfml.nn.model import SelfML
from tests.benchmarks.step_data import N_ATTRIBUTES, Drawn, explainer_operations

LIMIT_JOINT = 1.10  # of the plain step
LIMITS = {"training": 0.45, "inference": 0.60}  # of the bound, on a GPU
WARM = 3  # calls of a fit that are not timed


@dataclass
class Measured:
    """Seconds a step of each kind, and what the machine could do at best.

    Attributes
    ----------
    plain, joint : list of float
        Seconds a step, one for each turn, with all layers of the extractor trained.
    cached_plain, cached_joint : list of float
        The same on feature maps of a frozen extractor.
    input_s, inference_s : float
        Seconds a batch of the training input alone, and of inference an image.
    bound : float
        Floating-point operations a second of a large matrix product.
    forward : float
        Operations an image, forward.
    explainer : float
        Operations a batch that the explainer's matrix products take at least.
    batch : int
    """

    plain: list[float]
    joint: list[float]
    cached_plain: list[float]
    cached_joint: list[float]
    input_s: float
    inference_s: float
    bound: float
    forward: float
    explainer: float
    batch: int

    @property
    def ratio(self) -> float:
        """Of the joint step to the plain one: the median over the turns."""
        return float(np.median(np.divide(self.joint, self.plain)))

    @property
    def cached_ratio(self) -> float:
        """The same on cached maps."""
        return float(np.median(np.divide(self.cached_joint, self.cached_plain)))

    def share(self, kind: str) -> float:
        """Of the bound, ``training`` (three times the forward operations) or ``inference``."""
        if kind == "inference":
            return self.forward / self.inference_s / self.bound
        return 3 * self.forward * self.batch / float(np.median(self.plain)) / self.bound


class Products(keras.Model):
    """A chain of ``count`` products of square matrices, for what the machine can do at best."""

    def __init__(self, side: int, count: int):
        super().__init__()
        self.side, self.count = side, count
        values = np.random.default_rng(0).normal(size=(side, side)) / np.sqrt(side)
        self.matrix = self.add_weight(name="matrix", shape=(side, side), trainable=False)
        self.matrix.assign(values.astype(np.float32))
        self.built = True

    def call(self, x):
        matrix = ops.cast(self.matrix, self.compute_dtype)
        product = matrix
        for _ in range(self.count):
            product = ops.matmul(product, matrix)
        return ops.cast(ops.sum(product, axis=1)[:1], "float32") + ops.sum(x)


def bound_of(side: int, count: int = 8, turns: int = 5) -> float:
    """Operations a second of products of ``side`` x ``side`` matrices under the present policy."""
    model, one = Products(side, count), np.zeros((1, 1), np.float32)
    model.compile(jit_compile=jit_choice())
    model.predict_on_batch(one)
    times = []
    for _ in range(turns):
        start = time.perf_counter()
        model.predict_on_batch(one)
        times.append(time.perf_counter() - start)
    return 2.0 * side**3 * count / min(times)


def forward_operations(classifier: AttributeClassifier, size_px: int) -> float:
    """Operations an image of all convolutions and the last layer, an addition counted as one."""
    total = 0.0
    for layer in classifier.backbone.layers:
        if isinstance(layer, layers.DepthwiseConv2D | layers.SeparableConv2D):
            continue
        if isinstance(layer, layers.Conv2D):
            total += 2.0 * np.prod(layer.kernel.shape) * np.prod(layer.output.shape[1:3])
    maps = classifier.backbone.compute_output_shape((1, size_px, size_px, 3))
    total += 2.0 * np.prod(classifier.conv.kernel.shape) * np.prod(maps[1:3])
    return float(total + 2.0 * np.prod(classifier.dense.kernel.shape))


class Clock(keras.callbacks.Callback):
    """Seconds a step, without the first calls; the loss is fetched, so that nothing is pending.

    A call of several steps (``train.steps_per_call``) says the number that its last step would
    have, which in the last call may be more than there are.
    """

    def __init__(self, steps: int):
        super().__init__()
        self.steps, self.calls, self.done, self.from_step = steps, 0, 0, 0
        self.start = 0.0

    def on_train_batch_end(self, batch, logs=None):
        self.calls, self.done = self.calls + 1, min(batch + 1, self.steps)
        if self.calls == WARM:
            keep_freed_memory()
            float(logs["loss"])
            self.from_step, self.start = self.done, time.perf_counter()
        elif self.done == self.steps:
            float(logs["loss"])
            self.each = (time.perf_counter() - self.start) / (self.steps - self.from_step)


def too_few(n_steps: int, config: Config) -> str:
    """What is wrong with so many steps a turn; empty where nothing is."""
    untimed = WARM * config.train.steps_per_call
    if n_steps > untimed:
        return ""
    return f"--steps: must be over {untimed}, the steps of calls that are not timed; got {n_steps}"


def turns_of(makers: list[tuple[keras.Model, Callable[[int], Batches]]], steps: int, turns: int):
    """Seconds a step of each model, ``turns`` of each, one after the other."""
    found: list[list[float]] = [[] for _ in makers]
    for _ in range(turns):
        for (model, batches), times in zip(makers, found, strict=True):
            clock = Clock(steps)
            model.fit(batches(steps), epochs=1, shuffle=False, verbose=0, callbacks=[clock])
            times.append(clock.each)
    return found


def compiled(model: keras.Model, config: Config) -> keras.Model:
    """As :func:`selfml.nn.fitting.fit_stage` does it."""
    model.compile(
        optimizer=keras.optimizers.Adam(config.train.learning_rate),
        jit_compile=jit_choice(),
        steps_per_execution=config.train.steps_per_call,
    )
    return model


def measure(config: Config, *, images: int, steps: int, turns: int, side: int) -> Measured:
    """All of it, on ``images`` drawn images; ``side`` is that of the bound's matrices."""
    with tempfile.TemporaryDirectory() as folder:
        drawn = Drawn(config, images, Path(folder))
        backbone = build_backbone(config.backbone, config.data.size_px)
        augment = augmentation(config.augment, 0)
        scaling = scaling_of(config.backbone.name)

        def classifier_of(backbone) -> AttributeClassifier:
            return AttributeClassifier(
                N_ATTRIBUTES, config, backbone=backbone, augment=augment, scaling=scaling
            )

        classifier = classifier_of(backbone)
        classifier.build((None, *drawn.pixels.shape[1:]))
        maps = backbone.compute_output_shape((1, *drawn.pixels.shape[1:]))[1:]
        both = config.basis.features == "head+backbone"
        d = config.head.d + (maps[-1] if both else 0)
        evidence = drawn.evidence(d)
        pixels = {"inputs": drawn.pixels, "place": np.zeros(images, np.int32)}
        of_maps = drawn.rng.random((images, *maps)).astype(np.float16)
        cached = {**pixels, "inputs": of_maps}

        def pair(one: AttributeClassifier, inputs: dict):
            joint = compiled(SelfML(one, drawn.explainer(d)), config)
            return (
                (compiled(one, config), lambda n: drawn.batches(n, inputs, drawn.labels)),
                (joint, lambda n: drawn.batches(n, {**evidence, **inputs})),
            )

        plain, joint = turns_of(list(pair(classifier, pixels)), steps, turns)
        rows = np.arange(images)
        logits = Part(classifier, lambda x: classifier(x, training=False))
        predict(logits, pixels, rows[:256])
        start = time.perf_counter()
        predict(logits, pixels, rows)
        inference_s = (time.perf_counter() - start) / images
        start, fed = time.perf_counter(), drawn.batches(steps, pixels, drawn.labels)
        for i in range(steps):
            fed[i]
        input_s = (time.perf_counter() - start) / steps
        head = list(pair(classifier_of(None), cached))
        cached_plain, cached_joint = turns_of(head, steps, turns)
        return Measured(
            plain,
            joint,
            cached_plain,
            cached_joint,
            input_s,
            inference_s,
            bound_of(side),
            forward_operations(classifier, config.data.size_px),
            explainer_operations(config, d),
            config.train.batch_size,
        )


def lines(found: Measured, config: Config, on_gpu: bool) -> list[str]:
    """The figures as text, each beside its limit."""

    def verdict(met: bool) -> str:
        return "met" if met else "MISSED"

    plain, joint = float(np.median(found.plain)), float(np.median(found.joint))
    said = [
        f"{config.recipe}: {config.backbone.name} at {config.data.size_px} px, batches of "
        f"{found.batch}, {keras.mixed_precision.global_policy().name}, "
        f"{keras.backend.backend()} on {'a GPU' if on_gpu else f'{os.cpu_count()} processors'}",
        f"bound by a matrix product: {found.bound / 1e12:.2f} TFLOP/s; an image costs "
        f"{found.forward / 1e9:.2f} GFLOP forward, {3 * found.forward / 1e9:.2f} a training step",
        f"plain training step: {1e3 * plain:.1f} ms, {found.batch / plain:,.0f} images/s",
        f"joint step of SELF-ML: {1e3 * joint:.1f} ms, {found.batch / joint:,.0f} images/s",
        f"joint / plain: {found.ratio:.3f}, limit {LIMIT_JOINT:.2f}: "
        + verdict(found.ratio <= LIMIT_JOINT),
        f"on cached maps: plain {1e3 * float(np.median(found.cached_plain)):.2f} ms, joint "
        f"{1e3 * float(np.median(found.cached_joint)):.2f} ms, {found.cached_ratio:.3f} of it; "
        f"the explainer's matrix products alone take {1e3 * found.explainer / found.bound:.2f} ms "
        "at the bound",
        f"inference: {1 / found.inference_s:,.0f} images/s",
        f"input alone: {found.batch / found.input_s:,.0f} images/s, "
        f"{100 * found.input_s / plain:.0f} % of the plain step's time",
    ]
    for kind, limit in LIMITS.items():
        share = found.share(kind)
        judged = f", limit {100 * limit:.0f} %: {verdict(share >= limit)}" if on_gpu else ""
        said.append(f"{kind}: {100 * share:.0f} % of the bound{judged}")
    return said


def has_gpu() -> bool:
    """Whether Keras would take a GPU by itself."""
    return any(not name.startswith("cpu") for name in keras.distribution.list_devices())


def traced(folder: str) -> AbstractContextManager:
    """A profile of what runs within, for TensorBoard or Perfetto; nothing without a folder."""
    if not folder:
        return nullcontext()
    if keras.backend.backend() == "jax":
        import jax

        return jax.profiler.trace(folder)
    from tensorflow import profiler

    return profiler.experimental.Profile(folder)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="quick")
    parser.add_argument("--set", action="append", default=[], help="key=value, as in selfml train")
    parser.add_argument("--images", type=int, default=2000, help="drawn images")
    parser.add_argument("--steps", type=int, default=40, help="steps of a turn")
    parser.add_argument("--turns", type=int, default=5, help="of each kind of step")
    parser.add_argument("--side", type=int, default=0, help="of the bound's matrices")
    parser.add_argument("--mixed", action="store_true", help="compute in bfloat16")
    parser.add_argument("--profile", default="", help="a folder for a trace of all of it")
    chosen = parser.parse_args(arguments)
    # the weights' values cost nothing, and a machine may have no network
    config = with_settings(load_recipe(chosen.recipe), ["backbone.weights=none", *chosen.set])
    if wrong := too_few(chosen.steps, config):
        parser.error(wrong)
    load = os.getloadavg()[0]
    if chosen.mixed:
        keras.mixed_precision.set_global_policy("mixed_bfloat16")
    side = chosen.side or (8192 if has_gpu() else 1024)
    try:
        shared = shared_by(config.train.devices, config.train.batch_size)
        with shared, traced(chosen.profile):
            found = measure(
                config, images=chosen.images, steps=chosen.steps, turns=chosen.turns, side=side
            )
        print("\n".join(lines(found, config, has_gpu())))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    print(f"load average {load:.1f} at the start, {os.getloadavg()[0]:.1f} at the end", flush=True)


if __name__ == "__main__":
    main()
