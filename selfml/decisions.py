"""The audit store: what people decided about flips, kept for good.

Vocabulary: a *cell* is one attribute of one image of a catalogue. A *decision* (accept, reject,
unsure) on the flip of a cell is inserted and never updated or deleted. Decisions that are made by
one act, be it one key or "accept all of these", are one *batch*; undoing is another batch that
names the one it takes back. What holds now is a query over these (:mod:`selfml.decision_queries`):
of each auditor the latest decision on a cell that was not taken back, and where two auditors want
different labels a *conflict*, until somebody settles it by a decision made as such, which closes
what was said before.

Cells are named by catalogue, image_id and attribute, not by a run's indices, so that decisions
outlive the run whose flip was looked at. Needs SQLAlchemy only; the tables are made and kept up to
date by Alembic (:mod:`selfml.migrations`). SQLite (write-ahead log) and PostgreSQL are tested.
"""

from __future__ import annotations

import datetime
import math
import random
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from selfml.decision_changes import NOTHING_KNOWN, Known, Spoken, read_spoken
from selfml.decision_queries import (
    conflicts_of,
    is_taken_back,
    said_of,
    state_of,
)
from selfml.decision_records import Cell, Undone, Written
from selfml.decision_tables import (
    StoreError,
    batch_table,
    claim_table,
    database_url,
    decision_table,
    in_one_line,
    open_engine,
)

__all__ = ["Cell", "Store", "StoreError", "Undone", "Written"]

DECISIONS = ("accept", "reject", "unsure")
STATES = ("undecided", *DECISIONS, "conflict")
ROWS_AT_ONCE = 5_000
CLAIM_S = 120.0  # our choice: longer than an item takes, short enough that a gone auditor frees it
FORGET = 0.05  # of the times that somebody claims, claims that have ended are taken out
STATE_COLUMNS = (
    *("image_id", "attribute", "given", "proposed", "state", "label", "n_auditors", "decided_at"),
)
SAID_COLUMNS = ("image_id", "attribute", "auditor", "decision", "label")
HISTORY_COLUMNS = (
    *("decision_id", "batch_key", "run_id", "image_id", "attribute", "given", "proposed"),
    *("decision", "kind", "auditor", "decided_at", "taken_back"),
)


