"""Who may import whom (:mod:`tests.floors`), and what is documented.

Sources are read, never imported, so this costs nothing and also sees imports inside functions.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.floors import (
    DASHBOARD_SEES,
    ENGINE_ALLOWED,
    ENGINES,
    FLOORS,
    KERAS_FLOORS,
    LAZY,
    TRAINING_NEEDS,
)

ROOT = Path(__file__).resolve().parents[1]

Sources = dict[str, str]


def read_sources(root: Path = ROOT) -> Sources:
    """Module name -> source, of selfml and dashboard."""
    found = {}
    for package in ("selfml", "dashboard"):
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = path.read_text(encoding="utf-8")
    return found


@cache
def parsed(text: str) -> ast.Module:
    """The tree of a source, read once."""
    return ast.parse(text)


def imports(name: str, sources: Sources) -> set[str]:
    """Modules that ``name`` imports anywhere, by full name; ours as modules that exist."""
    found: set[str] = set()
    for node in ast.walk(parsed(sources[name])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= _from(node, sources)
        elif isinstance(node, ast.Call) and _called(node) in ("import_module", "__import__"):
            found |= {a.value for a in node.args if isinstance(a, ast.Constant)}
    return {str(module) for module in found}


def _from(node: ast.ImportFrom, sources: Sources) -> set[str]:
    if node.level:
        return {"." * node.level + (node.module or "")}
    inside = {f"{node.module}.{alias.name}" for alias in node.names}
    return {node.module or ""} | (inside & sources.keys())


def _called(node: ast.Call) -> str:
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def floor(name: str) -> int | None:
    """The floor of a module of ours, None where it has none."""
    for number, patterns in FLOORS[name.split(".")[0]].items():
        for pattern in patterns:
            package = pattern.removesuffix(".*")
            if name == package or (pattern.endswith(".*") and name.startswith(package + ".")):
                return number
    return None


def layering(sources: Sources) -> Iterator[str]:
    """Every import that breaks a rule, as a line."""
    for name in sources:
        own = floor(name)
        if own is None:
            yield f"{name}: has no floor; add it to FLOORS"
            continue
        for other in sorted(imports(name, sources)):
            top = other.split(".")[0]
            if top == "":
                yield f"{name}: relative import {other}"
            elif top in ENGINE_ALLOWED.get(name, ()):
                continue
            elif top in ENGINES:
                yield f"{name}: imports {other}, an engine; use keras.ops"
            elif top == "keras" and not (name.startswith("selfml.") and own in KERAS_FLOORS):
                yield f"{name}: imports keras on floor {own}"
            elif top in FLOORS:
                yield from _ours(name, other)


def _ours(name: str, other: str) -> Iterator[str]:
    own, theirs = floor(name), floor(other)
    same_house = name.split(".")[0] == other.split(".")[0]
    if theirs is None:
        yield f"{name}: imports {other}, which has no floor"
    elif not same_house and name.startswith("selfml"):
        yield f"{name}: imports {other}; selfml knows no dashboard"
    elif not same_house and theirs not in DASHBOARD_SEES:
        yield f"{name}: imports {other} of floor {theirs}; a dashboard sees {DASHBOARD_SEES}"
    elif same_house and theirs > own:
        yield f"{name}: on floor {own}, imports {other} of floor {theirs}"


def engine_names(sources: Sources) -> Iterator[str]:
    """Every use of a bare name such as ``tf`` or ``torch``, or ``keras.src``."""
    for name, text in sources.items():
        for node in ast.walk(parsed(text)):
            if isinstance(node, ast.Name) and node.id in ENGINES:
                yield f"{name}, line {node.lineno}: {node.id}"
            if isinstance(node, ast.Attribute) and (
                node.attr == "src" and getattr(node.value, "id", "") == "keras"
            ):
                yield f"{name}, line {node.lineno}: keras.src is private"


def cycles(sources: Sources) -> Iterator[str]:
    """Modules that import each other, directly or not, each cycle named once."""
    graph = {name: imports(name, sources) & sources.keys() - {name} for name in sources}
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> Iterator[str]:
        if name in path:
            yield " -> ".join((*path[path.index(name) :], name))
        elif name not in done:
            for other in sorted(graph[name]):
                yield from walk(other, (*path, name))
            done.add(name)

    for name in sorted(graph):
        yield from walk(name, ())


def reachable(start: str, sources: Sources) -> set[str]:
    """``start`` and every module of ours that it needs."""
    seen, todo = set(), {start}
    while todo:
        name = todo.pop()
        seen.add(name)
        todo |= (imports(name, sources) & sources.keys()) - seen
    return seen


def needs_beyond(start: str, allowed: set[str], sources: Sources) -> Iterator[str]:
    """Every import on the way from ``start`` of something not allowed."""
    for name in sorted(reachable(start, sources)):
        for other in sorted(imports(name, sources)):
            top = other.split(".")[0]
            if top not in allowed | LAZY.get(name, set()) and top not in sys.stdlib_module_names:
                yield f"{name}: imports {other}"


def undocumented(sources: Sources) -> Iterator[str]:
    """Modules, public classes and functions, and public methods without a docstring.

    An empty module needs none; neither does a method that a base class of another package
    defines and documents, such as ``call`` of a Keras layer.
    """
    for name, text in sources.items():
        tree = parsed(text)
        if tree.body and not ast.get_docstring(tree):
            yield name
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from _undocumented(f"{name}.{node.name}", node)


INHERITED = {"call", "build", "get_config", "from_config", "compute_output_shape", "train_step"}


def _undocumented(name: str, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
    if node.name.startswith("_") or node.name in INHERITED:
        return
    if not ast.get_docstring(node):
        yield name
    if isinstance(node, ast.ClassDef):
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
                yield from _undocumented(f"{name}.{inner.name}", inner)


@pytest.fixture(scope="module")
def sources() -> Sources:
    """The sources as they are."""
    return read_sources()


def test_the_sources_are_found(sources):
    assert {"selfml", "selfml.cli", "selfml.nn", "selfml.train", "dashboard.app"} <= sources.keys()
    assert len(sources) > 60


def test_every_module_imports_downwards(sources):
    assert list(layering(sources)) == []


def test_no_module_imports_itself_by_way_of_others(sources):
    assert list(cycles(sources)) == []


def test_no_engine_is_named(sources):
    assert list(engine_names(sources)) == []


def test_a_bare_gpu_machine_can_train(sources):
    """What `selfml.train` reaches: Keras with a backend and the common numerical packages."""
    assert "selfml.nn.model" in reachable("selfml.train", sources)
    assert list(needs_beyond("selfml.train", TRAINING_NEEDS, sources)) == []
    assert list(needs_beyond("selfml.cli", TRAINING_NEEDS, sources)) == []


def test_everything_public_is_documented(sources):
    assert list(undocumented(sources)) == []


def test_floors_name_only_what_exists(sources):
    """A module that was removed or renamed leaves the table too."""
    for house in FLOORS.values():
        for patterns in house.values():
            for pattern in patterns:
                assert pattern.removesuffix(".*") in sources, pattern


# The checks themselves, on small planted sources: each of these must be found.
PLANTED = [
    ("selfml.config", "from selfml.flips import sigmoid", "on floor 0, imports selfml.flips"),
    ("selfml.run", "def f():\n    import selfml.train", "on floor 0, imports selfml.train"),
    ("selfml.metrics", "from selfml import nn", "on floor 1, imports selfml.nn"),
    ("selfml.export", "from selfml.cli import app", "imports selfml.cli of floor 5"),
    ("selfml.flips", "import dashboard.state", "selfml knows no dashboard"),
    ("dashboard.load", "from selfml.train import train", "imports selfml.train of floor 3"),
    ("dashboard.load", "from selfml import nn", "imports selfml.nn of floor 2"),
    ("dashboard.state", "from dashboard import load", "on floor 0, imports dashboard.load"),
    ("selfml.nn.model", "import tensorflow as tf", "imports tensorflow, an engine"),
    ("selfml.train", "def f():\n    from jax import numpy", "imports jax, an engine"),
    ("selfml.train", "importlib.import_module('torch.nn')", "imports torch.nn, an engine"),
    ("selfml.flips", "from keras import ops", "imports keras on floor 1"),
    ("dashboard.load", "import keras", "imports keras on floor 2"),
    ("selfml.flips", "from .run import Run", "relative import .run"),
    ("selfml.brand_new", "", "has no floor"),
    ("selfml.data.x", "from selfml.brand_new import f", "imports selfml.brand_new, which has no"),
]


@pytest.mark.parametrize(("name", "text", "expected"), PLANTED, ids=[p[2] for p in PLANTED])
def test_a_planted_import_is_found(name, text, expected):
    names = ("flips", "train", "nn", "cli", "run", "config", "metrics")
    others = {f"selfml.{n}": "" for n in names} | {"dashboard.load": "", "dashboard.state": ""}
    found = list(layering(others | {name: text}))
    assert len(found) == 1
    assert found[0].startswith(name)
    assert expected in found[0]


def test_what_is_allowed_is_not_reported():
    fine = {
        "selfml.config": "import tomllib",
        "selfml.basis": "from selfml.config import Config\nfrom selfml import simplex",
        "selfml.simplex": "import numpy",
        "selfml.nn.model": "from keras import ops",
        "dashboard.load": "import streamlit\nfrom selfml.basis import f\nimport selfml.config",
    }
    assert list(layering(fine)) == []
    assert list(cycles(fine)) == []


def test_planted_engines_cycles_needs_and_gaps_are_found():
    assert list(engine_names({"m": "x = 1\ny = tf.reduce_sum(torch.ones(3))"})) == [
        "m, line 2: tf",
        "m, line 2: torch",
    ]
    assert list(engine_names({"m": "keras.src.ops"})) == ["m, line 1: keras.src is private"]
    ring = {"a": "import b", "b": "def f():\n    import c", "c": "from a import x", "d": "import a"}
    assert list(cycles(ring)) == ["a -> b -> c -> a"]
    path = {"a": "import b", "b": "import os, streamlit", "c": "import torch"}
    assert list(needs_beyond("a", {"b"}, path)) == ["b: imports streamlit"]
    lazy = {"selfml.maps": "def f():\n    import umap"}
    assert list(needs_beyond("selfml.maps", set(), lazy)) == []
    text = (
        'def f():\n    """x"""\ndef g(): ...\ndef _h(): ...\n'
        'class A:\n    """x"""\n    def m(self): ...\n'
        "    def call(self): ...\n    def _p(self): ..."
    )
    assert list(undocumented({"m": text, "empty": ""})) == ["m", "m.g", "m.A.m"]
