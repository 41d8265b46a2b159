"""The benchmark of many auditors, in short: what it finds, and that it would find faults."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from selfml.run import Run
from tests.benchmarks.audit import database, measure
from tests.benchmarks.auditors import Act, compare
from tests.benchmarks.worlds import build_run
from tests.postgres import programs

COLUMNS = ["batch_key", "image_id", "attribute", "decision", "auditor", "taken_back"]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Run:
    return Run(build_run(tmp_path_factory.mktemp("audit") / "run", 1_500, 15, 31))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_eight_auditors_on_two_servers_lose_double_and_cross_nothing(kind, drawn, tmp_path):
    if kind == "postgresql" and programs() is None:
        pytest.skip("no PostgreSQL on this machine (apt-get install postgresql)")
    with database(kind, tmp_path) as url:
        notes, rows = measure(drawn.path, url, 8, 2, seconds=3.0, pause_s=0.02)
    assert notes.errors == []
    assert len({act.auditor for act in notes.acts}) == 8
    found = {name: value for name, value, _, limit in rows if limit == 0}
    assert set(found.values()) == {0}
    assert {"lost", "doubled", "crossed"} <= found.keys()


def act(n: int, auditor: str = "ann", **changes) -> Act:
    made = Act(auditor, f"k{n}", f"{n}.jpg", "Red", "accept", 10.0 * n, 10.0 * n + 5, 0.01)
    return replace(made, **changes)


def history(*acts: Act) -> pd.DataFrame:
    rows = [(a.key, a.image_id, a.attribute, a.decision, a.auditor, a.undone) for a in acts]
    return pd.DataFrame(rows, columns=COLUMNS)


ONE, TWO = act(1), act(2, "bob")
MINE = replace(TWO, image_id="1.jpg")


@pytest.mark.parametrize(
    ("noted", "kept", "expected"),
    [
        ([ONE, TWO], [ONE, TWO], (0, 0, 0)),
        ([ONE, TWO], [ONE], (1, 0, 0)),
        ([ONE], [replace(ONE, auditor="bob")], (1, 0, 0)),
        ([replace(ONE, undone=True)], [ONE], (1, 0, 0)),
        ([ONE], [ONE, ONE], (0, 2, 0)),  # a key twice, and one cell twice by one auditor
        ([ONE], [ONE, TWO], (0, 1, 0)),
        ([ONE, replace(ONE, key="k3")], [ONE, replace(ONE, key="k3")], (0, 1, 0)),
        ([ONE, MINE], [ONE, MINE], (0, 0, 1)),
        (  # offered to bob while ann was at it, though she took hers back
            [replace(ONE, undone=True), replace(MINE, offered_s=12.0)],
            [replace(ONE, undone=True), MINE],
            (0, 0, 1),
        ),
        (
            [replace(ONE, undone=True), MINE],
            [replace(ONE, undone=True), MINE],
            (0, 0, 0),
        ),
    ],
)  # fmt: skip
def test_a_planted_fault_is_found(noted, kept, expected):
    assert tuple(compare(noted, history(*kept)).values()) == expected
