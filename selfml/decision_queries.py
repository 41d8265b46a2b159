"""What holds now, asked of decisions that are only ever added (see :mod:`selfml.decisions`).

A decision says which *label* a cell should have: accept wants the proposed one, reject the given
one, unsure none. Two decisions agree when they want the same label, also where one was about a run
that proposed to add it and the other about one that proposed to take it off.
"""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from selfml.decision_tables import batch_table, decision_table

FEW = 200  # our choice: images that are looked up one by one


def is_taken_back(batch_id: sa.ColumnElement[int]) -> sa.Exists:
    """Whether a later batch undoes this one, as a condition."""
    undo = batch_table.alias("undo")
    return sa.exists().where(undo.c.undoes == batch_id)


def _standing(
    catalogue: str, batch_id: int | None, image_ids: Collection[str] | None = None
) -> sa.CTE:
    """Decisions not taken back, with the newest settlement of their cell and what was asked last.

    Windows instead of joins: a database without statistics of new rows plans these well.
    """
    b, d = batch_table.c, decision_table.c
    cell = (d.image_id, d.attribute)
    newest = sa.func.max(d.id).over(partition_by=cell)
    settled = sa.func.max(sa.case((b.kind == "settle", d.id))).over(partition_by=cell)
    wanted = sa.case((b.decision == "accept", d.proposed), (b.decision == "reject", d.given))
    query = (
        sa.select(
            d.id, d.image_id, d.attribute, d.given, d.proposed, b.auditor, b.kind, b.made_at,
            wanted.label("wanted"), newest.label("newest"), settled.label("settled"),
        )
        .join(batch_table, b.id == d.batch_id)
        .where(b.catalogue == catalogue, ~is_taken_back(b.id))
    )  # fmt: skip
    if batch_id is not None:
        mine = decision_table.alias("mine").c
        cells = sa.select(mine.image_id, mine.attribute).where(mine.batch_id == batch_id)
        query = query.where(sa.tuple_(d.image_id, d.attribute).in_(cells))
    if image_ids is not None:  # found by the index; of a condition on cells PostgreSQL reads all
        query = query.where(d.image_id.in_(list(image_ids)))
    c = query.cte("found").c
    here = (c.image_id, c.attribute)

    def of_newest(column: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
        return sa.func.max(sa.case((c.id == c.newest, column))).over(partition_by=here)

    asked, shown = of_newest(c.proposed).label("asked"), of_newest(c.given).label("shown")
    return sa.select(*c, asked, shown).cte("standing")


def _latest(rows: sa.FromClause) -> sa.Subquery:
    """Of each cell and auditor the latest of these decisions."""
    c = rows.c
    place = sa.func.row_number().over(
        partition_by=(c.image_id, c.attribute, c.auditor), order_by=c.id.desc()
    )
    placed = sa.select(rows, place.label("place")).subquery()
    return sa.select(placed).where(placed.c.place == 1).subquery()


def _counting(
    catalogue: str, batch_id: int | None = None, image_ids: Collection[str] | None = None
) -> sa.Subquery:
    """Latest decision of each auditor, of those that no later settlement has closed."""
    standing = _standing(catalogue, batch_id, image_ids)
    c = standing.c
    open_ = sa.select(standing).where(sa.or_(c.settled.is_(None), c.id >= c.settled))
    return _latest(open_.subquery())


def said_of(catalogue: str, *, settling: bool) -> sa.Select:
    """Per cell and auditor: image_id, attribute, auditor, decision, label.

    ``decision`` is about what was proposed last: accept where that label is wanted. With
    ``settling``, what counts now; without, what each auditor said last apart from settlements,
    which are made in the knowledge of what others said.
    """
    if settling:
        rows = _counting(catalogue)
    else:
        standing = _standing(catalogue, None)
        rows = _latest(sa.select(standing).where(standing.c.kind != "settle").subquery())
    c = rows.c
    decision = sa.case(
        (c.wanted.is_(None), "unsure"), (c.wanted == c.asked, "accept"), else_="reject"
    )
    return sa.select(
        c.image_id, c.attribute, c.auditor, decision.label("decision"), c.wanted.label("label")
    ).order_by(c.id)


def spoken_of(catalogue: str, image_ids: Collection[str] | None = None) -> sa.Select:
    """Who stands by a decision on which cells: image_id, attribute, auditor, unsure, counts.

    One row for each cell and auditor, by the auditor's latest decision there; ``counts`` says
    whether no later settlement has closed it. The same as of `_counting`, in two windows instead of
    six: it is asked again and again. ``image_ids`` limits it to the cells of these images.
    """
    b, d = batch_table.c, decision_table.c
    cell = (d.image_id, d.attribute)
    settled = sa.func.max(sa.case((b.kind == "settle", d.id))).over(partition_by=cell)
    said_by = (*cell, b.auditor)
    place = sa.func.row_number().over(partition_by=said_by, order_by=d.id.desc())
    query = (
        sa.select(
            d.id, d.image_id, d.attribute, b.auditor, b.decision,
            settled.label("settled"), place.label("place"),
        )
        .join(batch_table, b.id == d.batch_id)
        .where(b.catalogue == catalogue, ~is_taken_back(b.id))
    )  # fmt: skip
    if image_ids is not None:
        query = query.where(d.image_id.in_(list(image_ids)))
    c = query.subquery().c
    counts = sa.or_(c.settled.is_(None), c.id >= c.settled)
    return sa.select(
        c.image_id, c.attribute, c.auditor,
        (c.decision == "unsure").label("unsure"), counts.label("counts"),
    ).where(c.place == 1)  # fmt: skip


def acts_after(catalogue: str, number: int) -> sa.Select:
    """Acts on a catalogue, in the order of their numbers: id, key, undoes, made_at."""
    c = batch_table.c
    query = sa.select(c.id, c.key, c.undoes, c.made_at)
    return query.where(c.catalogue == catalogue, c.id > number).order_by(c.id)


def newest_acts(catalogue: str, n: int) -> sa.Select:
    """The last ``n`` acts on a catalogue, newest first; columns of `acts_after`."""
    return acts_after(catalogue, 0).order_by(None).order_by(batch_table.c.id.desc()).limit(n)


def cells_of_acts(numbers: Collection[int], limit: int) -> sa.Select:
    """Cells (image_id, attribute) that acts were about, at most so many."""
    d = decision_table.c
    query = sa.select(d.image_id, d.attribute).where(d.batch_id.in_(list(numbers)))
    return query.distinct().limit(limit)


def state_of(
    catalogue: str, batch_id: int | None = None, image_ids: Collection[str] | None = None
) -> sa.Select:
    """One row for each decided cell: what the auditors' latest decisions come to.

    ``batch_id`` and ``image_ids`` limit it to the cells of an act, and of these images.
    """
    c = _counting(catalogue, batch_id, image_ids).c
    low, high = sa.func.min(c.wanted), sa.func.max(c.wanted)
    state = sa.case(
        (low.is_(None), "unsure"),
        (low != high, "conflict"),
        (low == c.asked, "accept"),
        else_="reject",
    )
    return (
        sa.select(
            c.image_id, c.attribute, c.shown.label("given"), c.asked.label("proposed"),
            state.label("state"), sa.case((low == high, low)).label("label"),
            sa.func.count().label("n_auditors"), sa.func.max(c.made_at).label("decided_at"),
        )
        .group_by(c.image_id, c.attribute, c.shown, c.asked)
        .order_by(c.image_id, c.attribute)
    )  # fmt: skip


def conflicts_of(
    connection: sa.Connection, batch_id: int, catalogue: str, image_ids: Collection[str]
) -> int:
    """How many cells of a batch are in conflict now; ``image_ids`` are those of its cells."""
    few = image_ids if len(image_ids) <= FEW else None
    state = state_of(catalogue, batch_id, few).subquery()
    query = sa.select(sa.func.count()).select_from(state).where(state.c.state == "conflict")
    return int(connection.scalar(query) or 0)
