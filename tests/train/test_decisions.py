"""Training on what people decided: SELF-ML listens, nothing else does, and no measure leaks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from selfml.decided import (
    COLUMNS,
    decided_cells,
    decided_labels,
    gain,
    keep_decisions,
    read_decisions,
    record_gain,
    sentence,
)
from selfml.decisions import Cell, Store
from selfml.progress import Reporter
from selfml.run import Run, RunWriter, catalogue_of
from selfml.train import train
from tests.training import assert_same, assert_same_results, tiny_config

pytestmark = pytest.mark.slow
QUIET = Reporter(quiet=True)


def decided_by(run: Run, splits: tuple[str, ...], label: str) -> pd.DataFrame:
    """Every flip of these images decided: by what is true, or each of them refused."""
    flips = run.table("flips")
    images, names = run.table("images"), np.array(run.attributes, object)
    verified = np.isin(flips["image_index"], run.table("calibration")["image_index"])
    set_aside = verified & (splits == ("noisy_train",))
    flips = flips[images["split"].isin(splits).to_numpy()[flips["image_index"]] & ~set_aside]
    frame = pd.DataFrame(
        {
            "image_id": images["image_id"].to_numpy()[flips["image_index"]],
            "attribute": names[flips["attribute_index"]],
            "given": flips["given"].to_numpy(),
            "proposed": flips["corrected"].to_numpy(),
            "label": flips[label].to_numpy(),
        }
    )
    return frame[frame["label"] >= 0].reset_index(drop=True)


@pytest.fixture(scope="module")
def refused(trained) -> pd.DataFrame:
    """Every flip of the noisy training images rejected."""
    return decided_by(Run(trained), ("noisy_train",), "given")


@pytest.fixture(scope="module")
def listened(trained, catalogue, refused, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "listened"
    return train(catalogue, out, tiny_config(), decided=refused, reporter=QUIET)


def test_rejected_flips_are_proposed_less(trained, listened, refused):
    found = gain(Run(listened), Run(trained))
    assert found["decided"] == found["rejected"] == len(refused)
    assert found["kept_before"] == 0
    assert found["gone"] == found["kept"] > len(refused) / 3


def test_what_must_not_listen_does_not(trained, listened):
    """Which cells were decided depends on what was proposed: no rate may be read from them."""
    one, other = Run(trained), Run(listened)
    for name in ("features", "probabilities_baseline_0", "probabilities_baseline_1"):
        assert_same(one.array(name), other.array(name), name)
    evidence = [json.loads(run.text("evidence.json")) for run in (one, other)]
    for name in ("llr", "prior", "categories"):
        assert evidence[0][name] == evidence[1][name]
    differs = np.abs(one.array("probabilities") - other.array("probabilities"))
    assert np.median(differs) > 0.001


def test_decisions_on_verified_images_change_nothing(trained, catalogue, tmp_path):
    """clean.csv is right there, and what is measured on must stay unseen."""
    own = decided_by(Run(trained), ("clean_test", "clean_train", "noisy_test"), "given")
    assert len(own) > 10
    out = train(catalogue, tmp_path / "run", tiny_config(), decided=own, reporter=QUIET)
    assert_same_results(trained, out)
    assert gain(Run(out), Run(trained)) == {}


def test_a_run_keeps_what_it_learned_from_and_says_what_it_gained(trained, listened, refused):
    kept = decided_cells(listened)
    pd.testing.assert_frame_equal(
        kept, refused.sort_values(COLUMNS[:2], ignore_index=True), check_dtype=False
    )
    found = record_gain(listened, Run(trained))
    assert Run(listened).info["decisions"] == found
    values = Run(trained).table("metrics").set_index(["method", "metric"])["value"]
    assert found["map_before"] == pytest.approx(values["self_ml", "map"], abs=0.005)
    text = sentence(found)
    assert f"Learned from {len(refused):,} decided labels" in text
    assert f"of {len(refused):,} rejected flips {found['gone']:,} are proposed no more" in text
    assert sentence(gain(Run(trained), None)) == ""


def test_of_a_store_agreed_decisions_are_read(trained, tmp_path):
    run = Run(trained)
    cells = [Cell(f"{n}.jpg", "Red", 0, 1) for n in range(4)]
    with Store(f"sqlite:///{tmp_path / 'decisions.db'}") as store:
        for cell, decision in zip(cells, ("accept", "reject", "unsure", "accept"), strict=True):
            store.decide(catalogue_of(run), [cell], decision, auditor="ann", run_id="r")
        store.decide(catalogue_of(run), cells[3:], "reject", auditor="bob", run_id="r")
        found = read_decisions(store, catalogue_of(run))
        with pytest.raises(ValueError, match="--catalogue"):
            read_decisions(store, "elsewhere")
    assert found[["image_id", "label"]].to_numpy().tolist() == [["0.jpg", 1], ["1.jpg", 0]]


def test_other_decisions_do_not_go_into_a_run_that_has_begun(refused, tmp_path):
    writer = RunWriter(tmp_path / "run")
    keep_decisions(writer, refused, continues=False)
    keep_decisions(writer, refused, continues=True)
    keep_decisions(writer, None, continues=True)
    assert len(decided_cells(writer.path)) == len(refused)
    with pytest.raises(FileExistsError, match=rf"began with {len(refused)} decided labels"):
        keep_decisions(writer, refused[:3], continues=True)
    keep_decisions(writer, None, continues=False)
    with pytest.raises(FileExistsError, match="began with 0 decided labels"):
        keep_decisions(writer, refused, continues=True)


def test_what_was_learned_from_is_not_measured_on(listened, refused):
    """The truth of decided cells is left out of the measures of noisy images."""
    run = Run(listened)
    values = run.table("metrics").set_index(["method", "metric"])["value"]
    noisy = run.table("images")["split"].str.startswith("noisy").to_numpy()
    truth = np.array(run.array("labels_true"))
    ids = run.table("images")["image_id"].to_numpy()
    known = decided_labels(refused, ids, run.attributes)
    given = run.array("labels_given")
    seen = (truth >= 0) & (given >= 0) & noisy[:, None]
    right = run.array("labels_corrected") == truth
    for cells, equal in ((seen & (known < 0), True), (seen, False)):
        accuracy = 100 * right[cells].mean()
        stored = values["self_ml", "label_accuracy_corrected_noisy"]
        assert (abs(stored - accuracy) < 1e-6) == equal
