"""Flips by page: DuckDB over a run's flips and images (:mod:`dashboard.frames.database`).

A query first finds the few rows of the page from the narrow columns it filters and sorts by, which
are in memory; everything else of them is then read from the files, by row group.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dashboard.frames.database import ask, kept
from selfml.flips import deciding_mode, read_evidence_model
from selfml.reasons import flip_reasons, prior_term
from selfml.run import Run, RunError

PAGE_SIZE = 24
NONE = np.zeros(0, np.int64)
IMAGE_COLUMNS = ["image_id", "category", "split"]

#: what a reader may sort by -> (words, ascending keys before image and attribute)
SORTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "mixed": ("Attributes in turn", ("f.mixed",)),
    "confidence": ("Most confident first", ("-f.confidence",)),
    "doubt": ("Least confident first", ("f.confidence",)),
    "attribute": ("By attribute", ("f.attribute_index", "-f.confidence")),
    "image": ("By image", ()),
}

SUMMARY = {
    "n": "count(*)",
    "to_1": "count(*) FILTER (f.corrected = 1)",
    "to_0": "count(*) FILTER (f.corrected = 0)",
    "agree": "count(*) FILTER (f.strict_agrees)",
    "auto": "count(*) FILTER (f.auto_accept)",
    "right": "count(*) FILTER (f.truth = f.corrected AND NOT f.learned)",
    "wrong": "count(*) FILTER (f.truth >= 0 AND f.truth <> f.corrected AND NOT f.learned)",
    "learned": "count(*) FILTER (f.truth >= 0 AND f.learned)",
    "bare": "count(*) FILTER (f.bare)",
    "verified": "count(*) FILTER (f.verified)",
}


@dataclass(frozen=True)
class FlipQuery:
    """Which flips, and in what order; ``None`` means any.

    Attributes
    ----------
    attribute : int, optional
        ``attribute_index``.
    category, split : str, optional
        Of the image.
    direction : {"to_1", "to_0"}, optional
        What the label became.
    agreement : {"agree", "disagree", "bare"}, optional
        Whether strict and full evidence say the same; ``bare``: the flip stands without any
        basis image (:mod:`selfml.reasons`).
    auto : bool, optional
        Whether the flip is confident enough to be accepted without a look.
    truth : {"right", "wrong", "known", "unknown"}, optional
        The flip against the verified label.
    min_confidence : float
        In 0..1.
    basis : int, optional
        Flips of images that lean on this ``basis_index``.
    image : int, optional
        ``image_index``.
    keys : tuple of int, optional
        Only these flips, as ``image_index * L + attribute_index``.
    sort : str
        A key of ``SORTS``.
    """

    attribute: int | None = None
    category: str | None = None
    split: str | None = None
    direction: str | None = None
    agreement: str | None = None
    auto: bool | None = None
    truth: str | None = None
    min_confidence: float = 0.0
    basis: int | None = None
    image: int | None = None
    keys: tuple[int, ...] | None = None
    sort: str = "confidence"


_TRUTH = {
    "right": "f.truth = f.corrected",
    "wrong": "f.truth >= 0 AND f.truth <> f.corrected",
    "known": "f.truth >= 0",
    "unknown": "f.truth < 0",
}


_KEY = "f.image_index::BIGINT * ? + f.attribute_index"


def _conditions(
    run: Run, query: FlipQuery, *, without: bool = False
) -> tuple[str, list[Any], bool]:
    """WHERE of a query over ``f``, its values, and whether the images table is needed.

    With ``without``, none of the flips whose keys are in the table of that name; see `_tables`.
    """
    parts: list[tuple[str, list[Any]]] = []
    if query.attribute is not None:
        parts.append(("f.attribute_index = ?", [query.attribute]))
    if query.image is not None:
        parts.append(("f.image_index = ?", [query.image]))
    if query.direction in ("to_1", "to_0"):
        parts.append(("f.corrected = ?", [int(query.direction == "to_1")]))
    if query.agreement in ("agree", "disagree"):
        parts.append(("f.strict_agrees = ?", [query.agreement == "agree"]))
    if query.agreement == "bare":
        parts.append(("f.bare", []))
    if query.auto is not None:
        parts.append(("f.auto_accept = ?", [query.auto]))
    if query.truth in _TRUTH:
        parts.append((_TRUTH[query.truth], []))
    if query.min_confidence > 0:
        parts.append(("f.confidence >= ?", [query.min_confidence]))
    if query.basis is not None:
        table = kept(run, "coefficients")
        leaning = f"SELECT image_index FROM {table} WHERE basis_index = ?"
        parts.append((f"f.image_index IN ({leaning})", [query.basis]))
    if query.keys is not None:
        parts.append((f"{_KEY} IN (SELECT key FROM listed)", [len(run.attributes)]))
    if without:
        parts.append((f"{_KEY} NOT IN (SELECT key FROM without)", [len(run.attributes)]))
    for name in ("category", "split"):
        if getattr(query, name) is not None:
            parts.append((f"i.{name} = ?", [getattr(query, name)]))
    where = " AND ".join(text for text, _ in parts) or "true"
    needs_images = query.category is not None or query.split is not None
    return where, [value for _, values in parts for value in values], needs_images


def _tables(query: FlipQuery, without: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """The tables of keys that `_conditions` names."""
    found = {} if query.keys is None else {"listed": np.array(query.keys, np.int64)}
    return found if without is None else {**found, "without": without}


_IMAGES = "SELECT image_index FROM read_parquet(?)"


def _flips(run: Run) -> str:
    """The kept flips; ``bare`` is ``selfml.reasons.stands_without_any``, ``learned`` says that the
    evidence was learned from the image's verified labels, ``verified`` is
    ``selfml.audited.verified_images``."""
    mode = deciding_mode(run)
    rest = "f.score - f.term_basis" if mode == "full" else "f.strict_score - f.strict_basis"
    columns = {
        "bare": f"({rest} + (?::DOUBLE[])[f.attribute_index + 1] > 0) = (f.corrected = 1)",
        "learned": f"f.image_index IN ({_IMAGES} WHERE split = 'clean_train')",
        "verified": f"f.image_index IN ({_IMAGES} WHERE split LIKE 'clean%')",
    }
    images = run.table_path("images")
    values = [*_priors(run.path, _changed_ns(run), mode), images, images]
    if run.has("calibration"):
        columns["verified"] += f" OR f.image_index IN ({_IMAGES})"
        values.append(run.table_path("calibration"))
    return kept(run, "flips", columns, values)


def _changed_ns(run: Run) -> int:
    """When the evidence of a run was written; 0 where there is none, which reading it says."""
    path = run.path / "evidence.json"
    return path.stat().st_mtime_ns if path.exists() else 0


@lru_cache(maxsize=64)
def _priors(path: Path, changed_ns: int, mode: str) -> list[list[float]]:
    """``selfml.reasons.prior_term`` of a run's evidence, which takes long to read."""
    return [prior_term(read_evidence_model(Run(path)), mode).tolist()]


