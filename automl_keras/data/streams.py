"""`tf.data.Dataset` of images and labels, read once into a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from automl_keras.data.images import CHANNELS, check_images
from automl_keras.data.stored import ImageStore, StoredImages
from automl_keras.errors import InvalidDataError, InvalidTypeError

if TYPE_CHECKING:
    import tensorflow as tf

READ_AT_ONCE = 256  # elements of an unbatched data set


class Stream(NamedTuple):
    """What was read.

    Attributes:
        images: All images, in a file.
        labels: `(n,)` or, one-hot, `(n, classes)`.
        sample_weight: `(n,)`, or `None` if the data set gives none.
    """

    images: StoredImages
    labels: np.ndarray
    sample_weight: np.ndarray | None


def is_stream(x: Any) -> bool:
    """Whether `x` is a `tf.data.Dataset`."""
    return hasattr(x, "element_spec") and hasattr(x, "as_numpy_iterator")


def read_stream(dataset: tf.data.Dataset, argument: str = "x") -> Stream:
    """Read a finite data set of `(x, y)` or `(x, y, sample_weight)`, batched or not, once.

    Memory holds one batch of images at a time. Floats that are all whole numbers in 0..255 are kept as uint8.

    Raises:
        InvalidTypeError: If elements are no such tuples of tensors.
        InvalidDataError: If the data set is empty, endless, or its images cannot be used or differ in shape.
    """
    spec: Any = dataset.element_spec
    tensors = spec if isinstance(spec, tuple) else ()
    if len(tensors) not in (2, 3) or not all(map(_is_tensor, tensors)):
        raise InvalidTypeError(
            f"`{argument}` must give pairs (x, y) or triples (x, y, sample_weight) of tensors. "
            f"Received: {argument} with elements {spec}"
        )
    columns: list[list[np.ndarray]] = []
    images = _stored(dataset, _is_batched(*spec[:2]), argument, columns.append)
    labels, *weights = (np.concatenate(parts) for parts in zip(*columns, strict=True))
    if labels.dtype == object:  # tf.string gives bytes
        labels = np.array([label.decode() for label in labels.ravel()]).reshape(labels.shape)
    return Stream(images, labels, weights[0] if weights else None)


def read_stream_images(dataset: tf.data.Dataset, argument: str = "x") -> StoredImages:
    """The images alone of a finite data set of images or of tuples that begin with images.

    Raises:
        InvalidTypeError: If there are no tensors of images.
        InvalidDataError: As `read_stream`.
    """
    spec: Any = dataset.element_spec
    if isinstance(spec, tuple) and len(spec) > 1:
        return read_stream(dataset, argument).images
    alone = dataset.map(lambda *parts: parts[:1]) if isinstance(spec, tuple) else dataset.map(lambda x: (x,))
    [tensor] = spec if isinstance(spec, tuple) else (spec,)
    if not _is_tensor(tensor):
        raise InvalidTypeError(f"`{argument}` must give tensors of images. Received: {argument} with elements {spec}")
    batched = tensor.shape.rank == 4 or (tensor.shape.rank == 3 and tensor.shape[-1] not in CHANNELS)
    return _stored(alone, batched, argument, lambda rest: None)


def _stored(
    dataset: tf.data.Dataset, batched: bool, argument: str, keep_rest: Callable[[list[np.ndarray]], None]
) -> StoredImages:
    """Write the images of all elements to a file, and hand over what else the elements hold."""
    if int(dataset.cardinality()) == -1:  # tf.data.INFINITE_CARDINALITY
        raise InvalidDataError(
            f"`{argument}` must end; use `take(n)` or leave out `repeat()`. Received: an endless data set"
        )
    store: ImageStore | None = None
    whole = True
    for pixels, *rest in _elements(dataset if batched else dataset.batch(READ_AT_ONCE), argument):
        images = check_images(pixels, argument)
        if store is None:
            store = ImageStore(images.shape[1:], np.uint8 if pixels.dtype == np.uint8 else np.float32)
        if images.shape[1:] != store.image_shape:
            raise InvalidDataError(
                f"All images of `{argument}` must have one shape. "
                f"Received: {argument} with images of the shapes {store.image_shape} and {images.shape[1:]}"
            )
        whole = whole and images.dtype == np.uint8  # `check_images` makes it so where that is exact
        store.append(images)
        keep_rest(rest)
    if store is None:
        raise InvalidDataError(f"`{argument}` must hold at least one image. Received: an empty data set")
    return (store.as_uint8() if whole and store.dtype != np.uint8 else store).images()


def _elements(dataset: tf.data.Dataset, argument: str) -> Iterator[tuple[np.ndarray, ...]]:
    import tensorflow as tf

    try:
        yield from dataset.as_numpy_iterator()
    except tf.errors.OpError as error:
        raise InvalidDataError(
            f"`{argument}` must be readable to its end, with images of one shape. Received: {error.message}"
        ) from error


def _is_tensor(spec: Any) -> bool:
    return hasattr(spec, "shape") and hasattr(spec, "dtype")


def _is_batched(images: Any, labels: Any) -> bool:
    """Whether elements are batches: 4 dimensions of images, or 3 where labels show that no channels are meant."""
    rank = images.shape.rank
    if rank not in (2, 3):
        return True  # of whatever it is, the check of the images names what is wrong
    if rank == 2 or labels.shape.rank == 0:
        return False
    return not (labels.shape.rank == 1 and images.shape[0] is not None and images.shape[-1] in CHANNELS)
