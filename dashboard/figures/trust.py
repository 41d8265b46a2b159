"""Figures of trust: is the confidence honest, and is what was promised of accepted flips kept?"""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import theme
from dashboard.frames.trust import DIRECTION_NAMES

COLOR = {"to_1": theme.TO_1, "to_0": theme.TO_0}
SYMBOL = {"to_1": "circle", "to_0": "diamond"}


def reliability(table: pd.DataFrame, *, largest_px: float = 26.0) -> go.Figure:
    """Share of right flips against confidence; on the diagonal the confidence is honest.

    Parameters
    ----------
    table : DataFrame
        ``reliability.parquet`` of one direction or of both; may be empty.
    largest_px : float
        Diameter of the bin with most flips; areas are in proportion to the flips of a bin.
    """
    figure = go.Figure()
    theme.layout(
        figure,
        x_title="Confidence (mean of a bin)",
        y_title="Share that is right (test images)",
        legend=False,
        height_px=360,
    )
    figure.update_layout(margin={"t": 8})
    if table.empty:
        return theme.note(figure, "No flips with a verified label on test images")
    figure.add_scatter(
        x=np.array([0.0, 1.0]), y=np.array([0.0, 1.0]), mode="lines", hoverinfo="skip",
        line={"color": theme.NEUTRAL, "dash": "dash", "width": 1.5}, name="Honest",
    )  # fmt: skip
    count, observed = (table[name].to_numpy(np.float64) for name in ("count", "observed"))
    figure.add_scatter(
        x=table["mean_confidence"].to_numpy(np.float64),
        y=observed,
        mode="lines+markers",
        name="Flips",
        line={"color": theme.CORRECTED, "width": 2},
        marker={
            "size": np.maximum(np.sqrt(count / count.max()) * largest_px, 6.0),
            "color": theme.CORRECTED,
            "line": {"width": 0},
        },
        error_y={
            "type": "data", "symmetric": False, "thickness": 1.5, "width": 4,
            "array": table["high"].to_numpy(np.float64) - observed,
            "arrayminus": observed - table["low"].to_numpy(np.float64),
            "color": theme.NEUTRAL,
        },
        customdata=table[["count", "low", "high"]].to_numpy(np.float64),
        hovertemplate="Confidence %{x:.1%}<br>right %{y:.1%} of %{customdata[0]:,.0f} flips"
        "<br>95 % interval %{customdata[1]:.1%} to %{customdata[2]:.1%}<extra></extra>",
    )  # fmt: skip
    low = min(float(table["bin_low"].min()), float(table["low"].min()))
    figure.update_xaxes(range=[float(table["bin_low"].min()) - 0.02, 1.02], tickformat=".0%")
    figure.update_yaxes(range=[max(low - 0.05, -0.02), 1.03], tickformat=".0%")
    return figure


def realised(table: pd.DataFrame, *, precision: float) -> go.Figure:
    """Precision of accepted flips, once for each time that other images were set aside.

    Parameters
    ----------
    table : DataFrame
        ``realised.parquet``; may be empty.
    precision : float
        What was promised, in 0..1.
    """
    figure = go.Figure()
    theme.layout(
        figure, x_title="Accepted flips that are right", y_title="", legend=False, height_px=200
    )
    figure.update_layout(margin={"t": 30})
    drawn = table[(table["resample"] > 0) & table["precision"].notna()]
    if drawn.empty:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
        return theme.note(figure, "Nothing was accepted in any draw")
    figure.add_vline(
        x=precision, line={"color": theme.NEUTRAL, "dash": "dash", "width": 1.5},
        annotation_text=f"promised {precision:.0%}", annotation_position="top",
    )  # fmt: skip
    shown = [d for d in reversed(DIRECTION_NAMES) if (drawn["direction"] == d).any()]
    for place, direction in enumerate(shown):
        own = drawn[drawn["direction"] == direction]
        spread = np.linspace(-0.22, 0.22, len(own)) if len(own) > 1 else np.zeros(1)
        figure.add_scatter(
            x=own["precision"].to_numpy(np.float64),
            y=place + spread,
            mode="markers",
            name=DIRECTION_NAMES[direction],
            marker={"color": COLOR[direction], "symbol": SYMBOL[direction], "size": 9,
                    "opacity": 0.8},
            customdata=own[["resample", "n_correct", "n_accepted"]].to_numpy(np.int64),
            hovertemplate="Draw %{customdata[0]}: %{customdata[1]:,} of %{customdata[2]:,} "
            "accepted flips are right (%{x:.1%})<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    names = np.array([DIRECTION_NAMES[d] for d in shown], object)
    figure.update_yaxes(
        tickvals=np.arange(len(shown)), ticktext=names, range=[-0.6, len(shown) - 0.4],
        showgrid=False, zeroline=False,
    )  # fmt: skip
    low = min(float(drawn["precision"].min()), precision)
    figure.update_xaxes(range=[low - 0.02, 1.01], tickformat=".0%")
    return figure
