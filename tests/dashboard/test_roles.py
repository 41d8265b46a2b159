"""What each role can do in the views: refused on the server, whatever the page shows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import blinding
from dashboard.draft import encode
from dashboard.frames import attribute_categories as categories
from dashboard.frames import attributes
from dashboard.oracle_panels import PART
from selfml.decisions import Cell, Store
from selfml.oracle import expert_labels
from selfml.run import Run, catalogue_of
from tests.dashboard.conftest import APP, text_of
from tests.dashboard.test_audit_view import history, press
from tests.oracle_cases import build_unverified_run
from tests.signed_in import AUTH, ROLES, claims

pytestmark = pytest.mark.slow
Open = Callable[..., AppTest]


@pytest.fixture
def database(tmp_path, monkeypatch) -> str:
    url = f"sqlite:///{tmp_path / 'decisions.db'}"
    monkeypatch.setenv("DATABASE_URL", url)
    return url


@pytest.fixture
def open_as(runs_folder: Path, database, monkeypatch) -> Open:
    """``open_as("bob@shop.org", "audit", part="all")``: a view, where people sign in."""
    monkeypatch.setenv("SELFML_RUNS", str(runs_folder))
    monkeypatch.setenv("SELFML_DEMO_RUN", str(runs_folder / "nowhere"))
    monkeypatch.setenv("SELFML_ROLES", ROLES)

    def open_(email: str, view: str, run: str = "tiny", **query: str) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=30)
        app.secrets = {"auth": AUTH}
        app.user = claims(email) if email else {}
        app.switch_page(f"views/{view}.py")
        app.query_params.update({"run": run} | query)
        app.run()
        assert not app.exception, app.exception[0].message
        return app

    return open_


def deciding(app: AppTest) -> list[str]:
    words = ("accept", "reject", "unsure", "undo", "all-", "settle")
    return [b.key for b in app.button if b.key.startswith(words)]


def noted(capsys) -> list[dict]:
    lines = capsys.readouterr().err.splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"time"')]


def test_who_has_not_signed_in_is_asked_to(open_as):
    app = open_as("", "flips")
    assert [b.key for b in app.button] == ["sign_in_default"]
    assert not app.selectbox
    assert "<img" not in text_of(app)


def test_who_has_no_role_sees_why(open_as):
    app = open_as("eve@nowhere.org", "flips")
    assert "Nobody has given `eve@nowhere.org` a role" in text_of(app)
    assert [b.key for b in app.button] == ["sign_out"]


def test_an_auditor_decides_as_themselves(open_as, database, run, capsys):
    app = open_as("Bob@shop.org", "audit")
    press(app, "accept")
    assert [row[2:] for row in history(database, run)] == [("accept", "bob@shop.org")]
    press(app, "undo")
    events = noted(capsys)
    assert [e["event"] for e in events] == ["sign-in", "decide", "undo"]
    assert {e["auditor"] for e in events} == {"bob@shop.org"}
    assert events[1] | {"time": "", "run": ""} == {
        "time": "", "event": "decide", "auditor": "bob@shop.org", "run": "",
        "catalogue": catalogue_of(run), "n": 1,
    }  # fmt: skip


def test_a_viewer_is_offered_no_decision_and_claims_nothing(open_as, database, run):
    for part in ("one", "all", "conflicts"):
        app = open_as("vic@else.org", "audit", part=part)
        assert deciding(app) == []
        assert "you may look only" in text_of(app)
    with Store(database) as store:
        assert not store.claimed(catalogue_of(run))


def lose_the_role(monkeypatch) -> None:
    monkeypatch.setenv("SELFML_ROLES", "viewer=*@shop.org")


@pytest.mark.parametrize(("part", "words"), [("one", "accept"), ("one", "undo"), ("all", "all-")])
def test_a_press_without_the_role_is_refused(
    open_as, database, run, monkeypatch, capsys, part, words
):
    """The button was drawn while there was the role; what counts is the moment of the press."""
    with Store(database) as store:  # something of theirs to take back
        cell = Cell("somewhere", "Red", 0, 1)
        store.decide(catalogue_of(run), [cell], "accept", auditor="bob@shop.org", run_id="r")
        before = store.state(catalogue_of(run))
    app = open_as("bob@shop.org", "audit", part=part)
    lose_the_role(monkeypatch)
    capsys.readouterr()
    press(app, words)
    assert "This needs the role auditor" in app.error[0].value
    assert deciding(app) == []
    with Store(database) as store:
        assert store.state(catalogue_of(run)).equals(before)
        assert len(store.history(catalogue_of(run))) == 1
    refused = noted(capsys)[0]
    assert (refused["event"], refused["auditor"], refused["what"]) == (
        *("refused", "bob@shop.org", "auditor"),
    )


def test_a_conflict_is_not_settled_without_the_role(open_as, database, run, monkeypatch):
    with Store(database) as store:
        for auditor, decision in (("a", "accept"), ("b", "reject")):
            cells = [Cell("somewhere", "Red", 0, 1)]
            store.decide(catalogue_of(run), cells, decision, auditor=auditor, run_id="r")
    app = open_as("bob@shop.org", "audit", part="conflicts")
    lose_the_role(monkeypatch)
    press(app, "settle-accept")
    with Store(database) as store:
        assert store.state(catalogue_of(run))["state"].tolist() == ["conflict"]


# ------------------------------------------------------------------------ labels of basis images
@pytest.fixture
def shop(tmp_path, monkeypatch, open_as) -> Run:
    runs = tmp_path / "runs"
    build_unverified_run(runs / "shop")
    monkeypatch.setenv("SELFML_RUNS", str(runs))
    return Run(runs / "shop")


def draft_of(run: Run) -> str:
    return encode("shop", {0: tuple([1] * len(run.attributes))})


def test_a_viewer_labels_nothing(open_as, shop):
    app = open_as("vic@else.org", "basis", "shop", part=PART, draft=draft_of(shop))
    assert "Labelling needs the role auditor" in text_of(app)
    assert not [b for b in app.button if b.key.startswith("oracle")]


def test_an_auditor_labels_and_an_admin_saves(open_as, shop, monkeypatch):
    query = {"part": PART, "draft": draft_of(shop)}
    app = open_as("bob@shop.org", "basis", "shop", **query)
    assert app.button(key="oracle_save").disabled
    assert "an admin saves it" in text_of(app)
    app = open_as("root@shop.org", "basis", "shop", **query)
    monkeypatch.setenv("SELFML_ROLES", "auditor=*@shop.org")
    app.button(key="oracle_save").click().run()
    assert "This needs the role admin" in app.error[0].value
    assert [p.name for p in shop.path.parent.iterdir()] == ["shop"]
    monkeypatch.setenv("SELFML_ROLES", ROLES)
    app.run().button(key="oracle_save").click().run()
    (made,) = [p for p in shop.path.parent.iterdir() if p.name != "shop"]
    assert set(expert_labels(Run(made))["who"]) == {"root@shop.org"}


# --------------------------------------------------------------------------------- without sign-in
def test_two_visitors_without_sign_in_are_two_auditors(open_view, database, run, monkeypatch):
    monkeypatch.setenv("SELFML_AUDITOR", "ann")
    one, two = open_view("audit", run="tiny"), open_view("audit", run="tiny")
    two.text_input(key="auditor_field").set_value("  bob  the\nsecond ").run()
    assert "“bob the second”" in text_of(two)
    two.switch_page("views/flips.py").run()
    two.switch_page("views/audit.py").run()
    press(one, "accept")
    press(two, "reject")
    assert {row[2:] for row in history(database, run)} == {
        *{("accept", "ann"), ("reject", "bob the second")}
    }
    two.text_input(key="auditor_field").set_value("").run()
    assert "“ann”" in text_of(two)


def test_a_server_open_to_others_says_so(open_view, monkeypatch):
    option = st.get_option
    address = {"server.address": "0.0.0.0"}
    assert not open_view("flips", run="tiny").warning
    monkeypatch.setattr(st, "get_option", lambda name: address.get(name) or option(name))
    (warning,) = open_view("flips", run="tiny").warning
    assert "Nobody signs in here, and the server listens on 0.0.0.0" in warning.value


VERDICTS = ("Verified: right", "Verified: wrong", "✓ right", "✕ wrong", "right where verified")


def verified_flip(run: Run) -> str:
    """A flip whose verified label is known, as its address has it."""
    flips = run.table("flips")
    row = flips[flips["truth"] >= 0].iloc[0]
    return f"{row['image_index']}-{row['attribute_index']}"


@pytest.mark.parametrize(
    ("email", "sees"),
    [("bob@shop.org", False), ("vic@else.org", True), ("root@shop.org", True)],
)
def test_auditors_cannot_look_a_control_up(open_as, run, email, sees):
    """A verdict under Flips would tell them what a control item is, and its answer."""
    key = verified_flip(run)
    receipt = text_of(open_as(email, "flips", flip=key))
    assert ("Verified: " in receipt) == sees
    split = run.table("images")["split"][int(key.partition("-")[0])]
    assert (f"· {split} ·" in receipt) == sees
    listed = open_as(email, "flips", truth="wrong", split="clean_train")
    unfiltered = open_as(email, "flips")
    assert ("right where verified" in text_of(unfiltered)) == sees
    counts = [
        re.search(r"<strong>([\d,]+)</strong> flip", text_of(a))[1] for a in (listed, unfiltered)
    ]
    assert (counts[0] != counts[1]) == sees
    assert [box.disabled for box in unfiltered.selectbox if box.label.startswith("Against")] == [
        not sees
    ]
    assert any(word in text_of(unfiltered) for word in VERDICTS) == sees
    labels = text_of(open_as(email, "flips", image=key.partition("-")[0]))
    assert ('<th scope="col">Verified</th>' in labels) == sees


def test_how_many_flips_are_on_verified_images_is_not_for_auditors(open_as):
    """Of a list narrowed to a few flips it would say which images are verified."""
    for email, sees in (("bob@shop.org", False), ("root@shop.org", True)):
        assert ("on verified images" in text_of(open_as(email, "flips"))) == sees
        left = text_of(open_as(email, "audit"))
        assert bool(re.search(r"\d on verified images need no decision", left)) == sees
        assert ("flips on verified images need no decision" in left) != sees


def test_an_auditor_sees_no_share_that_rests_on_few_flips(open_as, run, monkeypatch):
    """Of a category with one judged flip, the share of right ones is that flip's label."""
    cells = categories.cells(categories.flips_by_category(run))
    cells = cells[cells["judged"] > 0].sort_values("judged")
    few, enough = cells.iloc[0], cells.iloc[-1]
    monkeypatch.setattr(blinding, "MIN_SUPPORT", enough["judged"])
    for email, sees in (("vic@else.org", True), ("bob@shop.org", False)):
        for cell, shown in ((few, sees), (enough, True)):
            app = open_as(email, "attributes", attribute=str(cell["attribute_index"]))
            row = re.search(rf"{cell['category']}</a></td>(.*?)</tr>", text_of(app)).group(1)
            judged = int(re.findall(r"<td>([\d,]+)[^<]*</td>", row)[-1].replace(",", ""))
            assert judged == (cell["judged"] if shown else 0), (email, row)


