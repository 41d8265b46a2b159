"""Figures of faithfulness: curves by the number of images, and agreement by attribute."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import theme

ALL_AT = 7  # where "all" stands on an axis that ends with 5 images
LEGEND_PX = 118  # width of a name, so that three fit beside each other in half a page
NAME = {
    "coefficients": "Top",
    "largest": "Largest",
    "random": "Random",
    "nearest_weighted": "Nearest",
    "nearest": "Nearest, equal",
    "closest": "Closest",
}
STYLE = {
    "coefficients": (theme.BASIS, "solid", "circle"),
    "largest": (theme.CATEGORICAL[0], "longdash", "triangle-up"),
    "random": (theme.NEUTRAL, "dash", "x"),
    "nearest_weighted": (theme.CATEGORICAL[2], "dot", "diamond"),
    "nearest": (theme.CATEGORICAL[1], "dashdot", "square"),
    "closest": (theme.CATEGORICAL[2], "dot", "diamond"),
}


def curves(frame: pd.DataFrame, *, x_title: str, y_title: str, percent: bool = True) -> go.Figure:
    """A line for each explanation over the number of its images taken out or kept.

    Parameters
    ----------
    frame : DataFrame
        explanation, k (-1 all), value, n (``frames.faithfulness.curves``).
    percent : bool
        Whether the axis goes from 0 to 100.
    """
    figure = go.Figure()
    theme.layout(figure, x_title=x_title, y_title=y_title, height_px=360)
    figure.update_layout(
        margin={"t": 64}, legend={"entrywidth": LEGEND_PX, "entrywidthmode": "pixels"}
    )
    if frame.empty:
        return theme.note(figure, "Not measured in this run")
    for name, part in frame.groupby("explanation", sort=False):
        color, dash, symbol = STYLE[name]
        k = part["k"].to_numpy(np.int32)
        words = np.array(["all" if n < 0 else f"{n:d}" for n in k], object)
        unit = " %" if percent else ""
        figure.add_trace(
            go.Scatter(
                x=np.where(k < 0, ALL_AT, k), y=part["value"].to_numpy(np.float64),
                mode="lines+markers", name=NAME[name],
                line={"color": color, "dash": dash, "width": 2.5 if dash == "solid" else 2},
                marker={"symbol": symbol, "size": 8, "color": color},
                customdata=np.stack([words, part["n"].to_numpy(object)], axis=1),
                hovertemplate="%{customdata[0]} images: %{y:.1f}" + unit
                + ", of %{customdata[1]:,d} flips<extra>%{fullData.name}</extra>",
            )
        )  # fmt: skip
    ticks = np.array(sorted({int(k) for k in frame["k"] if k >= 0}), np.int32)
    figure.update_xaxes(
        tickvals=np.append(ticks, ALL_AT), ticktext=np.array([*map(str, ticks), "all"], object),
        range=[ticks.min() - 0.3, ALL_AT + 0.3], zeroline=False,
    )  # fmt: skip
    if percent:
        figure.update_yaxes(range=[-3, 103], zeroline=False)
    return figure


def agreement(frame: pd.DataFrame) -> go.Figure:
    """How often both kinds of evidence make a flip, least first.

    Parameters
    ----------
    frame : DataFrame
        attribute, agree (%), n_flips (``frames.faithfulness.agreement``).
    """
    figure = go.Figure()
    height_px = int(np.clip(110 + 26 * len(frame), 240, 2400))
    theme.layout(
        figure, x_title="Flips that strict evidence makes too (%)", legend=False,
        height_px=height_px,
    )  # fmt: skip
    if frame.empty:
        return theme.note(figure, "Not measured in this run")
    rows = np.arange(len(frame), dtype=np.int32)
    names = np.array([theme.plain(name) for name in frame["attribute"]], object)
    figure.add_trace(
        go.Bar(
            orientation="h", y=rows, x=frame["agree"].to_numpy(np.float64),
            marker={"color": theme.RIGHT},
            text=np.array([f"{v:.0f} %" for v in frame["agree"]], object), textposition="auto",
            customdata=np.stack([names, frame["n_flips"].to_numpy(object)], axis=1),
            hovertemplate="%{customdata[0]}: %{x:.1f} % of %{customdata[1]:,d} flips"
            "<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(margin={"t": 8})
    figure.update_xaxes(range=[0, 101], tickvals=np.arange(0, 101, 20, dtype=np.int32))
    short = np.array([theme.shorten(name, 24) for name in frame["attribute"]], object)
    figure.update_yaxes(
        tickvals=rows, ticktext=short,
        range=[len(frame) - 0.4, -0.6], automargin=True, showgrid=False, title=None, zeroline=False,
    )  # fmt: skip
    return figure
