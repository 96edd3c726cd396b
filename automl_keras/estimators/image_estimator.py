"""`ImageEstimator`: what estimators of images share, from the data to a measured `.tflite` file."""

from __future__ import annotations

import tempfile
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, cast

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn.base import BaseEstimator

from automl_keras.data import (
    CLASSIFICATION,
    Dataset,
    DatasetInfo,
    Images,
    LabelCodec,
    PreparedData,
    TargetCodec,
    Task,
    prepare_data,
    read_labelled,
    read_unlabelled,
)
from automl_keras.errors import InvalidArgumentError, InvalidDataError, ProjectError
from automl_keras.estimators.balancing import balance_of, balanced, with_balance
from automl_keras.estimators.devices import ManyDevices
from automl_keras.estimators.fit_result import FitResult
from automl_keras.estimators.fitting import Fitting
from automl_keras.estimators.held_out import divide_validation
from automl_keras.estimators.interrupts import uninterrupted
from automl_keras.estimators.journal import Journal, read_journal
from automl_keras.estimators.project import FittedState, claim_directory, project_folder, with_answers
from automl_keras.estimators.quantizing import BITS_NEED_CLASSES, BitSearch
from automl_keras.estimators.samples import Samples
from automl_keras.estimators.settings import FitSettings, fit_settings, usual_batch_size, warn_if_late
from automl_keras.estimators.shared_weights import SharedWeights
from automl_keras.estimators.spaces import check_budgets, space_to_search
from automl_keras.estimators.transfer.backbone import Backbone
from automl_keras.estimators.transfer.costs import BackboneNetworks
from automl_keras.estimators.transfer.fitting import TransferFitting
from automl_keras.evaluation import Budget
from automl_keras.reporting import TimedReporter, make_reporter, stages_text
from automl_keras.search_space import ImageSearchSpace, MacroSearchSpace
from automl_keras.training import predict, read_curves, try_augmentation


