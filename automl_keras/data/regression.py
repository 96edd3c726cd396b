"""Values for an image: the task `Regression`, and `ValueCodec`, which standardises them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from automl_keras.data.task import Label, Task
from automl_keras.errors import InvalidDataError, InvalidTypeError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf


COARSEST = 0.01  # of a standard deviation: the steps of float32 where values are


@dataclass(frozen=True)
class Regression(Task):
    """Values for each image: targets and outputs are standardised, float32 `(n, values)`; answers are in units of `y`.

    The mean squared error of the standardised values is learnt, so that all values count the same whatever their units,
    and R^2 is maximised: 1 minus the mean squared error in units of the variance, averaged over the values.

    Attributes:
        mean: Of each value, in the user's units.
        std: Standard deviation of each value.
    """

    kind: ClassVar[str] = "regression"
    metric: ClassVar[str] = "r2_score"
    answers: ClassVar[str] = "values"
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def losses(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Mean squared error of the standardised values."""
        import tensorflow as tf

        return tf.reduce_mean(tf.square(outputs - targets), axis=1)

    def activated(self, outputs: tf.Tensor) -> tf.Tensor:
        """The values themselves."""
        return outputs

    def soft_losses(self, outputs: tf.Tensor, taught: tf.Tensor) -> tf.Tensor:
        """Mean squared distance from the other's values."""
        return self.losses(outputs, taught)

    def batch_score(self, outputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """Weighted R^2, 0 where it is less."""
        import tensorflow as tf

        weight = weights[:, tf.newaxis]
        mean = tf.math.divide_no_nan(tf.reduce_sum(weight * targets, axis=0), tf.reduce_sum(weight))
        errors = tf.reduce_sum(weight * tf.square(outputs - targets), axis=0)
        spread = tf.reduce_sum(weight * tf.square(targets - mean), axis=0)
        return tf.maximum(tf.reduce_mean(tf.where(spread > 0.0, 1.0 - tf.math.divide_no_nan(errors, spread), 0.0)), 0.0)

    def output_layer(self) -> keras.layers.Layer:
        """From standardised values to the user's units."""
        import keras

        return keras.layers.Rescaling(list(self.std), list(self.mean), name=self.answers)

    def outputs_of(self, answers: np.ndarray) -> np.ndarray:
        """Standardised values."""
        return (answers.astype(np.float64) - self.mean) / self.std

    def values(self, outputs: np.ndarray) -> np.ndarray:
        """Standardised values in the user's units, float64: the inverse of `outputs_of`."""
        return outputs.astype(np.float64) * self.std + self.mean

    def answer_losses(self, answers: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Mean squared error of the standardised values."""
        return np.mean(np.square(self.outputs_of(answers) - targets), axis=1)

    def metrics(
        self, outputs: np.ndarray, targets: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> dict[str, float]:
        """R^2, weighted and averaged over the values; as in scikit-learn, a value that never changes counts 1 or 0."""
        weight = np.ones(len(targets)) if sample_weight is None else sample_weight.astype(np.float64)
        wanted = targets.astype(np.float64)
        errors = weight @ np.square(outputs - wanted)
        spread = weight @ np.square(wanted - np.average(wanted, axis=0, weights=weight))
        scores = np.where(spread > 0, 1.0 - errors / np.where(spread > 0, spread, 1.0), errors == 0)
        return {"r2_score": float(scores.mean())}

    def standard_error(self, score: float, count: int) -> float:
        """Of R^2 for normal values: `2 R (1 - R^2) / sqrt(n)` (Olkin and Finn, Psychological Bulletin 1995)."""
        return 2.0 * math.sqrt(max(score, 0.0)) * (1.0 - score) / math.sqrt(count)

    def chance(self, targets: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        """R^2 of the mean."""
        return 0.0

    def agreement(self, outputs: np.ndarray, others: np.ndarray) -> float:
        """1 minus the mean squared difference in units of the variance of `y`; not less than 0.

        At 0.99 the answers differ by a tenth of the standard deviation of `y`.
        """
        return max(0.0, 1.0 - float(np.mean(np.square(outputs - others))))


class ValueCodec:
    """From values in the user's units to standardised ones and back.

    Attributes:
        task: What is learnt; it has mean and standard deviation of each value.
        is_flat: Whether values came as `(n,)`, and go so.
    """

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...], is_flat: bool) -> None:
        self.task = Regression(mean, std)
        self.is_flat = is_flat

    @classmethod
    def fit(cls, values: npt.ArrayLike, argument: str = "y") -> ValueCodec:
        """The codec with the mean and standard deviation of `values`.

        Args:
            values: `(n,)` or `(n, values)`, integers or floats.
            argument: What the caller calls `values`, for error messages.

        Raises:
            InvalidTypeError: If they are no numbers.
            InvalidDataError: If they have another shape, are missing (NaN) or infinite, or one of them never changes.
        """
        table, is_flat = _checked_values(values, argument)
        with np.errstate(over="ignore", invalid="ignore"):
            std = table.std(axis=0)
        if not np.isfinite(std).all():
            raise InvalidDataError(f"`{argument}` must have a finite variance. Received: {argument} with larger values")
        constant = np.flatnonzero((table == table[0]).all(axis=0) | ~(std > 0))
        if len(constant):
            where = "" if is_flat else f" in column {constant[0]}"
            raise InvalidDataError(
                f"`{argument}` must have different values to learn. "
                f"Received: {argument} with nothing but {table[0, constant[0]]:g}{where}"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            step = np.spacing(np.abs(table).max(axis=0).astype(np.float32)).astype(np.float64)
        if not (step < COARSEST * std).all():  # so for infinity
            raise InvalidDataError(
                f"`{argument}` must vary by more than float32 resolves: subtract a constant, or rescale it. "
                f"Received: {argument} with values up to {np.abs(table).max():g} and deviations from {std.min():g}"
            )
        return cls(tuple(table.mean(axis=0).tolist()), tuple(std.tolist()), is_flat)

    def encode(self, values: npt.ArrayLike, argument: str = "y") -> np.ndarray:
        """Targets: standardised values, float32 of shape `(n, values)`.

        Raises:
            InvalidTypeError: As for `fit`.
            InvalidDataError: If values have another shape than those of `fit`, or are missing or infinite.
        """
        table, is_flat = _checked_values(values, argument)
        if is_flat != self.is_flat or table.shape[1] != len(self.task.mean):
            expected = "(n,)" if self.is_flat else f"(n, {len(self.task.mean)})"
            raise InvalidDataError(
                f"`{argument}` must have the shape {expected}, as the values trained with. "
                f"Received: {argument}.shape={np.shape(values)}"
            )
        return self.task.outputs_of(table).astype(np.float32)

    def decode(self, answers: np.ndarray) -> np.ndarray:
        """Values `(n, values)` in the user's units in the shape they came in: `(n,)` or the same."""
        return answers[:, 0] if self.is_flat else answers

    @property
    def labels(self) -> tuple[Label, ...]:
        """Values have none."""
        return ()

    def check_learnable(self, targets: np.ndarray) -> None:
        """Any values that `fit` takes can be learnt."""

    def check_divisible(self, targets: np.ndarray) -> None:
        """They can be divided, too."""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `codec_from_dict` is its inverse."""
        return {**self.task.to_dict(), "is_flat": self.is_flat}


def _checked_values(values: npt.ArrayLike, argument: str) -> tuple[np.ndarray, bool]:
    """Values as float64 of shape `(n, values)`, and whether their own shape is `(n,)`."""
    table = np.asarray(values)
    if table.dtype.kind not in "iuf":
        raise InvalidTypeError(
            f"`{argument}` must hold numbers to predict, none of them missing. "
            f"Received: {argument} of type {type(values).__name__} with dtype={table.dtype}"
        )
    if table.ndim not in (1, 2) or table.size == 0:
        raise InvalidDataError(
            f"`{argument}` must have the shape (n,) or (n, values) and not be empty. "
            f"Received: {argument}.shape={table.shape}"
        )
    if not np.isfinite(table).all():
        row = int(np.argmin(np.isfinite(table).reshape(len(table), -1).all(axis=1)))
        raise InvalidDataError(
            f"`{argument}` must hold finite numbers. Received: {argument}[{row}]={table[row].tolist()!r}"
        )
    return table.astype(np.float64).reshape(len(table), -1), table.ndim == 1
