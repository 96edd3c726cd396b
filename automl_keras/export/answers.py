"""From the outputs of a network to the answers of its file: the operations behind the last layer, in float32."""

from __future__ import annotations

from typing import Any

import numpy as np

from automl_keras.data import MultiLabel, Regression, Task
from automl_keras.export.flatbuffer import output_tensor


def append_answers(model: Any, task: Task) -> None:
    """Put sigmoids behind a file of several labels, and the scale and the mean of `y` behind one of values.

    They are put behind the quantizer, which would compute them in int8: its probabilities are multiples of 1/256, and
    its values would share one scale whatever their units. The softmax of a classifier is in the file already.

    Args:
        model: `ModelT` of the schema with a float32 output; changed in place.
        task: What was learnt.
    """
    from ai_edge_litert import schema_py_generated as schema

    kinds, options = schema.BuiltinOperator, schema.BuiltinOptions
    if isinstance(task, MultiLabel):
        _append(model, kinds.LOGISTIC)
    elif isinstance(task, Regression):
        _append(model, kinds.MUL, task.std, options.MulOptions, schema.MulOptionsT())
        _append(model, kinds.ADD, task.mean, options.AddOptions, schema.AddOptionsT())
    for signature in model.signatureDefs or []:
        signature.outputs[0].name = task.answers.encode()


def _append(
    model: Any, kind: int, values: tuple[float, ...] | None = None, options_type: int = 0, options: Any = None
) -> None:
    """Let an operation take the output, and a constant if it needs one, and be the output instead."""
    from ai_edge_litert import schema_py_generated as schema

    graph, dtype = model.subgraphs[0], schema.TensorType.FLOAT32
    inputs, shape = [int(graph.outputs[0])], [int(size) for size in output_tensor(model).shape]
    if values is not None:
        data = np.array(values, np.float32)
        model.buffers.append(schema.BufferT(data=np.frombuffer(data.tobytes(), np.uint8)))
        graph.tensors.append(schema.TensorT(shape=[len(data)], type=dtype, buffer=len(model.buffers) - 1))
        inputs.append(len(graph.tensors) - 1)
    graph.tensors.append(schema.TensorT(shape=shape, type=dtype))
    model.operatorCodes.append(schema.OperatorCodeT(deprecatedBuiltinCode=kind, builtinCode=kind, version=1))
    graph.operators.append(
        schema.OperatorT(
            opcodeIndex=len(model.operatorCodes) - 1,
            inputs=inputs,
            outputs=[len(graph.tensors) - 1],
            builtinOptionsType=options_type,
            builtinOptions=options,
        )
    )
    graph.outputs = [len(graph.tensors) - 1]
    for signature in model.signatureDefs or []:
        signature.outputs[0].tensorIndex = graph.outputs[0]
