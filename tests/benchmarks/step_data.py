"""What the benchmark of steps trains on: drawn numbers of a configuration's sizes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selfml.config import Config
from selfml.nn.flipper import LabelFlipper
from selfml.nn.input_pipeline import Batches, rows_of
from selfml.nn.model import Explainer
from selfml.nn.reconstruction import SparseReconstruction

N_ATTRIBUTES = 17


def explainer_operations(config: Config, d: int) -> float:
    """Operations of a batch that no explainer of these sizes can do without, forward and backward.

    Its matrix products forward, and of each one product of its gradient (some need two); an
    addition is counted as one.
    """
    b, k, hidden = config.train.batch_size, config.basis.n_atoms, config.flips.hidden
    rank = config.basis.rank
    logits = d * rank * (b + k) + b * rank * k if rank else b * d * k
    residual = b * hidden * (d + 3 * N_ATTRIBUTES)
    forward = logits + b * k * (d + N_ATTRIBUTES) + residual * (2 if config.flips.distil else 1)
    return 2.0 * 2.0 * forward


class Drawn:
    """Pixels, maps, labels and evidence of ``n`` images, of the sizes of a configuration."""

    def __init__(self, config: Config, n: int, folder: Path):
        rng = np.random.default_rng(config.seed)
        self.config, self.n = config, n
        side = config.data.size_px
        self.pixels = np.lib.format.open_memmap(
            folder / "pixels.npy", "w+", np.uint8, (n, side, side, 3)
        )
        for i in range(n):
            self.pixels[i] = rng.integers(0, 256, (side, side, 3), np.uint8)
        self.clean = np.arange(n) < max(n // 20, config.train.clean_per_batch)
        self.labels = rng.integers(0, 2, (n, N_ATTRIBUTES)).astype(np.float32)
        self.rng = rng

    def explainer(self, d: int) -> Explainer:
        """With as many atoms as the recipe says, at random places."""
        config = self.config
        basis, flips = config.basis, config.flips
        reconstruction = SparseReconstruction(
            basis.n_atoms,
            d,
            rank=basis.rank,
            dropout=basis.dropout,
            learn_basis=basis.source == "noisy",
            learn_keys=basis.learn_keys,
        )
        reconstruction.start_at(self.rng.normal(size=(basis.n_atoms, d)), non_zeros=10)
        flipper = LabelFlipper(
            N_ATTRIBUTES, d, n_categories=5 * flips.category_bias, hidden=flips.hidden
        )
        explainer = Explainer(reconstruction, flipper, config)
        values = self.rng.integers(0, 2, (basis.n_atoms, N_ATTRIBUTES)).astype(np.float32)
        explainer.label_basis(values, np.arange(basis.n_atoms, dtype=np.int32) + self.n)
        return explainer

    def evidence(self, d: int) -> dict[str, np.ndarray]:
        """What the joint step reads beside the classifier's inputs."""
        clean, rng, shape = self.clean, self.rng, (self.n, N_ATTRIBUTES)
        return {
            "features": rng.normal(size=(self.n, d)).astype(np.float32),
            "given": self.labels,
            "given_term": rng.normal(size=shape).astype(np.float32),
            "classifier": rng.normal(size=shape).astype(np.float32),
            "category": rng.integers(0, 6, self.n).astype(np.int32),
            "image": np.where(clean, np.arange(self.n), -1).astype(np.int32),
            "verified": np.where(clean[:, None], self.labels, -1).astype(np.float32),
            "soft": np.where(clean[:, None], -1, rng.random(shape)).astype(np.float32),
            "is_clean": clean.astype(np.float32),
        }

    def batches(self, steps: int, fields: dict, target: np.ndarray | None = None) -> Batches:
        """Nine of ten from N, the rest from C, in both kinds of step."""
        train, rows = self.config.train, np.arange(self.n)
        clean = train.clean_per_batch
        groups = [(rows[~self.clean], train.batch_size - clean), (rows[self.clean], clean)]
        return Batches(
            groups,
            {name: rows_of(values) for name, values in fields.items()},
            target=None if target is None else rows_of(target),
            steps=steps,
            seed=0,
            stage="benchmark",
        )
