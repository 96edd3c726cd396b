"""What a network needs of a phone, computed from its layers alone: the feasibility test of a search."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Generic, Literal, TypeVar

from automl_keras.data import DatasetInfo
from automl_keras.evaluation.cost import Cost
from automl_keras.evaluation.file_types import FILE_TYPES, FileType, Quantization
from automl_keras.evaluation.latency_table import LatencyTable
from automl_keras.search_space import INPUT, AddSpec, ConvSpec, NetworkSpace, NetworkSpec, PoolSpec

# Bytes of an exported int8 file beyond weights and names, fitted to 100 architectures, most of them random, of
# image and macro spaces (`benchmarks/predicted_size.py` checks them on others).
FILE_BYTES = 2343  # input, normalization, pooling, dense, softmax, metadata
KIND_BYTES = 79  # of depthwise convolutions, average pools and maximum pools, if there are any
CONV_BYTES = 243  # tensors and operation
ADD_BYTES = 95
POOL_BYTES = 89
SHAPE_BYTES = 52  # of every distinct shape of an activation
CHANNEL_BYTES = 12  # float32 scales of weights and bias, int32 bias
ZERO_POINT_BYTES = 8  # int64; layers with equally many channels share them
PIXEL_BYTES = {"uint8": 1, "float32": 4}


SpaceT_co = TypeVar("SpaceT_co", bound=NetworkSpace, covariant=True)


class CostPredictor(Generic[SpaceT_co]):
    """The predicted cost of architectures of a space, for the files of one data set.

    Args:
        space: The networks.
        info: Pixel type and labels, which the file holds.
        latency_table: For `latency_ms`, which is `None` without it.
        quantization: What files it is the cost of.
    """

    def __init__(
        self,
        space: SpaceT_co,
        info: DatasetInfo,
        latency_table: LatencyTable | None = None,
        *,
        quantization: Quantization = "int8",
    ) -> None:
        self.space = space
        self.info = info
        self.latency_table = latency_table
        self.quantization = quantization
        self._class_names = [str(label) for label in info.classes]

    def __call__(self, architecture: Mapping[str, Any]) -> Cost:
        """As `network_cost`, and the latency as the table predicts it."""
        spec = self.space.network_spec(architecture)
        cost = network_cost(
            spec,
            input_dtype=self.info.input_dtype,
            class_names=self._class_names,
            quantization=self.quantization,
        )
        if self.latency_table is None:
            return cost
        return replace(
            cost,
            latency_ms=self.latency_table.predict(
                spec, input_dtype=self.info.input_dtype, quantization=self.quantization
            ),
        )


def network_cost(
    spec: NetworkSpec,
    *,
    input_dtype: Literal["uint8", "float32"] = "uint8",
    class_names: Sequence[str] | None = None,
    quantization: Quantization = "int8",
) -> Cost:
    """Parameters, MACs, size and memory of a network's file, without making it.

    `params` (weights and biases, BatchNorm folded into them) and `macs` are exact; `bit_ops` are MACs times the bits
    of weights and activations, exact but for "mixed". `ram_kb` is what `TFLiteReport.ram_kb` will be; `size_kb` is
    within 1 % of the file's size, and for "mixed" a guess. Takes a small fraction of a millisecond.

    Args:
        spec: The layers.
        input_dtype: Pixel type of the file.
        class_names: The labels stored in the file; "0", "1", ... by default.
        quantization: How the file stores weights and activations.
    """
    file = FILE_TYPES[quantization]
    dense = spec.features * spec.num_classes
    dense_bits = file.depthwise_bits if file.weight_bits is None else file.weight_bits
    weights = macs = dense
    weights_bits = bit_macs = dense * dense_bits
    for conv, (height, width) in spec.convs():
        kernel, bits = _kernel_size(conv), _weight_bits(conv, file)
        weights, weights_bits = weights + kernel, weights_bits + kernel * bits
        macs, bit_macs = macs + kernel * height * width, bit_macs + kernel * height * width * bits
    num_convs = sum(1 for _ in spec.convs())
    biases = sum(conv.out_channels for conv, _ in spec.convs()) + spec.num_classes
    names = [str(index) for index in range(spec.num_classes)] if class_names is None else class_names
    size = (
        weights_bits // 8
        + _overhead(spec, biases)
        + sum(len(name.encode()) + 1 for name in names)
        + file.file_bytes
        + file.conv_bytes * num_convs
        + round(file.channel_bytes * biases)
    )
    return Cost(
        params=weights + biases,
        macs=macs,
        size_kb=size / 1000,
        ram_kb=_peak_memory(spec, PIXEL_BYTES[input_dtype], file.activation_bits // 8) / 1000,
        bit_ops=bit_macs * file.activation_bits,
    )


def _kernel_size(conv: ConvSpec) -> int:
    """Number of weights; each is used once for every output position."""
    inputs = conv.in_channels if conv.kind == "conv" else 1
    return conv.kernel**2 * inputs * conv.out_channels


def _weight_bits(conv: ConvSpec, file: FileType) -> int:
    if conv.kind != "conv":
        return file.depthwise_bits
    return conv.bits if file.weight_bits is None else file.weight_bits


def _overhead(spec: NetworkSpec, channels: int) -> int:
    """Bytes of the file that are neither weights nor labels."""
    layers = [layer.spec for layer in spec.layers]
    convs = [layer for layer in layers if isinstance(layer, ConvSpec)]
    pools = [layer for layer in layers if isinstance(layer, PoolSpec)]
    kinds = len({pool.kind for pool in pools}) + any(conv.kind != "conv" for conv in convs)
    widths = {conv.out_channels for conv in convs} | {spec.num_classes}
    scales = [conv.out_channels for conv in convs if conv.kind == "scale"]
    return (
        FILE_BYTES
        + KIND_BYTES * kinds
        + sum(CONV_BYTES + _string_size(conv.name) for conv in convs)
        + ADD_BYTES * sum(isinstance(layer, AddSpec) for layer in layers)
        + POOL_BYTES * len(pools)
        + SHAPE_BYTES * len({layer.shape for layer in spec.layers})
        + CHANNEL_BYTES * channels
        + ZERO_POINT_BYTES * sum(widths)
        - sum(scales[1:])  # their kernels are all the largest int8 value: written once
    )


def _string_size(text: str) -> int:
    """Bytes of a string in the file: its length, and at least one zero up to a multiple of 4."""
    return 4 + (len(text.encode()) // 4 + 1) * 4


def _peak_memory(spec: NetworkSpec, pixel_bytes: int, value_bytes: int) -> int:
    """Bytes of the activations that exist at once, at the worst moment.

    The input of the file is kept throughout, every other activation until the last layer that reads it has run.
    """
    pixels = math.prod(spec.image_shape)
    peak = 2 * pixels  # normalization
    last_read = {name: step for step, layer in enumerate(spec.layers) for name in layer.inputs}
    alive = {INPUT: pixels}
    for step, layer in enumerate(spec.layers):
        alive[layer.spec.name] = math.prod(layer.shape)
        peak = max(peak, sum(alive.values()))
        for name in layer.inputs:
            if last_read[name] == step:
                alive.pop(name, None)  # read twice by one layer
    features = spec.features
    [last] = alive.values()
    head = max(last + features, features + spec.num_classes)
    # The softmax is computed in float32.
    return pixels * pixel_bytes + max(value_bytes * max(peak, head), 8 * spec.num_classes)
