"""`ImageRegressor`: from images and values to a measured `.tflite` file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn.base import RegressorMixin

from automl_keras.data import Regression, TargetCodec, ValueCodec
from automl_keras.estimators.image_estimator import ImageEstimator
from automl_keras.estimators.transfer.backbone import Backbone
from automl_keras.evaluation import Budget
from automl_keras.search_space import ImageSearchSpace, MacroSearchSpace
from automl_keras.training import Augmentation


class ImageRegressor(RegressorMixin, ImageEstimator):
    """Finds a network that predicts values for images on a device, trains it and exports it as a measured `.tflite`.

    ```python
    reg = ImageRegressor(budget=Budget(max_size_kb=150), time_limit=300)
    reg.fit(x, y)                       # y: (n,) or (n, values)
    reg.predict(x)                      # in the units of y
    reg.export_tflite("model.tflite")   # so is its output
    ```

    Values are standardised in training, and their mean squared error is learnt: all count the same whatever their
    units. R^2, averaged over the values, is maximised. The file and the Keras model answer in the units of `y`.

    Args:
        budget: The limits of the device; `None` for no limit.
        max_trials: How many architectures to evaluate at most.
        time_limit: Seconds that `fit` may take. If this and `max_trials` are both `None`: 600.
        tuner: How to search: "auto", or a key of `automl_keras.tuners.SYSTEMS`.
        search_space: "auto", or an `ImageSearchSpace` or `MacroSearchSpace` for images of this shape, with as many
            outputs (`num_classes`) as there are values.
        backbone: A trained Keras model, or a `Backbone`, that networks are made of, as in `ImageClassifier`.
        augmentation: How training images are changed, as in `ImageClassifier`: mirrored where values stay the same.
        quantization: What the file stores and computes with. "int8": 8-bit weights and activations; from the last layer
            on, which has 256 different outputs, it computes in float. "float16": weights of 16 bits, computed in
            float; `None`: float32. Bits of layers are searched for classifiers alone.
        refit: Whether the finished network goes on learning from all images, as in `ImageClassifier`.
        distribute: "ray" evaluates networks on Ray, as in `ImageClassifier`.
        objective: What to maximise; "val_r2_score".
        directory: Where projects are kept. `None`: a fresh temporary folder for each fit. A finished
            project of the same data and settings is loaded instead of fitted again; an unfinished one is
            gone on with, by its plan and in the time that is left.
        project_name: Name of the folder in `directory`.
        overwrite: Whether to replace an existing project.
        seed: Makes the fit repeatable where counts and not the clock limit it; `None` draws one.
        verbose: "auto" or 1 for progress, 2 for one line for each trial, 0 for silence.

    Attributes:
        best_architecture_: The network found.
        best_evaluation_: What is known about it.
        evaluations_: Everything that was evaluated: files, then networks with shared weights.
        report_: What was measured on the exported file, `r2_score` among it.
        tflite_path_: Where that file is now.
        plan_: The plan of the fit, as JSON.
        stages_: Where the time of the fit went.
    """

    _objective = "val_r2_score"
    _tasks = (Regression,)

    def __init__(
        self,
        *,
        budget: Budget | None = None,
        max_trials: int | None = None,
        time_limit: float | None = None,
        tuner: str = "auto",
        search_space: Literal["auto"] | ImageSearchSpace | MacroSearchSpace = "auto",
        backbone: Backbone | keras.Model | None = None,
        augmentation: Augmentation = "auto",
        quantization: Literal["int8", "float16"] | None = "int8",
        refit: bool = False,
        distribute: Literal["ray"] | None = None,
        objective: str = "val_r2_score",
        directory: str | Path | None = None,
        project_name: str = "image_regressor",
        overwrite: bool = False,
        seed: int | None = None,
        verbose: Literal["auto", 0, 1, 2] = "auto",
    ) -> None:
        self.budget = budget
        self.max_trials = max_trials
        self.time_limit = time_limit
        self.tuner = tuner
        self.search_space = search_space
        self.backbone = backbone
        self.augmentation = augmentation
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
        x: npt.ArrayLike | tf.data.Dataset,
        y: npt.ArrayLike | None = None,
        *,
        validation_data: Any = None,
        validation_split: float | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        sample_weight: npt.ArrayLike | None = None,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
    ) -> Self:
        """Search, train, export and measure.

        Args:
            x: Images as for `ImageClassifier.fit`, but no folder, or a `tf.data.Dataset` of `(x, y)` or
                `(x, y, sample_weight)`, where `y` is a number or a vector.
            y: Finite numbers, (n,) or (n, values); `None` for a data set. Each value must have at least two different
                numbers.
            validation_data: `(x, y)`, `(x, y, sample_weight)` or a `tf.data.Dataset` to validate on instead of a part
                of `x`; not trained on but by a `refit`.
            validation_split: Share of `x` to validate on, drawn at random. `None`: 20 %, at most 2,000 images, of which
                the final network learns from three quarters (but at least 200 stay apart).
            epochs: Epochs of each training; planned unless given.
            batch_size: Images in a step. Unless given, 128; 64 or 32 of fewer than 1,024 training images; of images
                larger than 112x112 fewer, 32 of 224x224.
            sample_weight: (n,), how much each image counts in the loss and in R^2.
            callbacks: Keras callbacks, as in `ImageClassifier.fit`, with `val_r2_score`.

        Ctrl-C ends the fit early, with the best model so far.

        Returns:
            The regressor itself.

        Raises:
            InvalidDataError: If images or values cannot be used.
            InvalidArgumentError: If an argument is out of range.
            InvalidTypeError: If an argument is of a wrong type.
            InfeasibleBudgetError: If no network keeps the budget, or none of those drawn from a macro space does.
            ProjectError: If the project folder belongs to another search.
            SearchError: If no network could be exported within the budget.
            KeyboardInterrupt: After Ctrl-C, if there was no model yet.

        Warns:
            UserWarning: As `ImageClassifier.fit`.
        """
        return self._fit(
            x,
            y,
            validation_data=validation_data,
            validation_split=validation_split,
            epochs=epochs,
            batch_size=batch_size,
            class_weight=None,
            sample_weight=sample_weight,
            callbacks=callbacks,
        )

    def predict(self, x: npt.ArrayLike | str | Path | tf.data.Dataset) -> np.ndarray:
        """Values in the units of `y`, float32, of shape (n,) or (n, values) as `y` was.

        Args:
            x: Images as for `fit`; an image file, or a folder, of which all images are taken, sorted by path;
                or a `tf.data.Dataset` of images, with or without values. Files are scaled to the shape of `fit`.

        Raises:
            InvalidDataError: If the images are of another shape than those of `fit`.
            NotFittedError: Before `fit`.
        """
        return self._codec().decode(self._answers(x))

    def evaluate(
        self,
        x: npt.ArrayLike | tf.data.Dataset,
        y: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> dict[str, float]:
        """How good the Keras model is.

        Args:
            x: Images or a `tf.data.Dataset`, as for `fit`.
            y: Values; `None` for a data set.
            sample_weight: (n,), how much each image counts.

        Returns:
            `r2_score`; `mean_absolute_error` and `mean_squared_error` in the units of `y`, averaged over the values;
            and `loss`, the mean squared error of the standardised values.
        """
        metrics, data, answers = self._evaluated(x, y, sample_weight)
        errors = answers - self._codec().task.values(data.codes)
        named = {"mean_absolute_error": np.abs(errors), "mean_squared_error": np.square(errors)}
        means = {name: float(np.average(each.mean(axis=1), weights=data.sample_weight)) for name, each in named.items()}
        return {"r2_score": metrics["r2_score"], **means, "loss": metrics["loss"]}

    def _codec(self) -> ValueCodec:
        codec = self._fitted().codec
        assert isinstance(codec, ValueCodec)  # `load` refuses projects of labels
        return codec

    def _codec_class(self) -> type[TargetCodec]:
        return ValueCodec
