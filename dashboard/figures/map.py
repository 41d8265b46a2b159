"""The map as a figure: typed arrays, one WebGL plot, nothing that changes between reruns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import theme
from dashboard.figures.density import add_density
from dashboard.frames.density import Density

HEIGHT_PX = 620
MANY_MARKS, MANY_BASIS = 1_000, 200  # above it marks are smaller, or they would hide the map
# Groups that are not categories keep one colour each in every run.
FIXED = {
    "other": theme.NEUTRAL,
    "no category": theme.NEUTRAL,
    "unknown": theme.NEUTRAL_FAINT,
    "does not have it": theme.NEUTRAL,
    "has it": theme.CORRECTED,
    "not changed": theme.NEUTRAL,
    "label added": theme.TO_1,
    "label removed": theme.TO_0,
    "no flips": theme.NEUTRAL,
    "1 flip": theme.CATEGORICAL[6],
    "2 flips": theme.CATEGORICAL[3],
    "3 or more flips": theme.CATEGORICAL[1],
}


def _sizes(n_points: int) -> tuple[float, float]:
    """Diameter in pixels and opacity, so that small and large runs both read well."""
    if n_points <= 500:
        return 8.0, 0.85
    if n_points <= 5_000:
        return 5.5, 0.75
    if n_points <= 30_000:
        return 4.0, 0.6
    return (3.0, 0.5) if n_points <= 80_000 else (2.0, 0.5)


def _trace(
    rows: pd.DataFrame, name: str, marker: dict, label: str, *, legend: bool = True
) -> go.Scattergl:
    return go.Scattergl(
        x=rows["x"].to_numpy(np.float32),
        y=rows["y"].to_numpy(np.float32),
        customdata=rows["image_index"].to_numpy(np.int32),
        mode="markers",
        name=theme.plain(name),
        marker=marker,
        showlegend=legend,
        selected={"marker": {"opacity": 1.0}},
        unselected={"marker": {"opacity": 0.18}},
        hovertemplate=f"{label}<br>Image %{{customdata}}<extra></extra>",
    )


def colours(names: Sequence[str]) -> list[str]:
    """One colour a group; categories take the palette in order."""
    palette = iter(theme.CATEGORICAL)
    return [FIXED[name] if name in FIXED else next(palette, theme.NEUTRAL) for name in names]


def scatter(
    points: pd.DataFrame,
    values: np.ndarray,
    names: Sequence[str],
    basis: pd.DataFrame,
    hulls: Mapping[str, np.ndarray],
    *,
    map_name: str,
    value_title: str,
    faded: bool = False,
    beneath: Density | None = None,
    n_uncovered: int | None = None,
) -> go.Figure:
    """The images in the map, the basis images and uncovered ones marked, the hull drawn.

    Parameters
    ----------
    points : DataFrame
        ``image_index``, ``x``, ``y``, ``uncovered``; may be empty.
    values, names
        From ``frames.map.colour``.
    basis : DataFrame
        From ``frames.map.basis_points``.
    hulls : mapping of str to (V, 2) array
        From ``frames.map.hulls``.
    map_name, value_title : str
        For the axes and the colour bar.
    faded : bool
        Draw the points that are not marked as uncovered faintly.
    beneath : Density, optional
        Of all images, where ``points`` are only some of them.
    n_uncovered : int, optional
        Of all images; without it, of ``points``.
    """
    figure = go.Figure()
    if beneath is not None:
        add_density(figure, beneath)
    size, opacity = _sizes(len(points))
    opacity = opacity / 4 if faded else opacity
    if names:
        _add_groups(figure, points, values, names, size, opacity)
    else:
        bar = {"title": {"text": value_title, "side": "right"}, "thickness": 12, "len": 0.8}
        marker = {
            "size": size, "opacity": opacity, "color": values, "colorscale": theme.SEQUENTIAL,
            "colorbar": bar, "showscale": bool(len(points)),
        }  # fmt: skip
        if len(points):  # the few far ones would take all the colours otherwise
            marker |= dict(zip(("cmin", "cmax"), np.nanpercentile(values, [1, 99]), strict=True))
        label = f"{theme.plain(value_title)} %{{marker.color:.3f}}"
        figure.add_trace(_trace(points, "Images", marker, label, legend=False))
    _add_hulls(figure, hulls)
    _add_uncovered(figure, points, size, n_uncovered)
    _add_basis(figure, basis)
    theme.layout(
        figure,
        x_title=f"{map_name}, first axis (no unit)",
        y_title=f"{map_name}, second axis (no unit)",
        height_px=HEIGHT_PX,
    )
    figure.update_layout(
        dragmode="lasso",
        hovermode="closest",
        selectionrevision="fixed",
        modebar_orientation="v",
    )
    figure.update_xaxes(zeroline=False, showgrid=False, showticklabels=False)
    figure.update_yaxes(zeroline=False, showgrid=False, showticklabels=False)
    return figure if len(points) else theme.note(figure, "No images to show here")


def _add_groups(
    figure: go.Figure,
    points: pd.DataFrame,
    values: np.ndarray,
    names: Sequence[str],
    size: float,
    opacity: float,
) -> None:
    for code, (name, color) in enumerate(zip(names, colours(names), strict=True)):
        rows = points[values == code]
        if len(rows):
            marker = {"size": size, "opacity": opacity, "color": color}
            figure.add_trace(_trace(rows, name, marker, theme.plain(name)))


def with_selections(figure: go.Figure, polygons: Sequence[np.ndarray]) -> go.Figure:
    """A copy in which these polygons, (V, 2) in map units, are drawn and selected."""
    drawn = [
        {
            "type": "path",
            "path": "M" + "L".join(f"{x:.6g},{y:.6g}" for x, y in corners) + "Z",
            "xref": "x",
            "yref": "y",
        }
        for corners in polygons
    ]
    return go.Figure(figure).update_layout(selections=drawn) if drawn else figure


def _add_hulls(figure: go.Figure, hulls: Mapping[str, np.ndarray]) -> None:
    """In SVG, which Plotly draws over the WebGL points; lines take no part in selections."""
    for i, corners in enumerate(hulls.values()):
        ring = np.vstack([corners, corners[:1]]).astype(np.float32)
        figure.add_trace(
            go.Scatter(
                x=ring[:, 0],
                y=ring[:, 1],
                mode="lines",
                line={"color": theme.BASIS, "width": 2, "dash": "dot"},
                name="Hull of the basis",
                legendgroup="hull",
                showlegend=i == 0,
                hoverinfo="skip",
            )
        )


def _add_uncovered(figure: go.Figure, points: pd.DataFrame, size: float, n_all: int | None) -> None:
    rows = points[points["uncovered"]]
    if rows.empty:
        return
    many = len(rows) > MANY_MARKS
    marker = {
        "size": size + (2 if many else 4), "symbol": "x-thin-open", "opacity": 0.5 if many else 0.9,
        "color": theme.WRONG, "line": {"width": 0.75 if many else 1.5, "color": theme.WRONG},
    }  # fmt: skip
    label = "Not covered by the basis"
    figure.add_trace(_trace(rows, f"Not covered ({n_all or len(rows):,})", marker, label))


def _add_basis(figure: go.Figure, basis: pd.DataFrame) -> None:
    if basis.empty:
        return
    many = len(basis) > MANY_BASIS
    marker = {
        "size": 7 if many else 11, "symbol": "diamond", "color": theme.BASIS,
        "line": {"width": 0.75 if many else 1.5, "color": "#ffffff"},
    }  # fmt: skip
    label = "Basis image, part of %{text} images"
    trace = _trace(basis, "Basis images", marker, label)
    trace.text = [f"{n:,}" for n in basis["usage"]]
    trace.unselected = {"marker": {"opacity": 0.55}}
    figure.add_trace(trace)
