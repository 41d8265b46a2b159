"""The colours: contrast on both backgrounds, and apart for readers with a red-green weakness."""

from __future__ import annotations

import tomllib
from itertools import combinations
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

from dashboard.figures import theme

MARKS = {
    *(*theme.CATEGORICAL, theme.NEUTRAL, theme.BASIS),
    *(theme.TO_1, theme.TO_0, theme.RIGHT, theme.WRONG),
}
# Machado, Oliveira and Fernandes 2009, full severity, on linear RGB.
WEAK = {
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
}


def _linear(color: str) -> np.ndarray:
    channel = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channel <= 0.04045, channel / 12.92, ((channel + 0.055) / 1.055) ** 2.4)


def _contrast(one: str, other: str) -> float:
    weights = np.array([0.2126, 0.7152, 0.0722])
    low, high = sorted([float(weights @ _linear(c)) for c in (one, other)])
    return (high + 0.05) / (low + 0.05)


def _lab(linear: np.ndarray) -> np.ndarray:
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.array(to_xyz) @ np.clip(linear, 0, 1) / [0.9505, 1.0, 1.089]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("background", theme.BACKGROUND.values(), ids=theme.BACKGROUND)
@pytest.mark.parametrize("color", sorted(MARKS))
def test_marks_stand_out_from_the_page(color, background):
    assert _contrast(color, background) >= 3.0


@pytest.mark.parametrize("weakness", WEAK)
@pytest.mark.parametrize(
    "pair",
    [*combinations(theme.CATEGORICAL[:5], 2), (theme.TO_1, theme.TO_0), (theme.RIGHT, theme.WRONG)],
    ids="-".join,
)
def test_colours_stay_apart_without_red_or_green(pair, weakness):
    seen = [_lab(np.array(WEAK[weakness]) @ _linear(color)) for color in pair]
    assert float(np.linalg.norm(seen[0] - seen[1])) > 15


def test_the_backgrounds_are_those_of_the_configuration():
    file = Path(__file__).resolve().parents[2] / ".streamlit" / "config.toml"
    dark = tomllib.loads(file.read_text())["theme"]["dark"]["backgroundColor"]
    assert dark == theme.BACKGROUND["dark"]


def test_layout_titles_the_axes():
    figure = theme.layout(go.Figure(), "A title", x_title="Step", y_title="Loss (no unit)")
    assert figure.layout.xaxis.title.text == "Step"
    assert figure.layout.yaxis.title.text == "Loss (no unit)"
    assert figure.layout.uirevision == "fixed"


def test_text_from_a_catalogue_is_shown_as_it_is():
    assert theme.plain("<b>&") == "&lt;b&gt;&amp;"
    assert theme.shorten("x" * 60, 10) == "x" * 9 + "…"
    assert theme.shorten("<i>", 10) == "&lt;i&gt;"
