"""Figures of the basis view."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import theme

ROW_PX = 24
LABEL_WORDS = np.array(["unknown", "no", "yes"], object)
_FAINT_NO = "rgba(209,105,11,0.45)"


def mass(atoms: pd.DataFrame) -> go.Figure:
    """How few basis images carry how much: the cumulated share of all coefficients.

    Parameters
    ----------
    atoms : DataFrame
        basis_index, usage, share and cumulated, most used first (``frames.basis.atoms``).
    """
    figure = go.Figure()
    theme.layout(
        figure, x_title="Basis images, most used first", y_title="Share of all coefficients (%)",
        legend=False, height_px=300,
    )  # fmt: skip
    if atoms.empty:
        return theme.note(figure, "No basis image is in use")
    rank = np.arange(1, len(atoms) + 1, dtype=np.int32)
    hover = np.stack([atoms["basis_index"], atoms["usage"], 100 * atoms["share"]], axis=1)
    figure.add_trace(
        go.Scatter(
            x=rank, y=(100 * atoms["cumulated"]).to_numpy(np.float32), mode="lines+markers",
            customdata=hover, line={"color": theme.BASIS, "width": 2}, marker={"size": 5},
            fill="tozeroy",
            hovertemplate="the first %{x}: %{y:.1f} %<br>basis image %{customdata[0]:d}: "
            "%{customdata[2]:.2f} %, used by %{customdata[1]:,d} images<extra></extra>",
        )
    )  # fmt: skip
    figure.add_hline(y=95, line={"color": theme.NEUTRAL, "dash": "dot", "width": 1})
    figure.update_yaxes(range=[0, 104])
    return figure


def coverage(matrix: pd.DataFrame) -> go.Figure:
    """Verified labels, attributes by basis images.

    Parameters
    ----------
    matrix : DataFrame
        int8, 1 yes, 0 no, -1 unknown (``frames.basis.label_matrix``).
    """
    figure = go.Figure()
    height_px = int(np.clip(110 + ROW_PX * len(matrix), 260, 1600))
    theme.layout(figure, x_title="Basis image, most used first", legend=False, height_px=height_px)
    if matrix.empty or not len(matrix.columns):
        return theme.note(figure, "No basis image is in use")
    values = matrix.to_numpy(np.int8)
    attributes = np.array([theme.plain(name) for name in matrix.index], object)
    columns = matrix.columns.to_numpy()
    figure.add_trace(
        go.Heatmap(
            z=values,
            x=np.array([str(k) for k in columns], object),
            y=np.arange(len(matrix), dtype=np.int32),
            customdata=np.stack(
                [np.broadcast_to(attributes[:, None], values.shape), LABEL_WORDS[values + 1]],
                axis=-1,
            ),
            zmin=-1, zmax=1, xgap=1, ygap=1, showscale=False,
            colorscale=[[0, theme.NEUTRAL_FAINT], [0.33, theme.NEUTRAL_FAINT],
                        [0.33, _FAINT_NO], [0.67, _FAINT_NO], [0.67, theme.TO_1], [1, theme.TO_1]],
            hovertemplate="%{customdata[0]}<br>basis image %{x}: %{customdata[1]}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(
        tickvals=np.arange(len(matrix), dtype=np.int32),
        ticktext=np.array([theme.shorten(name) for name in matrix.index], object),
        showgrid=False, zeroline=False, title=None, autorange="reversed",
    )  # fmt: skip
    return figure


def explained_variance(values: pd.DataFrame) -> go.Figure:
    """Explained variance of the features by the basis, and what bounds it.

    Parameters
    ----------
    values : DataFrame
        name, value (%), in order.
    """
    figure = go.Figure()
    theme.layout(figure, x_title="Explained variance of the features (%)", legend=False,
                 height_px=230)  # fmt: skip
    if values.empty:
        return theme.note(figure, "Not measured in this run")
    value = values["value"].to_numpy(np.float64)
    colors = np.array([theme.BASIS] + [theme.NEUTRAL] * (len(values) - 1), object)
    figure.add_trace(
        go.Bar(
            orientation="h", x=value, y=values["name"].to_numpy(object), marker={"color": colors},
            text=np.array([f"{v:.1f} %" for v in value], object), textposition="auto",
            hovertemplate="%{y}: %{x:.2f} %<extra></extra>",
        )
    )  # fmt: skip
    figure.update_xaxes(range=[min(0.0, float(value.min())), 100])
    figure.update_yaxes(autorange="reversed", automargin=True, title=None)
    return figure