class ImageEstimator(ManyDevices, BitSearch, BaseEstimator):
    """Searches, trains, exports and measures; what the targets are is said by the estimators made of it."""

    _objective: ClassVar[str]  # what is maximised
    _tasks: ClassVar[tuple[type[Task], ...]]  # of the projects that `load` takes
    # The constructor's arguments that are data; folders and the space belong to the fit that was.
    _saved_names: ClassVar[tuple[str, ...]] = (
        "max_trials",
        "time_limit",
        "tuner",
        "quantization",
        "refit",
        "distribute",
        "objective",
        "seed",
        "verbose",
    )
    budget: Budget | None
    quantization: Literal["int8", "mixed", "joint", "float16"] | None
    search_space: Literal["auto"] | ImageSearchSpace | MacroSearchSpace
    directory: str | Path | None
    project_name: str
    overwrite: bool
    tuner: str
    seed: int | None
    verbose: Literal["auto", 0, 1, 2]

    def _fit(
        self,
        x: npt.ArrayLike | str | Path | tf.data.Dataset,
        y: npt.ArrayLike | None,
        *,
        validation_data: Any,
        validation_split: float | None,
        epochs: int | None,
        batch_size: int | None,
        class_weight: Mapping[Any, float] | Literal["auto"] | None,
        sample_weight: npt.ArrayLike | None,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        image_size: int | None = None,
    ) -> Self:
        """`fit` of the estimators, whose docstrings say what the arguments are."""
        start, before = time.monotonic(), getattr(self, "_state", None)
        try:
            reporter = TimedReporter(make_reporter(self.verbose), "read and check the data", start=start)
            folder, temporary = project_folder(self.directory, self.project_name)
            earlier = {} if self.overwrite else read_journal(folder)
            balance_classes = isinstance(class_weight, str) and class_weight == "auto"
            weights = None if balance_classes else cast(Mapping[Any, float] | None, class_weight)
            settings = fit_settings(
                self.get_params(),
                start,
                epochs=epochs,
                batch_size=batch_size,
                callbacks=callbacks,
                journal=earlier,
                objective=self._objective,
                balance_classes=balance_classes,
            )
            codec_class = self._codec_class()
            if codec_class is not LabelCodec and settings.quantization in ("mixed", "joint"):
                raise InvalidArgumentError(f"{BITS_NEED_CLASSES} Received: quantization={self.quantization!r}")
            data = prepare_data(
                x,
                y,
                validation_data,
                validation_split,
                seed=settings.seed,
                sample_weight=sample_weight,
                class_weight=weights,
                codec_class=codec_class,
                image_size=image_size,
                check=partial(self._check, settings),
            )
            if batch_size is None:
                settings = replace(settings, batch_size=usual_batch_size(data.info))
            try_augmentation(settings.augmentation, data.train.images)
            networks = None if settings.backbone is None else self._networks(settings.backbone, settings, data)
            space = self._space(data.info)
            identity = {**settings.identity(), "validation_split": validation_split, "seed": self.seed}
            identity |= {"data": data.fingerprint, "space": (settings.macro or space).to_dict(), "tuner": self.tuner}
            if claim_directory(folder, identity, overwrite=self.overwrite):
                self._state, _ = FittedState.load(folder)
                return self
            by_default = validation_data is None and validation_split is None
            may_train_on, held_out = (
                divide_validation(data.validation, settings.seed, data.info.task)
                if by_default
                else (None, data.validation)
            )
            if balance_classes:  # what accuracies are measured on; the weights of the loss are chosen by them
                data, held_out = replace(data, validation=balanced(data.validation)), balanced(held_out)
            with reporter:
                limit = "no time limit" if settings.time_limit is None else f"time limit {settings.time_limit:g} s"
                reporter.start(f"{data.info.num_train} images {data.info.described}, {limit}", settings.time_limit)
                journal = Journal(folder, start)
                journal.write(seed=settings.seed)
                if networks is not None:
                    result = TransferFitting(
                        settings, data, networks, folder, reporter, journal, held_out=held_out
                    ).run()
                else:
                    result = Fitting(
                        settings, data, space, folder, reporter, journal, may_train_on=may_train_on, held_out=held_out
                    ).run()
                if balance_classes and result.plan is not None:  # as in its training
                    data = with_balance(data, balance_of(result.plan.probes))
                uninterrupted(
                    lambda: self._keep(result, data, held_out, folder, temporary, reporter, seed=settings.seed)
                )
        except KeyboardInterrupt:
            if getattr(self, "_state", None) is before:
                raise KeyboardInterrupt("`fit` was interrupted before it had its first model.") from None
        else:
            warn_if_late(settings)
        return self

    def _check(self, settings: FitSettings, info: DatasetInfo) -> None:
        """Refuse what cannot be done with the data, before they are split."""
        if settings.balance_classes and info.task != CLASSIFICATION:
            raise InvalidArgumentError(
                f"`class_weight` can be 'auto' where each image has one class. Received: images {info.described}"
            )
        if settings.backbone is None:
            check_budgets(self._space(info), settings.macro, info, settings.budget, settings.quantization)

    @staticmethod
    def _networks(backbone: Backbone, settings: FitSettings, data: PreparedData) -> BackboneNetworks:
        """The networks on the user's backbone, the smallest of which keeps the budget."""
        networks = BackboneNetworks(
            backbone, data.info, data.train.images, quantization=settings.quantization, seed=settings.seed
        )
        networks.check_budget(settings.budget)
        return networks

    def _keep(
        self,
        result: FitResult,
        data: PreparedData,
        held_out: Dataset,
        folder: Path,
        temporary: tempfile.TemporaryDirectory[str] | None,
        reporter: TimedReporter,
        *,
        seed: int,
    ) -> None:
        """Be fitted, and save it as a finished project."""
        reporter.stage("save the project")
        state = FittedState(
            model=with_answers(result.finished.model, data.info.task),
            codec=data.codec,
            info=data.info,
            best=result.finished.evaluation,
            report=result.finished.report,
            evaluations=result.evaluations,
            tflite_path=result.finished.path,
            plan=None if result.plan is None else result.plan.to_dict(),
            stages=reporter.stages,
            shared=SharedWeights.find(folder, data.info),
            samples=Samples.keep(folder, data.weighted(data.train), held_out, seed=seed),
            curves=read_curves(folder),
        )
        self._state, self._temporary = state, temporary
        state.save(folder, self._saved_parameters())
        state.stages = reporter.stages  # saving included
        state.describe(folder, self._saved_parameters())
        reporter.message(stages_text(state.stages))

    @abstractmethod
    def _codec_class(self) -> type[TargetCodec]:
        """What `y` is."""

    def _answers(self, x: npt.ArrayLike | str | Path | tf.data.Dataset) -> np.ndarray:
        """What the Keras model answers to images as `predict` takes them."""
        state = self._fitted()
        return predict(state.model, self._same_shape(read_unlabelled(x, state.info.image_shape)))

    def _evaluated(
        self, x: npt.ArrayLike | str | Path | tf.data.Dataset, y: npt.ArrayLike | None, weight: npt.ArrayLike | None
    ) -> tuple[dict[str, float], Dataset, np.ndarray]:
        """The metrics of the task and the mean of its loss, the images with their targets, and the answers to them."""
        state = self._fitted()
        task, data = state.info.task, read_labelled(x, y, weight, state.codec, state.info.image_shape)
        answers = predict(state.model, self._same_shape(data.images))
        losses = task.answer_losses(answers, data.codes)
        metrics = task.metrics(task.outputs_of(answers), data.codes, data.sample_weight)
        return {**metrics, "loss": float(np.average(losses, weights=data.sample_weight))}, data, answers

    def _space(self, info: DatasetInfo) -> ImageSearchSpace:
        return space_to_search(self.search_space, info, self.quantization)

    def _same_shape(self, images: Images) -> Images:
        expected = self._fitted().info.image_shape
        if images.shape[1:] != expected:
            raise InvalidDataError(
                f"`x` must have images of shape {expected}. Received: images of shape {images.shape[1:]}"
            )
        return images

    def save(self, directory: str | Path) -> None:
        """Save the fitted estimator into a folder; `load` reads it.

        Raises:
            NotFittedError: Before `fit`.
        """
        self._fitted().save(Path(directory), self._saved_parameters())

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """An estimator saved by `save`, or the project folder of a finished fit.

        Raises:
            ProjectError: If the folder holds no saved estimator of this kind.
        """
        state, parameters = FittedState.load(Path(directory))
        if not isinstance(state.info.task, cls._tasks):
            raise ProjectError(
                f"The folder must hold an `{cls.__name__}`. Received: {directory}, with a network for images "
                f"{state.info.described}"
            )
        budget = parameters.pop("budget")
        estimator = cls(**parameters, budget=None if budget is None else Budget.from_dict(budget))
        estimator._state = state
        return estimator

    def _saved_parameters(self) -> dict[str, Any]:
        """Those of `_saved_names` and the budget, as JSON."""
        parameters = {name: getattr(self, name) for name in self._saved_names}
        return {**parameters, "budget": None if self.budget is None else self.budget.to_dict()}
