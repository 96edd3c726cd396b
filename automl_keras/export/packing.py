"""Weights of 2 and 4 bits in a `.tflite` file: several codes in a byte, the first in its lowest bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from automl_keras.errors import InvalidArgumentError

PACKED_BITS = {"INT4": 4, "INT2": 2}  # element types of the schema


def pack(codes: np.ndarray, bits: int) -> np.ndarray:
    """The bytes of integer codes; what is left over of the last byte is zero.

    Args:
        codes: Integers from -2^(bits-1) to 2^(bits-1)-1, of any shape.
        bits: 2 or 4.

    Returns:
        uint8 of shape `(ceil(codes.size * bits / 8),)`.

    Raises:
        InvalidArgumentError: If a code has more bits.
    """
    limit = 2 ** (bits - 1)
    if codes.size and not (-limit <= codes.min() and codes.max() < limit):
        raise InvalidArgumentError(
            f"Codes of {bits} bits must be from {-limit} to {limit - 1}. Received: from {codes.min()} to {codes.max()}"
        )
    in_byte = 8 // bits
    padded = np.zeros(-(-codes.size // in_byte) * in_byte, np.uint8)
    padded[: codes.size] = codes.ravel().astype(np.int8).view(np.uint8) & (2**bits - 1)
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return np.bitwise_or.reduce(padded.reshape(-1, in_byte) << shifts, axis=1)


def unpack(data: np.ndarray, bits: int, count: int) -> np.ndarray:
    """The codes in packed bytes; the inverse of `pack`.

    Args:
        data: uint8 of shape `(ceil(count * bits / 8),)`.
        bits: 2 or 4.
        count: How many codes there are.

    Returns:
        int8 of shape `(count,)`.
    """
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    codes = (data[:, None] >> shifts) & np.uint8(2**bits - 1)
    sign = 2 ** (bits - 1)
    return ((codes.ravel()[:count] ^ sign).astype(np.int16) - sign).astype(np.int8)


def store_as_int4(model: Any, tensor: Any) -> None:
    """Store a constant of type INT8 as INT4; codes and scales stay the same.

    The quantizer stores every width but 2 and 4 as INT8, so codes of 3 bits take twice the room they need.

    Args:
        model: The `ModelT` that holds the tensor.
        tensor: Its buffer must be its own; changed in place.

    Raises:
        InvalidArgumentError: If a code has more than 4 bits.
    """
    from ai_edge_litert import schema_py_generated as schema

    buffer = model.buffers[tensor.buffer]
    buffer.data = pack(np.frombuffer(bytes(buffer.data), np.int8), PACKED_BITS["INT4"])
    tensor.type = schema.TensorType.INT4
