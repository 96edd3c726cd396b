"""Facts that are read off a `.tflite` file, as JSON-compatible values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from automl_keras.errors import ExportError
from automl_keras.export.child import ChildRuntime
from automl_keras.export.flatbuffer import (
    FILE_IDENTIFIER,
    WeightedOperation,
    input_tensor,
    is_constant,
    operation_name,
    output_tensor,
    read,
    type_name,
    weighted_operations,
)
from automl_keras.export.inspection import activation_dtypes, peak_memory, weight_bits
from automl_keras.export.report import MIN_RUNTIMES


def parsed(data: bytes) -> Any:
    """The file as a `ModelT` with at least one operation.

    Raises:
        ExportError: If it is no `.tflite` file, or only a part of one.
    """
    if data[4:8] != FILE_IDENTIFIER:
        raise ExportError(f"A .tflite file must begin with {FILE_IDENTIFIER!r} at byte 4. Received: {data[4:8]!r}")
    try:
        model = read(data)
        graph_facts(model)  # also sees what the reader leaves unread, such as weights that are cut off
    except Exception as error:  # whatever the reader of flatbuffers runs into
        raise ExportError(
            f"A .tflite file must be whole. Received: one that cannot be read ({type(error).__name__}: {error})"
        ) from error
    return model


def try_to_run(data: bytes, model: Any) -> None:
    """Run the file once on an empty image, in a process of its own, which it may end.

    Raises:
        AutoMLError: If it does not run, or takes no images.
    """
    shape = (1, *(int(size) for size in input_tensor(model).shape[1:]))
    with ChildRuntime(np.zeros(shape, np.float32)) as runtime:
        answer = runtime.predict(data)
    if not np.isfinite(answer).all():
        raise ExportError("A file must give finite answers. Received: NaN or infinity for an empty image")


def graph_facts(model: Any) -> dict[str, Any]:
    """Inputs, outputs, operations, bits and needs."""
    bits = weight_bits(model)
    fewest = min(bits.values(), default=32)
    return {
        "inputs": [_tensor_facts(input_tensor(model))],
        "outputs": [_tensor_facts(output_tensor(model))],
        "operations": _operations(model),
        "bits": bits,
        "dtypes": {name: list(types) for name, types in activation_dtypes(model).items()},
        "ram_kb": peak_memory(model) / 1000,
        "min_runtime": next(runtime for most, runtime in MIN_RUNTIMES if fewest <= most),
    }


def part_sizes(model: Any, size: int, labels: int) -> dict[str, float]:
    """What the bytes of a file are for, in kB: the parts add up to the file.

    "structure" is all else: how operations hang together, scales, and alignment.

    Args:
        model: The file as a `ModelT`.
        size: Of the file, in bytes.
        labels: Of the archive of labels at its end.
    """

    def stored(indices: Iterable[int]) -> int:
        """Bytes of buffers, of which equal ones are stored once."""
        contents = (model.buffers[index].data for index in indices)
        return sum(map(len, {bytes(content) for content in contents if content is not None}))

    sizes = {
        "weights": stored(tensor.buffer for graph in model.subgraphs for tensor in graph.tensors),
        "metadata": stored(entry.buffer for entry in model.metadata or []),
        "labels": labels,
    }
    sizes["structure"] = size - sum(sizes.values())
    return {part: size / 1000 for part, size in sizes.items()}


def _tensor_facts(tensor: Any) -> dict[str, Any]:
    quantization = tensor.quantization
    is_quantized = quantization is not None and quantization.scale is not None and len(quantization.scale) > 0
    return {
        "name": _name(tensor),
        "shape": _shape(tensor),
        "dtype": type_name(tensor).lower(),
        "scale": float(quantization.scale[0]) if is_quantized else None,
        "zero_point": int(quantization.zeroPoint[0]) if is_quantized else None,
    }


def _operations(model: Any) -> list[dict[str, Any]]:
    """One row for each operation, in the order they run."""
    graph = model.subgraphs[0]
    weighted = {id(operation.operator): operation for operation in weighted_operations(model)}
    rows = []
    for operator in graph.operators:
        tensors = [graph.tensors[index] for index in operator.inputs if index >= 0]
        activations = [tensor for tensor in tensors if not is_constant(model, tensor)]
        output = graph.tensors[operator.outputs[0]]
        row = {
            "operation": operation_name(model, operator),
            "input": _shape(activations[0]) if activations else [],
            "output": _shape(output),
            "dtype": type_name(output).lower(),
        }
        rows.append({**row, **_weights(model, weighted.get(id(operator)))})
    return rows


def _weights(model: Any, operation: WeightedOperation | None) -> dict[str, Any]:
    """The columns of a row that only convolutions and dense operations fill."""
    if operation is None:
        return {"layer": None, "weights": None, "weights_kb": None, "macs": None}
    positions = int(np.prod(_shape(operation.output)[1:-1]))
    return {
        "layer": _name(operation.weights),
        "weights": type_name(operation.weights).lower(),
        "weights_kb": len(model.buffers[operation.weights.buffer].data) / 1000,
        "macs": positions * int(np.prod(_shape(operation.weights))),
    }


def _shape(tensor: Any) -> list[int]:
    return [int(size) for size in tensor.shape]


def _name(tensor: Any) -> str | None:
    return tensor.name.decode() if isinstance(tensor.name, bytes) else tensor.name
