"""Label 40 images, correct 60,000: the paper's strategy 1 on a drawn catalogue of known truth.

    python -m tests.benchmarks.oracle_labelling [FOLDER]

60,000 images mixed from 40 of 1,000 basis images, 31 attributes, the shop's labels as sparse as the
paper's. The basis images have the labels of other images: three in ten are wrong, one in ten is not
known. A person labels the 40, as the dashboard has it: order, preview, save.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from dashboard.frames.oracle import changed_cells, preview
from selfml import flips
from selfml.counterfactual import Counterfactuals, read_counterfactuals
from selfml.derived import ExpertLabels, Relabelled, write_relabelled
from selfml.flips import EvidenceModel
from selfml.oracle import label_order
from selfml.run import Run, RunWriter
from tests.evidence_cases import blank

N_FEATURES = 32
CLEAN = 0.05  # share of verified images that the basis images have their labels from
KEPT, INVENTED = (
    0.37,
    0.005,
)  # noted of true labels, and of others (paper: 1.28 of 3.40)
WRONG, UNKNOWN = 0.3, 0.1  # of the basis images' labels
PREVIEWS = 5


@dataclass(frozen=True)
class Catalogue:
    """What is drawn: N images, K atoms of which the first ``n_used`` are in use."""

    run: Run
    truth: np.ndarray  # (N, L)
    right: np.ndarray  # (K, L), the labels that a person would give
    n_used: int


@dataclass(frozen=True)
class Outcome:
    """What labelling was worth; accuracies are shares of all labels that the shop gave."""

    done: Relabelled
    given: float
    before: float
    after: float
    n_mended: int  # wrong before, right after
    n_images: int  # with a label that was mended
    n_spoilt: int
    preview_ms: list[float]
    n_previewed: int
    order_s: float
    save_s: float


def _mixtures(rng: np.random.Generator, n_images: int, n_atoms: int, n_used: int) -> np.ndarray:
    """(N, K) dense; five atoms an image, one of them leading; image k < n_used is atom k alone.

    Some atoms are used ten times as often as others.
    """
    popular = np.linspace(0, np.log(10), n_used) + rng.gumbel(size=(n_images, n_used))
    chosen = (-popular).argsort(axis=1)[:, :5]
    shares = rng.dirichlet([4.0, 1.0, 1.0, 0.5, 0.5], n_images)
    mixed = np.zeros((n_images, n_atoms), np.float32)
    np.put_along_axis(mixed, chosen, shares.astype(np.float32), axis=1)
    own = np.arange(n_used)
    mixed[own] = 0
    mixed[own, own] = 1
    return mixed / mixed.sum(axis=1, keepdims=True)


def build(
    path: Path, n_images: int, n_atoms: int, n_used: int, n_attributes: int, seed: int = 0
) -> Catalogue:
    """Draw a catalogue and write its run, with wrong and missing labels of its basis images."""
    rng = np.random.default_rng(seed)
    mixed = _mixtures(rng, n_images, n_atoms, n_used)
    right = (rng.random((n_atoms, n_attributes)) < 0.35).astype(np.int8)
    noise = rng.normal(scale=0.1, size=(n_images, n_attributes))
    truth = (mixed @ right + noise > 0.5).astype(np.int8)
    truth[:n_used] = right[:n_used]
    chance = np.where(truth == 1, KEPT, INVENTED)
    given = (rng.random(truth.shape) < chance).astype(np.int8)
    given[rng.random(truth.shape) < 0.03] = -1
    wrong, unknown = rng.random(right.shape) < WRONG, rng.random(right.shape) < UNKNOWN
    labels = np.where(unknown, -1, np.where(wrong, 1 - right, right)).astype(np.int8)
    classifier = (0.8 * (2 * truth - 1) + rng.normal(scale=1.2, size=truth.shape)).astype("f4")
    ones = np.ones(n_attributes)
    llr = [np.log((1 - KEPT) / (1 - INVENTED)) * ones, np.log(KEPT / INVENTED) * ones]
    model = EvidenceModel(
        prior=np.clip(truth.mean(axis=0), 0.02, 0.98),
        smoothing=0.1,
        bias=0 * ones,
        basis_weight=1.5 * ones,
        strict_bias=0 * ones,
        strict_basis_weight=1.8 * ones,
        llr=np.stack([np.stack(llr, axis=1)]),
    )
    points = rng.normal(size=(n_atoms, N_FEATURES))
    features = mixed @ points + rng.normal(scale=0.05, size=(n_images, N_FEATURES))
    run = _write(path, mixed, labels, given, truth, classifier, model, (features, points), n_used)
    return Catalogue(run, truth, right, n_used)


def _write(
    path: Path,
    mixed: np.ndarray,
    labels: np.ndarray,
    given: np.ndarray,
    truth: np.ndarray,
    classifier: np.ndarray,
    model: EvidenceModel,
    places: tuple[np.ndarray, np.ndarray],
    n_used: int,
) -> Run:
    n_images, n_atoms = mixed.shape
    writer = RunWriter(path)
    is_clean = np.arange(n_images) >= (1 - CLEAN) * n_images
    images = blank("images", n_images).assign(
        image_index=np.arange(n_images),
        image_id=[f"{i:06d}.jpg" for i in range(n_images)],
        split=np.where(is_clean, "clean_train", "noisy_train"),
        category=None,
    )
    shown = np.flatnonzero(is_clean)[np.arange(n_atoms) % is_clean.sum()]
    basis = blank("basis", n_atoms).assign(
        basis_index=np.arange(n_atoms),
        image_index=shown,
        image_id=images["image_id"].to_numpy()[shown],
        label_source="nearest_clean",
        distance=1.0,
        usage=(mixed > 0).sum(axis=0),
        mass=mixed.sum(axis=0),
    )
    i, k = np.nonzero(mixed)
    coefficients = {"image_index": i, "basis_index": k, "coefficient": mixed[i, k]}
    n_attributes = labels.shape[1]
    names = [f"attribute {j}" for j in range(n_attributes)]
    attributes = blank("attributes", n_attributes)
    attributes = attributes.assign(attribute_index=np.arange(n_attributes), name=names)
    residual = np.zeros(given.shape, np.float32)
    scores = flips.label_scores(sparse.csr_matrix(mixed), flips.basis_values(labels, model.prior))
    rows = np.zeros(n_images, int)
    terms = flips.evidence(model, scores, given, rows, classifier, residual)
    tables = {
        "images": images,
        "basis": basis,
        "attributes": attributes,
        "coefficients": pd.DataFrame(coefficients),
        "flips": flips.flips_frame(given, terms, scores, np.full_like(given, -1)),
    }
    for name, table in tables.items():
        writer.write_table(name, table)
    arrays = {
        "basis_labels": labels,
        "label_scores": scores,
        "labels_given": given,
        "labels_true": np.where(is_clean[:, None], truth, -1),
        "labels_corrected": flips.corrected_labels(given, terms.score),
        "labels_strict": flips.corrected_labels(given, terms.strict_score),
        "terms_classifier": classifier,
        "terms_residual": residual,
        "features": places[0],
        "basis": places[1],
    }
    for name, array in arrays.items():
        writer.write_array(name, array)
    writer.write_text("evidence.json", model.to_json())
    sizes = {"n_images": n_images, "n_atoms": n_atoms, "n_attributes": n_attributes}
    writer.update(status="complete", seed=0, **sizes, n_features=places[0].shape[1])
    return Run(path)


def label_all(of: Catalogue, out: Path) -> Outcome:
    """Label every basis image in use, as the order has them, and save."""
    start = time.perf_counter()
    world = read_counterfactuals(of.run)
    order = label_order(of.run, world)
    order_s = time.perf_counter() - start
    todo = order[~order["verified"]]
    atoms = todo["basis_index"].to_numpy()
    # a person looks at the image that is shown, and knows its labels
    answers = of.truth[todo["image_index"].to_numpy()]
    rows = {int(k): tuple(row.tolist()) for k, row in zip(atoms, answers, strict=True)}
    times = []
    for _ in range(PREVIEWS):
        start = time.perf_counter()
        shown = preview(of.run, world, rows)
        times.append(1000 * (time.perf_counter() - start))
    start = time.perf_counter()
    done = write_relabelled(of.run, ExpertLabels(atoms, answers), out, who="benchmark")
    save_s = time.perf_counter() - start
    old, new = (np.array(run.array("labels_corrected")) for run in (of.run, Run(out)))
    known = of.run.array("labels_given") >= 0
    was, now = (old == of.truth)[known], (new == of.truth)[known]
    given = (np.array(of.run.array("labels_given")) == of.truth)[known]
    accuracy = given.mean(), was.mean(), now.mean()
    mended, spoilt = int((~was & now).sum()), int((was & ~now).sum())
    images = len(np.unique(np.nonzero(known)[0][~was & now]))
    return Outcome(done, *accuracy, mended, images, spoilt, times, shown.n_changed, order_s, save_s)


def by_number(of: Catalogue, sizes: list[int], draws: int = 5) -> pd.DataFrame:
    """Wrong labels left after labelling some basis images only, in this order and at random.

    Returns
    -------
    DataFrame
        n, ordered, random (mean over draws): wrong labels among those that the shop gave.
    """
    world = read_counterfactuals(of.run)
    order = label_order(of.run, world)
    todo = order[~order["verified"]]
    image = dict(zip(todo["basis_index"], todo["image_index"], strict=True))
    atoms = todo["basis_index"].to_numpy()
    given = np.array(of.run.array("labels_given"))
    wrong = ((np.array(of.run.array("labels_corrected")) != of.truth) & (given >= 0)).sum()
    rng = np.random.default_rng(3)
    rows = []
    for n in sizes:
        left = [wrong + _change(of, world, atoms[:n], image)]
        left += [
            wrong + _change(of, world, rng.permutation(atoms)[:n], image) for _ in range(draws)
        ]
        rows.append((n, int(left[0]), float(np.mean(left[1:]))))
    return pd.DataFrame(rows, columns=["n", "ordered", "random"])


def _change(of: Catalogue, world: Counterfactuals, atoms: np.ndarray, image: dict[int, int]) -> int:
    """By how many the wrong labels change when these atoms are labelled."""
    rows = {int(k): of.truth[image[k]].tolist() for k in atoms}
    changes = world.what_if(labels=changed_cells(world.basis_labels, rows)).changes()
    truth = of.truth[changes["image_index"], changes["attribute_index"]]
    after = np.where(changes["falls"], changes["given"], 1 - changes["given"])
    return int((after != truth).sum() - (after == truth).sum())


def main(folder: Path) -> None:
    """Print all figures."""
    print(f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f} at the start")
    of = build(folder / "run", 60_000, 1_000, 40, 31)
    n, n_attributes = of.truth.shape
    print(f"{n:,} images, 1,000 basis images, {of.n_used} in use, {n_attributes} attributes")
    result = label_all(of, folder / "labelled")
    p50, p95 = np.percentile(result.preview_ms, [50, 95])
    done = result.done
    print(f"  order of {of.n_used} basis images, all read: {result.order_s:.2f} s")
    print(f"  preview of all {of.n_used}: p50 {p50:.0f} ms, p95 {p95:.0f} ms")
    print(f"  save as a new run: {result.save_s:.2f} s")
    print(f"  {done.n_basis_images} basis images labelled, {done.n_labels} of their labels changed")
    print(
        f"  {done.n_changed:,} labels of images come out otherwise ({done.n_new:,} new flips, "
        f"{done.n_gone:,} gone); the preview said {result.n_previewed:,}"
    )
    print(
        f"  {result.n_mended:,} wrong labels of {result.n_images:,} images made right, "
        f"{result.n_spoilt:,} right ones wrong"
    )
    print(
        f"  right labels: {100 * result.given:.2f} % as given, {100 * result.before:.2f} % "
        f"corrected before, {100 * result.after:.2f} % after"
    )
    print("  wrong labels left, by number of basis images labelled:")
    for row in by_number(of, [0, 5, 10, 20, 40]).itertuples():
        print(f"    {row.n:3d}: {row.ordered:9,} in this order, {row.random:11,.0f} at random")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
