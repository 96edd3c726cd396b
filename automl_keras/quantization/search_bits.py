"""`search_bits`: any Keras classifier as the best `.tflite` file of mixed precision within a budget."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, get_args

import keras
import numpy as np
import numpy.typing as npt

from automl_keras.arguments import check_count
from automl_keras.data import Dataset, DatasetInfo
from automl_keras.errors import InvalidArgumentError, InvalidTypeError
from automl_keras.evaluation import Budget
from automl_keras.export import TFLiteReport
from automl_keras.export.android import check_app
from automl_keras.quantization.best_file import FINE_TUNING_EPOCHS, find_file
from automl_keras.quantization.bit_space import DEFAULT_PROFILE, Bits
from automl_keras.quantization.mixed_precision import Judge, MixedPrecision
from automl_keras.quantization.profiles import RuntimeProfile
from automl_keras.quantization.search_arguments import (
    as_examples,
    as_images,
    check_epochs,
    check_model,
    check_one_type,
    check_path,
)
from automl_keras.quantization.searches import SEARCHES


def search_bits(
    model: keras.Model,
    *,
    calibration: npt.ArrayLike,
    validation: tuple[npt.ArrayLike, npt.ArrayLike],
    budget: Budget | None = None,
    search: str = "ilp",
    train_data: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
    epochs: float = FINE_TUNING_EPOCHS,
    trials: int | None = None,
    evaluator: Judge = "file",
    profile: str | RuntimeProfile = DEFAULT_PROFILE,
    bits: Bits | None = None,
    path: str | Path | None = None,
    input: Literal["native", "rgb_uint8", "rgb_float32"] = "native",
    android_project: str | Path | None = None,
    seed: int | None = None,
) -> TFLiteReport:
    """Find the bits of every layer, and write the file.

    ```python
    report = search_bits(model, calibration=x[:200], validation=(x_val, y_val), budget=Budget(max_size_kb=60))
    report.save("model.tflite")
    report.bits                                  # layer to bits, read back from the file
    ```

    Activations are int8. Without a limit of size or bit operations every layer has its widest integers: plain int8.
    What cannot be quantised stays float; the warnings of the report list it.

    Args:
        model: Functional or Sequential; images, in the user's units, to logits or to probabilities by a softmax at
            its end. It is left alone.
        calibration: Images of shape (n, height, width, channels); at most 200 are used. The file takes uint8 if they
            are uint8, as the other images have to be then; else float, as which other integers count too.
        validation: Images and integer classes of shape (n,). Policies are compared by their cross entropy on them,
            and the accuracy reported is that on them.
        budget: Limits of the file.
        search: How to search: "ilp", "evolution", "ddpg" or "random"; see `run_search`.
        train_data: Images and integer classes: the best two policies are fine-tuned on them. The most accurate of
            their files and that of the best policy as it is, is the result.
        epochs: Of the fine-tuning.
        trials: Policies to evaluate; by default as many as usual for the search.
        evaluator: What the search compares policies by: "file", their real files, or "fake_quant", predictions of the
            fake-quantized network, after which the real files of the best five decide.
        profile: Where the file shall run: "litert>=1.4", "litert>=2.1.6" or "legacy".
        bits: Widths to choose from, see `bit_space`; by default those that run as fast as int8.
        path: Where to write; `None`: into a new folder for temporary files, which is yours to delete.
        input: What the file takes, as for `ImageClassifier.export_tflite`: RGB input is for MediaPipe Tasks. The budget
            holds with what that adds to the size. The labels are the numbers of the classes.
        android_project: Folder of an app, into whose assets the file is copied as well.
        seed: Makes the result repeatable; `None` draws one.

    Returns:
        What was measured on the file.

    Raises:
        InvalidTypeError: If the model or the budget is of another type.
        InvalidArgumentError: If an argument is out of range, the profile does not run what `bits` asks for, or RGB
            input is asked for from a network of neither one channel nor three.
        InvalidDataError: If images and classes do not fit the model.
        InfeasibleBudgetError: If no policy meets the budget; it states the smallest that can be reached.
        ExportError: If the model cannot be converted, or no file found keeps the budget as measured.
    """
    check_model(model)
    if budget is not None and not isinstance(budget, Budget):
        raise InvalidTypeError(f"`budget` must be a Budget or None. Received: budget={budget!r}")
    for name, value, known in (("search", search, tuple(SEARCHES)), ("evaluator", evaluator, get_args(Judge))):
        if value not in known:
            raise InvalidArgumentError(f"`{name}` must be one of {sorted(known)}. Received: {name}={value!r}")
    epochs = check_epochs(epochs)
    trials, seed = check_count("trials", trials), check_count("seed", seed, smallest=0)
    check_path(path)
    check_app(input, android_project)
    pixels = as_images("calibration", calibration, model)
    images, codes = as_examples("validation", validation, model)
    check_one_type(calibration=pixels, validation=images)
    train = None if train_data is None else as_examples("train_data", train_data, model)
    if train is not None:
        check_one_type(calibration=pixels, train_data=train[0])
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    network = MixedPrecision(model, _info(model, pixels), pixels, profile=profile, bits=bits, seed=seed)
    examples = Dataset(images, codes)
    return find_file(
        network,
        budget or Budget(),
        search=search,
        judge=examples,
        held_out=examples,
        train=None if train is None else Dataset(*train),
        epochs=epochs,
        trials=trials,
        evaluator=evaluator,
        path=path,
        input=input,
        android_project=android_project,
    )


def _info(model: keras.Model, images: np.ndarray) -> DatasetInfo:
    """What the exporter has to know; the model does its own normalisation."""
    channels = images.shape[3]
    return DatasetInfo(
        image_shape=images.shape[1:],
        input_dtype="uint8" if images.dtype == np.uint8 else "float32",
        pixel_mean=(0.0,) * channels,
        pixel_std=(1.0,) * channels,
        pixel_range=(float(images.min()), float(images.max())),
        classes=tuple(range(int(model.outputs[0].shape[-1]))),
        num_train=len(images),
        num_validation=len(images),
    )
