"""Browsing never loads a training framework, and rests on floors 0 and 1 of selfml alone."""

from __future__ import annotations

import ast
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

import dashboard

DASHBOARD = Path(__file__).resolve().parents[2] / "dashboard"
ALLOWED = {
    "run",
    "run_format",
    "coverage",
    "flips",
    "receipts",
    "simplex",
    "hull",
    "frank_wolfe",
    "calibration",
    "corrections",
} | {
    "metrics",
    "run_format",
    "coverage",
    "attribute_metrics",
    "counterfactual",
    "effects",
    "intervals",
    "trust",
    "suggestions",
    "faithfulness",
    "audited",
    "decided",
    "decisions",
    "decision_index",
    "agreement",
    "tracing",
    "data",
    "oracle",
    "derived",
    "expert_table",
    "reasons",
    "store_health",
    "exchange",
    "export",
}
FORBIDDEN = ("tensorflow", "keras", "jax", "torch", "umap", "openTSNE")
FILES = sorted(DASHBOARD.rglob("*.py"))
PURE = sorted([*(DASHBOARD / "frames").glob("*.py"), *(DASHBOARD / "figures").glob("*.py")])


def _imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(DASHBOARD)))
def test_only_the_low_floors_of_selfml(path):
    parts = {n.split(".")[1] for n in _imported(path) if n.startswith("selfml.")}
    assert parts <= ALLOWED


@pytest.mark.parametrize("path", PURE, ids=lambda p: str(p.relative_to(DASHBOARD)))
def test_frames_and_figures_know_no_streamlit(path):
    assert not {n for n in _imported(path) if n.split(".")[0] == "streamlit"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(DASHBOARD)))
def test_the_address_and_the_caches_have_one_home_each(path):
    text = path.read_text(encoding="utf-8")
    assert "st.query_params." not in text or path.name == "state.py"
    assert "@st.cache" not in text or path.name == "load.py"


def test_reading_the_script_before_there_is_a_server_is_not_warned_of():
    """Of each cache Streamlit would say so; what else it says there is heard."""
    assert dashboard.__doc__
    log = logging.getLogger("streamlit.runtime.caching.cache_data_api")
    kept = []
    listener = logging.Handler()
    listener.emit = kept.append
    log.addHandler(listener)
    try:
        log.warning("No runtime found, using MemoryCacheStorageManager")
        log.warning("another thing")
    finally:
        log.removeHandler(listener)
    assert [record.getMessage() for record in kept] == ["another thing"]


@pytest.mark.slow
def test_no_view_loads_a_training_framework():
    """In a process of its own: every module that a view imports, then sys.modules."""
    modules = {
        n for path in FILES for n in _imported(path) if n.startswith(("dashboard", "selfml"))
    }
    code = (
        "import importlib, json, sys\n"
        f"for name in {sorted(modules)!r}:\n"
        "    try: importlib.import_module(name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        if not name.startswith(error.name or '?') : raise\n"
        f"print(json.dumps([m for m in {FORBIDDEN!r} if m in sys.modules]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
