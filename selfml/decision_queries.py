"""What holds now, asked of decisions that are only ever added (see :mod:`selfml.decisions`)."""

from __future__ import annotations

import sqlalchemy as sa

from selfml.decision_tables import batch_table, decision_table


def is_taken_back(batch_id: sa.ColumnElement[int]) -> sa.Exists:
    """Whether a later batch undoes this one, as a condition."""
    undo = batch_table.alias("undo")
    return sa.exists().where(undo.c.undoes == batch_id)


def latest_of(catalogue: str, batch_id: int | None = None) -> sa.Select:
    """Of each cell and auditor the latest decision that was not taken back.

    With a ``batch_id``, of the cells of that batch only.
    """
    b, d = batch_table.c, decision_table.c
    query = (
        sa.select(
            d.id, d.image_id, d.attribute, d.given, d.proposed,
            b.auditor, b.decision, b.kind, b.made_at,
            sa.func.row_number()
            .over(partition_by=(d.image_id, d.attribute, b.auditor), order_by=d.id.desc())
            .label("place"),
        )
        .join(batch_table, b.id == d.batch_id)
        .where(b.catalogue == catalogue, ~is_taken_back(b.id))
    )  # fmt: skip
    if batch_id is not None:
        mine = decision_table.alias("mine").c
        cells = sa.select(mine.image_id, mine.attribute).where(mine.batch_id == batch_id)
        query = query.where(sa.tuple_(d.image_id, d.attribute).in_(cells))
    every = query.subquery()
    return sa.select(every).where(every.c.place == 1)


def state_of(catalogue: str, batch_id: int | None = None) -> sa.Select:
    """One row for each decided cell: what the auditors' latest decisions come to.

    Windows instead of joins: a database without statistics of new rows plans these well.
    """
    c = latest_of(catalogue, batch_id).cte("latest").c
    cell = (c.image_id, c.attribute)
    settled = sa.func.max(sa.case((c.kind == "settle", c.id))).over(partition_by=cell)
    newest = sa.func.max(c.id).over(partition_by=cell)
    placed = sa.select(*c, settled.label("settled"), newest.label("newest")).cte("placed").c
    # What was said before a conflict was settled does not count any more; what comes after does.
    counts = sa.or_(placed.settled.is_(None), placed.id >= placed.settled)

    def said(decision: str):
        return sa.func.sum(sa.case((placed.decision == decision, 1), else_=0))

    def of_newest(column):
        return sa.func.max(sa.case((placed.id == placed.newest, column)))

    state = sa.case(
        ((said("accept") > 0) & (said("reject") > 0), "conflict"),
        (said("accept") > 0, "accept"),
        (said("reject") > 0, "reject"),
        else_="unsure",
    )
    return (
        sa.select(
            placed.image_id, placed.attribute,
            of_newest(placed.given).label("given"), of_newest(placed.proposed).label("proposed"),
            state.label("state"), sa.func.count().label("n_auditors"),
            sa.func.max(placed.made_at).label("decided_at"),
        )
        .where(counts)
        .group_by(placed.image_id, placed.attribute)
        .order_by(placed.image_id, placed.attribute)
    )  # fmt: skip


def conflicts_of(connection: sa.Connection, batch_id: int, catalogue: str) -> int:
    """How many cells of a batch are in conflict now."""
    state = state_of(catalogue, batch_id).subquery()
    query = sa.select(sa.func.count()).select_from(state).where(state.c.state == "conflict")
    return int(connection.scalar(query) or 0)
