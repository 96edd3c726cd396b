"""`ImageClassifier`: from images and labels to a measured `.tflite` file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn.base import BaseEstimator, ClassifierMixin

from automl_keras.data import Dataset, DatasetInfo, Images, PreparedData, prepare_data, read_labelled, read_unlabelled
from automl_keras.errors import InvalidDataError
from automl_keras.estimators.devices import ManyDevices
from automl_keras.estimators.fitting import FitResult, Fitting
from automl_keras.estimators.held_out import divide_validation
from automl_keras.estimators.interrupts import uninterrupted
from automl_keras.estimators.journal import Journal, read_journal
from automl_keras.estimators.project import FittedState, claim_directory, project_folder, with_probabilities
from automl_keras.estimators.quantizing import BitSearch
from automl_keras.estimators.samples import Samples
from automl_keras.estimators.settings import fit_settings, warn_if_late
from automl_keras.estimators.shared_weights import SharedWeights
from automl_keras.estimators.spaces import check_budgets, space_to_search
from automl_keras.evaluation import Budget
from automl_keras.reporting import TimedReporter, make_reporter, stages_text
from automl_keras.search_space import ImageSearchSpace, MacroSearchSpace
from automl_keras.training import predict


class ImageClassifier(ManyDevices, BitSearch, ClassifierMixin, BaseEstimator):
    """Finds an image classifier that fits a device, trains it and exports it as a measured `.tflite`.

    ```python
    clf = ImageClassifier(budget=Budget(max_size_kb=150), time_limit=300)
    clf.fit(x, y)
    clf.predict(x)
    clf.export_tflite("model.tflite")
    ```

    Args:
        budget: The limits of the device; `None` for no limit.
        max_trials: How many architectures to evaluate at most.
        time_limit: Seconds that `fit` may take. If this and `max_trials` are both `None`: 600.
        tuner: How to search: "auto", or a key of `automl_keras.tuners.SYSTEMS`.
        search_space: "auto", or an `ImageSearchSpace` or `MacroSearchSpace` for images of this shape.
        quantization: What the file stores and computes with. "int8": 8-bit weights and activations. "mixed": int8
            activations and weights of 4 or 8 bits, chosen layer by layer for the finished network where its int8
            file is beyond the budget; the weights are then tuned for their bits. Under `max_latency_ms` it is the same
            as "int8": 3x3 convolutions are slower with 4 bits. "joint": architectures are searched together with the
            bits of their stages, by which the network is chosen; those of its layers are then chosen as for "mixed".
            "float16": weights of 16 bits, computed in float; `None`: float32.
        refit: Whether the finished network goes on learning from all images, the validation part included, for
            a tenth of the time limit or, without one, of the epochs. Its accuracy is measured before that: no
            image is left afterwards that it has not seen. If the refitted file breaks the budget or is worse,
            the earlier one stays.
        distribute: "ray" evaluates networks on Ray, on the cores of this machine or, with the environment variable
            RAY_ADDRESS set, on that cluster; `None` does so only where RAY_ADDRESS is set. The supernet and the final
            network are trained here.
        objective: What to maximise; "val_accuracy".
        directory: Where projects are kept. `None`: a fresh temporary folder for each fit. A finished
            project of the same data and settings is loaded instead of fitted again; an unfinished one is
            gone on with, by its plan and in the time that is left.
        project_name: Name of the folder in `directory`.
        overwrite: Whether to replace an existing project.
        seed: Makes the fit repeatable where counts and not the clock limit it; `None` draws one.
        verbose: "auto" or 1 for progress, 2 for one line for each trial, 0 for silence.

    Attributes:
        classes_: The labels, sorted.
        best_architecture_: The network found.
        best_evaluation_: What is known about it.
        evaluations_: Everything that was evaluated: files, then networks with shared weights.
        report_: What was measured on the exported file.
        tflite_path_: Where that file is now.
        plan_: The plan of the fit, as JSON.
        stages_: Where the time of the fit went.
    """

    def __init__(
        self,
        *,
        budget: Budget | None = None,
        max_trials: int | None = None,
        time_limit: float | None = None,
        tuner: str = "auto",
        search_space: Literal["auto"] | ImageSearchSpace | MacroSearchSpace = "auto",
        quantization: Literal["int8", "mixed", "joint", "float16"] | None = "int8",
        refit: bool = False,
        distribute: Literal["ray"] | None = None,
        objective: str = "val_accuracy",
        directory: str | Path | None = None,
        project_name: str = "image_classifier",
        overwrite: bool = False,
        seed: int | None = None,
        verbose: Literal["auto", 0, 1, 2] = "auto",
    ) -> None:
        self.budget = budget
        self.max_trials = max_trials
        self.time_limit = time_limit
        self.tuner = tuner
        self.search_space = search_space
        self.quantization = quantization
        self.refit = refit
        self.distribute = distribute
        self.objective = objective
        self.directory = directory
        self.project_name = project_name
        self.overwrite = overwrite
        self.seed = seed
        self.verbose = verbose

    def fit(
        self,
        x: npt.ArrayLike | str | Path | tf.data.Dataset,
        y: npt.ArrayLike | None = None,
        *,
        validation_data: Any = None,
        validation_split: float | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        class_weight: Mapping[Any, float] | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> Self:
        """Search, train, export and measure.

        Args:
            x: Images, uint8 or float, (n, height, width) or (n, height, width, channels) with 1, 3 or 4
                channels, in any pixel range; the exported file takes the same range. Or a folder with
                one sub-folder of PNG, JPEG or BMP files for each class: they are scaled to their median size,
                at most 96 pixels. Or a `tf.data.Dataset` of `(x, y)` or `(x, y, sample_weight)`. Images of folders
                and data sets are kept in a temporary file, not in memory.
            y: n labels: integers, strings, bools, or one-hot rows; `None` for a folder or a data set.
            validation_data: `(x, y)`, `(x, y, sample_weight)`, a folder or a `tf.data.Dataset` to validate
                on instead of a part of `x`; not trained on but by a `refit`.
            validation_split: Share of `x` to validate on, not trained on but by a `refit`. `None`: 20 %, at most 2,000
                images, of which the final network learns from three quarters (but at least 200 stay
                apart); accuracies of files come from images that no network has seen.
            epochs: Epochs of each training; planned unless given.
            batch_size: Images in a step; 128 unless given.
            class_weight: How much each label counts in the loss; labels left out count 1.
            sample_weight: (n,), how much each image counts in the loss and in accuracies.

        Ctrl-C ends the fit early, with the best model so far.

        Returns:
            The classifier itself.

        Raises:
            InvalidDataError: If images or labels cannot be used.
            InvalidArgumentError: If an argument is out of range.
            InvalidTypeError: If an argument is of a wrong type.
            InfeasibleBudgetError: If no network keeps the budget, or none of those drawn from a macro space does.
            ProjectError: If the project folder belongs to another search.
            SearchError: If no network could be exported within the budget.
            KeyboardInterrupt: After Ctrl-C, if there was no model yet.

        Warns:
            UserWarning: If it took longer than a time limit of less than 20 s, or than a longer one by more than
                5 % and 5 s.
        """
        start, before = time.monotonic(), getattr(self, "_state", None)
        try:
            reporter = TimedReporter(make_reporter(self.verbose), "read and check the data", start=start)
            folder, temporary = project_folder(self.directory, self.project_name)
            earlier = {} if self.overwrite else read_journal(folder)
            settings = fit_settings(self.get_params(), start, epochs=epochs, batch_size=batch_size, journal=earlier)
            data = prepare_data(
                x,
                y,
                validation_data,
                validation_split,
                seed=settings.seed,
                sample_weight=sample_weight,
                class_weight=class_weight,
                check=lambda info: check_budgets(
                    self._space(info), settings.macro, info, settings.budget, settings.quantization
                ),
            )
            space = self._space(data.info)
            identity = {**settings.identity(), "validation_split": validation_split, "seed": self.seed}
            identity |= {"data": data.fingerprint, "space": (settings.macro or space).to_dict(), "tuner": self.tuner}
            if claim_directory(folder, identity, overwrite=self.overwrite):
                self._state, _ = FittedState.load(folder)
                return self
            by_default = validation_data is None and validation_split is None
            may_train_on, held_out = (
                divide_validation(data.validation, settings.seed) if by_default else (None, data.validation)
            )
            with reporter:
                limit = "no time limit" if settings.time_limit is None else f"time limit {settings.time_limit:g} s"
                reporter.start(
                    f"{data.info.num_train} images of {data.info.num_classes} classes, {limit}", settings.time_limit
                )
                journal = Journal(folder, start)
                journal.write(seed=settings.seed)
                fitting = Fitting(
                    settings, data, space, folder, reporter, journal, may_train_on=may_train_on, held_out=held_out
                )
                result = fitting.run()
                uninterrupted(
                    lambda: self._keep(result, data, held_out, folder, temporary, reporter, seed=settings.seed)
                )
        except KeyboardInterrupt:
            if getattr(self, "_state", None) is before:
                raise KeyboardInterrupt("`fit` was interrupted before it had its first model.") from None
        else:
            warn_if_late(settings)
        return self

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
            model=with_probabilities(result.finished.model),
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
        )
        self._state, self._temporary = state, temporary
        state.save(folder, self._saved_parameters())
        state.stages = reporter.stages  # saving included
        state.describe(folder, self._saved_parameters())
        reporter.message(stages_text(state.stages))

    def _space(self, info: DatasetInfo) -> ImageSearchSpace:
        return space_to_search(self.search_space, info, self.quantization)

    def predict(self, x: npt.ArrayLike | str | Path | tf.data.Dataset) -> np.ndarray:
        """The label of each image, as labels came in; shape (n,), or (n, classes) for one-hot labels.

        Args:
            x: See `predict_proba`.
        """
        return self._fitted().codec.decode(np.argmax(self.predict_proba(x), axis=1))

    def predict_proba(self, x: npt.ArrayLike | str | Path | tf.data.Dataset) -> np.ndarray:
        """Probabilities, float32 of shape (n, classes), columns in the order of `classes_`.

        Args:
            x: Images as for `fit`; an image file, or a folder, of which all images are taken, sorted by path;
                or a `tf.data.Dataset` of images, with or without labels. Files are scaled to the shape of `fit`.

        Raises:
            InvalidDataError: If the images are of another shape than those of `fit`.
            NotFittedError: Before `fit`.
        """
        state = self._fitted()
        return predict(state.model, self._same_shape(read_unlabelled(x, state.info.image_shape)))

    def evaluate(
        self,
        x: npt.ArrayLike | str | Path | tf.data.Dataset,
        y: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> dict[str, float]:
        """Accuracy and mean cross entropy of the Keras model.

        Args:
            x: Images, a folder or a `tf.data.Dataset`, as for `fit`.
            y: Labels; `None` for a folder or a data set.
            sample_weight: (n,), how much each image counts.
        """
        state = self._fitted()
        data = read_labelled(x, y, sample_weight, state.codec, state.info.image_shape)
        probabilities = predict(state.model, self._same_shape(data.images))
        right = probabilities[np.arange(len(data.codes)), data.codes]
        hits = np.argmax(probabilities, axis=1) == data.codes
        losses = -np.log(np.maximum(right, keras.config.epsilon()))
        return {
            "accuracy": float(np.average(hits, weights=data.sample_weight)),
            "loss": float(np.average(losses, weights=data.sample_weight)),
        }

    def _same_shape(self, images: Images) -> Images:
        expected = self._fitted().info.image_shape
        if images.shape[1:] != expected:
            raise InvalidDataError(
                f"`x` must have images of shape {expected}. Received: images of shape {images.shape[1:]}"
            )
        return images

    def save(self, directory: str | Path) -> None:
        """Save the fitted classifier into a folder; `load` reads it."""
        self._fitted().save(Path(directory), self._saved_parameters())

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """A classifier saved by `save`, or the project folder of a finished fit.

        Raises:
            ProjectError: If the folder holds no saved classifier.
        """
        state, parameters = FittedState.load(Path(directory))
        budget = parameters.pop("budget")
        classifier = cls(**parameters, budget=None if budget is None else Budget.from_dict(budget))
        classifier._state = state
        return classifier

    def _saved_parameters(self) -> dict[str, Any]:
        """The constructor's arguments that are data; folders and the space belong to the fit that was."""
        names = (
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
        parameters = {name: getattr(self, name) for name in names}
        return {**parameters, "budget": None if self.budget is None else self.budget.to_dict()}
