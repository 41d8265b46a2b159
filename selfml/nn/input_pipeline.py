"""Batches that depend only on (seed, stage, step), so that a resumed run sees the same ones."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence

import keras
import numpy as np

from selfml.nn.devices import part_of_batch

# rows of the batch, generator of the step -> array with one row an image
Field = Callable[[np.ndarray, np.random.Generator], np.ndarray]


class ShuffledRows:
    """Rows of a group in an order reshuffled every epoch; the draw of a step needs no history."""

    def __init__(self, indices: np.ndarray, count: int, seed: Sequence[int]):
        if len(indices) == 0:
            raise ValueError("indices: a group of images to draw from must not be empty")
        self.indices = np.asarray(indices)
        self.count = count
        self.seed = list(seed)
        self._epoch, self._order = -1, self.indices

    def _at(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            rng = np.random.default_rng([*self.seed, epoch])
            self._epoch, self._order = epoch, rng.permutation(self.indices)
        return self._order

    def draw(self, step: int) -> np.ndarray:
        """The ``count`` rows of one step."""
        positions = np.arange(step * self.count, (step + 1) * self.count)
        epochs, places = np.divmod(positions, len(self.indices))
        return np.concatenate([self._at(int(e))[places[epochs == e]] for e in np.unique(epochs)])


class Batches(keras.utils.PyDataset):
    """Batches of named fields for ``fit``.

    Parameters
    ----------
    groups : sequence of (indices, count)
        Each batch has ``count`` images of each group, such as 58 of N and 6 of C.
    fields : mapping of str to Field, or one Field
        What the model gets.
    target : Field or None
        The labels, where the model's loss uses ``y``.
    steps, first_step : int
        ``len`` is ``steps - first_step``; item 0 is the batch of ``first_step``.
    seed, stage : int, str
        Together with the step they fix the batch.
    """

    def __init__(
        self,
        groups: Sequence[tuple[np.ndarray, int]],
        fields: Mapping[str, Field] | Field,
        *,
        steps: int,
        seed: int,
        stage: str,
        target: Field | None = None,
        first_step: int = 0,
    ):
        super().__init__()
        self.base = [seed, zlib.crc32(stage.encode())]
        self.groups = [ShuffledRows(i, n, [*self.base, g]) for g, (i, n) in enumerate(groups)]
        self.fields = fields
        self.target = target
        self.steps = steps
        self.first_step = first_step

    def __len__(self) -> int:
        return self.steps - self.first_step

    def __getitem__(self, item: int):
        step = self.first_step + item
        rng = np.random.default_rng([*self.base, 1 << 20, step])
        rows = np.concatenate([group.draw(step) for group in self.groups])
        if isinstance(self.fields, Mapping):
            x = {name: field(rows, rng) for name, field in self.fields.items()}
        else:
            x = self.fields(rows, rng)
        whole = (x,) if self.target is None else (x, self.target(rows, rng))
        at, of = part_of_batch()
        return whole if of == 1 else keras.tree.map_structure(lambda a: np.split(a, of)[at], whole)


def rows_of(array: np.ndarray, dtype=None) -> Field:
    """A field that takes an array's rows."""

    def field(rows: np.ndarray, _rng: np.random.Generator) -> np.ndarray:
        taken = array[rows]
        return taken if dtype is None else taken.astype(dtype)

    return field


def augmented_maps(maps: np.ndarray, fraction: float) -> Field:
    """A field over cached maps (N, 1 + V, h, w, channels): the plain one, or one of V variants.

    A variant is taken with probability ``fraction``, which is what augmenting that share of
    the images in the graph gives, over V fixed draws.
    """
    variants = maps.shape[1] - 1

    def field(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        chosen = np.zeros(len(rows), np.int64)
        if variants:
            hit = rng.random(len(rows)) < fraction
            chosen = np.where(hit, rng.integers(1, variants + 1, len(rows)), 0)
        return maps[rows, chosen]

    return field
