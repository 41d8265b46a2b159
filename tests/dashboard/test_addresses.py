"""Every view reopens from its address as it was left, and no address breaks one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.state import FIELDS
from selfml.run import Run
from tests.dashboard.conftest import text_of
from tests.what_if_cases import fragile_flip

pytestmark = pytest.mark.slow
Open = Callable[..., AppTest]
Steps = tuple[tuple[str, Any], ...]

# A view, where one begins, what is set there one after the other, and the address that follows.
SETS: tuple[tuple[str, dict[str, str], Steps, dict[str, str]], ...] = (
    ("overview", {}, (("run", "no_truth"),), {"run": "no_truth"}),
    (
        "map",
        {},
        (("map", "umap"), ("color", "changed"), ("attribute", 3), ("category", "tops"),
         ("coverage", "uncovered")),
        {"map": "umap", "color": "changed", "attribute": "3", "category": "tops",
         "coverage": "uncovered"},
    ),
    (
        "basis",
        {},
        (("part", "images"), ("by", "split")),
        {"part": "images", "by": "split"},
    ),
    ("attributes", {}, (("baseline", "baseline_0"),), {"baseline": "baseline_0"}),
    (
        "attributes",
        {"part": "right"},
        (("split", "clean_test"), ("direction", "to_0")),
        {"part": "right", "split": "clean_test", "direction": "to_0"},
    ),
    (
        "attributes",
        {},
        (("part", "category"), ("measure", "precision"), ("direction", "to_1")),
        {"part": "category", "measure": "precision", "direction": "to_1"},
    ),
    (
        "attributes",
        {"part": "compare"},
        (("other", "no_truth"), ("measure", "ap")),
        {"part": "compare", "other": "no_truth", "measure": "ap"},
    ),
    (
        "flips",
        {},
        (("attribute", 1), ("category", "tops"), ("direction", "to_1"), ("sort", "doubt"),
         ("min_confidence", 0.25), ("agreement", "agree"), ("truth", "right"),
         ("split", "noisy_train"), ("auto", True)),
        {"attribute": "1", "category": "tops", "direction": "to_1", "sort": "doubt",
         "min_confidence": "0.25", "agreement": "agree", "truth": "right",
         "split": "noisy_train", "auto": "1"},
    ),
    (
        "audit",
        {"part": "all"},
        (("attribute", 1), ("category", "tops"), ("direction", "to_1"), ("min_confidence", 0.5),
         ("sort", "image")),
        {"part": "all", "attribute": "1", "category": "tops", "direction": "to_1",
         "min_confidence": "0.5", "sort": "image"},
    ),
)  # fmt: skip


def widgets(app: AppTest) -> dict[str, Any]:
    """What each control that is tied to the address shows."""
    kinds = (app.selectbox, app.segmented_control, app.slider, app.toggle)
    return {w.key: w.value for kind in kinds for w in kind if str(w.key).startswith("url_")}


def address_of(app: AppTest) -> dict[str, str]:
    return {name: app.query_params[name] for name in app.query_params}


@pytest.mark.parametrize(("view", "start", "steps", "expected"), SETS)
def test_a_view_reopens_as_it_was_left(open_view: Open, view, start, steps, expected):
    app = open_view(view, run="tiny", **start)
    for name, value in steps:
        kinds = (app.selectbox, app.segmented_control, app.slider, app.toggle)
        widget = next(w for kind in kinds for w in kind if w.key == f"url_{name}")
        widget.set_value(value).run()
        assert not app.exception
    address = {name: one[0] if isinstance(one, list) else one
               for name, one in address_of(app).items()}  # fmt: skip
    assert address == {"run": "tiny", **expected}
    again = open_view(view, **address)
    assert widgets(again) == widgets(app)
    shown = widgets(again)
    assert {name: shown[f"url_{name}"] for name, _ in steps} == dict(steps)
    assert without_addresses(text_of(again)) == without_addresses(text_of(app))


def without_addresses(text: str) -> list[str]:
    """A page's lines but for those with signed image addresses, which change by the hour."""
    return [line for line in text.splitlines() if "/thumbnails/" not in line]


