"""The sections of a configuration, each with its defaults and the rules its values keep.

A default cites the paper (Quintino Ferreira, Costeira, Gomes, CVPR-W 2021, section 3) or is
"our choice".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


class ConfigError(ValueError):
    """A setting that does not exist or has a value out of range (one line)."""


def require(rule: bool, name: str, value: Any, text: str) -> None:
    """Raise unless the rule holds: the setting's name, the rule as text, the value."""
    if not rule:
        raise ConfigError(
            f"{name}: must be {text}, got {value!r}; change it in --set or the recipe"
        )


def _at_least(section: str, config: Any, **lows: float) -> None:
    for name, low in lows.items():
        value = getattr(config, name)
        text = f"at least {low}" + " and finite" * isinstance(value, float)
        require(low <= value < math.inf, f"{section}.{name}", value, text)


def _above_zero(section: str, config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        require(0 < value < math.inf, f"{section}.{name}", value, "above 0 and finite")


def _one_of(section: str, config: Any, **allowed: tuple[str, ...]) -> None:
    for name, values in allowed.items():
        value = getattr(config, name)
        require(value in values, f"{section}.{name}", value, "one of " + ", ".join(values))


@dataclass(frozen=True)
class DataConfig:
    """What is read and how it is split.

    ``catalogue``: the name under which decisions on it are kept (:func:`selfml.run.catalogue_of`);
    empty: its folder's path.
    """

    size_px: int = 224  # paper
    clean_samples: int = 500  # paper: drawn from C_train; at most so many, all where fewer
    test_fraction: float = 0.25  # paper: 75 | 25
    catalogue: str = ""  # our choice

    def __post_init__(self) -> None:
        require(32 <= self.size_px <= 512, "data.size_px", self.size_px, "within 32..512")
        _at_least("data", self, clean_samples=10)
        ok = 0 < self.test_fraction < 1
        require(ok, "data.test_fraction", self.test_fraction, "between 0 and 1")


@dataclass(frozen=True)
class BackboneConfig:
    """The convolutional network under the head.

    ``name`` is one of ``keras.applications`` or ``small``; ``weights`` is ``imagenet``,
    ``none`` or a ``.weights.h5`` file; ``output_layer`` names the layer where the network is cut,
    empty for the last. ``map_layers`` names, with commas, the layers whose maps are used together,
    each averaged over the cells of the smallest grid; empty for the output layer alone. Early
    layers know colours that late ones have forgotten. ``standardise`` gives every channel of the
    maps of a frozen backbone mean 0 and variance 1.
    """

    name: str = "VGG16"  # paper
    weights: str = "imagenet"
    output_layer: str = ""
    map_layers: str = ""  # our choice
    standardise: bool = False  # our choice
    trainable: bool = True  # paper: the extractor is trained in pre-training


@dataclass(frozen=True)
class HeadConfig:
    """Conv2D(d, kernel, relu), global average pooling, Dense(L).

    ``category``: where the data carry ``category``, each one also has log-odds of its own for
    every attribute, which are added to what the image says.
    """

    d: int = 512  # paper
    kernel: int = 3  # our choice
    dropout: float = 0.0  # our choice: the paper names none
    category: bool = False  # our choice: the paper's classifier sees the image alone

    def __post_init__(self) -> None:
        _at_least("head", self, d=1)
        require(self.kernel in (1, 3, 5), "head.kernel", self.kernel, "1, 3 or 5")
        require(0 <= self.dropout < 1, "head.dropout", self.dropout, "at least 0 and below 1")


@dataclass(frozen=True)
class AugmentConfig:
    """Random rotation, translation and horizontal flip of a share of the images."""

    fraction: float = 1 / 3  # paper
    rotation_degrees: float = 10.0  # our choice
    translation_fraction: float = 0.08  # our choice
    flip: bool = True  # paper
    cached_variants: int = 2  # our choice: augmented maps kept an image under a frozen extractor

    def __post_init__(self) -> None:
        require(0 <= self.fraction <= 1, "augment.fraction", self.fraction, "within 0..1")
        value = self.rotation_degrees
        require(0 <= value <= 180, "augment.rotation_degrees", value, "within 0..180")
        value = self.translation_fraction
        require(0 <= value <= 1, "augment.translation_fraction", value, "within 0..1")
        _at_least("augment", self, cached_variants=0)


@dataclass(frozen=True)
class TrainConfig:
    """Steps, batches and the classification loss; the same for all three methods."""

    batch_size: int = 64  # paper
    clean_per_batch: int = 6  # paper: 9 of 10 images from N, 1 of 10 from C (58 + 6)
    pretrain_steps: int = 10_000  # paper
    finetune_steps: int = 10_000  # paper; Baseline 0 goes on for as many
    baseline_0_layers: str = "all"  # paper; "last" trains what the other methods then train
    finetune_layers: str = "last"  # paper, of Baseline 1; "all" also trains a trainable backbone
    learning_rate: float = 1e-4  # paper
    finetune_learning_rate: float = 1e-4  # paper
    decay: float = 1e-5  # paper: lr / (1 + decay * step)
    gamma: float = 2.0  # paper: focal loss
    alpha: float = 0.6  # paper: focal loss
    checkpoint_s: float = 30.0  # our choice: seconds between checkpoints
    cache_gib: float = 3.0  # our choice: feature maps are cached up to this size
    mixed_precision: bool = False  # our choice: bfloat16 compute on a GPU
    devices: int = 1  # our choice: devices of this host that share a batch; 0 for all of them
    steps_per_call: int = 1  # our choice: steps between two looks at Ctrl-C and the clock

    def __post_init__(self) -> None:
        _at_least("train", self, batch_size=2, pretrain_steps=1, finetune_steps=1, steps_per_call=1)
        _at_least("train", self, decay=0, gamma=0, checkpoint_s=0, cache_gib=0, devices=0)
        _above_zero("train", self, "learning_rate", "finetune_learning_rate")
        _one_of("train", self, baseline_0_layers=("all", "last"), finetune_layers=("all", "last"))
        ok = 0 < self.clean_per_batch < self.batch_size
        require(ok, "train.clean_per_batch", self.clean_per_batch, "between 0 and batch_size")
        require(0 < self.alpha < 1, "train.alpha", self.alpha, "between 0 and 1")


@dataclass(frozen=True)
class BasisConfig:
    """The explainable reconstruction.

    ``source``: the atoms start at ``noisy`` training images (paper) or at the ``clean`` ones.
    ``labels``: ``nearest_clean`` takes the labels of the nearest clean image in feature space
    (paper, strategy 2); ``oracle`` those of the sampled image itself (strategy 1): with
    ``source = "clean"`` they are verified already, with ``"noisy"`` truth.csv plays the expert.
    ``rank``: 0 learns a linear C_X as in the paper; above 0 the coefficients come from
    distances in a learned projection of that many dimensions (method.md, our choice).
    ``category_weight``: where the data carry ``category``, the features get a block that tells the
    categories apart, with this share of the other features' deviation; 0 leaves it out.
    ``learn_keys``: with a ``rank``, each atom learns where it stands in the projection, starting
    from its image, so that a few atoms can be told apart in the way that serves the labels.
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
    category_weight: float = 0.0  # our choice
    learn_keys: bool = False  # our choice

    def __post_init__(self) -> None:
        _one_of("basis", self, source=("noisy", "clean"), labels=("nearest_clean", "oracle"))
        _one_of("basis", self, features=("head", "head+backbone"))
        _one_of("basis", self, seed_with=("kmeans", "farthest", "random"))
        _at_least("basis", self, n_atoms=2, rank=0, lambda_c=0, steps=1, non_zeros=1)
        _at_least("basis", self, category_weight=0)
        _above_zero("basis", self, "learning_rate")
        require(0 <= self.dropout < 1, "basis.dropout", self.dropout, "at least 0 and below 1")


@dataclass(frozen=True)
class FlipConfig:
    """The label flipping module.

    ``loss``: ``cross_entropy`` (our choice) or ``l1`` (paper). ``mode``: which evidence makes
    the corrected labels, ``full`` or ``strict`` (`quick` and `photos`: there the basis images shown
    and the shop's label are the whole reason). ``clean_moves_basis``: whether the verified
    labels of C shape the coefficients (paper), or only weigh the evidence, the coefficients
    learning from what is believed of N (our choice in `quick` and `photos`: label scores of C
    from coefficients fitted to C look better than they are, and get too much weight).
    ``category_bias``: where the data carry ``category``, strict evidence starts from how often the
    category has an attribute. ``distil``: weight of a loss by which the basis images and the given
    label learn to say what full evidence says of images of N. ``bands_weight``: the cross-fitted
    classifier also sees the maps averaged over each row of their grid, with this share of the
    other features' deviation.
    """

    mode: str = "full"
    loss: str = "cross_entropy"
    steps: int = 1500  # our choice: pre-training, on C and on what is believed of N
    learning_rate: float = 1e-3  # our choice
    hidden: int = 64  # our choice: of the residual network
    residual_decay: float = 1e-1  # our choice: weight decay of the residual network
    clean_moves_basis: bool = True  # paper
    smoothing: float = 0.1  # our choice: weight of the prior in a label score
    shrink: float = 0.02  # our choice: penalty on attributes' own weights and biases
    category_bias: bool = False  # our choice
    distil: float = 0.0  # our choice
    bands_weight: float = 0.0  # our choice

    def __post_init__(self) -> None:
        _one_of("flips", self, mode=("full", "strict"), loss=("cross_entropy", "l1"))
        _at_least("flips", self, steps=1, hidden=1, residual_decay=0, shrink=0, distil=0)
        _at_least("flips", self, bands_weight=0)
        _above_zero("flips", self, "learning_rate", "smoothing")


@dataclass(frozen=True)
class JointConfig:
    """Weights of L_total.

    ``targets``: which evidence says what the classifier learns of images of N, ``full`` or
    ``strict``; beside ``flips.mode``, which evidence decides the flips that people see.
    """

    lambda_class: float = 1.0  # paper
    lambda_bs: float = 1.0  # paper
    lambda_ef: float = 10.0  # paper
    targets: str = "full"  # our choice

    def __post_init__(self) -> None:
        _one_of("joint", self, targets=("full", "strict"))
        _at_least("joint", self, lambda_class=0, lambda_bs=0, lambda_ef=0)


@dataclass(frozen=True)
class MapConfig:
    """t-SNE and UMAP of the coefficients."""

    enabled: bool = True
    max_images: int = 100_000  # our choice

    def __post_init__(self) -> None:
        _at_least("maps", self, max_images=1)
