"""What README.md shows is there: commands with their options, make targets, files, settings."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from dashboard import settings
from selfml.cli import app
from selfml.config import load_recipe, recipe_names, with_settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
COMMANDS = typer.main.get_command(app).commands
# What stands for a value in the table of commands, and a value it may have.
VALUES = {"N": "100", "S": "64", "K": "0", "P": "0.5", "R": "quick", "k=v": "seed=1"}


def code(text: str) -> Iterator[tuple[str, bool]]:
    """Every line of a shell block and every code span outside of blocks.

    With whether it is a whole command line, as in blocks and tables; running text also names
    commands by themselves or with one of their options.
    """
    blocks = r"^```(\w*)\n(.*?)^```$"
    for language, block in re.findall(blocks, text, re.MULTILINE | re.DOTALL):
        for line in block.splitlines() if language == "sh" else ():
            yield line, True
    for line in re.sub(blocks, "", text, flags=re.MULTILINE | re.DOTALL).splitlines():
        for span in re.findall(r"`([^`]+)`", line):
            yield span, line.startswith("|")


def words(line: str) -> list[str]:
    """A command line as a shell splits it, comments and the brackets of options left out."""
    return shlex.split(re.sub(r"[\[\]]", "", line) if "[--" in line else line, comments=True)


def lines_of(text: str, program: str) -> list[list[str]]:
    """Every command line that starts with a program."""
    return [words(line) for line, _ in code(text) if line.startswith(f"{program} ")]


def wrong_commands(text: str) -> Iterator[str]:
    """Every ``selfml ...`` that the command would not take, with why."""
    for line, whole in code(text):
        if not line.startswith("selfml "):
            continue
        _, name, *arguments = words(line)
        given = [VALUES.get(word, word) for word in arguments]
        if name not in COMMANDS:
            yield f"{name}: no such command"
        elif whole or [word for word in given if not word.startswith("--")]:
            try:
                COMMANDS[name].make_context(name, given)
            except Exception as error:
                yield f"{name}: {error}"
        else:
            known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
            yield from (f"{name}: no option {word}" for word in given if word not in known)


def table(text: str, first: str) -> list[list[str]]:
    """The rows of the table whose first column is called ``first``, without its head."""
    rows = re.search(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", text, re.MULTILINE)
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[1].splitlines()]


def targets(text: str) -> set[str]:
    """The targets of a Makefile."""
    return set(re.findall(r"^([a-z][\w-]*):", text, re.MULTILINE))


# ----------------------------------------------------------------------------------------- commands
def test_every_command_is_as_the_readme_shows_it():
    assert list(wrong_commands(README)) == []


def test_every_command_is_in_the_readme():
    assert {line[1] for line in lines_of(README, "selfml")} == COMMANDS.keys()
    in_table = [words(cell.strip("`"))[1] for cell, _ in table(README, "command")]
    assert sorted(in_table) == sorted(COMMANDS.keys() - {"recipes"})


def test_required_options_are_shown_bare_and_others_in_brackets():
    """Only of the commands that show brackets at all."""
    shown = [cell for cell, _ in table(README, "command") if "[" in cell]
    assert len(shown) == 6
    for cell in shown:
        optional = set(re.findall(r"\[(--[\w-]+)", cell))
        bare = set(re.findall(r"(?<!\[)(--[\w-]+)", cell))
        parameters = COMMANDS[words(cell.strip("`"))[1]].params
        options = {p.opts[0]: p.required for p in parameters if p.opts[0].startswith("--")}
        assert bare == {name for name, required in options.items() if required}
        assert optional <= {name for name, required in options.items() if not required}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("`selfml chek DATA`", "chek: no such command"),
        ("```sh\nselfml export RUN --out F --sure  # why\n```\n", "export: No such option: --sure"),
        ("```sh\nselfml export RUN\n```\n", "export: Missing"),
        ("```sh\nselfml check # why\n```\n", "check: Missing"),
        ("| `selfml check` | says |", "check: Missing"),
        ("`selfml synth OUT --images many`", "synth: .*integer"),
        ("`selfml map RUN other`", "map: Got unexpected extra argument"),
        ("`selfml train DATA --out RUN [--fast]`", "train: No such option: --fast"),
        ("`selfml train --fast`", "train: no option --fast"),
    ],
)
def test_a_planted_command_is_found(text, expected):
    (found,) = wrong_commands(text)
    assert re.match(expected, found)


# ------------------------------------------------------------------------- targets, files, packages
def test_every_make_target_and_variable_is_in_the_makefile():
    named = {line[1] for line in lines_of(README, "make")}
    assert named >= {"demo", "test", "dashboard"}
    assert named <= targets(MAKEFILE)
    phony = " ".join(re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)).split()
    assert set(phony) == targets(MAKEFILE)
    set_by = {span.split("=")[0] for span, _ in code(README) if re.fullmatch(r"[A-Z]+=\d+", span)}
    assert set_by == {"PORT", "HEADLESS", "MINUTES"}
    for name in set_by:
        assert re.search(rf"^{name} \?= ", MAKEFILE, re.MULTILINE)
        assert f"$({name})" in MAKEFILE or f"$(filter 1,$({name}))" in MAKEFILE


def test_files_that_it_shows_or_links_to_exist():
    scripts = [line[2] for line in lines_of(README, "streamlit")]
    links = re.findall(r"\]\(([^)#\s]+)", README) + re.findall(r"(?:src|href)=\"([^\"]+)\"", README)
    local = [link for link in links if "://" not in link]
    assert scripts == ["dashboard/app.py"]
    for name in [*scripts, *local]:
        assert (ROOT / name).is_file(), name


def test_the_licence_is_the_one_it_names():
    (licence,) = re.findall(r"^## Licence\n\n(\w+)\.", README, re.MULTILINE)
    assert PROJECT["license"] == licence
    assert PROJECT["license-files"] == ["LICENSE"]
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith(f"{licence} License")


def test_python_version_and_extras_are_those_of_the_project():
    (version,) = re.findall(r"With Python ([\d.]+) or newer", README)
    assert PROJECT["requires-python"] == f">={version}"
    extras = {name for of in re.findall(r"\.\[([\w,]+)\]", README) for name in of.split(",")}
    assert extras == {"gpu", "jax", "benchmark", "postgres", "auth", "ray"}
    assert extras <= PROJECT["optional-dependencies"].keys()


def test_variables_of_the_environment_are_read_somewhere():
    named = set(re.findall(r"`(SELFML_[A-Z_]+)`", README))
    of_dashboard = set(re.findall(r"^(SELFML_[A-Z_]+) ", settings.__doc__ or "", re.MULTILINE))
    assert named == {"SELFML_WEIGHTS_DIR"} | of_dashboard
    files = [p for house in ("selfml", "dashboard") for p in (ROOT / house).rglob("*.py")]
    sources = [p.read_text(encoding="utf-8") for p in files]
    for name in named:
        assert any(f'environ.get("{name}"' in text for text in sources), name


# -------------------------------------------------------------------------------- recipes and views
def test_recipes_are_those_that_there_are():
    rows = table(README, "recipe")
    assert sorted(row[0].strip("`") for row in rows) == recipe_names()
    for name, what, needs in rows:
        recipe = load_recipe(name.strip("`"))
        assert f"{recipe.data.size_px} px" in what
        assert ("ImageNet weights" in needs) == (recipe.backbone.weights == "imagenet")
        assert ("MobileNet" in what) == (recipe.backbone.name == "MobileNet")
        assert ("VGG-16" in what) == (recipe.backbone.name == "VGG16")


def test_settings_it_shows_can_be_set():
    shown = re.findall(r"--set (\w[\w.]*=[\w.]+)", README)
    assert {"data.clean_samples=200", "seed=1"} <= set(shown)
    settings = [setting for setting in shown if setting != "k=v"]
    changed = with_settings(load_recipe("quick"), settings)
    assert (changed.data.clean_samples, changed.seed) == (200, 1)


def test_views_are_those_of_the_dashboard():
    source = (ROOT / "dashboard" / "app.py").read_text(encoding="utf-8")
    pages = re.findall(r"\(\"views/(\w+)\.py\", \"(\w+)\"", source)
    assert [row[0] for row in table(README, "view")] == [title for _, title in pages]
    for name, _ in pages:
        assert (ROOT / "dashboard" / "views" / f"{name}.py").is_file()
