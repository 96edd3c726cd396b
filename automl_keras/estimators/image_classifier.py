"""`ImageClassifier`: from images and labels to a measured `.tflite` file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from sklearn.base import ClassifierMixin

from automl_keras.arguments import check_instance
from automl_keras.data import Classification, LabelCodec, MultiLabel, MultiLabelCodec, TargetCodec, ValueCodec
from automl_keras.estimators.image_estimator import ImageEstimator
from automl_keras.estimators.transfer.backbone import Backbone
from automl_keras.evaluation import Budget
from automl_keras.search_space import ImageSearchSpace, MacroSearchSpace
from automl_keras.training import Augmentation


class ImageClassifier(ClassifierMixin, ImageEstimator):
    """Finds an image classifier that fits a device, trains it and exports it as a measured `.tflite`.

    ```python
    clf = ImageClassifier(budget=Budget(max_size_kb=150), time_limit=300)
    clf.fit(x, y)
    clf.predict(x)
    clf.export_tflite("model.tflite")
    ```

    Args:
        multi_label: Whether images may have several labels, or none: `y` then has a row of 0 and 1 for each image and
            a column for each label. Each label has a probability of its own, by a sigmoid. Accuracies are those of
            `automl_keras.data.MultiLabel`: right labels among those asked for or answered.
        budget: The limits of the device; `None` for no limit.
        max_trials: How many architectures to evaluate at most.
        time_limit: Seconds that `fit` may take. If this and `max_trials` are both `None`: 600.
        tuner: How to search: "auto", or a key of `automl_keras.tuners.SYSTEMS`.
        search_space: "auto", or an `ImageSearchSpace` or `MacroSearchSpace` for images of this shape.
        backbone: A trained Keras model, or a `Backbone` that also says what it was trained to see: networks are then
            made of it and a head, and its layers are fine-tuned as far as that helps. It takes the place of
            `search_space`; `tuner` names the strategy that chooses.
        augmentation: How training images are changed, anew in each epoch. "auto": shifted, mirrored where that changes
            no class, and partly covered; `None`: not at all. A Keras layer, or a function of a batch of images
            (n, height, width, channels) as float32 and a NumPy generator, which returns the changed batch, takes the
            place of all that: in the training of supernets and of networks alike, on the pixels as you give them.
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

    _objective = "val_accuracy"
    _tasks = (Classification, MultiLabel)
    _saved_names = ("multi_label", *ImageEstimator._saved_names)

    def __init__(
        self,
        *,
        multi_label: bool = False,
        budget: Budget | None = None,
        max_trials: int | None = None,
        time_limit: float | None = None,
        tuner: str = "auto",
        search_space: Literal["auto"] | ImageSearchSpace | MacroSearchSpace = "auto",
        backbone: Backbone | keras.Model | None = None,
        augmentation: Augmentation = "auto",
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
        self.multi_label = multi_label
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
        x: npt.ArrayLike | str | Path | tf.data.Dataset,
        y: npt.ArrayLike | None = None,
        *,
        validation_data: Any = None,
        validation_split: float | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        class_weight: Mapping[Any, float] | Literal["auto"] | None = None,
        sample_weight: npt.ArrayLike | None = None,
        callbacks: Sequence[keras.callbacks.Callback] | None = None,
        image_size: int | None = None,
    ) -> Self:
        """Search, train, export and measure.

        Args:
            x: Images, uint8 or float, (n, height, width) or (n, height, width, channels) with 1, 3 or 4
                channels, in any pixel range; the exported file takes the same range. Or a folder with
                one sub-folder of PNG, JPEG or BMP files for each class: they are scaled to their median size,
                at most `image_size` pixels. Or a `tf.data.Dataset` of `(x, y)` or `(x, y, sample_weight)`. Images of
                folders and data sets are kept in a temporary file, not in memory.
            y: n labels: integers, strings, bools, or one-hot rows; `None` for a folder or a data set. With
                `multi_label`, which takes no folders, rows of 0 and 1, (n, labels).
            validation_data: `(x, y)`, `(x, y, sample_weight)`, a folder or a `tf.data.Dataset` to validate
                on instead of a part of `x`; not trained on but by a `refit`.
            validation_split: Share of `x` to validate on, not trained on but by a `refit`. `None`: 20 %, at most 2,000
                images, of which the final network learns from three quarters (but at least 200 stay
                apart); accuracies of files come from images that no network has seen.
            epochs: Epochs of each training; planned unless given.
            batch_size: Images in a step. Unless given, 128; 64 or 32 of fewer than 1,024 training images; of images
                larger than 112x112 fewer, 32 of 224x224.
            class_weight: How much each label counts in the loss; labels left out count 1. With `multi_label`, how much
                its part of the loss counts in all images, by the column of the label. "auto", for classes of very
                different sizes: all classes count the same in accuracies, which are balanced accuracies then, on files
                too; and of a few weights, between none and the inverse of the classes' sizes, short trainings choose
                those of the loss by it. Not with `refit`, `backbone` or `multi_label`.
            sample_weight: (n,), how much each image counts in the loss and in accuracies.
            callbacks: Keras callbacks. Copies of them watch the training of the final network, or each fine-tuning of a
                `Backbone`, and may end it by `model.stop_training`; other trainings go without. They are called when
                it begins and ends and at each of its epochs, with `loss`, `learning_rate`, `val_loss` and
                `val_accuracy`. Hooks of batches are not called, and the learning rate is not theirs. Their time is
                part of the time limit. They are no part of a project: a finished one is loaded without them.

            image_size: Pixels that the longer side of images in folders has at most; 96 unless given, up to 224. More
                pixels cost more time and memory, as the square of it.

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
                5 % and 5 s; or if one of the callbacks has hooks of batches.
        """
        return self._fit(
            x,
            y,
            validation_data=validation_data,
            validation_split=validation_split,
            epochs=epochs,
            batch_size=batch_size,
            class_weight=class_weight,
            sample_weight=sample_weight,
            callbacks=callbacks,
            image_size=image_size,
        )

    @property
    def classes_(self) -> np.ndarray:
        """The labels, sorted; of several labels for an image the columns of `y`."""
        codec = self._fitted().codec
        assert not isinstance(codec, ValueCodec)  # `load` refuses projects of values
        return codec.classes_

    def predict(self, x: npt.ArrayLike | str | Path | tf.data.Dataset) -> np.ndarray:
        """The label of each image, as labels came in; shape (n,), or (n, classes) for one-hot or several labels.

        With `multi_label` a label is answered if its probability is more than 0.5, so there may be several or none.

        Args:
            x: See `predict_proba`.

        Raises:
            InvalidDataError: If the images are of another shape than those of `fit`.
            NotFittedError: Before `fit`.
        """
        probabilities, codec = self.predict_proba(x), self._fitted().codec
        return codec.decode(np.argmax(probabilities, axis=1) if isinstance(codec, LabelCodec) else probabilities)

    def predict_proba(self, x: npt.ArrayLike | str | Path | tf.data.Dataset) -> np.ndarray:
        """Probabilities, float32 of shape (n, classes), columns in the order of `classes_`.

        They add up to 1 for each image, but with `multi_label`, where each label has its own.

        Args:
            x: Images as for `fit`; an image file, or a folder, of which all images are taken, sorted by path;
                or a `tf.data.Dataset` of images, with or without labels. Files are scaled to the shape of `fit`.

        Raises:
            InvalidDataError: If the images are of another shape than those of `fit`.
            NotFittedError: Before `fit`.
        """
        return self._answers(x)

    def evaluate(
        self,
        x: npt.ArrayLike | str | Path | tf.data.Dataset,
        y: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
    ) -> dict[str, float]:
        """Accuracy and mean cross entropy of the Keras model.

        With `multi_label`, `accuracy` is that of `automl_keras.data.MultiLabel`, and `score` is scikit-learn's: the
        share of images all of whose labels are right.

        Args:
            x: Images, a folder or a `tf.data.Dataset`, as for `fit`.
            y: Labels; `None` for a folder or a data set.
            sample_weight: (n,), how much each image counts.
        """
        return self._evaluated(x, y, sample_weight)[0]

    def _codec_class(self) -> type[TargetCodec]:
        return MultiLabelCodec if check_instance("multi_label", self.multi_label, bool) else LabelCodec
