"""From a trained Keras model to the file a phone runs, in int8 or in float."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from automl_keras.data import Classification, DatasetInfo, Images
from automl_keras.errors import AutoMLError, ExportError, InvalidArgumentError, InvalidDataError
from automl_keras.export.answers import append_answers
from automl_keras.export.convert import INPUT_NAME, to_float_tflite
from automl_keras.export.flatbuffer import read, serialize, strip, take_uint8_pixels
from automl_keras.export.inspection import check_rescaling
from automl_keras.export.metadata import add_metadata, with_labels
from automl_keras.export.quantize import (
    Recipe,
    calibrate,
    float16_recipe,
    int8_recipe,
    lift_dead_channels,
    quantize,
    represent_outputs,
)
from automl_keras.export.runtime import TFLiteModel

if TYPE_CHECKING:
    import keras

MAX_CALIBRATION_IMAGES = 200
UINT8_RANGE = (0.0, 255.0)


def export_int8(
    model: keras.Model,
    path: str | Path,
    info: DatasetInfo,
    *,
    calibration_images: Images,
    seed: int,
    recipe: Recipe | None = None,
) -> Path:
    """Export a network as a static int8 `.tflite` file with labels and metadata.

    The file takes pixels in the user's type and units, `info.input_dtype` of shape
    `(1, height, width, channels)`, and returns float32 probabilities of shape `(1, num_classes)`; a file of values
    returns them in the user's units.
    It is run once before it replaces an earlier file: at any time there is the old file or the new one.

    Args:
        model: Raw pixels in the user's units, float32 of shape `(batch, height, width, channels)`, to
            the outputs of the task, such as logits of shape `(batch, num_classes)`.
        path: Where to write. The directory has to exist.
        info: Pixel type, range, task and classes of the data.
        calibration_images: Shape `(n, height, width, channels)`; at most 200, drawn by `seed`, are used.
        seed: Seeds the draw.
        recipe: Rules for ai-edge-quantizer that name tensors after layers; `int8_recipe()` by default.

    Returns:
        The path.

    Raises:
        InvalidArgumentError: If the model does not fit `info`.
        InvalidDataError: If the calibration images do not.
        ExportError: If the model cannot be converted or quantized, a layer is dead, or the file does not
            run or gives results that are not finite. Nothing is written then.
    """
    check_fit(model, info, calibration_images)
    images = draw_images(calibration_images, seed)
    with converting():
        data = _to_bytes(model, info, images, int8_recipe() if recipe is None else recipe)
    return write_file(data, path, info, images)


def export_float(
    model: keras.Model,
    path: str | Path,
    info: DatasetInfo,
    *,
    weights: Literal["float16", "float32"] = "float16",
    calibration_images: Images,
    seed: int,
) -> Path:
    """Export a network whose file computes in float32, with weights stored as float16 or float32.

    Input, output, labels and metadata are those of `export_int8`.

    Args:
        model: As for `export_int8`.
        path: Where to write. The directory has to exist.
        info: Pixel type, range and classes of the data.
        weights: How they are stored.
        calibration_images: Shape `(n, height, width, channels)`; the file is tried on at most 200, drawn by `seed`.
        seed: Seeds the draw.

    Returns:
        The path.

    Raises:
        InvalidArgumentError: If the model does not fit `info`.
        InvalidDataError: If the images do not.
        ExportError: If the model cannot be converted, or the file does not run or gives results that are not
            finite. Nothing is written then.
    """
    check_fit(model, info, calibration_images)
    with converting():
        data = _converted(model, info)
        if weights == "float16":
            data = quantize(data, float16_recipe(), {})
        data = finish_file(read(data), info, set(_weighted_layers(model)))
    return write_file(data, path, info, draw_images(calibration_images, seed))


@contextmanager
def converting() -> Iterator[None]:
    """Whatever the converter and the quantizer may raise becomes an `ExportError`."""
    try:
        yield
    except AutoMLError:
        raise
    except Exception as error:
        raise ExportError(f"The model could not be converted: {error}") from error


def write_file(data: bytes, path: str | Path, info: DatasetInfo, images: np.ndarray) -> Path:
    """Run a file once and write it, beside the target under a temporary name that then replaces the target.

    Args:
        data: The file.
        path: Where to write. The directory has to exist.
        info: Number of outputs of the task.
        images: To run it on.

    Returns:
        The path.

    Raises:
        ExportError: If the file does not run or gives results that are not finite. Nothing is written then.
    """
    answers = TFLiteModel(data).predict(images)
    if answers.shape[1:] != (info.num_outputs,) or not np.isfinite(answers).all():
        raise ExportError(
            f"The file must return {info.num_outputs} finite {info.task.answers}. "
            f"Received: shape={answers.shape}, finite={bool(np.isfinite(answers).all())}"
        )
    _replace(Path(path), data)
    return Path(path)


def _converted(model: keras.Model, info: DatasetInfo) -> bytes:
    """The float32 file; answers other than those of a softmax are put behind it by `finish_file`."""
    return to_float_tflite(model, softmax=isinstance(info.task, Classification))


def _to_bytes(model: keras.Model, info: DatasetInfo, images: np.ndarray, recipe: Recipe) -> bytes:
    float_model = _converted(model, info)
    calibration = calibrate(float_model, images, recipe, pixel_range=pixels_to_represent(info))
    if not isinstance(info.task, Classification):
        represent_outputs(float_model, calibration, TFLiteModel(float_model).predict(images))
    quantized = read(quantize(lift_dead_channels(float_model, calibration), recipe, calibration))
    return finish_file(quantized, info, set(_weighted_layers(model)))


def finish_file(quantized: Any, info: DatasetInfo, layers: Collection[str]) -> bytes:
    """The last steps to a file: answers, pixels in the user's type, short names, metadata and labels.

    Args:
        quantized: `ModelT` from `quantize`; changed in place.
        info: Pixel type, task and classes of the data.
        layers: Names of the layers that own weights, after which these are named.

    Raises:
        ExportError: If a layer is dead.
    """
    append_answers(quantized, info.task)
    if info.input_dtype == "uint8":
        take_uint8_pixels(quantized)
    strip(quantized, layers, input_name=INPUT_NAME, output_name=info.task.answers)
    check_rescaling(quantized)
    add_metadata(quantized, info)
    return with_labels(serialize(quantized), info)


def pixels_to_represent(info: DatasetInfo) -> tuple[float, float]:
    """`(smallest, largest)` pixel value that a file has to represent."""
    return UINT8_RANGE if info.input_dtype == "uint8" else info.pixel_range


def check_fit(model: keras.Model, info: DatasetInfo, images: Images) -> None:
    """Refuse a model or calibration images of other shapes than those of the data.

    Raises:
        InvalidArgumentError: If the model does not fit `info`.
        InvalidDataError: If the images do not, or there are none.
    """
    if tuple(model.input_shape[1:]) != tuple(info.image_shape) or tuple(model.output_shape[1:]) != (info.num_outputs,):
        raise InvalidArgumentError(
            f"`model` must map images {tuple(info.image_shape)} to {info.num_outputs} outputs. "
            f"Received: input_shape={model.input_shape}, output_shape={model.output_shape}"
        )
    if len(images) == 0 or tuple(images.shape[1:]) != tuple(info.image_shape):
        raise InvalidDataError(
            f"`calibration_images` must be images of shape {tuple(info.image_shape)}, at least one. "
            f"Received: shape={images.shape}"
        )


def draw_images(images: Images, seed: int) -> np.ndarray:
    """At most 200 images for the calibration, drawn by `seed`, as float32."""
    order = np.random.default_rng((seed, MAX_CALIBRATION_IMAGES)).permutation(len(images))
    return images[order[:MAX_CALIBRATION_IMAGES]].astype(np.float32)


def _weighted_layers(layer: Any) -> Iterator[str]:
    """Names of all layers, nested ones too, that own a kernel."""
    for inner in getattr(layer, "layers", []):
        yield from _weighted_layers(inner)
        if not hasattr(inner, "layers") and any(len(weight.shape) > 1 for weight in inner.weights):
            yield inner.name


def _replace(target: Path, data: bytes) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
