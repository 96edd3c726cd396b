"""Reading, changing and writing `.tflite` files as objects of the schema."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np

from automl_keras.export.packing import PACKED_BITS, pack, unpack

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
DTYPES = {"FLOAT32": np.float32, "FLOAT16": np.float16, "INT32": np.int32, "INT16": np.int16, "INT8": np.int8}
FILE_IDENTIFIER = b"TFL3"
DATA_ALIGNMENT = 16  # bytes; the schema's `force_align` of tensor data


@dataclass(frozen=True)
class WeightedOperation:
    """A convolution or dense operation with its tensors, all objects of the schema.

    Attributes:
        kind: "CONV_2D", "DEPTHWISE_CONV_2D" or "FULLY_CONNECTED".
        operator: The operation itself.
        input: Tensor of activations.
        weights: The constant, also where a DEQUANTIZE stands between it and the operation.
        bias: The constant, or `None`.
        output: Tensor of activations.
    """

    kind: str
    operator: Any
    input: Any
    weights: Any
    bias: Any | None
    output: Any

    @property
    def channel_axis(self) -> int:
        """The axis of the weights that counts output channels."""
        return 3 if self.kind == "DEPTHWISE_CONV_2D" else 0


def read(data: bytes) -> Any:
    """A `.tflite` file as a changeable `ModelT` of the schema."""
    from ai_edge_litert.tools import flatbuffer_utils

    return flatbuffer_utils.read_model_from_bytearray(bytearray(data))


def serialize(model: Any) -> bytes:
    """The bytes of a `ModelT`.

    Equal vectors are written once and pointed at from everywhere: zero points above all, eight
    bytes for every channel of every layer and nearly all of them zero.
    """
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            tensor.shape = np.asarray(tensor.shape, np.int32)
        for operator in graph.operators:
            operator.inputs = np.asarray(operator.inputs, np.int32)
            operator.outputs = np.asarray(operator.outputs, np.int32)
    for buffer in model.buffers:
        if buffer.data is not None:
            buffer.data = np.frombuffer(bytes(buffer.data), np.uint8)
    builder = _SharingBuilder(1024)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


class _SharingBuilder(flatbuffers.Builder):
    """Writes equal vectors once, and tensor data aligned as the schema demands."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            if x.dtype == np.uint8:
                self.Prep(DATA_ALIGNMENT, x.size)
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]


def type_name(tensor: Any) -> str:
    """The element type of a tensor, such as "INT8"."""
    from ai_edge_litert.tools import flatbuffer_utils

    return flatbuffer_utils.type_to_name(tensor.type)


def operation_name(model: Any, operator: Any) -> str:
    """The kind of an operation, such as "CONV_2D"."""
    from ai_edge_litert.tools import flatbuffer_utils

    return flatbuffer_utils.opcode_to_name(model, operator.opcodeIndex)


def is_constant(model: Any, tensor: Any) -> bool:
    """Whether the tensor's values are stored in the file."""
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def constant(model: Any, tensor: Any) -> np.ndarray:
    """The stored values of a tensor, as a copy; codes of 2 and 4 bits as int8."""
    data, kind = bytes(model.buffers[tensor.buffer].data), type_name(tensor)
    if kind in PACKED_BITS:
        return unpack(np.frombuffer(data, np.uint8), PACKED_BITS[kind], int(np.prod(tensor.shape))).reshape(
            tensor.shape
        )
    return np.frombuffer(data, DTYPES[kind]).reshape(tensor.shape).copy()


def stored(values: np.ndarray, kind: str) -> np.ndarray:
    """The bytes with which values are stored, uint8; the inverse of `constant`.

    Args:
        values: Of any shape.
        kind: Element type of the tensor, such as "INT8".
    """
    if kind in PACKED_BITS:
        return pack(values, PACKED_BITS[kind])
    return np.frombuffer(values.astype(DTYPES[kind]).tobytes(), np.uint8)


def set_constant(model: Any, tensor: Any, values: np.ndarray) -> None:
    """Replace the stored values of a tensor by others of the same shape and type."""
    model.buffers[tensor.buffer].data = stored(values, type_name(tensor))


def input_tensor(model: Any) -> Any:
    """The tensor that takes the image."""
    graph = model.subgraphs[0]
    return graph.tensors[graph.inputs[0]]


def output_tensor(model: Any) -> Any:
    """The tensor that holds the result."""
    graph = model.subgraphs[0]
    return graph.tensors[graph.outputs[0]]


