"""How good a bit policy is: measured on its real file, or predicted by the fake-quantized network."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from automl_keras.data import Images
from automl_keras.errors import ExportError, InvalidDataError
from automl_keras.evaluation import Cost, Evaluation
from automl_keras.export.child import ChildRuntime
from automl_keras.quantization.bit_space import BitSpace
from automl_keras.quantization.policy_files import PolicyFiles
from automl_keras.search_space import Architecture

if TYPE_CHECKING:
    from automl_keras.quantization.fake_quant import FakeQuantModel

LEAST_PROBABILITY = 1e-7  # as in Keras: one image that is wrong for certain costs no more than 16.1


class FileEvaluator:
    """Exports a policy and runs the file with LiteRT, in a child process; an `Evaluator`.

    A policy whose file cannot be made, is refused or ends the child is a failed evaluation with the reason. Use
    it in a `with` statement, or `close` it.

    Args:
        files: Makes the files.
        images: To evaluate on, shape `(n, height, width, channels)`, in the user's units.
        codes: The right classes, integers of shape `(n,)`.
        sample_weight: How much each image counts, shape `(n,)`; `None` if all count the same.
        seconds_per_file: A file that takes longer fails.

    Attributes:
        runtime: Runs the files.

    Raises:
        InvalidDataError: If the numbers of images, codes and weights differ, or nothing counts.
    """

    def __init__(
        self,
        files: PolicyFiles,
        images: Images,
        codes: np.ndarray,
        sample_weight: np.ndarray | None = None,
        *,
        seconds_per_file: float = 60.0,
    ) -> None:
        self._metrics = ProbabilityMetrics(images, codes, sample_weight)
        self.files = files
        self.runtime = ChildRuntime(images, seconds_per_file=seconds_per_file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child process."""
        self.runtime.close()

    def evaluate(self, architecture: Architecture) -> Evaluation:
        """Metrics `val_accuracy` and `val_loss` (cross entropy), costs `size_kb` and `bit_ops`, of a policy's file.

        Raises:
            InvalidArchitectureError: If the policy is not of the space.
        """
        start = time.monotonic()
        policy = self.files.space.canonical(architecture)
        cost = Cost(bit_ops=self.files.space.bit_ops(policy))
        metrics: dict[str, float] = {}
        error = None
        try:
            data = self.files.export(policy)
            cost = Cost(bit_ops=cost.bit_ops, size_kb=len(data) / 1000)
            metrics = self._metrics(self.runtime.predict(data))
        except ExportError as failure:
            error = str(failure)
        return Evaluation(policy, metrics, cost, "file", seconds=time.monotonic() - start, error=error)


class FakeQuantEvaluator:
    """Predicts how good a policy's file is from the fake-quantized network, without the file; an `Evaluator`.

    Args:
        fake_quant: Calibrated; its policy is changed.
        space: The policies.
        images: As for `FileEvaluator`.
        codes: As for `FileEvaluator`.
        sample_weight: As for `FileEvaluator`.
        predict_size: Policy to bytes of its file, such as `PolicyFiles.predict_size`; without it sizes stay unknown.

    Raises:
        InvalidDataError: As for `FileEvaluator`.
    """

    def __init__(
        self,
        fake_quant: FakeQuantModel,
        space: BitSpace,
        images: Images,
        codes: np.ndarray,
        sample_weight: np.ndarray | None = None,
        *,
        predict_size: Callable[[Mapping[str, Any]], int] | None = None,
    ) -> None:
        self._metrics = ProbabilityMetrics(images, codes, sample_weight)
        self.fake_quant = fake_quant
        self.space = space
        self.images = images
        self.predict_size = predict_size

    def evaluate(self, architecture: Architecture) -> Evaluation:
        """Metrics `val_accuracy` and `val_loss` (cross entropy), predicted, and costs `bit_ops` and `size_kb`.

        Raises:
            InvalidArchitectureError: If the policy is not of the space.
        """
        start = time.monotonic()
        policy = self.space.canonical(architecture)
        self.fake_quant.set_policy(policy)
        size_kb = None if self.predict_size is None else self.predict_size(policy) / 1000
        cost = Cost(bit_ops=self.space.bit_ops(policy), size_kb=size_kb)
        metrics: dict[str, float] = {}
        error = None
        try:
            metrics = self._metrics(self.fake_quant.predict(self.images))
        except ExportError as failure:
            error = str(failure)
        return Evaluation(policy, metrics, cost, "predicted", seconds=time.monotonic() - start, error=error)


class ProbabilityMetrics:
    """Accuracy and cross entropy of probabilities for fixed images, both weighted.

    Args:
        images: As for `FileEvaluator`; only their number counts.
        codes: As for `FileEvaluator`.
        sample_weight: As for `FileEvaluator`.

    Raises:
        InvalidDataError: As for `FileEvaluator`.
    """

    def __init__(self, images: Images, codes: np.ndarray, sample_weight: np.ndarray | None) -> None:
        weights = np.ones(len(images)) if sample_weight is None else np.asarray(sample_weight, np.float64)
        if not len(images) == len(codes) == len(weights) or not weights.sum() > 0:
            raise InvalidDataError(
                "`images`, `codes` and `sample_weight` must be of one length, and the weights positive in sum. "
                f"Received: lengths={(len(images), len(codes), len(weights))}, sum={weights.sum():g}"
            )
        self._codes = np.asarray(codes)
        self._weights = weights

    def __call__(self, probabilities: np.ndarray) -> dict[str, float]:
        """`val_accuracy` and `val_loss` of probabilities `(n, num_classes)`.

        Raises:
            ExportError: If they are not finite, or not of these images and classes.
        """
        count, classes = len(self._codes), int(self._codes.max()) + 1
        shape = probabilities.shape
        if len(shape) != 2 or shape[0] != count or shape[1] < classes or not np.isfinite(probabilities).all():
            raise ExportError(
                f"Results must be finite probabilities of shape ({count}, {classes} or more). "
                f"Received: shape={shape}, finite={bool(np.isfinite(probabilities).all())}"
            )
        right = probabilities[np.arange(count), self._codes].astype(np.float64)
        losses = -np.log(np.clip(right, LEAST_PROBABILITY, 1.0))
        hits = probabilities.argmax(axis=1) == self._codes
        return {
            "val_accuracy": float(np.average(hits, weights=self._weights)),
            "val_loss": float(np.average(losses, weights=self._weights)),
        }