def test_no_table_of_measures_tells_of_few_flips(monkeypatch, run):
    """Nor by a difference: where those added are few, those of both directions go with them."""
    monkeypatch.setattr(blinding, "is_blind", lambda: True)
    table = pd.DataFrame(
        {
            "to_1_judged": [12, 1, 0], "to_1_correct": [9, 1, 0], "to_0_judged": [11, 30, 40],
            "to_0_correct": [10, 21, 33], "judged": [23, 31, 40], "right": [19, 22, 33],
            "precision": [0.8, 0.7, 0.8], "n": [50, 60, 70],
        }
    )  # fmt: skip
    found = blinding.of_measures(table)
    pd.testing.assert_frame_equal(found.iloc[[0, 2]], table.iloc[[0, 2]])
    assert found.iloc[1].drop("precision").tolist() == [0, 0, 0, 0, 0, 0, 60]
    assert np.isnan(found["precision"][1])
    assert table["judged"].tolist() == [23, 31, 40]
    for frame in (attributes.correctness(run), attributes.label_counts(run),
                  categories.cells(categories.flips_by_category(run))):  # fmt: skip
        shown = blinding.of_measures(frame)
        few = (frame["judged"] > 0) & (frame["judged"] < blinding.MIN_SUPPORT)
        assert few.any()
        assert (shown.loc[few, "right"] == 0).all()
