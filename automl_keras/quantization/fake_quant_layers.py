"""Layers that round weights and activations as a quantized file does, with straight-through gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

FLOAT_BITS = 32
FLOAT16_BITS = 16
MAX_INTEGER_BITS = 8
MIN_RANGE = 1e-9  # the quantizer's: a channel or an activation that is always zero still has a scale
STEPS = 255  # between the 256 codes of an int8 activation
LOWEST_CODE, HIGHEST_CODE = -128, 127
TIE = 1e-3  # of a step: more than the error of an average, less than what tells averages of 300 values apart


def weight_scales(weights: tf.Tensor, bits: tf.Tensor, axes: Sequence[int]) -> tf.Tensor:
    """What a code of 1 means in each channel: max|w| / (2^(bits-1) - 1), as ai-edge-quantizer's `min_max` has it.

    Args:
        weights: float32.
        bits: int32 scalar, 2 to 8; float widths count as 8.
        axes: The axes that belong to one channel. They are kept, with length 1.
    """
    largest = tf.reduce_max(tf.abs(weights), axis=axes, keepdims=True)
    return tf.maximum(largest, MIN_RANGE) / tf.cast(_largest_code(bits), tf.float32)


def fake_quantize_weights(weights: tf.Tensor, bits: tf.Tensor, axes: Sequence[int]) -> tf.Tensor:
    """Weights on the grid of the file, in float32; the gradient passes straight through.

    Integers are symmetric per output channel: the code is w / scale, rounded half to even. A file stores the same
    codes. The scale counts as a constant, and no code lies outside the grid: the gradient is that of the weights
    themselves (Bengio et al., 2013, section 4, arXiv:1308.3432).

    Args:
        weights: float32.
        bits: int32 scalar: 2 to 8 (integers), 16 (float16) or 32 (as they are).
        axes: The axes that belong to one channel.
    """
    scales, limit = weight_scales(weights, bits, axes), tf.cast(_largest_code(bits), tf.float32)
    on_grid = tf.clip_by_value(tf.round(weights / scales), -limit, limit) * scales
    halves = tf.cast(tf.cast(weights, tf.float16), tf.float32)
    floats = tf.where(bits < FLOAT_BITS, halves, weights)
    return straight_through(weights, tf.where(bits <= MAX_INTEGER_BITS, on_grid, floats))


def straight_through(values: tf.Tensor, rounded: tf.Tensor) -> tf.Tensor:
    """Rounded values with the gradient of the values themselves.

    Exactly the rounded ones: where these are 0 or within a factor of 2 of the value, as rounding makes them, the
    difference has no error (Sterbenz's lemma). `tf.custom_gradient` would keep the graph of every trace for ever.
    """
    return values - tf.stop_gradient(values - rounded)


def _largest_code(bits: tf.Tensor) -> tf.Tensor:
    return tf.bitwise.left_shift(1, tf.minimum(bits, MAX_INTEGER_BITS) - 1) - 1


def int8_limits(lowest: float, highest: float) -> np.ndarray:
    """The smallest and largest value that an int8 activation represents, float32 of shape (2,).

    The quantizer's rule: zero is represented exactly, scale = (highest - lowest) / 255, and the zero point is
    rounded, which moves both limits by up to half a step (Jacob et al., CVPR 2018, section 3.1).
    """
    low, high = min(np.float32(lowest), np.float32(0)), max(np.float32(highest), np.float32(0))
    scale = max(high - low, np.float32(MIN_RANGE)) / np.float32(STEPS)
    zero_point = np.rint(np.float32(LOWEST_CODE) - low / scale)
    return np.array([(code - zero_point) * scale for code in (LOWEST_CODE, HIGHEST_CODE)], np.float32)


class FakeQuantized(keras.layers.Wrapper):
    """A layer of one kernel that computes with kernel and bias as a file stores them.

    Args:
        layer: Conv2D, DepthwiseConv2D or Dense.

    Attributes:
        bits: How the kernel is stored; see `fake_quantize_weights`. A variable: changing it traces nothing anew.
        input_scale: Of the int8 input; 0 where the layer computes in float. The file stores the bias in units of
            input scale times weight scale.
    """

    def __init__(self, layer: keras.layers.Layer, **settings: Any) -> None:
        super().__init__(layer, **{"name": layer.name, "trainable": layer.trainable, **settings})
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)  # (height, width, channels, multiplier)
        self._channel_axes = 2 if depthwise else 1

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the weights of the layer, the bits and the scale."""
        super().build(input_shape)
        constant = keras.initializers.Constant(FLOAT_BITS)
        self.bits = self.add_weight(shape=(), dtype="int32", initializer=constant, trainable=False, name="bits")
        self.input_scale = self.add_weight(shape=(), initializer="zeros", trainable=False, name="input_scale")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """That of the layer."""
        return self.layer.compute_output_shape(input_shape)

    def stored_kernel(self) -> tf.Tensor:
        """The kernel on its grid."""
        kernel = tf.convert_to_tensor(self.layer.kernel)
        return fake_quantize_weights(kernel, tf.convert_to_tensor(self.bits), self._inner_axes)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """What the layer computes with the stored kernel and bias."""
        layer = self.layer
        stored = {id(layer.kernel): self.stored_kernel()}
        if layer.use_bias:
            stored[id(layer.bias)] = self._stored_bias()
        trainable, others = (
            [stored.get(id(variable), variable) for variable in variables]
            for variables in (layer.trainable_variables, layer.non_trainable_variables)
        )
        outputs, _ = layer.stateless_call(trainable, others, inputs)
        return outputs

    def _stored_bias(self) -> tf.Tensor:
        kernel, bias = tf.convert_to_tensor(self.layer.kernel), tf.convert_to_tensor(self.layer.bias)
        scales = weight_scales(kernel, tf.convert_to_tensor(self.bits), self._inner_axes)
        input_scale = tf.convert_to_tensor(self.input_scale)
        steps = tf.reshape(scales, [-1]) * tf.where(input_scale > 0.0, input_scale, 1.0)
        return straight_through(bias, tf.where(input_scale > 0.0, tf.round(bias / steps) * steps, bias))

    @property
    def _inner_axes(self) -> list[int]:
        """The axes of the kernel that belong to one channel."""
        return list(range(len(self.layer.kernel.shape) - self._channel_axes))


class ActivationQuantizer(keras.layers.Layer):
    """Rounds an activation to 256 values, if it is switched on; the gradient passes between the limits.

    Attributes:
        limits: The smallest and the largest value; see `int8_limits`.
        enabled: Whether anything is rounded.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the variables."""
        self.limits = self.add_weight(shape=(2,), initializer="zeros", trainable=False, name="limits")
        self.enabled = self.add_weight(shape=(), dtype="bool", initializer="zeros", trainable=False, name="enabled")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's."""
        return input_shape

    def scale(self) -> float:
        """The step between two values."""
        low, high = self.limits.numpy()
        return float((high - low) / np.float32(STEPS))

    def call(self, inputs: tf.Tensor, *, averaged: bool = False) -> tf.Tensor:
        """Round and clip; `averaged` values as the runtime's average pooling rounds, where ties are frequent."""
        low, high = tf.unstack(tf.convert_to_tensor(self.limits))
        if averaged:  # ties away from code 0
            step = (high - low) / STEPS
            inputs += tf.sign(inputs - (low - LOWEST_CODE * step)) * (TIE * step)
        return tf.cond(
            tf.convert_to_tensor(self.enabled),
            lambda: tf.quantization.fake_quant_with_min_max_vars(inputs, low, high),
            lambda: inputs,
        )


class StoredOperand(keras.layers.Layer):
    """Multiplies by constants or adds them, which a file stores in int8 with one scale for all.

    Args:
        values: One for each channel, or one for all.
        operation: "multiply" or "add".

    Attributes:
        enabled: Whether the constants are rounded.
    """

    def __init__(self, values: Sequence[float], operation: str, **settings: Any) -> None:
        super().__init__(**settings)
        self.values = np.asarray(values, np.float32)
        self.operation = operation
        low, high = int8_limits(self.values.min(), self.values.max())
        scale = (high - low) / np.float32(STEPS)
        self._stored = np.rint(self.values / scale) * scale

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Make the variable."""
        self.enabled = self.add_weight(shape=(), dtype="bool", initializer="zeros", trainable=False, name="enabled")

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """The input's."""
        return input_shape

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Compute with the constants."""
        values = tf.where(tf.convert_to_tensor(self.enabled), self._stored, self.values)
        return inputs * values if self.operation == "multiply" else inputs + values

    def get_config(self) -> dict[str, Any]:
        """The settings."""
        return {**super().get_config(), "values": self.values.tolist(), "operation": self.operation}
