"""One seed of the benchmark: images, maps and the pre-trained classifier that all methods share."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from keras import ops

from selfml.benchmark.problem import Fitted, Loss, Outcome, Problem
from selfml.config import Config, with_settings
from selfml.data.splits import make_splits
from selfml.extract import Extractor, descriptor
from selfml.flips import sigmoid
from selfml.nn.fitting import Session, fit_stage
from selfml.nn.input_pipeline import Batches, rows_of
from selfml.progress import Reporter
from selfml.run import RunWriter
from selfml.stages import Training
from selfml.training_data import TrainingData, labels_for_training, prepare


class Seed:
    """Reads a dataset and pre-trains once; then gives the Problem of any budget.

    Parameters
    ----------
    root : path
        The dataset.
    config : Config
        ``data.clean_samples`` is the largest budget.
    folder : path
        Where caches and checkpoints are kept.
    maps_from : path, optional
        Folder of another seed, whose maps are used: with a backbone that is frozen from the
        start they are the same but for the draw of the augmented versions.
    """

    def __init__(
        self,
        root: str | Path,
        config: Config,
        folder: Path,
        *,
        reporter: Reporter,
        stop: threading.Event,
        maps_from: Path | None = None,
    ):
        self.folder, self.config = folder, config
        self.session = Session(config, RunWriter(folder), reporter, stop)
        self.data = prepare(self.session, root)
        self._share_maps(maps_from)
        self.training = Training(self.session, self.data)
        self.training.pretrain()
        self.classifier = self.training.classifier
        self.pretrained = self.classifier.get_weights()
        self.start = [(v, ops.convert_to_numpy(v)) for v in self.classifier.variables]
        self.features = descriptor(self.training.extractor, self.data, config.basis)
        alone = replace(config.basis, category_weight=0.0)
        self.seen = self.features
        filed = config.basis.category_weight and self.data.dataset.categories is not None
        if filed and not config.head.category:
            self.seen = descriptor(self.training.extractor, self.data, alone)

    def _share_maps(self, other: Path | None) -> None:
        mine = self.session.work / "maps.npy"
        if other is None or self.config.backbone.trainable or mine.exists():
            return
        theirs = other / "work" / "maps.npy"
        if theirs.exists():
            os.link(theirs, mine)

    def data_of(self, budget: int | None, exclude: np.ndarray | None = None) -> TrainingData:
        """The data with ``budget`` clean images to learn from (None: all).

        Images in ``exclude`` are not learned from at all, given labels included: what is chosen on
        them is chosen as on test images.
        """
        splits = make_splits(
            self.data.dataset,
            clean_samples=budget,
            test_fraction=self.config.data.test_fraction,
            seed=self.config.seed,
        )
        if exclude is not None:
            splits = replace(splits, noisy_train=np.setdiff1d(splits.noisy_train, exclude))
        verified, true = labels_for_training(self.data.dataset, splits)
        return replace(self.data, splits=splits, verified=verified, true=true)

    def restore(self) -> None:
        """Put every variable of the classifier back to what pre-training left."""
        for variable, value in self.start:
            variable.assign(value)
        self.classifier.settings = self.config
        self.classifier.loss_function = None

    @contextmanager
    def problem(self, data: TrainingData, name: str) -> Iterator[Problem]:
        """The Problem as a method of this name sees it; its checkpoints go when it is done."""
        folder = self.folder / "methods" / name
        session = replace(self.session, writer=RunWriter(folder))
        self.restore()
        keras.utils.set_random_seed(self.config.seed)
        splits, train = data.splits, self.config.train
        yield Problem(
            features=self.features,
            seen=self.seen,
            given=data.given,
            verified=data.verified,
            clean_rows=splits.clean_train,
            noisy_rows=splits.noisy_train,
            categories=data.dataset.categories,
            seed=self.config.seed,
            batch_size=train.batch_size,
            clean_per_batch=train.clean_per_batch,
            steps=train.finetune_steps,
            classifier=SharedClassifier(self, session),
            self_ml=lambda settings, **how: self._self_ml(session, data, settings, **how),
        )
        shutil.rmtree(folder)

    def _self_ml(
        self,
        session: Session,
        data: TrainingData,
        settings: Sequence[str],
        explain_only: bool = False,
    ) -> Outcome:
        config = with_settings(self.config, list(settings))
        self.restore()
        self.classifier.settings = config
        folder = session.writer.path / ("-".join(settings).replace("/", "_")[:80] or "default")
        session = replace(session, config=config, writer=RunWriter(folder))
        training = Training(session, data, classifier=self.classifier)
        training.extractor.maps = self.training.extractor.maps
        explained = training.explain()
        probabilities = None
        if not explain_only:
            training.joint(explained)
            probabilities = sigmoid(training.extractor.logits(np.arange(data.n_images)))
        rows = np.arange(data.n_images)
        coefficients = explained.coefficients(rows)
        terms, _ = explained.evidence(data, coefficients, rows)
        learned = {
            "nonzeros_per_image": coefficients.nnz / max(len(rows), 1),
            "atoms_used": float((coefficients.max(axis=0).toarray() > 0.05).sum()),
        }
        return Outcome(probabilities, terms.score, terms.strict_score, learned)


class SharedClassifier:
    """Trains the shared classifier from the pre-trained weights (see ``problem.Classifier``)."""

    def __init__(self, seed: Seed, session: Session):
        self.seed, self.session = seed, session

    def fit(
        self,
        labels: np.ndarray,
        groups: Sequence[tuple[np.ndarray, int]],
        *,
        stage: str,
        steps: int | None = None,
        loss: Loss | None = None,
        start: Sequence[np.ndarray] | None = None,
    ) -> Fitted:
        """As ``problem.Classifier``."""
        model, config = self.seed.classifier, self.session.config
        steps = steps or config.train.finetune_steps
        self.seed.restore()
        if start is not None:
            model.set_weights(list(start))
        if loss is not None:
            model.loss_function = lambda y, z, step: loss(y, z, ops.cast(step, "float32") / steps)
        extractor: Extractor = self.seed.training.extractor

        def batches(first: int) -> Batches:
            return Batches(
                groups,
                extractor.fields(),
                target=rows_of(np.asarray(labels), np.float32),
                steps=steps,
                first_step=first,
                seed=config.seed,
                stage=stage,
            )

        fit_stage(
            self.session,
            stage,
            model,
            batches,
            steps=steps,
            learning_rate=config.train.finetune_learning_rate,
        )
        model.loss_function = None
        return Fitted(extractor.logits(np.arange(len(labels))), model.get_weights())
