from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from automl_keras.export import TFLiteModel
from automl_keras.export.flatbuffer import read
from automl_keras.export.operations import (
    OperationSpec,
    least_latency,
    operation_file,
    operation_specs,
    operations,
    time_operation,
)
from automl_keras.export.runtime import load_interpreter

# Of each kind the sizes after a change; the weights of the file are smaller, larger and of another shape.
RESIZED = {
    "QUANTIZE": {"height": 5, "width": 7, "in_channels": 3, "out_channels": 3},
    "CONV_2D": {"height": 9, "width": 6, "in_channels": 20, "out_channels": 44, "kernel": 5, "stride": 2},
    "DEPTHWISE_CONV_2D": {"height": 6, "width": 5, "in_channels": 70, "out_channels": 70, "activation": "NONE"},
    "MEAN": {"height": 3, "width": 2, "in_channels": 90, "out_channels": 90},
    "FULLY_CONNECTED": {"in_channels": 3, "out_channels": 200},
    "SOFTMAX": {"in_channels": 2, "out_channels": 2},
}


def run(data: bytes, inputs: list[np.ndarray]) -> list[np.ndarray]:
    interpreter = load_interpreter(data)
    for details, values in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(details["index"], values)
    interpreter.invoke()
    return [interpreter.get_tensor(details["index"]) for details in interpreter.get_output_details()]


def test_sizes_by_hand():
    conv = OperationSpec("CONV_2D", 9, 8, 3, 16, kernel=5, stride=2)
    assert (conv.positions, conv.macs, conv.activations) == (5 * 4, 25 * 3 * 16 * 20, 9 * 8 * 3 + 20 * 16)
    depthwise = OperationSpec("DEPTHWISE_CONV_2D", 4, 4, 6, 6, kernel=3)
    assert depthwise.macs == 9 * 6 * 16
    total = OperationSpec("ADD", 4, 3, 6, 6, inputs=2)
    assert (total.macs, total.activations) == (0, 3 * 4 * 3 * 6)
    mean = OperationSpec("MEAN", 4, 3, 6, 6)
    assert (mean.positions, mean.activations) == (1, 13 * 6)
    assert OperationSpec("FULLY_CONNECTED", 1, 1, 6, 10).macs == 60


def test_every_operation_of_a_file_is_described(digits_file: Path):
    specs = operation_specs(digits_file.read_bytes())
    assert specs[:4] == [
        OperationSpec("QUANTIZE", 8, 8, 1, 1, dtype="UINT8"),
        OperationSpec("MUL", 8, 8, 1, 1),
        OperationSpec("ADD", 8, 8, 1, 1),
        OperationSpec("CONV_2D", 8, 8, 1, 8, kernel=3, activation="RELU"),  # the stem
    ]
    depthwise = [spec for spec in specs if spec.kind == "DEPTHWISE_CONV_2D"]
    assert depthwise[0] == OperationSpec("DEPTHWISE_CONV_2D", 8, 8, 16, 16, kernel=3, stride=2, activation="RELU")
    assert OperationSpec("ADD", 4, 4, 16, 16, inputs=2) in specs
    assert specs[-4:] == [
        OperationSpec("MEAN", 2, 2, 32, 32),
        OperationSpec("FULLY_CONNECTED", 1, 1, 32, 10),
        OperationSpec("DEQUANTIZE", 1, 1, 10, 10),
        OperationSpec("SOFTMAX", 1, 1, 10, 10, dtype="FLOAT32"),
    ]


def test_the_operations_one_by_one_compute_what_the_file_computes(digits_file: Path, digits):
    model = read(digits_file.read_bytes())
    graph = model.subgraphs[0]
    image = digits.images[:1]
    values = {graph.inputs[0]: image}
    for operator, spec in operations(model):
        inputs = [values[index] for index in operator.inputs if index in values]
        [values[operator.outputs[0]]] = run(operation_file(model, operator, spec), inputs)
    assert np.array_equal(values[graph.outputs[0]], TFLiteModel(digits_file).predict(image))


@pytest.mark.parametrize("kind", RESIZED)
def test_an_operation_takes_the_sizes_asked_for(digits_file: Path, kind: str):
    model = read(digits_file.read_bytes())
    operator, spec = next((operator, spec) for operator, spec in operations(model) if spec.kind == kind)
    wanted = replace(spec, **RESIZED[kind])
    data = operation_file(model, operator, wanted, copies=3)
    assert operation_specs(data) == [wanted] * 3
    details = load_interpreter(data).get_input_details()
    assert len(details) == 1
    outputs = run(data, [np.ones(details[0]["shape"], details[0]["dtype"])])
    assert len(outputs) == 3
    assert all(np.array_equal(output, outputs[0]) for output in outputs)
    assert outputs[0].shape[-1] == wanted.out_channels


def test_times_are_positive(digits_file: Path):
    data = digits_file.read_bytes()
    model = read(data)
    operator, spec = next((operator, spec) for operator, spec in operations(model) if spec.kind == "CONV_2D")
    assert 0 < time_operation(model, operator, spec) < np.inf
    assert 0 < time_operation(model, operator, replace(spec, height=200, width=200)) < np.inf  # a long one
    assert 0 < least_latency(data, seconds=0.001) < np.inf
