"""Every setting of a training run: frozen dataclasses, read from and written to TOML.

A default cites the paper (Quintino Ferreira, Costeira, Gomes, CVPR-W 2021, section 3) or is
"our choice". A recipe in ``selfml/recipes/*.toml`` names what it changes from these defaults.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any


class ConfigError(ValueError):
    """A setting that does not exist or has a value out of range (one line)."""


def _require(rule: bool, name: str, value: Any, text: str) -> None:
    if not rule:
        raise ConfigError(
            f"{name}: must be {text}, got {value!r}; change it in --set or the recipe"
        )


@dataclass(frozen=True)
class DataConfig:
    """What is read and how it is split."""

    size_px: int = 224  # paper
    clean_samples: int = 500  # paper: drawn from C_train; at most so many, all where fewer
    test_fraction: float = 0.25  # paper: 75 | 25

    def __post_init__(self) -> None:
        _require(32 <= self.size_px <= 512, "data.size_px", self.size_px, "within 32..512")
        _require(self.clean_samples >= 10, "data.clean_samples", self.clean_samples, "at least 10")
        ok = 0 < self.test_fraction < 1
        _require(ok, "data.test_fraction", self.test_fraction, "between 0 and 1")


@dataclass(frozen=True)
class BackboneConfig:
    """The convolutional network under the head.

    ``name`` is one of ``keras.applications`` or ``small``; ``weights`` is ``imagenet``,
    ``none`` or a ``.weights.h5`` file; ``output_layer`` names the layer whose maps are used,
    empty for the last.
    """

    name: str = "VGG16"  # paper
    weights: str = "imagenet"
    output_layer: str = ""
    trainable: bool = True  # paper: the extractor is trained in pre-training


@dataclass(frozen=True)
class HeadConfig:
    """Conv2D(d, kernel, relu), global average pooling, Dense(L)."""

    d: int = 512  # paper
    kernel: int = 3  # our choice
    dropout: float = 0.0  # our choice: the paper names none

    def __post_init__(self) -> None:
        _require(self.d >= 1, "head.d", self.d, "at least 1")
        _require(self.kernel in (1, 3, 5), "head.kernel", self.kernel, "1, 3 or 5")
        _require(0 <= self.dropout < 1, "head.dropout", self.dropout, "within 0..1")


@dataclass(frozen=True)
class AugmentConfig:
    """Random rotation, translation and horizontal flip of a share of the images."""

    fraction: float = 1 / 3  # paper
    rotation_degrees: float = 10.0  # our choice
    translation_fraction: float = 0.08  # our choice
    flip: bool = True  # paper
    cached_variants: int = 2  # our choice: augmented maps kept an image under a frozen extractor

    def __post_init__(self) -> None:
        _require(0 <= self.fraction <= 1, "augment.fraction", self.fraction, "within 0..1")
        ok = self.cached_variants >= 0
        _require(ok, "augment.cached_variants", self.cached_variants, "at least 0")


@dataclass(frozen=True)
class TrainConfig:
    """Steps, batches and the classification loss; the same for all three methods."""

    batch_size: int = 64  # paper
    clean_per_batch: int = 6  # paper: 9 of 10 images from N, 1 of 10 from C (58 + 6)
    pretrain_steps: int = 10_000  # paper
    finetune_steps: int = 10_000  # paper; Baseline 0 goes on for as many
    learning_rate: float = 1e-4  # paper
    finetune_learning_rate: float = 1e-4  # paper
    decay: float = 1e-5  # paper: lr / (1 + decay * step)
    gamma: float = 2.0  # paper: focal loss
    alpha: float = 0.6  # paper: focal loss
    checkpoint_s: float = 30.0  # our choice: seconds between checkpoints
    cache_gib: float = 3.0  # our choice: feature maps are cached up to this size
    mixed_precision: bool = False  # our choice: bfloat16 compute on a GPU

    def __post_init__(self) -> None:
        for name in ("batch_size", "pretrain_steps", "finetune_steps"):
            value = getattr(self, name)
            _require(value >= 1, f"train.{name}", value, "at least 1")
        ok = 0 < self.clean_per_batch < self.batch_size
        _require(ok, "train.clean_per_batch", self.clean_per_batch, "between 0 and batch_size")
        for name in ("learning_rate", "finetune_learning_rate"):
            _require(getattr(self, name) > 0, f"train.{name}", getattr(self, name), "above 0")
        _require(0 < self.alpha < 1, "train.alpha", self.alpha, "between 0 and 1")


@dataclass(frozen=True)
class BasisConfig:
    """The explainable reconstruction.

    ``source``: the atoms start at ``noisy`` training images (paper) or at the ``clean`` ones.
    ``labels``: ``nearest_clean`` takes the labels of the nearest clean image in feature space
    (paper, strategy 2); ``oracle`` those of the sampled image itself (strategy 1): with
    ``source = "clean"`` they are verified already, with ``"noisy"`` truth.csv plays the expert.
    ``rank``: 0 learns a linear C_X as in the paper; above 0 the coefficients come from
    distances in a learned projection of that many dimensions (method.md, our choice).
    """

    source: str = "noisy"  # paper
    labels: str = "nearest_clean"  # paper, strategy 2
    n_atoms: int = 1000  # paper: n_B; fewer images in the source, fewer atoms
    rank: int = 0
    features: str = "head"  # paper; head+backbone adds the pooled maps
    lambda_c: float = 10.0  # paper; enters as the group penalty of method.md
    steps: int = 2000  # our choice: pre-training of the reconstruction
    learning_rate: float = 1e-3  # our choice
    dropout: float = 0.0  # our choice: on the input of the projection
    non_zeros: float = 6.0  # our choice: atoms an image shares to start with
    seed_with: str = "kmeans"  # our choice: kmeans | farthest | random

    def __post_init__(self) -> None:
        for name, allowed in {
            "source": ("noisy", "clean"),
            "labels": ("nearest_clean", "oracle"),
            "features": ("head", "head+backbone"),
            "seed_with": ("kmeans", "farthest", "random"),
        }.items():
            value = getattr(self, name)
            _require(value in allowed, f"basis.{name}", value, "one of " + ", ".join(allowed))
        _require(self.n_atoms >= 2, "basis.n_atoms", self.n_atoms, "at least 2")
        _require(self.rank >= 0, "basis.rank", self.rank, "at least 0")


@dataclass(frozen=True)
class FlipConfig:
    """The label flipping module.

    ``loss``: ``cross_entropy`` (our choice) or ``l1`` (paper). ``mode``: which evidence makes
    the corrected labels, ``full`` or ``strict``.
    """

    mode: str = "full"
    loss: str = "cross_entropy"
    steps: int = 1500  # our choice: pre-training on C
    learning_rate: float = 1e-3  # our choice
    hidden: int = 64  # our choice: of the residual network
    residual_decay: float = 1e-2  # our choice: weight decay of the residual network
    smoothing: float = 0.1  # our choice: weight of the prior in a label score

    def __post_init__(self) -> None:
        _require(self.mode in ("full", "strict"), "flips.mode", self.mode, "full or strict")
        ok = self.loss in ("cross_entropy", "l1")
        _require(ok, "flips.loss", self.loss, "cross_entropy or l1")
        _require(self.smoothing > 0, "flips.smoothing", self.smoothing, "above 0")


@dataclass(frozen=True)
class JointConfig:
    """Weights of L_total."""

    lambda_class: float = 1.0  # paper
    lambda_bs: float = 1.0  # paper
    lambda_ef: float = 10.0  # paper


@dataclass(frozen=True)
class MapConfig:
    """t-SNE and UMAP of the coefficients."""

    enabled: bool = True
    max_images: int = 100_000  # our choice


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


def recipe_names() -> list[str]:
    """Names that ``--recipe`` takes."""
    folder = resources.files("selfml") / "recipes"
    return sorted(
        f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml")
    )


def load_recipe(name: str) -> Config:
    """A recipe by name, or by the path of a TOML file.

    Raises
    ------
    ConfigError
        When there is none, naming those there are.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise ConfigError(f"--recipe: no file {name}; recipes: {', '.join(recipe_names())}")
        return from_toml(path.read_text(encoding="utf-8"))
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
    lines = [f"{k} = {json.dumps(v)}" for k, v in flat.items()]
    for section, values in tree.items():
        if isinstance(values, dict):
            lines += ["", f"[{section}]"] + [f"{k} = {json.dumps(v)}" for k, v in values.items()]
    return "\n".join(lines) + "\n"


def with_settings(config: Config, settings: list[str]) -> Config:
    """Apply ``key=value`` texts such as ``train.pretrain_steps=500`` (as in ``--set``)."""
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set: must be key=value, got {setting!r}; e.g. --set seed=1")
        tree: Any = _parse(value.strip())
        for part in reversed(key.strip().split(".")):
            tree = {part: tree}
        config = _merge(config, tree, "")
    return config


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
        return float(value)
    if isinstance(old, int) and not isinstance(old, bool) and isinstance(value, float):
        return int(value) if value.is_integer() else _wrong(name, old, value)
    return value if type(value) is type(old) else _wrong(name, old, value)


def _wrong(name: str, old: Any, value: Any) -> Any:
    kind = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    raise ConfigError(f"{name}: must be {kind[type(old)]}, got {value!r} (now {old!r})")
