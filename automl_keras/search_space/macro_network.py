"""The layers of a network of the macro space."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from automl_keras.search_space.network import INPUT, AddSpec, ConvSpec, LayerSpec, NetworkSpec, PoolSpec

# In the order of the code released for ENAS.
MACRO_OPERATIONS = (
    "conv_3x3",
    "separable_conv_3x3",
    "conv_5x5",
    "separable_conv_5x5",
    "average_pool_3x3",
    "max_pool_3x3",
)
MAX_FIRST_SIDE = 24  # the stem halves larger images until they fit


@dataclass(frozen=True)
class MacroNetworkSpec(NetworkSpec):
    """A network of the macro space: a stem, then layers with skip connections; see `MacroSearchSpace`.

    Attributes:
        num_filters: Channels of every layer.
        operations: Of each layer.
        skips: Of each layer, the earlier layers whose outputs are added to its own, in ascending order.
    """

    num_filters: int
    operations: tuple[str, ...]
    skips: tuple[tuple[int, ...], ...]

    def connections(self) -> Iterator[tuple[LayerSpec, tuple[str, ...]]]:
        """See `NetworkSpec`."""
        last = INPUT
        for conv in stem_convs(self.image_shape, self.num_filters):
            yield conv, (last,)
            last = conv.name
        ends = reductions(len(self.operations))
        outputs: dict[tuple[int, int], str] = {}  # of each layer, by how often it has been halved
        for layer, (operation, skips) in enumerate(zip(self.operations, self.skips, strict=True)):
            halved = sum(end < layer for end in ends)
            for spec in operation_layers(layer, operation, self.num_filters):
                yield spec, (last,)
                last = spec.name
            for source in skips:
                add = AddSpec(f"layer{layer}_add{source}")
                yield add, (last, outputs[source, halved])
                last = add.name
            if layer > 0:
                norm = norm_after_sum(layer, self.num_filters)
                yield norm, (last,)
                last = norm.name
            outputs[layer, halved] = last
            for end in ends[halved:]:
                if self.is_needed_after(end, layer):
                    for spec in reduction_layers(end, layer, self.num_filters):
                        yield spec, (last,)
                        last = spec.name
                    halved += 1
                    outputs[layer, halved] = last
            last = outputs[layer, sum(end <= layer for end in ends)]

    def is_needed_after(self, reduction: int, layer: int) -> bool:
        """Whether the output of `layer` is read after the reduction that follows layer `reduction`."""
        return layer == reduction or (
            layer < reduction and any(layer in skips for skips in self.skips[reduction + 1 :])
        )


def stem_convs(image_shape: tuple[int, int, int], num_filters: int) -> tuple[ConvSpec, ...]:
    """3x3 convolutions that halve the resolution until no side is above 24; one in any case."""
    height, width, channels = image_shape
    convs: list[ConvSpec] = []
    while not convs or max(height, width) > MAX_FIRST_SIDE:
        stride = 2 if max(height, width) > MAX_FIRST_SIDE else 1
        name = f"stem{len(convs) + 1}" if convs else "stem"
        convs.append(ConvSpec(name, "conv", 3, stride, channels, num_filters, activation=True))
        height, width, channels = -(-height // stride), -(-width // stride), num_filters
    return tuple(convs)


def operation_layers(layer: int, operation: str, num_filters: int) -> tuple[ConvSpec | PoolSpec, ...]:
    """What a layer does before skip connections are added: a 1x1 convolution, then the operation."""
    name = f"layer{layer}_{operation}"
    side = int(operation.rpartition("x")[2])

    def conv(
        place: str, kernel: int, *, kind: Literal["conv", "depthwise"] = "conv", activation: bool = True
    ) -> ConvSpec:
        return ConvSpec(f"{name}_{place}", kind, kernel, 1, num_filters, num_filters, activation)

    first = conv("in", 1)
    if operation.startswith("average_pool"):
        return first, PoolSpec(name, "average", side, 1)
    if operation.startswith("max_pool"):
        return first, PoolSpec(name, "max", side, 1)
    if operation.startswith("separable_conv"):
        return first, conv("depth", side, kind="depthwise", activation=False), conv("out", 1)
    return first, conv("out", side)


def norm_after_sum(layer: int, num_filters: int) -> ConvSpec:
    """The BatchNorm of a layer, behind its skip connections."""
    return ConvSpec(f"layer{layer}_norm", "scale", 1, 1, num_filters, num_filters, activation=False)


def reductions(num_layers: int) -> tuple[int, int]:
    """The layers after which the resolution is halved."""
    third = num_layers // 3
    return third - 1, 2 * third - 1


def reduction_layers(reduction: int, layer: int, num_filters: int) -> tuple[PoolSpec, ConvSpec]:
    """What halves the output of `layer` after layer `reduction`."""
    # The names come before "layer...": of all that it could run next, a converted file runs what is first in the
    # alphabet. So an output is halved as soon as it is there, and need not be kept at its full size.
    name = f"half{layer}_after{reduction}"
    return (
        PoolSpec(f"{name}_pool", "average", 2, 2),
        ConvSpec(name, "conv", 1, 1, num_filters, num_filters, activation=False),
    )
