"""The flips view without a browser: every state of a run, every filter in the address."""

from __future__ import annotations

import re
from collections.abc import Callable

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from dashboard.flip_panels import ORDER
from dashboard.frames.flips import PAGE_SIZE, FlipQuery, flips_page, flips_summary
from selfml.audited import verified_images
from selfml.intervals import wilson_interval
from selfml.run import Run
from tests.dashboard.conftest import text_of

pytestmark = pytest.mark.slow
Open = Callable[..., AppTest]


def test_the_list_opens_with_a_page_of_cards(open_view: Open, run: Run):
    text = text_of(open_view("flips", run="tiny"))
    n = flips_summary(run, FlipQuery())["n"]
    assert f"<strong>{n}</strong> flips" in text
    assert text.count('class="fc-card"') == PAGE_SIZE
    assert "<script>alert" not in text


@pytest.mark.parametrize(
    ("address", "query"),
    [
        ({"attribute": "1"}, FlipQuery(attribute=1)),
        ({"attribute": "999"}, FlipQuery()),
        ({"category": "tops"}, FlipQuery(category="tops")),
        ({"split": "noisy_train"}, FlipQuery(split="noisy_train")),
        ({"direction": "to_0"}, FlipQuery(direction="to_0")),
        ({"agreement": "disagree"}, FlipQuery(agreement="disagree")),
        ({"auto": "1"}, FlipQuery(auto=True)),
        ({"truth": "right"}, FlipQuery(truth="right")),
        ({"min_confidence": "0.8"}, FlipQuery(min_confidence=0.8)),
        ({"basis": "2"}, FlipQuery(basis=2)),
    ],
    ids=str,
)
def test_an_address_filters(open_view: Open, run: Run, address: dict, query: FlipQuery):
    n = flips_summary(run, query)["n"]
    assert f"<strong>{n}</strong> flip" in text_of(open_view("flips", run="tiny", **address))


def test_choosing_a_filter_changes_the_address_and_the_list(open_view: Open, run: Run):
    app = open_view("flips", run="tiny", page="2")
    app.selectbox(key="url_attribute").set_value(2).run()
    assert dict(app.query_params) == {"run": "tiny", "attribute": "2"}
    n = flips_summary(run, FlipQuery(attribute=2))["n"]
    assert f"<strong>{n}</strong> flip" in text_of(app)
    app.button(key="clear_filters").click().run()
    assert dict(app.query_params) == {"run": "tiny"}


def test_the_second_page_shows_other_flips(open_view: Open, run: Run):
    first = flips_page(run, FlipQuery(sort=ORDER), 1).iloc[0]
    second = flips_page(run, FlipQuery(sort=ORDER), 2).iloc[0]
    text = text_of(open_view("flips", run="tiny", page="2"))
    assert f"flip={second['image_index']}-{second['attribute_index']}" in text
    assert f"flip={first['image_index']}-{first['attribute_index']}&" not in text


def _cards(app: AppTest) -> list[str]:
    """The flips of a page, ``<image_index>-<attribute_index>``, in order."""
    return re.findall(r"[?&]flip=(\d+-\d+)", text_of(app).replace("&amp;", "&"))


def _keys(page: pd.DataFrame) -> list[str]:
    return [f"{i}-{j}" for i, j in zip(page["image_index"], page["attribute_index"], strict=True)]


def test_a_first_page_has_every_attribute_and_the_address_may_say_another_order(
    open_view: Open, run: Run
):
    """By confidence a page of the demo run was of one attribute."""
    app = open_view("flips", run="tiny")
    assert app.selectbox(key="url_sort").value == "mixed"
    assert {int(key.partition("-")[2]) for key in _cards(app)} == set(range(6))
    by_confidence = open_view("flips", run="tiny", sort="confidence")
    assert by_confidence.selectbox(key="url_sort").value == "confidence"
    assert _cards(by_confidence) == _keys(flips_page(run, FlipQuery(sort="confidence"), 1))
    assert _cards(by_confidence) != _cards(app)
    assert _cards(open_view("flips", run="tiny", sort="no such order")) == _cards(app)


