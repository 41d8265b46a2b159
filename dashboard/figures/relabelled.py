"""Figures of a relabelled catalogue."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import theme


def distances(bins: pd.DataFrame, cut: float = np.inf, source: str = "") -> go.Figure:
    """Bars: hull distances of the catalogue; a line: those of the run that relabelled it.

    Parameters
    ----------
    bins : DataFrame
        low, high, here, there (``frames.relabelled.distances``); may be empty.
    cut : float
        Where an image begins to be uncovered; ``inf``: nowhere.
    source : str
        The name of that run; empty: it is not drawn.
    """
    figure = go.Figure()
    theme.layout(
        figure, x_title="Distance to the hull of the basis (feature units)",
        y_title="Images (% of each)", height_px=360,
    )  # fmt: skip
    if bins.empty:
        return theme.note(figure, "No distances in this run")
    ends = bins[["low", "high"]].to_numpy(np.float64)
    middle, width = ends.mean(axis=1), ends[:, 1] - ends[:, 0]
    says = "%{y:.1f} % of the images<br>distance %{customdata[0]:.3g} to %{customdata[1]:.3g}"
    figure.add_bar(
        name="This catalogue", x=middle, y=bins["here"].to_numpy(np.float64), width=width,
        customdata=ends, marker={"color": theme.CORRECTED}, hovertemplate=says + "<extra></extra>",
    )  # fmt: skip
    if source:
        figure.add_scatter(
            name=f"{theme.shorten(source)}, not seen in training", x=middle,
            y=bins["there"].to_numpy(np.float64), mode="lines", customdata=ends,
            line={"color": theme.CATEGORICAL[1], "width": 2, "shape": "hvh"},
            hovertemplate=says + "<extra></extra>",
        )  # fmt: skip
    if np.isfinite(cut):
        figure.add_vline(x=cut, line={"color": theme.NEUTRAL, "dash": "dash", "width": 1.5})
    figure.update_layout(bargap=0.04)
    return figure