def _source(run: Run, with_images: bool) -> str:
    text = f"{_flips(run)} f"
    return f"{text} JOIN {kept(run, 'images')} i USING (image_index)" if with_images else text


def _order(query: FlipQuery) -> str:
    keys = SORTS.get(query.sort, SORTS["confidence"])[1]
    return ", ".join([*keys, "f.image_index", "f.attribute_index"])


def flips_summary(run: Run, query: FlipQuery) -> dict[str, int]:
    """How many flips a query has, and of what kind: the keys of ``SUMMARY``; ``bare`` are those
    that stand without any basis image. Those of verified images that were learned from count as
    ``learned``, neither as ``right`` nor as ``wrong``: nearly all of them are right. ``verified``
    are all of verified images, also of those whose label of that attribute is not known."""
    where, values, needs_images = _conditions(run, query)
    columns = ", ".join(f"{text} AS {name}" for name, text in SUMMARY.items())
    sql = f"SELECT {columns} FROM {_source(run, needs_images)} WHERE {where}"
    frame = ask(sql, values, **_tables(query))
    return {name: int(frame[name].iloc[0]) for name in SUMMARY}


def count_flips(run: Run, query: FlipQuery, without: np.ndarray) -> int:
    """How many flips a query has, but for those of some keys, as of `flips_page`."""
    where, values, needs_images = _conditions(run, query, without=True)
    sql = f"SELECT count(*) AS n FROM {_source(run, needs_images)} WHERE {where}"
    return int(ask(sql, values, **_tables(query, without))["n"].iloc[0])


def sureness(run: Run, query: FlipQuery) -> pd.DataFrame:
    """key (``image_index * L + attribute_index``) and confidence of all flips of a query."""
    where, values, needs_images = _conditions(run, query)
    sql = f"""
        SELECT {_KEY} AS key, f.confidence FROM {_source(run, needs_images)} WHERE {where}
        ORDER BY {_order(query)}
    """
    return ask(sql, [len(run.attributes), *values], **_tables(query))


