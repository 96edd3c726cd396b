"""The layers of a network whose weights can have a width of their own, read from its float file."""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_keras.export.convert import to_float_tflite
from automl_keras.export.flatbuffer import (
    WeightedOperation,
    constant,
    layer_in,
    owner,
    read,
    serialize,
    stored,
    type_name,
    weighted_operations,
)
from automl_keras.export.pointwise import pointwise_to_fully_connected

if TYPE_CHECKING:
    import keras

SUMMED = ("weights", "channels", "macs", "positions")  # over the operations that share a kernel


@dataclass(frozen=True)
class QuantizableLayer:
    """A kernel, and the operations of the file that use it.

    Attributes:
        name: Of the Keras layer that owns the kernel. The second kernel of a layer, such as the pointwise one of
            `SeparableConv2D`, has ":1" behind it.
        op: "CONV_2D", "DEPTHWISE_CONV_2D" or "FULLY_CONNECTED". A 1x1 convolution is FULLY_CONNECTED where the
            file was rewritten so.
        kernel: Height of the kernel; 1 for FULLY_CONNECTED.
        stride: Vertical stride; 1 for FULLY_CONNECTED.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        weights: Number of weights, without biases.
        channels: Number of scales: one for each output channel.
        macs: Multiply-accumulate operations for one image.
        positions: Height times width of the output; 1 for a vector. Summed where several operations share the kernel.
    """

    name: str
    op: str
    kernel: int
    stride: int
    in_channels: int
    out_channels: int
    weights: int
    channels: int
    macs: int
    positions: int

    def to_dict(self) -> dict[str, Any]:
        """A JSON-compatible form; `from_dict` is its inverse."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> QuantizableLayer:
        """Rebuild a layer from `to_dict`."""
        return cls(**data)


def prepare_float(model: keras.Model, *, pointwise: bool = True) -> bytes:
    """The float file of a model, made ready for different widths in different layers.

    Weights and output of every convolution and dense operation are named after the layer, and weights that the
    converter has merged because their values are equal are separate again if two layers own them.

    Args:
        model: As for `to_float_tflite`.
        pointwise: Whether to write 1x1 convolutions as FULLY_CONNECTED, for which there are fast kernels with
            weights of 4 bits.

    Raises:
        ExportError: If a weight is not finite.
    """
    prepared = read(to_float_tflite(model))
    if pointwise:
        pointwise_to_fully_connected(prepared)
    _name_layers(prepared, _kernel_owners(model))
    return serialize(prepared)


def layer_operations(model: Any) -> Iterator[tuple[str, WeightedOperation]]:
    """Every weighted operation of a prepared `ModelT` with the name of its layer, in the order they run."""
    for operation in weighted_operations(model):
        yield re.sub(r"_\d+/kernel$", "", operation.weights.name.decode()), operation


def quantizable_layers(float_model: bytes) -> tuple[QuantizableLayer, ...]:
    """The layers of a file from `prepare_float`, in the order they run."""
    layers: dict[str, QuantizableLayer] = {}
    counted: set[int] = set()
    for name, operation in layer_operations(read(float_model)):
        layer = _layer(name, operation, is_new=id(operation.weights) not in counted)
        counted.add(id(operation.weights))
        if name in layers:
            summed = {key: getattr(layers[name], key) + getattr(layer, key) for key in SUMMED}
            layer = QuantizableLayer(**{**asdict(layers[name]), **summed})
        layers[name] = layer
    return tuple(layers.values())


def _layer(name: str, operation: WeightedOperation, *, is_new: bool) -> QuantizableLayer:
    shape = [int(size) for size in operation.weights.shape]
    out_channels = shape[operation.channel_axis]
    positions = int(np.prod(operation.output.shape[1:-1], dtype=int))
    return QuantizableLayer(
        name=name,
        op=operation.kind,
        kernel=shape[1] if len(shape) == 4 else 1,
        stride=int(getattr(operation.operator.builtinOptions, "strideH", 1)),
        in_channels=int(operation.input.shape[-1]),
        out_channels=out_channels,
        weights=int(np.prod(shape)) * is_new,
        channels=out_channels * is_new,
        macs=int(np.prod(shape)) * positions,
        positions=positions,
    )


def _kernel_owners(model: keras.Model) -> set[str]:
    """Names of the innermost layers that own weights of more than one dimension."""
    paths = [variable.path.split("/") for variable in model.weights if len(variable.shape) > 1]
    return {path[-2] for path in paths if len(path) > 1}


def _name_layers(model: Any, layers: Collection[str]) -> None:
    """Name weights and outputs after their layers, and give each layer weights of its own.

    Operations of one layer belong together if they are of one kind and their kernels of one shape: then it is one
    kernel used several times. The names end in a number, as those that Keras writes.
    """
    names: dict[tuple[str, str, tuple[int, ...]], str] = {}
    owners: dict[int, str] = {}  # index of weights to the layer
    buffers: set[int] = set()
    for number, operation in enumerate(list(weighted_operations(model))):
        index = int(operation.operator.inputs[1])
        base = owner(operation, layers) or f"{operation.kind.lower()}_{number}"
        if index in owners:  # then the name of the weights may be another layer's
            base = layer_in(operation.output.name.decode(), layers) or base
        key = (base, operation.kind, tuple(int(size) for size in operation.weights.shape))
        count = sum(other == base for other, *_ in names)
        name = names.setdefault(key, f"{base}:{count}" if count else base)
        operation.output.name = f"{name}_{number}/output".encode()
        if owners.get(index) == name:
            continue
        if index in owners or operation.weights.buffer in buffers:
            index = _own_weights(model, operation)
        weights = model.subgraphs[0].tensors[index]
        weights.name = f"{name}_{number}/kernel".encode()
        owners[index] = name
        buffers.add(weights.buffer)


def _own_weights(model: Any, operation: WeightedOperation) -> int:
    """Give an operation a copy of its weights; returns the index of the new tensor."""
    from ai_edge_litert import schema_py_generated as schema

    tensors, weights = model.subgraphs[0].tensors, copy.copy(operation.weights)
    values = stored(constant(model, weights), type_name(weights))
    weights.buffer = len(model.buffers)
    model.buffers.append(schema.BufferT(data=values))
    tensors.append(weights)
    inputs = [int(index) for index in operation.operator.inputs]
    operation.operator.inputs = [inputs[0], len(tensors) - 1, *inputs[2:]]
    return len(tensors) - 1