def test_a_receipt_opens_from_its_address_and_leads_on(open_view: Open, run: Run):
    page = flips_page(run, FlipQuery(direction="to_1", sort=ORDER), 1)
    keys = _keys(page)
    app = open_view("flips", run="tiny", direction="to_1", flip=keys[1])
    text = text_of(app)
    assert "The shop did not list" in text
    assert "What the image is made of" in text
    assert 'data-testid="sum-full"' in text
    app.button(key="receipt_Next").click().run()
    assert app.query_params["flip"] == keys[2]
    assert not app.exception
    app.button(key="receipt_back").click().run()
    assert dict(app.query_params) == {"run": "tiny", "direction": "to_1"}


def test_a_label_that_was_kept_can_be_asked_about(open_view: Open, run: Run):
    given, corrected = run.array("labels_given"), run.array("labels_corrected")
    kept = next(j for j in range(6) if given[0, j] == corrected[0, j] >= 0)
    text = text_of(open_view("flips", run="tiny", flip=f"0-{kept}"))
    assert "the label stays as it is" in text


def test_all_labels_of_an_image(open_view: Open):
    text = text_of(open_view("flips", run="tiny", image="5"))
    assert text.count("flip=5-") == 6
    assert "&lt;script&gt;" in text


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ({"run": "training"}, "still training"),
        ({"run": "no_flips"}, "No label was changed in this run"),
        ({"run": "tiny", "basis": "999"}, "No flip is like this"),
        ({"run": "tiny", "flip": "9999-0"}, "no such label"),
        ({"run": "tiny", "flip": "0-99"}, "no such label"),
        ({"run": "tiny", "image": "9999"}, "no such image"),
    ],
    ids=str,
)
def test_where_there_is_nothing_it_says_what_to_do(open_view: Open, address: dict, words: str):
    assert words in text_of(open_view("flips", **address))


def test_the_share_that_is_right_is_of_what_was_not_learned_from(open_view: Open, run: Run):
    """Of a user's flips 56 of 56 were right where training knew the label, else 13 of 16."""
    flips = run.table("flips")
    split = run.table("images")["split"].to_numpy()[flips["image_index"]]
    unseen = flips[(flips["truth"] >= 0) & (split != "clean_train")]
    k, n = (unseen["truth"] == unseen["corrected"]).sum(), len(unseen)
    low, high = (100 * float(end) for end in wilson_interval(k, n))
    text = text_of(open_view("flips", run="tiny"))
    assert f"right where verified: {k} of {n} ({100 * k / n:.0f} %, " in text
    assert f"{low:.0f} to {high:.0f} %" in text
    n_learned = ((flips["truth"] >= 0) & (split == "clean_train")).sum()
    assert n_learned > 0
    assert f"{n_learned} were trained on: they count neither as right nor as wrong" in text
    chosen = text_of(open_view("flips", run="tiny", truth="wrong"))
    assert "right where verified" not in chosen
    assert "trained on" not in text_of(open_view("flips", run="tiny", truth="right"))
    assert "trained on" not in text_of(open_view("flips", run="tiny", split="clean_test"))


def test_why_audit_asks_about_fewer_flips_is_said(open_view: Open, run: Run):
    flips = run.table("flips")
    n = verified_images(run)[flips["image_index"]].sum()
    assert 0 < n < len(flips)
    said = "on verified images: Audit does not ask about these"
    assert f"{n} {said}" in text_of(open_view("flips", run="tiny"))
    alone = flips[~verified_images(run)[flips["image_index"]]].iloc[0]
    query = {"attribute": str(alone["attribute_index"]), "truth": "unknown"}
    counts = flips_summary(run, FlipQuery(attribute=int(query["attribute"]), truth="unknown"))
    assert (counts["verified"], counts["n"] > 0) == (0, True)
    assert said not in text_of(open_view("flips", run="tiny", **query))


def test_without_truth_nothing_is_called_right_or_wrong(open_view: Open):
    text = text_of(open_view("flips", run="no_truth"))
    assert "right where verified" not in text
    assert 'class="fc-card"' in text
