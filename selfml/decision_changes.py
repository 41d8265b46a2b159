"""What was decided since one last asked: acts that are new, and what they were about.

Acts are numbered before they are committed, so one may appear below others that were read already.
The acts of the last ``LATE_S`` seconds, and the ``LATE`` newest, are therefore asked for again and
told apart by their numbers. An act is never deleted: one that is not there any more, or has another
key, says that the store was restored from a backup, and everything is read anew.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from selfml.decision_queries import acts_after, cells_of_acts, newest_acts, spoken_of

LATE, LATE_S = 200, 60.0  # our choice: longer than an act takes to be committed
MANY = 30_000  # our choice: cells that changed, or acts, beyond which everything is read anew
AT_ONCE = 2_000  # numbers or images that are named in one question


@dataclass(frozen=True)
class Known:
    """What an answer took in: all acts up to the number ``below``, and ``acts``, number -> key."""

    below: int = -1
    acts: dict[int, str] = field(default_factory=dict)


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
    if known.below < 0:
        return _everything(connection, catalogue)
    acts = connection.execute(acts_after(catalogue, known.below).limit(MANY + 1)).all()
    keys = {act.id: act.key for act in acts}
    if len(acts) > MANY or any(keys.get(n) != key for n, key in known.acts.items()):
        return _everything(connection, catalogue)
    new = [act for act in acts if act.id not in known.acts]
    if not new:
        return Spoken(known, [], [])
    about = {act.id if act.undoes is None else act.undoes for act in new}
    cells: set[tuple[str, str]] = set()
    for some in _parts(about):
        cells.update(map(tuple, connection.execute(cells_of_acts(some, MANY + 1))))
        if len(cells) > MANY:
            return _everything(connection, catalogue)
    rows = list(_rows(connection, catalogue, {image for image, _ in cells}))
    return Spoken(_newest(acts, known.below), list(cells), rows)


def _rows(connection: sa.Connection, catalogue: str, images: set[str]) -> Iterator[tuple]:
    for some in _parts(images):
        yield from map(tuple, connection.execute(spoken_of(catalogue, some)))


def _parts(names: Iterable) -> Iterator[list]:
    listed = list(names)
    return (listed[at : at + AT_ONCE] for at in range(0, len(listed), AT_ONCE))


def _everything(connection: sa.Connection, catalogue: str) -> Spoken:
    # Acts first: one that comes between is then read twice, and not never.
    acts = connection.execute(newest_acts(catalogue, MANY)).all()[::-1]
    rows = list(map(tuple, connection.execute(spoken_of(catalogue))))
    return Spoken(_newest(acts, acts[0].id - 1 if len(acts) == MANY else 0), None, rows)


def _newest(acts: Sequence, below: int) -> Known:
    """The acts to ask for again, of all above ``below`` in the order of their numbers."""
    if not acts:
        return Known(below)
    since = max(act.made_at for act in acts) - datetime.timedelta(seconds=LATE_S)
    young = next(n for n, act in enumerate(acts) if act.made_at >= since)
    first = max(0, min(young, len(acts) - LATE))
    return Known(acts[first - 1].id if first else below, {act.id: act.key for act in acts[first:]})
