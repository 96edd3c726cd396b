"""`prepare_data`: from what the user gives to `fit` to checked, encoded and split data."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

from automl_keras.arguments import check_count
from automl_keras.data.codecs import TargetCodec
from automl_keras.data.dataset import Dataset, PreparedData
from automl_keras.data.folder import LARGEST_SIDE, USUAL_SIDE
from automl_keras.data.images import image_blocks, pixel_statistics
from automl_keras.data.info import DatasetInfo
from automl_keras.data.labels import LabelCodec
from automl_keras.data.multi_label import MultiLabel
from automl_keras.data.sources import Source, read_source
from automl_keras.data.splitting import split_indices
from automl_keras.data.task import Classification, Task
from automl_keras.errors import InvalidArgumentError, InvalidDataError, InvalidTypeError

NAMES = ("x", "y", "sample_weight")
VALIDATION_NAMES = ("validation_data[0]", "validation_data[1]", "validation_data[2]")


def prepare_data(
    x: Any,
    y: npt.ArrayLike | None = None,
    validation_data: Any = None,
    validation_split: float | None = None,
    *,
    seed: int,
    sample_weight: npt.ArrayLike | None = None,
    class_weight: Mapping[Any, float] | None = None,
    check: Callable[[DatasetInfo], None] | None = None,
    codec_class: type[TargetCodec] = LabelCodec,
    image_size: int | None = None,
) -> PreparedData:
    """Check the data, encode labels or values and split off a validation part.

    Args:
        x: Images `(n, height, width)` or `(n, height, width, channels)`, see `check_images`; a folder with one
            sub-folder for each class, see `find_images`; or a `tf.data.Dataset`, see `read_stream`.
        y: `n` labels or values, see `codec_class`; `None` for a folder or a data set.
        validation_data: To be used for validation instead of a part of `x`: `(x, y)`, `(x, y, sample_weight)`,
            a folder or a `tf.data.Dataset`.
        validation_split: Share of `x` used for validation, see `split_indices`. `None`: 0.2, at most 2,000 images.
        seed: Decides the split.
        sample_weight: `(n,)`, how much each image counts in losses and accuracies; not negative.
        class_weight: How much each class, or each of several labels, counts in losses; those left out count 1.
        check: Told about all data before they are split, which takes seconds where they are many; may refuse them.
        codec_class: What `y` is: labels, rows of several labels or values.
        image_size: Pixels of the longer side that images of a folder have at most; 96 unless given, 224 at most.

    Raises:
        InvalidTypeError: If an argument has a type that cannot be images, labels or weights.
        InvalidArgumentError: If `validation_split` is not between 0 and 1, or given along with `validation_data`; or
            if `image_size` is out of range, or given for images that are not in a folder.
        InvalidDataError: If images, labels or weights cannot be used, or do not fit each other.
    """
    if validation_data is not None and validation_split is not None:
        raise InvalidArgumentError(
            "`validation_split` must be None if `validation_data` is given. "
            f"Received: validation_split={validation_split}"
        )
    _check_kind(x, NAMES[0], codec_class)
    source = read_source(x, y, sample_weight, NAMES, largest=_largest_side(image_size, x))
    codec = codec_class.fit(source.labels)
    given = _encoded(source, codec, NAMES)
    codec.check_learnable(given.codes)
    weights = None if class_weight is None else _class_weights(class_weight, codec)
    task: Task = codec.task
    if isinstance(task, MultiLabel) and weights is not None:  # an image has no class whose weight it could have
        task = MultiLabel(tuple((weights / weights.mean()).tolist()))
    if check is not None:
        check(_info(given, 0, codec, task, source.is_uint8))
    if validation_data is None:
        codec.check_divisible(given.codes)
        training, held_out = split_indices(given.images, task.strata(given.codes), validation_split, seed)
        train, validation, sources = given.take(training), given.take(held_out), [given]
    else:
        train, validation = given, _validation(validation_data, given, codec, source.is_uint8)
        sources = [train, validation]
    info = _info(train, validation.num_examples, codec, task, source.is_uint8)
    fingerprint = _fingerprint(sources, codec, info.input_dtype, weights)
    of_images = weights if isinstance(task, Classification) else None
    return PreparedData(train, validation, info, codec, of_images, fingerprint)


def _largest_side(image_size: int | None, x: Any) -> int:
    """The longer side that images of a folder may have."""
    size = check_count("image_size", image_size)
    if size is not None and (size > LARGEST_SIDE or not isinstance(x, str | os.PathLike)):
        raise InvalidArgumentError(
            f"`image_size` must be at most {LARGEST_SIDE}, and None unless `x` is a folder: other images are taken as "
            f"they are. Received: image_size={size} with x of type {type(x).__name__}"
        )
    return size or USUAL_SIDE


def _info(train: Dataset, num_validation: int, codec: TargetCodec, task: Task, is_uint8: bool) -> DatasetInfo:
    mean, std, pixel_range = pixel_statistics(train.images)
    return DatasetInfo(
        image_shape=train.image_shape,
        input_dtype="uint8" if is_uint8 else "float32",
        pixel_mean=mean,
        pixel_std=std,
        pixel_range=pixel_range,
        classes=codec.labels,
        num_train=train.num_examples,
        num_validation=num_validation,
        task=task,
    )


def read_labelled(x: Any, y: Any, sample_weight: Any, codec: TargetCodec, image_shape: tuple[int, int, int]) -> Dataset:
    """Images with labels of known classes or with values, to evaluate on; arguments as for `prepare_data`.

    Args:
        codec: Of what was trained with.
        image_shape: Shape to which the images of a folder are scaled.

    Raises:
        InvalidDataError: If images or labels cannot be used, or labels are unknown.
        InvalidTypeError: If images or labels are of a type that cannot be read.
    """
    _check_kind(x, NAMES[0], type(codec))
    return _encoded(read_source(x, y, sample_weight, NAMES, image_shape), codec, NAMES)


def _check_kind(x: Any, argument: str, codec_class: type[TargetCodec]) -> None:
    """Refuse a folder where its sub-folders are not what is asked for."""
    if codec_class is not LabelCodec and isinstance(x, str | os.PathLike):
        raise InvalidDataError(
            f"`{argument}` must be an array or a tf.data.Dataset: the sub-folders of a folder name one class for each "
            f"image, neither several labels nor values. Received: {argument}={str(x)!r}"
        )


def _encoded(source: Source, codec: TargetCodec, names: tuple[str, str, str]) -> Dataset:
    codes = codec.encode(source.labels, names[1])
    if len(source.images) != len(codes):
        raise InvalidDataError(
            f"`{names[1]}` must have one label for each image of `{names[0]}`. "
            f"Received: {len(source.images)} images and {len(codes)} labels"
        )
    return Dataset(source.images, codes, source.sample_weight)


def _validation(validation_data: Any, train: Dataset, codec: TargetCodec, is_uint8: bool) -> Dataset:
    """The user's own validation part, if it is of the same kind as the training part."""
    is_parts = isinstance(validation_data, tuple | list)
    if (not is_parts and isinstance(validation_data, np.ndarray)) or (is_parts and len(validation_data) not in (2, 3)):
        raise InvalidTypeError(
            "`validation_data` must be (x, y), (x, y, sample_weight), a folder or a tf.data.Dataset. "
            f"Received: validation_data of type {type(validation_data).__name__}"
        )
    x, y, weight = (*validation_data, None)[:3] if is_parts else (validation_data, None, None)
    _check_kind(x, "validation_data", type(codec))
    source = read_source(x, y, weight, VALIDATION_NAMES, train.image_shape)
    validation = _encoded(source, codec, VALIDATION_NAMES)
    if validation.image_shape != train.image_shape:
        raise InvalidDataError(
            f"`validation_data` must have images of the shape {train.image_shape}, as in `x`. "
            f"Received: images of the shape {validation.image_shape}"
        )
    if is_uint8 and validation.images.dtype != np.uint8:
        low, high = pixel_statistics(validation.images)[2]
        raise InvalidDataError(
            "`validation_data` must have whole pixel values in 0..255, as `x` is uint8. "
            f"Received: images with values from {low} to {high}"
        )
    return validation


