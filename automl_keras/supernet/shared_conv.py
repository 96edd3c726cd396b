"""A convolution with BatchNorm whose subnets use slices of one kernel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import keras
import tensorflow as tf

from automl_keras.search_space.network import BN_EPSILON, ConvSpec

Size: TypeAlias = int | tf.Tensor
Mode = Literal["train", "calibrate", "evaluate"]


class SharedConv(keras.layers.Layer):
    """The weights of a convolution at its largest, used through slices.

    A subnet takes the first channels and the centre of the kernel, which may be transformed (Cai et al., ICLR
    2020, section 3.3): the centre of the next larger kernel, flattened, times a square matrix that is trained with
    the weights and starts as the identity; one matrix for each side, the same for all channels. The paper
    transforms depthwise kernels; here those of full convolutions are transformed in the same way.

    BatchNorm uses the statistics of the batch while training and leaves the stored ones alone; they belong to one
    subnet and are set by calibration.

    Args:
        spec: The convolution at its largest sizes.
        seed: Seeds the initial kernel.
        transformed: Smaller sides of the kernel that get a matrix; without any, kernels are plain centres.
    """

    def __init__(self, spec: ConvSpec, *, seed: int, transformed: Sequence[int] = ()) -> None:
        super().__init__(name=spec.name)
        self.spec = spec
        self.seed = seed
        self.transformed = tuple(sorted(transformed, reverse=True))
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
        self.transforms: dict[int, keras.Variable] = {
            side: self.add_weight(
                shape=(side * side, side * side), initializer=keras.initializers.Identity(), name=f"transform_{side}"
            )
            for side in self.transformed
        }
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
            kernel: Side of the kernel to use.
            in_channels: Number of first input channels to use.
            out_channels: Number of first output channels to use.
            stride: 1 or 2.
            mode: "train": statistics of the batch. "calibrate": as "train", and the stored statistics
                move towards the batch's by `rate`. "evaluate": stored statistics.
            rate: In (0, 1], read in mode "calibrate"; `1 / k` in the k-th batch makes a plain mean.
        """
        weights = self._kernel_at(kernel, in_channels, out_channels)
        if isinstance(stride, int):
            x = self._convolved(x, weights, stride)
        else:  # the strides of an operation are fixed when it is traced
            x = tf.cond(stride == 1, lambda: self._convolved(x, weights, 1), lambda: self._convolved(x, weights, 2))
        x = self._normalize(x, out_channels, mode, rate)
        return tf.nn.relu(x) if self.spec.activation else x

    def _kernel_at(self, side: Size, in_channels: Size, out_channels: Size) -> tf.Tensor:
        weights = self.kernel.value[:, :, :in_channels]
        if self.spec.kind == "conv":
            weights = weights[..., :out_channels]
        if not self.transforms:
            return _centre(weights, self.spec.kernel, side)
        if isinstance(side, int):
            return self._transformed_to(side, weights)
        sides = (self.spec.kernel, *self.transforms)
        branches = [lambda fixed=fixed: self._transformed_to(fixed, weights) for fixed in sides]
        place = tf.argmax(tf.cast(tf.equal(sides, side), tf.int32), output_type=tf.int32)
        return tf.switch_case(place, branches)

    def _transformed_to(self, side: int, weights: tf.Tensor) -> tf.Tensor:
        """The kernel of a side from the one of the largest side, through all sides between."""
        present = self.spec.kernel
        for smaller, matrix in self.transforms.items():
            if smaller < side:
                break
            centre = _centre(weights, present, smaller)
            # One column for each pair of channels: every one is multiplied by the same matrix.
            columns = tf.matmul(matrix.value, tf.reshape(centre, (smaller * smaller, -1)))
            weights, present = tf.reshape(columns, tf.shape(centre)), smaller
        return weights

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

    def values(self, spec: ConvSpec) -> Iterator[tuple[str, tf.Tensor]]:
        """For each weight of a smaller convolution: its name and the value that the supernet uses in its place."""
        yield "kernel", self._kernel_at(spec.kernel, spec.in_channels, spec.out_channels)
        shared = {"gamma": self.gamma, "beta": self.beta, "moving_mean": self.mean, "moving_variance": self.variance}
        for name, variable in shared.items():
            yield name, variable.value[: spec.out_channels]


def _centre(weights: tf.Tensor, side: Size, smaller: Size) -> tf.Tensor:
    margin = (side - smaller) // 2
    part = slice(margin, margin + smaller)
    return weights[part, part]
