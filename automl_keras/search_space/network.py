"""What a network of the image space consists of, and the Keras model made from it.

A `NetworkSpec` is the one description of the layers: the Keras model, the supernet's
slices and the cost formulas are all read from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import keras

    from automl_keras.data import DatasetInfo

BN_EPSILON = 1e-3
BN_MOMENTUM = 0.9  # short trainings: statistics must follow the weights quickly


@dataclass(frozen=True)
class ConvSpec:
    """A convolution without bias, followed by BatchNorm and, if `activation`, ReLU.

    Attributes:
        name: The layer's name; unique per stage, block, operation and place in the block.
        kind: "conv", or "depthwise" (then `in_channels == out_channels`).
        kernel: Side of the square kernel. Padding is "same".
        stride: Stride in both directions.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        activation: Whether a ReLU follows.
    """

    name: str
    kind: Literal["conv", "depthwise"]
    kernel: int
    stride: int
    in_channels: int
    out_channels: int
    activation: bool


@dataclass(frozen=True)
class BlockSpec:
    """Consecutive convolutions; `residual` adds the block's input to its output."""

    stage: int
    index: int
    operation: str
    convs: tuple[ConvSpec, ...]
    residual: bool


@dataclass(frozen=True)
class NetworkSpec:
    """All layers of a network: stem, blocks, global average pooling, dense logits."""

    image_shape: tuple[int, int, int]
    num_classes: int
    stem: ConvSpec
    blocks: tuple[BlockSpec, ...]

    @property
    def features(self) -> int:
        """Number of inputs of the dense layer."""
        return self.blocks[-1].convs[-1].out_channels

    def convs(self) -> Iterator[tuple[ConvSpec, tuple[int, int]]]:
        """Every convolution in order, with the (height, width) of its output."""
        height, width, _ = self.image_shape
        for conv in (self.stem, *(conv for block in self.blocks for conv in block.convs)):
            height, width = -(-height // conv.stride), -(-width // conv.stride)
            yield conv, (height, width)


def block_convs(
    name: str,
    operation: str,
    *,
    kernel: int,
    expansion: int,
    stride: int,
    in_channels: int,
    out_channels: int,
    first: bool,
) -> tuple[ConvSpec, ...]:
    """The convolutions of one block.

    - residual: one convolution in the first block of a stage, a pair with a skip around it in the
      others (basic block of He et al., CVPR 2016, section 3.3);
    - mbconv: 1x1 expansion, depthwise, linear 1x1 projection (Sandler et al., CVPR 2018, section 3);
    - fused_mbconv: expansion and depthwise fused into one convolution (Tan and Le, ICML 2021, section 3.2).
    """
    middle = in_channels * expansion
    if operation == "residual":
        convs = [ConvSpec(f"{name}_res1", "conv", kernel, stride, in_channels, out_channels, activation=True)]
        if not first:
            convs.append(ConvSpec(f"{name}_res2", "conv", kernel, 1, out_channels, out_channels, activation=True))
    elif operation == "fused_mbconv":
        convs = [
            ConvSpec(f"{name}_fused1", "conv", kernel, stride, in_channels, middle, activation=True),
            ConvSpec(f"{name}_fused2", "conv", 1, 1, middle, out_channels, activation=False),
        ]
    else:
        convs = [
            ConvSpec(f"{name}_mb1", "conv", 1, 1, in_channels, middle, activation=True),
            ConvSpec(f"{name}_mb2", "depthwise", kernel, stride, middle, middle, activation=True),
            ConvSpec(f"{name}_mb3", "conv", 1, 1, middle, out_channels, activation=False),
        ]
    return tuple(convs)


def build_network(spec: NetworkSpec, info: DatasetInfo, *, seed: int) -> keras.Model:
    """The Keras model of a spec.

    Input: raw pixels in the user's units, float32 of shape `(batch, height, width, channels)`;
    normalisation is the first layer. Output: logits of shape `(batch, num_classes)`.

    Args:
        spec: The layers.
        info: The pixel statistics for the normalisation.
        seed: Seeds the initial weights, one seed for each layer.
    """
    import keras

    inputs = keras.Input(spec.image_shape, name="image")
    scale = [1.0 / std for std in info.pixel_std]
    offset = [-mean / std for mean, std in zip(info.pixel_mean, info.pixel_std, strict=True)]
    x = keras.layers.Rescaling(scale, offset, name="normalize")(inputs)
    seeds = iter(range(seed * 1000, seed * 1000 + 999))
    x = _conv_layer(x, spec.stem, next(seeds))
    for block in spec.blocks:
        y = x
        for conv in block.convs:
            y = _conv_layer(y, conv, next(seeds))
        x = keras.layers.Add(name=f"s{block.stage}b{block.index}_add")([x, y]) if block.residual else y
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    initializer = keras.initializers.GlorotUniform(seed=next(seeds))
    logits = keras.layers.Dense(spec.num_classes, kernel_initializer=initializer, name="logits")(x)
    return keras.Model(inputs, logits, name="network")


def _conv_layer(x: keras.KerasTensor, conv: ConvSpec, seed: int) -> keras.KerasTensor:
    import keras

    settings = {"strides": conv.stride, "padding": "same", "use_bias": False, "name": conv.name}
    initializer = keras.initializers.HeNormal(seed=seed)
    if conv.kind == "depthwise":
        layer = keras.layers.DepthwiseConv2D(conv.kernel, depthwise_initializer=initializer, **settings)
    else:
        layer = keras.layers.Conv2D(conv.out_channels, conv.kernel, kernel_initializer=initializer, **settings)
    x = keras.layers.BatchNormalization(momentum=BN_MOMENTUM, epsilon=BN_EPSILON, name=f"{conv.name}_bn")(layer(x))
    return keras.layers.ReLU(name=f"{conv.name}_relu")(x) if conv.activation else x
