"""The page on cost says what was measured, and what follows from it."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks.cost import KEPT, PAGE
from tests.benchmarks.cost_model import billion, page, table

ROWS = [{"images": 1000, "seconds": 4.0, "processor_s": 6.0, "mib": 900.0, "part_bytes": 2000,
         "run_bytes": 1500, "flips": 7, "load": 1.25}]  # fmt: skip


def test_a_table_has_a_line_for_each_measurement():
    lines = table(ROWS).splitlines()
    assert lines[0].startswith("| images | seconds | images/s |")
    assert lines[2] == "| 1,000 | 4 | 250 | 6 | 900 | 2,000 | 1,500 | 1.2 |"
    assert len(lines) == 3


def test_a_billion_by_hand():
    """60 % of 790 TFLOP/s over 30.9 GFLOP is 15,340 images a second: 18.1 hours of one GPU."""
    of = billion(part_bytes=2000, run_bytes=1500, processor_s=0.002, flips=1.8)
    assert (of["looks"], of["weeks"]) == pytest.approx((1.8e6, 25.0))
    assert of["gpu_per_s"] == pytest.approx(15_339.8, abs=0.1)
    assert of["gpu_hours"] == pytest.approx(18.11, abs=0.01)
    assert of["hours"] == pytest.approx(of["gpu_hours"] / 8)
    assert of["cpu_days"] == pytest.approx(2e6 / 86_400)
    assert of["part_tib"] == pytest.approx(1.819, abs=1e-3)
    assert of["run_tib"] == pytest.approx(1.364, abs=1e-3)
    assert of["photo_tib"] == pytest.approx(45.47, abs=0.01)


def test_what_was_not_measured_is_not_on_the_page():
    assert "One billion" not in page({})
    assert "## Relabelling" in page({"relabel": ROWS})
    assert "## Training" not in page({"relabel": ROWS})
    assert "nothing of this was measured" in page({"relabel": ROWS})


def test_the_page_is_what_was_measured():
    """Nobody typed into it."""
    assert PAGE.read_text() == page(json.loads(KEPT.read_text()))
