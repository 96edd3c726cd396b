"""`Dataset`, images with their codes, and `prepare_arrays`, which checks and splits what the user gives to `fit`."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from automl_keras.data.images import check_images, image_blocks, pixel_statistics
from automl_keras.data.info import DatasetInfo
from automl_keras.data.labels import LabelCodec
from automl_keras.data.splitting import split_indices
from automl_keras.errors import InvalidArgumentError, InvalidDataError, InvalidTypeError


class Batch(NamedTuple):
    """A run of examples, as `Dataset.batches` yields them; shapes as in `Dataset`."""

    images: np.ndarray
    codes: np.ndarray
    sample_weight: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with class codes.

    Attributes:
        images: `(n, height, width, channels)`, uint8 or float32; shared with the user's array where possible, so never
            to be written to.
        codes: `(n,)`, int32 class codes.
        sample_weight: `(n,)`, float32, or `None` if all count the same.
    """

    images: np.ndarray
    codes: np.ndarray
    sample_weight: np.ndarray | None = None

    @property
    def num_examples(self) -> int:
        """Number of images."""
        return len(self.images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of one image."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    def take(self, indices: np.ndarray) -> "Dataset":
        """A data set of the examples `indices`, in their order."""
        weight = None if self.sample_weight is None else self.sample_weight[indices]
        return Dataset(self.images[indices], self.codes[indices], weight)

    def batches(self, batch_size: int) -> Iterator[Batch]:
        """All examples in order, `batch_size` at a time; the last batch may be smaller."""
        for start in range(0, self.num_examples, batch_size):
            part = slice(start, start + batch_size)
            yield Batch(
                self.images[part], self.codes[part], None if self.sample_weight is None else self.sample_weight[part]
            )


@dataclass(frozen=True, eq=False)
class PreparedData:
    """What `fit` works with.

    Attributes:
        train: The training part.
        validation: The validation part, never empty.
        info: Facts about both.
        codec: Turns codes back into the user's labels.
        fingerprint: SHA-256 in hex of all that was given, whatever the split. Other data has another one.
    """

    train: Dataset
    validation: Dataset
    info: DatasetInfo
    codec: LabelCodec
    fingerprint: str


def prepare_arrays(
    x: npt.ArrayLike,
    y: npt.ArrayLike | None,
    validation_data: tuple[Any, ...] | None = None,
    validation_split: float | None = None,
    *,
    seed: int,
    sample_weight: npt.ArrayLike | None = None,
) -> PreparedData:
    """Check arrays, encode labels and split off a validation part.

    Args:
        x: `(n, height, width)` or `(n, height, width, channels)`, see `check_images`.
        y: `n` labels, see `LabelCodec`.
        validation_data: `(x, y)` or `(x, y, sample_weight)`, to be used for validation instead of a part of `x`.
        validation_split: Share of `x` used for validation, see `split_indices`. `None`: 0.2, at most 2,000 images.
        seed: Decides the split.
        sample_weight: `(n,)`, how much each image counts; not negative.

    Raises:
        InvalidTypeError: If an argument has a type that cannot be images, labels or weights.
        InvalidArgumentError: If `validation_split` is not between 0 and 1, or given along with `validation_data`.
        InvalidDataError: If images, labels or weights cannot be used, or do not fit each other.
    """
    if y is None:
        raise InvalidDataError("`y` must hold a label for each image of `x`. Received: y=None")
    if validation_data is not None and validation_split is not None:
        raise InvalidArgumentError(
            "`validation_split` must be None if `validation_data` is given. "
            f"Received: validation_split={validation_split}"
        )
    codec = LabelCodec.fit(y)
    given = _checked(x, y, sample_weight, codec, ("x", "y", "sample_weight"))
    present = np.unique(given.codes)
    if len(present) < 2:
        raise InvalidDataError(
            f"`y` must have at least two classes. Received: y with only {codec.classes_[present].tolist()}"
        )
    input_is_uint8 = np.asarray(x).dtype == np.uint8
    if validation_data is None:
        training, held_out = split_indices(given.images, given.codes, validation_split, seed)
        if len(held_out) == 0:
            raise InvalidDataError(
                "`y` must have a class with at least two images, or `validation_data` must be given. "
                f"Received: y with {len(present)} classes for {given.num_examples} images"
            )
        train, validation, sources = given.take(training), given.take(held_out), [given]
    else:
        train, validation = given, _checked_validation(validation_data, given, codec, input_is_uint8)
        sources = [train, validation]
    mean, std, pixel_range = pixel_statistics(train.images)
    info = DatasetInfo(
        image_shape=train.image_shape,
        input_dtype="uint8" if input_is_uint8 else "float32",
        pixel_mean=mean,
        pixel_std=std,
        pixel_range=pixel_range,
        classes=tuple(codec.to_dict()["classes"]),
        num_train=train.num_examples,
        num_validation=validation.num_examples,
    )
    return PreparedData(train, validation, info, codec, _fingerprint(sources, codec, info.input_dtype))


def _checked(x: Any, y: Any, sample_weight: Any, codec: LabelCodec, names: tuple[str, str, str]) -> Dataset:
    """Images, labels and weights that are in order, and of one length."""
    images = check_images(x, names[0])
    codes = codec.encode(y, names[1])
    if len(images) != len(codes):
        raise InvalidDataError(
            f"`{names[1]}` must have one label for each image of `{names[0]}`. "
            f"Received: {len(images)} images and {len(codes)} labels"
        )
    if sample_weight is None:
        return Dataset(images, codes)
    try:
        weight = np.asarray(sample_weight, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InvalidTypeError(
            f"`{names[2]}` must be an array of numbers. Received: {names[2]} of type {type(sample_weight).__name__}"
        ) from error
    if weight.shape != codes.shape:
        raise InvalidDataError(
            f"`{names[2]}` must have the shape ({len(codes)},), one weight for each image. "
            f"Received: {names[2]}.shape={weight.shape}"
        )
    if not (np.isfinite(weight).all() and weight.min() >= 0 and weight.max() > 0):
        raise InvalidDataError(
            f"`{names[2]}` must be finite and not negative, and not all zero. "
            f"Received: {names[2]} with smallest={weight.min()} and largest={weight.max()}"
        )
    return Dataset(images, codes, weight)


def _checked_validation(validation_data: Any, train: Dataset, codec: LabelCodec, input_is_uint8: bool) -> Dataset:
    """The user's own validation part, if it is of the same kind as the training part."""
    if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
        raise InvalidTypeError(
            "`validation_data` must be a tuple (x, y) or (x, y, sample_weight). "
            f"Received: validation_data of type {type(validation_data).__name__}"
        )
    x, y, *weight = validation_data
    names = ("validation_data[0]", "validation_data[1]", "validation_data[2]")
    validation = _checked(x, y, weight[0] if weight else None, codec, names)
    if validation.image_shape != train.image_shape:
        raise InvalidDataError(
            f"`validation_data` must have images of the shape {train.image_shape}, as in `x`. "
            f"Received: images of the shape {validation.image_shape}"
        )
    if input_is_uint8 and validation.images.dtype != np.uint8:
        raise InvalidDataError(
            "`validation_data` must have whole pixel values in 0..255, as `x` is uint8. "
            f"Received: images with values from {validation.images.min()} to {validation.images.max()}"
        )
    return validation


def _fingerprint(sources: list[Dataset], codec: LabelCodec, input_dtype: str) -> str:
    digest = hashlib.sha256(json.dumps([codec.to_dict(), input_dtype]).encode())
    for source in sources:
        for array in (source.images, source.codes, source.sample_weight):
            if array is None:
                digest.update(b"none")
                continue
            digest.update(json.dumps([array.dtype.str, array.shape]).encode())
            for block in image_blocks(array):
                digest.update(np.ascontiguousarray(array[block]).data)
    return digest.hexdigest()
