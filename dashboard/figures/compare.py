"""Two runs side by side: the values of both, and the difference with its interval."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import theme
from dashboard.figures.attributes import by_attribute, hover, interval, rows, whiskers

EMPTY = "The runs have no attribute in common"


def values(frame: pd.DataFrame, run: str, other: str, title: str) -> go.Figure:
    """A mark for each run on the line of an attribute.

    Parameters
    ----------
    frame : DataFrame
        Of ``frames.compare.compare``.
    run, other : str
        Names of the runs.
    title : str
        What is compared, with its unit.
    """
    figure = by_attribute(frame, title, empty=EMPTY)
    if frame.empty:
        return figure
    y, gap = rows(frame), np.full(len(frame), np.nan)
    ends = [frame[name].to_numpy(np.float64) for name in ("value", "value_other")]
    figure.add_trace(
        go.Scatter(
            x=np.stack([*ends, gap], axis=1).ravel(), y=np.stack([y, y, gap], axis=1).ravel(),
            mode="lines", line={"color": theme.NEUTRAL_FAINT, "width": 4},
            hoverinfo="skip", showlegend=False,
        )
    )  # fmt: skip
    for column, support, name, color, symbol in (
        ("value_other", "support_other", other, theme.NEUTRAL, "circle-open"),
        ("value", "support", run, theme.CATEGORICAL[0], "circle"),
    ):
        figure.add_trace(
            go.Scatter(
                x=frame[column].to_numpy(np.float64), y=y, name=theme.shorten(name, 32),
                mode="markers",
                marker={
                    "color": color, "symbol": symbol, "size": 10,
                    "line": {"width": 2, "color": color},
                },
                customdata=hover(frame, support),
                hovertemplate="%{customdata[0]}: %{x:.1f}, measured on %{customdata[1]:,}"
                f"<extra>{theme.shorten(name)}</extra>",
            )
        )  # fmt: skip
    return figure


def difference(frame: pd.DataFrame, run: str, other: str) -> go.Figure:
    """The first run less the second, with 95 % intervals; few images or flips are open marks.

    Parameters
    ----------
    frame : DataFrame
        Of ``frames.compare.compare``.
    run, other : str
        Names of the runs.
    """
    names = f"{theme.shorten(run, 20)} less {theme.shorten(other, 20)} (points)"
    figure = by_attribute(frame, names, legend=False, empty=EMPTY)
    if frame.empty:
        return figure
    value, low, high = (frame[c].to_numpy(np.float64) for c in ("difference", "low", "high"))
    color = np.where(value >= 0, theme.TO_1, theme.TO_0)
    figure.add_trace(
        go.Scatter(
            x=value, y=rows(frame), mode="markers",
            marker={
                "color": color, "size": 10, "line": {"width": 2, "color": color},
                "symbol": np.where(frame["few"], "circle-open", "circle"),
            },
            error_x=whiskers(value, low, high),
            customdata=hover(frame, interval(frame, "low", "high"), "support", "support_other"),
            hovertemplate="%{customdata[0]}: %{x:+.1f} points (%{customdata[1]})<br>measured on "
            "%{customdata[2]:,} and %{customdata[3]:,}<extra></extra>",
        )
    )  # fmt: skip
    figure.add_vline(x=0, line={"color": theme.NEUTRAL, "width": 1})
    return figure
