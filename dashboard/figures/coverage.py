"""Figures of how well the basis covers the images."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import theme

ROW_PX = 26
#: curve -> (name in the legend, colour, dash, marker)
CURVES = {
    "pca": ("Bound: principal components", theme.NEUTRAL, "dash", "line-ew-open"),
    "farthest": ("Farthest-first, best mixture", theme.CATEGORICAL[2], "dot", "square"),
    "hull": ("This basis, best mixture", theme.BASIS, "solid", "diamond"),
    "learned": ("This basis, as learned", theme.CATEGORICAL[0], "solid", "circle"),
}
COVERED, UNCOVERED = theme.BASIS, theme.WRONG


def variance(curves: pd.DataFrame) -> go.Figure:
    """Explained variance of the features by number of basis images.

    Parameters
    ----------
    curves : DataFrame
        curve, n_atoms, value (%), n_images (``frames.coverage.curves``).
    """
    figure = go.Figure()
    theme.layout(
        figure, x_title="Number of basis images (logarithmic)",
        y_title="Explained variance of the features (%)", height_px=400,
    )  # fmt: skip
    if curves.empty:
        return theme.note(figure, "Not measured in this run")
    for name, (label, color, dash, symbol) in CURVES.items():
        rows = curves[curves["curve"] == name].sort_values("n_atoms")
        if len(rows):
            figure.add_trace(
                go.Scatter(
                    x=rows["n_atoms"].to_numpy(np.int32),
                    y=rows["value"].to_numpy(np.float64),
                    mode="lines+markers", name=label, marker={"symbol": symbol, "size": 8},
                    line={"color": color, "dash": dash, "width": 2},
                    hovertemplate=f"{label}<br>%{{x:,}} basis images: %{{y:.1f}} %<extra></extra>",
                )
            )  # fmt: skip
    lowest = float(curves["value"].min())
    figure.update_yaxes(range=[max(min(lowest * 1.05, 0.0), -50.0), 103], zeroline=True,
                        zerolinecolor=theme.NEUTRAL)  # fmt: skip
    sizes = np.unique(curves["n_atoms"].to_numpy(np.int32))
    shown = sizes[np.append(np.diff(np.log(sizes)) > 0.3, True)]
    figure.update_xaxes(type="log", tickvals=shown, ticktext=np.array([f"{k:,}" for k in shown]))
    return figure


def distances(bins: pd.DataFrame, cut: float) -> go.Figure:
    """Distances to the hull of the basis, with the line between covered and uncovered.

    Parameters
    ----------
    bins : DataFrame
        low, high, n, reference (``frames.coverage.distance_bins``).
    cut : float
        ``inf`` where there is none.
    """
    figure = go.Figure()
    theme.layout(
        figure, x_title="Distance to the hull of the basis (feature units)", y_title="Images",
        height_px=400,
    )  # fmt: skip
    if bins.empty:
        return theme.note(figure, "No distances in this run")
    middle = ((bins["low"] + bins["high"]) / 2).to_numpy(np.float64)
    beyond = middle > cut
    for name, color, mask in (("Covered", COVERED, ~beyond), ("Not covered", UNCOVERED, beyond)):
        part = bins[mask]
        if part.empty:
            continue
        figure.add_trace(
            go.Bar(
                name=name, x=middle[mask], y=part["n"].to_numpy(np.int64),
                width=(part["high"] - part["low"]).to_numpy(np.float64),
                customdata=part[["low", "high"]].to_numpy(np.float64), marker={"color": color},
                hovertemplate=f"{name}: %{{y:,}} images<br>distance %{{customdata[0]:.3g}} to "
                "%{customdata[1]:.3g}<extra></extra>",
            )
        )  # fmt: skip
    if bins["reference"].sum() > 0:
        figure.add_trace(
            go.Scatter(
                name="Verified test images, same total", x=middle,
                y=bins["reference"].to_numpy(np.float64), mode="lines",
                line={"color": theme.NEUTRAL, "width": 2, "shape": "hvh"}, hoverinfo="skip",
            )
        )  # fmt: skip
    if np.isfinite(cut):
        figure.add_vline(x=cut, line={"color": theme.NEUTRAL, "dash": "dash", "width": 1.5})
    figure.update_layout(bargap=0.04, barmode="overlay")
    return figure


def shares(groups: pd.DataFrame, expected: float) -> go.Figure:
    """Share of uncovered images by group, with its 95 % interval.

    Parameters
    ----------
    groups : DataFrame
        name, n, uncovered, share, low, high (``frames.coverage.groups``), first on top.
    expected : float
        The share (0..1) that images like the test images would have.
    """
    figure = go.Figure()
    height_px = int(np.clip(120 + ROW_PX * len(groups), 240, 1600))
    theme.layout(figure, x_title="Images not covered (%)", legend=False, height_px=height_px)
    if groups.empty:
        return theme.note(figure, "No group to show")
    share = 100 * groups["share"].to_numpy(np.float64)
    names = np.array([theme.plain(name) for name in groups["name"]], object)
    figure.add_vline(x=100 * expected, line={"color": theme.NEUTRAL, "dash": "dash", "width": 1.5})
    figure.add_trace(
        go.Scatter(
            x=share, y=np.arange(len(groups), dtype=np.int32), mode="markers",
            marker={"color": UNCOVERED, "size": 9},
            error_x={
                "type": "data", "symmetric": False, "color": theme.NEUTRAL, "thickness": 1.5,
                "array": 100 * groups["high"].to_numpy(np.float64) - share,
                "arrayminus": share - 100 * groups["low"].to_numpy(np.float64),
            },
            customdata=np.stack([names, groups["uncovered"], groups["n"]], axis=1),
            hovertemplate="%{customdata[0]}<br>%{x:.1f} %: %{customdata[1]:,} of "
            "%{customdata[2]:,} images<extra></extra>",
        )
    )  # fmt: skip
    figure.update_yaxes(
        tickvals=np.arange(len(groups), dtype=np.int32),
        ticktext=np.array([theme.shorten(name, 24) for name in groups["name"]], object),
        range=[len(groups) - 0.4, -0.6], automargin=True, showgrid=False, zeroline=False,
        title=None,
    )  # fmt: skip
    figure.update_xaxes(rangemode="tozero")
    return figure
