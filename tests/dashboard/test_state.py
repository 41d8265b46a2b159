from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from dashboard import state
from dashboard.state import Selection

FULL = Selection(
    run="my run/ä&?", map="umap", color="changed", area="1,2;3,4;5,6", attribute=0,
    category="<b>", direction="to_0", agreement="disagree", auto=True, truth="wrong",
    min_confidence=0.75, sort="hull", page=3, image=0, flip="12-3", basis=7, split="clean_test",
    part="flips", needed=True, without="3,12", relabel="3-0-no,7-1-unknown,7-2-yes",
    other="another run", baseline="baseline_0", measure="ap",
    coverage="uncovered", by="attribute", draft="my run!3-1a",
)  # fmt: skip


def test_a_selection_survives_the_address():
    assert state.parse(FULL.query()) == FULL
    assert set(FULL.query()) == set(state.FIELDS)


def test_defaults_are_left_out():
    assert Selection().query() == {}


@pytest.mark.parametrize(
    "query",
    [
        {"page": "-1"},
        {"page": "0"},
        {"page": "x"},
        {"attribute": "1.5"},
        {"attribute": "99999999999999999999"},
        {"min_confidence": "nan"},
        {"direction": "sideways"},
        {"map": "pca"},
        {"baseline": "baseline_2"},
        {"flip": "1-2-3"},
        {"flip": "1"},
        {"auto": "yes"},
        {"needed": "yes"},
        {"without": "all"},
        {"relabel": "1-1-maybe"},
        {"who": "me"},
        {"image": "٣٣٣٣٣٣٣٣٣٣٣"},
    ],
)
def test_nonsense_becomes_the_default(query):
    assert state.parse(query) == Selection()


def test_confidence_is_kept_within_its_range():
    assert state.parse({"min_confidence": "7"}).min_confidence == 1.0
    assert state.parse({"min_confidence": "-7"}).min_confidence == 0.0


def test_flip_key():
    assert Selection(flip="12-3").flip_key == (12, 3)
    assert Selection().flip_key is None


def test_edits_survive_the_address_in_order_and_without_nonsense():
    assert FULL.taken_out == (3, 12)
    assert FULL.relabelled == {(3, 0): 0, (7, 1): -1, (7, 2): 1}
    assert state.edits_as_text((12, 3, 3), FULL.relabelled) == {
        "without": FULL.without,
        "relabel": FULL.relabel,
    }
    parsed = state.parse({"without": "12,x,-1,,3,12", "relabel": "7-2-no,7-2-yes,7-1,a-b-c,1-2-3"})
    assert (parsed.without, parsed.relabel) == ("3,12", "7-2-yes")


def test_links_carry_the_fields_and_nothing_else():
    parts = urlsplit(state.link("flips", image=4, auto=True))
    assert (parts.path, parse_qs(parts.query)) == ("/flips", {"image": ["4"], "auto": ["1"]})
    assert state.link("overview") == "/"


def test_link_names_a_view_and_fields_that_exist():
    with pytest.raises(ValueError, match="view"):
        state.link("audits")
    with pytest.raises(TypeError):
        state.link("flips", colour="red")
