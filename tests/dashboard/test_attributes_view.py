"""The attributes view without a browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.conftest import text_of

pytestmark = pytest.mark.slow
Open = Callable[..., AppTest]


def test_the_table_leads_to_every_attribute_and_its_flips(open_view: Open):
    text = text_of(open_view("attributes", run="tiny"))
    assert all(f"/attributes?run=tiny&amp;attribute={j}" in text for j in range(6))
    assert all(f"/flips?run=tiny&amp;attribute={j}" in text for j in range(6))
    assert "&lt;script&gt;" in text
    assert "<script>alert" not in text


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ({"run": "tiny", "attribute": "1"}, "The surest changes"),
        ({"run": "tiny", "attribute": "99"}, "All attributes"),
        ({"run": "tiny", "part": "flips"}, "All attributes"),
        ({"run": "tiny", "part": "flips", "split": "clean_test"}, "Not counted in this run"),
        ({"run": "tiny", "part": "right"}, "Only labels that a person verified"),
        ({"run": "tiny", "part": "prevalence"}, "All attributes"),
        ({"run": "tiny", "part": "category", "direction": "to_1"}, "All attributes"),
        ({"run": "training"}, "still training"),
        ({"run": "no_flips", "attribute": "1"}, "never changed"),
        ({"run": "no_flips", "part": "category"}, "All attributes"),
        ({"run": "no_flips", "part": "flips"}, "All attributes"),
        ({"run": "no_truth", "part": "right"}, "All attributes"),
        ({"run": "no_truth", "attribute": "1"}, "not known"),
        ({"run": "no_truth"}, "–"),
    ],
    ids=str,
)
def test_every_state_says_what_it_shows(open_view: Open, address: dict, words: str):
    assert words in text_of(open_view("attributes", **address))


def test_choosing_an_attribute_changes_the_address(open_view: Open):
    app = open_view("attributes", run="tiny")
    app.selectbox(key="url_attribute").set_value(2).run()
    assert dict(app.query_params) == {"run": "tiny", "attribute": "2"}
    assert "The surest changes" in text_of(app)
