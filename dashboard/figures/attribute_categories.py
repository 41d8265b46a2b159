"""Attributes by categories: how often labels were changed, and how right that was."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from dashboard.figures import theme
from dashboard.figures.attributes import by_attribute, rows
from dashboard.frames.attribute_categories import grid

MAX_COUNTED = 6  # categories whose cells still have room for a count on a phone
MAX_WRITTEN = 12  # and those that have room for the value alone


def by_category(cells: pd.DataFrame, measure: str = "rate") -> go.Figure:
    """A field for each attribute and category; fields without a value stay empty.

    Parameters
    ----------
    cells : DataFrame
        Of ``frames.attribute_categories.cells``.
    measure : {"rate", "precision"}
        Flips per 100 images, or the share of judged flips that are right (%). The count behind
        it is in the field where there is room, and in the hover text.
    """
    empty = "No label was changed"
    if measure == "precision":
        cells, empty = cells[cells["judged"] > 0], "No flip has a verified label to judge it by"
    wide = grid(cells, measure)
    names = pd.DataFrame({"attribute": wide.index.to_numpy(object)})
    figure = by_attribute(names, "Category", legend=False, empty=empty)
    if wide.empty:
        return figure
    scale = 100.0 if measure == "precision" else 1.0
    count = "judged" if measure == "precision" else "n"
    values = scale * wide.to_numpy(np.float64)
    title = "Flips that are right (%)" if measure == "precision" else "Flips per 100 images"
    figure.add_trace(
        go.Heatmap(
            z=values, y=rows(names), colorscale=theme.SEQUENTIAL, zmin=0, xgap=1, ygap=1,
            zmax=100 if measure == "precision" else None, hoverongaps=False,
            x=np.arange(wide.shape[1], dtype=np.int32),
            customdata=_hover(cells, wide), text=_texts(values, grid(cells, count)),
            texttemplate="%{text}", textfont={"size": 11, "color": "#000000"},
            hovertemplate="%{customdata}<extra></extra>",
            colorbar={
                "title": {"text": title, "side": "top", "font": {"size": 13}}, "thickness": 10,
                "orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "xanchor": "left",
                "len": 0.9,
            },
        )
    )  # fmt: skip
    figure.update_xaxes(  # by place: two long names may be alike once shortened
        tickvals=np.arange(wide.shape[1], dtype=np.int32), showgrid=False, zeroline=False,
        ticktext=np.array([theme.shorten(c, 18) for c in wide.columns], object),
        title={"standoff": 44},
    )  # fmt: skip
    figure.update_layout(height=figure.layout.height + 40, margin={"t": 76})
    return figure


def _texts(values: np.ndarray, counts: pd.DataFrame) -> np.ndarray:
    """Value, and how many it is of, as far as they fit: ``85 (23)``, ``85`` or nothing."""
    n = counts.to_numpy(np.float64)
    if values.shape[1] > MAX_WRITTEN:
        return np.full(values.shape, "", object)
    counted = values.shape[1] <= MAX_COUNTED
    return np.array(
        [
            [
                "" if np.isnan(v) else f"{v:.0f} ({k:,.0f})" if counted else f"{v:.0f}"
                for v, k in zip(row, of, strict=True)
            ]
            for row, of in zip(values, n, strict=True)
        ],
        object,
    )


def _hover(cells: pd.DataFrame, wide: pd.DataFrame) -> np.ndarray:
    """The whole truth about a field, in words; laid out as ``wide``."""
    words = []
    for cell in cells.itertuples():
        text = (
            f"<b>{theme.plain(cell.attribute)}</b>, {theme.plain(cell.category)}<br>"
            f"{cell.n:,} flips in {cell.n_images:,} images: {cell.rate:.1f} per 100<br>"
        )
        if cell.judged:
            low, high = 100 * cell.precision_low, 100 * cell.precision_high
            text += f"right: {cell.right:,} of {cell.judged:,} verified, {100 * cell.precision:.0f}"
            text += f" % (95 %: {low:.0f} to {high:.0f} %)"
        else:
            text += "none of them verified"
        words.append(text)
    laid = grid(cells.assign(words=words), "words")
    return laid.reindex(index=wide.index, columns=wide.columns).fillna("").to_numpy(object)