def flips_page(
    run: Run,
    query: FlipQuery,
    page: int = 1,
    page_size: int = PAGE_SIZE,
    *,
    without: np.ndarray = NONE,
) -> pd.DataFrame:
    """One page of flips, with what is shown of their images.

    Parameters
    ----------
    run : Run
        With ``flips`` and ``images``.
    query : FlipQuery
        Which flips, in what order.
    page : int
        From 1; a page beyond the last is empty.
    page_size : int
        Flips a page.
    without : (M,) int64
        None of these flips, as ``image_index * L + attribute_index``.

    Returns
    -------
    DataFrame
        The columns of ``flips.parquet``, then image_id, category, split, attribute and reason, a
        key of ``selfml.reasons.REASONS``.
    """
    where, values, needs_images = _conditions(run, query, without=bool(len(without)))
    limits = [page_size, (max(page, 1) - 1) * page_size]
    while True:
        table = _flips(run)
        sql = f"""
            SELECT f.rowid AS row FROM {_source(run, needs_images)} WHERE {where}
            ORDER BY {_order(query)} LIMIT ? OFFSET ?
        """
        rows = ask(sql, values + limits, **_tables(query, without))["row"].to_numpy()
        if (flips := _rows(run, table, rows)) is not None:
            break
    of = run.table_rows("images", flips["image_index"].to_numpy(), IMAGE_COLUMNS)
    of["category"] = of["category"].astype(object).where(of["category"].notna(), None)
    frame = with_names(run, flips.assign(**{name: of[name] for name in IMAGE_COLUMNS}))
    return frame.assign(reason=flip_reasons(frame, read_evidence_model(run), deciding_mode(run)))


def _rows(run: Run, table: str, rows: np.ndarray) -> pd.DataFrame | None:
    """Whole rows of the flips; None where the file is not that of ``table`` any more."""
    try:
        found = run.table_rows("flips", rows)
    except RunError:
        if _flips(run) == table:
            raise
        return None
    return found if _flips(run) == table else None


def with_names(run: Run, frame: pd.DataFrame) -> pd.DataFrame:
    """A frame with ``attribute``, the name of its ``attribute_index``."""
    names = np.array(run.attributes, object)
    return frame.assign(attribute=names[frame["attribute_index"].to_numpy(np.int64)])


def one_flip(run: Run, image_index: int, attribute_index: int) -> pd.Series | None:
    """The stored flip of one label, or ``None`` where it was not flipped."""
    while True:
        table = _flips(run)
        sql = f"SELECT rowid AS row FROM {table} WHERE image_index = ? AND attribute_index = ?"
        rows = ask(sql, [int(image_index), int(attribute_index)])["row"].to_numpy()
        if (found := _rows(run, table, rows)) is not None:
            return None if found.empty else found.iloc[0]


def flips_of_image(run: Run, image_index: int) -> pd.DataFrame:
    """The stored flips of one image: the columns of ``flips.parquet``."""
    sql = "SELECT * FROM read_parquet(?) WHERE image_index = ?"
    return ask(sql, [str(run.table_path("flips")), int(image_index)])


def neighbours(
    run: Run, query: FlipQuery, flip: pd.Series
) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """The flips before and after one in a query's order, as (image_index, attribute_index)."""
    place = f"({_order(query)}) AS place"
    where, values, needs_images = _conditions(run, query)
    source = _source(run, needs_images)
    sql = f"""
        WITH here AS (
            SELECT {place} FROM {_flips(run)} f
            WHERE f.image_index = ? AND f.attribute_index = ?
        ), flips AS (
            SELECT {place}, f.image_index, f.attribute_index FROM {source} WHERE {where}
        )
        (SELECT 'before' AS side, f.image_index, f.attribute_index FROM flips f, here
         WHERE f.place < here.place ORDER BY f.place DESC LIMIT 1)
        UNION ALL
        (SELECT 'after', f.image_index, f.attribute_index FROM flips f, here
         WHERE f.place > here.place ORDER BY f.place LIMIT 1)
    """
    own = [int(flip["image_index"]), int(flip["attribute_index"])]
    frame = ask(sql, own + values, **_tables(query)).set_index("side")
    found = [
        tuple(int(v) for v in frame.loc[side]) if side in frame.index else None
        for side in ("before", "after")
    ]
    return found[0], found[1]


def n_given_unseen(run: Run) -> int:
    """How many labels were given to the images of a relabelled catalogue."""
    given = run.array("labels_given")
    return int(np.count_nonzero(np.asarray(given) >= 0))


def image_row(run: Run, image_index: int) -> pd.Series | None:
    """The row of images.parquet of one image, or ``None`` where there is none."""
    sql = "SELECT * FROM read_parquet(?) WHERE image_index = ?"
    frame = ask(sql, [str(run.table_path("images")), int(image_index)])
    return None if frame.empty else frame.iloc[0]


def categories(run: Run) -> list[str]:
    """The categories of a run, in alphabetical order."""
    sql = "SELECT DISTINCT category FROM read_parquet(?) WHERE category IS NOT NULL ORDER BY 1"
    return ask(sql, [str(run.table_path("images"))])["category"].tolist()
