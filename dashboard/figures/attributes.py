"""Figures of the attributes view: one row an attribute, so that names stay readable."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import theme
from dashboard.frames.attributes import MIN_SUPPORT

ROW_PX = 26
FEW = f"Fewer than {MIN_SUPPORT}"
PREVALENCE = (
    ("given", "As given", theme.GIVEN, "circle-open"),
    ("corrected", "Corrected", theme.CORRECTED, "circle"),
    ("verified", "Verified", theme.RIGHT, "diamond"),
)


def by_attribute(
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


def rows(frame: pd.DataFrame) -> np.ndarray:
    """Where the attributes of a figure are: 0, 1, 2, ... from the top."""
    return np.arange(len(frame), dtype=np.int32)


def hover(frame: pd.DataFrame, *columns: str | np.ndarray) -> np.ndarray:
    """Name, then columns or texts as they are: Plotly cannot format NaN."""
    names = np.array([theme.plain(name) for name in frame["attribute"]], object)
    values = [frame[c].to_numpy(object) if isinstance(c, str) else c for c in columns]
    return np.stack([names, *values], axis=1)


def interval(frame: pd.DataFrame, low: str, high: str, form: str = "+.1f") -> np.ndarray:
    """Intervals in words, one a row."""
    return np.array(
        [
            f"95 %: {a:{form}} to {b:{form}}" if np.isfinite([a, b]).all() else "no interval"
            for a, b in zip(frame[low], frame[high], strict=True)
        ],
        object,
    )


def whiskers(value: np.ndarray, low: np.ndarray, high: np.ndarray) -> dict[str, object]:
    """Plotly's error bars from a value and its interval; none where that is not known."""
    return {
        "type": "data", "symmetric": False, "color": theme.NEUTRAL, "thickness": 1.5, "width": 4,
        "array": np.nan_to_num(np.maximum(high - value, 0)),
        "arrayminus": np.nan_to_num(np.maximum(value - low, 0)),
    }  # fmt: skip


def ap_gain(gains: pd.DataFrame, baseline: str = "Baseline 1") -> go.Figure:
    """Average precision gained over a baseline, most frequent on top (paper, Fig. 4).

    Parameters
    ----------
    gains : DataFrame
        Of ``frames.attributes.gains``.
    baseline : str
        What the gain is over, in words.
    """
    figure = by_attribute(
        gains, f"AP gained over {baseline} (points)", legend=bool(gains["few"].any()),
        empty="This run has no gains by attribute",
    )  # fmt: skip
    few = gains["few"].to_numpy(bool)
    for is_few, name in ((False, f"At least {MIN_SUPPORT} verified test images"), (True, FEW)):
        part, y = gains[few == is_few], rows(gains)[few == is_few]
        if not part.empty:
            figure.add_trace(_gain_bars(part, y, name, is_few))
    blank = gains["gain"].isna().to_numpy()
    if blank.any():
        figure.add_trace(
            go.Scatter(
                x=np.zeros(int(blank.sum())), y=rows(gains)[blank], mode="text",
                text=np.full(int(blank.sum()), " cannot be measured", object),
                textposition="middle right", textfont={"color": theme.NEUTRAL},
                customdata=hover(gains[blank], "support"), showlegend=False,
                hovertemplate="%{customdata[0]}<br>%{customdata[1]:,} verified test images have "
                "it: a ranking needs some that do and some that do not<extra></extra>",
            )
        )  # fmt: skip
    return figure


def _gain_bars(part: pd.DataFrame, y: np.ndarray, name: str, is_few: bool) -> go.Bar:
    gain, low, high = (part[c].to_numpy(np.float64) for c in ("gain", "low", "high"))
    given = np.array([f"{100 * v:.1f}" for v in part["prevalence_given"]], object)
    ap = ("ap_baseline_0", "ap_baseline_1", "ap_self_ml")
    return go.Bar(
        orientation="h", x=gain, y=y, name=name,
        marker={
            "color": np.where(gain >= 0, theme.faint(theme.TO_1), theme.faint(theme.TO_0)),
            "line": {"width": 1.5, "color": np.where(gain >= 0, theme.TO_1, theme.TO_0)},
            "pattern": {"shape": "/" if is_few else "", "solidity": 0.35},
        },
        error_x=whiskers(gain, low, high),
        customdata=hover(part, interval(part, "low", "high"), given, "support", *ap),
        hovertemplate="<b>%{customdata[0]}</b><br>%{x:+.1f} points (%{customdata[1]})<br>"
        "AP: Baseline 0 %{customdata[4]:.1f}, Baseline 1 %{customdata[5]:.1f}, "
        "SELF-ML %{customdata[6]:.1f} %<br>given to %{customdata[2]} % of the images; "
        "%{customdata[3]:,} verified test images have it<extra></extra>",
    )  # fmt: skip


