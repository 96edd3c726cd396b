"""What `search_bits` is given, checked before anything is trained, converted or searched."""

from __future__ import annotations

import math
from numbers import Real
from pathlib import Path
from typing import Any

import keras
import numpy as np

from automl_keras.errors import InvalidArgumentError, InvalidDataError, InvalidTypeError
from automl_keras.quantization.graph import check_kind


def check_model(model: Any) -> None:
    """Refuse what is no classifier of images of one size.

    Raises:
        InvalidTypeError: If it is no Keras model.
        InvalidArgumentError: If it is not functional or a built Sequential model, or has other inputs and outputs.
    """
    if not isinstance(model, keras.Model):
        raise InvalidTypeError(f"`model` must be a keras.Model. Received: model={type(model).__name__}")
    check_kind(model)
    given, returned = tuple(model.inputs[0].shape), tuple(model.outputs[0].shape)
    if len(given) != 4 or None in given[1:]:
        raise InvalidArgumentError(
            "`model` must take images of shape (height, width, channels), all of them fixed. "
            f"Received: input shape={given}"
        )
    if len(returned) != 2 or returned[1] is None or returned[1] < 2:
        raise InvalidArgumentError(
            f"`model` must return a number for each of at least 2 classes. Received: output shape={returned}"
        )


def check_epochs(epochs: Any) -> float:
    """A positive number of epochs.

    Raises:
        InvalidTypeError: If it is no number.
        InvalidArgumentError: If it is not positive and finite.
    """
    if isinstance(epochs, bool) or not isinstance(epochs, Real):
        raise InvalidTypeError(f"`epochs` must be a number. Received: epochs={epochs!r}")
    if not math.isfinite(epochs) or epochs <= 0:
        raise InvalidArgumentError(f"`epochs` must be positive and finite. Received: epochs={epochs!r}")
    return float(epochs)


def check_path(path: Any) -> None:
    """A file in a folder that exists, or `None`.

    Raises:
        InvalidTypeError: If it is no path.
        InvalidArgumentError: If it is a folder, or there is no folder for it.
    """
    if path is None:
        return
    if not isinstance(path, str | Path):
        raise InvalidTypeError(f"`path` must be a str, a Path or None. Received: path={path!r}")
    if Path(path).is_dir() or not Path(path).parent.is_dir():
        raise InvalidArgumentError(f"`path` must be a file in a folder that exists. Received: path={str(path)!r}")


def as_images(name: str, values: Any, model: keras.Model) -> np.ndarray:
    """Images as the file takes them: uint8, or float32 for all other numbers.

    Raises:
        InvalidDataError: If they do not fit the model, are no numbers or not finite.
    """
    images, shape = np.asarray(values), tuple(model.inputs[0].shape[1:])
    if images.ndim != 4 or len(images) == 0 or images.shape[1:] != shape:
        raise InvalidDataError(
            f"`{name}` must have images of shape (n, {', '.join(map(str, shape))}), n at least 1. "
            f"Received: shape={images.shape}"
        )
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "iuf":
        raise InvalidDataError(f"`{name}` must be integers or floats. Received: dtype={images.dtype}")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
        images = images.astype(np.float32, copy=False)
    if not np.isfinite(images).all():
        raise InvalidDataError(f"`{name}` must be finite. Received: NaN or infinity")
    return images


def as_examples(name: str, values: Any, model: keras.Model) -> tuple[np.ndarray, np.ndarray]:
    """Images and their classes.

    Raises:
        InvalidTypeError: If it is no pair.
        InvalidDataError: If images or classes do not fit the model.
    """
    if not isinstance(values, tuple | list) or len(values) != 2:
        raise InvalidTypeError(f"`{name}` must be (images, classes). Received: {name}={type(values).__name__}")
    images, codes = as_images(name, values[0], model), np.asarray(values[1])
    classes = int(model.outputs[0].shape[-1])
    whole = codes.ndim == 1 and len(codes) == len(images) and np.issubdtype(codes.dtype, np.integer)
    if not whole or codes.min() < 0 or codes.max() >= classes:
        raise InvalidDataError(
            f"`{name}` must have one class from 0 to {classes - 1} for each image. "
            f"Received: {len(images)} images, classes of shape {codes.shape} and type {codes.dtype}"
        )
    return images, codes.astype(np.int32)


def check_one_type(**images: np.ndarray) -> None:
    """Refuse bytes among floats: one of them would be in other units than the file takes.

    Raises:
        InvalidDataError: If the types differ.
    """
    types = {name: str(values.dtype) for name, values in images.items()}
    if len(set(types.values())) > 1:
        raise InvalidDataError(f"Images must all be uint8, or none of them. Received: {types}")
