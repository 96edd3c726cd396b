"""A convolution with BatchNorm whose subnets use slices of one kernel."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import keras
import tensorflow as tf

from automl_keras.search_space.network import BN_EPSILON, ConvSpec

Size: TypeAlias = int | tf.Tensor
Mode = Literal["train", "calibrate", "evaluate"]


class SharedConv(keras.layers.Layer):
    """The weights of a convolution at its largest, used through slices.

    A subnet takes the centre of the kernel and the first channels (Cai et al., ICLR 2020, section
    3.3, without the kernel transformation). BatchNorm uses the statistics of the batch while
    training and leaves the stored ones alone; they belong to one subnet and are set by calibration.

    Args:
        spec: The convolution at its largest sizes.
        seed: Seeds the initial kernel.
    """

    def __init__(self, spec: ConvSpec, *, seed: int) -> None:
        super().__init__(name=spec.name)
        self.spec = spec
        self.seed = seed
        self.supports_jit = False

    def build(self) -> None:
        """Make the weights."""
        spec = self.spec
        depthwise = spec.kind == "depthwise"
        shape = (spec.kernel, spec.kernel, spec.in_channels, 1 if depthwise else spec.out_channels)
        self.kernel = self.add_weight(
            shape=shape, initializer=keras.initializers.HeNormal(seed=self.seed), name="kernel"
        )
        channels = (spec.out_channels,)
        self.gamma = self.add_weight(shape=channels, initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=channels, initializer="zeros", name="beta")
        self.mean = self.add_weight(shape=channels, initializer="zeros", trainable=False, name="mean")
        self.variance = self.add_weight(shape=channels, initializer="ones", trainable=False, name="variance")
        self.built = True

    def convolve(
        self,
        x: tf.Tensor,
        *,
        kernel: Size,
        in_channels: Size,
        out_channels: Size,
        stride: Size,
        mode: Mode,
        rate: tf.Tensor,
    ) -> tf.Tensor:
        """Convolution, BatchNorm and, if the spec says so, ReLU, at the given sizes.

        Args:
            x: (batch, height, width, in_channels).
            kernel: Side of the centre of the kernel to use.
            in_channels: Number of first input channels to use.
            out_channels: Number of first output channels to use.
            stride: 1 or 2.
            mode: "train": statistics of the batch. "calibrate": as "train", and the stored statistics
                move towards the batch's by `rate`. "evaluate": stored statistics.
            rate: In (0, 1], read in mode "calibrate"; `1 / k` in the k-th batch makes a plain mean.
        """
        margin = (self.spec.kernel - kernel) // 2
        weights = self.kernel.value[margin : margin + kernel, margin : margin + kernel, :in_channels]
        if self.spec.kind == "conv":
            weights = weights[..., :out_channels]
        if isinstance(stride, int):
            x = self._convolved(x, weights, stride)
        else:  # the strides of an operation are fixed when it is traced
            x = tf.cond(stride == 1, lambda: self._convolved(x, weights, 1), lambda: self._convolved(x, weights, 2))
        x = self._normalize(x, out_channels, mode, rate)
        return tf.nn.relu(x) if self.spec.activation else x

    def _convolved(self, x: tf.Tensor, weights: tf.Tensor, stride: int) -> tf.Tensor:
        if self.spec.kind == "depthwise":
            return tf.nn.depthwise_conv2d(x, weights, strides=(1, stride, stride, 1), padding="SAME")
        return tf.nn.conv2d(x, weights, strides=stride, padding="SAME")

    def _normalize(self, x: tf.Tensor, channels: Size, mode: Mode, rate: tf.Tensor) -> tf.Tensor:
        stored = mode == "evaluate"
        result = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=self.gamma.value[:channels],
            offset=self.beta.value[:channels],
            mean=self.mean.value[:channels] if stored else tf.zeros((0,)),
            variance=self.variance.value[:channels] if stored else tf.zeros((0,)),
            epsilon=BN_EPSILON,
            is_training=not stored,
        )
        if mode == "calibrate":
            for variable, batch in ((self.mean, result.batch_mean), (self.variance, result.batch_variance)):
                padded = tf.pad(batch, [[0, self.spec.out_channels - channels]])
                variable.value.assign_add(rate * (padded - variable.value))
        return result.y

    def slices(self, spec: ConvSpec) -> Iterator[tuple[str, keras.Variable, tuple[slice, ...]]]:
        """For each weight of a smaller convolution: its name, the shared variable, and the part it uses."""
        margin = (self.spec.kernel - spec.kernel) // 2
        centre = slice(margin, margin + spec.kernel)
        out = slice(spec.out_channels)
        kernel_out = slice(1) if spec.kind == "depthwise" else out
        yield "kernel", self.kernel, (centre, centre, slice(spec.in_channels), kernel_out)
        yield "gamma", self.gamma, (out,)
        yield "beta", self.beta, (out,)
        yield "moving_mean", self.mean, (out,)
        yield "moving_variance", self.variance, (out,)
