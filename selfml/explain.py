"""What stands before the explainer's training: its inputs, its layers, the labels of its basis."""

from __future__ import annotations

import keras
import numpy as np

from selfml.basis import BasisLabels, label_by_nearest_clean, label_by_oracle
from selfml.calibration import fit_platt
from selfml.categories import category_names
from selfml.config import Config
from selfml.config_sections import BasisConfig, FlipConfig
from selfml.crossfit import leave_one_out_scores
from selfml.data.dataset import DatasetError
from selfml.flips import EvidenceModel, given_term, sigmoid
from selfml.nn.flipper import LabelFlipper
from selfml.nn.model import Explainer
from selfml.nn.reconstruction import SparseReconstruction
from selfml.rates import annotation_rates
from selfml.results import Explained
from selfml.training_data import TrainingData

MAX_LOGIT = 8.0


def evidence_inputs(
    features: np.ndarray, data: TrainingData, flips: FlipConfig, seen: np.ndarray | None = None
) -> Explained:
    """Rates, cross-fitted scores and priors from the clean training images.

    Parameters
    ----------
    features : (N, d) float32
        What is reconstructed.
    seen : (N, d') float32, optional
        What the cross-fitted classifier sees; ``features`` where None.
    """
    clean = data.splits.clean_train
    verified = data.verified[clean]
    categories = data.dataset.categories
    rates = annotation_rates(
        data.given[clean], verified, None if categories is None else categories[clean]
    )
    if flips.category_bias and categories is not None:
        names = category_names(categories, data.splits.noisy_train)
        rates = rates.with_categories([str(name) for name in names])
    fit = leave_one_out_scores(features if seen is None else seen, verified, clean)
    slope, intercept = fit_platt(fit.scores[clean], verified)
    positives, known = (verified == 1).sum(0), (verified >= 0).sum(0)
    zeros = np.zeros(data.n_attributes)
    model = EvidenceModel(
        prior=(positives + 0.5) / (known + 1.0),
        smoothing=flips.smoothing,
        bias=zeros,
        basis_weight=zeros,
        strict_bias=zeros,
        strict_basis_weight=zeros,
        llr=rates.llr,
        categories=rates.categories,
    )
    z = calibrated(fit.scores, slope, intercept)
    term = given_term(model, data.given, model.category_index(categories, data.n_images))
    soft = sigmoid(z + term).astype(np.float32)
    soft = np.where(data.decided >= 0, data.decided, soft).astype(np.float32)
    soft[clean] = -1.0
    unseen = {
        "unseen_weight": fit.weight,
        "unseen_bias": fit.bias,
        "unseen_slope": slope,
        "unseen_intercept": intercept,
    }
    return Explained(features, z, term.astype(np.float32), soft, model, unseen=unseen)


def calibrated(scores: np.ndarray, slope: np.ndarray, intercept: np.ndarray) -> np.ndarray:
    """Platt-scaled logits z (n, L) float32 of cross-fitted scores, within ``MAX_LOGIT``."""
    return np.clip(slope * scores + intercept, -MAX_LOGIT, MAX_LOGIT).astype(np.float32)


def build_explainer(explained: Explained, sample: np.ndarray, config: Config) -> Explainer:
    """The untrained explainer, its atoms at the images ``sample`` (K,) of the features."""
    features, model = explained.features, explained.model
    explainer = empty_explainer(len(sample), features.shape[1], model, config)
    explainer.reconstruction.start_at(
        features[sample], non_zeros=config.basis.non_zeros, seed=config.seed
    )
    return explainer


def empty_explainer(
    n_atoms: int, n_features: int, model: EvidenceModel, config: Config
) -> Explainer:
    """An explainer of K atoms in d dimensions whose weights are still to be set or loaded."""
    basis, flips = config.basis, config.flips
    reconstruction = SparseReconstruction(
        n_atoms,
        n_features,
        rank=basis.rank,
        dropout=basis.dropout,
        learn_basis=basis.source == "noisy",
        learn_keys=basis.learn_keys,
    )
    flipper = LabelFlipper(
        len(model.prior),
        n_features,
        n_categories=len(model.categories) * flips.category_bias,
        hidden=flips.hidden,
        smoothing=flips.smoothing,
        residual_decay=flips.residual_decay,
        shrink=flips.shrink,
    )
    return Explainer(reconstruction, flipper, config)


def label_basis(
    explained: Explained, sample: np.ndarray, data: TrainingData, config: BasisConfig
) -> BasisLabels:
    """Y_B by the strategy of the configuration (paper section 2).

    Raises
    ------
    DatasetError
        When an expert is to be played by ``truth.csv`` and there is none.
    """
    basis = np.asarray(keras.ops.convert_to_numpy(explained.explainer.reconstruction.basis))
    if config.labels == "nearest_clean":
        return label_by_nearest_clean(
            basis, explained.features, data.splits.clean_train, data.verified
        )
    labels = data.verified
    if config.source == "noisy":
        labels = data.dataset.labels_truth
        if labels is None:
            raise DatasetError(
                "basis.labels: 'oracle' with basis.source 'noisy' needs truth.csv to play the "
                "expert; set basis.source=clean or basis.labels=nearest_clean"
            )
    return label_by_oracle(basis, explained.features, sample, labels)
