"""A run directory after a tiny training: whole and consistent."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from selfml.config import from_toml
from selfml.flips import deciding_mode, read_evidence_model
from selfml.progress import Reporter
from selfml.receipts import receipt
from selfml.run import Run
from selfml.run_format import ARRAYS, METHODS, SCHEMAS, SPLITS
from selfml.run_start import STAGES

pytestmark = pytest.mark.slow
QUIET = Reporter(quiet=True)


def test_run_is_complete(any_run):
    assert any_run.is_complete
    assert any_run.has(*SCHEMAS, *ARRAYS)
    assert not (any_run.path / "work").exists()
    assert not list(any_run.path.rglob("*.tmp"))
    assert (any_run.path / "thumbnails.bin").stat().st_size > 1000
    assert {p.name for p in (any_run.path / "model").iterdir()} == {
        *("classifier.weights.h5", "explainer.weights.h5", "extractor.weights.h5", "features.npz"),
    }
    info = any_run.info
    assert info["n_images"] == 150
    assert sum(info[f"n_{split}"] for split in SPLITS) == 150
    assert info["n_clean_train"] == 30
    assert [stage["stage"] for stage in info["stages"]] == list(STAGES)
    assert from_toml(any_run.text("config.toml")).data.size_px == 32
    for name, schema in SCHEMAS.items():
        assert any_run.table(name).columns.tolist() == schema.names


def test_arrays_have_their_axes(any_run):
    info = any_run.info
    size = {letter: info[f"n_{name}"] for letter, name in
            zip("NKLd", ("images", "atoms", "attributes", "features"), strict=True)}  # fmt: skip
    for name, (dtype, axes) in ARRAYS.items():
        array = any_run.array(name)
        assert array.shape == tuple(size[axis] for axis in axes), name
        assert array.dtype == dtype
        assert np.isfinite(array).all()
    for name in ("probabilities", "probabilities_baseline_0", "probabilities_baseline_1"):
        assert ((any_run.array(name) > 0) & (any_run.array(name) < 1)).all()


def test_coefficients_are_on_the_simplex(any_run):
    c = any_run.coefficients()
    assert c.data.min() > 0
    np.testing.assert_allclose(np.asarray(c.sum(axis=1)).ravel(), 1.0, atol=1e-5)
    images = any_run.table("images")
    np.testing.assert_array_equal(images["n_active"], np.diff(c.indptr))
    basis = any_run.table("basis")
    np.testing.assert_array_equal(basis["usage"], np.diff(c.tocsc().indptr))
    np.testing.assert_allclose(basis["mass"], np.asarray(c.sum(axis=0)).ravel(), rtol=1e-5)
    own = c[basis["image_index"], basis["basis_index"]]
    np.testing.assert_allclose(basis["self_coefficient"], np.asarray(own).ravel(), atol=1e-7)
    frame = any_run.table("coefficients")
    order = frame[["image_index", "basis_index"]]
    assert order.equals(order.sort_values(["image_index", "basis_index"], ignore_index=True))


def test_label_scores_are_coefficients_times_basis_labels(any_run):
    labels = any_run.array("basis_labels")
    prior = read_evidence_model(any_run).prior
    values = np.where(labels < 0, prior, labels)
    expected = any_run.coefficients() @ values
    np.testing.assert_allclose(any_run.array("label_scores"), expected, atol=1e-6)


def test_receipts_add_up_to_the_flips_table(any_run):
    flips = any_run.table("flips")
    model = read_evidence_model(any_run)
    assert len(flips) > 20
    for row in flips.itertuples():
        of = receipt(any_run, row.image_index, row.attribute_index, model=model)
        assert of.score == pytest.approx(row.score, abs=1e-6)
        assert of.strict_score == pytest.approx(row.strict_score, abs=1e-6)
        assert of.label_score == pytest.approx(row.label_score, abs=1e-6)
        assert of.atoms["contribution"].sum() == pytest.approx(row.label_score, abs=1e-6)
        for name, value in of.terms.items():
            assert value == pytest.approx(getattr(row, f"term_{name}"), abs=1e-6)
        decides = of.score if deciding_mode(any_run) == "full" else of.strict_score
        assert (decides > 0) == (row.corrected == 1)
    terms = flips[[f"term_{n}" for n in ("bias", "basis", "given", "classifier", "residual")]]
    np.testing.assert_allclose(terms.sum(axis=1), flips["score"], atol=1e-9)


def test_flips_are_where_corrected_differs_from_given(any_run):
    given, corrected = any_run.array("labels_given"), any_run.array("labels_corrected")
    i, j = np.nonzero((given >= 0) & (given != corrected))
    flips = any_run.table("flips")
    np.testing.assert_array_equal(flips["image_index"], i)
    np.testing.assert_array_equal(flips["attribute_index"], j)
    np.testing.assert_array_equal(flips["given"], given[i, j])
    np.testing.assert_array_equal(flips["truth"], any_run.array("labels_true")[i, j])
    assert (corrected[given < 0] == -1).all()


def test_basis_labels_are_verified_clean_training_labels(any_run):
    """Never those of a test image; an atom shows the image whose labels it has."""
    basis, images = any_run.table("basis"), any_run.table("images")
    rows = basis["image_index"].to_numpy()
    assert set(images["split"].to_numpy()[rows]) == {"clean_train"}
    np.testing.assert_array_equal(any_run.array("basis_labels"), any_run.array("labels_true")[rows])
    np.testing.assert_array_equal(basis["image_id"], images["image_id"].to_numpy()[rows])


def test_basis_of_clean_images_stays_at_their_features(trained):
    run = Run(trained)
    rows = run.table("basis")["image_index"]
    features = np.asarray(run.array("features"), np.float32)
    np.testing.assert_allclose(run.array("basis"), features[rows], rtol=2e-3, atol=1e-4)
    assert (run.table("basis")["distance"] == 0).all()
    assert set(run.table("basis")["label_source"]) == {"oracle"}


def test_basis_of_the_paper_is_learned(paper_like):
    run = Run(paper_like)
    basis = run.table("basis")
    assert len(basis) == 60
    assert set(basis["label_source"]) == {"nearest_clean"}
    assert (basis["distance"] > 0).all()


def test_hull_distance_is_at_most_that_of_the_reconstruction(any_run):
    features = np.asarray(any_run.array("features"), np.float64)
    rebuilt = any_run.coefficients() @ np.asarray(any_run.array("basis"), np.float64)
    error = np.linalg.norm(features - rebuilt, axis=1)
    hull = any_run.table("images")["hull_distance"].to_numpy()
    assert (hull <= error * 1.02 + 0.05).all()
    assert (hull >= 0).all()


def test_splits_and_labels_are_those_of_the_catalogue(trained, catalogue):
    run = Run(trained)
    images = run.table("images")
    read = {
        name: pd.read_csv(catalogue / f"{name}.csv", index_col="file_name")
        for name in ("labels", "clean", "truth")
    }
    names = images["image_id"]
    given = read["labels"].loc[names, run.attributes].to_numpy()
    np.testing.assert_array_equal(run.array("labels_given"), given)
    np.testing.assert_array_equal(
        run.array("labels_true"), read["truth"].loc[names, run.attributes].to_numpy()
    )
    assert images["category"].tolist() == read["labels"].loc[names, "category"].tolist()
    tested = images.loc[images["split"] == "clean_test", "image_id"]
    assert set(tested) == set(read["clean"].index[read["clean"]["split"] == "test"])


def test_history_and_metrics(any_run):
    history = any_run.history()
    assert set(history["stage"]) == set(STAGES)
    for _, part in history[history["name"] == "loss"].groupby("stage"):
        assert part["step"].is_monotonic_increasing
        assert part["step"].is_unique
        assert np.isfinite(part["value"]).all()
    metrics = any_run.table("metrics")
    assert set(metrics["method"]) == set(METHODS)
    assert not metrics.duplicated(["method", "metric"]).any()


def test_something_is_learned(trained):
    """A dozen steps are too few for good labels, but not for a falling loss."""
    history = Run(trained).history()
    losses = history[(history["name"] == "loss") & (history["stage"] == "pretrain")]["value"]
    assert losses.iloc[-5:].mean() < 0.8 * losses.iloc[:3].mean()
