"""What a run directory holds: its tables, its arrays, and the words in them.

Row i is ``image_index`` i in every table and array. Axes: N images, K basis atoms, L attributes, d
features. :mod:`selfml.run` reads and writes it; a change here is a change for every reader.
A run whose basis images were labelled after training (:mod:`selfml.derived`) also has
``expert_labels.csv``, and ``parent`` and ``relabelled`` in its ``run.json``.
"""

from __future__ import annotations

import pyarrow as pa

SCHEMA_VERSION = 2
#: Runs of version 1 are read too: they lack the tables of ``SINCE_2``, which is all the difference.
READABLE_VERSIONS = (1, 2)
STATUSES = ("running", "complete", "failed")
SPLITS = ("noisy_train", "noisy_test", "clean_train", "clean_test")
METHODS = ("baseline_0", "baseline_1", "self_ml")

SCHEMAS: dict[str, pa.Schema] = {
    "images": pa.schema(
        [
            ("image_index", pa.int32()),
            ("image_id", pa.string()),  # the file name of labels.csv, relative to the dataset
            ("split", pa.string()),
            ("category", pa.string()),
            ("thumbnail_offset", pa.int64()),  # into thumbnails.bin
            ("thumbnail_bytes", pa.int32()),
            ("hull_distance", pa.float32()),  # of the features to the basis' convex hull
            ("n_active", pa.int16()),  # non-zero coefficients
            ("map_tsne_x", pa.float32()),
            ("map_tsne_y", pa.float32()),
            ("map_umap_x", pa.float32()),
            ("map_umap_y", pa.float32()),
        ]
    ),
    "attributes": pa.schema(
        [
            ("attribute_index", pa.int16()),
            ("name", pa.string()),
            ("group", pa.string()),
            ("prevalence_given", pa.float64()),  # fractions of the known cells
            ("prevalence_verified", pa.float64()),
        ]
    ),
    "coefficients": pa.schema(
        [
            ("image_index", pa.int32()),
            ("basis_index", pa.int32()),
            ("coefficient", pa.float32()),
        ]
    ),
    "basis": pa.schema(
        [
            ("basis_index", pa.int32()),
            ("image_index", pa.int32()),  # the image shown for the atom
            ("image_id", pa.string()),
            ("label_source", pa.string()),  # oracle | nearest_clean
            ("distance", pa.float32()),  # from the atom's features to that image's
            ("usage", pa.int32()),  # images with a coefficient above zero on it
            ("mass", pa.float32()),  # sum of its coefficients
            ("self_coefficient", pa.float32()),  # of the image on itself
        ]
    ),
    "flips": pa.schema(
        [
            ("image_index", pa.int32()),
            ("attribute_index", pa.int16()),
            ("given", pa.int8()),
            ("corrected", pa.int8()),
            ("score", pa.float64()),  # log-odds that the attribute is present, full evidence
            ("term_bias", pa.float64()),  # the five terms add up to score
            ("term_basis", pa.float64()),
            ("term_given", pa.float64()),
            ("term_classifier", pa.float64()),
            ("term_residual", pa.float64()),
            ("strict_score", pa.float64()),  # basis images, given label and category only
            ("strict_bias", pa.float64()),  # strict_bias + strict_basis + term_given
            ("strict_basis", pa.float64()),
            ("strict_agrees", pa.bool_()),
            ("label_score", pa.float64()),  # (Y_B c)_j in 0..1
            ("confidence", pa.float32()),  # probability that the corrected label is right
            ("auto_accept", pa.bool_()),
            ("truth", pa.int8()),  # -1 unknown
        ]
    ),
    "metrics": pa.schema(
        [
            ("method", pa.string()),
            ("metric", pa.string()),
            ("value", pa.float64()),
            ("definition", pa.string()),
        ]
    ),
    "attribute_metrics": pa.schema(
        [
            ("attribute_index", pa.int16()),
            ("method", pa.string()),
            ("metric", pa.string()),
            ("value", pa.float64()),
            ("low", pa.float64()),  # 95 % bootstrap interval, null where none is given
            ("high", pa.float64()),
            ("support", pa.int32()),
        ]
    ),
    "calibration": pa.schema(  # verified images that training took for noisy, to calibrate with
        [("image_index", pa.int32())]
    ),
    "trust": pa.schema(  # one row a direction, written by training (selfml.trust)
        [
            ("direction", pa.string()),  # to_1 | to_0
            ("source", pa.string()),  # held_out | none: which images calibrated
            ("status", pa.string()),  # guaranteed, or why there is no guarantee
            ("n_images", pa.int32()),  # that calibrated
            ("n_flips", pa.int32()),  # of theirs in this direction
            ("n_correct", pa.int32()),
            ("slope", pa.float64()),  # confidence = sigmoid(slope * |log-odds| + intercept)
            ("intercept", pa.float64()),
            ("correlation", pa.float64()),  # between flips of an image, from above
            ("precision", pa.float64()),  # wanted of accepted flips
            ("confidence_level", pa.float64()),
            ("threshold", pa.float64()),  # on |log-odds|; null: nothing is accepted
            ("threshold_confidence", pa.float64()),  # the same as a confidence
            ("n_tested", pa.int32()),  # flips in the test that decided
            ("n_tested_correct", pa.int32()),
            ("lower_bound", pa.float64()),  # of their precision
            ("largest_covered_distance", pa.float64()),  # beyond it an image is uncovered
        ]
    ),
    "reliability": pa.schema(  # of flips on C_test
        [
            ("direction", pa.string()),  # to_1 | to_0 | all
            ("bin_low", pa.float64()),
            ("bin_high", pa.float64()),
            ("count", pa.int32()),
            ("mean_confidence", pa.float64()),
            ("observed", pa.float64()),  # share of correct flips
            ("low", pa.float64()),  # 95 % interval of it
            ("high", pa.float64()),
        ]
    ),
    "realised": pa.schema(  # precision of accepted flips, with other images set aside each time
        [
            ("resample", pa.int16()),  # 0: the run's own thresholds, on C_test
            ("direction", pa.string()),
            ("n_calibration", pa.int32()),  # images set aside
            ("n_images", pa.int32()),  # images counted on
            ("threshold", pa.float64()),
            ("n_flips", pa.int32()),
            ("n_accepted", pa.int32()),
            ("n_correct", pa.int32()),
            ("precision", pa.float64()),  # null where none was accepted
        ]
    ),
    "coverage": pa.schema(
        [
            ("curve", pa.string()),  # a key of selfml.coverage.CURVES
            ("n_atoms", pa.int32()),
            ("value", pa.float64()),  # explained variance of the features, %
            ("n_images", pa.int32()),  # measured on so many
        ]
    ),
    "faithfulness": pa.schema(
        [
            ("measure", pa.string()),  # of selfml.faithfulness.MEASURES
            ("evidence", pa.string()),  # full | strict, "" where it is about coefficients alone
            ("explanation", pa.string()),  # of selfml.faithfulness.EXPLANATIONS
            ("k", pa.int16()),  # images taken out or kept; -1 all of them, 0 no such number
            ("attribute_index", pa.int16()),  # -1 all
            ("value", pa.float64()),
            ("n", pa.int32()),  # flips or images counted
        ]
    ),
}
SINCE_2 = ("calibration", "trust", "reliability", "realised", "coverage", "faithfulness")
#: A run of any version may lack these; `selfml evaluate` writes them from its other files.
MEASURED_LATER = ("faithfulness",)

# name -> (dtype, shape in the axes' letters)
ARRAYS: dict[str, tuple[str, str]] = {
    "features": ("float16", "Nd"),
    "basis": ("float32", "Kd"),
    "basis_labels": ("int8", "KL"),
    "label_scores": ("float32", "NL"),
    "labels_given": ("int8", "NL"),
    "labels_corrected": ("int8", "NL"),
    "labels_strict": ("int8", "NL"),
    "labels_true": ("int8", "NL"),
    "terms_classifier": ("float32", "NL"),
    "terms_residual": ("float32", "NL"),
    "probabilities": ("float32", "NL"),  # SELF-ML's classifier
    "probabilities_baseline_0": ("float32", "NL"),
    "probabilities_baseline_1": ("float32", "NL"),
}
