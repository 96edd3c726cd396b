"""What users give as data, arrays, a folder or a `tf.data.Dataset`, read and checked part by part."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from automl_keras.data.folder import USUAL_SIDE, all_images, find_images, read_images, usual_shape
from automl_keras.data.images import check_images
from automl_keras.data.stored import Images
from automl_keras.data.streams import is_stream, read_stream, read_stream_images
from automl_keras.errors import InvalidDataError, InvalidTypeError


@dataclass(frozen=True, eq=False)
class Source:
    """Images with labels and weights of one length, not yet encoded.

    Attributes:
        images: `(n, height, width, channels)`, as `check_images` gives them.
        labels: `n` labels, as the user gave them.
        sample_weight: `(n,)` float32, or `None`.
        is_uint8: Whether the user's pixels are bytes, so that the exported file is to take bytes.
    """

    images: Images
    labels: Any
    sample_weight: np.ndarray | None
    is_uint8: bool


def read_source(
    x: Any,
    y: Any,
    sample_weight: Any,
    names: tuple[str, str, str],
    shape: tuple[int, int, int] | None = None,
    largest: int = USUAL_SIDE,
) -> Source:
    """Read images, labels and weights; those of a folder or a `tf.data.Dataset` go into a file.

    Args:
        x: Images; a folder with one sub-folder for each class; or a `tf.data.Dataset` of `(x, y)` or
            `(x, y, sample_weight)`.
        y: Labels; `None` for a folder or a data set, which hold them.
        sample_weight: `(n,)` weights or `None`; `None` for a folder or a data set.
        names: What the caller calls the three, for error messages.
        shape: Shape to which the images of a folder are scaled; their usual one unless given.
        largest: Longer side of the usual shape, at most.

    Raises:
        InvalidTypeError: If an argument has a type that cannot be images or weights.
        InvalidDataError: If images or weights cannot be used, or there is a label or a weight too much.
    """
    if isinstance(x, str | os.PathLike):
        _check_absent(y, sample_weight, names, "a folder")
        files = find_images(x, names[0])
        shape = shape or usual_shape(files.paths, largest)
        return Source(read_images(files.paths, shape), files.labels, None, is_uint8=True)
    if is_stream(x):
        _check_absent(y, sample_weight, names, "a tf.data.Dataset")
        stream = read_stream(x, names[0])
        weight = (
            None if stream.sample_weight is None else check_weights(stream.sample_weight, len(stream.images), names[2])
        )
        return Source(stream.images, stream.labels, weight, is_uint8=x.element_spec[0].dtype == np.uint8)
    if y is None:
        raise InvalidDataError(
            f"`{names[1]}` must hold a label for each image of `{names[0]}`. Received: {names[1]}=None"
        )
    images = check_images(x, names[0])
    weight = None if sample_weight is None else check_weights(sample_weight, len(images), names[2])
    return Source(images, y, weight, is_uint8=np.asarray(x).dtype == np.uint8)


def read_unlabelled(x: Any, image_shape: tuple[int, int, int]) -> Images:
    """Images alone: arrays, an image file, all images below a folder, or a `tf.data.Dataset`, with labels or without.

    Args:
        x: The images.
        image_shape: Shape to which images of files are scaled.

    Raises:
        InvalidTypeError: If `x` has a type that cannot be images.
        InvalidDataError: If the images cannot be used.
    """
    if isinstance(x, str | os.PathLike):
        return read_images(all_images(x), image_shape)
    if is_stream(x):
        return read_stream_images(x)
    return check_images(x)


def check_weights(sample_weight: Any, count: int, argument: str) -> np.ndarray:
    """Weights as float32 of shape `(count,)`.

    Raises:
        InvalidTypeError: If they are no numbers.
        InvalidDataError: If there is another number of them, or they are negative, not finite or all zero.
    """
    try:
        weight = np.asarray(sample_weight, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(
            f"`{argument}` must be an array of numbers. Received: {argument} of type {type(sample_weight).__name__}"
        ) from error
    if weight.shape != (count,):
        raise InvalidDataError(
            f"`{argument}` must have the shape ({count},), one weight for each image. "
            f"Received: {argument}.shape={weight.shape}"
        )
    if not (np.isfinite(weight).all() and weight.min() >= 0 and weight.max() > 0):
        raise InvalidDataError(
            f"`{argument}` must be finite and not negative, and not all zero. "
            f"Received: {argument} with smallest={weight.min()} and largest={weight.max()}"
        )
    return weight


def _check_absent(y: Any, sample_weight: Any, names: tuple[str, str, str], kind: str) -> None:
    for value, name in ((y, names[1]), (sample_weight, names[2])):
        if value is not None:
            raise InvalidDataError(
                f"`{name}` must be None where `{names[0]}` is {kind}, which holds labels and weights itself. "
                f"Received: {name} of type {type(value).__name__}"
            )
