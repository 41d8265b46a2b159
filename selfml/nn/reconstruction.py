"""Explainable reconstruction: x~ = X_B^T c with c on the simplex and exactly sparse.

Notation (axes: B images, K atoms, d features): ``x`` features, ``c`` coefficients, ``X_B``
the basis (K, d), ``X_S`` the sampled images' features it starts at, ``C_X`` the layer that
regresses c from x (paper section 2). How convexity is enforced is open in the paper; we use
sparsemax (Martins and Astudillo 2016).
"""

from __future__ import annotations

import keras
import numpy as np
from keras import ops

NEVER = -1e9
# Root mean square of the stored kernel. What multiplies x is the kernel times a fixed gain, so
# that a step of Adam (about the learning rate, whatever the gradient) is a small part of a
# weight: with d = 1536 the true weights are near 1e-3, and steps of 1e-3 on those drive c to one
# atom within a few steps, where sparsemax has no gradient left to come back by.
KERNEL_RMS = 0.1


def sparsemax(logits):
    """Projection of each row of (B, K) logits onto the simplex, in float32.

    Exactly sparse, non-negative, rows sum to one. ``keras.activations.sparsemax`` is wrong up
    to 3.15.1 ([.5, .5] gives [.25, .25]), and bfloat16 gives row sums of .97 to 1.04; so this
    is our own, always in float32. Logits one or more below the row's maximum are never in the
    support, which is why clipping there changes nothing and keeps the sums exact.
    """
    z = ops.cast(logits, "float32")
    z = ops.maximum(z - ops.max(z, axis=-1, keepdims=True), -1.0)
    # Which atoms are in the support has no gradient, and the threshold is a mean over them.
    support = _support(ops.stop_gradient(z))
    return ops.maximum(z - _threshold(z, support), 0.0)


def _threshold(z, support):
    """(B, 1) what is taken off ``z`` so that the atoms of ``support`` sum to one."""
    size = ops.sum(support, axis=-1, keepdims=True)
    return (ops.sum(z * support, axis=-1, keepdims=True) - 1.0) / size


def _support(z):
    """(B, K) 1 where sparsemax of ``z``, at most 0 and cut at -1, is above zero; else 0.

    Michelot (1986): atoms at or below the threshold of those that are left are left out, until
    none is. Each round only raises the threshold, so that it ends: after 2 to 10 rounds of normal
    logits of 50 to 5,000 atoms. On two cores a sort of all atoms would cost more than all the rest.
    """

    def leave_out(support, _):
        left = support * ops.cast(z > _threshold(z, support), "float32")
        return left, ops.any(ops.not_equal(left, support))

    support = ops.cast(z > -1.0, "float32")
    start = support, ops.convert_to_tensor(True, dtype="bool")
    return ops.stop_gradient(ops.while_loop(lambda _, go_on: go_on, leave_out, start)[0])


