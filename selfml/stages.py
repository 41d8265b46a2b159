"""The stages of training, in which the three methods of the paper's Table 1 are made.

Pre-training on noisy labels is shared; then each method has ``train.finetune_steps`` more steps
of the same batch size and augmentation: Baseline 0 goes on with the noisy labels (all layers as in
the paper, or the last layers like the others: ``train.baseline_0_layers``), Baseline 1 fine-tunes
the last layers on the clean images, SELF-ML trains the last layers on flipped labels, jointly
with reconstruction and flipping (paper section 3, method.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import keras
import numpy as np

from selfml.basis import choose_sample
from selfml.categories import category_names
from selfml.explain import build_explainer, evidence_inputs, label_basis
from selfml.extract import EXTRACTOR_FILE, Extractor, classifier_features, descriptor
from selfml.flips import sigmoid
from selfml.metrics import mean_average_precision
from selfml.nn.classifier import AttributeClassifier, build_classifier
from selfml.nn.fitting import Session, fit_stage
from selfml.nn.input_pipeline import Batches, Field, rows_of
from selfml.nn.model import SelfML
from selfml.results import Explained, write_results
from selfml.run import Run
from selfml.stability import measure_stability
from selfml.training_data import TrainingData

# Images of N and of C in a batch of the explainer's pre-training, which sees no pixels (ours).
EXPLAINER_BATCH = (192, 64)


class Training:
    """The stages; each leaves a checkpoint, so that a resumed run passes over what is done.

    Attributes
    ----------
    session, data, config
        Where it is written, what is learned from, and how.
    classifier : AttributeClassifier
        A new one, or one whose extractor is trained already.
    extractor : Extractor
    """

    def __init__(
        self,
        session: Session,
        data: TrainingData,
        *,
        classifier: AttributeClassifier | None = None,
    ):
        self.session, self.data, self.config = session, data, session.config
        keras.utils.set_random_seed(self.config.seed)
        self.classifier = classifier or self._new_classifier()
        self.extractor = Extractor(session, self.classifier, data)

    def _new_classifier(self) -> AttributeClassifier:
        return build_classifier(
            self.data.n_attributes,
            self.config,
            categories=self._categories(),
            load_weights=not self._started(),
        )

    def _categories(self) -> Sequence[str]:
        categories = self.data.dataset.categories
        if not self.config.head.category or categories is None:
            return ()
        return category_names(categories, self.data.splits.noisy_train)

    def _started(self) -> bool:
        return (self.session.work / "pretrain.npz").exists()

    def run(self) -> None:
        """All stages, then the results."""
        self._pretrain_and_baseline_0()
        with self.finetuned_layers():
            self._fit_baseline("baseline_1", self.data.splits.clean_train, self.data.verified)
        explained = self.explain()
        pretrained = self.classifier.get_weights()
        with self.finetuned_layers():
            self.joint(explained)
            self._write_probabilities("probabilities")
        self._save_models(explained)
        write_results(self.session, self.data, explained)
        self.classifier.set_weights(pretrained)  # those that made the features
        self.classifier.save_weights(self.session.writer.path / "model" / EXTRACTOR_FILE)
        self._write_stability(explained)

    def _write_stability(self, explained: Explained) -> None:
        writer = self.session.writer
        flipped = Run(writer.path).table("flips", ["image_index"])["image_index"].to_numpy()
        with self.session.reporter.task("slightly changed images", 1) as advance:
            rows = measure_stability(self.extractor, self.data, explained, flipped)
            writer.write_table("faithfulness", rows)
            advance(1)

    def _pretrain_and_baseline_0(self) -> None:
        """Leaves the extractor frozen and the classifier as pre-trained."""
        trainable = self.config.backbone.trainable
        all_layers = trainable and self.config.train.baseline_0_layers == "all"
        rows, given = self.data.noisy_rows, self.data.given
        if not trainable:
            self.extractor.cache_maps()
        self._fit_classifier("pretrain", rows, given)
        if all_layers:
            self._fit_baseline("baseline_0", rows, given)
        if trainable:
            self.classifier.backbone.trainable = False
            self.extractor.cache_maps()
        if not all_layers:
            self._fit_baseline("baseline_0", rows, given)

    def _fit_baseline(self, method: str, rows: np.ndarray, labels: np.ndarray) -> None:
        """Train a baseline from the pre-trained weights, and put these back."""
        pretrained = self.classifier.get_weights()
        self._fit_classifier(method, rows, labels)
        self._write_probabilities(f"probabilities_{method}")
        self.classifier.set_weights(pretrained)

    def _fit_classifier(self, stage: str, rows: np.ndarray, labels: np.ndarray) -> None:
        train = self.config.train
        first = stage == "pretrain"

        def batches(step: int) -> Batches:
            return Batches(
                [(rows, train.batch_size)],
                self.extractor.fields(),
                target=rows_of(labels, np.float32),
                steps=train.pretrain_steps if first else train.finetune_steps,
                first_step=step,
                seed=self.config.seed,
                stage=stage,
            )

        fit_stage(
            self.session,
            stage,
            self.classifier,
            batches,
            steps=train.pretrain_steps if first else train.finetune_steps,
            learning_rate=train.learning_rate if first else train.finetune_learning_rate,
            monitor=self._monitor,
        )

    def _monitor(self) -> dict[str, float]:
        """MAP on C_test so far: shown, never used for a choice."""
        rows = self.data.splits.clean_test
        return {"map": mean_average_precision(self.extractor.logits(rows), self.data.true[rows])}

    def _write_probabilities(self, name: str) -> None:
        logits = self.extractor.logits(np.arange(self.data.n_images))
        self.session.writer.write_array(name, sigmoid(logits))

    def pretrain(self) -> None:
        """The stage that all methods share; leaves the extractor frozen and its maps cached."""
        if not self.config.backbone.trainable:
            self.extractor.cache_maps()
        self._fit_classifier("pretrain", self.data.noisy_rows, self.data.given)
        if self.config.backbone.trainable:
            self.classifier.backbone.trainable = False
            self.extractor.cache_maps()

    def explain(self) -> Explained:
        """Reconstruction on N, labels for the basis, then flipping on C."""
        data, config = self.data, self.config
        features = descriptor(self.extractor, data, config.basis)
        seen = classifier_features(features, self.extractor, data, config.flips.bands_weight)
        explained = evidence_inputs(features, data, config.flips, seen)
        candidates = getattr(data.splits, f"{config.basis.source}_train")
        sample = choose_sample(features, candidates, config.basis, seed=config.seed)
        explained.explainer = build_explainer(explained, sample, config)
        self._fit_explainer("reconstruction", explained, config.basis.steps)
        explained.basis_labels = label_basis(explained, sample, data, config.basis)
        explained.label_explainer()
        self._fit_explainer("flipping", explained, config.flips.steps)
        return explained

    def _fit_explainer(self, stage: str, explained: Explained, steps: int) -> None:
        explainer = explained.explainer
        explainer.use_flips = explainer.flipper.trainable = stage == "flipping"
        rate = self.config.basis if stage == "reconstruction" else self.config.flips
        fields = explained.fields(self.data)
        splits = self.data.splits
        n_noisy, n_clean = EXPLAINER_BATCH
        groups = [(splits.noisy_train, n_noisy), (splits.clean_train, n_clean)]

        def batches(step: int) -> Batches:
            return Batches(
                groups, fields, steps=steps, first_step=step, seed=self.config.seed, stage=stage
            )

        fit_stage(
            self.session, stage, explainer, batches, steps=steps, learning_rate=rate.learning_rate
        )

    def joint(self, explained: Explained) -> None:
        """The classifier on flipped labels, with reconstruction and flipping (L_total)."""
        train, weights = self.config.train, self.config.joint
        explained.explainer.trainable = bool(weights.lambda_bs or weights.lambda_ef)
        of_clean = np.zeros(self.data.n_images, np.float32)
        of_clean[self.data.splits.clean_train] = 1.0
        fields: dict[str, Field] = {
            **explained.fields(self.data),
            **self.extractor.fields(),
            "is_clean": rows_of(of_clean),
        }
        splits, n_clean = self.data.splits, train.clean_per_batch
        groups = [(splits.noisy_train, train.batch_size - n_clean), (splits.clean_train, n_clean)]

        def batches(step: int) -> Batches:
            return Batches(
                groups,
                fields,
                steps=train.finetune_steps,
                first_step=step,
                seed=self.config.seed,
                stage="self_ml",
            )

        fit_stage(
            self.session,
            "self_ml",
            SelfML(self.classifier, explained.explainer),
            batches,
            steps=train.finetune_steps,
            learning_rate=train.finetune_learning_rate,
            monitor=lambda: self._monitor() | explained.monitor(self.data),
        )

    @contextmanager
    def finetuned_layers(self) -> Iterator[None]:
        """Within it, what ``train.finetune_layers`` says is trained; images are read as needed.

        Where that is "all", the backbone stays as trained when it is left: maps cached before then
        belong to other weights, and are put back for who restores these.
        """
        backbone, maps = self.classifier.backbone, self.extractor.maps
        if self.config.train.finetune_layers == "last" or not self.config.backbone.trainable:
            yield
            return
        backbone.trainable, self.extractor.maps = True, None
        try:
            yield
        finally:
            backbone.trainable, self.extractor.maps = False, maps

    def _save_models(self, explained: Explained) -> None:
        folder = self.session.writer.path / "model"
        self.classifier.save_weights(folder / "classifier.weights.h5")
        explained.explainer.save_weights(folder / "explainer.weights.h5")
        names = np.array(self.classifier.categories, dtype=str)
        np.savez(
            folder / "features.npz",
            **self.extractor.standardisation,
            **explained.unseen,
            cached=np.array(self.extractor.maps is not None),
            classifier_categories=names,
        )
