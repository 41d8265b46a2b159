"""Figures of the flips view."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import theme


def waterfall(terms: pd.DataFrame, *, limits: tuple[float, float] | None = None) -> go.Figure:
    """How the log-odds terms of one label add up to its score.

    Parameters
    ----------
    terms : DataFrame
        name, help and value, in order (``frames.receipt.terms_frame``).
    limits : (float, float), optional
        Common range of the axis in log-odds, where two are compared.

    Returns
    -------
    Figure
        Bars to the right speak for the attribute, to the left against it.
    """
    figure = go.Figure()
    theme.layout(figure, x_title="Log-odds (right of 0: has it)", legend=False, height_px=330)
    figure.update_layout(margin={"t": 8})
    if terms.empty:
        return theme.note(figure, "No evidence")
    value = terms["value"].to_numpy(np.float64)
    score = float(value.sum())
    figure.add_trace(
        go.Waterfall(
            orientation="h",
            y=np.array([*terms["name"], "Score"], object),
            x=np.append(value, score),
            measure=np.array(["relative"] * len(value) + ["total"], object),
            text=np.array([f"{v:+.2f}" for v in [*value, score]], object),
            textposition="auto",
            textangle=0,
            customdata=np.array([*terms["help"], "All of the above together"], object),
            hovertemplate="%{y}: %{text}<br>%{customdata}<extra></extra>",
            increasing={"marker": {"color": theme.TO_1}},
            decreasing={"marker": {"color": theme.TO_0}},
            totals={"marker": {"color": theme.TO_1 if score > 0 else theme.TO_0,
                               "line": {"color": theme.NEUTRAL, "width": 2}}},
            connector={"line": {"color": theme.NEUTRAL, "width": 1, "dash": "dot"}},
            cliponaxis=False,
        )
    )  # fmt: skip
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    figure.update_xaxes(zeroline=True, zerolinewidth=2, zerolinecolor=theme.NEUTRAL)
    if limits is not None:
        figure.update_xaxes(range=list(limits))
    return figure


def waterfall_limits(*terms: pd.DataFrame) -> tuple[float, float]:
    """A range of the log-odds axis that holds every bar of several waterfalls, 0 included."""
    edges = np.concatenate([[0.0], *(t[c].to_numpy() for t in terms for c in ("start", "end"))])
    room = 0.2 * max(float(np.ptp(edges)), 1.0)
    return float(edges.min() - room), float(edges.max() + room)
