"""Figures of the overview."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import theme

COLOR = {"Given": theme.GIVEN, "Corrected": theme.CORRECTED, "Verified": theme.RIGHT}
LOSS_NAME = {
    "loss": "Total",
    "loss_class": "Classification",
    "loss_bs": "Basis selection",
    "loss_ef": "Label flipping",
}


def _bars(frame: pd.DataFrame, value: str, kinds: tuple[str, ...], digits: int) -> go.Figure:
    figure = go.Figure()
    for kind in reversed(kinds):  # the first one ends on top
        rows = frame[frame["labels"] == kind]
        values = rows[value].to_numpy(np.float64)
        figure.add_bar(
            y=rows["set"].astype(str).to_numpy(object),
            x=values,
            orientation="h",
            name=kind,
            marker_color=COLOR[kind],
            text=[f"{v:.{digits}f}" for v in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate=f"%{{y}}<br>{kind}: %{{x:.{digits}f}}<extra></extra>",
        )
    figure.update_layout(legend_traceorder="reversed", barmode="group")
    return figure


def labels_per_image(noise: pd.DataFrame) -> go.Figure:
    """Bars: how many labels an image has, as given, corrected and verified.

    Parameters
    ----------
    noise : DataFrame
        From ``frames.overview.noise``; may be empty.
    """
    figure = _bars(noise, "labels_per_image", ("Given", "Corrected", "Verified"), 2)
    theme.layout(figure, x_title="Labels per image (mean count)", y_title="", height_px=300)
    if noise.empty:
        return theme.note(figure, "No verified labels to compare with")
    figure.update_xaxes(range=[0, 1.15 * float(noise["labels_per_image"].max() or 1)])
    return figure


def wrong_labels(noise: pd.DataFrame) -> go.Figure:
    """Bars: share of wrong labels before and after the correction, in percent."""
    figure = _bars(noise, "wrong_percent", ("Given", "Corrected"), 1)
    theme.layout(figure, x_title="Wrong labels (% of all labels)", y_title="", height_px=300)
    if noise.empty:
        return theme.note(figure, "No verified labels to compare with")
    figure.update_xaxes(range=[0, 1.15 * float(np.nanmax([1e-9, *noise["wrong_percent"]]))])
    return figure


def losses(curves: pd.DataFrame) -> go.Figure:
    """Lines: each loss over the steps of all stages.

    Parameters
    ----------
    curves : DataFrame
        From ``frames.overview.losses``; may be empty.
    """
    figure = go.Figure()
    known = list(LOSS_NAME)
    names = sorted(
        curves["name"].unique(), key=lambda n: (known.index(n) if n in known else len(known), n)
    )
    for i, name in enumerate(names):
        rows = curves[curves["name"] == name]
        figure.add_scatter(
            x=rows["position"].to_numpy(np.float32),
            y=rows["value"].to_numpy(np.float32),
            mode="lines",
            name=LOSS_NAME.get(name, theme.plain(name.removeprefix("loss_").replace("_", " "))),
            line={"color": theme.CATEGORICAL[i % len(theme.CATEGORICAL)], "width": 2},
            hovertemplate="Step %{x:,.0f}: %{y:.4g}<extra>%{fullData.name}</extra>",
        )
    theme.layout(figure, x_title="Training step", y_title="Loss (no unit)", height_px=320)
    figure.update_yaxes(rangemode="tozero")
    return figure if len(names) else theme.note(figure, "No losses written yet")
