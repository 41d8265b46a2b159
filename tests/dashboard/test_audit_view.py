"""The audit desk without a browser: decisions are written, once, and survive what fails."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from urllib.parse import parse_qs

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from streamlit.testing.v1 import AppTest

from dashboard import audit_grid, audit_panels, audit_queue
from dashboard.draft import decode
from dashboard.frames import database as tables
from dashboard.frames.audit import cells_of, queue, suspect_rows
from dashboard.frames.controls import controls, next_control
from dashboard.frames.flips import FlipQuery
from selfml.decisions import Store
from selfml.flips import read_evidence_model
from selfml.run import Run, catalogue_of
from tests.dashboard.conftest import text_of

pytestmark = pytest.mark.slow
Open = Callable[..., AppTest]


@pytest.fixture
def database(tmp_path, monkeypatch) -> str:
    url = f"sqlite:///{tmp_path / 'decisions.db'}"
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("SELFML_AUDITOR", "ann")
    return url


@pytest.fixture
def with_controls(open_view: Open, database) -> Open:
    return lambda **query: open_view("audit", run="tiny", **query)


@pytest.fixture
def open_desk(with_controls, monkeypatch) -> Open:
    """Without control items, that the next item is known; a test below is about these."""
    monkeypatch.setattr(audit_queue, "next_control", lambda *_: (0, pd.DataFrame()))
    return with_controls


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
    monkeypatch.setattr(tables, "_answer", lambda *args: asked.append(args) or answer(*args))
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


def test_what_somebody_decided_or_claimed_is_not_offered(open_desk, database, run):
    flips = to_decide(run, FlipQuery(), 3)
    first, second, _ = cells_of(flips)
    with Store(database) as store:
        store.decide(catalogue_of(run), [first], "reject", auditor="bob", run_id="r")
        store.claim(catalogue_of(run), [(second.image_id, second.attribute)], "bob")
    app = open_desk()
    press(app, "accept")
    assert history(database, run)[0][:2] == (flips["image_id"][2], flips["attribute"][2])


def test_a_contrary_decision_is_said_and_settled(open_desk, database, run):
    flips = to_decide(run, FlipQuery(), 1)
    key = f"{flips['image_index'][0]}-{flips['attribute_index'][0]}"
    app = open_desk(flip=key)
    with Store(database) as store:
        store.decide(catalogue_of(run), cells_of(flips), "reject", auditor="bob", run_id="r")
    press(app, "accept")
    assert any("conflicts" in info.value for info in app.info)
    app = open_desk(part="conflicts")
    assert "ann accepted" in text_of(app)
    assert "bob rejected" in text_of(app)
    press(app, "settle-reject")
    with Store(database) as store:
        assert store.state(catalogue_of(run))["state"].tolist() == ["reject"]
    assert any("No conflict is open" in text.value for text in app.markdown)


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


def test_items_claimed_between_asking_and_claiming_are_asked_for_again(
    open_desk, database, run, monkeypatch
):
    """Else the page would say that everything is decided."""
    flips = to_decide(run, FlipQuery(), audit_queue.AHEAD)
    first = [(cell.image_id, cell.attribute) for cell in cells_of(flips)]
    claim = Store.claim

    def late(self, catalogue, cells, auditor, **how):
        if set(cells) == set(first):
            claim(self, catalogue, cells, "bob")
        return claim(self, catalogue, cells, auditor, **how)

    monkeypatch.setattr(Store, "claim", late)
    app = open_desk()
    with Store(database) as store:
        held = store.claimed(catalogue_of(run))
    mine = {cell for cell, who in held.items() if who == "ann"}
    assert len(mine) == audit_queue.AHEAD
    assert mine.isdisjoint(first)
    assert any(f"“{escape(attribute)}”?" in text_of(app) for _, attribute in mine)


def test_claims_are_made_anew_in_time_and_given_back(open_desk, database, run, monkeypatch):
    flips = to_decide(run, FlipQuery(), audit_queue.AHEAD)
    clock = [1000.0]
    monkeypatch.setattr(audit_queue.time, "monotonic", lambda: clock[0])
    app = open_desk()
    until = []
    for wait_s in (0.0, 50.0, 20.0):
        clock[0] += wait_s
        app.run()
        with Store(database) as store, store.engine.begin() as connection:
            until.append(connection.exec_driver_sql("SELECT max(until) FROM claim").scalar())
            assert len(store.claimed(catalogue_of(run))) == len(flips)
    assert until[0] == until[1] < until[2]
    app.selectbox(key="url_attribute").select(1).run()
    with Store(database) as store:
        assert {name for _, name in store.claimed(catalogue_of(run))} == {run.attributes[1]}


def test_rejects_are_traced_to_basis_images(open_desk, open_view, database, run):
    assert any("Nothing to trace" in m.value for m in open_desk(part="traced").markdown)
    flips = to_decide(run, FlipQuery(attribute=1), 12)
    with Store(database) as store:
        for n, cell in enumerate(cells_of(flips)):
            decision = "reject" if n < 6 else "accept"
            store.decide(catalogue_of(run), [cell], decision, auditor="ann", run_id="r")
        rows = suspect_rows(
            run, run.coefficients(), read_evidence_model(run).prior, store.state(catalogue_of(run))
        )
    app = open_desk(part="traced")
    text = text_of(app)
    worst = rows.iloc[0]
    address = f"basis={worst['basis_index']}&relabel={worst['basis_index']}-1-{worst['other']}"
    assert address in text.replace("&amp;", "&")
    assert f"+{worst['excess']:.1f}" in text
    k, other = int(worst["basis_index"]), {"yes": 1, "no": 0}[worst["other"]]
    labels = np.array(run.array("basis_labels")[k])
    queries = (parse_qs(link.proto.query_string) for link in app.get("page_link"))
    links = [query for query in queries if "draft" in query]
    for place, label in ((0, other), (1, -1)):  # the other label, and none
        labels[1] = label
        drafted = links[place]["draft"][0]
        assert decode(drafted, "tiny", run.info["n_atoms"], len(run.attributes)) == {
            k: tuple(labels.tolist())
        }
        shown = text_of(open_view("basis", run="tiny", part="to-label", draft=drafted))
        assert "Not saved: 1" in shown


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


def test_a_control_is_decided_like_any_other_and_nobody_is_told(with_controls, database, run):
    """It comes where it was drawn for this auditor; what others say of it is no conflict."""
    known, query = controls(run), FlipQuery()
    wait, control = next_control(run, known, query, (), "ann")
    assert wait < 12
    with Store(database) as store:
        store.decide(catalogue_of(run), cells_of(control), "unsure", auditor="bob", run_id="r")
        store.decide(catalogue_of(run), cells_of(control), "reject", auditor="cat", run_id="r")
    app = with_controls()
    for _ in range(wait):
        press(app, "accept")
    name = f"{control['image_index'][0]}-{control['attribute_index'][0]}"
    assert f"accept-{name}" in [button.key for button in app.button]
    assert not any(word in text_of(app) for word in ("control", "verified label is"))
    press(app, "accept")
    assert not app.info  # "somebody else decided otherwise" would give it away
    assert history(database, run)[0][:2] == (control["image_id"][0], control["attribute"][0])
    assert any("No conflict is open" in m.value for m in with_controls(part="conflicts").markdown)
    people = with_controls(part="people").dataframe[0].value.set_index("auditor")
    assert people.loc["ann", "decided"] == wait + 1
    assert people.loc["ann", ["wrong proposals", "right proposals"]].sum() == 1


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


def test_decisions_on_the_same_folder_elsewhere_are_told_of(open_desk, database, run):
    cells = cells_of(to_decide(run, FlipQuery(), 1))
    with Store(database) as store:
        shop = catalogue_of(run).rpartition("/")[2]
        store.decide(f"/moved/{shop}", cells, "accept", auditor="ann", run_id="r")
        assert "data.catalogue" in open_desk().warning[0].value
        store.decide(catalogue_of(run), cells, "accept", auditor="ann", run_id="r")
    assert not open_desk().warning
