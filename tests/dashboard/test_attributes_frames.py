"""What the attributes view counts, against the run's own arrays and a case worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dashboard.figures import attribute_categories as category_figures
from dashboard.figures import attributes as figures
from dashboard.frames import attribute_categories as categories
from dashboard.frames import attributes as frames
from dashboard.frames.basis import NO_CATEGORY
from selfml.evaluate import evaluate, store
from selfml.run import Run, RunWriter
from selfml.run_format import METHODS
from tests.tiny_run import build_tiny_run


@pytest.fixture(scope="module")
def run(tiny_run: Path) -> Run:
    return Run(tiny_run)


@pytest.fixture(scope="module")
def bare(runs_folder: Path) -> Run:
    """A run without truth and without measured attributes."""
    return Run(runs_folder / "no_truth")


@pytest.mark.parametrize("baseline", ["baseline_1", "baseline_0"])
def test_gains_come_most_often_given_first(run: Run, baseline: str):
    gains = frames.gains(run, baseline)
    assert gains["prevalence_given"].is_monotonic_decreasing
    assert sorted(gains["attribute_index"]) == list(range(len(run.attributes)))
    table = run.table("attribute_metrics").set_index(["attribute_index", "method", "metric"])
    test = (run.table("images")["split"] == "clean_test").to_numpy()
    support = (run.array("labels_true")[test] == 1).sum(axis=0)
    for row in gains.itertuples():
        ap = {m: table.loc[(row.attribute_index, m, "ap"), "value"] for m in METHODS}
        assert row.ap_baseline_1 == ap["baseline_1"]
        assert row.support == support[row.attribute_index]
        assert row.few == (row.support < frames.MIN_SUPPORT)
        assert row.attribute == run.attributes[row.attribute_index]
        if baseline == "baseline_1":
            stored = table.loc[(row.attribute_index, "self_ml", "ap_gain")]
            assert (row.gain, row.low, row.high) == (stored["value"], stored["low"], stored["high"])
        else:  # an older run: the gain is known, its interval is not
            assert row.gain == pytest.approx(ap["self_ml"] - ap["baseline_0"])
            assert np.isnan([row.low, row.high]).all()


def test_after_evaluate_both_gains_have_intervals(tmp_path: Path):
    run = Run(build_tiny_run(tmp_path / "evaluated", n_images=200))
    store(run, *evaluate(run))
    for baseline in ("baseline_1", "baseline_0"):
        gains = frames.gains(run, baseline)
        assert ((gains["low"] <= gains["gain"]) & (gains["gain"] <= gains["high"])).all()


def test_an_attribute_that_cannot_be_measured_stays_in_the_list(tmp_path: Path):
    path = build_tiny_run(tmp_path / "run")
    writer, run = RunWriter(path), Run(path)
    truth = np.array(run.array("labels_true"))
    truth[frames.rows_of(run, "clean_test"), 2] = 0
    writer.write_array("labels_true", truth)
    table = run.table("attribute_metrics")
    writer.write_table("attribute_metrics", table[table["attribute_index"] != 2])
    gains = frames.gains(Run(path)).set_index("attribute_index")
    assert gains.loc[2, "support"] == 0
    assert gains.loc[2, "few"]
    assert np.isnan(gains.loc[2, "gain"])
    figure = figures.ap_gain(gains.reset_index())
    assert "cannot be measured" in figure.data[-1].text[0]
    assert len(figure.data[-1].y) == 1


def test_counting_a_case_worked_by_hand():
    given = np.array([[0], [0], [1], [1], [-1], [0]], np.int8)
    corrected = np.array([[1], [0], [0], [1], [-1], [1]], np.int8)
    truth = np.array([[1], [1], [1], [1], [1], [-1]], np.int8)
    counts = {name: int(v[0]) for name, v in frames._count(given, corrected, truth).items()}
    assert counts == {
        "to_1": 2, "to_0": 1, "judged": 2, "right": 1, "errors": 2,
        "errors_to_1": 2, "errors_to_0": 0,
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
    table = run.table("attributes")
    np.testing.assert_allclose(counts["prevalence_given"], table["prevalence_given"])
    np.testing.assert_allclose(counts["prevalence_verified"], table["prevalence_verified"])
    given, truth = run.array("labels_given"), run.array("labels_true")
    wrong = ((given >= 0) & (truth >= 0) & (given != truth)).sum(axis=0)
    assert counts["errors"].tolist() == wrong.tolist()


@pytest.mark.parametrize("scope", frames.SCOPES)
@pytest.mark.parametrize("direction", ["all", "to_1", "to_0"])
def test_correctness_equals_that_of_the_flips(run: Run, scope: str, direction: str):
    frame = frames.correctness(run, scope, direction)
    assert frame["judged"].is_monotonic_decreasing
    images = run.table("images")
    wanted = images.loc[images["split"].isin(frames.SCOPES[scope]), "image_index"]
    flips = run.table("flips")
    flips = flips[flips["image_index"].isin(wanted) & (flips["truth"] >= 0)]
    if direction != "all":
        flips = flips[flips["corrected"] == int(direction == "to_1")]
    given, truth = (run.array(f"labels_{n}")[wanted] for n in ("given", "true"))
    wrong = (given >= 0) & (truth >= 0) & (given != truth)
    wrong &= (direction == "all") | (given == int(direction == "to_0"))
    for row in frame.itertuples():
        own = flips[flips["attribute_index"] == row.attribute_index]
        right = (own["truth"] == own["corrected"]).sum()
        errors = wrong[:, row.attribute_index].sum()
        assert (row.judged, row.right, row.errors) == (len(own), right, errors)
        assert row.few == (len(own) < frames.MIN_SUPPORT)
        for name, n in (("precision", len(own)), ("recall", errors)):
            share, low, high = (getattr(row, f"{name}{end}") for end in ("", "_low", "_high"))
            if n:
                assert share == pytest.approx(right / n)
                assert 0 <= low <= share <= high <= 1
            else:
                assert np.isnan([share, low, high]).all()


def test_what_the_evidence_was_learned_from_does_not_judge_it(run: Run):
    unseen, everything = frames.correctness(run), frames.correctness(run, "")
    assert unseen["judged"].sum() < everything["judged"].sum()
    parts = [frames.correctness(run, scope)["judged"].sum() for scope in ("clean_test", "noisy")]
    assert unseen["judged"].sum() == sum(parts)


def test_flips_by_attribute_most_flipped_first(run: Run, bare: Run):
    counts = frames.flip_counts(run)
    assert (counts["to_1"] + counts["to_0"]).is_monotonic_decreasing
    assert (counts["to_1"] + counts["to_0"]).sum() == len(run.table("flips"))
    assert (counts["to_1_correct"] <= counts["to_1_judged"]).all()
    unseen = frames.label_counts(run, "unseen")  # those learned from flatter the share
    assert counts["to_1_judged"].sum() == unseen["to_1_judged"].sum()
    assert counts["to_1_judged"].sum() < frames.label_counts(run)["to_1_judged"].sum()
    one = counts.iloc[0]
    same = unseen[unseen["attribute_index"] == one["attribute_index"]].iloc[0]
    assert (one["to_0_correct"], one["to_0_judged"]) == (same["to_0_correct"], same["to_0_judged"])
    test = frames.flip_counts(bare, "clean_test")
    split = run.table("images")["split"].to_numpy()[run.table("flips")["image_index"]]
    assert (test["to_1"] + test["to_0"]).sum() == (split == "clean_test").sum()


def test_flips_by_category_add_up(run: Run):
    table = categories.flips_by_category(run)
    flips, images = run.table("flips"), run.table("images")
    assert (table["to_1"] + table["to_0"]).sum() == len(flips)
    sizes = images["category"].fillna(NO_CATEGORY).value_counts()
    for row in table.itertuples():
        assert row.n_images == sizes[row.category]
    cells = categories.cells(table)
    right = frames.correctness(run)
    assert cells["judged"].sum() == right["judged"].sum()
    assert cells["right"].sum() == right["right"].sum()
    known = cells[cells["judged"] > 0]
    np.testing.assert_allclose(known["precision"], known["right"] / known["judged"])
    added = categories.cells(table, "to_1")
    assert added["n"].sum() == (flips["corrected"] == 1).sum()
    wide = categories.grid(added, "rate")
    one = added.iloc[0]
    assert wide.loc[one["attribute"], one["category"]] == pytest.approx(
        100 * one["n"] / one["n_images"]
    )


def test_only_the_most_flipped_categories_are_drawn(run: Run):
    cells = categories.cells(categories.flips_by_category(run))
    totals = cells.groupby("category")["n"].sum()
    kept = categories.most_flipped(cells, 2)
    assert set(kept["category"]) <= set(totals[totals >= totals.nlargest(2).min()].index)
    assert kept["category"].nunique() == 2


def test_categories_of_one_beginning_keep_their_columns(run: Run):
    cells = categories.cells(categories.flips_by_category(run))
    long = cells.assign(category="a very long name of a category " + cells["category"])
    figure = category_figures.by_category(long)
    assert figure.data[0].z.shape[1] == cells["category"].nunique()
    assert len(set(figure.data[0].x)) == cells["category"].nunique()
    np.testing.assert_array_equal(figure.data[0].z, category_figures.by_category(cells).data[0].z)


def test_without_measures_the_frames_are_empty_or_unknown(bare: Run):
    assert frames.gains(bare).empty
    right = frames.correctness(bare)
    assert right[["precision", "precision_low", "recall", "recall_high"]].isna().all(axis=None)
    assert frames.label_counts(bare)["prevalence_verified"].isna().all()


def test_empty_frames_make_figures_that_say_so(bare: Run):
    counts = frames.label_counts(bare)
    cells = categories.cells(categories.flips_by_category(bare))
    for figure in (
        figures.ap_gain(frames.gains(bare)),
        figures.flips(counts.iloc[:0]),
        figures.prevalence(counts.iloc[:0]),
        figures.precision_recall(frames.correctness(bare)),
        category_figures.by_category(cells.iloc[:0]),
        category_figures.by_category(cells, "precision"),
    ):
        assert not figure.data
        assert figure.layout.annotations[0].text


def test_figures_show_the_numbers_in_typed_arrays(run: Run):
    gains, counts, right = frames.gains(run), frames.label_counts(run), frames.correctness(run)
    cells = categories.cells(categories.flips_by_category(run))
    made = {
        "gain": figures.ap_gain(gains),
        "flips": figures.flips(counts),
        "prevalence": figures.prevalence(counts),
        "right": figures.precision_recall(right),
        "category": category_figures.by_category(cells),
        "category_right": category_figures.by_category(cells, "precision"),
    }
    for figure in made.values():
        assert figure.layout.xaxis.title.text
        assert "<script" not in figure.to_json()
        for trace in figure.data:
            for name in ("x", "y", "z"):
                assert isinstance(getattr(trace, name, None), np.ndarray | type(None))
    np.testing.assert_array_equal(made["flips"].data[0].x, -counts["to_0"])
    np.testing.assert_array_equal(made["flips"].data[1].x, counts["to_1"])
    bars = {int(y): x for trace in made["gain"].data for y, x in zip(trace.y, trace.x, strict=True)}
    np.testing.assert_allclose([bars[i] for i in range(len(gains))], gains["gain"])
    shown = right[right["errors"] + right["judged"] > 0]
    np.testing.assert_allclose(made["right"].data[0].x, 100 * shown["precision"])
    error = made["right"].data[0].error_x
    known = shown["precision"].notna().to_numpy()
    np.testing.assert_allclose(
        (made["right"].data[0].x - error.arrayminus)[known], 100 * shown["precision_low"][known]
    )


def test_attributes_with_few_test_images_are_hatched(run: Run):
    gains = frames.gains(run)
    few = gains.assign(few=np.arange(len(gains)) == 1)
    figure = figures.ap_gain(few)
    assert figure.layout.showlegend
    assert [trace.marker.pattern.shape for trace in figure.data] == ["", "/"]
    assert figure.data[1].y.tolist() == [1]
    assert not figures.ap_gain(gains.assign(few=False)).layout.showlegend


@pytest.mark.parametrize(("low", "high"), [(0, 0), (-3, 900), (-1, 1), (-250, 40_000)])
def test_ticks_are_whole_and_hold_zero(low: int, high: int):
    ticks = figures._even_ticks(low, high)
    assert 0 in ticks
    assert len(ticks) <= 10
    assert ticks.dtype.kind == "i"
