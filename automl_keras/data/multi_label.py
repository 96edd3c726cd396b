"""Several labels for an image: the task `MultiLabel`, and `MultiLabelCodec` for rows of 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from automl_keras.data.task import EPSILON, Label, Task
from automl_keras.errors import InvalidDataError, InvalidTypeError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


@dataclass(frozen=True)
class MultiLabel(Task):
    """Any number of labels for each image: targets are 0 or 1, float32 `(n, labels)`, outputs logits of sigmoids.

    The cross entropy of each label by itself is learnt, averaged over the labels (weighted, if they count differently).
    Accuracy is that of multi-label learning: the number of labels that are both asked for and answered, divided by the
    number of those that are either, averaged over the images (Godbole and Sarawagi, PAKDD 2004; Zhang and Zhou, TKDE
    2014, section 2.2.2; scikit-learn's `jaccard_score(average="samples")`); 1 for an image rightly left without labels.
    With one label for each image, and one answer, it is the share of right answers. A label is answered if its
    probability is more than 0.5.

    Attributes:
        label_weight: How much each label counts in the loss, 1 on average; `None` if all count the same.
    """

    kind: ClassVar[str] = "multi_label"
    label_weight: tuple[float, ...] | None = None

    def losses(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Binary cross entropy, the weighted mean of the labels."""
        return self.soft_losses(outputs, targets)

    def activated(self, outputs: tf.Tensor) -> tf.Tensor:
        """Probabilities."""
        import tensorflow as tf

        return tf.nn.sigmoid(outputs)

    def soft_losses(self, outputs: tf.Tensor, taught: tf.Tensor) -> tf.Tensor:
        """Binary cross entropy with the other's probabilities."""
        import tensorflow as tf

        losses = tf.nn.sigmoid_cross_entropy_with_logits(taught, outputs)
        return tf.reduce_mean(losses if self.label_weight is None else losses * self.label_weight, axis=1)

    def batch_score(self, outputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """Weighted accuracy."""
        import tensorflow as tf

        answered, wanted = outputs > 0.0, targets > 0.5
        both, either = (
            tf.reduce_sum(tf.cast(found, tf.float32), axis=1) for found in (answered & wanted, answered | wanted)
        )
        credit = tf.where(either > 0.0, both / tf.maximum(either, 1.0), 1.0)
        return tf.math.divide_no_nan(tf.reduce_sum(weights * credit), tf.reduce_sum(weights))

    def output_layer(self) -> keras.layers.Layer:
        """Sigmoids."""
        import keras

        return keras.layers.Activation("sigmoid", name=self.answers)

    def outputs_of(self, answers: np.ndarray) -> np.ndarray:
        """Probabilities around 0, where logits change their sign too."""
        return answers - np.float32(0.5)

    def answer_losses(self, answers: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Binary cross entropy, the weighted mean of the labels."""
        likely = np.where(targets > 0.5, answers, 1.0 - answers)
        losses = -np.log(np.maximum(likely, EPSILON))
        return np.mean(losses if self.label_weight is None else losses * self.label_weight, axis=1)

    def metrics(
        self, outputs: np.ndarray, targets: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> dict[str, float]:
        """The weighted accuracy."""
        return {"accuracy": float(np.average(self._credit(outputs > 0.0, targets > 0.5), weights=sample_weight))}

    @staticmethod
    def _credit(answered: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The accuracy of each image."""
        both, either = (answered & wanted).sum(axis=1), (answered | wanted).sum(axis=1)
        return np.where(either > 0, both / np.maximum(either, 1), 1.0)

    def chance(self, targets: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        """The best accuracy of always answering the most frequent labels, however many of them."""
        wanted = targets > 0.5
        by_frequency = np.argsort(-np.average(wanted, axis=0, weights=sample_weight), kind="stable")
        rank = np.argsort(by_frequency, kind="stable")
        credits = (self._credit((rank < count)[np.newaxis], wanted) for count in range(len(rank) + 1))
        return max(float(np.average(credit, weights=sample_weight)) for credit in credits)

    def agreement(self, outputs: np.ndarray, others: np.ndarray) -> float:
        """The share of labels, of all images, that both answer or both do not."""
        return float(np.mean((outputs > 0.0) == (others > 0.0)))

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """The rarest label of each image, so that either side of a split has some of it; 0 for no label."""
        wanted = targets > 0.5
        counts = wanted.sum(axis=0)
        rarest = np.argmin(np.where(wanted, counts, len(targets) + 1), axis=1)
        found = np.where(wanted.any(axis=1), rarest + 1, 0)
        # What one image alone has cannot be on either side: such images are divided together.
        return np.where(np.bincount(found)[found] == 1, 0, found).astype(np.int32)


class MultiLabelCodec:
    """Rows of 0 and 1, one column for each label; rows may have any number of ones.

    Attributes:
        classes_: The column indices.
        dtype: Type of the rows, in which answers are given.
    """

    def __init__(self, num_labels: int, dtype: npt.DTypeLike) -> None:
        self.classes_ = np.arange(num_labels)
        self.dtype = np.dtype(dtype)

    @classmethod
    def fit(cls, labels: npt.ArrayLike, argument: str = "y") -> MultiLabelCodec:
        """The codec of the labels.

        Args:
            labels: `(n, labels)`, 0 or 1: integers, floats or bools.
            argument: What the caller calls `labels`, for error messages.

        Raises:
            InvalidTypeError: If labels are no numbers.
            InvalidDataError: If they have another shape, or values other than 0 and 1.
        """
        rows = _checked_rows(labels, argument)
        return cls(rows.shape[1], rows.dtype)

    @property
    def labels(self) -> tuple[Label, ...]:
        """The column indices."""
        return tuple(range(len(self.classes_)))

    @property
    def task(self) -> MultiLabel:
        """What is learnt."""
        return MultiLabel()

    def encode(self, labels: npt.ArrayLike, argument: str = "y") -> np.ndarray:
        """Targets, float32 of shape `(n, labels)`.

        Raises:
            InvalidTypeError: As for `fit`.
            InvalidDataError: As for `fit`; also if there is another number of labels.
        """
        rows = _checked_rows(labels, argument)
        if rows.shape[1] != len(self.classes_):
            raise InvalidDataError(
                f"`{argument}` must have {len(self.classes_)} columns, as the labels trained with. "
                f"Received: {argument}.shape={rows.shape}"
            )
        return rows.astype(np.float32)

    def decode(self, probabilities: np.ndarray) -> np.ndarray:
        """Rows of 0 and 1 of the type `dtype`: 1 where a probability is more than 0.5."""
        return (probabilities > 0.5).astype(self.dtype)

    def check_learnable(self, targets: np.ndarray) -> None:
        """Refuse targets that do not tell any two images apart.

        Raises:
            InvalidDataError: If all rows are the same.
        """
        if (targets == targets[0]).all():
            raise InvalidDataError(
                "`y` must have a label that some images have and others have not. "
                f"Received: y with {len(targets)} rows like {targets[0].astype(int).tolist()}"
            )

    def check_divisible(self, targets: np.ndarray) -> None:
        """Any images can be divided into two parts."""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `codec_from_dict` is its inverse."""
        return {"kind": MultiLabel.kind, "num_labels": len(self.classes_), "dtype": self.dtype.str}


def _checked_rows(labels: npt.ArrayLike, argument: str) -> np.ndarray:
    rows = np.asarray(labels)
    if rows.dtype.kind not in "buif":
        raise InvalidTypeError(
            f"`{argument}` must hold 0 or 1 for each label. Received: {argument} with dtype={rows.dtype}"
        )
    if rows.ndim != 2 or rows.size == 0:
        raise InvalidDataError(
            f"`{argument}` must have the shape (n, labels) if images may have several labels. "
            f"Received: {argument}.shape={rows.shape}"
        )
    wrong = ((rows != 0) & (rows != 1)).any(axis=1)
    if wrong.any():
        row = int(wrong.argmax())
        raise InvalidDataError(
            f"`{argument}` must be 0 or 1 for each label. Received: {argument}[{row}]={rows[row].tolist()}"
        )
    return rows
