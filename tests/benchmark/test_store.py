"""Results are kept cell by cell, whole or not at all."""

import numpy as np
import pandas as pd
import pytest

from selfml import files
from selfml.benchmark.store import COLUMNS, Results, empty_frame


def test_cells_come_back_as_one_frame(tmp_path):
    results = Results(tmp_path / "out")
    assert not results.has("self_ml", "500", 0)
    results.add("self_ml", "500", 0, [("map", 68.5), ("map_rare", np.nan)])
    results.add("baseline_0", "-", 1, iter([("map", np.float32(54.25))]))
    results.add("self_ml", 50, 0, [("map", 60)])
    assert results.has("self_ml", "500", 0)
    assert results.has("self_ml", 500, 0)
    assert results.has("baseline_0", "-", 1)
    for other in (("self_ml", "all", 0), ("self_ml", "500", 1), ("self", "500", 0)):
        assert not results.has(*other)
    frame = results.frame()
    assert frame.dtypes.astype(str).to_dict() == COLUMNS
    assert frame.to_dict("split")["data"][0] == ["baseline_0", "-", 1, "map", 54.25]
    assert sorted(frame["budget"]) == ["-", "50", "500", "500"]
    assert frame["value"].isna().sum() == 1


def test_a_name_with_a_slash_is_one_file(tmp_path):
    results = Results(tmp_path)
    results.add("acquire/random", "50", 2, [("map", 1.0)])
    assert [p.name for p in (tmp_path / "cells").iterdir()] == ["acquire%2Frandom-50-2.parquet"]
    assert results.has("acquire/random", "50", 2)
    assert results.frame()["method"].tolist() == ["acquire/random"]


def test_adding_again_replaces(tmp_path):
    results = Results(tmp_path)
    results.add("a", "all", 0, [("map", 1.0), ("ap_all", 2.0)])
    results.add("a", "all", 0, [("map", 3.0)])
    assert results.frame()["value"].tolist() == [3.0]


def test_a_half_written_cell_does_not_count(tmp_path, monkeypatch):
    results = Results(tmp_path)
    results.add("a", "all", 0, [("map", 1.0)])

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", stopped)
    with pytest.raises(KeyboardInterrupt):
        results.add("b", "all", 0, [("map", 2.0)])
    monkeypatch.undo()
    (tmp_path / "cells" / ".c-all-0.parquet.77.tmp").write_bytes(b"PAR1")
    assert len(list((tmp_path / "cells").iterdir())) == 2  # the cell and what was left over
    again = Results(tmp_path)
    assert not again.has("b", "all", 0)
    assert not again.has("c", "all", 0)
    assert again.frame()["method"].tolist() == ["a"]
    again.add("b", "all", 0, [("map", 2.0)])
    assert again.frame()["method"].tolist() == ["a", "b"]


def test_write_leaves_one_table(tmp_path):
    results = Results(tmp_path / "new")
    assert pd.read_parquet(results.write()).empty
    results.add("a", "200", 0, [("map", 1.5)])
    path = results.write()
    assert path == tmp_path / "new" / "results.parquet"
    pd.testing.assert_frame_equal(pd.read_parquet(path).astype(COLUMNS), results.frame())


def test_without_cells_the_frame_is_empty(tmp_path):
    frame = Results(tmp_path / "nowhere").frame()
    assert frame.empty
    assert frame.dtypes.astype(str).to_dict() == COLUMNS
    assert not (tmp_path / "nowhere").exists()
    pd.testing.assert_frame_equal(frame, empty_frame())


@pytest.mark.parametrize("budget", ["", "most", "-1", "5.0", 2.5, None, "../x"])
def test_other_budgets_are_refused(tmp_path, budget):
    with pytest.raises(ValueError, match="budget: must be"):
        Results(tmp_path).add("a", budget, 0, [])


def test_a_metric_given_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'map' came twice"):
        Results(tmp_path).add("a", "all", 0, [("map", 1.0), ("map", 2.0)])
    assert not Results(tmp_path).has("a", "all", 0)
