"""Polygons in a map: convex hulls, what lies inside, and their form in an address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial import ConvexHull, QhullError

MAX_VERTICES = 160  # of a polygon in an address

Polygon = np.ndarray  # (V, 2) float64, in map units, not closed


def hull(x: np.ndarray, y: np.ndarray) -> Polygon:
    """Corners of the convex hull, anticlockwise; none of fewer than three points in a plane."""
    places = np.column_stack([np.asarray(x, np.float64), np.asarray(y, np.float64)])
    if len(places) < 3:
        return np.empty((0, 2))
    try:
        return places[ConvexHull(places).vertices]
    except QhullError:  # all on one line
        return np.empty((0, 2))


def inside_polygon(x: Any, y: Any, polygon: Polygon) -> np.ndarray:
    """Whether each point is inside a polygon, by the even-odd rule.

    Parameters
    ----------
    x, y : (n,) array_like
    polygon : (V, 2) array
        Corners in order; the last is joined to the first.

    Returns
    -------
    (n,) bool
        Points on an edge may fall on either side.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    inside = np.zeros(len(x), bool)
    polygon = np.asarray(polygon, np.float64)
    if len(polygon) < 3 or not len(x):
        return inside
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    near = np.flatnonzero((x >= low[0]) & (x <= high[0]) & (y >= low[1]) & (y <= high[1]))
    near = near[np.argsort(y[near])]
    px, py, crossed = x[near], y[near], np.zeros(len(near), bool)
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        # An edge concerns the points between its ends' heights alone: a slice, as they are sorted.
        start, stop = np.searchsorted(py, (min(y1, y2), max(y1, y2)))
        if start < stop:
            level = py[start:stop]
            crossed[start:stop] ^= px[start:stop] < (x2 - x1) * (level - y1) / (y2 - y1) + x1
    inside[near] = crossed
    return inside


def polygons_of_event(selection: Mapping[str, Any]) -> list[Polygon]:
    """The polygons that a reader drew, from what Streamlit reports of a Plotly selection."""
    found = []
    for box in selection.get("box") or ():
        (x1, x2), (y1, y2) = sorted(box["x"]), sorted(box["y"])
        found.append(np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float64))
    for lasso in selection.get("lasso") or ():
        corners = np.column_stack([lasso["x"], lasso["y"]]).astype(np.float64)
        found.append(corners[:: -(-len(corners) // MAX_VERTICES)] if len(corners) else corners)
    return [corners for corners in found if len(corners) >= 3]


def as_text(polygons: Sequence[Polygon]) -> str:
    """Polygons for an address: ``x,y;x,y`` each, six digits, joined by ``|``."""
    return "|".join(";".join(f"{x:.6g},{y:.6g}" for x, y in corners) for corners in polygons)


def from_text(text: str) -> list[Polygon]:
    """The inverse of :func:`as_text`; a text that makes no sense gives no polygons."""
    try:
        found = [
            np.array([[float(v) for v in corner.split(",")] for corner in part.split(";")])
            for part in text.split("|")
            if part
        ]
    except ValueError:
        return []
    fits = all(p.ndim == 2 and p.shape[1] == 2 and np.isfinite(p).all() for p in found)
    return [p for p in found if len(p) >= 3] if fits else []
