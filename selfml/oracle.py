"""Which basis images a person should label next: the paper's strategy 1, after training.

Notation of :mod:`selfml.flips`. An atom's labels are *verified* where a person gave them for the
image that stands for it (``label_source`` oracle); with ``nearest_clean`` they are those of another
image, and the image that stands for the atom is asked about: the one of the images trained on whose
features are nearest to the atom's (our choice: the paper's atoms are images; one that moved in
training is shown by the image it came to lie next to). A label is *open* where nobody who looked at
that image has given it.

**Expected effect** (our choice). For an open label j of atom k let ``y`` be the present one, ``p``
the probability that a person says yes, and ``D(y')`` how many labels of all images come out
otherwise once it is ``y'`` and all else stays. Then

    E_k = sum over open j of  p D(1) + (1 - p) D(0)        with D(y) = 0

``p`` is what the evidence says of the asked image itself with the atom taken out (an image of its
own atom is made of it, and would only repeat its label); ``D`` is counted, not bounded:
:func:`changed_labels` works out what :class:`selfml.counterfactual.Counterfactuals` would, for all
atoms in one pass. Attributes share no evidence, so ``E_k`` is the expected number of labels that
change when all labels of one atom are given, however they hang together. Effects of several atoms
do not add up, for images lean on several: ``Counterfactuals.what_if`` has that of all at once.
"""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
from scipy import sparse

from selfml import flips
from selfml.counterfactual import ROWS_AT_ONCE, Counterfactuals
from selfml.run import Run

VERIFIED = "oracle"  # label_source of an atom whose labels a person gave
EXPERT_FILE = "expert_labels.csv"
EXPERT_COLUMNS = ["time", "who", "basis_index", "image_index", "attribute_index", "label", "before"]


def expert_labels(run: Run) -> pd.DataFrame:
    """Labels that were given to basis images after training: ``EXPERT_COLUMNS``, oldest first.

    ``label`` and ``before`` are 1, 0 or -1 (not known); no rows in a run as trained.
    """
    file = run.path / EXPERT_FILE
    if not file.exists():
        return pd.DataFrame(columns=EXPERT_COLUMNS)
    rows = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8"), newline="")))
    frame = pd.DataFrame(rows[1:], columns=rows[0])
    numbers = dict.fromkeys(EXPERT_COLUMNS[2:], int)
    return frame[EXPERT_COLUMNS].astype(numbers)


def asked_images(run: Run) -> np.ndarray:
    """image_index of the image that a person is asked about for each atom, (K,) int.

    The image shown where a person labelled it; else the training image nearest to the atom.
    Verified images that were set aside are never asked about: their labels measure.
    """
    basis = run.table("basis")
    asked = basis["image_index"].to_numpy(np.int64).copy()
    other = ((basis["label_source"] != VERIFIED) & (basis["usage"] > 0)).to_numpy()
    if other.any():
        atoms = np.asarray(run.array("basis"), np.float32)[other]
        asked[other] = _nearest(run.array("features"), _trained_on(run), atoms)
    return asked


def _trained_on(run: Run) -> np.ndarray:
    split = run.table("images", ["split"])["split"]
    known = split.isin(["noisy_train", "clean_train"]).to_numpy().copy()
    if run.has("calibration"):
        known[run.table("calibration")["image_index"]] = False
    return np.flatnonzero(known)


def _nearest(features: np.ndarray, rows: np.ndarray, atoms: np.ndarray) -> np.ndarray:
    """Of ``rows``, the one nearest to each atom; the first of equals."""
    best = np.full(len(atoms), np.inf, np.float32)
    found = np.zeros(len(atoms), np.int64)
    half = 0.5 * np.square(atoms).sum(axis=1)
    for start in range(0, len(rows), 4096):
        part = rows[start : start + 4096]
        x = np.asarray(features[part], np.float32)
        distance = 0.5 * np.square(x).sum(axis=1)[:, None] - x @ atoms.T + half
        nearest = distance.argmin(axis=0)
        value = distance[nearest, np.arange(len(atoms))]
        found = np.where(value < best, part[nearest], found)
        best = np.minimum(value, best)
    return found


def open_labels(run: Run, asked: np.ndarray) -> np.ndarray:
    """Labels of atoms in use that nobody has given who looked at the asked image, (K, L) bool.

    Where a person could not tell, and said so, the label is not open.
    """
    basis = run.table("basis")
    verified = (
        (basis["label_source"] == VERIFIED) | (basis["image_index"] == asked)  # nearest of all
    ).to_numpy()
    is_open = ~verified[:, None] | (np.asarray(run.array("basis_labels")) < 0)
    said = expert_labels(run)
    is_open[said["basis_index"], said["attribute_index"]] = False
    return is_open & (basis["usage"] > 0).to_numpy()[:, None]


