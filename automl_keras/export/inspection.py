"""What a `.tflite` file really holds: types of weights and activations, and the memory it needs."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from automl_keras.errors import ExportError
from automl_keras.export.flatbuffer import (
    WeightedOperation,
    input_tensor,
    is_constant,
    operation_name,
    output_tensor,
    type_name,
    weighted_operations,
)

MAX_RESCALING = 256.0  # XNNPACK's limit for input scale * weight scale / output scale


def weight_bits(model: Any) -> dict[str, int]:
    """Bits with which each layer's weights are stored, by layer, in the order they run."""
    return {
        _layer(operation, number): _bits(type_name(operation.weights))
        for number, operation in enumerate(weighted_operations(model))
    }


def activation_dtypes(model: Any) -> dict[str, tuple[str, ...]]:
    """The types that each kind of operation returns, sorted; "INPUT" and "OUTPUT" for the file."""
    graph = model.subgraphs[0]
    found: dict[str, set[str]] = {"INPUT": {type_name(input_tensor(model)).lower()}}
    for operator in graph.operators:
        types = {type_name(graph.tensors[index]).lower() for index in operator.outputs}
        found.setdefault(operation_name(model, operator), set()).update(types)
    found["OUTPUT"] = {type_name(output_tensor(model)).lower()}
    return {name: tuple(sorted(types)) for name, types in found.items()}


def peak_memory(model: Any) -> int:
    """Bytes of all activations that have to exist at once, at the worst moment, for one image.

    An activation lives from the operation that computes it to the last one that reads it; the
    input lives throughout, as LiteRT keeps it. This is the least an arena can be: alignment,
    fragmentation and scratch buffers of the kernels come on top.
    """
    graph = model.subgraphs[0]
    operators = graph.operators
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for step, operator in enumerate(operators):
        for index in operator.outputs:
            first.setdefault(index, step)
        for index in (*operator.inputs, *operator.outputs):
            last[index] = step
    for index in graph.inputs:
        first[index], last[index] = 0, len(operators) - 1
    for index in graph.outputs:
        last[index] = len(operators) - 1
    weights = {index for index, tensor in enumerate(graph.tensors) if is_constant(model, tensor)}
    # Weights stay weights when they are made float; a runtime does that once, when it loads the file.
    weights |= {
        op.outputs[0] for op in operators if op.inputs[0] in weights and operation_name(model, op) == "DEQUANTIZE"
    }
    sizes = {index: _bytes(graph.tensors[index]) for index in first if index not in weights}
    return max(
        (sum(size for index, size in sizes.items() if first[index] <= step <= last[index]))
        for step in range(len(operators))
    )


def params_and_macs(model: Any) -> tuple[int, int]:
    """Number of weights and biases of convolutions and dense layers, and the multiply-accumulates for one image.

    Each weight is used once for every position of the output. There is a bias for each channel of an output; a file
    leaves out those of a layer where all are zero.
    """
    params = macs = 0
    for operation in weighted_operations(model):
        weights = int(np.prod(operation.weights.shape))
        *positions, channels = (int(size) for size in operation.output.shape)
        params += weights + channels
        macs += weights * int(np.prod(positions))
    return params, macs


def check_rescaling(model: Any) -> None:
    """Refuse a quantized file that would corrupt LiteRT's memory.

    An output scale below 1/256 of input scale times weight scale, as it comes from a layer whose
    activations are (nearly) all zero, makes XNNPACK's set-up fail and LiteRT 2.3.0 free memory twice.

    Raises:
        ExportError: If there is such a layer.
    """
    for number, operation in enumerate(weighted_operations(model)):
        scales = [_scales(tensor) for tensor in (operation.input, operation.weights, operation.output)]
        if not all(len(scale) for scale in scales):
            continue
        rescaling = float(scales[0].max() * scales[1].max() / scales[2].min())
        if not rescaling < MAX_RESCALING:
            raise ExportError(
                f"No layer may be dead: input scale * weight scale / output scale must be below {MAX_RESCALING:g}. "
                f"Received: {rescaling:.3g} in layer {_layer(operation, number)!r}"
            )


def _layer(operation: WeightedOperation, number: int) -> str:
    """The layer whose name the weights carry, or kind and number where they have no name."""
    name = operation.weights.name
    if name is None:
        return f"{operation.kind.lower()}_{number}"
    return name.decode() if isinstance(name, bytes) else name


def _scales(tensor: Any) -> np.ndarray:
    """The scales of a tensor; none if it is not quantized."""
    if tensor.quantization is None or tensor.quantization.scale is None:
        return np.zeros(0)
    return np.asarray(tensor.quantization.scale)


def _bits(name: str) -> int:
    digits = re.search(r"\d+$", name)
    return int(digits.group()) if digits else 8  # BOOL and STRING have bytes


def _bytes(tensor: Any) -> int:
    return int(np.prod(tensor.shape)) * _bits(type_name(tensor)) // 8