def flips(counts: pd.DataFrame) -> go.Figure:
    """Labels flipped to 1 (right) and to 0 (left) by attribute (paper, Fig. 5).

    Parameters
    ----------
    counts : DataFrame
        Of ``frames.attributes.flip_counts``.
    """
    figure = by_attribute(counts, "Flips (left: taken off, right: added)",
                           empty="No label was changed")  # fmt: skip
    if counts.empty:
        return figure
    for direction, name, color, sign in (
        ("to_0", "Taken off (to 0)", theme.TO_0, -1),
        ("to_1", "Added (to 1)", theme.TO_1, 1),
    ):
        n = counts[direction].to_numpy(np.int64)
        words = hover(counts, direction, _how_right(counts, direction))
        figure.add_trace(
            go.Bar(
                orientation="h", name=name, x=sign * n, y=rows(counts),
                marker={"color": color}, customdata=words,
                hovertemplate="%{customdata[0]}<br>%{customdata[1]:,} flips%{customdata[2]}<extra>"
                + name + "</extra>",
            )
        )  # fmt: skip
    figure.update_layout(barmode="relative")
    ticks = _even_ticks(-int(counts["to_0"].max()), int(counts["to_1"].max()))
    words = np.array([f"{abs(t):,}" for t in ticks], object)
    figure.update_xaxes(tickvals=ticks, ticktext=words)
    return figure


def _how_right(counts: pd.DataFrame, direction: str) -> np.ndarray:
    """How many flips of known truth are right, in words; nothing where there are none."""
    known = zip(counts[f"{direction}_correct"], counts[f"{direction}_judged"], strict=True)
    words = [f"; right: {k:,} of {n:,} verified, not trained on" if n else "" for k, n in known]
    return np.array(words, object)


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
    figure = by_attribute(counts, "Images that have it (% of known labels)")
    if counts.empty:
        return figure
    at = rows(counts)
    gap = np.full(len(counts), np.nan)
    ends = [100 * counts[f"prevalence_{name}"].to_numpy(np.float64) for name, *_ in PREVALENCE[:2]]
    figure.add_trace(
        go.Scatter(
            x=np.stack([*ends, gap], axis=1).ravel(),
            y=np.stack([at, at, gap], axis=1).ravel(),
            mode="lines", line={"color": theme.NEUTRAL_FAINT, "width": 4},
            hoverinfo="skip", showlegend=False,
        )
    )  # fmt: skip
    for name, words, color, symbol in PREVALENCE:
        figure.add_trace(
            go.Scatter(
                x=100 * counts[f"prevalence_{name}"].to_numpy(np.float64), y=at, name=words,
                mode="markers", marker={"color": color, "symbol": symbol, "size": 10},
                customdata=hover(counts),
                hovertemplate="%{customdata[0]}: %{x:.1f} %<extra>" + words + "</extra>",
            )
        )  # fmt: skip
    figure.update_xaxes(rangemode="tozero")
    return figure


def precision_recall(frame: pd.DataFrame) -> go.Figure:
    """How many flips are right, and how many wrong labels were found, where truth is known.

    Parameters
    ----------
    frame : DataFrame
        Of ``frames.attributes.correctness``; attributes without a verified label are left out.
    """
    known = frame[frame["errors"] + frame["judged"] > 0].reset_index(drop=True)
    figure = by_attribute(
        known, "Share (%)", empty="No verified labels to compare with; add them to clean.csv"
    )
    if known.empty:
        return figure
    for column, words, color, symbol, whole, offset in (
        ("precision", "Flips that are right", theme.CORRECTED, "circle", "judged", -0.14),
        ("recall", "Wrong labels found", theme.CATEGORICAL[1], "diamond", "errors", 0.14),
    ):
        share, low, high = (
            100 * known[f"{column}{end}"].to_numpy(np.float64) for end in ("", "_low", "_high")
        )
        few = (known[whole] < MIN_SUPPORT).to_numpy(bool)
        percent = pd.DataFrame({"low": low, "high": high})
        ranges = interval(percent, "low", "high", ".1f")
        figure.add_trace(
            go.Scatter(
                x=share, y=rows(known) + offset, name=words, mode="markers",
                marker={"color": color, "size": 9, "line": {"width": 2, "color": color},
                        "symbol": np.where(few, f"{symbol}-open", symbol)},
                error_x=whiskers(share, low, high) | {"color": color, "width": 0},
                customdata=hover(known, "right", whole, ranges),
                hovertemplate="%{customdata[0]}: %{x:.1f} % (%{customdata[3]} %)<br>"
                "%{customdata[1]:,} of %{customdata[2]:,}<extra>" + words + "</extra>",
            )
        )  # fmt: skip
    figure.update_xaxes(range=[-2, 102])
    return figure