def chance_of_yes(world: Counterfactuals, atoms: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Probability by full evidence that images have each attribute, without an atom each.

    Parameters
    ----------
    atoms, images : (n,) int
        Which atom is taken out of which image; its share goes to the others, and with none left
        the label score is the prior, as in ``Counterfactuals.what_if``.

    Returns
    -------
    (n, L) float64
    """
    mixed = sparse.coo_matrix(world.mixed[images].astype(np.float64))
    keep = mixed.col != np.asarray(atoms)[mixed.row]
    places = (mixed.row[keep], mixed.col[keep])
    left = sparse.csr_matrix((mixed.data[keep], places), shape=mixed.shape)
    total = np.asarray(left.sum(axis=1)).ravel()
    scale = sparse.diags_array(np.divide(1.0, total, out=np.zeros_like(total), where=total > 0))
    model = world.model
    scores = np.asarray((scale @ left) @ flips.basis_values(world.basis_labels, model.prior))
    scores[total == 0] = model.prior
    terms = flips.evidence(
        model,
        scores,
        np.asarray(world.labels_given[images]),
        world.category_index[images],
        world.classifier[images],
        world.residual[images],
    )
    return flips.sigmoid(terms.score)


def changed_labels(world: Counterfactuals, atoms: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many labels of all images come out otherwise when one label of one atom does.

    Parameters
    ----------
    atoms : (n,) int
        basis_index, each once.
    labels : (n, L) int8
        What each label would be, 1 or 0, one at a time.

    Returns
    -------
    (n, L) int64
        By the deciding evidence: what ``world.what_if(labels={(k, j): label}).changes()`` counts.
    """
    model = world.model
    now = flips.basis_values(world.basis_labels, model.prior)
    step = labels - now[atoms]
    place = np.full(len(now), -1)
    place[atoms] = np.arange(len(atoms))
    strict = world.mode == "strict"
    weight = model.strict_basis_weight if strict else model.basis_weight
    counts = np.zeros(step.shape, np.int64)
    for start in range(0, world.mixed.shape[0], ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        mixed = sparse.coo_matrix(world.mixed[rows].astype(np.float64))
        kept = np.flatnonzero(place[mixed.col] >= 0)
        if not len(kept):
            continue
        scores = flips.label_scores(sparse.csr_matrix(mixed), now)
        given = np.asarray(world.labels_given[rows])
        terms = flips.evidence(
            model, scores, given, world.category_index[rows],
            world.classifier[rows], world.residual[rows],
        )  # fmt: skip
        score = terms.strict_score if strict else terms.score
        rest = score - (terms.strict_basis if strict else terms.basis)
        i, k = mixed.row[kept], place[mixed.col[kept]]
        supposed = scores[i] + mixed.data[kept, None] * step[k]
        then = rest[i] + weight * flips.basis_logit(supposed, model.prior, model.smoothing)
        changed = (given[i] >= 0) & ((then > 0) != (score[i] > 0))
        ones = (np.ones(len(k)), (k, np.arange(len(k))))
        summed = sparse.csr_matrix(ones, shape=(len(step), len(k))) @ changed.astype(np.float64)
        counts += np.rint(summed).astype(np.int64)
    return counts


def label_order(run: Run, world: Counterfactuals) -> pd.DataFrame:
    """The basis images in use, those with open labels first, largest expected effect first.

    Returns
    -------
    DataFrame
        basis_index, image_index and image_id (of the image to look at), label_source, usage, mass,
        n_open (labels), expected_effect (labels of all images), most (the same if every open label
        turned out the other way, one at a time), doubt (attribute_index that adds most to it, -1
        where none does), verified (bool: nothing is open). Verified ones come last, by mass.
    """
    basis = run.table("basis")
    asked = asked_images(run)
    is_open = open_labels(run, asked)
    used = np.flatnonzero(basis["usage"] > 0)
    todo = used[is_open[used].any(axis=1)]
    effect = np.zeros(is_open.shape)
    most = np.zeros(is_open.shape)
    if len(todo):
        chance = chance_of_yes(world, todo, asked[todo])
        for label, likely in ((1, chance), (0, 1 - chance)):
            fixed = np.full((len(todo), is_open.shape[1]), label, np.int8)
            count = changed_labels(world, todo, fixed) * is_open[todo]
            effect[todo] += likely * count
            most[todo] = np.maximum(most[todo], count)
    ids = run.table("images", ["image_id"])["image_id"].to_numpy()
    frame = basis[["basis_index", "label_source", "usage", "mass"]].assign(
        image_index=asked,
        image_id=ids[asked],
        n_open=is_open.sum(axis=1),
        expected_effect=effect.sum(axis=1),
        most=most.sum(axis=1).astype(np.int64),
        doubt=np.where(effect.any(axis=1), effect.argmax(axis=1), -1),
        verified=~is_open.any(axis=1),
    )
    order = ["verified", "expected_effect", "mass"]
    return frame.iloc[used].sort_values(
        order, ascending=[True, False, False], kind="stable", ignore_index=True
    )
