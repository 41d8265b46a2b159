"""The tables for the terminal: every cell is a number of the run, or "-" where there is none."""

from __future__ import annotations

import io
import shutil

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from rich.table import Table

from selfml.evaluate import evaluate, store
from selfml.metrics import HEADLINE
from selfml.report import FLIPS, LEARNED, TITLES, TRUST, TRUST_COLUMNS, run_tables
from selfml.run import Run, RunError, RunWriter
from selfml.run_format import METHODS, SINCE_2
from selfml.trust import guarantee
from tests.tiny_run import build_tiny_run

SEVEN = [
    *("Precision@k*", "Recall@k*", "F1@k*", "AP_all", "MAP"),
    *("Jaccard similarity", "0-1 exact match"),
]
SUFFIXES = (
    ("baseline_1", ""),
    ("self_ml", ""),
    ("self_ml", "_strict"),
    ("baseline_1", "_noisy"),
    ("self_ml", "_noisy"),
    ("self_ml", "_strict_noisy"),
)


def rows_of(table: Table) -> list[list[str]]:
    """The cells of a table, the header first."""
    columns = [[str(column.header), *map(str, column.cells)] for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def read_tables(run: Run) -> dict[str, list[list[str]]]:
    names = ("table_1", "flips", "trust", "learned", "attributes", "by_images", "without_images")
    return dict(zip(names, map(rows_of, run_tables(run)), strict=True))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    """An evaluated tiny run; its first attribute is on every test image, so it has no AP."""
    path = build_tiny_run(tmp_path_factory.mktemp("runs") / "reported")
    RunWriter(path).update(n_clean_test=6, n_clean_train=12)
    store(Run(path), *evaluate(Run(path)))
    return Run(path)


@pytest.fixture(scope="module")
def tables(run) -> dict[str, list[list[str]]]:
    return read_tables(run)


@pytest.fixture(scope="module")
def cell(run):
    """How a metric is shown."""
    values = run.table("metrics").set_index(["method", "metric"])["value"].to_dict()
    return lambda *key: f"{values[key]:.2f}" if key in values else "-"


def test_table_1(tables, cell, run):
    header, *rows = tables["table_1"]
    assert header == ["method", *SEVEN]
    assert [row[0] for row in rows] == ["Baseline 0", "Baseline 1", "SELF-ML"]
    expected = [[cell(method, name) for name in HEADLINE] for method in METHODS]
    assert [row[1:] for row in rows] == expected
    assert "-" not in {shown for row in expected for shown in row}
    assert len({tuple(row) for row in expected}) == 3
    title = str(next(run_tables(run)).title)
    assert title.startswith("Table 1: 6 verified test images, 12 clean images")


def test_flips(tables, cell):
    header, *rows = tables["flips"]
    assert len(header) == 1 + len(SUFFIXES)
    assert [row[0] for row in rows] == [title for title, _ in FLIPS]
    expected = [[cell(m, name + suffix) for m, suffix in SUFFIXES] for _, name in FLIPS]
    assert [row[1:] for row in rows] == expected
    shown = np.array(expected)
    assert (shown == "-").sum() == 1  # no flip 1 -> 0 of a test image, so it has no precision
    assert shown[7, 1] == "-"
    assert (shown[0] == shown[0, 0])[:3].all()  # as given, whatever corrects


def test_what_was_learned(tables, cell, run):
    header, *rows = tables["learned"]
    assert header == ["measure", "value", "definition"]
    metrics = run.table("metrics")
    stored = [name for name in LEARNED if name in set(metrics["metric"])]
    assert [row[0] for row in rows] == stored
    assert len(stored) == len(LEARNED)
    assert [row[1] for row in rows] == [cell("self_ml", name) for name in stored]
    definitions = metrics.drop_duplicates("metric").set_index("metric")["definition"]
    assert [row[2] for row in rows] == [definitions[name] for name in stored]


def test_attributes_by_support_with_their_numbers(tables, run):
    header, *rows = tables["attributes"]
    assert header[1:4] == ["support", "Baseline 1", "SELF-ML"]
    frame = run.table("attribute_metrics").set_index(["attribute_index", "method", "metric"])
    assert sorted(row[0] for row in rows) == sorted(run.attributes)
    support = [int(row[1]) for row in rows[:-1]]
    assert support == sorted(support, reverse=True)
    assert len(set(support)) > 2
    for name, count, baseline, ours, gain, interval, to_1, to_0 in rows[:-1]:
        j = run.attributes.index(name)
        assert int(count) == frame.loc[(j, "self_ml", "ap"), "support"]
        assert baseline == f"{frame.loc[(j, 'baseline_1', 'ap'), 'value']:.1f}"
        assert ours == f"{frame.loc[(j, 'self_ml', 'ap'), 'value']:.1f}"
        of_gain = frame.loc[(j, "self_ml", "ap_gain")]
        assert gain == f"{of_gain['value']:.1f}"
        assert interval == f"{of_gain['low']:+.1f} .. {of_gain['high']:+.1f}"
        for new, shown in ((1, to_1), (0, to_0)):
            assert int(shown) == frame.loc[(j, "self_ml", f"flips_to_{new}"), "value"]


def test_an_attribute_that_cannot_be_measured_still_shows_its_flips(tables, run):
    flips = run.table("flips")
    mine = flips[flips["attribute_index"] == 0]["corrected"]
    counts = [str((mine == new).sum()) for new in (1, 0)]
    assert int(counts[0]) > 10
    assert tables["attributes"][-1] == [run.attributes[0], *"-----", *counts]


def test_equal_support_keeps_the_order(run, tmp_path):
    copy = Run(shutil.copytree(run.path, tmp_path / "run"))
    frame = copy.table("attribute_metrics").assign(support=4)
    RunWriter(copy.path).write_table("attribute_metrics", frame)
    names = [row[0] for row in read_tables(copy)["attributes"][1:]]
    assert names == [*run.attributes[1:], run.attributes[0]]


def test_missing_metrics_are_dashes(run, tmp_path):
    """Without MAP of Baseline 0, intervals, and everything about strict evidence."""
    copy = Run(shutil.copytree(run.path, tmp_path / "run"))
    metrics = copy.table("metrics")
    gone = (metrics["method"] == "baseline_0") & (metrics["metric"] == "map")
    gone |= metrics["metric"].str.contains("strict")
    writer = RunWriter(copy.path)
    writer.write_table("metrics", metrics[~gone])
    frame = copy.table("attribute_metrics").assign(low=np.nan, high=np.nan)
    writer.write_table("attribute_metrics", frame[frame["method"] != "baseline_1"])
    before, after = read_tables(run), read_tables(copy)
    before["table_1"][1][1 + HEADLINE.index("map")] = "-"
    for row in before["flips"][1:]:
        row[3] = row[6] = "-"
    before["learned"] = [row for row in before["learned"] if "strict" not in row[0]]
    for row in before["attributes"][1:]:
        row[2] = row[5] = "-"
    assert after == before


def test_names_are_text_not_markup(run, tmp_path):
    copy = Run(shutil.copytree(run.path, tmp_path / "run"))
    names = ["[red]bold[/red]", "[/x]", "a :smile: b", "赤い", "[link=x]y", "\\[z]"]
    frame = copy.table("attributes").assign(name=names)
    RunWriter(copy.path).write_table("attributes", frame)
    out = io.StringIO()
    console = Console(file=out, width=200)
    for table in run_tables(Run(copy.path)):
        console.print(table)
    for name in names:
        assert f" {name} " in out.getvalue()


def test_a_run_without_measures_is_one_line(tmp_path):
    path = build_tiny_run(tmp_path / "running", status="running")
    with pytest.raises(RunError, match=r"metrics\.parquet: not written yet \(status: running\)"):
        list(run_tables(Run(path)))


def test_every_method_has_a_title():
    assert tuple(TITLES) == METHODS
    assert pd.Series(list(TITLES.values())).is_unique


def test_trust_says_what_is_promised_or_why_not(tables, cell, run):
    header, *rows = tables["trust"]
    assert header == ["measure", *(title for _, title in TRUST_COLUMNS)]
    for (title, name), row in zip(TRUST, rows, strict=True):
        assert row == [title, *(cell("self_ml", name + end) for end, _ in TRUST_COLUMNS)]
    caption = str(list(run_tables(run))[2].caption)
    assert "images left out of training" in caption
    for _, row in run.table("trust").iterrows():
        assert guarantee(row) in caption


def test_a_run_of_version_1_is_still_shown(run, tmp_path):
    copy = Run(shutil.copytree(run.path, tmp_path / "old"))
    for name in SINCE_2:
        copy.table_path(name).unlink()
    RunWriter(copy.path).update(schema_version=1)
    old = Run(copy.path)
    assert "older program" in str(list(run_tables(old))[2].caption)
    store(old, *evaluate(old))
    assert Run(copy.path).info["schema_version"] == 1
