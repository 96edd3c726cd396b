"""`with_rgb_input`: a finished file, changed so that Android's image libraries can feed it.

MediaPipe Tasks' `ImageClassifier` takes files with three channels of uint8 or float32 pixels only. The file itself is
changed, behind the converter and the quantizer: the operations of the network, its weights and the scales of its
activations stay what they are, byte for byte, whatever their types. Converting a model with a grey layer in front again
would calibrate activations anew, and for searched bits would need the policy and the tuned weights again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np

from automl_keras.data import DatasetInfo
from automl_keras.errors import InvalidArgumentError
from automl_keras.export.exporter import UINT8_RANGE
from automl_keras.export.flatbuffer import input_tensor, operation_name, read, serialize, take_uint8_pixels
from automl_keras.export.metadata import add_metadata, normalization, with_labels

PixelType = Literal["uint8", "float32"]

# The weights of red, green and blue in a grey pixel, ITU-R BT.601 section 2.5.1 (0.299, 0.587, 0.114), in steps of
# 1/256. So float32 gives a grey pixel from 0 to 255 back exactly: all sums are multiples of 1/256 below 2^8.
GREY = (77 / 256, 150 / 256, 29 / 256)
FRONT_LAYER = "rgb_input"


def with_rgb_input(data: bytes, info: DatasetInfo, pixels: PixelType) -> bytes:
    """A file that takes RGB images, made from one that takes the user's images.

    Grey networks get a convolution in front that mixes the channels; networks for other units than 0 to 255 get one
    that converts, if the pixels are uint8. It computes in float32. A file that takes such images already stays what it
    is.

    Args:
        data: A file of this package, with one or three channels.
        info: Pixel type, range and classes of the data.
        pixels: Type of the new input, `(1, height, width, 3)`. "uint8" takes pixels from 0 to 255; "float32" takes the
            user's units, and `normalization(rgb_info(info, pixels))` leads to them.

    Raises:
        InvalidArgumentError: If the network has neither one channel nor three.
    """
    channels = info.image_shape[2]
    if channels not in (1, 3):
        raise InvalidArgumentError(
            f"Only networks of 1 or 3 channels can take RGB images. Received: a network of {channels} channels"
        )
    if (channels, info.input_dtype) == (3, pixels):
        return data
    model = read(data)
    take_float_pixels(model)
    mean, std = normalization(info) if pixels == "uint8" else (0.0, 1.0)
    if channels == 1 or (mean, std) != (0.0, 1.0):
        mixing = np.array([GREY] if channels == 1 else np.eye(3))
        put_mixing_in_front(model, (mixing / std).astype(np.float32), -mean / std)
    if pixels == "uint8":
        take_uint8_pixels(model)
    for entry in model.metadata:  # of the images it took before
        model.buffers[entry.buffer].data = None
    model.metadata = []
    add_metadata(model, rgb_info(info, pixels))
    return with_labels(serialize(model), info)


def rgb_info(info: DatasetInfo, pixels: PixelType) -> DatasetInfo:
    """The facts about a file of `with_rgb_input`."""
    raw = pixels == "uint8" or info.input_dtype == "uint8"
    return replace(
        info,
        image_shape=(*info.image_shape[:2], 3),
        input_dtype=pixels,
        pixel_range=UINT8_RANGE if raw else info.pixel_range,
    )


def to_rgb(images: np.ndarray, info: DatasetInfo, pixels: PixelType) -> np.ndarray:
    """The user's images as a file of `with_rgb_input` takes them, shape `(n, height, width, 3)`.

    Args:
        images: Shape `(n, height, width, channels)`, one channel or three, in the user's units.
        info: Pixel type and range of the data.
        pixels: Type of the file's input. For "uint8" they are rounded to whole pixels from 0 to 255.
    """
    values = images.astype(np.float32, copy=False)
    if pixels == "uint8":
        mean, std = normalization(info)
        values = np.clip(np.rint(values * np.float32(std) + np.float32(mean)), *UINT8_RANGE).astype(np.uint8)
    return np.repeat(values, 3, axis=3) if images.shape[3] == 1 else values


def take_float_pixels(model: Any) -> None:
    """Change a uint8 input of scale 1 into float32: the inverse of `take_uint8_pixels`.

    Args:
        model: `ModelT` of the schema; changed in place.
    """
    from ai_edge_litert import schema_py_generated as schema

    graph, pixels = model.subgraphs[0], input_tensor(model)
    if pixels.type == schema.TensorType.FLOAT32:
        return
    index = graph.inputs[0]
    conversions = [op for op in graph.operators if index in op.inputs and operation_name(model, op) == "DEQUANTIZE"]
    graph.operators = [op for op in graph.operators if op not in conversions]
    floats = {op.outputs[0] for op in conversions}
    for op in graph.operators:  # the other readers are QUANTIZE, which takes float32 as well
        op.inputs = [index if tensor in floats else tensor for tensor in op.inputs]
    pixels.type, pixels.quantization = schema.TensorType.FLOAT32, None


def put_mixing_in_front(model: Any, mixing: np.ndarray, bias: float) -> None:
    """Put a 1x1 convolution between a float32 input, which gets other channels, and its readers.

    Args:
        model: `ModelT` of the schema; changed in place.
        mixing: float32 of shape `(channels, new channels)`.
        bias: Of each channel.
    """
    from ai_edge_litert import schema_py_generated as schema

    graph, pixels = model.subgraphs[0], input_tensor(model)
    index, shape = graph.inputs[0], [int(size) for size in pixels.shape]
    channels, new_channels = mixing.shape

    def add(shape: list[int], values: np.ndarray | None = None, name: str | None = None) -> int:
        buffer = 0  # of what is not constant, by the schema
        if values is not None:
            model.buffers.append(schema.BufferT(data=np.frombuffer(values.astype(np.float32).tobytes(), np.uint8)))
            buffer = len(model.buffers) - 1
        graph.tensors.append(schema.TensorT(shape=shape, type=schema.TensorType.FLOAT32, buffer=buffer, name=name))
        return len(graph.tensors) - 1

    mixed = add(shape)
    kernel = add([channels, 1, 1, new_channels], mixing, FRONT_LAYER)
    biases = add([channels], np.full(channels, bias))
    for op in graph.operators:
        op.inputs = [mixed if tensor == index else tensor for tensor in op.inputs]
    pixels.shape = [*shape[:3], new_channels]
    convolution = schema.BuiltinOperator.CONV_2D
    model.operatorCodes.append(
        schema.OperatorCodeT(deprecatedBuiltinCode=convolution, builtinCode=convolution, version=1)
    )
    options = schema.Conv2DOptionsT(padding=schema.Padding.VALID, strideW=1, strideH=1)
    graph.operators.insert(
        0,
        schema.OperatorT(
            opcodeIndex=len(model.operatorCodes) - 1,
            inputs=[index, kernel, biases],
            outputs=[mixed],
            builtinOptionsType=schema.BuiltinOptions.Conv2DOptions,
            builtinOptions=options,
        ),
    )
