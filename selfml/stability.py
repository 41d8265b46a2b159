"""How an explanation and its flips change when the image changes a little.

Needs the model, so it is measured at the end of training, on a seeded sample of noisy images with
flips. An image is mirrored, rotated and shifted as in training (:mod:`selfml.nn.augment`), by a
draw that training has not seen; then everything that is made of its pixels is made again:
features, coefficients, cross-fitted score and residual. No label of a test image takes part.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from keras import ops

from selfml.calibration import fit_platt
from selfml.config import BasisConfig
from selfml.crossfit import leave_one_out_scores
from selfml.explain import MAX_LOGIT
from selfml.extract import Extractor, Part, block_weight, predict, scaled
from selfml.faithfulness import COLUMNS, EVIDENCE, stability_rows
from selfml.flips import Evidence, corrected_labels
from selfml.nn.augment import augmentation
from selfml.results import Explained
from selfml.training_data import TrainingData

SAMPLE = 500  # images (our choice: three digits of a share, seconds on two cores)
OTHER_DRAW = 101  # added to the seed: not the draws of the cached variants


def sample_of(flipped: np.ndarray, noisy: np.ndarray, seed: int) -> np.ndarray:
    """At most ``SAMPLE`` noisy images with flips, ascending.

    Parameters
    ----------
    flipped : (F,) int
        image_index of flips; may repeat.
    noisy : (M,) int
        Images that may be drawn.
    """
    candidates = np.intersect1d(flipped, noisy)
    if len(candidates) <= SAMPLE:
        return candidates
    rng = np.random.default_rng([seed, 13])
    return np.sort(rng.choice(candidates, SAMPLE, replace=False))


def changed_inputs(extractor: Extractor, rows: np.ndarray) -> np.ndarray:
    """What the extractor reads of the changed images ``rows``: maps where they are cached."""
    config, classifier = extractor.session.config, extractor.classifier
    change = augmentation(config.augment, config.seed + OTHER_DRAW, everything=True)
    turned = Part(change, lambda x: change(ops.cast(x, "float32"), training=True))
    pixels = predict(turned, extractor.data.pixels, rows)
    if extractor.maps is None:
        return pixels
    backbone, scale = classifier.backbone, classifier.scale
    plain = Part(backbone, lambda x: backbone(scale(x), training=False))
    maps = predict(plain, pixels, np.arange(len(rows)))
    return np.clip(maps, -65504, 65504).astype(np.float16)  # as cached


def measure_stability(
    extractor: Extractor, data: TrainingData, explained: Explained, flipped: np.ndarray
) -> pd.DataFrame:
    """The rows of ``faithfulness.parquet`` that need the model.

    Parameters
    ----------
    extractor : Extractor
        With the weights that made ``explained.features``: as pre-trained on noisy labels.
    flipped : (F,) int
        image_index of the run's flips.
    """
    noisy = np.concatenate([data.splits.noisy_train, data.splits.noisy_test])
    rows = sample_of(flipped, noisy, extractor.session.config.seed)
    if not len(rows):
        return pd.DataFrame(columns=list(COLUMNS))
    inputs = changed_inputs(extractor, rows)
    features, scores = _described(extractor, data, explained, rows, inputs)
    few = replace(
        data,
        dataset=data.dataset.take(rows),
        **{name: getattr(data, name)[rows] for name in ("given", "verified", "true", "decided")},
    )
    changed = replace(explained, features=features, classifier=scores)
    before = explained.coefficients(rows)
    after = changed.coefficients(np.arange(len(rows)))
    old = _labels(explained.evidence(data, before, rows)[0], few.given)
    new = _labels(changed.evidence(few, after, np.arange(len(rows)))[0], few.given)
    return stability_rows(
        before, after, few.given, {kind: (old[kind], new[kind]) for kind in EVIDENCE}
    )


def _labels(terms: Evidence, given: np.ndarray) -> dict[str, np.ndarray]:
    scores = {"full": terms.score, "strict": terms.strict_score}
    return {kind: corrected_labels(given, scores[kind]) for kind in EVIDENCE}


def _described(
    extractor: Extractor,
    data: TrainingData,
    explained: Explained,
    rows: np.ndarray,
    inputs: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, d) and cross-fitted logits (n, L) of the changed images, float32."""
    config = extractor.session.config
    block = _head_and_pool(extractor, inputs, config.basis)
    filed = explained.features[rows, block.shape[1] :]  # the category stays
    features = np.concatenate([block, filed], axis=1)
    clean = data.splits.clean_train
    seen = np.concatenate([explained.features[clean], features])
    weight = config.flips.bands_weight
    if weight:
        width, places = features.shape[1], np.arange(len(inputs))
        bands = [
            _bands(extractor, extractor.inputs, clean, width, weight),
            _bands(extractor, inputs, places, width, weight),
        ]
        seen = np.concatenate([seen, np.concatenate(bands)], axis=1)
    own = np.arange(len(clean))
    fit = leave_one_out_scores(seen, data.verified[clean], own)
    slope, intercept = fit_platt(fit.scores[own], data.verified[clean])
    scores = np.clip(slope * fit.scores[len(own) :] + intercept, -MAX_LOGIT, MAX_LOGIT)
    return features, scores.astype(np.float32)


def _head_and_pool(extractor: Extractor, inputs: np.ndarray, basis: BasisConfig) -> np.ndarray:
    """What `selfml.extract.descriptor` says of other ``inputs``, without categories."""
    head, pooled = extractor.features(np.arange(len(inputs)), inputs)
    blocks = [head] if basis.features == "head" else [head, pooled]
    known = extractor.standardisation
    ends = np.cumsum([block.shape[1] for block in blocks])
    parts = [
        scaled(block, known["mean"][end - block.shape[1] : end],
                known["scale"][end - block.shape[1] : end], block_weight(blocks, block))
        for block, end in zip(blocks, ends, strict=True)
    ]  # fmt: skip
    return np.concatenate(parts, axis=1)


def _bands(
    extractor: Extractor, inputs: np.ndarray, rows: np.ndarray, n_features: int, weight: float
) -> np.ndarray:
    """What `selfml.extract.classifier_features` adds to features, of ``inputs[rows]``."""
    bands, known = extractor.bands(rows, inputs), extractor.standardisation
    scale = weight * np.sqrt(n_features / bands.shape[1])
    return scaled(bands, known["bands_mean"], known["bands_scale"], scale)
