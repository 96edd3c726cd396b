"""What a network needs of a phone, computed from its layers alone: the feasibility test of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Literal, TypeVar

from automl_keras.data import DatasetInfo
from automl_keras.evaluation.cost import Cost
from automl_keras.search_space import ConvSpec, NetworkSpace, NetworkSpec

# Bytes of an exported int8 file beyond weights, fitted to 67 random architectures of three image
# spaces (`benchmarks/predicted_size.py` checks them on others).
FILE_BYTES = 2382  # input, normalization, pooling, dense, softmax, metadata
CONV_BYTES = 265  # tensors, operation, name of the layer
ADD_BYTES = 68
SHAPE_BYTES = 66  # of every distinct shape of an activation
CHANNEL_BYTES = 12  # float32 scales of weights and bias, int32 bias
ZERO_POINT_BYTES = 8  # int64; layers with equally many channels share them
INT8_BITS = 8
PIXEL_BYTES = {"uint8": 1, "float32": 4}


SpaceT_co = TypeVar("SpaceT_co", bound=NetworkSpace, covariant=True)


class CostPredictor(Generic[SpaceT_co]):
    """The predicted cost of architectures of a space, for the files of one data set.

    Args:
        space: The networks.
        info: Pixel type and labels, which the file holds.
    """

    def __init__(self, space: SpaceT_co, info: DatasetInfo) -> None:
        self.space = space
        self.info = info
        self._class_names = [str(label) for label in info.classes]

    def __call__(self, architecture: Mapping[str, Any]) -> Cost:
        """As `network_cost`."""
        spec = self.space.network_spec(architecture)
        return network_cost(spec, input_dtype=self.info.input_dtype, class_names=self._class_names)


def network_cost(
    spec: NetworkSpec,
    *,
    input_dtype: Literal["uint8", "float32"] = "uint8",
    class_names: Sequence[str] | None = None,
) -> Cost:
    """Parameters, MACs, size and memory of a network's int8 file, without making it.

    `params` (weights and biases, BatchNorm folded into them), `macs` and `bit_ops` (8-bit weights and
    activations) are exact. `ram_kb` is what `TFLiteReport.ram_kb` will be; `size_kb` is within
    1 % of the file's size. Takes a small fraction of a millisecond.

    Args:
        spec: The layers.
        input_dtype: Pixel type of the file.
        class_names: The labels stored in the file; "0", "1", ... by default.
    """
    convs = list(spec.convs())
    dense = spec.features * spec.num_classes
    weights = sum(_kernel_size(conv) for conv, _ in convs) + dense
    biases = sum(conv.out_channels for conv, _ in convs) + spec.num_classes
    macs = sum(_kernel_size(conv) * height * width for conv, (height, width) in convs) + dense
    names = [str(index) for index in range(spec.num_classes)] if class_names is None else class_names
    return Cost(
        params=weights + biases,
        macs=macs,
        size_kb=(weights + _overhead(spec, biases) + sum(len(name.encode()) + 1 for name in names)) / 1000,
        ram_kb=_peak_memory(spec, PIXEL_BYTES[input_dtype]) / 1000,
        bit_ops=macs * INT8_BITS * INT8_BITS,
    )


def _kernel_size(conv: ConvSpec) -> int:
    """Number of weights; each is used once for every output position."""
    inputs = 1 if conv.kind == "depthwise" else conv.in_channels
    return conv.kernel**2 * inputs * conv.out_channels


def _overhead(spec: NetworkSpec, channels: int) -> int:
    """Bytes of the file that are neither weights nor labels."""
    shapes = {(size, conv.out_channels) for conv, size in spec.convs()}
    widths = {width for _, width in shapes} | {spec.num_classes}
    return (
        FILE_BYTES
        + CONV_BYTES * sum(1 for _ in spec.convs())
        + ADD_BYTES * sum(block.residual for block in spec.blocks)
        + SHAPE_BYTES * len(shapes)
        + CHANNEL_BYTES * channels
        + ZERO_POINT_BYTES * sum(widths)
    )


def _peak_memory(spec: NetworkSpec, pixel_bytes: int) -> int:
    """Bytes of the activations that exist at once, at the worst moment.

    The input is kept throughout; a block's input is kept until it has been added to the block's output.
    """
    height, width, channels = spec.image_shape
    pixels = height * width * channels
    sizes = (rows * columns * conv.out_channels for conv, (rows, columns) in spec.convs())
    current = next(sizes)
    peak = max(2 * pixels, pixels + current)  # normalization, then the stem
    for block in spec.blocks:
        kept = current if block.residual else 0
        source = 0 if block.residual else current  # what the first convolution reads is counted once
        for _ in block.convs:
            output = next(sizes)
            peak = max(peak, kept + source + output)
            source = output
        if block.residual:
            peak = max(peak, kept + 2 * source)
        current = source
    head = max(current + spec.features, spec.features + spec.num_classes, 8 * spec.num_classes)
    return pixels * pixel_bytes + max(peak, head)
