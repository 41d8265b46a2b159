"""Trust in the dashboard: its frames and figures, the panel, the filter, badges and receipts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.figures import trust as figures
from dashboard.frames import trust as frames
from selfml.run import Run, RunWriter
from selfml.run_format import SINCE_2
from tests.dashboard.conftest import text_of

Open = Callable[..., AppTest]


@pytest.fixture
def of(run: Run) -> frames.Trust:
    found = frames.trust(run)
    assert found is not None
    return found


def realised(*rows: tuple) -> pd.DataFrame:
    """Rows of resample, direction, accepted, correct."""
    return pd.DataFrame(
        [
            (r, d, 50, 40, 2.0, 60, n, k, k / n if n else np.nan)
            for r, d, n, k in rows
        ],
        columns=["resample", "direction", "n_calibration", "n_images", "threshold", "n_flips",
                 "n_accepted", "n_correct", "precision"],
    )  # fmt: skip


def test_thresholds_with_their_spread(of):
    drawn = realised(
        (0, "to_1", 20, 19), (1, "to_1", 10, 10), (2, "to_1", 10, 9), (3, "to_1", 0, 0),
        (0, "to_0", 0, 0), (1, "to_0", 0, 0), (2, "to_0", 0, 0), (3, "to_0", 0, 0),
    )  # fmt: skip
    found = frames.Trust(of.thresholds, of.reliability, drawn, {})
    rows = frames.threshold_rows(found).set_index("direction")
    added, taken = rows.loc["to_1"], rows.loc["to_0"]
    assert (added["n_accepted"], added["precision"]) == (20, 0.95)
    assert (added["mean"], added["lowest"], added["highest"]) == pytest.approx((0.95, 0.9, 1))
    assert (added["n_kept"], added["n_resamples"], added["n_accepting"]) == (2, 3, 2)
    assert (taken["n_kept"], taken["n_accepting"]) == (3, 0)
    assert np.isnan(taken["mean"])


def test_the_promise_in_words(of):
    row = of.thresholds.set_index("direction").loc["to_1"]
    assert of.guaranteed
    assert "at least 95\u00a0% of them are right" in frames.promise(row)
    none = row.copy()
    none["status"] = "no_held_out"
    assert frames.promise(none).startswith("No guarantee, so none is accepted: too few verified")


def test_what_acceptance_means_for_one_flip(of, run):
    flips = run.table("flips")
    limit = 1.5
    of = replace(of, thresholds=of.thresholds.assign(largest_covered_distance=limit))
    safe = flips[flips["auto_accept"]].iloc[0]
    assert frames.acceptance(of, safe, 0.0).startswith("Safe to accept: of labels that are added")
    refused = safe.copy()
    refused["auto_accept"] = False
    assert "unlike the basis images" in frames.acceptance(of, refused, 2 * limit)
    assert "nobody verified, and this is none" in frames.acceptance(of, refused, 0.0)
    refused["confidence"] = 0.5
    assert frames.acceptance(of, refused, 0.0) == ""
    assert frames.acceptance(None, safe, 0.0) == ""


def test_figures_have_titled_axes_and_their_values(of):
    table = of.reliability[of.reliability["direction"] == "all"]
    figure = figures.reliability(table)
    marks = next(t for t in figure.data if t.name == "Flips")
    assert list(marks.y) == table["observed"].tolist()
    np.testing.assert_allclose(marks.error_y.array, table["high"] - table["observed"])
    assert figure.layout.xaxis.title.text
    assert figure.layout.yaxis.title.text
    drawn = realised((0, "to_1", 9, 9), (1, "to_1", 10, 9), (2, "to_1", 10, 10), (1, "to_0", 0, 0))
    figure = figures.realised(drawn, precision=0.95)
    assert [t.name for t in figure.data] == ["Added"]
    assert list(figure.data[0].x) == [0.9, 1.0]
    assert "95%" in figure.layout.annotations[0].text


def test_no_rows_no_error(of):
    assert figures.reliability(of.reliability.iloc[:0]).layout.annotations[0].text
    assert figures.realised(of.realised.iloc[:0], precision=0.95).layout.annotations[0].text


@pytest.mark.slow
def test_the_panel_says_what_is_promised(open_view: Open, of):
    app = open_view("overview", run="tiny")
    text = text_of(app)
    assert "Is the confidence honest?" in text
    assert 'data-testid="trust"' in text
    said = "\n".join(block.value for block in app.success)
    for _, row in of.thresholds.iterrows():
        assert frames.promise(row) in said
    assert "left out of training" in text


def changed(runs_folder: Path, name: str) -> Path:
    """A copy of the tiny run."""
    return Path(shutil.copytree(runs_folder / "tiny", runs_folder / name, dirs_exist_ok=True))


@pytest.mark.slow
def test_without_a_guarantee_it_says_so_and_offers_none(open_view: Open, runs_folder, run):
    path = changed(runs_folder, "no_promise")
    writer = RunWriter(path)
    table = run.table("trust").assign(
        source="none", status="no_held_out", n_images=0, n_flips=0, threshold=np.nan
    )
    writer.write_table("trust", table)
    writer.write_table("flips", run.table("flips").assign(auto_accept=False))
    app = open_view("overview", run="no_promise")
    (said,) = (block.value for block in app.warning)
    assert said == frames.promise(table.iloc[0])
    assert "Confidence is not calibrated" in text_of(app)
    toggle = open_view("flips", run="no_promise").toggle(key="url_auto")
    assert toggle.disabled
    assert "data.clean_samples" in toggle.help


@pytest.mark.slow
def test_a_run_of_version_1_opens(open_view: Open, runs_folder):
    path = changed(runs_folder, "version_1")
    for name in SINCE_2:
        (path / f"{name}.parquet").unlink()
    RunWriter(path).update(schema_version=1)
    assert "This run does not know" in text_of(open_view("overview", run="version_1"))
    assert 'class="fc-card"' in text_of(open_view("flips", run="version_1"))


@pytest.mark.slow
def test_cards_and_receipts_carry_the_badge(open_view: Open, run):
    flips = run.table("flips")
    text = text_of(open_view("flips", run="tiny", auto="1"))
    n = int(flips["auto_accept"].sum())
    shown = min(n, 24)
    assert text.count("Safe to accept without a look; the receipt says what that means") == shown
    row = flips[flips["auto_accept"]].iloc[0]
    key = f"{row['image_index']}-{row['attribute_index']}"
    text = text_of(open_view("flips", run="tiny", flip=key))
    assert 'data-testid="acceptance"' in text
    assert "a promise about all of them together" in text
    other = flips[~flips["auto_accept"]].sort_values("confidence").iloc[0]
    key = f"{other['image_index']}-{other['attribute_index']}"
    assert 'data-testid="acceptance"' not in text_of(open_view("flips", run="tiny", flip=key))
