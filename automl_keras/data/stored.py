"""`StoredImages`: images in a file, for data sets that memory should not hold."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

WRITE_BLOCK = 256  # images copied at once


class StoredImages:
    """Images of one shape in a file, read whenever they are asked for.

    Indexing gives arrays, as from an array of the same shape. Plain reads, no memory map: pages of a
    map count as memory of the process.

    Attributes:
        shape: `(n, height, width, channels)`.
        dtype: Type of the pixels.
    """

    def __init__(self, store: ImageStore, rows: np.ndarray) -> None:
        self._store = store
        self._rows = rows
        self.shape: tuple[int, ...] = (len(rows), *store.image_shape)
        self.dtype = store.dtype

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def size(self) -> int:
        """Number of pixel values."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __getitem__(self, key: Any) -> np.ndarray:
        """The images of an index, a slice or an array of indices; more indices select within images."""
        first, *rest = key if isinstance(key, tuple) else (key,)
        chosen = self._rows[first]
        if np.ndim(chosen) == 0:
            return self._store.read(np.array([chosen]))[(0, *rest)]
        return self._store.read(chosen)[(slice(None), *rest)]

    def __iter__(self) -> Iterator[np.ndarray]:
        for start in range(0, len(self), WRITE_BLOCK):
            yield from self[start : start + WRITE_BLOCK]

    def select(self, indices: np.ndarray | list[int]) -> StoredImages:
        """The images of `indices`, still in the file."""
        return StoredImages(self._store, self._rows[indices])

    def joined(self, other: StoredImages) -> StoredImages:
        """These images and those of `other`, which come from the same store."""
        return StoredImages(self._store, np.concatenate([self._rows, other._rows]))


Images = np.ndarray | StoredImages


def select(images: Images, indices: np.ndarray) -> Images:
    """Some of the images: a copy of an array, a view of a file."""
    return images.select(indices) if isinstance(images, StoredImages) else images[indices]


class ImageStore:
    """A temporary file of images, removed with the last reference to it.

    Args:
        image_shape: `(height, width, channels)`.
        dtype: Type of the pixels.
    """

    def __init__(self, image_shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self.image_shape = tuple(image_shape)
        self.dtype = np.dtype(dtype)
        self._file = tempfile.TemporaryFile(prefix="automl_keras_")  # noqa: SIM115 closed when collected
        self._record = int(np.prod(self.image_shape)) * self.dtype.itemsize
        self._count = 0

    def append(self, images: np.ndarray) -> None:
        """Write images `(n, height, width, channels)` behind those written before."""
        self._file.seek(self._count * self._record)
        self._file.write(np.ascontiguousarray(images, dtype=self.dtype).data)
        self._count += len(images)

    def images(self) -> StoredImages:
        """All that was written so far."""
        self._file.flush()
        return StoredImages(self, np.arange(self._count))

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The images of `rows`, in their order; neighbours in the file are read at once."""
        images = np.empty((len(rows), *self.image_shape), dtype=self.dtype)
        target = images.reshape(-1).view(np.uint8)
        runs = np.flatnonzero(np.diff(rows) != 1) + 1
        for start, end in zip([0, *runs.tolist()], [*runs.tolist(), len(rows)], strict=True):
            if end > start:
                self._file.seek(int(rows[start]) * self._record)
                self._file.readinto(target[start * self._record : end * self._record].data)
        return images

    def as_uint8(self) -> ImageStore:
        """The same images as bytes; every pixel must be a whole number in 0..255."""
        converted = ImageStore(self.image_shape, np.uint8)
        for start in range(0, self._count, WRITE_BLOCK):
            converted.append(self.read(np.arange(start, min(start + WRITE_BLOCK, self._count))).astype(np.uint8))
        return converted
