"""t-SNE and UMAP of the coefficients c_i, computed once and stored in the run.

Both embed the square roots of the coefficients: the Euclidean distance of those is (up to a
factor) the Hellinger distance of the coefficients, the natural one between points of a simplex
(our choice). Identical rows, such as images that all rest on one atom, are kept apart by a
seeded jitter far below any real distance. Importing umap imports TensorFlow where it is
installed, so maps are computed while training or by ``selfml map``, never while browsing.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from scipy import sparse

from selfml.progress import Advance, Reporter
from selfml.run import Run, RunWriter

JITTER = 1e-3
PERPLEXITY = 30.0
N_NEIGHBORS = 15


class MapsUnavailable(ValueError):
    """openTSNE or umap-learn is not installed (one line)."""


def embedding_input(coefficients: sparse.csr_matrix, seed: int) -> np.ndarray:
    """sqrt(c) with jitter, (N, K) float32; atoms that nothing uses are left out."""
    used = np.flatnonzero(coefficients.max(axis=0).toarray().reshape(-1) > 0)
    dense = np.sqrt(coefficients[:, used].toarray().astype(np.float32))
    rng = np.random.default_rng(seed)
    return dense + JITTER * rng.standard_normal(dense.shape, dtype=np.float32)


def tsne_map(points: np.ndarray, seed: int, reporter: Reporter) -> np.ndarray:
    """(N, 2) float32 by openTSNE; deterministic for a seed."""
    try:
        from openTSNE import TSNE
    except ImportError as error:
        raise MapsUnavailable("t-SNE needs openTSNE: pip install 'selfml[train]'") from error
    perplexity = min(PERPLEXITY, max((len(points) - 1) / 3, 2.0))
    with reporter.task("t-SNE", 750) as advance:
        done = 0

        def step(_iteration, _error, _embedding):
            nonlocal done
            done += 50
            advance(done)

        tsne = TSNE(
            perplexity=perplexity,
            random_state=seed,
            n_jobs=-1,
            callbacks=step,
            callbacks_every_iters=50,
        )
        return np.asarray(tsne.fit(points), np.float32)


def umap_map(points: np.ndarray, seed: int, reporter: Reporter) -> np.ndarray:
    """(N, 2) float32 by umap-learn; deterministic for a seed, which makes it use one thread."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import umap
        except ImportError as error:
            raise MapsUnavailable("UMAP needs umap-learn: pip install 'selfml[train]'") from error
        neighbours = min(N_NEIGHBORS, len(points) - 1)
        reporter.say("UMAP: one thread, loading and neighbours first")
        with reporter.task("UMAP", 1) as advance:
            # Every epoch, however quick: how often it is said is the reporter's to choose.
            shown = {"file": _Epochs(advance), "bar_format": "{n}/{total}", "disable": False}
            shown |= {"mininterval": 0, "miniters": 1}
            found = umap.UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1, tqdm_kwds=shown)
            return np.asarray(found.fit_transform(points), np.float32)


class _Epochs:
    """The file that umap-learn's progress bar writes "\\rdone/total" to."""

    def __init__(self, advance: Advance):
        self.advance = advance

    def write(self, text: str) -> None:
        """Pass a position on; whatever else a bar writes is nothing to us."""
        done, slash, total = text.strip().partition("/")
        if slash and done.isdigit() and total.isdigit():
            self.advance(int(done), int(total))

    def flush(self) -> None:
        """A bar asks for it."""


def write_maps(run: Run, *, seed: int = 0, max_images: int = 100_000, reporter: Reporter) -> int:
    """Compute both maps and store them in ``images.parquet``; returns the images mapped.

    Beyond ``max_images`` a seeded sample is mapped, with every image shown for an atom; the
    others have no position.
    """
    coefficients = run.coefficients()
    n = coefficients.shape[0]
    rows = np.arange(n)
    if n > max_images:
        atoms = np.unique(run.table("basis", ["image_index"])["image_index"].to_numpy())
        rng = np.random.default_rng(seed)
        others = np.setdiff1d(rows, atoms)
        count = max(max_images - len(atoms), 0)
        rows = np.sort(np.r_[atoms, rng.choice(others, count, replace=False)])
    points = embedding_input(coefficients[rows], seed)
    images = run.table("images")
    for name, positions in (
        ("tsne", tsne_map(points, seed, reporter)),
        ("umap", umap_map(points, seed, reporter)),
    ):
        for axis, values in zip("xy", positions.T, strict=True):
            column = pd.Series(np.nan, index=images.index, dtype="float32")
            column.iloc[rows] = values
            images[f"map_{name}_{axis}"] = column
    RunWriter(run.path).write_table("images", images)
    return len(rows)
