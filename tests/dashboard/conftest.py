"""Runs in every state a reader can meet, and views opened by their address without a browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.runtime.scriptrunner import script_runner
from streamlit.testing.v1 import AppTest

from dashboard import audit_queue
from selfml.run import Run, RunWriter
from selfml.run_format import SCHEMAS
from tests.tiny_run import build_tiny_run

APP = Path(__file__).resolve().parents[2] / "dashboard" / "app.py"


@pytest.fixture(scope="module", autouse=True)
def _reruns_leave_keras_alone() -> Iterator[None]:
    """After each rerun Streamlit resets a Keras that is loaded, which takes longer than the rerun.

    The dashboard never loads it (``test_imports``); other tests in this process may have.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script_runner, "_clean_problem_modules", lambda: None)
        yield


@pytest.fixture(scope="session")
def runs_folder(tiny_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``tiny`` (complete), ``training`` (no flips yet), ``no_flips``, ``no_truth``."""
    folder = tmp_path_factory.mktemp("dashboard_runs")
    shutil.copytree(tiny_run, folder / "tiny")
    build_tiny_run(folder / "training", status="running")
    empty = {name: SCHEMAS[name].empty_table().to_pandas() for name in SCHEMAS}
    shutil.copytree(tiny_run, folder / "no_flips")
    writer, run = RunWriter(folder / "no_flips"), Run(folder / "no_flips")
    writer.write_table("flips", empty["flips"])
    writer.write_array("labels_corrected", np.array(run.array("labels_given")))
    shutil.copytree(tiny_run, folder / "no_truth")
    writer, run = RunWriter(folder / "no_truth"), Run(folder / "no_truth")
    writer.write_table("flips", run.table("flips").assign(truth=np.int8(-1)))
    writer.write_array("labels_true", np.full(run.array("labels_true").shape, -1))
    writer.write_table("attribute_metrics", empty["attribute_metrics"])
    writer.write_table("metrics", empty["metrics"])
    return folder


@pytest.fixture
def run(runs_folder: Path) -> Run:
    """``tiny``, opened; a module whose tests are about another run has a ``run`` of its own."""
    return Run(runs_folder / "tiny")


@pytest.fixture(scope="session")
def empty_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose tables have no rows."""
    writer = RunWriter(tmp_path_factory.mktemp("empty") / "empty")
    writer.update(n_images=0, n_atoms=2, n_attributes=1)
    for name, schema in SCHEMAS.items():
        writer.write_table(name, schema.empty_table().to_pandas())
    names = pd.DataFrame({"attribute_index": [0], "name": ["A"], "group": [None]})
    writer.write_table("attributes", names.assign(prevalence_given=0.0, prevalence_verified=0.0))
    writer.write_array("basis_labels", np.zeros((2, 1)))
    return Run(writer.path)


@pytest.fixture
def open_view(runs_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AppTest]:
    """``open_view("flips", run="tiny", attribute="1")``: the view, drawn without exception."""
    monkeypatch.setenv("SELFML_RUNS", str(runs_folder))
    monkeypatch.setenv("SELFML_DEMO_RUN", str(runs_folder / "nowhere"))

    def open_(view: str, **query: str) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=30)
        app.switch_page(f"views/{view}.py")
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        assert not app.exception, app.exception[0].message
        return app

    return open_


def text_of(app: AppTest) -> str:
    """Everything that a view says: HTML, Markdown, captions, texts and metrics."""
    parts = [block.proto.body for block in app.get("html")]
    for kind in (app.markdown, app.caption, app.text, app.title, app.header, app.subheader):
        parts += [str(element.value) for element in kind]
    parts += [f"{metric.label}: {metric.value}" for metric in app.metric]
    return "\n".join(parts)


@pytest.fixture
def database(tmp_path, monkeypatch) -> str:
    """The address of an empty store of decisions, of the auditor ann."""
    url = f"sqlite:///{tmp_path / 'decisions.db'}"
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("SELFML_AUDITOR", "ann")
    return url


@pytest.fixture
def with_controls(open_view: Callable[..., AppTest], database) -> Callable[..., AppTest]:
    """The Audit view as it is, over ``database``."""
    return lambda **query: open_view("audit", run="tiny", **query)


@pytest.fixture
def open_desk(with_controls, monkeypatch) -> Callable[..., AppTest]:
    """Without control items, that the next item is known; test_audit_together is about these."""
    monkeypatch.setattr(audit_queue, "next_control", lambda *_: (0, pd.DataFrame()))
    return with_controls
