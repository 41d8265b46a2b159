"""How many images lie where in a map: what is beneath the points when not all can be drawn.

A 2-D histogram by NumPy: it takes milliseconds for a million images, so nothing larger (such as
Datashader with its compiler) is needed for the one picture of a map.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

N_CELLS = 320  # a side: about as many as points of 3 pixels fit side by side on a screen


@dataclass(frozen=True)
class Density:
    """Counts of images in equal cells of a map.

    Attributes
    ----------
    counts : (n, n) int32
        Row 0 is the lowest in the map, column 0 the leftmost.
    x, y : (float, float)
        Where the first cell begins and the last ends, in map units.
    """

    counts: np.ndarray
    x: tuple[float, float]
    y: tuple[float, float]


def density(x: Any, y: Any, n_cells: int = N_CELLS) -> Density | None:
    """Count points in ``n_cells`` x ``n_cells`` cells that just hold them all; None of none.

    Parameters
    ----------
    x, y : (n,) array_like
        In map units.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if not len(x):
        return None
    found, x_edges, y_edges = np.histogram2d(x, y, bins=n_cells)
    ends = [(float(edges[0]), float(edges[-1])) for edges in (x_edges, y_edges)]
    return Density(found.T.astype(np.int32), *ends)
