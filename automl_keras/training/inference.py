"""Predictions of a network for many images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from automl_keras.data import Images

if TYPE_CHECKING:
    import keras

BATCH_SIZE = 250


def predict(model: keras.Model, images: Images) -> np.ndarray:
    """Outputs of a network, float32 of shape (n, outputs), in evaluation mode.

    Traced once; the last batch is filled up to the size of the others.

    Args:
        model: Takes raw pixels.
        images: (n, height, width, channels), at least one.
    """
    size = min(BATCH_SIZE, len(images))
    run = tf.function(lambda batch: model(batch, training=False)).get_concrete_function(
        tf.TensorSpec((size, *images.shape[1:]), tf.float32)
    )
    filled = np.resize(np.arange(len(images)), -(-len(images) // size) * size)
    batches = [
        run(tf.constant(images[filled[start : start + size]], tf.float32)).numpy()
        for start in range(0, len(filled), size)
    ]
    return np.concatenate(batches)[: len(images)].astype(np.float32)
