"""Quick and noisy scores for what learns in thousands of them: each subnet on one minibatch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from automl_keras.data import Images, images_at_once
from automl_keras.search_space import Architecture
from automl_keras.supernet.supernet import Supernet

BATCH_SIZE = 128
MAX_IMAGES = 4096
MAX_BYTES = 1 << 26


class MinibatchScorer:
    """Score of subnets on single minibatches of validation images, with the BatchNorm statistics of the minibatch.

    So ENAS rewards its controller (Pham et al., ICML 2018, section 2.2): a score costs one pass over one
    minibatch, and no statistics are changed. One traced graph serves all subnets.

    Args:
        supernet: Whose subnets to score.
        images: (n, height, width, channels), raw pixels; at most 4,096 drawn ones that take no more than
            64 MB are used, but always one minibatch.
        codes: Their targets, such as (n,) class indices.
        sample_weight: (n,), how much each image counts; `None` if all count the same.
        seed: Decides the draw and the minibatches.
    """

    def __init__(
        self,
        supernet: Supernet,
        images: Images,
        codes: np.ndarray,
        sample_weight: np.ndarray | None = None,
        *,
        seed: int = 0,
    ) -> None:
        self.supernet = supernet
        size = min(images_at_once(BATCH_SIZE, images.shape[1:]), len(images))
        order = np.random.default_rng((seed, MAX_IMAGES)).permutation(len(images))
        most = min(len(images), MAX_IMAGES, MAX_BYTES // images[:1].nbytes)
        order = order[: max(1, most // size) * size]
        self.num_batches = len(order) // size
        self._images = tf.reshape(tf.constant(images[order]), (self.num_batches, size, *images.shape[1:]))
        self._codes = tf.reshape(tf.constant(codes[order]), (self.num_batches, size, *codes.shape[1:]))
        weights = np.ones(len(order)) if sample_weight is None else sample_weight[order]
        self._weights = tf.reshape(tf.constant(weights, tf.float32), (self.num_batches, size))
        self._scores = tf.function(
            self._score,
            input_signature=[
                tf.TensorSpec((None, len(supernet.space.decisions)), tf.int32),
                tf.TensorSpec((), tf.int32),
            ],
        )

    def scores(self, architectures: Sequence[Architecture], number: int) -> np.ndarray:
        """The weighted score of each architecture, in [0, 1], float64 of shape (architectures,).

        Where all images of a minibatch have weight 0, it is 0.

        Args:
            architectures: Of the supernet's space.
            number: Of the first one's minibatch; the others take the next ones, round and round.
        """
        space = self.supernet.space
        paths = np.stack([space.encode(architecture) for architecture in architectures]).astype(np.int32)
        return self._scores(tf.constant(paths), tf.constant(number % self.num_batches)).numpy().astype(np.float64)

    def _score(self, paths: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        scores = tf.TensorArray(tf.float32, size=tf.shape(paths)[0])
        for place in tf.range(tf.shape(paths)[0]):
            # One after the other, as in training: oneDNN's BatchNorm must not run at two widths at once.
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            batch = (number + place) % self.num_batches
            logits = self.supernet.forward(self._images[batch], paths[place], "train")
            score = self.supernet.info.task.batch_score(logits, self._codes[batch], self._weights[batch])
            scores = scores.write(place, score)
        return scores.stack()
