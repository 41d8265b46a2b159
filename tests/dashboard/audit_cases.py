"""What tests of the Audit view do: what there is to decide, what was, and pressing a button."""

from __future__ import annotations

import pandas as pd
from streamlit.testing.v1 import AppTest

from dashboard.frames.audit import queue
from dashboard.frames.controls import controls
from dashboard.frames.flips import FlipQuery
from selfml.decisions import Store
from selfml.run import Run, catalogue_of


def to_decide(run: Run, query: FlipQuery, n: int) -> pd.DataFrame:
    """The first flips of images that nobody verified."""
    return queue(run, query, controls(run).hidden, n)


def history(database: str, run: Run) -> list[tuple[str, str, str, str]]:
    with Store(database) as store:
        frame = store.history(catalogue_of(run))
    columns = ["image_id", "attribute", "decision", "auditor"]
    return [tuple(row) for row in frame[columns].to_numpy()]


def press(app: AppTest, words: str) -> None:
    next(b for b in app.button if b.key.startswith(words)).click().run()
    assert not app.exception
