"""The map of images: places, colours, hulls of the basis, and what a lasso holds.

A map lays the coefficients ``c_i`` out on a plane: images made of the same basis images are
neighbours. Its units mean nothing; only nearness does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from dashboard.frames import coverage
from dashboard.frames.database import ask, giving_back
from dashboard.frames.polygons import Polygon, hull, inside_polygon
from selfml.run import Run

MAPS = {"tsne": "t-SNE", "umap": "UMAP"}
COLORS = {
    "category": "Category",
    "flips": "Number of flips",
    "hull": "Distance from the basis",
    "given": "One attribute, as given",
    "corrected": "One attribute, corrected",
    "changed": "One attribute, what was changed",
}
NEEDS_ATTRIBUTE = ("given", "corrected", "changed")
MAX_POINTS = 100_000
MAX_CATEGORIES = 7  # further ones share "other"
NO_CATEGORY = "no category"
HAS = ("unknown", "does not have it", "has it")
CHANGED = ("not changed", "label added", "label removed")
FLIPS = ("no flips", "1 flip", "2 flips", "3 or more flips")


def places(run: Run, kind: str, category: str = "") -> pd.DataFrame:
    """All images with a place in the map: what a lasso chooses from, drawn or not.

    Parameters
    ----------
    kind : {"tsne", "umap"}
    category : str
        Only this one; empty: all.

    Returns
    -------
    DataFrame
        ``image_index`` (int32), ``x``, ``y`` (float32), ``category`` (str), ``hull_distance``
        (float32), ``n_flips`` (int32), ``uncovered`` (bool); by image_index. No rows where there
        is no map.
    """
    x, y = f"map_{kind}_x", f"map_{kind}_y"
    sql = f"""
        SELECT image_index, {x} AS x, {y} AS y, category, hull_distance FROM read_parquet(?)
        WHERE NOT isnan({x}) AND NOT isnan({y}) ORDER BY image_index
    """
    frame = ask(sql, [str(run.table_path("images"))])
    if frame.empty:
        return frame.assign(n_flips=np.int32(0), uncovered=False)
    frame["category"] = frame["category"].fillna(NO_CATEGORY)
    if category:
        frame = frame[frame["category"] == category]
    frame["n_flips"] = _flips_per_image(run, int(run.info["n_images"]))[frame["image_index"]]
    frame = frame[["image_index", "x", "y", "category", "hull_distance", "n_flips"]]
    frame["uncovered"] = _uncovered(run)[frame["image_index"]]
    return frame.reset_index(drop=True)


def drawn(run: Run, frame: pd.DataFrame, max_points: int = MAX_POINTS) -> pd.DataFrame:
    """The rows of :func:`places` that are drawn: all, or a sample of ``max_points``.

    Images of the basis come first; then, as far as they fit, those with flips; then the others,
    each in shares of their categories (see :func:`sample`).
    """
    basis = run.table("basis", ["image_index"])["image_index"] if run.has("basis") else []
    return sample(frame, max_points, keep=frame["image_index"].isin(basis).to_numpy())


def points(run: Run, kind: str, category: str = "", max_points: int = MAX_POINTS) -> pd.DataFrame:
    """:func:`drawn` of :func:`places`."""
    return drawn(run, places(run, kind, category), max_points)


def _flips_per_image(run: Run, n_images: int) -> np.ndarray:
    """(N,) int32."""
    if not run.has("flips"):
        return np.zeros(n_images, np.int32)
    rows = run.table("flips", ["image_index"])["image_index"].to_numpy()
    return np.bincount(rows, minlength=n_images).astype(np.int32)


def _uncovered(run: Run) -> np.ndarray:
    """(N,) bool; none where the run has no basis."""
    if not run.has("basis"):
        return np.zeros(int(run.info["n_images"]), bool)
    return coverage.images(run)["uncovered"].to_numpy()


def sample(frame: pd.DataFrame, max_points: int, keep: np.ndarray, seed: int = 0) -> pd.DataFrame:
    """At most ``max_points`` rows: ``keep`` first, then rows with flips, then the others.

    Within a rank, rows are drawn so that every category has the same share.
    """
    if len(frame) <= max_points:
        return frame.reset_index(drop=True)
    rng = np.random.default_rng(seed)
    shuffled = frame.assign(rank=np.where(keep, 0, np.where(frame["n_flips"] > 0, 1, 2)))
    shuffled = shuffled.iloc[rng.permutation(len(frame))]
    groups = shuffled.groupby(["rank", "category"])
    share = (groups.cumcount() + 1) / groups["x"].transform("size")
    chosen = shuffled.assign(share=share).sort_values(["rank", "share"]).index[:max_points]
    return frame.loc[np.sort(chosen)].reset_index(drop=True)


def categories(run: Run) -> list[str]:
    """The categories in the run, most frequent first."""
    sql = """
        SELECT coalesce(category, ?) AS category FROM read_parquet(?)
        GROUP BY 1 ORDER BY count(*) DESC, min(image_index)
    """
    with giving_back():
        found = ask(sql, [NO_CATEGORY, str(run.table_path("images"))])
    return found["category"].tolist()


def basis_points(run: Run, kind: str) -> pd.DataFrame:
    """The basis images in use that have a place in the map.

    Returns
    -------
    DataFrame
        ``basis_index``, ``image_index``, ``x``, ``y``, ``category``, ``usage``.
    """
    x, y = f"map_{kind}_x", f"map_{kind}_y"
    columns = ["basis_index", "image_index", "x", "y", "category", "usage"]
    if not run.has("basis"):
        return pd.DataFrame(columns=columns)
    images = run.table("images", ["image_index", "category", x, y]).rename(columns={x: "x", y: "y"})
    images["category"] = images["category"].fillna(NO_CATEGORY)
    basis = run.table("basis", ["basis_index", "image_index", "usage"])
    used = basis[basis["usage"] > 0].merge(images, on="image_index")
    return used.dropna(subset=["x", "y"])[columns].reset_index(drop=True)


def main_categories(names: Sequence[str]) -> list[str]:
    """The names that have a colour of their own: the first ``MAX_CATEGORIES``."""
    return list(names)[:MAX_CATEGORIES]


def colour(
    run: Run, frame: pd.DataFrame, color: str, attribute: int | None = None
) -> tuple[np.ndarray, list[str]]:
    """What each point of ``frame`` is coloured by.

    Parameters
    ----------
    frame : DataFrame
        From :func:`points`.
    color : str
        A key of :data:`COLORS`.
    attribute : int, optional
        attribute_index, for those about one attribute.

    Returns
    -------
    values : (n,) array
        Codes into ``names`` (int16), or numbers (float32) where ``names`` is empty.
    names : list of str
        The groups, in the order of the legend.

    Raises
    ------
    ValueError
        When ``color`` is unknown, or is about one attribute and none is given.
    """
    if color not in COLORS:
        raise ValueError(f"color: must be one of {tuple(COLORS)}, got {color!r}")
    if color == "hull":
        return frame["hull_distance"].to_numpy(np.float32), []
    if color == "flips":
        return frame["n_flips"].to_numpy().clip(max=3).astype(np.int16), list(FLIPS)
    if color == "category":
        return _category_codes(frame["category"], categories(run))
    if attribute is None:
        raise ValueError(f"attribute: {color!r} needs one, got None")
    rows = frame["image_index"].to_numpy()
    given = np.asarray(run.array("labels_given")[:, attribute])[rows]
    if color == "given":
        return (given + 1).astype(np.int16), list(HAS)
    corrected = np.asarray(run.array("labels_corrected")[:, attribute])[rows]
    if color == "corrected":
        return (corrected + 1).astype(np.int16), list(HAS)
    differs = (given >= 0) & (corrected >= 0) & (given != corrected)
    return np.where(differs, np.where(corrected == 1, 1, 2), 0).astype(np.int16), list(CHANGED)


def _category_codes(column: pd.Series, names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    shown = main_categories(names)
    codes = {name: i for i, name in enumerate(shown)}
    values = column.map(codes).fillna(len(shown)).to_numpy(np.int16)
    return values, [*shown, "other"] if len(names) > len(shown) else shown


def hulls(basis: pd.DataFrame, by_category: bool) -> dict[str, Polygon]:
    """The hull of the basis images, one in all (named ``""``) or one a category."""
    known = basis[basis["category"] != NO_CATEGORY]
    groups = known.groupby("category") if by_category else [("", basis)]
    found = {str(name): hull(part["x"], part["y"]) for name, part in groups}
    return {name: corners for name, corners in found.items() if len(corners)}


def share_inside(frame: pd.DataFrame, corners: Mapping[str, Polygon]) -> float:
    """Percent of the points within the hull of the basis (of their category, where by category).

    NaN where there are no points with a hull.
    """
    inside = total = 0
    for name, polygon in corners.items():
        part = frame[frame["category"] == name] if name else frame
        inside += int(inside_polygon(part["x"], part["y"], polygon).sum())
        total += len(part)
    return 100 * inside / total if total else float("nan")


def selected(frame: pd.DataFrame, polygons: Sequence[Polygon]) -> np.ndarray:
    """image_index of the images in any of the polygons, most flips first.

    Parameters
    ----------
    frame : DataFrame
        From :func:`places`, by image_index: all images, not only those that are drawn.

    Returns
    -------
    (n,) int32
    """
    x, y = (frame[axis].to_numpy(np.float64) for axis in "xy")
    mask = np.zeros(len(frame), bool)
    for polygon in polygons:
        mask |= inside_polygon(x, y, polygon)
    return most_flips(frame, mask)


def most_flips(frame: pd.DataFrame, mask: np.ndarray | None = None) -> np.ndarray:
    """image_index of rows of :func:`places`, most flips first, then by image_index; (n,) int32."""
    rows = np.arange(len(frame)) if mask is None else np.flatnonzero(mask)
    n_flips = frame["n_flips"].to_numpy()[rows].clip(max=32_767).astype(np.int16)
    order = rows[np.argsort(-n_flips, kind="stable")]  # 16 bits are sorted by radix
    return frame["image_index"].to_numpy(np.int32)[order]


def rows_of(frame: pd.DataFrame, image_index: np.ndarray) -> pd.DataFrame:
    """Rows of :func:`places` for images that are in it, in the order asked for."""
    return frame.iloc[np.searchsorted(frame["image_index"].to_numpy(), image_index)]
