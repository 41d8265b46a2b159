"""Figures of the attributes view: one row an attribute, so that names stay readable."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import theme

ROW_PX = 26
PREVALENCE = (
    ("given", "As given", theme.GIVEN, "circle-open"),
    ("corrected", "Corrected", theme.CORRECTED, "circle"),
    ("verified", "Verified", theme.RIGHT, "diamond"),
)


def _by_attribute(
    frame: pd.DataFrame, x_title: str, *, legend: bool = True, empty: str = "Nothing to show yet"
) -> go.Figure:
    """An empty figure with one row for each attribute of ``frame``, first on top."""
    figure = go.Figure()
    height_px = int(np.clip(110 + ROW_PX * len(frame), 240, 2400))
    theme.layout(figure, x_title=x_title, legend=legend, height_px=height_px)
    if frame.empty:
        return theme.note(figure, empty)
    figure.update_yaxes(
        tickvals=np.arange(len(frame), dtype=np.int32),
        ticktext=np.array([theme.shorten(name, 24) for name in frame["attribute"]], object),
        range=[len(frame) - 0.4, -0.6], automargin=True, showgrid=False, title=None,
        zeroline=False,
    )  # fmt: skip
    figure.update_xaxes(zeroline=True, zerolinecolor=theme.NEUTRAL)
    return figure


def _rows(frame: pd.DataFrame) -> np.ndarray:
    return np.arange(len(frame), dtype=np.int32)


def _hover(frame: pd.DataFrame, *columns: str) -> np.ndarray:
    """Name, then numbers as text where NaN cannot be formatted by Plotly."""
    names = np.array([theme.plain(name) for name in frame["attribute"]], object)
    return np.stack([names, *(frame[c].to_numpy(object) for c in columns)], axis=1)


def ap_gain(gains: pd.DataFrame) -> go.Figure:
    """Average precision gained over Baseline 1, most frequent attribute on top (paper, Fig. 4).

    Parameters
    ----------
    gains : DataFrame
        Of ``frames.attributes.gains``.
    """
    empty = "This run has no gains by attribute; `selfml evaluate` measures them"
    figure = _by_attribute(
        gains, "AP gained over Baseline 1 (points)",
        legend=False, empty=empty,
    )  # fmt: skip
    if gains.empty:
        return figure
    gain = gains["gain"].to_numpy(np.float64)
    figure.add_trace(
        go.Bar(
            orientation="h", x=gain, y=_rows(gains),
            marker={"color": np.where(gain >= 0, theme.TO_1, theme.TO_0)},
            error_x={
                "type": "data", "symmetric": False, "color": theme.NEUTRAL, "thickness": 1.5,
                "array": (gains["high"] - gains["gain"]).fillna(0).to_numpy(np.float64),
                "arrayminus": (gains["gain"] - gains["low"]).fillna(0).to_numpy(np.float64),
            },
            customdata=_hover(gains, "ap_baseline_1", "ap_self_ml", "low", "high", "support"),
            hovertemplate="%{customdata[0]}<br>%{x:+.1f} points "
            "(95 %: %{customdata[3]:.1f} to %{customdata[4]:.1f})<br>"
            "%{customdata[1]:.1f} → %{customdata[2]:.1f} %<br>"
            "%{customdata[5]:,} verified test images have it<extra></extra>",
        )
    )  # fmt: skip
    return figure


def flips(counts: pd.DataFrame) -> go.Figure:
    """Labels flipped to 1 (right) and to 0 (left) by attribute (paper, Fig. 5).

    Parameters
    ----------
    counts : DataFrame
        Of ``frames.attributes.flip_counts``.
    """
    figure = _by_attribute(counts, "Flips (left: taken off, right: added)",
                           empty="No label was changed")  # fmt: skip
    if counts.empty:
        return figure
    for direction, name, color, sign in (
        ("to_0", "Taken off (to 0)", theme.TO_0, -1),
        ("to_1", "Added (to 1)", theme.TO_1, 1),
    ):
        n = counts[direction].to_numpy(np.int64)
        hover = _hover(counts, direction, f"{direction}_correct", f"{direction}_judged")
        figure.add_trace(
            go.Bar(
                orientation="h", name=name, x=sign * n, y=_rows(counts),
                marker={"color": color}, customdata=hover,
                hovertemplate="%{customdata[0]}<br>%{customdata[1]:,} flips; right: "
                "%{customdata[2]:,} of %{customdata[3]:,} verified<extra>" + name + "</extra>",
            )
        )  # fmt: skip
    figure.update_layout(barmode="relative")
    ticks = _even_ticks(-int(counts["to_0"].max()), int(counts["to_1"].max()))
    words = np.array([f"{abs(t):,}" for t in ticks], object)
    figure.update_xaxes(tickvals=ticks, ticktext=words)
    return figure


def _even_ticks(low: int, high: int) -> np.ndarray:
    """About six round numbers over a range that holds 0."""
    rough = max(high - low, 1) / 6
    power = 10.0 ** np.floor(np.log10(rough))
    step = max(int(power * min(m for m in (1, 2, 5, 10) if m * power >= rough)), 1)
    return step * np.arange(low // step, high // step + 1)


def prevalence(counts: pd.DataFrame) -> go.Figure:
    """How often each attribute is listed: as given, corrected, and where verified.

    Parameters
    ----------
    counts : DataFrame
        Of ``frames.attributes.label_counts``.
    """
    figure = _by_attribute(counts, "Images that have it (% of the known labels)")
    if counts.empty:
        return figure
    rows = _rows(counts)
    gap = np.full(len(counts), np.nan)
    ends = [100 * counts[f"prevalence_{name}"].to_numpy(np.float64) for name, *_ in PREVALENCE[:2]]
    figure.add_trace(
        go.Scatter(
            x=np.stack([*ends, gap], axis=1).ravel(),
            y=np.stack([rows, rows, gap], axis=1).ravel(),
            mode="lines", line={"color": theme.NEUTRAL_FAINT, "width": 4},
            hoverinfo="skip", showlegend=False,
        )
    )  # fmt: skip
    for name, words, color, symbol in PREVALENCE:
        figure.add_trace(
            go.Scatter(
                x=100 * counts[f"prevalence_{name}"].to_numpy(np.float64), y=rows, name=words,
                mode="markers", marker={"color": color, "symbol": symbol, "size": 10},
                customdata=_hover(counts),
                hovertemplate="%{customdata[0]}: %{x:.1f} %<extra>" + words + "</extra>",
            )
        )  # fmt: skip
    figure.update_xaxes(rangemode="tozero")
    return figure


def precision_recall(counts: pd.DataFrame) -> go.Figure:
    """How many flips are right, and how many wrong labels were found, where truth is known.

    Parameters
    ----------
    counts : DataFrame
        Of ``frames.attributes.label_counts``; attributes without a verified label are left out.
    """
    known = counts[counts["errors"] + counts["judged"] > 0].reset_index(drop=True)
    figure = _by_attribute(
        known, "Share (%)", empty="No verified labels to compare with; add them to clean.csv"
    )
    if known.empty:
        return figure
    for column, words, color, symbol, part, whole in (
        ("precision", "Flips that are right", theme.CORRECTED, "circle", "right", "judged"),
        ("recall", "Wrong labels found", theme.CATEGORICAL[1], "diamond", "right", "errors"),
    ):
        figure.add_trace(
            go.Scatter(
                x=100 * known[column].to_numpy(np.float64), y=_rows(known), name=words,
                mode="markers", marker={"color": color, "symbol": symbol, "size": 10},
                customdata=_hover(known, part, whole),
                hovertemplate="%{customdata[0]}: %{x:.1f} % (%{customdata[1]:,} of "
                "%{customdata[2]:,})<extra>" + words + "</extra>",
            )
        )  # fmt: skip
    figure.update_xaxes(range=[-2, 102])
    return figure


def by_category(matrix: pd.DataFrame) -> go.Figure:
    """Flips per 100 images, attributes by categories.

    Parameters
    ----------
    matrix : DataFrame
        Of ``frames.attributes.category_matrix``.
    """
    names = pd.DataFrame({"attribute": matrix.index.to_numpy(object)})
    figure = _by_attribute(names, "Category", legend=False, empty="No label was changed")
    if matrix.empty:
        return figure
    values = matrix.to_numpy(np.float64)
    attribute = np.array([theme.plain(name) for name in matrix.index], object)
    figure.add_trace(
        go.Heatmap(
            z=values, y=_rows(names), colorscale=theme.SEQUENTIAL, zmin=0, xgap=1, ygap=1,
            x=np.array([theme.shorten(c) for c in matrix.columns], object),
            customdata=np.broadcast_to(attribute[:, None], values.shape),
            text=np.array([[f"{v:.0f}" if v >= 0.5 else "" for v in row] for row in values]),
            texttemplate="%{text}",
            hovertemplate="%{customdata}, %{x}: %{z:.1f} flips per 100 images<extra></extra>",
            colorbar={"title": {"text": "Flips per<br>100 images"}, "thickness": 12},
        )
    )  # fmt: skip
    figure.update_xaxes(type="category", showgrid=False)
    return figure
