"""The run that comes with the program: whole, small, ours, and of the present format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from selfml.receipts import receipt
from selfml.run import Run
from selfml.run_format import ARRAYS, MEASURED_LATER, READABLE_VERSIONS, SCHEMAS, SINCE_2

FOLDER = Path(__file__).resolve().parents[1] / "assets" / "demo-run"
LARGEST_MB = 15


@pytest.fixture(scope="module")
def run() -> Run:
    return Run(FOLDER)


def test_it_is_complete_and_of_a_format_that_is_read(run):
    """A table that a later version added may be missing; the views say how to compute it."""
    assert run.is_complete
    version = run.info["schema_version"]
    assert version in READABLE_VERSIONS
    later = {*MEASURED_LATER, *(SINCE_2 if version == 1 else ())}
    assert run.has(*(set(SCHEMAS) - later), *ARRAYS)
    n, n_attributes = run.info["n_images"], run.info["n_attributes"]
    assert run.array("labels_given").shape == (n, n_attributes)
    assert len(run.table("images")) == n


def test_it_is_small_and_tells_nothing_of_the_machine_it_was_made_on(run):
    files = [path for path in FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LARGEST_MB * 1e6
    assert not Path(run.info["dataset"]["path"]).is_absolute()


def test_every_image_has_its_place_and_thumbnail(run):
    images = run.table("images")
    places = images[[f"map_{name}_{axis}" for name in ("tsne", "umap") for axis in "xy"]]
    assert np.isfinite(places.to_numpy()).all()
    first = images.iloc[0]
    data = run.thumbnail(int(first["thumbnail_offset"]), int(first["thumbnail_bytes"]))
    assert data[:4] == b"RIFF"
    assert data[8:12] == b"WEBP"


def test_its_receipts_add_up(run):
    flips = run.table("flips")
    assert len(flips) > 500
    for flip in flips.iloc[:: len(flips) // 20].itertuples():
        found = receipt(run, flip.image_index, flip.attribute_index)
        assert found.score == pytest.approx(flip.score, abs=1e-6)
        assert found.strict_score == pytest.approx(flip.strict_score, abs=1e-6)
        assert found.atoms["contribution"].sum() == pytest.approx(flip.label_score, abs=1e-6)


def test_it_shows_what_the_method_is_for(run):
    """SELF-ML above Baseline 1 above Baseline 0, and labels better than those given."""
    values = run.table("metrics").set_index(["method", "metric"])["value"]
    for metric in ("map", "ap_all"):
        ours, tuned, noisy = (
            values[method, metric] for method in ("self_ml", "baseline_1", "baseline_0")
        )
        assert ours > tuned > noisy
    corrected = values["self_ml", "label_accuracy_corrected_noisy"]
    assert corrected > values["self_ml", "label_accuracy_given_noisy"] + 2
