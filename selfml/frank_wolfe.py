"""Pairwise Frank-Wolfe on the simplex, many problems with one quadratic form at a time.

For each row ``b`` of ``cross`` (n, K) it minimises ``c G c - 2 c b`` over the simplex, ``G`` (K, K)
being the Gram matrix of the atoms. A step moves weight from the worst atom in use to the best atom
of all, with an exact line search (Lacoste-Julien & Jaggi 2015). An answer uses few atoms, so that
weights are kept as short lists: what touches all K atoms is reading two rows of G, adding their
difference to the gradient, and finding its least entry.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

_FIRST_SLOTS = 16  # atoms that a row may use before its lists are made longer
_DROP_AT = 0.8  # finished rows are put aside once no more than this share is at work


def pairwise_frank_wolfe(
    gram: NDArray, cross: NDArray, allowed: NDArray, max_iterations: int
) -> sparse.csr_array:
    """Coefficients (n, K) on the simplex, each row within its gap or after its last step.

    Parameters
    ----------
    gram : ndarray (K, K)
        In the precision to compute in: float32 moves half as many bytes.
    cross : ndarray (n, K)
        ``x @ atoms.T``, of the same type.
    allowed : ndarray (n,)
        The Frank-Wolfe gap at which a row is done; as computed here, so it is to be checked.
    max_iterations : int
        Steps of a row.

    Returns
    -------
    scipy.sparse.csr_array (n, K) float64
        Rows do not depend on the rows beside them, but for the rounding of ``cross``.
    """
    state, done = _Rows.starting(gram, cross, allowed), []
    for _ in range(max_iterations):
        best = state.gradient.argmin(axis=1)
        least = state.gradient[state.number, best]
        of_used = np.take_along_axis(state.gradient, state.used, axis=1)
        gap = 2 * (np.einsum("ij,ij->i", state.weight, of_used) - least)
        go = gap > state.allowed
        n_go = int(np.count_nonzero(go))
        if n_go <= _DROP_AT * len(go):
            done.append(state.weights(~go))
            state = state.kept(go)
            best, least, of_used = best[go], least[go], of_used[go]
            go = np.ones(n_go, bool)
        if not n_go:
            break
        state.step(gram, best, least, of_used, go)
    rows, atoms, weights = map(np.concatenate, zip(*done, state.weights(), strict=True))
    keep = weights > 0
    weights = weights[keep].astype(np.float64)
    c = sparse.csr_array((weights, (rows[keep], atoms[keep])), shape=cross.shape)
    c.data /= np.repeat(c.sum(axis=1), np.diff(c.indptr))
    return c


class _Rows:
    """The rows at work: which atoms each uses and how much, and half its gradient.

    ``row`` says which rows of the problem they are, ``number`` counts them.
    """

    def __init__(self, row, used, weight, gradient, allowed, room=None):
        self.row, self.used, self.weight = row, used, weight
        self.gradient, self.allowed = gradient, allowed
        self.number = np.arange(len(row))
        self._room = np.empty((2, *gradient.shape), gradient.dtype) if room is None else room

    @classmethod
    def starting(cls, gram: NDArray, cross: NDArray, allowed: NDArray) -> _Rows:
        """Each at its nearest atom."""
        n = len(cross)
        used = np.zeros((n, _FIRST_SLOTS), np.intp)
        weight = np.zeros((n, _FIRST_SLOTS), cross.dtype)
        used[:, 0] = np.argmin(np.diagonal(gram) - 2 * cross, axis=1)
        weight[:, 0] = 1
        return cls(np.arange(n), used, weight, gram[used[:, 0]] - cross, allowed)

    def weights(self, which=slice(None)) -> tuple[NDArray, NDArray, NDArray]:
        """Row, atom and weight of each slot of some rows."""
        used = self.used[which]
        row = np.repeat(self.row[which], used.shape[1])
        return row, used.ravel(), self.weight[which].ravel()

    def kept(self, which: NDArray) -> _Rows:
        """Some of the rows alone."""
        state = (self.row, self.used, self.weight, self.gradient, self.allowed)
        n = np.count_nonzero(which)
        return _Rows(*(values[which] for values in state), self._room[:, :n])

    def step(
        self, gram: NDArray, best: NDArray, least: NDArray, of_used: NDArray, go: NDArray
    ) -> None:
        """Move weight from the worst atom in use to the best of all, in the rows that ``go``."""
        number, (change, away) = self.number, self._room
        slot = np.where(self.weight > 0, of_used, -np.inf).argmax(axis=1)
        worst, held = self.used[number, slot], self.weight[number, slot]
        np.take(gram, best, axis=0, out=change, mode="clip")  # "clip": straight into `out`
        np.take(gram, worst, axis=0, out=away, mode="clip")
        change -= away
        curvature = change[number, best] - change[number, worst]
        slope = of_used[number, slot] - least
        move = np.where(go, held, 0)
        np.divide(slope, curvature, out=slope, where=curvature > 0)
        np.minimum(move, slope, out=move, where=curvature > 0)
        self.weight[number, slot] = held - move  # exactly zero where all of it moves
        self._give(best, move)
        change *= move[:, None]
        self.gradient += change

    def _give(self, atom: NDArray, share: NDArray) -> None:
        """Add to the weight of an atom of each row, in its slot or in a free one."""
        free = self.weight <= 0
        own = (self.used == atom[:, None]) & ~free
        has = own.any(axis=1)
        if not (has | free.any(axis=1)).all():
            self.used = np.concatenate([self.used, np.zeros_like(self.used)], axis=1)
            self.weight = np.concatenate([self.weight, np.zeros_like(self.weight)], axis=1)
            free = self.weight <= 0
        slot = np.where(has, own.argmax(axis=1), free.argmax(axis=1))
        self.used[self.number, slot] = atom
        self.weight[self.number, slot] += share
