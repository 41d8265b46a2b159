"""The drawn runs of the benchmarks, at a tiny size: whole, and as full of flips as they say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from selfml.run import Run
from selfml.run_format import ARRAYS, SCHEMAS
from tests.benchmarks.dashboard import acceptance, verdicts
from tests.benchmarks.dashboard_server import lasso, visits
from tests.benchmarks.worlds import build_run, large_world


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run(build_run(tmp_path_factory.mktemp("drawn") / "run", 400, 8, 31))


def test_a_drawn_run_has_every_table_and_array(drawn):
    assert drawn.is_complete
    assert drawn.has(*SCHEMAS, *ARRAYS)
    sums = np.asarray(drawn.coefficients().sum(axis=1)).ravel()
    np.testing.assert_allclose(sums, 1, atol=1e-5)
    assert 2 < len(drawn.table("flips")) / 400 < 4.5
    clean = drawn.table("images").query("split == 'clean_train'")["image_index"]
    assert set(drawn.table("basis")["image_index"]) <= set(clean)


def test_a_run_that_is_there_is_kept_and_another_size_is_not(drawn):
    before = drawn.table_path("flips").stat().st_mtime_ns
    build_run(drawn.path, 400, 8, 31)
    assert drawn.table_path("flips").stat().st_mtime_ns == before


def test_a_world_is_the_same_for_a_seed():
    one, two = (large_world(300, 5, 6, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.coefficients.toarray(), two.coefficients.toarray())
    np.testing.assert_array_equal(one.given, two.given)
    with pytest.raises(ValueError, match="n_atoms: at most 15 for 300 images"):
        large_world(300, 16, 6)


def test_every_repeat_asks_for_something_else(drawn):
    assert lasso(0) != lasso(1)
    for visit in visits(drawn):
        assert set(visit.query(0)) == set(visit.query(1))


def test_the_verdict_is_by_the_limit():
    table = pd.DataFrame(
        {"page": ["Flips, a page"], "pages": [True], "p95": [150.0], "p95_cpu": [90.0]}
    )
    pages = {60_000: table.assign(p50_cpu=20.0), 300_000: table.assign(p50_cpu=50.0)}
    rows = acceptance(pages, {})
    assert [(value, limit) for _, value, _, limit in rows] == [(150, 200), (90, 200), (2.5, 2)]
    assert [line.split()[-1] for line in verdicts(rows).splitlines()] == ["pass", "pass", "FAIL"]
