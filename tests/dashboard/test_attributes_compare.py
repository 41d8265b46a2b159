"""Two runs side by side: paired where the test images are the same, said where they are not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from dashboard import load
from dashboard.figures import compare as figures
from dashboard.frames import attributes, compare
from selfml.run import Run, RunWriter
from tests.tiny_run import build_tiny_run


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(build_tiny_run(tmp_path_factory.mktemp("compare") / "one", n_images=200))


@pytest.fixture(scope="module")
def other(one: Run) -> Run:
    """The same images with other scores and corrections, rows and attributes in another order."""
    run = Run(shutil.copytree(one.path, one.path.with_name("other")))
    writer, rng = RunWriter(run.path), np.random.default_rng(3)
    order, columns = rng.permutation(200), np.array([3, 0, 5, 1, 4, 2])
    images = run.table("images").iloc[order]
    writer.write_table("images", images.assign(image_index=np.arange(200)))
    names = run.table("attributes").iloc[columns]
    writer.write_table("attributes", names.assign(attribute_index=np.arange(6)))
    for name in compare.NEEDS[2:]:
        array = np.array(run.array(name))[order][:, columns]
        if name == "probabilities":
            array = 0.6 * array + 0.4 * rng.random(array.shape)
        if name == "labels_corrected":
            given = run.array("labels_given")
            array = np.where(rng.random(array.shape) < 0.4, given, array)
        writer.write_array(name, array)
    return Run(run.path)


@pytest.mark.parametrize("measure", compare.MEASURES)
def test_a_run_does_not_differ_from_itself(one: Run, measure: str):
    found = compare.compare(one, one, measure)
    assert found.images.paired
    known = found.frame["difference"].notna()
    assert known.any()
    assert (found.frame.loc[known, ["difference", "low", "high"]] == 0).all(axis=None)
    assert found.mean["low"] == found.mean["difference"] == found.mean["high"] == 0


def _ap(run: Run, array: str, attribute: str) -> float:
    test, j = attributes.rows_of(run, "clean_test"), run.attributes.index(attribute)
    return 100 * average_precision_score(
        run.array("labels_true")[test, j], run.array(array)[test, j]
    )


def test_values_are_those_of_scikit_learn_in_any_order(one: Run, other: Run):
    found = compare.compare(one, other, "ap")
    gain = compare.compare(one, other, "gain", "baseline_0").frame.set_index("attribute")
    assert found.images == compare.SharedImages(21, 21, 21, 6, True, True)
    assert len(found.frame) == len(gain) == 6
    for row in found.frame.itertuples():
        for run, column in ((one, "value"), (other, "value_other")):
            ap = _ap(run, "probabilities", row.attribute)
            assert getattr(row, column) == pytest.approx(ap)
            over = _ap(run, "probabilities_baseline_0", row.attribute)
            assert gain.loc[row.attribute, column] == pytest.approx(ap - over)
    known = found.frame.dropna()
    assert ((known["low"] <= known["difference"]) & (known["difference"] <= known["high"])).all()


def test_the_other_way_round_is_the_opposite(one: Run, other: Run):
    for measure in compare.MEASURES:
        there, back = compare.compare(one, other, measure), compare.compare(other, one, measure)
        assert there.mean["difference"] == pytest.approx(-back.mean["difference"])
        assert there.mean["low"] == pytest.approx(-back.mean["high"])
        a, b = (f.frame.set_index("attribute").sort_index() for f in (there, back))
        np.testing.assert_allclose(a["low"], -b["high"], atol=1e-9)


def test_pairing_is_narrower_than_other_images(one: Run, other: Run, tmp_path: Path):
    renamed = Run(shutil.copytree(other.path, tmp_path / "renamed"))
    images = renamed.table("images")
    RunWriter(renamed.path).write_table(
        "images", images.assign(image_id=[f"new/{name}" for name in images["image_id"]])
    )
    paired, apart = (compare.compare(one, run, "ap") for run in (other, renamed))
    assert not apart.images.same_images
    assert apart.images.n_shared == 0
    assert paired.mean["difference"] == pytest.approx(apart.mean["difference"])
    width = [f.mean["high"] - f.mean["low"] for f in (paired, apart)]
    assert width[0] < width[1]


def test_other_verified_labels_are_not_paired(one: Run, tmp_path: Path):
    changed = Run(shutil.copytree(one.path, tmp_path / "changed"))
    truth = np.array(changed.array("labels_true"))
    truth[np.flatnonzero(attributes.rows_of(one, "clean_test"))[0], 0] ^= 1
    RunWriter(changed.path).write_array("labels_true", truth)
    images = compare.shared_images(one, changed)
    assert (images.same_images, images.same_labels, images.paired) == (True, False, False)


def test_precision_counts_judged_flips_of_the_test_images(one: Run):
    found = compare.compare(one, one, "precision").frame.set_index("attribute")
    right = attributes.correctness(one, "clean_test").set_index("attribute")
    for name in found.index:
        assert found.loc[name, "support"] == right.loc[name, "judged"]
        assert found.loc[name, "value"] == pytest.approx(
            100 * right.loc[name, "precision"], nan_ok=True
        )


def test_only_attributes_that_both_have(one: Run, tmp_path: Path):
    few = Run(build_tiny_run(tmp_path / "few", n_images=100, n_attributes=3))
    assert set(compare.compare(one, few).frame["attribute"]) == set(few.attributes)
    names = few.table("attributes")
    RunWriter(few.path).write_table("attributes", names.assign(name=["x", "y", "z"]))
    found = compare.compare(one, Run(few.path))
    assert found.frame.empty
    assert np.isnan(found.mean["difference"])
    for figure in (figures.values(found.frame, "a", "b", "AP"),
                   figures.difference(found.frame, "a", "b")):  # fmt: skip
        assert not figure.data
        assert figure.layout.annotations[0].text


def test_large_test_sets_get_fewer_resamples(one: Run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compare, "CELLS", 300 * 21 * 6 * 4)
    assert compare.compare(one, one, "precision").n_resamples == 300
    monkeypatch.setattr(compare, "CELLS", 1)
    assert compare.compare(one, one, "precision").n_resamples == compare.FEWEST_RESAMPLES
    with pytest.raises(ValueError, match="measure"):
        compare.compare(one, one, "f1")


def test_figures_show_both_runs_and_their_difference(one: Run, other: Run):
    frame = compare.compare(one, other, "ap").frame
    values = figures.values(frame, "one", "<b>", "Average precision (%)")
    assert [trace.name for trace in values.data[1:]] == ["&lt;b&gt;", "one"]
    np.testing.assert_allclose(values.data[2].x, frame["value"])
    np.testing.assert_allclose(values.data[1].x, frame["value_other"])
    difference = figures.difference(frame, "one", "other")
    marks = difference.data[0]
    np.testing.assert_allclose(marks.x, frame["difference"])
    np.testing.assert_allclose(marks.x + marks.error_x.array, frame["high"])
    assert difference.layout.xaxis.title.text == "one less other (points)"
    assert set(marks.marker.symbol) <= {"circle", "circle-open"}


def test_the_cache_notices_that_a_run_was_measured_again(one: Run, tmp_path: Path):
    run = Run(shutil.copytree(one.path, tmp_path / "measured"))
    before = load.updated(run)
    assert load.updated(run) == before
    RunWriter(run.path).write_table("attribute_metrics", run.table("attribute_metrics").iloc[:1])
    assert load.updated(run) != before
