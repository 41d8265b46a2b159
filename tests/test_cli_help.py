"""What the command says of itself: recipes, help, usage errors; it starts without an engine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from selfml import config
from selfml.cli import app, main
from tests.command import one_line

ROOT = Path(__file__).parents[1]
COMMANDS = typer.main.get_command(app).commands


def test_recipes_are_listed_with_what_they_are_for(selfml):
    done = selfml("recipes")
    assert done.code == 0
    lines = dict(line.split(": ", 1) for line in done.out.splitlines())
    assert list(lines) == config.recipe_names() == ["paper", "photos", "quick"]
    assert "64 px" in lines["quick"]
    assert "128 px" in lines["photos"]
    assert "VGG-16" in lines["paper"]
    assert "#" not in done.out


def test_help_names_every_command(selfml):
    done = selfml("--help")
    assert done.code == 0
    assert set(COMMANDS) == {
        *("check", "synth", "recipes", "train"),
        *("evaluate", "map", "export", "check-import", "benchmark", "label-basis"),
        *("backup", "restore", "relabel"),
    }
    for name, command in COMMANDS.items():
        first = command.help.split("\n")[0].split(",")[0][:40]
        assert re.search(rf"\b{name} +{re.escape(first)}", done.out), name


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_every_argument_and_option(selfml, name):
    done = selfml(name, "--help")
    assert done.code == 0
    assert f"selfml {name}" in done.out
    for parameter in COMMANDS[name].params:
        (line,) = re.findall(rf"^│ [* ]*{parameter.opts[0]} .*", done.out, re.MULTILINE)
        assert f" {parameter.help[:25]}" in line


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["check", "shop", "--fast"], "--fast"), (["chek", "shop"], "chek"), (["check"], "data")],
)
def test_what_no_command_takes_is_a_usage_error(selfml, arguments, said):
    done = selfml(*arguments)
    assert (done.code, done.out) == (2, "")
    assert "Usage: " in done.err
    assert said in done.err.lower()


@pytest.mark.parametrize("error", [ValueError("a: must be b,\n  got c"), OSError("a: no\n b")])
def test_an_expected_error_is_one_line_unless_a_traceback_is_asked_for(selfml, monkeypatch, error):
    def fail():
        raise error

    monkeypatch.setattr(config, "recipe_names", fail)
    one_line(selfml("recipes"), " ".join(str(error).split()))
    monkeypatch.setenv("SELFML_TRACEBACK", "1")
    with pytest.raises(type(error)):
        main()


@pytest.mark.slow
def test_the_command_starts_without_an_engine():
    """In a process of its own: what `--help` and `recipes` wait for."""
    program = (
        "import sys\n"
        "from selfml.cli import main\n"
        "sys.argv = ['selfml', 'recipes']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        "    print(sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)\n"
    )
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "quick: " in done.stdout
    loaded = set(re.findall(r"'(\w+)'", done.stderr))
    assert "selfml" in loaded
    assert not loaded & {"tensorflow", "keras", "jax", "torch", "umap", "openTSNE", "streamlit"}
