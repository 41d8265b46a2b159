"""What the attributes view counts, against the run's own arrays and a case worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dashboard.figures import attributes as figures
from dashboard.frames import attributes as frames
from selfml.run import Run


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> Run:
    return Run(tiny_run)


@pytest.fixture(scope="module")
def bare(runs_folder: Path) -> Run:
    """A run without truth and without measured attributes."""
    return Run(runs_folder / "no_truth")


def test_gains_come_most_frequent_first(run: Run):
    gains = frames.gains(run)
    assert gains["support"].is_monotonic_decreasing
    table = run.table("attribute_metrics").set_index(["attribute_index", "method", "metric"])
    for row in gains.itertuples():
        stored = table.loc[(row.attribute_index, "self_ml", "ap_gain")]
        assert (row.gain, row.low, row.high) == (stored["value"], stored["low"], stored["high"])
        assert row.ap_baseline_1 == table.loc[(row.attribute_index, "baseline_1", "ap"), "value"]
        assert row.attribute == run.attributes[row.attribute_index]


def test_counting_a_case_worked_by_hand():
    given = np.array([[0], [0], [1], [1], [-1], [0]], np.int8)
    corrected = np.array([[1], [0], [0], [1], [-1], [1]], np.int8)
    truth = np.array([[1], [1], [1], [1], [1], [-1]], np.int8)
    counts = {name: int(v[0]) for name, v in frames._count(given, corrected, truth).items()}
    assert counts == {
        "to_1": 2, "to_0": 1, "judged": 2, "right": 1, "errors": 2,
        "to_1_judged": 1, "to_0_judged": 1, "to_1_correct": 1, "to_0_correct": 0,
        "yes_given": 2, "known_given": 5, "yes_corrected": 3, "known_corrected": 5,
        "yes_verified": 5, "known_verified": 5,
    }  # fmt: skip


def test_counts_by_attribute_equal_those_of_the_flips(run: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(frames, "ROWS_AT_ONCE", 7)  # several chunks, the last one short
    counts = frames.label_counts(run).set_index("attribute_index")
    flips = run.table("flips")
    for j, own in flips.groupby("attribute_index"):
        row = counts.loc[j]
        judged = own[own["truth"] >= 0]
        assert row["to_1"] == (own["corrected"] == 1).sum()
        assert row["to_0"] == (own["corrected"] == 0).sum()
        assert row["judged"] == len(judged)
        assert row["right"] == (judged["truth"] == judged["corrected"]).sum()
        assert row["precision"] == pytest.approx(row["right"] / row["judged"])
    table = run.table("attributes")
    np.testing.assert_allclose(counts["prevalence_given"], table["prevalence_given"])
    np.testing.assert_allclose(counts["prevalence_verified"], table["prevalence_verified"])
    given, truth = run.array("labels_given"), run.array("labels_true")
    wrong = ((given >= 0) & (truth >= 0) & (given != truth)).sum(axis=0)
    assert counts["errors"].tolist() == wrong.tolist()


def test_flips_by_attribute_most_flipped_first(run: Run, bare: Run):
    counts = frames.flip_counts(run)
    assert (counts["to_1"] + counts["to_0"]).is_monotonic_decreasing
    assert (counts["to_1"] + counts["to_0"]).sum() == len(run.table("flips"))
    assert (counts["to_1_correct"] <= counts["to_1_judged"]).all()
    assert frames.flip_counts(bare, "clean_test").empty


def test_stored_counts_of_the_test_images_are_read(run: Run, monkeypatch: pytest.MonkeyPatch):
    table = pd.DataFrame(
        {"attribute_index": [1, 1], "method": "self_ml", "value": [4.0, 3.0],
         "metric": ["flips_to_1_clean_test", "flips_to_1_correct_clean_test"]}
    )  # fmt: skip
    monkeypatch.setattr(frames, "_measured", lambda run: table)
    counts = frames.flip_counts(run, "clean_test")
    assert counts.iloc[0][["attribute_index", "to_1", "to_1_correct", "to_0"]].tolist() == [
        1, 4, 3, 0,
    ]  # fmt: skip


def test_flips_by_category_add_up(run: Run):
    table = frames.flips_by_category(run)
    flips, images = run.table("flips"), run.table("images")
    assert (table["to_1"] + table["to_0"]).sum() == len(flips)
    sizes = images["category"].fillna(frames.NO_CATEGORY).value_counts()
    for row in table.itertuples():
        assert row.n_images == sizes[row.category]
    matrix = frames.category_matrix(table, "to_1")
    one = table.iloc[0]
    rate = matrix.loc[one["attribute"], one["category"]]
    assert rate == pytest.approx(100 * one["to_1"] / one["n_images"])


def test_without_measures_the_frames_are_empty_or_unknown(bare: Run):
    assert frames.gains(bare).empty
    counts = frames.label_counts(bare)
    assert counts[["precision", "recall", "prevalence_verified"]].isna().all(axis=None)


def test_empty_frames_make_figures_that_say_so(bare: Run):
    counts = frames.label_counts(bare)
    matrix = frames.category_matrix(frames.flips_by_category(bare).iloc[:0])
    for figure in (
        figures.ap_gain(frames.gains(bare)),
        figures.flips(counts.iloc[:0]),
        figures.prevalence(counts.iloc[:0]),
        figures.precision_recall(counts),
        figures.by_category(matrix),
    ):
        assert not figure.data
        assert figure.layout.annotations[0].text


def test_figures_show_the_numbers_in_typed_arrays(run: Run):
    gains, counts = frames.gains(run), frames.label_counts(run)
    matrix = frames.category_matrix(frames.flips_by_category(run))
    made = {
        "gain": figures.ap_gain(gains),
        "flips": figures.flips(counts),
        "prevalence": figures.prevalence(counts),
        "right": figures.precision_recall(counts),
        "category": figures.by_category(matrix),
    }
    for figure in made.values():
        assert figure.layout.xaxis.title.text
        assert "<script" not in figure.to_json()
        for trace in figure.data:
            for name in ("x", "y", "z"):
                assert isinstance(getattr(trace, name, None), np.ndarray | type(None))
    np.testing.assert_allclose(made["gain"].data[0].x, gains["gain"])
    np.testing.assert_array_equal(made["flips"].data[0].x, -counts["to_0"])
    np.testing.assert_array_equal(made["flips"].data[1].x, counts["to_1"])


@pytest.mark.parametrize(("low", "high"), [(0, 0), (-3, 900), (-1, 1), (-250, 40_000)])
def test_ticks_are_whole_and_hold_zero(low: int, high: int):
    ticks = figures._even_ticks(low, high)
    assert 0 in ticks
    assert len(ticks) <= 10
    assert ticks.dtype.kind == "i"
