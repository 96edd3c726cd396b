"""Predictions of a network for many images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from automl_keras.data import Images, images_at_once

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 250


class Predictor:
    """Asks a network again and again, with the weights that it has then; it is traced once.

    Args:
        model: Takes raw pixels.
        image_shape: Of the images.
        batch_size: How many it is shown at once.
    """

    def __init__(self, model: keras.Model, image_shape: tuple[int, ...], batch_size: int) -> None:
        self._batch_size = batch_size
        self._run = tf.function(lambda batch: model(batch, training=False)).get_concrete_function(
            tf.TensorSpec((batch_size, *image_shape), tf.float32)
        )

    def __call__(self, images: Images) -> np.ndarray:
        """Outputs of the network, float32 of shape (n, outputs), in evaluation mode.

        The last batch is filled up to the size of the others.

        Args:
            images: (n, height, width, channels), at least one.
        """
        size = self._batch_size
        filled = np.resize(np.arange(len(images)), -(-len(images) // size) * size)
        batches = [
            self._run(tf.constant(images[filled[start : start + size]], tf.float32)).numpy()
            for start in range(0, len(filled), size)
        ]
        return np.concatenate(batches)[: len(images)].astype(np.float32)


def predict(model: keras.Model, images: Images) -> np.ndarray:
    """Outputs of a network, float32 of shape (n, outputs), in evaluation mode.

    Args:
        model: Takes raw pixels.
        images: (n, height, width, channels), at least one.
    """
    return Predictor(model, images.shape[1:], min(images_at_once(BATCH_SIZE, images.shape[1:]), len(images)))(images)
