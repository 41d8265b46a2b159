"""Audit, Export: what is counted is what is downloaded, and a failure says why."""

from __future__ import annotations

import io
import json
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
import streamlit as st

from dashboard.export_panel import WHY_NOT, archive
from dashboard.frames.audit import cells_of
from dashboard.frames.flips import FlipQuery, flips_page, flips_summary
from selfml.audited import verified_images
from selfml.decisions import Cell, Store
from selfml.export import export
from selfml.run import Run, RunWriter, catalogue_of
from tests.dashboard.conftest import text_of


@pytest.fixture
def store(tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'decisions.db'}"
    monkeypatch.setenv("DATABASE_URL", url)
    with Store(url) as opened:
        yield opened


def accept(store: Store, run: Run, n: int) -> None:
    flips = flips_page(run, FlipQuery(split="noisy_train"), 1, n)
    for part, who in ((flips, "<b>ann</b>"), (flips[:1], "bob")):
        store.decide(catalogue_of(run), cells_of(part), "accept", auditor=who, run_id="r")


def unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        return {name: zipped.read(name) for name in zipped.namelist()}


@pytest.mark.slow
def test_what_is_counted_is_what_is_downloaded(open_view, store, run, monkeypatch):
    made = {}
    button = st.download_button

    def record(label, data, file_name=None, *args, **kwargs):
        made[kwargs["key"]] = (file_name, data)
        return button(label, data, file_name, *args, **kwargs)

    monkeypatch.setattr(st, "download_button", record)
    accept(store, run, 3)
    app = open_view("audit", run="tiny", part="export")
    assert "<strong>3</strong> flips" in text_of(app)
    assert "accepted flips are of labels that were verified" not in text_of(app)
    counts = flips_summary(run, FlipQuery())
    others = "the others are undecided, rejected, in conflict or on verified images"
    said = f"3 of {counts['n']} flips of this run: {others} ({counts['verified']})."
    assert said in text_of(app)
    assert "another run" not in text_of(app)
    assert "2 by &lt;b&gt;ann&lt;/b&gt;, 1 by &lt;b&gt;ann&lt;/b&gt; and bob" in text_of(app)
    name, data = made["download_export"]
    assert name == f"{catalogue_of(run)}-corrected.zip"
    files = unzipped(data())
    assert list(files) == ["corrected.csv", "corrected.flips.csv", "corrected.manifest.json"]
    counts = json.loads(files["corrected.manifest.json"])["counts"]
    assert counts["flips"] == counts["changed_by_flips"] == 3
    assert counts["changed_by_verified_labels"] > 0
    assert f"and {counts['changed_by_verified_labels']} labels that were verified" in text_of(app)
    app.toggle(key="export_with_auto").set_value(True).run()
    assert not app.exception
    listed = pd.read_csv(io.BytesIO(unzipped(made["download_export"][1]())["corrected.flips.csv"]))
    assert (listed["decision"] == "accept").sum() == 3
    n_auto = int((listed["decision"] == "auto").sum())
    assert f"Also {n_auto:,} undecided" in app.toggle(key="export_with_auto").label
    assert f"<strong>{3 + n_auto}</strong> flips" in text_of(app)


@pytest.mark.slow
def test_an_accepted_flip_of_a_verified_label_is_not_counted(open_view, store, run):
    verified = flips_page(run, FlipQuery(split="clean_train"), 1, 2)
    assert len(verified) == 2
    store.decide(catalogue_of(run), cells_of(verified), "accept", auditor="ann", run_id="r")
    text = text_of(open_view("audit", run="tiny", part="export"))
    assert "2 accepted flips are of labels that were verified before" in text
    assert "<strong>0</strong> flips" in text


@pytest.mark.slow
def test_what_another_run_proposed_is_none_of_this_runs_flips(open_view, store, run):
    """Decisions are of the catalogue: the export has them whichever run asked."""
    accept(store, run, 2)
    given, corrected = run.array("labels_given"), run.array("labels_corrected")
    kept = (given == corrected) & (given >= 0) & ~verified_images(run)[:, None]
    i, j = np.argwhere(kept)[0]
    label = int(given[i, j])
    cell = Cell(run.table("images")["image_id"][i], run.attributes[j], label, 1 - label)
    store.decide(catalogue_of(run), [cell], "accept", auditor="ann", run_id="older")
    text = text_of(open_view("audit", run="tiny", part="export"))
    assert "<strong>3</strong> flips" in text
    n = flips_summary(run, FlipQuery())["n"]
    assert f"2 of {n} flips of this run" in text
    assert "1 more was proposed by another run" in text


@pytest.mark.slow
def test_where_nothing_is_accepted_it_says_so(open_view, store):
    app = open_view("audit", run="no_flips", part="export")
    assert "No flip is accepted yet" in text_of(app)


def test_the_archive_is_the_export_and_the_same_again(store, run, tmp_path):
    accept(store, run, 3)
    files = unzipped(archive(run, store, "parquet", with_auto=False))
    done = export(run, tmp_path / "corrected.parquet", store=store)
    for path in (done.labels_file, done.flips_file, done.manifest_file):
        assert files[path.name] == path.read_bytes()
    once, again = (archive(run, store, "parquet", with_auto=False) for _ in range(2))
    assert once == again


def test_a_failure_is_a_text_that_says_why(store, run, tmp_path):
    moved = RunWriter(shutil.copytree(run.path, tmp_path / "run"))
    moved.update(dataset={"path": str(tmp_path)})  # a folder that is no dataset
    accept(store, Run(moved.path), 1)
    files = unzipped(archive(Run(moved.path), store, "csv", with_auto=False))
    assert list(files) == [WHY_NOT]
    assert "no labels.csv" in files[WHY_NOT].decode()