def weighted_operations(model: Any) -> Iterator[WeightedOperation]:
    """Every convolution and dense operation with constant weights, in the order they run."""
    graph = model.subgraphs[0]
    dequantized = {op.outputs[0]: op.inputs[0] for op in graph.operators if operation_name(model, op) == "DEQUANTIZE"}
    for op in graph.operators:
        kind = operation_name(model, op)
        if kind not in WEIGHTED:
            continue
        weights = graph.tensors[dequantized.get(op.inputs[1], op.inputs[1])]
        if is_constant(model, weights):
            bias = graph.tensors[op.inputs[2]] if len(op.inputs) > 2 and op.inputs[2] >= 0 else None
            yield WeightedOperation(kind, op, graph.tensors[op.inputs[0]], weights, bias, graph.tensors[op.outputs[0]])


def take_uint8_pixels(model: Any) -> None:
    """Change a float32 input into uint8 with scale 1 and zero point 0: raw pixels as they are."""
    from ai_edge_litert import schema_py_generated as schema

    graph, pixels = model.subgraphs[0], input_tensor(model)
    index = graph.inputs[0]
    readers = [op for op in graph.operators if index in op.inputs and operation_name(model, op) != "QUANTIZE"]
    if readers:  # they compute in float32: convert the pixels once for all of them
        code = schema.OperatorCodeT(
            deprecatedBuiltinCode=schema.BuiltinOperator.DEQUANTIZE, builtinCode=schema.BuiltinOperator.DEQUANTIZE
        )
        model.operatorCodes.append(code)
        graph.tensors.append(schema.TensorT(shape=list(pixels.shape), type=schema.TensorType.FLOAT32, hasRank=True))
        as_float = len(graph.tensors) - 1
        for op in readers:
            op.inputs = [as_float if tensor == index else tensor for tensor in op.inputs]
        convert = schema.OperatorT(opcodeIndex=len(model.operatorCodes) - 1, inputs=[index], outputs=[as_float])
        graph.operators.insert(0, convert)
    pixels.type = schema.TensorType.UINT8
    pixels.quantization = schema.QuantizationParametersT(scale=np.ones(1, np.float32), zeroPoint=np.zeros(1, np.int64))


def strip(model: Any, layers: Collection[str], *, input_name: str, output_name: str) -> None:
    """Drop what a phone does not need, and name weights after their layers.

    Kept are the names of the input, of the output and of every layer's weights. Dropped are all
    other names (several kB), the converter's metadata, and the shape signatures that declare the
    batch size variable; a LiteRT interpreter still resizes it.

    Args:
        model: Changed in place.
        layers: Names of the Keras layers that have weights.
        input_name: New name of the input.
        output_name: New name of the output.
    """
    names = _layer_names(model, layers)
    model.description, model.metadata = None, []
    for graph in model.subgraphs:
        graph.name = None
        for tensor in graph.tensors:
            tensor.name = names.get(id(tensor))
            tensor.shapeSignature, tensor.hasRank = None, False
            if tensor.quantization is not None and tensor.quantization.scale is None:
                tensor.quantization = None
    input_tensor(model).name = input_name
    output_tensor(model).name = output_name


def _layer_names(model: Any, layers: Collection[str]) -> dict[int, str]:
    """The layer of every weights tensor, by the tensor's `id`; unique."""
    names: dict[int, str] = {}
    for number, operation in enumerate(weighted_operations(model)):
        base = owner(operation, layers) or f"{operation.kind.lower()}_{number}"
        taken = sum(re.fullmatch(rf"{re.escape(base)}(:\d+)?", name) is not None for name in names.values())
        names.setdefault(id(operation.weights), f"{base}:{taken}" if taken else base)
    return names


def owner(operation: WeightedOperation, layers: Collection[str]) -> str | None:
    """The layer whose kernel an operation's weights are, of a file whose tensors have names."""
    return layer_in(f"{operation.weights.name.decode()};{operation.output.name.decode()}", layers)


def layer_in(scopes: str, layers: Collection[str]) -> str | None:
    """The first layer in a tensor's name, such as "stem_relu_1/Relu;stem_1/convolution"; Keras appends the `_1`."""
    for part in re.split("[;/]", scopes):
        for candidate in (re.sub(r"_\d+$", "", part), part):
            if candidate in layers:
                return candidate
    return None
