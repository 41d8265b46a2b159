"""The density of a map as one picture beneath its points."""

from __future__ import annotations

import base64
import io

import numpy as np
import plotly.graph_objects as go
from PIL import Image

from dashboard.figures import theme
from dashboard.frames.density import Density

ALPHA = (56, 210)  # of a cell with one image, and of the fullest


def picture(of: Density) -> Image.Image:
    """The counts as a picture with its top row highest in the map.

    One grey, readable on white and on dark; more images make it more opaque (by the logarithm),
    a cell without images is fully transparent.
    """
    counts = of.counts[::-1].astype(np.float64)
    share = np.log1p(counts) / np.log1p(max(counts.max(), 1))
    alpha = np.where(counts > 0, ALPHA[0] + (ALPHA[1] - ALPHA[0]) * share, 0)
    grey = [int(theme.NEUTRAL[i : i + 2], 16) for i in (1, 3, 5)]
    pixels = np.empty((*counts.shape, 4), np.uint8)
    pixels[..., :3] = grey
    pixels[..., 3] = alpha.round()
    return Image.fromarray(pixels, "RGBA")


def add_density(figure: go.Figure, of: Density) -> None:
    """Lay the picture under everything, in the place of its cells.

    A picture, not a trace: it takes no part in selections and needs no second WebGL plot.
    """
    sink = io.BytesIO()
    picture(of).save(sink, "PNG", compress_level=9)
    source = "data:image/png;base64," + base64.b64encode(sink.getvalue()).decode("ascii")
    figure.add_layout_image(
        source=source, xref="x", yref="y", layer="below", sizing="stretch",
        x=of.x[0], y=of.y[1], xanchor="left", yanchor="top",
        sizex=of.x[1] - of.x[0], sizey=of.y[1] - of.y[0],
    )  # fmt: skip
