"""`export_int8`: from a trained Keras model to the file a phone runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_keras.data import DatasetInfo, Images
from automl_keras.errors import AutoMLError, ExportError, InvalidArgumentError, InvalidDataError
from automl_keras.export.convert import INPUT_NAME, OUTPUT_NAME, to_float_tflite
from automl_keras.export.flatbuffer import read, serialize, strip, take_uint8_pixels
from automl_keras.export.inspection import check_rescaling
from automl_keras.export.metadata import add_metadata, append_labels
from automl_keras.export.quantize import Recipe, calibrate, int8_recipe, lift_dead_channels, quantize
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
    """Export a classifier as a static int8 `.tflite` file with labels and metadata.

    The file takes pixels in the user's type and units, `info.input_dtype` of shape
    `(1, height, width, channels)`, and returns float32 probabilities of shape `(1, num_classes)`.
    It is run once before it is written, beside the target under a temporary name that then
    replaces the target: at any time there is the old file or the new one.

    Args:
        model: Raw pixels in the user's units, float32 of shape `(batch, height, width, channels)`, to
            logits of shape `(batch, num_classes)`.
        path: Where to write. The directory has to exist.
        info: Pixel type, range and classes of the data.
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
    target = Path(path)
    _check(model, info, calibration_images)
    images = _draw(calibration_images, seed)
    try:
        data = _to_bytes(model, info, images, int8_recipe() if recipe is None else recipe)
        probabilities = TFLiteModel(data).predict(images)
    except AutoMLError:
        raise
    except Exception as error:  # whatever the converter and the quantizer may raise
        raise ExportError(f"The model could not be converted to an int8 file: {error}") from error
    if probabilities.shape[1:] != (info.num_classes,) or not np.isfinite(probabilities).all():
        raise ExportError(
            f"The file must return {info.num_classes} finite probabilities. "
            f"Received: shape={probabilities.shape}, finite={bool(np.isfinite(probabilities).all())}"
        )
    _replace(target, data)
    return target


def _to_bytes(model: keras.Model, info: DatasetInfo, images: np.ndarray, recipe: Recipe) -> bytes:
    pixel_range = UINT8_RANGE if info.input_dtype == "uint8" else info.pixel_range
    float_model = to_float_tflite(model)
    calibration = calibrate(float_model, images, recipe, pixel_range=pixel_range)
    quantized = read(quantize(lift_dead_channels(float_model, calibration), recipe, calibration))
    if info.input_dtype == "uint8":
        take_uint8_pixels(quantized)
    strip(quantized, set(_weighted_layers(model)), input_name=INPUT_NAME, output_name=OUTPUT_NAME)
    check_rescaling(quantized)
    add_metadata(quantized, info)
    return append_labels(serialize(quantized), [str(label) for label in info.classes])


def _check(model: keras.Model, info: DatasetInfo, images: Images) -> None:
    if tuple(model.input_shape[1:]) != tuple(info.image_shape) or tuple(model.output_shape[1:]) != (info.num_classes,):
        raise InvalidArgumentError(
            f"`model` must map images {tuple(info.image_shape)} to {info.num_classes} logits. "
            f"Received: input_shape={model.input_shape}, output_shape={model.output_shape}"
        )
    if len(images) == 0 or tuple(images.shape[1:]) != tuple(info.image_shape):
        raise InvalidDataError(
            f"`calibration_images` must be images of shape {tuple(info.image_shape)}, at least one. "
            f"Received: shape={images.shape}"
        )


def _draw(images: Images, seed: int) -> np.ndarray:
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