def test_a_page_of_the_list_reopens(open_view: Open):
    app = open_view("flips", run="tiny")
    app.button(key="pager_next").click().run()
    assert app.query_params["page"] in ("2", ["2"])
    again = open_view("flips", run="tiny", page="2")
    assert any("25–48 of" in caption.value for caption in again.caption)
    assert text_of(again).count("fc-card") == text_of(app).count("fc-card")


def test_a_supposition_reopens(open_view: Open, runs_folder):
    i, j, k = fragile_flip(Run(runs_folder / "tiny"))
    app = open_view("flips", run="tiny", flip=f"{i}-{j}", without=str(k))
    assert f"Without basis image {k}, this change would not stand." in text_of(app)


WRONG = {
    "map": "pca", "color": "nope", "area": "1,2;x;<b>", "attribute": "999", "category": "<b>nope",
    "split": "nope", "direction": "up", "agreement": "maybe", "auto": "yes", "truth": "so",
    "min_confidence": "nan", "sort": "nope", "part": "nope", "page": "99999999",
    "image": "999999", "flip": "999999-999", "basis": "999", "needed": "1",
    "without": "999,-1,x", "relabel": "999-999-yes,0-0-maybe", "draft": "tiny!x-!,999-zz",
    "other": "nothing", "baseline": "nope", "measure": "nope", "coverage": "nope", "by": "nope",
}  # fmt: skip
OPENS = ("image", "flip", "basis")  # each of these shows something else than the view's list
PARTS = {
    "overview": ("",),
    "map": ("",),
    "basis": ("", "labels", "images", "faithfulness", "to-label"),
    "attributes": ("", "flips", "right", "prevalence", "category", "compare"),
    "flips": ("",),
    "audit": ("one", "all", "conflicts", "traced", "history"),
}


def test_every_field_has_a_wrong_value():
    assert set(WRONG) | {"run"} == set(FIELDS)


@pytest.mark.parametrize(("view", "part"), [(v, p) for v, parts in PARTS.items() for p in parts])
def test_a_wrong_address_breaks_no_part(open_view: Open, view, part):
    """``open_view`` fails where there is an exception."""
    rest = {name: value for name, value in WRONG.items() if name not in OPENS}
    app = open_view(view, run="tiny", **{**rest, "part": part})
    assert app.title[0].value.lower() == view
    assert "<b>nope" not in text_of(app)
    choices = {k: v for k, v in widgets(app).items() if k in ("url_direction", "url_by", "url_map")}
    assert set(choices.values()) <= {"all", "category", "tsne"}


@pytest.mark.parametrize(
    ("view", "query", "said"),
    [
        ("flips", {"flip": "999999-999"}, "There is no such label in this run"),
        ("flips", {"flip": "0-999"}, "There is no such label in this run"),
        ("flips", {"image": "999999"}, "There is no such image in this run"),
        ("flips", {"basis": "999", "needed": "1"}, "No flip is like this"),
        ("basis", {"basis": "999"}, "Basis image 999 is not in use"),
        ("basis", {"basis": "999", "part": "to-label"}, "Basis image 999 is not in use"),
        ("audit", {"flip": "999999-999"}, "There is no such flip in this run"),
        ("audit", {"flip": "0-999"}, "There is no such flip in this run"),
        ("map", {"image": "999999"}, "Images with the most flips"),
        ("attributes", {"attribute": "999"}, "All attributes"),
        ("attributes", {"part": "compare", "other": "nothing"}, "there is no run of this name"),
    ],
)
def test_what_is_not_there_is_said(open_view: Open, view, query, said):
    app = open_view(view, run="tiny", **query)
    assert said in text_of(app) + " ".join(e.value for e in app.error)


def test_a_category_of_another_run_counts_as_all(open_view: Open):
    app = open_view("flips", run="tiny", category="hats", split="hats")
    assert text_of(app).count('class="fc-card"') == text_of(open_view("flips", run="tiny")).count(
        'class="fc-card"'
    )
    assert app.selectbox(key="url_category").value == ""


@pytest.mark.parametrize("view", list(PARTS))
def test_everything_wrong_at_once(open_view: Open, view):
    assert open_view(view, run="tiny", **WRONG).title[0].value.lower() == view
    app = open_view(view, **{**WRONG, "run": "<b>nothing"})
    assert "there is no run of this name" in app.error[0].value
