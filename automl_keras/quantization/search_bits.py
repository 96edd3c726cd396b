"""`search_bits`: any Keras classifier as the best `.tflite` file of mixed precision within a budget."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from automl_keras.data import Dataset, DatasetInfo
from automl_keras.errors import ExportError, InvalidArgumentError, InvalidDataError, InvalidTypeError
from automl_keras.evaluation import Budget, Cost, Evaluation
from automl_keras.export import TFLiteReport, measure_file
from automl_keras.export.exporter import draw_images, write_file
from automl_keras.quantization.bit_space import DEFAULT_PROFILE, Bits
from automl_keras.quantization.mixed_precision import MixedPrecision
from automl_keras.quantization.profiles import RuntimeProfile
from automl_keras.quantization.searches import SEARCHES
from automl_keras.search_space import Architecture
from automl_keras.training import BATCH_SIZE, Limit, predict

FINE_TUNED = 2  # of the policies found
FINE_TUNING_EPOCHS = 3

logger = logging.getLogger(__name__)


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
    profile: str | RuntimeProfile = DEFAULT_PROFILE,
    bits: Bits | None = None,
    path: str | Path | None = None,
    seed: int | None = None,
) -> TFLiteReport:
    """Find the bits of every layer, and write the file.

    ```python
    report = search_bits(model, calibration=x[:200], validation=(x_val, y_val), budget=Budget(max_size_kb=60))
    report.save("model.tflite")
    report.bits                                  # layer to bits, read back from the file
    ```

    Activations are int8. Without a budget the file is plain int8. What cannot be quantised stays float; the warnings
    of the report list it.

    Args:
        model: Functional or Sequential; images, in the user's units, to logits or to probabilities by a softmax at
            its end. It is left alone.
        calibration: Images of shape (n, height, width, channels), uint8 or float; at most 200 are used. The file
            takes pixels of this type.
        validation: Images and integer classes of shape (n,). Policies are compared by their cross entropy on them,
            and the accuracy reported is that on them.
        budget: Limits of the file. `None` for plain int8.
        search: How to search: "ilp", "evolution", "ddpg" or "random"; see `run_search`.
        train_data: Images and integer classes: the best two policies are fine-tuned on them.
        epochs: Of the fine-tuning.
        trials: Policies to evaluate; by default as many as usual for the search.
        profile: Where the file shall run: "litert>=1.4", "litert>=2.1.6" or "legacy".
        bits: Widths to choose from, see `bit_space`; by default those that run as fast as int8.
        path: Where to write; `None`: into a new folder for temporary files, which is yours to delete.
        seed: Makes the result repeatable; `None` draws one.

    Returns:
        What was measured on the file.

    Raises:
        InvalidTypeError: If the model or the budget is of another type.
        InvalidArgumentError: If an argument is out of range, or the profile does not run what `bits` asks for.
        InvalidDataError: If images and classes do not fit the model.
        InfeasibleBudgetError: If no policy meets the budget; it states the smallest that can be reached.
        ExportError: If the model cannot be converted, or no file found keeps the budget as measured.
    """
    if not isinstance(model, keras.Model):
        raise InvalidTypeError(f"`model` must be a keras.Model. Received: model={type(model).__name__}")
    if budget is not None and not isinstance(budget, Budget):
        raise InvalidTypeError(f"`budget` must be a Budget or None. Received: budget={budget!r}")
    if search not in SEARCHES:
        raise InvalidArgumentError(f"`search` must be one of {sorted(SEARCHES)}. Received: search={search!r}")
    if not epochs > 0:
        raise InvalidArgumentError(f"`epochs` must be positive. Received: epochs={epochs!r}")
    images, codes = _examples("validation", validation, model)
    train = None if train_data is None else _examples("train_data", train_data, model)
    seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
    info = _info(model, _images("calibration", calibration, model))
    network = MixedPrecision(model, info, np.asarray(calibration), profile=profile, bits=bits, seed=seed)
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
        path=path,
    )


def find_file(
    network: MixedPrecision,
    budget: Budget,
    *,
    search: str,
    judge: Dataset,
    held_out: Dataset,
    train: Dataset | None = None,
    epochs: float = FINE_TUNING_EPOCHS,
    trials: int | None = None,
    path: str | Path | None = None,
) -> TFLiteReport:
    """The best file of a network within a budget; other arguments, result and errors as `search_bits`.

    Args:
        network: The trained network.
        budget: The limits.
        search: A key of `SEARCHES`.
        judge: Policies are compared by their loss on these.
        held_out: Files are measured on these.
        train: The best two policies are fine-tuned on these.
        epochs: Of the fine-tuning.
        trials: Policies to evaluate.
        path: Where to write.
    """
    found = network.search(
        search, budget, judge.images, judge.codes, judge.sample_weight, trials=trials, objective="val_loss"
    )
    best: TFLiteReport | None = None
    broken: list[str] = []
    with tempfile.TemporaryDirectory(prefix="automl_keras_") as folder:
        for number, (candidate, policy) in enumerate(_candidates(network, found, train, epochs)):
            file = Path(folder) / f"{number}.tflite"
            write_file(candidate.files.export(policy), file, network.info, draw_images(judge.images, number))
            logits = predict(candidate.model, held_out.images)
            report = measure_file(
                file, held_out.images, held_out.codes, held_out.sample_weight, keras_predictions=logits
            )
            cost = Cost(size_kb=report.size_kb, latency_ms=report.latency_ms, ram_kb=report.ram_kb)
            violations = budget.violations(replace(cost, bit_ops=network.files.space.bit_ops(policy)))
            broken += violations
            if not violations and (best is None or report.accuracy > best.accuracy):
                best = report
            if best is not None and train is None:  # the others were worse in the search
                break
        if best is None:
            raise ExportError(f"No file keeps the budget. Received: {'; '.join(broken)}")
        target = Path(tempfile.mkdtemp(prefix="automl_keras_")) / "model.tflite" if path is None else Path(path)
        return _with_float_operations(best.save(target), network.files.float_operations)


def _candidates(
    network: MixedPrecision, found: list[Evaluation], train: Dataset | None, epochs: float
) -> Iterator[tuple[MixedPrecision, Architecture]]:
    """Policies, the best first, each with the network whose file is to be made; fine-tuned ones before the others."""
    policies = [evaluation.architecture for evaluation in found if evaluation.error is None]
    if train is not None:
        limit = Limit(steps=max(1, round(epochs * train.num_examples / min(BATCH_SIZE, train.num_examples))))
        for policy in policies[:FINE_TUNED]:
            tuned = network.fine_tuned(policy, train.images, train.codes, limit, sample_weight=train.sample_weight)
            yield tuned, policy
        policies = policies[:1]
    yield from ((network, policy) for policy in policies)


def _with_float_operations(report: TFLiteReport, operations: tuple[str, ...]) -> TFLiteReport:
    if not operations:
        return report
    warning = f"{len(operations)} operations stay float: {', '.join(operations)}."
    logger.warning("%s", warning)
    return replace(report, warnings=(*report.warnings, warning))


def _images(name: str, values: Any, model: keras.Model) -> np.ndarray:
    images = np.asarray(values)
    if images.ndim != 4 or len(images) == 0 or images.shape[1:] != tuple(model.input_shape[1:]):
        raise InvalidDataError(
            f"`{name}` must have images of shape (n, {', '.join(map(str, model.input_shape[1:]))}), n at least 1. "
            f"Received: shape={images.shape}"
        )
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise InvalidDataError(f"`{name}` must be uint8 or float. Received: dtype={images.dtype}")
    if not np.isfinite(images).all():
        raise InvalidDataError(f"`{name}` must be finite. Received: NaN or infinity")
    return images if images.dtype == np.uint8 else images.astype(np.float32, copy=False)


def _examples(name: str, values: Any, model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(values, tuple | list) or len(values) != 2:
        raise InvalidTypeError(f"`{name}` must be (images, classes). Received: {name}={type(values).__name__}")
    images, codes = _images(name, values[0], model), np.asarray(values[1])
    classes = int(model.output_shape[-1])
    whole = codes.ndim == 1 and len(codes) == len(images) and np.issubdtype(codes.dtype, np.integer)
    if not whole or codes.min() < 0 or codes.max() >= classes:
        raise InvalidDataError(
            f"`{name}` must have one class from 0 to {classes - 1} for each image. "
            f"Received: {len(images)} images, classes of shape {codes.shape} and type {codes.dtype}"
        )
    return images, codes.astype(np.int32)


def _info(model: keras.Model, images: np.ndarray) -> DatasetInfo:
    """What the exporter has to know; the model does its own normalisation."""
    channels = images.shape[3]
    return DatasetInfo(
        image_shape=images.shape[1:],
        input_dtype="uint8" if images.dtype == np.uint8 else "float32",
        pixel_mean=(0.0,) * channels,
        pixel_std=(1.0,) * channels,
        pixel_range=(float(images.min()), float(images.max())),
        classes=tuple(range(int(model.output_shape[-1]))),
        num_train=len(images),
        num_validation=len(images),
    )
