"""Times of the dashboard's script on the server, by page: Streamlit's AppTest, no browser.

A time is that of one whole rerun: the script of the page with all its queries, and AppTest's own
work of some milliseconds; not the sending. Beside it stands the time of the processor (all threads
of the process), which says what it would be where no other programs run. Every repeat asks for
something that was not asked for before (another page, lasso, flip), so that a cached answer is
never what is measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.logger import set_log_level
from streamlit.testing.v1 import AppTest

from dashboard.frames import polygons
from selfml.run import Run

APP = Path(__file__).resolve().parents[2] / "dashboard" / "app.py"
Query = dict[str, str]


@dataclass(frozen=True)
class Visit:
    """A page to measure; ``query`` gives the address of the i-th repeat.

    ``pages`` says whether it shows a page of something, and so should not grow with the run.
    """

    name: str
    view: str
    query: Callable[[int], Query]
    pages: bool = True


def lasso(i: int) -> str:
    """The i-th lasso in a drawn map, as text of an address: a ring of 60 corners."""
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    ring = np.column_stack([np.cos(t), np.sin(t)]) * (14 + 0.5 * i)
    return polygons.as_text([ring + np.array([i, -i])])


def visits(run: Run) -> list[Visit]:
    """All pages of the dashboard, for a run of ``tests.benchmarks.worlds``."""
    sample = run.table("flips", ["image_index", "attribute_index"]).iloc[::97]
    keys = [f"{i}-{j}" for i, j in sample.itertuples(index=False)]
    images = [str(i) for i in sample["image_index"]]
    atoms = run.table("basis", ["basis_index", "usage"]).query("usage > 0")["basis_index"]

    def attributes(part: str) -> Visit:
        return Visit(f"Attributes, {part}", "attributes", lambda i: {"part": part})

    return [
        Visit("Overview", "overview", lambda i: {}),
        Visit("Map", "map", lambda i: {}, pages=False),
        Visit("Map, a lasso", "map", lambda i: {"area": lasso(i)}, pages=False),
        Visit("Map, a page of a lasso", "map", lambda i: {"area": lasso(0), "page": str(i + 2)},
              pages=False),
        Visit("Basis", "basis", lambda i: {"page": str(i % 2 + 1)}),
        Visit("Basis, labels", "basis", lambda i: {"part": "labels"}),
        Visit("Basis, coverage", "basis", lambda i: {"part": "images", "page": str(i + 1)}),
        Visit("Basis, one image", "basis", lambda i: {"basis": str(atoms.iloc[i])}, pages=False),
        Visit("Attributes", "attributes", lambda i: {}),
        *(attributes(part) for part in ("flips", "right", "prevalence", "category")),
        Visit("Attributes, one", "attributes", lambda i: {"attribute": str(i)}),
        Visit("Flips, a page", "flips", lambda i: {"page": str(i + 1)}),
        Visit("Flips, a far page", "flips", lambda i: {"page": str(500 + i), "sort": "image"}),
        Visit("Flips, filtered", "flips",
              lambda i: {"category": "tops", "min_confidence": "0.6", "page": str(i + 1)}),
        Visit("Flips, one attribute", "flips", lambda i: {"attribute": str(i), "sort": "doubt"}),
        Visit("Flips, of a basis image", "flips", lambda i: {"basis": str(atoms.iloc[i])}),
        Visit("Receipt", "flips", lambda i: {"flip": keys[i]}),
        Visit("All labels of an image", "flips", lambda i: {"image": images[i]}),
    ]  # fmt: skip


def _rerun_ms(app: AppTest, query: Query) -> tuple[float, float]:
    """Time that passed and time of the processor."""
    app.query_params.clear()
    for name, value in query.items():
        app.query_params[name] = value
    start, cpu_start = time.perf_counter(), time.process_time()
    app.run()
    took = time.perf_counter() - start, time.process_time() - cpu_start
    if app.exception:
        raise RuntimeError(f"{query}: {app.exception[0].message}")
    return 1000 * took[0], 1000 * took[1]


def measure_pages(run_folder: Path, repeats: int, only: str = "") -> pd.DataFrame:
    """Times of every page.

    Parameters
    ----------
    run_folder : Path
        Of ``tests.benchmarks.worlds.build_run``.
    repeats : int
        Reruns after the first.
    only : str
        A word that the page's name must hold.

    Returns
    -------
    DataFrame
        page, pages (bool, of :class:`Visit`), first_ms (nothing kept from before), p50, p95
        (ms, of ``repeats`` further ones), and ``_cpu``, of the processor.
    """
    set_log_level("ERROR")  # no runtime is wanted here; AppTest is enough
    os.environ["SELFML_RUNS"] = str(run_folder.parent)
    rows = []
    for visit in visits(Run(run_folder)):
        if only not in visit.name:
            continue
        st.cache_resource.clear()
        st.cache_data.clear()
        app = AppTest.from_file(str(APP), default_timeout=300)
        app.switch_page(f"views/{visit.view}.py")
        times = [
            _rerun_ms(app, {"run": run_folder.name, **visit.query(i)}) for i in range(repeats + 1)
        ]
        p50, p95 = np.percentile(times[1:], [50, 95], axis=0)
        rows.append((visit.name, visit.pages, *times[0], p50[0], p95[0], p50[1], p95[1]))
    columns = ["page", "pages", "first_ms", "first_cpu", "p50", "p95", "p50_cpu", "p95_cpu"]
    return pd.DataFrame(rows, columns=columns)
