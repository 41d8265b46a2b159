"""The audit desk without a browser: decisions are written, once, and survive what fails."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from streamlit.testing.v1 import AppTest

from dashboard import audit_grid, audit_panels, audit_queue
from dashboard.frames import database as tables
from dashboard.frames.audit import cells_of
from dashboard.frames.controls import controls
from dashboard.frames.flips import FlipQuery, flips_page, flips_summary
from selfml.decisions import Store
from selfml.run import catalogue_of
from tests.dashboard.audit_cases import history, press, to_decide
from tests.dashboard.conftest import text_of

pytestmark = pytest.mark.slow
Open = Callable[..., AppTest]


def test_each_decision_is_written_and_leads_to_the_next(open_desk, database, run):
    flips = to_decide(run, FlipQuery(), 4)
    app = open_desk()
    for n, decision in enumerate(("accept", "reject", "unsure")):
        assert f"“{flips['attribute'][n]}”?" in text_of(app)
        press(app, decision)
    expected = [
        (flips["image_id"][n], flips["attribute"][n], decision, "ann")
        for n, decision in enumerate(("accept", "reject", "unsure"))
    ]
    assert history(database, run) == expected[::-1]
    assert app.query_params["flip"] == f"{flips['image_index'][3]}-{flips['attribute_index'][3]}"
    assert "3 decided in this visit" in text_of(app)


def test_the_next_item_costs_few_questions(open_desk, run, monkeypatch):
    """However much is decided and left: ten items are fetched at once, then one is asked for."""
    asked, answer = [], tables._answer

    def noted(*args, **arrays):
        asked.append(args)
        return answer(*args, **arrays)

    monkeypatch.setattr(tables, "_answer", noted)
    assert audit_queue.AHEAD >= 10
    app = open_desk()
    statements = []

    def note(_connection, _cursor, statement: str, *_rest) -> None:
        statements.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        for _ in range(audit_queue.AHEAD // 2):
            statements.clear()
            asked.clear()
            press(app, "accept")
            kinds = [statement.split()[0] for statement in statements]
            assert kinds == ["BEGIN", "INSERT", "INSERT", "WITH"]  # begun, act, cell, conflicts
            assert len(asked) <= 1  # the flip itself, for its receipt
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def test_undo_goes_back_to_the_item(open_desk, database, run):
    flip = to_decide(run, FlipQuery(), 1).iloc[0]
    app = open_desk()
    press(app, "accept")
    press(app, "undo")
    assert app.query_params["flip"] == f"{flip['image_index']}-{flip['attribute_index']}"
    assert any("Taken back" in info.value for info in app.info)
    press(app, "undo")
    assert any("nothing of yours" in info.value for info in app.info)
    with Store(database) as store:
        assert store.state(catalogue_of(run)).empty


def test_all_that_a_filter_matches_is_one_act(open_desk, database, run):
    query = FlipQuery(attribute=1, direction="to_1")
    expected = {(c.image_id, c.attribute) for c in cells_of(to_decide(run, query, 10_000))}
    app = open_desk(part="all", attribute="1", direction="to_1")
    assert f"<strong>{len(expected)}</strong> undecided" in text_of(app)
    assert "right" not in text_of(app).split("bulk-counts")[1].split("fc-note")[0]
    press(app, "all-accept")
    done = history(database, run)
    assert {row[:2] for row in done} == expected
    assert {row[2] for row in done} == {"accept"}
    press(app, "undo-batch")
    with Store(database) as store:
        assert store.state(catalogue_of(run)).empty


@pytest.mark.parametrize("part", ["one", "grid", "all"])
def test_why_fewer_are_asked_about_than_the_list_of_flips_has(open_desk, run, part):
    """Nobody is asked about those on verified images."""
    query = FlipQuery(attribute=1, direction="to_1")
    counts, n_left = flips_summary(run, query), len(to_decide(run, query, 10_000))
    assert counts["n"] > counts["verified"] > 0
    assert n_left == counts["n"] - counts["verified"]
    text = text_of(open_desk(part=part, attribute="1", direction="to_1"))
    assert f"{counts['verified']} on verified images need no decision" in text
    words = f"Of {counts['n']} flips" if part == "all" else f"{n_left} of {counts['n']} left"
    assert words in text


def test_what_is_left_and_what_is_not_asked_add_up_with_a_control_ahead(
    with_controls, run, monkeypatch
):
    """Else whoever adds them up knows that one of the items is a control."""
    known = controls(run)
    key = int(known.keys[0])
    one = flips_page(run, FlipQuery(keys=(key,)), 1, 1)
    monkeypatch.setattr(audit_queue, "next_control", lambda *_: (0, one))
    counts = flips_summary(run, FlipQuery())
    text = text_of(with_controls())
    left = re.search(r"([\d,]+) of ([\d,]+) left in this list", text)
    out = re.search(r"([\d,]+) on verified images", text)
    assert int(left[1]) == counts["n"] - counts["verified"] + 1
    assert int(left[1]) + int(out[1]) == int(left[2]) == counts["n"]


def test_undoing_all_waits_for_a_store_that_fails(open_desk, database, run):
    app = open_desk(part="all", attribute="1", direction="to_1")
    press(app, "all-accept")
    with Store(database) as store, store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE batch RENAME TO gone")
    app.button(key="undo-batch").click().run()
    assert "no such table: batch" in app.error[0].value
    with Store(database) as store, store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO batch")
    app.run()
    press(app, "undo-batch")
    with Store(database) as store:
        assert store.state(catalogue_of(run)).empty
    assert "undo-batch" not in [button.key for button in app.button]


def test_more_than_one_act_can_hold_is_said(open_desk, run, monkeypatch):
    n = len(to_decide(run, FlipQuery(), 10_000))
    monkeypatch.setattr(audit_panels, "AT_ONCE", 5)
    app = open_desk(part="all")
    assert f"first 5 of {n:,} undecided" in app.info[0].value
    assert [b.label for b in app.button if b.key.startswith("all-")] == [
        *("Accept these 5", "Reject these 5")
    ]


def test_another_filter_leaves_the_item_that_was_shown(open_desk, run):
    """The address named it from the first decision on, and went on naming it."""
    app = open_desk()
    press(app, "accept")
    assert "flip" in app.query_params
    app.selectbox(key="url_attribute").select(1).run()
    assert "flip" not in app.query_params
    first = to_decide(run, FlipQuery(attribute=1), 1).iloc[0]
    assert f"“{first['attribute']}”?" in text_of(app)


def test_the_history_shows_what_was_taken_back(open_desk, database, run):
    app = open_desk()
    press(app, "reject")
    press(app, "undo")
    app = open_desk(part="history")
    shown = app.dataframe[0].value
    assert shown[["auditor", "decision", "taken back"]].to_numpy().tolist() == [
        *[["ann", "rejected", "yes"]]
    ]


def test_a_store_that_fails_keeps_the_item(open_desk, database):
    app = open_desk()
    asked = next(b.key for b in app.button if b.key.startswith("accept"))
    with Store(database) as store, store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE batch RENAME TO gone")
    app.button(key=asked).click().run()
    assert not app.exception
    assert "Not saved. sqlite://" in app.error[0].value
    assert "no such table: batch" in app.error[0].value
    assert asked in [b.key for b in app.button]  # the same item, as it was
    with Store(database) as store, store.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE gone RENAME TO batch")
    app.button(key=asked).click().run()
    assert not app.error
    assert asked not in [b.key for b in app.button]


def test_a_database_of_another_kind_is_said(open_view, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "mysql://x/y")
    app = open_view("audit", run="tiny")
    assert "must be sqlite or postgresql" in app.error[0].value


def test_an_address_of_another_run_says_so(open_desk):
    assert any("no such flip" in m.value for m in open_desk(flip="9999-0").markdown)


def test_a_screen_of_one_label_is_decided_at_once(open_desk, database, run):
    app = open_desk(part="grid", attribute="1", direction="to_1")
    flips = to_decide(run, FlipQuery(attribute=1, direction="to_1"), audit_grid.AT_ONCE)
    names = audit_queue.names_of(flips)
    assert f"Add “{run.attributes[1]}”?" in text_of(app)
    assert [box.key for box in app.checkbox if box.key.startswith("wrong-")] == [
        f"wrong-{name}" for name in names
    ]
    for name in names[1:3]:
        app.checkbox(key=f"wrong-{name}").check()
    press(app, "FormSubmitter")
    cells = [(cell.image_id, cell.attribute) for cell in cells_of(flips)]
    done = {row[:2]: row[2] for row in history(database, run)}
    assert done == {cell: "reject" if n in (1, 2) else "accept" for n, cell in enumerate(cells)}
    assert f"2 rejected, {len(cells) - 2} accepted." in app.success[0].value
    press(app, "undo-batch")
    with Store(database) as store:
        assert store.state(catalogue_of(run)).empty


def test_a_screen_asks_one_question(open_desk, run):
    """Without a label chosen, that of the next flip, and only flips that ask the same of it."""
    first = to_decide(run, FlipQuery(), 1).iloc[0]
    app = open_desk(part="grid")
    change = "Add" if first["corrected"] == 1 else "Take off"
    assert f"{change} “{first['attribute']}”?" in text_of(app)
    shown = [box.key.removeprefix("wrong-") for box in app.checkbox if "wrong-" in box.key]
    assert {name.partition("-")[2] for name in shown} == {str(first["attribute_index"])}
