"""What the explainer knows of a dataset, and how it is written into the run."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from keras import ops
from scipy import sparse

from selfml import flips, trust
from selfml.basis import BasisLabels
from selfml.coverage import coverage_cut, is_covered
from selfml.extract import Part, predict
from selfml.flips import EvidenceModel
from selfml.hull import hull_coefficients
from selfml.nn.fitting import Session
from selfml.nn.input_pipeline import Field, rows_of
from selfml.nn.model import Explainer
from selfml.run import Run
from selfml.training_data import TrainingData

MONITOR_IMAGES = 1000
HULL_ROWS = 1_024  # images whose distance a processor measures between two looks at Ctrl-C


@dataclass
class Explained:
    """Inputs of the evidence for all images, and the explainer that weighs them.

    Attributes
    ----------
    features : (N, d) float32
    classifier : (N, L) float32
        Cross-fitted, Platt-scaled logits z.
    given_term : (N, L) float32
        Log-likelihood ratios of the given labels.
    soft : (N, L) float32
        What z and the given label say of images of N; -1 for clean training images.
    model : EvidenceModel
        Priors and rates; the trained weights are filled in by :meth:`evidence_model`.
    unseen : dict of str to array
        The classifier that gives z of images that are not clean training ones: ``unseen_weight``
        (d', L), ``unseen_bias``, ``unseen_slope``, ``unseen_intercept`` (L,).
    """

    features: np.ndarray
    classifier: np.ndarray
    given_term: np.ndarray
    soft: np.ndarray
    model: EvidenceModel
    explainer: Explainer | None = None
    basis_labels: BasisLabels | None = None
    unseen: dict[str, np.ndarray] = field(default_factory=dict)

    def fields(self, data: TrainingData) -> dict[str, Field]:
        """What an explainer's batch consists of."""
        image = np.full(data.n_images, -1, np.int32)
        image[data.splits.clean_train] = data.splits.clean_train
        return {
            "features": rows_of(self.features),
            "given": rows_of(data.given, np.float32),
            "given_term": rows_of(self.given_term),
            "classifier": rows_of(self.classifier),
            "image": rows_of(image),
            "verified": rows_of(data.known, np.float32),
            "soft": rows_of(self.soft),
            "category": rows_of(self.category_index(data)),
        }

    def category_index(self, data: TrainingData) -> np.ndarray:
        """Row of the evidence model's tables for each image, (N,) int32."""
        return self.model.category_index(data.dataset.categories, data.n_images).astype(np.int32)

    def label_explainer(self) -> None:
        """Give the explainer Y_B and the prior."""
        values = flips.basis_values(self.basis_labels.labels, self.model.prior)
        self.explainer.label_basis(
            values.astype(np.float32), self.basis_labels.image_index.astype(np.int32)
        )
        self.explainer.flipper.prior.assign(self.model.prior.astype(np.float32))

    def coefficients(self, rows: np.ndarray) -> sparse.csr_matrix:
        """c of images, (len(rows), K) float32; an atom's own image may use it."""
        reconstruction = self.explainer.reconstruction
        part = Part(reconstruction, lambda x: reconstruction(x, training=False))
        found = []
        for start in range(0, len(rows), 8192):
            dense = predict(part, self.features, rows[start : start + 8192])
            found.append(sparse.csr_matrix(dense))
        return sparse.vstack(found, format="csr")

    def evidence_model(self) -> EvidenceModel:
        """The evidence model with the trained weights, in float64."""
        flipper = self.explainer.flipper

        def number(value) -> np.ndarray:
            return np.asarray(ops.convert_to_numpy(value), np.float64)

        own = None
        if flipper.n_categories:
            rows = number(flipper.category_bias)
            own = np.concatenate([np.zeros_like(rows[:1]), rows])
        return replace(
            self.model,
            smoothing=float(flipper.smoothing),
            bias=number(flipper.bias),
            basis_weight=number(flipper.weight("basis")),
            strict_bias=number(flipper.strict_bias),
            strict_basis_weight=number(flipper.weight("strict_basis")),
            strict_category=own,
        )

    def evidence(
        self, data: TrainingData, coefficients: sparse.csr_matrix, rows: np.ndarray
    ) -> tuple[flips.Evidence, np.ndarray]:
        """Log-odds terms and label scores of images."""
        model = self.evidence_model()
        values = flips.basis_values(self.basis_labels.labels, model.prior)
        scores = flips.label_scores(coefficients, values)
        flipper = self.explainer.flipper
        weight = np.asarray(ops.convert_to_numpy(flipper.weight("classifier")))
        residual = self._residual(data, scores.astype(np.float32), rows)
        terms = flips.evidence(
            model,
            scores,
            data.given[rows],
            self.category_index(data)[rows],
            (weight * self.classifier[rows]).astype(np.float32),
            residual,
        )
        return terms, scores

    def _residual(self, data: TrainingData, scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
        flipper = self.explainer.flipper
        n_features = self.features.shape[1]
        n = data.n_attributes

        def residual(x):
            inputs = {"features": x[:, :n_features], "given": x[:, n_features : n_features + n]}
            return flipper.residual(inputs, x[:, n_features + n :], False)

        part = Part(flipper, residual)
        found = []
        for start in range(0, len(rows), 8192):
            chunk = rows[start : start + 8192]
            given = data.given[chunk].astype(np.float32)
            joined = np.concatenate(
                [self.features[chunk], given, scores[start : start + 8192]], axis=1
            )
            found.append(predict(part, joined, np.arange(len(chunk))))
        return np.concatenate(found)

    def monitor(self, data: TrainingData) -> dict[str, float]:
        """Atoms used, non-zeros and flips on a sample of the noisy images, to show."""
        rows = data.splits.noisy_train[:MONITOR_IMAGES]
        coefficients = self.coefficients(rows)
        terms, _ = self.evidence(data, coefficients, rows)
        given = data.given[rows]
        flipped = (given >= 0) & ((terms.score > 0) != (given == 1))
        return {
            "atoms_used": float((coefficients.max(axis=0).toarray() > 0.05).sum()),
            "nonzeros_per_image": coefficients.nnz / len(rows),
            "flips_per_image": float(flipped.sum() / len(rows)),
        }


def write_results(session: Session, data: TrainingData, explained: Explained) -> None:
    """Write features, basis, coefficients, evidence, flips and corrected labels."""
    writer = session.writer
    everything = np.arange(data.n_images)
    coefficients = explained.coefficients(everything)
    model = explained.evidence_model()
    terms, scores = explained.evidence(data, coefficients, everything)
    basis = np.asarray(ops.convert_to_numpy(explained.explainer.reconstruction.basis))
    arrays = {
        "features": explained.features,
        "basis": basis,
        "basis_labels": explained.basis_labels.labels,
        "label_scores": scores,
        "terms_classifier": terms.classifier,
        "terms_residual": terms.residual,
        "labels_corrected": flips.corrected_labels(
            data.given, terms.score if session.config.flips.mode == "full" else terms.strict_score
        ),
        "labels_strict": flips.corrected_labels(data.given, terms.strict_score),
    }
    for name, array in arrays.items():
        writer.write_array(name, array)
    writer.update(n_atoms=len(basis), n_features=basis.shape[1])
    writer.write_text("evidence.json", model.to_json())
    writer.write_table("coefficients", coefficients_frame(coefficients))
    writer.write_table("basis", basis_frame(data, explained.basis_labels, coefficients))
    with session.reporter.task("hull distances", data.n_images) as advance:
        distance = _hull_distances(session, explained.features, basis, advance)
    _write_coverage(session, coefficients, distance)
    frame = flips.flips_frame(data.given, terms, scores, data.true, mode=session.config.flips.mode)
    _write_flips(session, data, frame, distance)


def _write_flips(
    session: Session, data: TrainingData, frame: pd.DataFrame, distance: np.ndarray
) -> None:
    """Flips with calibrated confidence, and what their calibration rests on."""
    limit = coverage_cut(distance[data.splits.clean_test])
    covered = is_covered(distance, limit)
    strength = trust.deciding_strength(frame, session.config.flips.mode)
    found = _calibration(data, frame, strength, covered)
    table = trust.trust_table(found, limit)
    eligible = np.zeros(data.n_images, bool)
    eligible[data.splits.noisy_train] = True
    eligible[data.set_aside] = False
    frame = trust.with_trust(frame, table, strength=strength, eligible=eligible & covered)
    images = pd.DataFrame({"image_index": np.sort(data.set_aside)})
    session.writer.write_table("calibration", images)
    session.writer.write_table("trust", table)
    session.writer.write_table("flips", frame)


def _calibration(
    data: TrainingData, frame: pd.DataFrame, strength: np.ndarray, covered: np.ndarray
) -> trust.Calibration:
    """The flips of the images set aside, or none where these are too few (`selfml.trust`)."""
    aside = data.set_aside
    source = "held_out"
    if len(aside) < trust.HELD_OUT_MINIMUM:
        source, aside = "none", aside[:0]
    verified = np.full_like(data.given, -1)
    verified[aside] = data.dataset.labels_verified[aside]
    return trust.Calibration(source, aside, trust.judged_flips(frame, strength, verified, covered))


def coefficients_frame(coefficients: sparse.csr_matrix) -> pd.DataFrame:
    """Rows of ``coefficients.parquet``, sorted by image and atom."""
    found = coefficients.tocsr()
    found.sort_indices()
    table = found.tocoo()
    return pd.DataFrame(
        {
            "image_index": table.row.astype(np.int32),
            "basis_index": table.col.astype(np.int32),
            "coefficient": table.data.astype(np.float32),
        }
    )


def basis_frame(
    data: TrainingData, labels: BasisLabels, coefficients: sparse.csr_matrix
) -> pd.DataFrame:
    """Rows of ``basis.parquet``."""
    columns = coefficients.tocsc()
    atoms = np.arange(columns.shape[1])
    own = np.asarray(columns[labels.image_index, atoms]).reshape(-1)
    return pd.DataFrame(
        {
            "basis_index": atoms.astype(np.int32),
            "image_index": labels.image_index.astype(np.int32),
            "image_id": data.dataset.file_names[labels.image_index],
            "label_source": labels.source,
            "distance": labels.distance.astype(np.float32),
            "usage": np.diff(columns.indptr).astype(np.int32),
            "mass": np.asarray(columns.sum(axis=0)).reshape(-1).astype(np.float32),
            "self_coefficient": own.astype(np.float32),
        }
    )


def _hull_distances(
    session: Session, features: np.ndarray, basis: np.ndarray, advance: Callable[[int], None]
) -> np.ndarray:
    """Distance of each image's features from the hull of the basis, (N,) float32."""
    n_images = len(features)
    distance = np.zeros(n_images, np.float32)
    threads = os.cpu_count() or 1
    n_rows = HULL_ROWS * threads
    for start in range(0, n_images, n_rows):
        session.check()
        rows = features[start : start + n_rows]
        part = hull_coefficients(rows, basis, tolerance=1e-2, threads=threads)
        distance[start : start + n_rows] = part.hull_distance
        advance(min(start + n_rows, n_images))
    return distance


def _write_coverage(
    session: Session, coefficients: sparse.csr_matrix, distance: np.ndarray
) -> None:
    """Add hull distance and active atoms to ``images.parquet``."""
    frame = Run(session.writer.path).table("images")
    frame["hull_distance"] = distance
    frame["n_active"] = np.diff(coefficients.indptr).astype(np.int16)
    session.writer.write_table("images", frame)
