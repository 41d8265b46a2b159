"""One training run's settings: a frozen dataclass, read from and written to TOML.

The defaults are in ``config_sections``, each with its source. A recipe in
``selfml/recipes/*.toml`` names what it changes from them.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from selfml.config_sections import (
    AugmentConfig,
    BackboneConfig,
    BasisConfig,
    ConfigError,
    DataConfig,
    FlipConfig,
    HeadConfig,
    JointConfig,
    MapConfig,
    TrainConfig,
    require,
)


@dataclass(frozen=True)
class Config:
    """One training run. ``recipe`` is the name it came from."""

    recipe: str = "paper"
    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    basis: BasisConfig = field(default_factory=BasisConfig)
    flips: FlipConfig = field(default_factory=FlipConfig)
    joint: JointConfig = field(default_factory=JointConfig)
    maps: MapConfig = field(default_factory=MapConfig)

    def __post_init__(self) -> None:
        require(0 <= self.seed < 2**32, "seed", self.seed, "within 0..4294967295")


def recipe_names() -> list[str]:
    """Names that ``--recipe`` takes."""
    folder = resources.files("selfml") / "recipes"
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


def load_recipe(name: str) -> Config:
    """A recipe by name, or by the path of a TOML file (whose name it takes unless it has one).

    Raises
    ------
    ConfigError
        When there is none, naming those there are.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"--recipe: no file {name}; recipes: {', '.join(recipe_names())}")
        try:
            tree = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"--recipe: {name} is not valid TOML ({error}); `selfml recipes` lists those that "
                "come along"
            ) from error
        return _merge(Config(recipe=path.stem), tree, "")
    if name not in recipe_names():
        raise ConfigError(
            f"--recipe: no recipe {name!r}; there are {', '.join(recipe_names())}, "
            "or name a .toml file"
        )
    return from_toml((resources.files("selfml") / "recipes" / f"{name}.toml").read_text())


def from_toml(text: str) -> Config:
    """Read a TOML text; what it leaves out has the default."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"recipe: not valid TOML ({error}); see `selfml recipes`") from error
    return _merge(Config(), tree, "")


def to_toml(config: Config) -> str:
    """Write as TOML; :func:`from_toml` gives back an equal Config."""
    tree = asdict(config)
    flat = {k: v for k, v in tree.items() if not isinstance(v, dict)}
    lines = [f"{k} = {_toml(v)}" for k, v in flat.items()]
    for section, values in tree.items():
        if isinstance(values, dict):
            lines += ["", f"[{section}]"] + [f"{k} = {_toml(v)}" for k, v in values.items()]
    return "\n".join(lines) + "\n"


def differences(config: Config, other: Config) -> list[str]:
    """``section.key=value`` of each setting of ``config`` that ``other`` has otherwise."""
    found = []
    theirs = asdict(other)
    for name, values in asdict(config).items():
        if isinstance(values, dict):
            changed = {k: v for k, v in values.items() if v != theirs[name][k]}
            found += [f"{name}.{k}={_toml(v)}" for k, v in changed.items()]
        elif values != theirs[name]:
            found.append(f"{name}={_toml(values)}")
    return found


def with_settings(config: Config, settings: list[str]) -> Config:
    """Apply ``key=value`` texts such as ``train.pretrain_steps=500`` (as in ``--set``).

    All at once, so that their order does not matter; of one setting given twice the last counts.

    Raises
    ------
    ConfigError
        In one line: the setting, the rule and the value.
    """
    tree: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set: must be key=value, got {setting!r}; e.g. --set seed=1")
        *sections, name = key.strip().split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set: {section} is set twice, as a value and as a section")
        place[name] = _parse(value.strip())
    return _merge(config, tree, "")


def _toml(value: Any) -> str:
    """One value; TOML has JSON's escapes, but no surrogate pairs and no bare DEL."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _parse(value: str) -> Any:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def _merge(config: Any, tree: dict[str, Any], prefix: str) -> Any:
    known = {f.name: getattr(config, f.name) for f in fields(config)}
    changes: dict[str, Any] = {}
    for key, value in tree.items():
        name = prefix + key
        if key not in known:
            raise ConfigError(f"{name}: no such setting; there are {', '.join(sorted(known))}")
        old = known[key]
        if is_dataclass(old):
            if not isinstance(value, dict):
                raise ConfigError(f"{name}: is a section, set one of its values, e.g. {name}.x=1")
            changes[key] = _merge(old, value, f"{name}.")
        else:
            changes[key] = _typed(name, old, value)
    return replace(config, **changes)


def _typed(name: str, old: Any, value: Any) -> Any:
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < 2**63 else _wrong(name, old, value)
    if isinstance(old, int) and not isinstance(old, bool) and isinstance(value, float):
        return int(value) if value.is_integer() else _wrong(name, old, value)
    return value if type(value) is type(old) else _wrong(name, old, value)


def _wrong(name: str, old: Any, value: Any) -> Any:
    kind = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    raise ConfigError(f"{name}: must be {kind[type(old)]}, got {value!r} (now {old!r})")
