"""`Task`: what the targets of a network look like, what it learns from them and how it is judged.

A network returns *outputs*: logits, or standardised values. What users get from its file and from the Keras model are
*answers*: probabilities, or values in the units of `y`. *Targets* are what the codec of the task makes of `y`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

Label = str | int | float | bool

EPSILON = 1e-7  # the smallest probability that counts in a cross entropy, as Keras has it


@dataclass(frozen=True)
class Task(ABC):
    """What is learnt from targets, and how answers are judged.

    Attributes:
        kind: Its name in JSON.
        metric: What is maximised, a key of `metrics`. With "val_" in front it is the objective of searches.
        answers: What the outputs of files are called.
    """

    kind: ClassVar[str]
    metric: ClassVar[str] = "accuracy"
    answers: ClassVar[str] = "probabilities"

    @abstractmethod
    def losses(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """The loss of each example, shape `(n,)`."""

    @abstractmethod
    def activated(self, outputs: tf.Tensor) -> tf.Tensor:
        """What another network can learn from, in place of targets, by `soft_losses`."""

    @abstractmethod
    def soft_losses(self, outputs: tf.Tensor, taught: tf.Tensor) -> tf.Tensor:
        """The loss of each example where the activated outputs of another network are the targets, shape `(n,)`."""

    @abstractmethod
    def batch_score(self, outputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """The score of a small batch in [0, 1], a scalar; 0 where all weights are 0."""

    @abstractmethod
    def output_layer(self) -> keras.layers.Layer:
        """From outputs to answers."""

    def outputs_of(self, answers: np.ndarray) -> np.ndarray:
        """Outputs for which `metrics` and `agreement` are those of the answers."""
        return answers

    @abstractmethod
    def answer_losses(self, answers: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """The loss of each example from the answers: `losses` without TensorFlow."""

    @abstractmethod
    def metrics(
        self, outputs: np.ndarray, targets: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> dict[str, float]:
        """How good the outputs are: numbers by name, the larger the better, that of `metric` among them."""

    def score(self, outputs: np.ndarray, targets: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        """The metric that is maximised."""
        return self.metrics(outputs, targets, sample_weight)[self.metric]

    def standard_error(self, score: float, count: int) -> float:
        """Of a score from `count` examples: binomial, which is the most that a mean of values in [0, 1] can have."""
        return math.sqrt(score * (1.0 - score) / count)

    @abstractmethod
    def chance(self, targets: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        """The score of the best answer that is the same for all images."""

    @abstractmethod
    def agreement(self, outputs: np.ndarray, others: np.ndarray) -> float:
        """How much two networks, or a network and its file, say the same; 1 for equal answers."""

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """`(n,)` integers from 0: of each of them a split puts a share on either side. None by default."""
        return np.zeros(len(targets), dtype=np.int32)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `task_from_dict` is its inverse."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class Classification(Task):
    """One class for each image: targets are int32 codes `(n,)`, outputs logits, answers probabilities by a softmax.

    Cross entropy is learnt, and the share of right answers is maximised.
    """

    kind: ClassVar[str] = "classification"

    def losses(self, outputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Cross entropy."""
        import tensorflow as tf

        return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, outputs)

    def activated(self, outputs: tf.Tensor) -> tf.Tensor:
        """Probabilities."""
        import tensorflow as tf

        return tf.nn.softmax(outputs)

    def soft_losses(self, outputs: tf.Tensor, taught: tf.Tensor) -> tf.Tensor:
        """Cross entropy with the other's probabilities."""
        import tensorflow as tf

        return tf.nn.softmax_cross_entropy_with_logits(taught, outputs)

    def batch_score(self, outputs: tf.Tensor, targets: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """Weighted accuracy."""
        import tensorflow as tf

        right = tf.argmax(outputs, axis=1, output_type=tf.int32) == tf.cast(targets, tf.int32)
        counted = tf.reduce_sum(weights * tf.cast(right, tf.float32))
        return tf.math.divide_no_nan(counted, tf.reduce_sum(weights))

    def output_layer(self) -> keras.layers.Layer:
        """A softmax."""
        import keras

        return keras.layers.Softmax(name=self.answers)

    def answer_losses(self, answers: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Cross entropy."""
        return -np.log(np.maximum(answers[np.arange(len(targets)), targets], EPSILON))

    def metrics(
        self, outputs: np.ndarray, targets: np.ndarray, sample_weight: np.ndarray | None = None
    ) -> dict[str, float]:
        """The weighted share of right answers, from logits or probabilities: the largest of them counts."""
        return {"accuracy": float(np.average(outputs.argmax(axis=1) == targets, weights=sample_weight))}

    def chance(self, targets: np.ndarray, sample_weight: np.ndarray | None = None) -> float:
        """The weighted share of the largest class."""
        counts = np.bincount(targets, sample_weight)
        return float(counts.max() / counts.sum())

    def agreement(self, outputs: np.ndarray, others: np.ndarray) -> float:
        """The share of images with the same answer."""
        return float(np.mean(outputs.argmax(axis=1) == others.argmax(axis=1)))

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """The classes."""
        return targets


CLASSIFICATION = Classification()  # what is learnt unless something else is said
