"""`Dataset`, images with their targets, and `PreparedData`, what `fit` works with."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from automl_keras.data.codecs import TargetCodec
from automl_keras.data.info import DatasetInfo
from automl_keras.data.stored import Images, StoredImages, select


class Batch(NamedTuple):
    """A run of examples, as `Dataset.batches` yields them; shapes as in `Dataset`."""

    images: np.ndarray
    codes: np.ndarray
    sample_weight: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images with targets.

    Attributes:
        images: `(n, height, width, channels)`, uint8 or float32; in memory or in a file. An array may be the
            user's, so it is never to be written to.
        codes: What the codec of the task makes of `y`: int32 class codes `(n,)`; several labels: 0 or 1, float32
            `(n, labels)`; values: standardised, float32 `(n, values)`.
        sample_weight: `(n,)`, float32, or `None` if all count the same.
    """

    images: Images
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
        return Dataset(select(self.images, indices), self.codes[indices], weight)

    def joined(self, other: "Dataset") -> "Dataset":
        """The examples of both, which come from one source."""
        if isinstance(self.images, StoredImages) and isinstance(other.images, StoredImages):
            images: Images = self.images.joined(other.images)
        else:
            images = np.concatenate([self.images[:], other.images[:]])
        weights = [d.sample_weight for d in (self, other) if d.sample_weight is not None]
        codes = np.concatenate([self.codes, other.codes])
        return Dataset(images, codes, np.concatenate(weights) if len(weights) == 2 else None)

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
        codec: Turns answers back into the user's labels or values.
        class_weight: `(classes,)`, how much each class counts in a loss, or `None` if all count the same.
        fingerprint: SHA-256 in hex of all that was given, whatever the split. Other data has another one.
    """

    train: Dataset
    validation: Dataset
    info: DatasetInfo
    codec: TargetCodec
    class_weight: np.ndarray | None
    fingerprint: str

    def weighted(self, dataset: Dataset) -> Dataset:
        """`dataset` with the weights of losses: those of examples times those of their classes, 1 on average."""
        weights = dataset.sample_weight
        if self.class_weight is not None:
            of_class = self.class_weight[dataset.codes]
            weights = of_class if weights is None else weights * of_class
        if weights is None:
            return dataset
        return Dataset(dataset.images, dataset.codes, (weights / weights.mean()).astype(np.float32))