class Store:
    """Decisions of one database.

    Parameters
    ----------
    url : str
        See `database_url`. The tables are made or brought up to date when it is opened.
    answer_s : float
        How many seconds PostgreSQL may take over one question, for whoever cannot wait longer.

    Raises
    ------
    StoreError
        From every method: the database does not answer or refuses, in one line. Nothing of the
        act was written then, and repeating it with the same key is safe.
    ValueError
        For arguments that are no decision.
    """

    def __init__(self, url: str, *, answer_s: float = math.inf):
        from selfml.migrations import upgrade  # Alembic takes a while to load

        self.url, self.answer_s = database_url(url), answer_s
        with in_one_line(self.url):
            self.engine = open_engine(self.url, answer_s)
        self._writing = self.engine.execution_options(writes=True)
        try:
            with in_one_line(self.url):
                upgrade(self._writing)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the connections back; the store opens new ones if it is used again."""
        self.engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_error) -> None:
        self.close()

    @contextmanager
    def _transaction(self, *, writes: bool) -> Iterator[sa.Connection]:
        with (
            in_one_line(self.url),
            (self._writing if writes else self.engine).begin() as connection,
        ):
            yield connection

    # ------------------------------------------------------------------------------- writing
    def decide(
        self,
        catalogue: str,
        cells: Iterable[Cell],
        decision: str,
        *,
        auditor: str,
        run_id: str,
        key: str = "",
        settle: bool = False,
    ) -> Written:
        """Write one act; with a ``key`` that is there already nothing happens.

        ``settle`` decides a conflict: what it says holds over what others said before.
        """
        cells = list(cells)
        if decision not in DECISIONS:
            raise ValueError(f"decision: must be one of {', '.join(DECISIONS)}, got {decision!r}")
        if settle and decision == "unsure":
            raise ValueError("decision: unsure settles nothing; accept or reject")
        if not cells:
            raise ValueError("cells: is empty; there is nothing to decide")
        _check_names(catalogue=catalogue, auditor=auditor, run_id=run_id)
        kind = "settle" if settle else ("single" if len(cells) == 1 else "bulk")
        with self._transaction(writes=True) as connection:
            key, number = _new_batch(
                connection,
                key,
                catalogue=catalogue,
                run_id=run_id,
                auditor=auditor,
                decision=decision,
                kind=kind,
            )
            if number is None:
                return Written(key, len(cells), 0, repeated=True)
            for start in range(0, len(cells), ROWS_AT_ONCE):
                rows = [
                    {"batch_id": number, **vars(cell)}
                    for cell in cells[start : start + ROWS_AT_ONCE]
                ]
                connection.execute(sa.insert(decision_table), rows)
            conflicts = conflicts_of(connection, number, catalogue, {c.image_id for c in cells})
        return Written(key, len(cells), conflicts)

    def undo(self, catalogue: str, auditor: str, *, key: str = "") -> Undone | None:
        """Take back the auditor's latest act, or the one named; None where there is none.

        Repeated, it takes back the one before, without end. One's own acts only.
        """
        of_mine = [batch_table.c.catalogue == catalogue, batch_table.c.auditor == auditor]
        query = (
            sa.select(batch_table)
            .where(*of_mine, batch_table.c.kind != "undo", ~is_taken_back(batch_table.c.id))
            .order_by(batch_table.c.id.desc())
            .limit(1)
        )
        if key:
            query = query.where(batch_table.c.key == key)
        with self._transaction(writes=True) as connection:
            batch = connection.execute(query).mappings().first()
            if batch is None:
                return None
            same = {name: batch[name] for name in ("catalogue", "run_id", "auditor")}
            _new_batch(connection, "", **same, decision="undo", kind="undo", undoes=batch["id"])
            d = decision_table.c
            cells = sa.select(d.image_id, d.attribute).where(d.batch_id == batch["id"])
            found = connection.execute(cells.order_by(d.id)).all()
        return Undone(str(batch["key"]), str(batch["decision"]), len(found), *found[0])

    def claim(
        self,
        catalogue: str,
        cells: Sequence[tuple[str, str]],
        auditor: str,
        *,
        for_s: float = CLAIM_S,
    ) -> set[tuple[str, str]]:
        """Reserve cells (image_id, attribute) for a while; returns those that one got.

        Those that somebody else holds are left to them. One's own are prolonged.
        """
        if not cells:
            return set()
        now = _now()
        until = now + datetime.timedelta(seconds=for_s)
        rows = [
            {"catalogue": catalogue, "image_id": i, "attribute": j, "auditor": auditor,
             "until": until}
            for i, j in cells
        ]  # fmt: skip
        with self._transaction(writes=True) as connection:
            query = _insert(connection, claim_table)
            query = query.on_conflict_do_update(
                index_elements=["catalogue", "image_id", "attribute"],
                set_={"auditor": query.excluded.auditor, "until": query.excluded.until},
                where=(claim_table.c.until < now) | (claim_table.c.auditor == auditor),
            )
            for row in sorted(rows, key=lambda row: (row["image_id"], row["attribute"])):
                connection.execute(query, row)
            held = _claims(connection, catalogue, now)
        if random.random() < FORGET:
            with suppress(StoreError):  # the claim stands; another time will do
                self._forget_claims()
        return {cell for cell in cells if held.get(cell) == auditor}

    def _forget_claims(self) -> None:
        """Take out claims that have ended: every question about claims would read them all."""
        c = claim_table.c
        names = (c.catalogue, c.image_id, c.attribute)
        ended = sa.select(*names).where(c.until < _now()).with_for_update(skip_locked=True)
        with self._transaction(writes=True) as connection:
            connection.execute(sa.delete(claim_table).where(sa.tuple_(*names).in_(ended)))

    def release(self, catalogue: str, cells: Sequence[tuple[str, str]], auditor: str) -> None:
        """Give back cells (image_id, attribute) that one has claimed; others' are left alone."""
        if not cells:
            return
        c = claim_table.c
        mine = (c.catalogue == catalogue) & (c.auditor == auditor)
        one = (c.image_id == sa.bindparam("image")) & (c.attribute == sa.bindparam("label"))
        with self._transaction(writes=True) as connection:
            for image, label in sorted(cells):  # as `claim` does: in another order they would lock
                connection.execute(
                    sa.delete(claim_table).where(mine, one), {"image": image, "label": label}
                )

    # ------------------------------------------------------------------------------- reading
    def claimed(self, catalogue: str) -> Mapping[tuple[str, str], str]:
        """(image_id, attribute) -> auditor, of the claims that hold now."""
        with self._transaction(writes=False) as connection:
            return _claims(connection, catalogue, _now())

    def state(self, catalogue: str) -> pd.DataFrame:
        """What holds now of every decided cell, ``STATE_COLUMNS``.

        state is one of ``STATES``, accept and reject being about what was proposed last; label is
        the one wanted, and -1 where nobody is sure or people differ.
        """
        return _frame(self._rows(state_of(catalogue)), STATE_COLUMNS)

    def history(self, catalogue: str, *, limit: int | None = None) -> pd.DataFrame:
        """Every decision ever made, latest first, ``HISTORY_COLUMNS``; taken_back is bool."""
        b, d = batch_table.c, decision_table.c
        query = (
            sa.select(
                d.id, b.key, b.run_id, d.image_id, d.attribute, d.given, d.proposed,
                b.decision, b.kind, b.auditor, b.made_at, is_taken_back(b.id),
            )
            .join(batch_table, b.id == d.batch_id)
            .where(b.catalogue == catalogue)
            .order_by(d.id.desc())
            .limit(limit)
        )  # fmt: skip
        frame = pd.DataFrame(self._rows(query), columns=list(HISTORY_COLUMNS))
        return frame.astype({"taken_back": bool})

    def of_auditors(self, catalogue: str, *, settling: bool = True) -> pd.DataFrame:
        """What each auditor says of a cell, ``SAID_COLUMNS``; label as in `state`.

        Decisions that a later settlement closed are left out. With ``settling=False`` it is what
        each said last in their own judgement: settlements are left out instead.
        """
        return _frame(self._rows(said_of(catalogue, settling=settling)), SAID_COLUMNS)

    def spoken(self, catalogue: str, known: Known = NOTHING_KNOWN) -> Spoken:
        """Who stands by a decision on which cells, of all cells or of those that changed since.

        Parameters
        ----------
        known : Known
            Of an earlier answer; see `selfml.decision_index`, which keeps the two together.
        """
        with self._transaction(writes=False) as connection:
            return read_spoken(connection, catalogue, known)

    def catalogues(self) -> dict[str, int]:
        """Every catalogue with decisions, and how many acts on it there were."""
        b = batch_table.c
        query = sa.select(b.catalogue, sa.func.count()).group_by(b.catalogue)
        return dict(self._rows(query.order_by(b.catalogue)))

    def _rows(self, query: sa.Select) -> list:
        with self._transaction(writes=False) as connection:
            return list(map(tuple, connection.execute(query).all()))  # pandas is slow over its rows


