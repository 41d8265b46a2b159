"""Every figure can be saved as PNG or SVG, and every table as CSV, whole."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import pandas as pd
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import components
from dashboard.flip_panels import ORDER
from dashboard.frames import attributes, basis
from dashboard.frames.audit import cells_of, queue
from dashboard.frames.controls import controls
from dashboard.frames.flips import FlipQuery, flips_page
from selfml.decisions import Store
from selfml.run import catalogue_of

pytestmark = pytest.mark.slow
Open = Callable[..., AppTest]


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """What the download buttons of the views opened would save, by file name."""
    files: dict[str, bytes] = {}
    button = st.download_button

    def record(label, data, file_name=None, *args, **kwargs):
        files[file_name] = data() if callable(data) else data
        return button(label, data, file_name, *args, **kwargs)

    monkeypatch.setattr(st, "download_button", record)
    return files


def table(data: bytes) -> pd.DataFrame:
    """A CSV as a spreadsheet reads it: UTF-8 with a mark at its beginning."""
    assert data.startswith(b"\xef\xbb\xbf")
    return pd.read_csv(io.BytesIO(data), encoding="utf-8-sig", keep_default_na=True)


def test_overview(open_view: Open, saved, run):
    app = open_view("overview", run="tiny")
    assert saved.keys() == {"table-1.csv", "noise.csv", "trust.csv"}
    for name in ("open_measures", "open_runs"):
        app.session_state[name] = True
    app.run()
    metrics = run.table("metrics").set_index(["method", "metric"])["value"]
    found = table(saved["table-1.csv"]).set_index("method")
    assert found.loc["self_ml", "map"] == pytest.approx(metrics["self_ml", "map"])
    assert len(found) == 3
    noise = table(saved["noise.csv"])
    assert set(noise["labels"]) == {"Given", "Corrected", "Verified"}
    assert set(table(saved["runs.csv"])["Run"]) >= {"tiny", "no_flips", "no_truth", "training"}
    assert "map" not in table(saved["measures.csv"])["measure"].tolist()


def test_map_has_all_images_with_their_places(open_view: Open, saved, run):
    open_view("map", run="tiny", map="umap")
    found = table(saved["map-images.csv"]).sort_values("image_index", ignore_index=True)
    images = run.table("images")
    assert found["image_id"].tolist() == images["image_id"].tolist()
    assert found["x"].to_numpy() == pytest.approx(images["map_umap_x"].to_numpy(), abs=1e-5)
    assert found["n_flips"].sum() == len(run.table("flips"))
    everything = "-999,-999;0,-999;0,999;-999,999"
    open_view("map", run="tiny", map="umap", area=everything)
    left = table(saved["map-images.csv"])
    assert set(left["image_index"]) == set(images[images["map_umap_x"] < 0]["image_index"])


def test_basis(open_view: Open, saved, run):
    open_view("basis", run="tiny")
    pd.testing.assert_series_equal(
        table(saved["basis.csv"])["basis_index"], basis.atoms(run)["basis_index"], check_dtype=False
    )
    for part, files in (
        ("labels", {"basis-coverage.csv"}),
        ("images", {"explained-variance.csv", "label-next.csv"}),
        ("faithfulness", {"faithfulness.csv"}),
        ("to-label", {"basis-images-to-label.csv"}),
    ):
        saved.clear()
        open_view("basis", run="tiny", part=part)
        assert files <= saved.keys()
        assert all(len(table(saved[name])) for name in files)


def test_attributes_guards_names_that_a_spreadsheet_would_run(open_view: Open, saved, run):
    open_view("attributes", run="tiny")
    found = table(saved["attributes.csv"]).set_index("attribute_index")
    flips = attributes.flip_counts(run).set_index("attribute_index")
    assert (found["to_1"] + found["to_0"]).sum() == len(run.table("flips"))
    assert found["to_1"].to_dict() == flips["to_1"].to_dict()
    assert "'=1+1" in found["attribute"].tolist()
    assert "ap-gain.csv" in saved


def test_flips_has_every_page_of_the_list(open_view: Open, saved, run):
    open_view("flips", run="tiny", direction="to_1", page="2")
    found = table(saved["flips.csv"])
    expected = flips_page(run, FlipQuery(direction="to_1", sort=ORDER), 1, 10_000)
    assert found["image_id"].tolist() == expected["image_id"].tolist()
    assert found["confidence"].to_numpy() == pytest.approx(expected["confidence"].to_numpy())


def test_audit(open_view: Open, saved, run, tmp_path, monkeypatch):
    url = f"sqlite:///{tmp_path / 'decisions.db'}"
    monkeypatch.setenv("DATABASE_URL", url)
    cells = cells_of(queue(run, FlipQuery(), controls(run).hidden, 6))
    with Store(url) as store:
        for auditor, decision in (("ann", "reject"), ("bob", "accept")):
            store.decide(catalogue_of(run), cells, decision, auditor=auditor, run_id="tiny")
    open_view("audit", run="tiny", part="history")
    assert len(table(saved["decisions.csv"])) == 12
    open_view("audit", run="tiny", part="conflicts")
    assert sorted(table(saved["conflicts.csv"])["image_id"]) == sorted(c.image_id for c in cells)
    open_view("audit", run="tiny", part="people")
    assert len(table(saved["agreement.csv"]))
    assert table(saved["auditors.csv"])["decided"].tolist() == [6, 6]


@pytest.mark.parametrize(("chosen", "kind", "scale"), [("PNG", "png", 2), ("SVG", "svg", 1)])
def test_figures_are_saved_as_chosen(monkeypatch, chosen, kind, scale):
    monkeypatch.setattr(st, "session_state", {"chart_format": chosen})
    options = components.figure_config("losses")["toImageButtonOptions"]
    assert options == {"format": kind, "filename": "selfml-losses", "scale": scale}


def test_every_view_offers_the_choice(open_view: Open):
    for view in ("overview", "map", "basis", "attributes", "flips", "audit"):
        app = open_view(view, run="tiny")
        assert app.segmented_control(key="chart_format").options == ["PNG", "SVG"]


def test_saving_a_table_is_noted_with_its_size_alone(open_view: Open, saved, capsys):
    open_view("overview", run="tiny")
    lines = capsys.readouterr().err.splitlines()
    events = [json.loads(line) for line in lines if '"event": "export"' in line]
    (one,) = [event for event in events if event["what"] == "table-1.csv"]
    rows = len(table(saved["table-1.csv"]))
    assert {name: one[name] for name in sorted(one) if name != "time"} == {
        "auditor": "local", "event": "export", "n": rows, "what": "table-1.csv",
    }  # fmt: skip
