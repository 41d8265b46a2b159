"""What a trained run says of images that it did not train on.

Features come from the extractor as pre-trained, coefficients from the trained C_X or by exact
projection onto the hull of the basis, label scores from these, and the rest of the evidence as in
:mod:`selfml.flips`. The cross-fitted classifier is the one fitted on all clean training images: it
never saw these (:mod:`selfml.crossfit`). Where a label was not given, there is no term of it.

**What is promised of these labels.** Confidence is calibrated by the lines that the run fitted on
images of its own catalogue. No label of an unseen image is ever accepted without a look: what a
run proves it proves of the images that it trained on (:mod:`selfml.trust`), and flips of images
that training did not see at all fare a little worse.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import ops
from scipy import sparse

from selfml import flips, trust
from selfml.calibration import apply_platt
from selfml.categories import category_indicators
from selfml.config import Config, from_toml
from selfml.crossfit import scores_of
from selfml.explain import calibrated, empty_explainer
from selfml.extract import (
    EXTRACTOR_FILE,
    LARGEST_HALF,
    PREDICT_BATCH,
    Part,
    block_weight,
    predict,
    scaled,
)
from selfml.hull import hull_coefficients
from selfml.nn.classifier import AttributeClassifier, build_classifier
from selfml.nn.fitting import jit_choice
from selfml.nn.model import Explainer
from selfml.run import Run, RunError, damaged

COEFFICIENTS = ("trained", "projection")
EXPLAINER_FILE, FEATURES_FILE = "explainer.weights.h5", "features.npz"
MODEL_FILES = (EXTRACTOR_FILE, EXPLAINER_FILE, FEATURES_FILE)
RUN_FILES = ("config.toml", "evidence.json", "basis.npy", "basis_labels.npy", "trust.parquet")
HULL_TOLERANCE = 1e-2  # as for the stored hull distances of training


@dataclass(frozen=True, eq=False)
class Predicted:
    """What is said of n images; everything is rounded as it is stored.

    Attributes
    ----------
    features : (n, d) float32
    coefficients : (n, K) csr float32
        Rows on the simplex.
    scores, classifier, residual : (n, L) float32
        Label scores in 0..1, and two terms of full evidence in log-odds.
    deciding : (n, L) float64
        Log-odds of the evidence that decides in this run.
    corrected, strict : (n, L) int8
        -1 where no label was given.
    confidence : (n, L) float32
        That what the evidence says of a label is right; calibrated where it is a flip.
    hull_distance : (n,) float32
    """

    features: np.ndarray
    coefficients: sparse.csr_matrix
    scores: np.ndarray
    classifier: np.ndarray
    residual: np.ndarray
    deciding: np.ndarray
    corrected: np.ndarray
    strict: np.ndarray
    confidence: np.ndarray
    hull_distance: np.ndarray


def model_folder(run: Run) -> Path:
    """Where the weights of a run are: its own, or of the run that it was derived from.

    Labels of basis images are not read from there, so those given after training count.

    Raises
    ------
    RunError
        Where there are none: a bundled run has none, nor one that an older release trained.
    """
    parent = (run.info.get("parent") or {}).get("path")
    folders = [run.path / "model"] + ([Path(parent) / "model"] if parent else [])
    for folder in folders:
        if all((folder / name).is_file() for name in MODEL_FILES):
            return folder
    missing = [name for name in MODEL_FILES if not (folders[0] / name).is_file()]
    raise RunError(
        f"{run.path}: has no model/{missing[0]}, without which unseen images cannot be looked at; "
        "it was copied without its model, or trained by an older release: train it again"
    )


def fingerprint(run: Run) -> str:
    """SHA-256 of all that decides what a run says of an image."""
    digest = hashlib.sha256()
    folder = model_folder(run)
    files = [folder / name for name in MODEL_FILES] + [run.path / name for name in RUN_FILES]
    for file in files:
        if file.is_file():
            digest.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


class Relabeller:
    """A trained run, loaded once, that is asked about batches of images.

    Parameters
    ----------
    run : Run
        Complete, with its model.
    coefficients : {"trained", "projection"}
        By the trained C_X, or the nearest point of the hull of the basis.
    threads : int
        That measure the distance to the hull.

    Attributes
    ----------
    config : Config
    attributes : list of str
    size_px : int
        Side of the square pixels that are expected.

    Raises
    ------
    RunError, ValueError
        In one line.
    """

    def __init__(self, run: Run, *, coefficients: str = "trained", threads: int = 1):
        if coefficients not in COEFFICIENTS:
            raise ValueError(f"coefficients: must be one of {COEFFICIENTS}, got {coefficients!r}")
        if not run.is_complete:
            raise RunError(f"{run.path}: training has not finished; relabel with a complete run")
        folder = model_folder(run)
        self.config: Config = from_toml(run.text("config.toml"))
        self.attributes = run.attributes
        self.size_px = self.config.data.size_px
        self.projection, self.threads = coefficients == "projection", threads
        self.model = flips.read_evidence_model(run)
        self.mode = flips.deciding_mode(run)
        self.trust = run.table("trust") if run.has("trust") else None
        self.basis = np.asarray(run.array("basis"), np.float32)
        self.values = flips.basis_values(np.array(run.array("basis_labels")), self.model.prior)
        self.saved = _saved(folder / FEATURES_FILE)
        self.has_bands = "bands_mean" in self.saved
        with _policy(self.config):  # parts round their inputs by it, as in training
            classifier = self._classifier(folder)
            explainer = self._explainer(folder)
            self._look = self._looking_part(classifier)
            self._mix = _compiled(
                explainer.reconstruction, lambda x: explainer.reconstruction(x, training=False)
            )
            self._rest = _compiled(explainer.flipper, self._residual_of(explainer))
        weight = explainer.flipper.weight("classifier")
        self._classifier_weight = np.asarray(ops.convert_to_numpy(weight))

    # ------------------------------------------------------------------------------------- loading
    def _classifier(self, folder: Path) -> AttributeClassifier:
        classifier = build_classifier(
            len(self.attributes),
            self.config,
            categories=tuple(self.saved["classifier_categories"]),
            load_weights=False,
        )
        classifier.build((None, self.size_px, self.size_px, 3))
        _load(classifier, folder / EXTRACTOR_FILE)
        return classifier.for_inference()

    def _explainer(self, folder: Path) -> Explainer:
        n_atoms, n_features = self.basis.shape
        explainer = empty_explainer(n_atoms, n_features, self.model, self.config)
        _load(explainer, folder / EXPLAINER_FILE)
        return explainer

    def _looking_part(self, classifier: AttributeClassifier) -> Part:
        """From pixels to head features, pooled maps and, where they are used, means of rows."""
        cached = bool(self.saved["cached"])
        mixed = self.config.train.mixed_precision

        def look(pixels):
            maps = ops.cast(classifier.maps(pixels), "float32")
            if cached:  # training read them rounded: see selfml.extract
                maps = ops.cast(ops.clip(maps, -LARGEST_HALF, LARGEST_HALF), "float16")
                maps = ops.cast(ops.cast(maps, "bfloat16") if mixed else maps, "float32")
            head = ops.cast(classifier.features(maps), "float32")
            blocks = [head, ops.mean(maps, axis=(1, 2))]
            if self.has_bands:
                rows = ops.mean(maps, axis=2)
                blocks.append(ops.reshape(rows, (-1, rows.shape[1] * rows.shape[2])))
            return ops.concatenate(blocks, axis=-1)

        return _compiled(classifier, look)

    def _residual_of(self, explainer: Explainer):
        d, n = self.basis.shape[1], len(self.attributes)

        def residual(x):
            inputs = {"features": x[:, :d], "given": x[:, d : d + n]}
            return explainer.flipper.residual(inputs, x[:, d + n :], False)

        return residual

    # ----------------------------------------------------------------------------------- predicting
    def look(self, pixels: np.ndarray) -> np.ndarray:
        """What the extractor sees in images (n, S, S, 3) uint8: (n, ...) float32 for `predict`."""
        return predict(self._look, pixels, np.arange(len(pixels)))

    def predict(
        self, seen: np.ndarray, given: np.ndarray, categories: Sequence[str | None]
    ) -> Predicted:
        """Everything that is said of n images.

        Parameters
        ----------
        seen : (n, ...) float32
            Of :meth:`look`.
        given : (n, L) int8
            The shop's labels, -1 unknown.
        categories : sequence of str or None
            What the n images are filed under.
        """
        features, described = self._features(seen, categories)
        z = calibrated(
            scores_of(described, self.saved["unseen_weight"], self.saved["unseen_bias"]),
            self.saved["unseen_slope"],
            self.saved["unseen_intercept"],
        )
        c, distance = self._coefficients(features)
        scores = flips.label_scores(c, self.values).astype(np.float32)
        classifier = (self._classifier_weight * z).astype(np.float32)
        joined = np.concatenate([features, given.astype(np.float32), scores], axis=1)
        residual = predict(self._rest, joined, np.arange(len(joined)))
        place = self.model.category_index(categories, len(given))
        terms = flips.evidence(self.model, scores, given, place, classifier, residual)
        deciding = terms.score if self.mode == "full" else terms.strict_score
        return Predicted(
            features=features,
            coefficients=c,
            scores=scores,
            classifier=classifier,
            residual=residual,
            deciding=deciding,
            corrected=flips.corrected_labels(given, deciding),
            strict=flips.corrected_labels(given, terms.strict_score),
            confidence=self._confidence(given, deciding),
            hull_distance=distance,
        )

    def _features(
        self, seen: np.ndarray, categories: Sequence[str | None]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Features (n, d), and what the cross-fitted classifier sees of them and the bands."""
        known, d = self.saved, self.config.head.d
        n_bands = len(known["bands_mean"]) if self.has_bands else 0
        end = seen.shape[1] - n_bands
        blocks = [seen[:, :d], seen[:, d:end]][: 1 if str(known["kind"]) == "head" else 2]
        parts, start = [], 0
        for block in blocks:
            own = slice(start, start := start + block.shape[1])
            weight = block_weight(blocks, block)
            parts.append(scaled(block, known["mean"][own], known["scale"][own], weight))
        if "category_weight" in known:
            filed = category_indicators(categories, known["categories"], known["category_share"])
            parts.append((known["category_weight"] * filed).astype(np.float32))
        features = np.concatenate(parts, axis=1)
        if not n_bands:
            return features, features
        weight = self.config.flips.bands_weight * np.sqrt(features.shape[1] / n_bands)
        bands = scaled(seen[:, end:], known["bands_mean"], known["bands_scale"], weight)
        return features, np.concatenate([features, bands], axis=1)

    def _coefficients(self, features: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
        hull = hull_coefficients(
            features, self.basis, tolerance=HULL_TOLERANCE, threads=self.threads
        )
        distance = hull.hull_distance.astype(np.float32)
        if self.projection:
            return sparse.csr_matrix(hull.coefficients.astype(np.float32)), distance
        return sparse.csr_matrix(predict(self._mix, features, np.arange(len(features)))), distance

    def _confidence(self, given: np.ndarray, deciding: np.ndarray) -> np.ndarray:
        strength = np.abs(deciding)
        confidence = flips.sigmoid(strength)
        if self.trust is not None:
            said = deciding > 0
            flipped = (given >= 0) & (said != (given == 1))
            for row in self.trust.itertuples():
                own = flipped & (said == bool(trust.DIRECTIONS[row.direction]))
                confidence[own] = apply_platt(strength[own], row.slope, row.intercept)
        return confidence.astype(np.float32)


@contextmanager
def _policy(config: Config) -> Iterator[None]:
    """The precision that a run was trained in, within it."""
    before = keras.mixed_precision.dtype_policy()
    policy = "mixed_bfloat16" if config.train.mixed_precision else "float32"
    keras.mixed_precision.set_global_policy(policy)
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def _compiled(of: keras.layers.Layer, function) -> Part:
    part = Part(of, function)
    part.compile(jit_compile=jit_choice())
    return part


def _saved(file: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(file) as stored:
            known = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError) as error:
        raise damaged(file, error) from error
    if "unseen_weight" not in known:
        raise RunError(f"{file}: was trained by an older release; train it again")
    return known


def _load(model: keras.Model, file: Path) -> None:
    try:
        model.load_weights(file)
    except (OSError, ValueError, KeyError) as error:
        raise damaged(file, error) from error


__all__ = ["COEFFICIENTS", "PREDICT_BATCH", "Predicted", "Relabeller", "fingerprint"]
