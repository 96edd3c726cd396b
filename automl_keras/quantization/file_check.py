"""`check_file`: compares what a quantized file holds with what was asked for, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from automl_keras.errors import ExportError
from automl_keras.export.flatbuffer import WeightedOperation, constant, read, type_name, weighted_operations
from automl_keras.quantization.layers import layer_operations

STORED_TYPES = {2: "INT2", 3: "INT4", 4: "INT4", 8: "INT8", 16: "FLOAT16", 32: "FLOAT32"}
ACTIVATION_TYPES = {2: "INT8", 3: "INT8", 4: "INT8", 8: "INT8", 16: "FLOAT32", 32: "FLOAT32"}
MIN_RANGE = 1e-9  # an all-zero channel still has a scale


def check_file(data: bytes, float_model: Any, policy: Mapping[str, Any]) -> None:
    """Refuse a file whose weights are not those that a policy and the float weights demand.

    The quantizer leaves a layer float without a word where its rules do not cover it, and stores widths that the
    format does not have in wider types. So types, codes and scales are compared with the formula itself: symmetric
    per output channel, scale max|w| / (2^(bits-1) - 1), rounded half to even.

    Args:
        data: The quantized file.
        float_model: From `prepare_float`, with the weights that were quantized; its bytes, or the `ModelT` read
            from them, which saves time where many files are checked.
        policy: Layer to the bits of its weights; see `BitSpace`.

    Raises:
        ExportError: If a layer differs; names it, what was asked and what was found.
    """
    model, source = read(data), read(float_model) if isinstance(float_model, bytes) else float_model
    asked, found = list(layer_operations(source)), list(weighted_operations(model))
    if len(asked) != len(found):
        raise ExportError(
            f"The file must have {len(asked)} operations with weights, as the float file has. Received: {len(found)}"
        )
    for (name, float_operation), operation in zip(asked, found, strict=True):
        bits = int(policy[name])
        _check_types(name, operation, float_operation.kind, bits)
        weights = constant(source, float_operation.weights)
        codes, scales = expected_weights(weights, float_operation.channel_axis, bits)
        stored = constant(model, operation.weights)
        if stored.shape != codes.shape or not np.array_equal(stored, codes):
            wrong = int(np.sum(stored != codes)) if stored.shape == codes.shape else codes.size
            raise ExportError(
                f"Weights must be the float weights on the grid of {bits} bits. "
                f"Received: {wrong} of {codes.size} other codes in layer {name!r}"
            )
        if scales is not None:
            _check_scales(name, operation, scales, bits)


def expected_weights(weights: np.ndarray, channel_axis: int, bits: int) -> tuple[np.ndarray, np.ndarray | None]:
    """What a file has to store for float weights.

    Args:
        weights: float32.
        channel_axis: The axis that counts output channels.
        bits: 2, 3, 4 or 8 (integers), 16 (float16) or 32 (float32).

    Returns:
        The codes, int8 and of the shape of the weights, and a scale for each channel; of float widths the weights
        in that type, and `None`.
    """
    if bits > 8:
        return weights.astype(np.float16 if bits == 16 else np.float32), None
    limit = 2 ** (bits - 1) - 1
    others = tuple(axis for axis in range(weights.ndim) if axis != channel_axis)
    largest = np.abs(weights).max(axis=others, keepdims=True)
    scales = np.maximum(largest, np.float32(MIN_RANGE)) / np.float32(limit)
    return np.clip(np.rint(weights / scales), -limit, limit).astype(np.int8), scales.ravel()


def _check_types(name: str, operation: WeightedOperation, kind: str, bits: int) -> None:
    """The operation, the type of its weights, and whether it computes in integers or in float."""
    activations = ACTIVATION_TYPES[bits]
    asked = (kind, STORED_TYPES[bits], activations, activations)
    found = (operation.kind, *(type_name(part) for part in (operation.weights, operation.input, operation.output)))
    if asked != found:
        raise ExportError(
            f"Every layer must be stored as the policy says, {bits} bits in layer {name!r}. Asked for (operation, "
            f"weights, input, output)={asked}. Received: {found}"
        )


def _check_scales(name: str, operation: WeightedOperation, scales: np.ndarray, bits: int) -> None:
    found = operation.weights.quantization
    axis = operation.channel_axis if len(scales) > 1 else found.quantizedDimension
    if (
        not np.array_equal(np.asarray(found.scale, np.float32), scales)
        or np.any(found.zeroPoint)
        or found.quantizedDimension != axis
    ):
        raise ExportError(
            f"Scales must be max|w| / {2 ** (bits - 1) - 1} of each channel, and zero points 0. "
            f"Received: other ones in layer {name!r}"
        )