def _frame(rows: list, columns: Sequence[str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=list(columns))
    return frame.assign(label=pd.to_numeric(frame["label"]).fillna(-1).astype("int8"))


def _insert(connection: sa.Connection, table: sa.Table) -> sqlite.Insert | postgresql.Insert:
    """An insert that can say what to do on conflict, in the database's own dialect."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(table)


def _new_batch(connection: sa.Connection, key: str, **fields) -> tuple[str, int | None]:
    """(key, id) of a new batch; the id is None where the key was there already."""
    key = key or uuid.uuid4().hex
    query = (
        _insert(connection, batch_table)
        .values(key=key, made_at=_now(), **fields)
        .on_conflict_do_nothing(index_elements=["key"])
        .returning(batch_table.c.id)
    )
    return key, connection.scalar(query)


def _claims(connection: sa.Connection, catalogue: str, now: datetime.datetime) -> dict:
    c = claim_table.c
    query = sa.select(c.image_id, c.attribute, c.auditor)
    rows = connection.execute(query.where(c.catalogue == catalogue, c.until >= now))
    return {(row.image_id, row.attribute): row.auditor for row in rows}


def _check_names(**names: str) -> None:
    for name, value in names.items():
        if not value.strip():
            raise ValueError(f"{name}: is empty; every decision says where, by whom and on what")


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
