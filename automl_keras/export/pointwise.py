"""1x1 convolutions as fully connected operations: the form in which LiteRT runs weights of 4 and 2 bits fast."""

from __future__ import annotations

from typing import Any

import numpy as np

from automl_keras.export.flatbuffer import is_constant, operation_name

KEEP_NUM_DIMS_VERSION = 5  # of FULLY_CONNECTED; the first that may return more than two dimensions


def pointwise_to_fully_connected(model: Any) -> None:
    """Turn every 1x1 convolution of stride 1 into FULLY_CONNECTED over the channels; results stay the same.

    LiteRT's fast kernels (XNNPACK) take weights of 4 and 2 bits in FULLY_CONNECTED alone. A convolution with
    such weights is 2 to 3 times slower than in int8 with 4 bits, and refused with 2.

    Args:
        model: `ModelT` of a float file; changed in place.
    """
    from ai_edge_litert import schema_py_generated as schema

    graph = model.subgraphs[0]
    found = [operator for operator in graph.operators if _is_pointwise(model, operator)]
    # Weights that something else reads too have to keep their shape.
    found = [operator for operator in found if _readers(graph, operator.inputs[1]) <= {id(one) for one in found}]
    if not found:
        return
    code = _fully_connected_code(model)
    for operator in found:
        weights, activation = graph.tensors[operator.inputs[1]], operator.builtinOptions.fusedActivationFunction
        operator.opcodeIndex = code
        operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
        operator.builtinOptions = schema.FullyConnectedOptionsT(fusedActivationFunction=activation, keepNumDims=True)
        weights.shape = np.asarray([weights.shape[0], weights.shape[-1]], np.int32)
        weights.shapeSignature = None


def _is_pointwise(model: Any, operator: Any) -> bool:
    if operation_name(model, operator) != "CONV_2D":
        return False
    pixels, weights = (model.subgraphs[0].tensors[index] for index in operator.inputs[:2])
    options = operator.builtinOptions
    steps = (options.strideH, options.strideW, options.dilationHFactor, options.dilationWFactor)
    # A grouped convolution reads fewer channels than its input has.
    return (
        is_constant(model, weights)
        and tuple(weights.shape[1:3]) == (1, 1)
        and steps == (1, 1, 1, 1)
        and weights.shape[3] == pixels.shape[3]
    )


def _readers(graph: Any, tensor: int) -> set[int]:
    """The operations that read a tensor, by their `id`."""
    return {id(operator) for operator in graph.operators if tensor in operator.inputs}


def _fully_connected_code(model: Any) -> int:
    """The index of the operator code of FULLY_CONNECTED, which is added if there is none."""
    from ai_edge_litert import schema_py_generated as schema

    kind = schema.BuiltinOperator.FULLY_CONNECTED
    for index, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == kind:
            code.version = max(code.version, KEEP_NUM_DIMS_VERSION)
            return index
    model.operatorCodes.append(
        schema.OperatorCodeT(deprecatedBuiltinCode=kind, builtinCode=kind, version=KEEP_NUM_DIMS_VERSION)
    )
    return len(model.operatorCodes) - 1
