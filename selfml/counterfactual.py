"""What every label would be without a basis image, or with other labels of it.

Notation of :mod:`selfml.flips`. With the atoms ``A`` taken out and ``Y'_B`` for the changed
labels, of every image that leans on an edited atom:

    c'_ik = 0 for k in A, else c_ik / sum of the c_im with m not in A
    s'_i  = c'_i Y'_B, and the prior where no atom is left

as ``selfml.receipts.without_atom`` has it for one label. The basis term follows ``s'``; the
other terms stay (our choice: the classifier and the residual were learned with the basis as it
was, and are not learned again). Images that lean on no edited atom keep every label and are
never touched, so the cost is that of the images that lean on it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
from scipy import sparse

from selfml import flips
from selfml.effects import Effect, FlipIndex, Scores
from selfml.flips import Evidence, EvidenceModel
from selfml.run import Run

ROWS_AT_ONCE = 2048  # what is worked out at once stays in the processor's cache


@dataclass(frozen=True)
class Counterfactuals:
    """A run's evidence, ready to be asked what another basis would make of its labels.

    Attributes
    ----------
    model : EvidenceModel
    mode : {"full", "strict"}
        The evidence that decides.
    leaning : (N, K) CSC float32
        Coefficients by atom: which images lean on it.
    mixed : (N, K) CSR float32
        The same by image: what else it leans on.
    basis_labels : (K, L) int8
        -1 unknown.
    labels_given : (N, L) int8
        -1 unknown; as the next two, may be memory-mapped.
    classifier, residual : (N, L) float32
        Stored terms, in log-odds.
    category_index : (N,) int
        Rows of ``model.llr``.
    flip_index : FlipIndex
        The run's own flips.
    """

    model: EvidenceModel
    mode: str
    leaning: sparse.csc_matrix
    mixed: sparse.csr_matrix
    basis_labels: np.ndarray
    labels_given: np.ndarray
    classifier: np.ndarray
    residual: np.ndarray
    category_index: np.ndarray
    flip_index: FlipIndex

    def images_of(self, basis_index: int) -> np.ndarray:
        """image_index of the images that lean on an atom, ascending, (n,) int.

        Raises
        ------
        ValueError
            When there is no such basis image.
        """
        n_atoms = len(self.basis_labels)
        if not 0 <= basis_index < n_atoms:
            raise ValueError(
                f"basis_index: {basis_index} does not exist; the run has 0 to {n_atoms - 1}"
            )
        start, stop = self.leaning.indptr[[basis_index, basis_index + 1]]
        return self.leaning.indices[start:stop]

    def dependents(self, basis_index: int) -> pd.DataFrame:
        """Every flip of an image that leans on an atom: image_index, attribute_index,
        coefficient (of the image on the atom, above 0)."""
        rows = self.images_of(basis_index)
        place, attribute = self.flip_index.of_images(rows)
        start = self.leaning.indptr[basis_index]
        shares = self.leaning.data[start : start + len(rows)]
        return pd.DataFrame(
            {
                "image_index": rows[place],
                "attribute_index": attribute,
                "coefficient": shares[place],
            }
        )

    def blast_radius(self, basis_index: int) -> tuple[pd.DataFrame, Effect]:
        """:meth:`dependents` with falls (bool: the flip would not be without the atom), and
        all else that taking the atom out would change."""
        effect = self.what_if(taken_out=[basis_index])
        frame = self.dependents(basis_index)
        place = np.searchsorted(effect.image_index, frame["image_index"].to_numpy())
        return frame.assign(falls=effect.falls()[place, frame["attribute_index"]]), effect

    def what_if(
        self,
        taken_out: Iterable[int] = (),
        labels: Mapping[tuple[int, int], int] | None = None,
    ) -> Effect:
        """The effect of taking atoms out and of changing labels of atoms, all at once.

        Parameters
        ----------
        taken_out : iterable of int
            basis_index.
        labels : mapping of (basis_index, attribute_index) to int, optional
            1, 0, or -1 for unknown, which counts as the attribute's prior.

        Raises
        ------
        ValueError
            When an atom or attribute does not exist, or a label is none of the three.
        """
        out, labels = sorted(set(taken_out)), dict(labels or {})
        changed = self._relabelled(labels)
        atoms = sorted({*out, *(k for k, _ in labels)})
        found = [self.images_of(k) for k in atoms]
        rows = np.zeros(0, np.int32)
        if found:
            rows = found[0] if len(found) == 1 else np.unique(np.concatenate(found))
        touched = range(len(self.model.prior)) if out else sorted({j for _, j in labels})
        columns = np.array(touched, np.int64)
        model = _of_attributes(self.model, columns)
        now = flips.basis_values(self.basis_labels[:, columns], model.prior)
        then = flips.basis_values(changed[:, columns], model.prior)
        shape = (len(rows), len(columns))
        effect = Effect(
            rows, columns, np.empty(shape, np.int8), Scores.empty(shape), Scores.empty(shape),
            self.mode,
        )  # fmt: skip
        starts = range(0, len(rows), ROWS_AT_ONCE)
        fill = partial(self._fill, effect, model=model, out=out, values=(now, then))
        parts = [slice(start, start + ROWS_AT_ONCE) for start in starts]
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # no part knows of another
            list(pool.map(fill, parts))
        return effect

    def _fill(
        self,
        effect: Effect,
        part: slice,
        model: EvidenceModel,
        out: list[int],
        values: tuple[np.ndarray, np.ndarray],
    ) -> None:
        """Work out some rows of an effect; ``values`` are Y_B as it is and as supposed."""
        rows, columns = effect.image_index[part], effect.attribute_index
        mixed = self.mixed[rows].astype(np.float64)
        scores = flips.label_scores(mixed, values[0])
        given, classifier, residual = (
            np.asarray(array[rows])[:, columns]
            for array in (self.labels_given, self.classifier, self.residual)
        )
        terms = flips.evidence(
            model, scores, given, self.category_index[rows], classifier, residual
        )
        left = _taken_out(mixed, out)
        supposed = flips.label_scores(left, values[1])
        supposed[np.asarray(left.sum(axis=1)).ravel() == 0] = model.prior
        effect.given[part] = given
        effect.before.put(part, scores, terms)
        effect.after.put(part, supposed, _with_scores(terms, model, supposed))

    def _relabelled(self, labels: Mapping[tuple[int, int], int]) -> np.ndarray:
        """(K, L) basis labels with these changed."""
        changed = np.array(self.basis_labels)
        for (k, j), label in labels.items():
            if not (0 <= k < changed.shape[0] and 0 <= j < changed.shape[1]):
                raise ValueError(
                    f"labels: there is no basis image {k} with an attribute {j}; "
                    f"the run has {changed.shape[0]} and {changed.shape[1]}"
                )
            if label not in (-1, 0, 1):
                raise ValueError(f"labels: must be 1, 0 or -1 for unknown, got {label!r}")
            changed[k, j] = label
        return changed


def _of_attributes(model: EvidenceModel, columns: np.ndarray) -> EvidenceModel:
    """The model of some attributes alone."""
    if np.array_equal(columns, np.arange(len(model.prior))):
        return model
    own = model.strict_category
    names = ("prior", "bias", "basis_weight", "strict_bias", "strict_basis_weight")
    return replace(
        model,
        **{name: getattr(model, name)[columns] for name in names},
        llr=model.llr[:, columns],
        strict_category=None if own is None else own[:, columns],
    )


def _taken_out(mixed: sparse.csr_matrix, out: list[int]) -> sparse.csr_matrix:
    """Coefficients (n, K) without some atoms, what is left of a touched row divided by its sum;
    a row of which nothing is left is empty. Every row has a coefficient to begin with."""
    if not out or not mixed.nnz:
        return mixed
    is_out = np.zeros(mixed.shape[1], bool)
    is_out[out] = True
    gone = is_out[mixed.indices]
    data = np.where(gone, 0.0, mixed.data)
    starts = mixed.indptr[:-1]
    total = np.add.reduceat(data, starts)
    total[~np.logical_or.reduceat(gone, starts) | (total == 0)] = 1.0
    data /= np.repeat(total, np.diff(mixed.indptr))
    return sparse.csr_matrix((data, mixed.indices, mixed.indptr), shape=mixed.shape)


def _with_scores(terms: Evidence, model: EvidenceModel, scores: np.ndarray) -> Evidence:
    """The same evidence with other label scores."""
    basis = flips.basis_logit(scores, model.prior, model.smoothing)
    return replace(
        terms, basis=model.basis_weight * basis, strict_basis=model.strict_basis_weight * basis
    )


def read_counterfactuals(run: Run) -> Counterfactuals:
    """Read what a run's counterfactuals need, from its files alone.

    Coefficients and categories are held in memory; the arrays over all labels stay on disk, and
    only the rows asked for are read.
    """
    table = run.table("coefficients")
    table = table[table["coefficient"] > 0]
    shape = (int(run.info["n_images"]), int(run.info["n_atoms"]))
    places = (table["image_index"].to_numpy(), table["basis_index"].to_numpy())
    mixed = sparse.csr_matrix((table["coefficient"].to_numpy(np.float32), places), shape=shape)
    leaning = mixed.tocsc()
    leaning.sort_indices()
    model = flips.read_evidence_model(run)
    categories = run.table("images", ["category"])["category"]
    keys = run.table("flips", ["image_index", "attribute_index"])
    return Counterfactuals(
        model=model,
        mode=flips.deciding_mode(run),
        leaning=leaning,
        mixed=mixed,
        basis_labels=np.array(run.array("basis_labels")),
        labels_given=run.array("labels_given"),
        classifier=run.array("terms_classifier"),
        residual=run.array("terms_residual"),
        category_index=model.category_index(categories, shape[0]).astype(np.int16),
        flip_index=FlipIndex.build(keys["image_index"], keys["attribute_index"], shape[0]),
    )