@keras.saving.register_keras_serializable(package="selfml")
class SparseReconstruction(keras.layers.Layer):
    """Coefficients of images over a basis, and the features they reconstruct.

    Parameters
    ----------
    n_atoms, n_features : int
        K and d.
    rank : int
        0: linear ``c = sparsemax(C_X x + b)`` as in the paper. Above 0: ``c = sparsemax(-||P x
        - P X_B||^2 + b)`` with a learned projection P of ``rank`` dimensions (our choice).
    dropout : float
        On the input of the projection or of C_X.
    learn_basis : bool
        Whether X_B moves (paper) or stays at the images it was taken from.
    learn_keys : bool
        With a ``rank``: each atom has a key K_b that starts at zero and is added to its place,
        ``c = sparsemax(-||P x - P x_b - K_b||^2 + b)`` (our choice).

    Notes
    -----
    Call with features (B, d) and optionally ``blocked`` (B, K) bool: atoms that must not be used.
    An image that is itself an atom would else be handed its own label when the flipping module
    is fitted on the clean set. Computes in float32 under any policy.
    """

    def __init__(
        self,
        n_atoms,
        n_features,
        *,
        rank=0,
        dropout=0.0,
        learn_basis=True,
        learn_keys=False,
        **kwargs,
    ):
        kwargs["dtype"] = "float32"
        super().__init__(**kwargs)
        self.n_atoms = n_atoms
        self.n_features = n_features
        self.rank = rank
        self.dropout = dropout
        self.learn_basis = learn_basis
        self.learn_keys = bool(learn_keys and rank)
        self.drop = keras.layers.Dropout(dropout, dtype="float32")

    def build(self, input_shape):
        shape = (self.n_atoms, self.n_features)
        self.basis = self.add_weight(
            name="basis", shape=shape, initializer="zeros", trainable=self.learn_basis
        )
        self.anchor = self.add_weight(
            name="anchor", shape=shape, initializer="zeros", trainable=False
        )
        width = self.rank or self.n_atoms
        self.kernel = self.add_weight(name="kernel", shape=(self.n_features, width))
        self.gain = self.add_weight(name="gain", shape=(), initializer="ones", trainable=False)
        self.offset = self.add_weight(name="offset", shape=(self.n_atoms,), initializer="zeros")
        if self.learn_keys:
            self.keys = self.add_weight(
                name="keys", shape=(self.n_atoms, self.rank), initializer="zeros"
            )
        self.built = True

    def start_at(self, sample: np.ndarray, *, non_zeros: float = 6.0, seed: int = 0) -> None:
        """Set X_B = X_S = ``sample`` (K, d) and C_X so that c begins as nearest-atom attention.

        The scale is set so that about ``non_zeros`` atoms share an image of the sample.
        """
        if not self.built:
            self.build((None, self.n_features))
        sample = np.asarray(sample, np.float64)  # else the start depends on the BLAS's threads
        self.basis.assign(sample.astype(np.float32))
        self.anchor.assign(sample.astype(np.float32))
        rng = np.random.default_rng(seed)
        if self.rank:
            projection = principal_directions(sample, self.rank, rng)
            distances = _squared_distances(sample @ projection)
            scale = 1.0 / max(_spread(distances, non_zeros), 1e-12)
            self._set_kernel(projection * np.sqrt(scale))
            self.offset.assign(np.zeros(self.n_atoms, np.float32))
        else:
            scale = 1.0 / max(_spread(_squared_distances(sample), non_zeros), 1e-12)
            self._set_kernel(2.0 * scale * sample.T)
            self.offset.assign((-scale * np.square(sample).sum(1)).astype(np.float32))

    def _set_kernel(self, kernel: np.ndarray) -> None:
        gain = max(float(np.sqrt(np.mean(np.square(kernel)))), 1e-12) / KERNEL_RMS
        self.gain.assign(gain)
        self.kernel.assign((kernel / gain).astype(np.float32))

    def logits(self, x, training=False):
        """(B, K) affinities before sparsemax."""
        x = self.drop(ops.cast(x, "float32"), training=training)
        kernel = self.kernel * self.gain
        z = ops.matmul(x, kernel)
        if not self.rank:
            return z + self.offset
        atoms = ops.matmul(self.basis, kernel)
        if self.learn_keys:
            atoms = atoms + self.keys
        squares = ops.sum(ops.square(atoms), axis=1) - 2.0 * ops.matmul(z, ops.transpose(atoms))
        return self.offset - squares - ops.sum(ops.square(z), axis=1, keepdims=True)

    def call(self, x, blocked=None, training=False):
        z = self.logits(x, training=training)
        if blocked is not None:
            z = z + NEVER * ops.cast(blocked, "float32")
        return sparsemax(z)

    def reconstruct(self, c):
        """x~ (B, d) of coefficients (B, K)."""
        return ops.matmul(c, self.basis)

    def get_config(self):
        names = ("n_atoms", "n_features", "rank", "dropout", "learn_basis", "learn_keys")
        config = super().get_config()
        config.pop("dtype")
        return {**config, **{name: getattr(self, name) for name in names}}


def principal_directions(sample: np.ndarray, rank: int, rng: np.random.Generator) -> np.ndarray:
    """(d, rank) leading right singular vectors of the centred sample; random beyond its rank."""
    _, _, directions = np.linalg.svd(sample - sample.mean(0), full_matrices=False)
    found = directions[:rank].T
    missing = rank - found.shape[1]
    if missing > 0:
        extra = rng.normal(size=(sample.shape[1], missing)) / np.sqrt(sample.shape[1])
        found = np.concatenate([found, extra], axis=1)
    return np.round(found, 6)  # else its last bits depend on the BLAS's threads


def _squared_distances(points: np.ndarray) -> np.ndarray:
    squares = np.square(points).sum(1)
    return np.maximum(squares[:, None] + squares - 2.0 * points @ points.T, 0.0)


def _spread(distances: np.ndarray, non_zeros: float) -> float:
    """Typical difference between an atom's nearest and its ``non_zeros``-th other atom."""
    ordered = np.sort(distances, axis=1)
    last = min(int(non_zeros), len(distances) - 1)
    return float(np.mean(ordered[:, last] - ordered[:, min(1, last)])) or float(distances.mean())
