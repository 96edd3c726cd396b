"""`export_within`: a network's file, measured and held against a budget."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import keras

from automl_keras.data import Dataset, DatasetInfo, Images, Task
from automl_keras.evaluation import Budget, Cost, Quantization
from automl_keras.evaluation.file_limits import held_against
from automl_keras.export import TFLiteReport, export_float, export_int8, measure_file
from automl_keras.training import predict


def export_untuned(
    model: keras.Model,
    path: Path,
    info: DatasetInfo,
    quantization: Quantization,
    *,
    calibration_images: Images,
    seed: int,
) -> None:
    """Write the file of a network in one type of numbers: int8, unless it is to be a float file.

    Raises:
        ExportError: If there is no working file.
    """
    if quantization == "float16" or quantization == "float32":
        export_float(model, path, info, weights=quantization, calibration_images=calibration_images, seed=seed)
    else:
        export_int8(model, path, info, calibration_images=calibration_images, seed=seed)


def export_within(
    model: keras.Model,
    path: Path,
    info: DatasetInfo,
    budget: Budget,
    predicted: Cost,
    held_out: Dataset,
    *,
    calibration_images: Images,
    seed: int,
    quantization: Quantization = "int8",
    evaluating: AbstractContextManager[None] | None = None,
) -> tuple[TFLiteReport, Cost]:
    """Write the file of a network, measure it, and refuse it if it breaks a budget.

    Args:
        model: Raw pixels to logits.
        path: Of the file.
        info: Facts about the data.
        budget: The limits.
        predicted: The cost, for what is not measured on the file.
        held_out: What it is measured on.
        calibration_images: Drawn from to calibrate the activations.
        seed: Of that draw.
        quantization: Of the file; see `export_untuned`.
        evaluating: Entered while the file is measured.

    Returns:
        What was measured, and the cost with it.

    Raises:
        ExportError: If there is no working file, or it breaks the budget.
    """
    export_untuned(model, path, info, quantization, calibration_images=calibration_images, seed=seed)
    return measure_within(model, path, budget, predicted, held_out, task=info.task, evaluating=evaluating)


def measure_within(
    model: keras.Model,
    path: Path,
    budget: Budget,
    predicted: Cost,
    held_out: Dataset,
    *,
    task: Task,
    evaluating: AbstractContextManager[None] | None = None,
) -> tuple[TFLiteReport, Cost]:
    """Measure a network's file, and refuse it if it breaks a budget.

    Arguments, result and errors are those of `export_within`; `task` is that of its `info`.
    """
    with evaluating or nullcontext():
        report = measure_file(
            path,
            held_out.images,
            held_out.codes,
            held_out.sample_weight,
            keras_predictions=predict(model, held_out.images),
            task=task,
        )
    return held_against(report, budget, predicted)
