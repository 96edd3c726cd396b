"""Taking a `.tflite` file apart: what each operation works on, files of one operation, and how long it takes."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from automl_keras.export.flatbuffer import (
    WEIGHTED,
    constant,
    is_constant,
    operation_name,
    read,
    serialize,
    stored,
    type_name,
)
from automl_keras.export.runtime import load_interpreter

ROUND_SECONDS = 5e-4  # long beside the clock's own time, short beside what another program takes the core for
MIN_ROUNDS = 3
COPIES = 8
LONG_MS = 0.04  # from here on the interpreter's own time (under half a microsecond) is below 1 %
MIN_MS = 1e-6


@dataclass(frozen=True)
class OperationSpec:
    """One operation of a file: all that its time depends on. Batch size is 1, padding "same".

    Attributes:
        kind: The schema's name, such as "CONV_2D".
        height: Of the input; 1 for a vector.
        width: Of the input; 1 for a vector.
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        inputs: How many activations of the input's shape are read: 2 for the sum of two.
        kernel: Side of the square kernel or pool.
        stride: Stride in both directions.
        activation: What is fused behind it: "NONE", "RELU", ...
        dtype: Element type of the weights, or of the input where there are none, such as "INT8".
    """

    kind: str
    height: int
    width: int
    in_channels: int
    out_channels: int
    inputs: int = 1
    kernel: int = 1
    stride: int = 1
    activation: str = "NONE"
    dtype: str = "INT8"

    @property
    def positions(self) -> int:
        """Height times width of the output."""
        return 1 if self.kind == "MEAN" else -(-self.height // self.stride) * -(-self.width // self.stride)

    @property
    def macs(self) -> int:
        """Multiply-accumulate operations of a convolution or dense operation; 0 for all others."""
        if self.kind not in WEIGHTED:
            return 0
        inputs = 1 if self.kind == "DEPTHWISE_CONV_2D" else self.in_channels
        return self.kernel**2 * inputs * self.out_channels * self.positions

    @property
    def activations(self) -> int:
        """How many values are read and written, weights not counted."""
        return self.inputs * self.height * self.width * self.in_channels + self.positions * self.out_channels


def operations(model: Any) -> Iterator[tuple[Any, OperationSpec]]:
    """Every operation of a `ModelT` and what it works on, in the order they run."""
    for operator in model.subgraphs[0].operators:
        yield operator, _spec(model, operator)


def operation_specs(data: bytes) -> list[OperationSpec]:
    """What the operations of a file work on, in the order they run."""
    return [spec for _, spec in operations(read(data))]


def operation_file(model: Any, operator: Any, spec: OperationSpec, *, copies: int = 1) -> bytes:
    """A file of one operation that is cut out of another file and resized.

    Constants are repeated or cut off to their new sizes: their values do not change the time.

    Args:
        model: The `ModelT` that holds the operation.
        operator: The operation to cut out.
        spec: The sizes wanted; kind, number of inputs and dtype as those of `operator`.
        copies: How often the file runs the operation, each time on the same inputs.
    """
    from ai_edge_litert import schema_py_generated as schema

    source = model.subgraphs[0]
    code = model.operatorCodes[operator.opcodeIndex]
    part = schema.ModelT(version=model.version, operatorCodes=[code], buffers=[schema.BufferT()])
    graph = schema.SubGraphT(tensors=[], operators=[])
    part.subgraphs = [graph]

    def add(index: int, shape: tuple[int, ...]) -> int:
        tensor = copy.copy(source.tensors[index])
        if is_constant(model, tensor):
            values = np.resize(constant(model, tensor), shape)
            tensor.quantization = _resized(tensor.quantization, spec.out_channels)
            part.buffers.append(schema.BufferT(data=stored(values, type_name(tensor))))
        tensor.buffer = len(part.buffers) - 1 if is_constant(model, tensor) else 0
        tensor.shape = shape
        graph.tensors.append(tensor)
        return len(graph.tensors) - 1

    shapes = _input_shapes(model, operator, spec)
    inputs = [index if index < 0 else add(index, shape) for index, shape in zip(operator.inputs, shapes, strict=True)]
    outputs = [add(operator.outputs[0], _output_shape(model, operator, spec)) for _ in range(copies)]
    for output in outputs:
        one = copy.copy(operator)
        one.opcodeIndex, one.inputs, one.outputs = 0, inputs, [output]
        one.builtinOptions = _options(operator, spec)
        graph.operators.append(one)
    graph.inputs = [index for index in inputs if index >= 0 and graph.tensors[index].buffer == 0]
    graph.outputs = outputs
    return serialize(part)


def least_latency(data: bytes, *, seconds: float = 0.01) -> float:
    """Milliseconds for one run of a file on this machine: one thread, the fastest of many short rounds.

    Other programs only ever make a round slower, so the fastest is what repeats best. Where the system can say
    it, what they take of the core is not counted at all.

    Args:
        data: The file.
        seconds: How long to measure; at least three rounds are measured all the same.
    """
    # The interpreter computes in the calling thread when it has one thread. On Windows this clock ticks every 16 ms.
    fine = time.get_clock_info("thread_time").resolution < ROUND_SECONDS / 100
    clock = time.thread_time if fine else time.perf_counter
    interpreter = load_interpreter(data)
    for details in interpreter.get_input_details():
        interpreter.set_tensor(details["index"], np.ones(details["shape"], details["dtype"]))
    interpreter.invoke()  # the first run packs weights and fills caches
    start = clock()
    interpreter.invoke()
    runs = max(1, int(ROUND_SECONDS / max(clock() - start, 1e-9)))
    rounds: list[float] = []
    start = before = clock()
    while before - start < seconds or len(rounds) < MIN_ROUNDS:
        for _ in range(runs):
            interpreter.invoke()
        now = clock()
        rounds.append((now - before) / runs)
        before = now
    return min(rounds) * 1000.0


def time_operation(model: Any, operator: Any, spec: OperationSpec) -> float:
    """Milliseconds that an operation adds to a file, on this machine.

    A short operation takes less time than the interpreter around it. So it is the difference between
    a file that runs it eight times and one that runs it once, divided by seven.

    Args:
        model: As in `operation_file`.
        operator: As in `operation_file`.
        spec: As in `operation_file`.
    """
    alone = least_latency(operation_file(model, operator, spec))
    if alone >= LONG_MS:
        return alone
    several = least_latency(operation_file(model, operator, spec, copies=COPIES))
    return max(MIN_MS, (several - alone) / (COPIES - 1))


def _spec(model: Any, operator: Any) -> OperationSpec:
    from ai_edge_litert import schema_py_generated as schema

    graph, options = model.subgraphs[0], operator.builtinOptions
    kind = operation_name(model, operator)
    inputs = [graph.tensors[index] for index in operator.inputs if index >= 0]
    activations = [tensor for tensor in inputs if not is_constant(model, tensor)]
    shape = [int(size) for size in activations[0].shape]
    functions = {value: name for name, value in vars(schema.ActivationFunctionType).items() if name.isupper()}
    return OperationSpec(
        kind=kind,
        height=shape[1] if len(shape) == 4 else 1,
        width=shape[2] if len(shape) == 4 else 1,
        in_channels=shape[-1],
        out_channels=int(graph.tensors[operator.outputs[0]].shape[-1]),
        inputs=len(activations),
        kernel=int(inputs[1].shape[1] if "CONV_2D" in kind else getattr(options, "filterHeight", 1)),
        stride=int(getattr(options, "strideH", 1)),
        activation=functions[getattr(options, "fusedActivationFunction", 0)],
        dtype=type_name(inputs[1] if kind in WEIGHTED else activations[0]),
    )


def _input_shapes(model: Any, operator: Any, spec: OperationSpec) -> list[tuple[int, ...]]:
    """The shape of every input; of one that is left out (index -1) it means nothing."""
    tensors = [model.subgraphs[0].tensors[index] for index in operator.inputs]
    weights = {
        "CONV_2D": (spec.out_channels, spec.kernel, spec.kernel, spec.in_channels),
        "DEPTHWISE_CONV_2D": (1, spec.kernel, spec.kernel, spec.out_channels),
        "FULLY_CONNECTED": (spec.out_channels, spec.in_channels),
    }
    shapes: list[tuple[int, ...]] = []
    for place, tensor in enumerate(tensors):
        if not is_constant(model, tensor):
            shapes.append(
                (1, spec.height, spec.width, spec.in_channels) if len(tensor.shape) == 4 else (1, spec.in_channels)
            )
        elif spec.kind in weights:
            shapes.append(weights[spec.kind] if place == 1 else (spec.out_channels,))
        else:  # axes, or one number for each channel of the image
            shapes.append(tuple(int(size) for size in tensor.shape))
    return shapes


def _output_shape(model: Any, operator: Any, spec: OperationSpec) -> tuple[int, ...]:
    rank = len(model.subgraphs[0].tensors[operator.outputs[0]].shape)
    if rank == 2:
        return (1, spec.out_channels)
    return (1, -(-spec.height // spec.stride), -(-spec.width // spec.stride), spec.out_channels)


def _options(operator: Any, spec: OperationSpec) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    options = copy.copy(operator.builtinOptions)
    if hasattr(options, "strideH"):
        options.strideH = options.strideW = spec.stride
    if hasattr(options, "filterHeight"):
        options.filterHeight = options.filterWidth = spec.kernel
    if hasattr(options, "fusedActivationFunction"):
        options.fusedActivationFunction = getattr(schema.ActivationFunctionType, spec.activation)
    return options


def _resized(quantization: Any, channels: int) -> Any:
    """Scales and zero points of a constant for another number of channels; one for the whole tensor is kept."""
    if quantization is None or quantization.scale is None or len(quantization.scale) == 1:
        return quantization
    changed = copy.copy(quantization)
    changed.scale = np.resize(np.asarray(quantization.scale, np.float32), channels)
    changed.zeroPoint = np.resize(np.asarray(quantization.zeroPoint, np.int64), channels)
    return changed
