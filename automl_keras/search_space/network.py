"""What a network consists of, and the Keras model made from it.

A `NetworkSpec` is the one description of the layers: the Keras model, the supernets'
weights and the cost formulas are all read from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import keras

    from automl_keras.data import DatasetInfo

BN_EPSILON = 1e-3
BN_MOMENTUM = 0.9  # short trainings: statistics must follow the weights quickly
INPUT = "normalize"  # the layer that normalises the image


@dataclass(frozen=True)
class ConvSpec:
    """A convolution without bias, followed by BatchNorm and, if `activation`, ReLU.

    Attributes:
        name: The layer's name; unique in a network, and among all networks of a space that share its weights.
        kind: "conv", "depthwise" (then `in_channels == out_channels`), or "scale": a depthwise 1x1 convolution
            whose kernel stays 1, so that BatchNorm alone counts. In a file BatchNorm folds into it and has a scale
            for each channel; on its own it would become a multiplication and an addition with one for all.
        kernel: Side of the square kernel. Padding is "same".
        stride: Stride in both directions.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        activation: Whether a ReLU follows.
        bits: With which a file is to store the kernel, where architecture and bits are searched together.
    """

    name: str
    kind: Literal["conv", "depthwise", "scale"]
    kernel: int
    stride: int
    in_channels: int
    out_channels: int
    activation: bool
    bits: int = 8


@dataclass(frozen=True)
class PoolSpec:
    """Average or maximum over squares of side `size`, moved by `stride`. What padding adds does not count."""

    name: str
    kind: Literal["average", "max"]
    size: int
    stride: int


@dataclass(frozen=True)
class AddSpec:
    """The sum of two outputs of one shape."""

    name: str


LayerSpec: TypeAlias = ConvSpec | PoolSpec | AddSpec


@dataclass(frozen=True)
class PlacedLayer:
    """A layer in its network.

    Attributes:
        spec: What it computes.
        inputs: The names of the layers whose outputs it reads; `INPUT` is the normalised image.
        shape: Of its output, `(height, width, channels)`.
    """

    spec: LayerSpec
    inputs: tuple[str, ...]
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class NetworkSpec(ABC):
    """All layers of a network: normalisation, those of a subclass, global average pooling, dense logits."""

    image_shape: tuple[int, int, int]
    num_classes: int

    @abstractmethod
    def connections(self) -> Iterator[tuple[LayerSpec, tuple[str, ...]]]:
        """The layers between normalisation and pooling, each with the names of those whose outputs it reads.

        They come in the order they run; the last one's output is pooled. `INPUT` is the normalised image.
        """

    @cached_property
    def layers(self) -> tuple[PlacedLayer, ...]:
        """The layers between normalisation and pooling, in the order they run."""
        shapes = {INPUT: self.image_shape}
        placed = []
        for spec, inputs in self.connections():
            height, width, channels = shapes[inputs[0]]
            if not isinstance(spec, AddSpec):
                height, width = -(-height // spec.stride), -(-width // spec.stride)
            if isinstance(spec, ConvSpec):
                channels = spec.out_channels
            shapes[spec.name] = (height, width, channels)
            placed.append(PlacedLayer(spec, inputs, shapes[spec.name]))
        return tuple(placed)

    @property
    def features(self) -> int:
        """Number of inputs of the dense layer."""
        return self.layers[-1].shape[2]

    def convs(self) -> Iterator[tuple[ConvSpec, tuple[int, int]]]:
        """Every convolution in order, with the (height, width) of its output."""
        for layer in self.layers:
            if isinstance(layer.spec, ConvSpec):
                yield layer.spec, layer.shape[:2]


@dataclass(frozen=True)
class BlockSpec:
    """Consecutive convolutions; `residual` adds the block's input to its output."""

    stage: int
    index: int
    operation: str
    convs: tuple[ConvSpec, ...]
    residual: bool


@dataclass(frozen=True)
class StagedNetworkSpec(NetworkSpec):
    """A network of the image space: a stem, then blocks."""

    stem: ConvSpec
    blocks: tuple[BlockSpec, ...]

    def connections(self) -> Iterator[tuple[LayerSpec, tuple[str, ...]]]:
        """See `NetworkSpec`."""
        yield self.stem, (INPUT,)
        last = self.stem.name
        for block in self.blocks:
            block_input = last
            for conv in block.convs:
                yield conv, (last,)
                last = conv.name
            if block.residual:
                add = AddSpec(f"s{block.stage}b{block.index}_add")
                yield add, (block_input, last)
                last = add.name


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
    outputs = {INPUT: keras.layers.Rescaling(scale, offset, name=INPUT)(inputs)}
    seeds = iter(range(seed * 1000, seed * 1000 + 999))
    x = outputs[INPUT]
    for layer in spec.layers:
        read = [outputs[name] for name in layer.inputs]
        if isinstance(layer.spec, ConvSpec):
            x = _conv_layer(read[0], layer.spec, next(seeds))
        elif isinstance(layer.spec, PoolSpec):
            x = _pool_layer(read[0], layer.spec)
        else:
            x = keras.layers.Add(name=layer.spec.name)(read)
        outputs[layer.spec.name] = x
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    initializer = keras.initializers.GlorotUniform(seed=next(seeds))
    logits = keras.layers.Dense(spec.num_classes, kernel_initializer=initializer, name="logits")(x)
    return keras.Model(inputs, logits, name="network")


def _conv_layer(x: keras.KerasTensor, conv: ConvSpec, seed: int) -> keras.KerasTensor:
    import keras

    settings = {"strides": conv.stride, "padding": "same", "use_bias": False, "name": conv.name}
    initializer = keras.initializers.HeNormal(seed=seed)
    if conv.kind == "conv":
        layer = keras.layers.Conv2D(conv.out_channels, conv.kernel, kernel_initializer=initializer, **settings)
    elif conv.kind == "depthwise":
        layer = keras.layers.DepthwiseConv2D(conv.kernel, depthwise_initializer=initializer, **settings)
    else:
        layer = keras.layers.DepthwiseConv2D(conv.kernel, depthwise_initializer="ones", trainable=False, **settings)
    x = keras.layers.BatchNormalization(momentum=BN_MOMENTUM, epsilon=BN_EPSILON, name=f"{conv.name}_bn")(layer(x))
    return keras.layers.ReLU(name=f"{conv.name}_relu")(x) if conv.activation else x


def _pool_layer(x: keras.KerasTensor, pool: PoolSpec) -> keras.KerasTensor:
    import keras

    layer = keras.layers.AveragePooling2D if pool.kind == "average" else keras.layers.MaxPooling2D
    return layer(pool.size, strides=pool.stride, padding="same", name=pool.name)(x)
