"""What was decided since one last asked: acts that are new, and what they were about.

Acts are numbered before they are committed, so one may appear below others that were read already.
The ``LATE`` newest ones known are therefore asked for again and told apart by their numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from selfml.decision_queries import batches_after, cells_of_batches, newest_batches, spoken_of

LATE = 500  # our choice: more than act at the same moment
MANY = 2_000  # our choice: cells that changed beyond which everything is read anew


@dataclass(frozen=True)
class Known:
    """The newest acts that an answer took in: ``numbers``, and the one below which all are."""

    numbers: frozenset[int] = frozenset()
    all_below: int = -1


NOTHING_KNOWN = Known()


@dataclass(frozen=True)
class Spoken:
    """Who stands by a decision on cells.

    Attributes
    ----------
    known : Known
        To ask with the next time.
    cells : list of (image_id, attribute), or None
        Those that changed, for each of which ``rows`` has all that stands; None: all cells.
    rows : list of (image_id, attribute, auditor, unsure, counts)
        See `selfml.decision_queries.spoken_of`; also of cells that did not change.
    """

    known: Known
    cells: list[tuple[str, str]] | None
    rows: list[tuple]


def read_spoken(connection: sa.Connection, catalogue: str, known: Known) -> Spoken:
    """What stands of all cells, or of those that changed since ``known``."""
    if known.all_below < 0:
        return _everything(connection, catalogue)
    found = connection.execute(batches_after(catalogue, known.all_below)).all()
    new = [row for row in found if row.id not in known.numbers]
    if not new:
        return Spoken(known, [], [])
    about = {row.id if row.undoes is None else row.undoes for row in new}
    if len(about) > MANY:
        return _everything(connection, catalogue)
    cells = [tuple(row) for row in connection.execute(cells_of_batches(about, MANY + 1))]
    if len(cells) > MANY:
        return _everything(connection, catalogue)
    rows = connection.execute(spoken_of(catalogue, {image for image, _ in cells})).all()
    return Spoken(_newest(row.id for row in found), cells, list(map(tuple, rows)))


def _everything(connection: sa.Connection, catalogue: str) -> Spoken:
    # Numbers first: an act that comes between is then read twice, and not never.
    numbers = connection.scalars(newest_batches(catalogue, LATE)).all()
    rows = connection.execute(spoken_of(catalogue)).all()
    return Spoken(_newest(numbers), None, list(map(tuple, rows)))


def _newest(numbers) -> Known:
    newest = sorted(numbers)[-LATE:]
    return Known(frozenset(newest), newest[0] - 1 if len(newest) == LATE else 0)
