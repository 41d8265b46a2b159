"""Flips by page: DuckDB over a run's flips and images (:mod:`dashboard.frames.database`).

A query first finds the few rows of the page from the narrow columns it filters and sorts by, which
are in memory; everything else of them is then read from the files, by row group.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from dashboard.frames.database import ask, giving_back, kept
from dashboard.frames.flip_query import KEY, FlipQuery, conditions, order_of, tables_of
from selfml.flips import deciding_mode, read_evidence_model
from selfml.reasons import flip_reasons, prior_term
from selfml.run import Run, RunError

PAGE_SIZE = 24
NONE = np.zeros(0, np.int64)
IMAGE_COLUMNS = ["image_id", "category", "split"]

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


def flips_summary(run: Run, query: FlipQuery) -> dict[str, int]:
    """How many flips a query has, and of what kind: the keys of ``SUMMARY``; ``bare`` are those
    that stand without any basis image. Those of verified images that were learned from count as
    ``learned``, neither as ``right`` nor as ``wrong``: nearly all of them are right. ``verified``
    are all of verified images, also of those whose label of that attribute is not known."""
    where, values, needs_images = conditions(run, query)
    columns = ", ".join(f"{text} AS {name}" for name, text in SUMMARY.items())
    sql = f"SELECT {columns} FROM {_source(run, needs_images)} WHERE {where}"
    frame = ask(sql, values, **tables_of(query))
    return {name: int(frame[name].iloc[0]) for name in SUMMARY}


def count_flips(run: Run, query: FlipQuery, without: np.ndarray) -> int:
    """How many flips a query has, but for those of some keys, as of `flips_page`."""
    where, values, needs_images = conditions(run, query, without=True)
    sql = f"SELECT count(*) AS n FROM {_source(run, needs_images)} WHERE {where}"
    return int(ask(sql, values, **tables_of(query, without))["n"].iloc[0])


def sureness(run: Run, query: FlipQuery) -> pd.DataFrame:
    """key (``image_index * L + attribute_index``) and confidence of all flips of a query."""
    where, values, needs_images = conditions(run, query)
    sql = f"""
        SELECT {KEY} AS key, f.confidence FROM {_source(run, needs_images)} WHERE {where}
        ORDER BY {order_of(query)}
    """
    return ask(sql, [len(run.attributes), *values], **tables_of(query))


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
    where, values, needs_images = conditions(run, query, without=bool(len(without)))
    limits = [page_size, (max(page, 1) - 1) * page_size]
    while True:
        table = _flips(run)
        sql = f"""
            SELECT f.rowid AS row FROM {_source(run, needs_images)} WHERE {where}
            ORDER BY {order_of(query)} LIMIT ? OFFSET ?
        """
        rows = ask(sql, values + limits, **tables_of(query, without))["row"].to_numpy()
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
    place = f"({order_of(query)}) AS place"
    where, values, needs_images = conditions(run, query)
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
    frame = ask(sql, own + values, **tables_of(query)).set_index("side")
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
    with giving_back():
        return ask(sql, [str(run.table_path("images"))])["category"].tolist()
