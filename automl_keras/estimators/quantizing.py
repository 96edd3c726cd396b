"""Other files of the network found: bits chosen layer by layer for another budget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import keras
import numpy.typing as npt
import tensorflow as tf

from automl_keras.arguments import check_choice, check_count, check_instance
from automl_keras.data import Classification
from automl_keras.errors import InvalidArgumentError, ProjectError
from automl_keras.estimators.mixed_files import widths
from automl_keras.estimators.results import FittedResults
from automl_keras.estimators.samples import without
from automl_keras.evaluation import Budget
from automl_keras.export import TFLiteReport
from automl_keras.export.android import check_app
from automl_keras.quantization import SEARCHES, MixedPrecision
from automl_keras.quantization.best_file import FINE_TUNING_EPOCHS, find_file
from automl_keras.quantization.bit_space import DEFAULT_PROFILE, Bits
from automl_keras.quantization.search_arguments import check_epochs

BITS_NEED_CLASSES = (
    "The bits of layers are searched for classifiers with one label for each image; other networks have files in "
    "'int8', 'float16' or float32 (None)."
)


class BitSearch(FittedResults):
    """Chooses the bits of the layers of the network that `fit` has found."""

    def quantize(
        self,
        budget: Budget,
        search: str = "ilp",
        *,
        x: npt.ArrayLike | str | Path | tf.data.Dataset | None = None,
        y: npt.ArrayLike | None = None,
        sample_weight: npt.ArrayLike | None = None,
        epochs: float = FINE_TUNING_EPOCHS,
        trials: int | None = None,
        profile: str = DEFAULT_PROFILE,
        bits: Bits | None = None,
        path: str | Path | None = None,
        input: Literal["native", "rgb_uint8", "rgb_float32"] = "native",
        android_project: str | Path | None = None,
    ) -> TFLiteReport:
        """A file of mixed precision for another budget; the classifier and its own file stay what they are.

        ```python
        report = clf.quantize(Budget(max_size_kb=60))
        report.save("model.tflite")
        report.bits                                  # layer to bits, read back from the file
        ```

        Policies are compared by their loss on training images that the fit has kept, and the accuracy is measured on
        images that no network has learnt from: they are left out of `x`. After a refit there are none, and the report
        says `refitted`. If the fit searched bits itself, the weights are already on the grid of its file.

        Args:
            budget: The limits of the file.
            search: "ilp", "evolution", "ddpg" or "random"; see `automl_keras.quantization.run_search`.
            x: Training images as for `fit`: the weights are fine-tuned on them for the best policies.
            y: Their labels.
            sample_weight: (n,), how much each of them counts.
            epochs: Of the fine-tuning.
            trials: Policies to evaluate; by default as many as usual for the search.
            profile: Where the file shall run; see `automl_keras.quantization.get_profile`.
            bits: Widths to choose from, see `automl_keras.quantization.bit_space`. `None`: 4 or 8 bits, 8 in
                depthwise convolutions. Convolutions but 1x1 ones take about twice the time with 4 bits.
            path: Where to write; `None`: into a new folder for temporary files, which is yours to delete.
            input: What the file takes; see `export_tflite`. The limit of its size holds with the layer in front; a
                warning says so if another limit does not.
            android_project: Folder of an app, into whose assets the file is copied as well; see `export_tflite`.

        Raises:
            InvalidTypeError: If `budget` is no `Budget`, or `android_project` no path.
            InvalidArgumentError: If images have several labels or values; if the search, the profile or the input is
                unknown, the profile does not run the `bits`, or `export_tflite` would refuse the input or the Android
                project.
            InvalidDataError: If `x` and `y` are not as in `fit`.
            InfeasibleBudgetError: If no policy meets the budget; it states the smallest file.
            ExportError: If no file found keeps the budget as measured.
            ProjectError: If the classifier was saved without images.
            NotFittedError: Before `fit`.
        """
        state = self._fitted()
        check_instance("budget", budget, Budget)
        check_choice("search", search, set(SEARCHES))
        check_count("trials", trials)
        check_epochs(epochs)
        if not isinstance(state.info.task, Classification):
            raise InvalidArgumentError(f"{BITS_NEED_CLASSES} Received: {type(self).__name__} of {state.info.described}")
        check_app(input, android_project)
        if state.samples is None:
            raise ProjectError("The project must have kept some images. Received: a classifier without samples")
        network = MixedPrecision(
            keras.Model(state.model.inputs, state.model.layers[-1].input),  # without the softmax
            state.info,
            state.samples.train.images,
            profile=profile,
            bits=widths(profile) if bits is None else bits,
            seed=cast(Any, self).seed or 0,
        )
        held_out = state.samples.held_out
        train = None if x is None else without(self._training_data(x, y, sample_weight), held_out.images[:])
        report = find_file(
            network,
            budget,
            search=search,
            judge=state.samples.train,
            held_out=held_out,
            train=train,
            epochs=epochs,
            trials=trials,
            path=path,
            input=input,
            android_project=android_project,
        )
        return replace(report, refitted=state.report.refitted)
