"""Maps, features and logits of all images: cached where the extractor is frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
from keras import ops

from selfml.categories import category_block, category_places, category_shares
from selfml.config import BasisConfig
from selfml.nn.augment import augmentation
from selfml.nn.classifier import AttributeClassifier
from selfml.nn.devices import run_batch
from selfml.nn.fitting import Session
from selfml.nn.input_pipeline import Field, augmented_maps, rows_of
from selfml.training_data import TrainingData

PREDICT_BATCH = 128
LARGEST_DEVIATION = 6.0
ADAPT_IMAGES = 1000
LARGEST_HALF = 65504  # the largest number of float16, as which maps are cached
EXTRACTOR_FILE = "extractor.weights.h5"  # the classifier as pre-trained, which made the features


class Part(keras.Model):
    """One function of a model, to be run with :func:`selfml.nn.devices.run_batch`.

    ``of`` is the layer or model whose weights the function reads. It must be tracked: JAX compiles
    the weights of what it does not know of into the function, and never reads them again. Inputs
    are rounded as ``of`` rounds its own: those of the explainer are not, under any policy.
    """

    def __init__(self, of: keras.layers.Layer, function: Callable):
        super().__init__(dtype=of.dtype_policy)
        self.of = of
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


def predict(
    part: keras.Model, array: np.ndarray | Mapping[str, np.ndarray], rows: np.ndarray
) -> np.ndarray:
    """Run ``part`` on ``array[rows]``, or on those rows of several arrays, batch by batch.

    The last batch is padded, so that shapes stay fixed.
    """
    parts = [run_batch(part, batch)[: len(chunk)] for chunk, batch in chunks(array, rows)]
    return np.concatenate(parts)


def chunks(
    array: np.ndarray | Mapping[str, np.ndarray], rows: np.ndarray
) -> Iterator[tuple[np.ndarray, Any]]:
    """Every ``PREDICT_BATCH`` of the rows, and what ``array`` has of them, padded to that many.

    The next batch is read while the present one is worked on.
    """

    def read(chunk: np.ndarray):
        padded = np.concatenate([chunk, np.repeat(chunk[-1:], PREDICT_BATCH - len(chunk))])
        if isinstance(array, Mapping):
            return {name: np.asarray(values[padded]) for name, values in array.items()}
        return np.asarray(array[padded])

    parts = [rows[at : at + PREDICT_BATCH] for at in range(0, len(rows), PREDICT_BATCH)]
    with ThreadPoolExecutor(1) as reader:
        ahead = reader.submit(read, parts[0])
        for chunk, following in zip(parts, [*parts[1:], None], strict=True):
            batch = ahead.result()
            if following is not None:
                ahead = reader.submit(read, following)
            yield chunk, batch


class Extractor:
    """Gives the classifier's inputs, pixels or cached maps, and what it says of them."""

    def __init__(self, session: Session, classifier: AttributeClassifier, data: TrainingData):
        self.session, self.classifier, self.data = session, classifier, data
        self.maps: np.ndarray | None = None
        categories, names = data.dataset.categories, classifier.categories
        self.category = category_places(categories, names, data.n_images)
        self.standardisation: dict[str, np.ndarray] = {}
        self._logits = Part(classifier, lambda x: classifier(x, training=False))
        self._features = Part(classifier, self._head_and_pool)
        self._bands = Part(classifier, self._means_of_rows)

    def _head_and_pool(self, x):
        maps = self.classifier.maps(x) if x.shape[-1] == 3 else ops.cast(x, "float32")
        head = ops.cast(self.classifier.features(maps), "float32")
        return ops.concatenate([head, ops.mean(ops.cast(maps, "float32"), axis=(1, 2))], axis=-1)

    def _means_of_rows(self, x):
        maps = self.classifier.maps(x) if x.shape[-1] == 3 else x
        means = ops.mean(ops.cast(maps, "float32"), axis=2)
        return ops.reshape(means, (-1, means.shape[1] * means.shape[2]))

    @property
    def inputs(self) -> np.ndarray:
        """(N, ...) what prediction reads: plain maps when cached, else pixels."""
        return self.data.pixels if self.maps is None else self.maps[:, 0]

    def fields(self) -> dict[str, Field]:
        """What a training batch of the classifier reads.

        Augmentation is in the graph, or in the cached variants.
        """
        if self.maps is None:
            images = rows_of(self.data.pixels)
        else:
            images = augmented_maps(self.maps, self.session.config.augment.fraction)
        return {"inputs": images, "place": rows_of(self.category)}

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """(len(rows), L) logits of the classifier as it is now."""
        return predict(self._logits, {"inputs": self.inputs, "place": self.category}, rows)

    def features(
        self, rows: np.ndarray, inputs: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Head features (n, d) and pooled maps (n, channels), of other ``inputs`` if given."""
        both = predict(self._features, self.inputs if inputs is None else inputs, rows)
        d = self.session.config.head.d
        return both[:, :d], both[:, d:]

    def bands(self, rows: np.ndarray, inputs: np.ndarray | None = None) -> np.ndarray:
        """Maps averaged over each row of their grid, (n, h * channels)."""
        return predict(self._bands, self.inputs if inputs is None else inputs, rows)

    def cache_maps(self) -> None:
        """Keep the frozen extractor's maps, plain and augmented, when they fit ``cache_gib``.

        A stage on cached maps sees the same images as one on pixels, except that augmentation
        draws from ``augment.cached_variants`` fixed versions of an image.
        """
        config, data = self.session.config, self.data
        scale, backbone = self.classifier.scale, self.classifier.backbone
        plain = Part(backbone, lambda x: backbone(scale(x), training=False))
        self._adapt(plain)
        shape = plain.predict_on_batch(np.asarray(data.pixels[:1])).shape[1:]
        versions = 1 + config.augment.cached_variants * (config.augment.fraction > 0)
        size = (data.n_images, versions, *shape)
        if 2.0 * np.prod(size, dtype=float) > config.train.cache_gib * 2**30:
            return
        path = self.session.work / "maps.npy"
        if path.exists():
            self.maps = np.load(path, mmap_mode="r")
            return
        temporary = path.with_name(".maps.tmp.npy")
        maps = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.float16, shape=size)
        self._fill(maps, plain)
        maps.flush()
        temporary.rename(path)
        self.maps = np.load(path, mmap_mode="r")

    def _adapt(self, plain: keras.Model) -> None:
        """Standardise the maps of a backbone that is frozen from the start."""
        config = self.session.config.backbone
        if not config.standardise or config.trainable:
            return
        rows = self.data.noisy_rows
        rows = rows[:: max(1, len(rows) // ADAPT_IMAGES)]
        self.classifier.norm.adapt(predict(plain, self.data.pixels, rows))

    def _fill(self, maps: np.ndarray, plain: keras.Model) -> None:
        augment = augmentation(
            self.session.config.augment, self.session.config.seed, everything=True
        )
        turned = Part(augment, lambda x: augment(ops.cast(x, "float32"), training=True))
        everything = np.arange(len(maps))
        train = np.sort(np.concatenate([self.data.noisy_rows]))
        total = len(maps) + (maps.shape[1] - 1) * len(train)
        done = 0
        with self.session.reporter.task("feature maps", total) as advance:
            for version in range(maps.shape[1]):
                rows = train if version else everything
                for chunk, x in chunks(self.data.pixels, rows):
                    self.session.check()
                    x = run_batch(turned, x) if version else x
                    found = run_batch(plain, x)[: len(chunk)]
                    maps[chunk, version] = np.clip(found, -LARGEST_HALF, LARGEST_HALF)
                    done += len(chunk)
                    advance(done)


def descriptor(extractor: Extractor, data: TrainingData, basis: BasisConfig) -> np.ndarray:
    """The features x that are reconstructed, (N, d) float32, standardised on N_train.

    ``basis.features``: the pre-trained head's features (paper), or those and the pooled maps
    (method.md), with equal variance in both. ``basis.category_weight`` above 0 appends the shop's
    categories: what an image is filed under is evidence as well.

    Notes
    -----
    They come from the extractor as pre-trained on noisy labels, before any fine-tuning on C: the
    clean images' features must not know their verified labels.
    """
    head, pooled = extractor.features(np.arange(data.n_images))
    blocks = [head] if basis.features == "head" else [head, pooled]
    total = sum(block.shape[1] for block in blocks)
    parts, means, scales = [], [], []
    for block in blocks:
        weight = block_weight(blocks, block)
        part, mean, scale = _standardised(block, data.splits.noisy_train, weight)
        parts.append(part)
        means.append(mean)
        scales.append(scale)
    extractor.standardisation = {
        "mean": np.concatenate(means),
        "scale": np.concatenate(scales),
        "kind": np.array(basis.features),
    }
    categories = data.dataset.categories
    if basis.category_weight and categories is not None:
        names, block = category_block(categories, data.splits.noisy_train)
        weight = basis.category_weight * np.sqrt(total / max(len(names), 1))
        parts.append((weight * block).astype(np.float32))
        extractor.standardisation |= {
            "categories": names,
            "category_weight": np.array(weight),
            "category_share": category_shares(categories, names, data.splits.noisy_train),
        }
    return np.concatenate(parts, axis=1)


def classifier_features(
    features: np.ndarray, extractor: Extractor, data: TrainingData, weight: float
) -> np.ndarray:
    """What the cross-fitted classifier sees: the descriptor, and where on the image things are.

    Parameters
    ----------
    features : (N, d) float32
        Of :func:`descriptor`.
    weight : float
        Deviation of all added features together, of that of the descriptor's; 0 adds none.

    Returns
    -------
    (N, d + h * channels) float32
        Maps averaged over each row of their grid, standardised on N_train: a neckline is at the
        top, a hem at the bottom, and pooling over the whole image forgets it (our choice). Columns
        of the grid are not told apart, so that a mirrored image stays the same.
    """
    if not weight:
        return features
    bands = extractor.bands(np.arange(data.n_images))
    scale = weight * np.sqrt(features.shape[1] / bands.shape[1])
    block, mean, factor = _standardised(bands, data.splits.noisy_train, scale)
    extractor.standardisation |= {"bands_mean": mean, "bands_scale": factor}
    return np.concatenate([features, block], axis=1)


def block_weight(blocks: list[np.ndarray], block: np.ndarray) -> float:
    """Deviation of a feature, so that all blocks have the same variance together."""
    total = sum(b.shape[1] for b in blocks)
    return np.sqrt(total / (len(blocks) * block.shape[1]))


def scaled(block: np.ndarray, mean: np.ndarray, scale: np.ndarray, weight: float) -> np.ndarray:
    """A block (n, m) less ``mean``, times ``scale`` (m,), without outliers, float32."""
    limit = LARGEST_DEVIATION * weight
    return np.clip((block - mean) * scale, -limit, limit).astype(np.float32)


def _standardised(
    block: np.ndarray, rows: np.ndarray, weight: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A block (N, n) with mean 0 and deviation ``weight`` on ``rows``; its mean and factor (n,)."""
    sample = block[rows].astype(np.float64)
    mean, deviation = sample.mean(0), sample.std(0)
    alive = deviation > 1e-3 * deviation.max()
    scale = np.where(alive, weight / np.where(alive, deviation, 1.0), 0.0)
    return scaled(block, mean, scale, weight), mean, scale
