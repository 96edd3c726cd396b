"""`ImageClassifier`: from images and labels to a measured `.tflite` file."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self

import keras
import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin

from automl_keras.data import PreparedData, check_images, prepare_arrays
from automl_keras.errors import InvalidArgumentError, InvalidDataError, NotFittedError
from automl_keras.estimators.arguments import check_choice, check_instance
from automl_keras.estimators.default_network import check_budget
from automl_keras.estimators.fitting import Fitting
from automl_keras.estimators.held_out import divide_validation
from automl_keras.estimators.project import FittedState, claim_directory
from automl_keras.estimators.settings import FitSettings, fit_settings
from automl_keras.evaluation import Budget, CostPredictor, Evaluation
from automl_keras.export import TFLiteReport
from automl_keras.reporting import make_reporter
from automl_keras.search_space import Architecture, ImageSearchSpace, image_space
from automl_keras.training import predict


class ImageClassifier(ClassifierMixin, BaseEstimator):
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
        search_space: "auto", or an `ImageSearchSpace` for images of this shape.
        quantization: How the file is quantised; "int8" is static 8-bit.
        objective: What to maximise; "val_accuracy".
        directory: Where projects are kept. `None`: a fresh temporary folder for each fit. A finished
            project of the same data and settings is loaded instead of fitted again.
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
    """

    def __init__(
        self,
        *,
        budget: Budget | None = None,
        max_trials: int | None = None,
        time_limit: float | None = None,
        tuner: str = "auto",
        search_space: Literal["auto"] | ImageSearchSpace = "auto",
        quantization: Literal["int8"] = "int8",
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
        self.objective = objective
        self.directory = directory
        self.project_name = project_name
        self.overwrite = overwrite
        self.seed = seed
        self.verbose = verbose

    def fit(
        self,
        x: npt.ArrayLike,
        y: npt.ArrayLike | None = None,
        *,
        validation_data: tuple[Any, ...] | None = None,
        validation_split: float | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
    ) -> Self:
        """Search, train, export and measure.

        Args:
            x: Images, uint8 or float, (n, height, width) or (n, height, width, channels) with 1, 3 or 4
                channels, in any pixel range. The exported file takes the same range.
            y: n labels: integers, strings, bools, or one-hot rows.
            validation_data: `(x, y)` to validate on instead of a part of `x`; never trained on.
            validation_split: Share of `x` to validate on, never trained on. `None`: 20 %, at most 2,000
                images, of which the final network learns from three quarters (but at least 200 stay
                apart); accuracies of files come from images that no network has seen.
            epochs: Epochs of each training; planned unless given.
            batch_size: Images in a step; 128 unless given.

        Returns:
            The classifier itself.

        Raises:
            InvalidDataError: If images or labels cannot be used.
            InvalidArgumentError: If an argument is out of range.
            InvalidTypeError: If an argument is of a wrong type.
            InfeasibleBudgetError: If no network keeps the budget.
            ProjectError: If the project folder belongs to another search.
            SearchError: If no network could be exported within the budget.
        """
        start = time.monotonic()
        if validation_data is not None and len(validation_data) != 2:
            raise InvalidArgumentError(
                f"`validation_data` must be a pair (x, y). Received: {len(validation_data)} parts"
            )
        settings = fit_settings(self.get_params(), start, epochs=epochs, batch_size=batch_size)
        reporter = make_reporter(self.verbose)
        data = prepare_arrays(x, y, validation_data, validation_split, seed=settings.seed)
        space = self._space(data)
        check_budget(CostPredictor(space, data.info), settings.budget)
        folder, temporary = self._folder()
        identity = {**self._identity(settings, data, space), "validation_split": validation_split}
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
            fitting = Fitting(settings, data, space, folder, reporter, may_train_on=may_train_on, held_out=held_out)
            result = fitting.run()
            finished = result.finished
            self._temporary = temporary
            self._state = FittedState(
                model=_with_probabilities(finished.model),
                codec=data.codec,
                info=data.info,
                best=finished.evaluation,
                report=finished.report,
                evaluations=result.evaluations,
                tflite_path=finished.path,
                plan=None if result.plan is None else result.plan.to_dict(),
            )
            self._state.save(folder, self._saved_parameters())
        return self

    def _space(self, data: PreparedData) -> ImageSearchSpace:
        if isinstance(self.search_space, str):
            check_choice("search_space", self.search_space, {"auto"})
            return image_space(data.info.image_shape, data.info.num_classes)
        space: ImageSearchSpace = check_instance("search_space", self.search_space, ImageSearchSpace)
        if (space.image_shape, space.num_classes) != (data.info.image_shape, data.info.num_classes):
            raise InvalidDataError(
                f"`search_space` must be for images of shape {data.info.image_shape} and {data.info.num_classes} "
                f"classes. Received: a space for {space.image_shape} and {space.num_classes} classes"
            )
        return space

    def _folder(self) -> tuple[Path, tempfile.TemporaryDirectory[str] | None]:
        if self.directory is not None:
            return Path(self.directory) / self.project_name, None
        temporary = tempfile.TemporaryDirectory(prefix="automl_keras_")
        return Path(temporary.name) / self.project_name, temporary

    def _identity(self, settings: FitSettings, data: PreparedData, space: ImageSearchSpace) -> dict[str, Any]:
        """What must be the same for a project to be this one."""
        return {
            "data": data.fingerprint,
            "space": space.to_dict(),
            "budget": settings.budget.to_dict(),
            "max_trials": settings.max_trials,
            "time_limit": settings.time_limit,
            "epochs": settings.epochs,
            "batch_size": settings.batch_size,
            "tuner": self.tuner,
            "quantization": self.quantization,
            "seed": self.seed,
        }

    def predict(self, x: npt.ArrayLike) -> np.ndarray:
        """The label of each image, as labels came in; shape (n,), or (n, classes) for one-hot labels."""
        return self._fitted().codec.decode(np.argmax(self.predict_proba(x), axis=1))

    def predict_proba(self, x: npt.ArrayLike) -> np.ndarray:
        """Probabilities, float32 of shape (n, classes), columns in the order of `classes_`.

        Raises:
            InvalidDataError: If the images are of another shape than those of `fit`.
            NotFittedError: Before `fit`.
        """
        state = self._fitted()
        images = check_images(x)
        if images.shape[1:] != state.info.image_shape:
            raise InvalidDataError(
                f"`x` must have images of shape {state.info.image_shape}. Received: images of shape {images.shape[1:]}"
            )
        return predict(state.model, images)

    def evaluate(self, x: npt.ArrayLike, y: npt.ArrayLike) -> dict[str, float]:
        """Accuracy and mean cross entropy of the Keras model."""
        codes = self._fitted().codec.encode(y)
        probabilities = self.predict_proba(x)
        if len(codes) != len(probabilities):
            raise InvalidDataError(
                f"`y` must have one label for each image. Received: {len(probabilities)} images, {len(codes)} labels"
            )
        right = probabilities[np.arange(len(codes)), codes]
        return {
            "accuracy": float(np.mean(np.argmax(probabilities, axis=1) == codes)),
            "loss": float(-np.mean(np.log(np.maximum(right, keras.config.epsilon())))),
        }

    @property
    def classes_(self) -> np.ndarray:
        """The labels, sorted."""
        return self._fitted().codec.classes_

    @property
    def best_architecture_(self) -> Architecture:
        """The network found."""
        return self._fitted().best.architecture

    @property
    def best_evaluation_(self) -> Evaluation:
        """What is known about the network found and its file."""
        return self._fitted().best

    @property
    def evaluations_(self) -> list[Evaluation]:
        """Everything that was evaluated: files in the order they were made, then networks with shared weights."""
        return list(self._fitted().evaluations)

    @property
    def report_(self) -> TFLiteReport:
        """What was measured on the exported file."""
        return self._fitted().report

    @property
    def tflite_path_(self) -> Path:
        """Where the exported file is now; `export_tflite` copies it."""
        return self._fitted().tflite_path

    @property
    def plan_(self) -> dict[str, Any] | None:
        """The plan of the fit, `None` if it was interrupted before there was one."""
        return self._fitted().plan

    def leaderboard(self) -> list[dict[str, Any]]:
        """One row for each evaluated network; `source` says where its numbers come from.

        The first row is the file that `export_tflite` gives, then other files, networks that were only
        scored with shared weights, and failed ones with their `error`.
        """
        state = self._fitted()

        def order(evaluation: Evaluation) -> tuple[bool, bool, bool, float]:
            value = evaluation.metrics.get(self.objective, 0.0)
            return evaluation != state.best, evaluation.error is not None, evaluation.source != "file", -value

        return [
            {
                "rank": rank,
                self.objective: evaluation.metrics.get(self.objective),
                "source": evaluation.source,
                **evaluation.cost.to_dict(),
                "architecture": evaluation.architecture,
                "error": evaluation.error,
            }
            for rank, evaluation in enumerate(sorted(state.evaluations, key=order), start=1)
        ]

    def export_model(self) -> keras.Model:
        """The Keras model: raw pixels to probabilities, preprocessing inside."""
        return self._fitted().model

    def export_tflite(self, path: str | Path) -> TFLiteReport:
        """Copy the measured `.tflite` file to `path`, which appears there whole or not at all."""
        state = self._fitted()
        target = Path(path)
        unfinished = target.with_name(f".unfinished_{target.name}")
        shutil.copyfile(state.tflite_path, unfinished)
        unfinished.replace(target)
        return replace(state.report, path=str(target))

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
        names = ("max_trials", "time_limit", "tuner", "quantization", "objective", "seed", "verbose")
        parameters = {name: getattr(self, name) for name in names}
        return {**parameters, "budget": None if self.budget is None else self.budget.to_dict()}

    def _fitted(self) -> FittedState:
        state: FittedState | None = getattr(self, "_state", None)
        if state is None:
            raise NotFittedError("`fit` must be called first. Received: an unfitted ImageClassifier")
        return state

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_state")


def _with_probabilities(model: keras.Model) -> keras.Model:
    outputs = keras.layers.Softmax(name="probabilities")(model.output)
    return keras.Model(model.input, outputs, name="image_classifier")
