"""The waterfall: its bars end where the score is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dashboard.figures import flips as figures
from dashboard.figures import theme


def terms(*values: float) -> pd.DataFrame:
    value = np.array(values, np.float64)
    end = np.cumsum(value)
    names = [f"term {n}" for n in range(len(value))]
    return pd.DataFrame(
        {"name": names, "help": names, "value": value, "start": end - value, "end": end}
    )


def test_the_bars_are_the_terms_and_the_score():
    trace = figures.waterfall(terms(-0.2, 3.0, -0.5)).data[0]
    assert isinstance(trace.x, np.ndarray)
    np.testing.assert_allclose(trace.x, [-0.2, 3.0, -0.5, 2.3])
    assert list(trace.measure) == ["relative"] * 3 + ["total"]
    assert list(trace.text) == ["-0.20", "+3.00", "-0.50", "+2.30"]
    assert trace.totals.marker.color == theme.TO_1


def test_a_score_against_the_attribute_has_the_other_colour():
    trace = figures.waterfall(terms(-1.0, 0.25)).data[0]
    assert trace.totals.marker.color == theme.TO_0


def test_the_axis_is_named_and_shared():
    limits = figures.waterfall_limits(terms(-2.0, 5.0), terms(1.0))
    assert limits[0] < -2.0
    assert limits[1] > 3.0
    figure = figures.waterfall(terms(1.0), limits=limits)
    assert figure.layout.xaxis.title.text == "Log-odds (right of 0: has it)"
    assert tuple(figure.layout.xaxis.range) == pytest.approx(limits)


def test_without_terms_the_figure_says_so():
    figure = figures.waterfall(terms())
    assert not figure.data
    assert figure.layout.annotations[0].text == "No evidence"
    assert figures.waterfall_limits(terms()) == pytest.approx((-0.2, 0.2))
