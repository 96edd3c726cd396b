"""Scoring subnets with inherited weights: BatchNorm recalibration, then the score, without new traces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from automl_keras.data import Images, images_at_once
from automl_keras.supernet.supernet import Supernet

BATCH_SIZE = 250
CALIBRATION_IMAGES = 1000


class SubnetScorer:
    """Score of any subnet on fixed images, such as its accuracy; all subnets run through the same two traced graphs.

    BatchNorm statistics of slices mean nothing until they are measured for the very subnet (Yu et al.,
    ICLR 2019, section 3.2; Cai et al., ICLR 2020, appendix), so each score first averages the statistics of a
    few batches of training images.

    Args:
        supernet: Whose subnets to score.
        calibration_images: (n, height, width, channels) training images; 1,000 drawn ones are used.
        images: (m, height, width, channels) images to score on.
        codes: Their targets, such as (m,) class indices.
        sample_weight: (m,), how much each image counts; `None` if all count the same.
        seed: Decides the draw.
    """

    def __init__(
        self,
        supernet: Supernet,
        calibration_images: Images,
        images: Images,
        codes: np.ndarray,
        sample_weight: np.ndarray | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.supernet = supernet
        # Drawn, not the first ones: data come sorted by class.
        order = np.random.default_rng((seed, CALIBRATION_IMAGES)).permutation(len(calibration_images))
        calibration_images = calibration_images[order[:CALIBRATION_IMAGES]]
        size = min(images_at_once(BATCH_SIZE, calibration_images.shape[1:]), len(calibration_images))
        self.calibration_batches = [
            tf.constant(calibration_images[start : start + size])
            for start in range(0, len(calibration_images) - size + 1, size)
        ]
        size = min(images_at_once(BATCH_SIZE, images.shape[1:]), len(images))
        # The last batch is filled up to the one static shape; the surplus is cut off below.
        filled = np.resize(np.arange(len(images)), -(-len(images) // size) * size)
        self._batches = [tf.constant(images[filled[start : start + size]]) for start in range(0, len(filled), size)]
        self._codes = codes
        self._sample_weight = sample_weight
        self._trace()

    def _trace(self) -> None:
        self.calibrate_batch = tf.function(self._calibrate_batch)
        self.predict_batch = tf.function(self._predict_batch)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the traced graphs, which another process has to trace anew."""
        return {name: value for name, value in vars(self).items() if name not in ("calibrate_batch", "predict_batch")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._trace()

    def _calibrate_batch(self, images: tf.Tensor, rate: tf.Tensor) -> None:
        self.supernet.forward(images, self.supernet.architecture_code.value, "calibrate", rate)

    def _predict_batch(self, images: tf.Tensor) -> tf.Tensor:
        return self.supernet(images, training=False)

    def calibrate(self, architecture: Mapping[str, Any]) -> None:
        """Set the supernet to an architecture and its BatchNorm statistics to those of this subnet."""
        self.supernet.set_architecture(architecture)
        for index, batch in enumerate(self.calibration_batches):
            self.calibrate_batch(batch, tf.constant(1.0 / (index + 1)))

    def score(self, architecture: Mapping[str, Any]) -> float:
        """What the task maximises, such as the weighted share of right answers; leaves the supernet as it was."""
        with self.supernet.preserved():
            self.calibrate(architecture)
            outputs = np.concatenate([self.predict_batch(batch).numpy() for batch in self._batches])
        return self.supernet.info.task.score(outputs[: len(self._codes)], self._codes, self._sample_weight)

    def subnet(self, architecture: Mapping[str, Any]) -> Any:
        """The calibrated subnet as an ordinary Keras model; leaves the supernet as it was."""
        with self.supernet.preserved():
            self.calibrate(architecture)
            return self.supernet.subnet(architecture)