def _class_weights(class_weight: Mapping[Any, float], codec: TargetCodec) -> np.ndarray:
    """`(classes,)` float32."""
    if not isinstance(class_weight, Mapping):
        raise InvalidTypeError(
            f"`class_weight` must map labels to numbers. Received: class_weight of type {type(class_weight).__name__}"
        )
    weights = np.ones(len(codec.labels), dtype=np.float32)
    position = {label: index for index, label in enumerate(codec.labels)}
    for label, weight in class_weight.items():
        if label not in position:
            raise InvalidDataError(
                f"`class_weight` must have labels of `y` as keys. Received: class_weight with {label!r}"
            )
        if isinstance(weight, bool) or not isinstance(weight, Real):
            raise InvalidTypeError(
                f"`class_weight` must map labels to numbers. Received: class_weight[{label!r}]={weight!r}"
            )
        if not (math.isfinite(weight) and weight >= 0):
            raise InvalidDataError(
                f"`class_weight` must be finite and not negative. Received: class_weight[{label!r}]={weight!r}"
            )
        weights[position[label]] = weight
    if not weights.any():
        raise InvalidDataError(
            f"`class_weight` must not be zero for all classes. Received: class_weight={class_weight}"
        )
    return weights


def _fingerprint(sources: list[Dataset], codec: TargetCodec, input_dtype: str, class_weight: np.ndarray | None) -> str:
    weights = None if class_weight is None else class_weight.tolist()
    digest = hashlib.sha256(json.dumps([codec.to_dict(), input_dtype, weights]).encode())
    for source in sources:
        for array in (source.images, source.codes, source.sample_weight):
            if array is None:
                digest.update(b"none")
                continue
            digest.update(json.dumps([array.dtype.str, array.shape]).encode())
            for block in image_blocks(array):
                digest.update(np.ascontiguousarray(array[block]).data)
    return digest.hexdigest()
