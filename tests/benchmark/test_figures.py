"""Figures of a made frame, tested as data."""

import numpy as np
import pandas as pd
import pytest

from selfml.benchmark import figures
from selfml.benchmark.store import empty_frame
from tests.benchmark.test_tables import frame_of

PREVALENCE = pd.Series({"rare<1>": 0.02, "common": 0.4, "never": 0.0, "unmeasured": 0.3})
GAINS = frame_of(
    ("self_ml", "500", "ap/rare<1>", [40, 44]),
    ("baseline_1", "500", "ap/rare<1>", [38, 38]),
    ("self_ml", "500", "ap/common", [90, 91]),
    ("baseline_1", "500", "ap/common", [91, None]),
    ("self_ml", "500", "ap/never", [np.nan, np.nan]),
    ("self_ml", "50", "ap/common", [80, 80]),
)
BUDGETS = frame_of(
    ("baseline_0", "-", "map", [50, 52]),
    ("self_ml", "50", "map", [60, 64]),
    ("self_ml", "200", "map", [66]),
    ("self_ml", "all", "map", [70, 71]),
    ("baseline_1", "200", "map", [62]),
    ("acquire/random", "200", "map", [62]),
)
ATOMS = frame_of(
    ("self_ml_atoms", "500", "atoms/100/label_accuracy_noisy", [95.5, 95.7]),
    ("self_ml_atoms", "500", "atoms/40/label_accuracy_noisy", [95.0, 95.5]),
    ("self_ml_atoms", "500", "atoms/40/full/label_accuracy_noisy", [96, 96]),
    ("self_ml_atoms", "500", "atoms/40/flip_f1_noisy", [75, 76]),
    ("self_ml_atoms", "500", "atoms/40/flip_f1", [70, 70]),
    ("self_ml", "500", "flip_f1_noisy", [78, 79]),
    ("baseline_1", "500", "label_accuracy_noisy", [94, 95]),
)
MAKERS = {
    "gain": lambda frame: figures.gain_by_frequency(frame, PREVALENCE),
    "budgets": figures.budget_curve,
    "atoms": figures.atoms_curve,
}


def by_name(figure):
    return {trace.name: trace for trace in figure.data}


def test_gain_is_paired_and_stands_at_its_frequency():
    (trace,) = MAKERS["gain"](GAINS).data
    np.testing.assert_allclose(trace.x, [2, 40])
    np.testing.assert_allclose(trace.y, [4, -1])  # (2 + 6) / 2; one seed has both
    np.testing.assert_allclose(trace.error_y.array, [2, 0])
    np.testing.assert_allclose(trace.error_y.arrayminus, [2, 0])
    assert list(trace.customdata) == ["rare&lt;1&gt;", "common"]
    assert not figures.gain_by_frequency(GAINS, PREVALENCE, budget="50").data


def test_budget_curve_has_means_and_ranges():
    figure = figures.budget_curve(BUDGETS)
    found = by_name(figure)
    assert list(found) == ["SELF-ML", "Baseline 0", "Baseline 1"]
    np.testing.assert_allclose(found["SELF-ML"].x, [50, 200, 400])  # all: twice the largest
    np.testing.assert_allclose(found["SELF-ML"].y, [62, 66, 70.5])
    np.testing.assert_allclose(found["SELF-ML"].error_y.array, [2, 0, 0.5])
    np.testing.assert_allclose(found["Baseline 1"].y, [np.nan, 62, np.nan])
    np.testing.assert_allclose(found["Baseline 0"].y, [51, 51, 51])
    assert found["Baseline 0"].line.dash == "dot"
    assert found["SELF-ML"].line.dash == "solid"
    assert list(figure.layout.xaxis.ticktext) == ["50", "200", "all"]
    titled = figures.budget_curve(BUDGETS, {"self_ml": "Ours"}, n_clean=1200)
    assert [trace.name for trace in titled.data] == ["Ours", "baseline_0", "baseline_1"]
    assert titled.data[0].x[-1] == 1200
    assert figures.budget_curve(BUDGETS, n_clean=100).data[0].x[-1] == 200


def test_many_methods_stay_apart():
    frame = frame_of(*((f"m{i}", "50", "map", [i]) for i in range(20)))
    looks = {(t.line.color, t.marker.symbol) for t in figures.budget_curve(frame).data}
    assert len(looks) == 20


def test_atoms_curve_has_strict_full_and_baseline_1():
    figure = figures.atoms_curve(ATOMS)
    found = by_name(figure)
    assert list(found) == [
        "Label accuracy, strict",
        "Label accuracy, full",
        "Label accuracy, Baseline 1",
        "Flip F1, strict",
        "Flip F1, full",
    ]
    strict = found["Label accuracy, strict"]
    np.testing.assert_allclose(strict.x, [40, 100])
    np.testing.assert_allclose(strict.y, [95.25, 95.6])
    np.testing.assert_allclose(found["Label accuracy, full"].y, [96, np.nan])
    np.testing.assert_allclose(found["Label accuracy, Baseline 1"].y, [94.5, 94.5])
    np.testing.assert_allclose(found["Flip F1, strict"].y, [75.5, np.nan])
    np.testing.assert_allclose(found["Flip F1, full"].y, [78.5, 78.5])  # a line of self_ml
    assert "noisy" in figure.layout.yaxis.title.text
    test = figures.atoms_curve(ATOMS, noisy=False)
    assert [trace.name for trace in test.data] == ["Flip F1, strict"]
    assert "test" in test.layout.yaxis.title.text


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("frame", [GAINS, BUDGETS, ATOMS, empty_frame()])
def test_every_figure_takes_any_frame(name, frame):
    figure = MAKERS[name](frame)
    for axis, unit in (("xaxis", ("%", "Clean images", "Atoms")), ("yaxis", ("%", "points"))):
        assert any(word in figure.layout[axis].title.text for word in unit)
    assert bool(figure.data) != bool(figure.layout.annotations)
    for trace in figure.data:
        assert isinstance(trace.x, np.ndarray)
        assert isinstance(trace.y, np.ndarray)
        assert trace.x.dtype == trace.y.dtype == np.float64
        assert (trace.x > 0).all()  # the axis is logarithmic
    assert isinstance(figure.layout.xaxis.ticktext, np.ndarray | None)


def test_no_prevalence_is_no_gain():
    assert not figures.gain_by_frequency(GAINS, pd.Series(dtype=float)).data


@pytest.mark.slow
def test_figures_are_written_with_one_copy_of_plotly(tmp_path):
    frame = pd.concat([GAINS, BUDGETS, ATOMS], ignore_index=True)
    paths = figures.write_figures(frame, PREVALENCE, tmp_path / "new", titles={"self_ml": "Ours"})
    assert [path.name for path in paths] == ["gain.html", "budgets.html", "atoms.html"]
    assert {p.name for p in paths[0].parent.iterdir()} == {p.name for p in paths} | {
        "plotly.min.js"
    }
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert 'src="plotly.min.js"' in text
        assert len(text) < 100_000
    assert "Ours" in paths[1].read_text(encoding="utf-8")
