"""Several people at the audit desk: claims, conflicts, control items, and what rejects lead to."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from urllib.parse import parse_qs

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import audit_queue
from dashboard.draft import decode
from dashboard.frames.audit import cells_of, suspect_rows
from dashboard.frames.controls import controls, next_control
from dashboard.frames.flips import FlipQuery
from selfml.decisions import Store
from selfml.flips import read_evidence_model
from selfml.run import catalogue_of
from tests.dashboard.audit_cases import history, press, to_decide
from tests.dashboard.conftest import text_of

pytestmark = pytest.mark.slow
Open = Callable[..., AppTest]


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


def test_a_control_is_decided_like_any_other_and_nobody_is_told(with_controls, database, run):
    """It comes where it was drawn for this auditor; what others say of it is no conflict."""
    known, query = controls(run), FlipQuery()
    wait, control = next_control(run, known, query, known.keys[:0], "ann")
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


def test_decisions_on_the_same_folder_elsewhere_are_told_of(open_desk, database, run):
    cells = cells_of(to_decide(run, FlipQuery(), 1))
    with Store(database) as store:
        shop = catalogue_of(run).rpartition("/")[2]
        store.decide(f"/moved/{shop}", cells, "accept", auditor="ann", run_id="r")
        assert "data.catalogue" in open_desk().warning[0].value
        store.decide(catalogue_of(run), cells, "accept", auditor="ann", run_id="r")
    assert not open_desk().warning
