"""A run of images that were not trained on says so, while it is written and after it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from selfml.run import RunWriter
from tests.dashboard.conftest import text_of

pytestmark = pytest.mark.slow
SOURCE = {"run_id": "spring", "path": "/runs/spring"}


@pytest.fixture(scope="module")
def relabelled(runs_folder: Path) -> Path:
    """The tiny run as if `selfml relabel` had written it, and one that it is at work on."""
    out = shutil.copytree(runs_folder / "tiny", runs_folder / "relabelled")
    RunWriter(out).update(source_run=SOURCE)
    half = RunWriter(runs_folder / "half")
    half.update(
        status="running", stage="relabel", step=80, source_run=SOURCE,
        stages=[{"stage": "relabel", "steps": 160}],
    )  # fmt: skip
    return out


def test_the_overview_names_the_run_that_said_it(open_view, relabelled):
    app = open_view("overview", run="relabelled")
    assert "relabelled by spring, not trained on" in text_of(app)


def test_progress_is_in_images_and_is_gone_on_with_by_its_own_command(open_view, relabelled):
    app = open_view("overview", run="half")
    said = text_of(app)
    assert "selfml relabel" in said
    assert "selfml train" not in said
    (bar,) = app.get("progress")
    assert bar.proto.text == "Relabelling: 80 of 160 images"
    assert bar.proto.value == 50
