"""A twin of a network that trains faster, with BatchNorm as one fused operation."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras's BatchNorm, in training as one fused operation instead of eight elementwise ones.

    The same weights; the moving variance takes the unbiased variance of the batch.
    """

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        """Normalise with the statistics of the batch in training, with the moving ones otherwise or if frozen."""
        if not training or not self.trainable:
            return super().call(inputs, training=training, mask=mask)
        result = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma.value,
            offset=self.beta.value,
            mean=tf.zeros((0,)),
            variance=tf.zeros((0,)),
            epsilon=self.epsilon,
            is_training=True,
        )
        for moving, batch in (
            (self.moving_mean.value, result.batch_mean),
            (self.moving_variance.value, result.batch_variance),
        ):
            moving.assign_sub((1.0 - self.momentum) * (moving - batch))
        return result.y


def fused_twin(model: keras.Model) -> keras.Model:
    """A copy of a functional model, weights included, that computes the same and trains faster.

    Its weights are in the order of the model's: `model.set_weights(twin.get_weights())` brings them back.
    """

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        kind = FusedBatchNormalization if type(layer) is keras.layers.BatchNormalization else type(layer)
        return kind.from_config(layer.get_config())

    twin = keras.models.clone_model(model, clone_function=copy)
    twin.set_weights(model.get_weights())
    for layer in twin.layers:
        if isinstance(layer, keras.layers.Normalization):  # it computes with values derived from its weights
            layer.finalize_state()
    return twin
