"""Measures a network again and again while it is trained, for callbacks that watch it."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from automl_keras.data import Dataset, Task, images_at_once
from automl_keras.training import Predictor
from automl_keras.training.inference import BATCH_SIZE

MAX_IMAGES = 1000


def make_validation(model: keras.Model, task: Task, data: Dataset) -> Callable[[], dict[str, float]]:
    """A function that measures a network with the weights it has then: `val_loss` and the metrics of its task.

    Args:
        model: Raw pixels to outputs.
        task: What it has learnt.
        data: At most 1,000 of these images are taken, spread evenly.
    """
    count = min(data.num_examples, MAX_IMAGES)
    sample = data.take(np.linspace(0, data.num_examples - 1, count).astype(int))
    outputs_of = Predictor(model, sample.images.shape[1:], min(images_at_once(BATCH_SIZE, sample.image_shape), count))

    def validate() -> dict[str, float]:
        outputs = outputs_of(sample.images)
        losses = task.losses(tf.constant(outputs), tf.constant(sample.codes)).numpy()
        metrics = {"loss": float(np.average(losses, weights=sample.sample_weight))}
        metrics |= task.metrics(outputs, sample.codes, sample.sample_weight)
        return {f"val_{name}": value for name, value in metrics.items()}

    return validate
