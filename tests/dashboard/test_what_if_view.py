"""Taking basis images out and changing their labels, in both views, without a browser."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.frames import what_if
from selfml.counterfactual import Counterfactuals, read_counterfactuals
from selfml.receipts import receipt, without_atom
from selfml.run import Run
from tests.dashboard.conftest import text_of
from tests.what_if_cases import fragile_flip

pytestmark = pytest.mark.slow
Open = Callable[..., AppTest]


@pytest.fixture
def world(run: Run) -> Counterfactuals:
    return read_counterfactuals(run)


@pytest.fixture
def fragile(run: Run) -> tuple[int, int, int]:
    return fragile_flip(run)


def choose(app: AppTest, i: int, j: int, k: int, choice: str | int) -> None:
    app.selectbox(key=f"what_if_atom_{i}_{j}").set_value(k).run()
    app.segmented_control(key=f"what_if_{k}_{j}").set_value(choice).run()
    assert not app.exception


def test_taking_a_basis_image_out_of_a_receipt(open_view: Open, run: Run, world, fragile):
    i, j, k = fragile
    app = open_view("flips", run="tiny", flip=f"{i}-{j}", direction="all")
    assert "Nothing is saved" in text_of(app)
    choose(app, i, j, k, "out")
    assert app.query_params["without"] == str(k)
    text = text_of(app)
    assert f"Without basis image {k}, this change would not stand." in text
    one = without_atom(receipt(run, i, j), k)
    assert f"<td>{one.label_score:.4f}</td>" in text
    assert f"<td>{one.score:+.4f}</td>" in text
    assert f"<td>{one.strict_score:+.4f}</td>" in text
    counts = what_if.counts(world.what_if([k]), "full", (i, j))
    assert f"{counts.words(other=True)}." in text
    app.button(key="what_if_back").click().run()
    assert "without" not in app.query_params
    assert "Nothing is saved" in text_of(app)


def test_changing_a_label_for_this_attribute(open_view: Open, run: Run, world, fragile):
    i, j, k = fragile
    label = int(run.array("basis_labels")[k, j])
    other = 1 - label if label >= 0 else 1
    app = open_view("flips", run="tiny", flip=f"{i}-{j}")
    options = app.segmented_control(key=f"what_if_{k}_{j}").options
    assert len(options) == 4
    assert {1: "Label yes", 0: "Label no", -1: "Unknown"}[label] not in options
    choose(app, i, j, k, other)
    assert app.query_params["relabel"] == f"{k}-{j}-{('no', 'yes')[other]}"
    effect = world.what_if(labels={(k, j): other})
    counts = what_if.counts(effect, "full", (i, j))
    text = text_of(app)
    assert f"With basis image {k} labelled {('no', 'yes')[other]} for " in text
    assert f"{counts.words(other=True)}." in text
    place = effect.place(i, j)
    assert f"<td>{effect.after.score[place]:+.4f}</td>" in text


def test_edits_open_from_their_address_and_stay_behind(open_view: Open, run: Run, fragile):
    i, j, k = fragile
    other = next(a for a in range(8) if a != k)
    app = open_view(
        "flips", run="tiny", flip=f"{i}-{j}", without=f"{k},999", relabel=f"{other}-{j}-unknown"
    )
    text = text_of(app)
    assert f"Without basis image {k} and with basis image {other} labelled unknown for" in text
    assert app.selectbox(key=f"what_if_atom_{i}_{j}").value == k
    assert app.segmented_control(key=f"what_if_{k}_{j}").value == "out"
    app.button(key="receipt_back").click().run()
    assert dict(app.query_params) == {"run": "tiny"}


def test_a_label_that_does_not_lean_on_the_edit_says_so(open_view: Open, run: Run):
    c = run.coefficients().toarray()
    i, k = (int(v[0]) for v in np.nonzero(c == 0))
    text = text_of(open_view("flips", run="tiny", flip=f"{i}-0", without=str(k)))
    assert "it does not lean on what was edited" in text


def test_the_blast_radius_of_a_basis_image(open_view: Open, run: Run, world: Counterfactuals):
    k = int(world.leaning.getnnz(axis=0).argmax())
    of = what_if.blast_radius(run, world, k)
    app = open_view("basis", run="tiny", basis=str(k))
    text = text_of(app)
    assert f"Images: {of.n_images}" in text
    assert f"Flips: {of.n_flips}" in text
    assert f"Would fall: {of.deciding.falls}" in text
    assert f"Newly flipped: {of.deciding.arises}" in text
    assert "needed=1" in text
    assert "What would change without it" in text
    assert "<script>alert" not in text
    listed = text_of(open_view("flips", run="tiny", basis=str(k), needed="1"))
    assert f"<strong>{len(of.keys)}</strong> flip" in listed
    assert f"that would fall without basis image {k}" in listed


def test_another_label_of_a_basis_image(open_view: Open, run: Run, world: Counterfactuals):
    label = 1 - max(int(run.array("basis_labels")[2, 1]), 0)
    app = open_view("basis", run="tiny", basis="2")
    app.selectbox(key="what_if_attribute_2").set_value(1).run()
    app.segmented_control(key="what_if_2_1").set_value(label).run()
    assert not app.exception
    assert app.query_params["relabel"] == f"2-1-{('no', 'yes')[label]}"
    counts = what_if.counts(world.what_if(labels={(2, 1): label}), "full")
    assert f"{counts.words()}." in text_of(app)
    app.button(key="what_if_atom_back").click().run()
    assert dict(app.query_params) == {"run": "tiny", "basis": "2"}


def test_a_basis_image_that_does_not_exist_needs_no_flips(open_view: Open):
    text = text_of(open_view("flips", run="tiny", needed="1", basis="999"))
    assert "No flip is like this" in text


@pytest.mark.parametrize(
    "address",
    [
        {"needed": "1"},
        {"flip": "0-0", "without": "999", "relabel": "999-0-yes,0-99-no"},
    ],
    ids=str,
)
def test_an_address_of_another_run_does_no_harm(open_view: Open, address: dict):
    text = text_of(open_view("flips", run="tiny", **address))
    assert ("Nothing is saved" if "flip" in address else 'class="fc-card"') in text
    assert "Without basis" not in text
