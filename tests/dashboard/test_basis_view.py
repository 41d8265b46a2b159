"""The basis view without a browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.frames.basis import flips_leaning
from selfml.run import Run
from tests.dashboard.conftest import text_of

pytestmark = pytest.mark.slow
Open = Callable[..., AppTest]


def test_the_atoms_in_use_lead_to_their_detail(open_view: Open, runs_folder: Path):
    leaning = flips_leaning(Run(runs_folder / "tiny"))["n_flips"]
    text = text_of(open_view("basis", run="tiny"))
    assert "In use of 8: 7" in text
    assert all(f"basis={k}" in text for k in range(7))
    assert "basis=7" not in text
    assert all(f"\n{n} flips\n" in text for n in leaning)


def test_an_atom_opens_from_its_address(open_view: Open):
    app = open_view("basis", run="tiny", basis="2")
    text = text_of(app)
    assert "Basis image 2" in text
    assert "images lean on it" in text
    assert "&lt;script&gt;" in text
    assert "attribute=1" in text  # its flips, by attribute
    app.button(key="basis_back").click().run()
    assert dict(app.query_params) == {"run": "tiny"}


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ({"run": "tiny", "part": "labels"}, "at least one basis image"),
        ({"run": "tiny", "part": "images"}, "19 are needed"),
        ({"run": "tiny", "part": "nonsense"}, "In use"),
        ({"run": "training"}, "still training"),
        ({"run": "tiny", "basis": "7"}, "is not in use"),
        ({"run": "tiny", "basis": "999"}, "is not in use"),
        ({"run": "no_flips", "basis": "2"}, "No label of the images"),
        ({"run": "no_truth", "part": "images"}, "Label these next"),
    ],
    ids=str,
)
def test_every_state_says_what_it_shows(open_view: Open, address: dict, words: str):
    assert words in text_of(open_view("basis", **address))


def test_choosing_a_part_changes_the_address(open_view: Open):
    app = open_view("basis", run="tiny")
    app.segmented_control(key="url_part").set_value("labels").run()
    assert dict(app.query_params) == {"run": "tiny", "part": "labels"}
    assert "at least one basis image" in text_of(app)
