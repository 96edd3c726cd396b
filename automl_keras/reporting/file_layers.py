"""`read_layers`: the layers of a `.tflite` file, for figures."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS = {
    "CONV_2D": "Convolution",
    "DEPTHWISE_CONV_2D": "Depthwise convolution",
    "FULLY_CONNECTED": "Dense",
    "AVERAGE_POOL_2D": "Average pool",
    "MAX_POOL_2D": "Maximum pool",
    "MEAN": "Global average pool",
    "ADD": "Add",
    "MUL": "Multiply",
    "CONCATENATION": "Concatenate",
    "SOFTMAX": "Softmax",
}
BY_CONSTANTS = {"ADD": "Add a constant", "MUL": "Multiply by a constant"}
CONVERSIONS = ("QUANTIZE", "DEQUANTIZE", "CAST")  # change types, not values
IMAGE = -1


@dataclass(frozen=True)
class FileLayer:
    """One operation of a file.

    Attributes:
        name: Of the layer whose weights it has; its kind and number if it has none.
        kind: What it does, such as "Convolution".
        window: Side of its kernel and its stride, such as "3x3, stride 2"; "" if it has no kernel.
        inputs: The places of the layers whose outputs it reads; -1 is the image.
        shape: Of its output for one image.
        num_weights: Number of weights, biases not counted.
        bits: Bits that a weight is stored with, `None` without weights.
    """

    name: str
    kind: str
    window: str
    inputs: tuple[int, ...]
    shape: tuple[int, ...]
    num_weights: int
    bits: int | None


def read_layers(path: str | Path) -> tuple[FileLayer, ...]:
    """The operations of a `.tflite` file in the order they run, but for conversions of types.

    Raises:
        OSError: If the file cannot be read.
    """
    from automl_keras.export.flatbuffer import operation_name, read

    model = read(Path(path).read_bytes())
    graph = model.subgraphs[0]
    weighted = _weights_by_output(model)
    made_by = {int(index): IMAGE for index in graph.inputs}  # tensor to the layer that computes it
    layers: list[FileLayer] = []
    for operator in graph.operators:
        kind = operation_name(model, operator)
        inputs = tuple(dict.fromkeys(made_by[int(index)] for index in operator.inputs if int(index) in made_by))
        if not inputs:  # makes a constant, such as weights out of smaller ones
            continue
        if kind in CONVERSIONS:
            made_by.update({int(index): inputs[0] for index in operator.outputs})
            continue
        made_by.update({int(index): len(layers) for index in operator.outputs})
        output = graph.tensors[operator.outputs[0]]
        name, shape, bits = weighted.get(id(output), (f"{kind.lower()}_{len(layers)}", None, None))
        layers.append(
            FileLayer(
                name=name,
                kind=_kind(kind, operator, made_by),
                window=_window(kind, operator, shape),
                inputs=inputs,
                shape=tuple(int(size) for size in output.shape[1:]),
                num_weights=0 if shape is None else math.prod(shape),
                bits=bits,
            )
        )
    return tuple(layers)


def _weights_by_output(model: Any) -> dict[int, tuple[str, tuple[int, ...], int]]:
    """Name, shape and bits of weights, by the `id` of the tensor that is computed with them."""
    from automl_keras.export.flatbuffer import weighted_operations
    from automl_keras.export.inspection import weight_bits

    bits, found = weight_bits(model), {}
    for number, operation in enumerate(weighted_operations(model)):
        name = (operation.weights.name or f"{operation.kind.lower()}_{number}".encode()).decode()
        found[id(operation.output)] = name, tuple(int(size) for size in operation.weights.shape), bits[name]
    return found


def _kind(kind: str, operator: Any, made_by: dict[int, int]) -> str:
    if kind in BY_CONSTANTS and any(int(index) not in made_by for index in operator.inputs):
        return BY_CONSTANTS[kind]
    return KINDS.get(kind, kind.replace("_", " ").capitalize())


def _window(kind: str, operator: Any, weights: tuple[int, ...] | None) -> str:
    options = operator.builtinOptions
    if kind in ("CONV_2D", "DEPTHWISE_CONV_2D") and weights is not None:
        height, width = weights[1:3]
    elif kind.endswith("_POOL_2D"):
        height, width = options.filterHeight, options.filterWidth
    else:
        return ""
    stride = "" if options.strideH == 1 else f", stride {options.strideH}"
    return f"{height}x{width}{stride}"
