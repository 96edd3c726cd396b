"""Which operations the file of a network consists of, and such a file of an untrained network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from automl_keras.data import DatasetInfo
from automl_keras.evaluation.file_types import FILE_TYPES, Quantization
from automl_keras.export import export_float, export_int8
from automl_keras.export.operations import OperationSpec
from automl_keras.search_space import INPUT, AddSpec, ConvSpec, NetworkSpec, PoolSpec, build_network
from automl_keras.search_space.network import LayerSpec

CONV_KINDS = {"conv": "CONV_2D", "depthwise": "DEPTHWISE_CONV_2D", "scale": "DEPTHWISE_CONV_2D"}
POOL_KINDS = {"average": "AVERAGE_POOL_2D", "max": "MAX_POOL_2D"}
CALIBRATION_IMAGES = 8

InputType = Literal["uint8", "float32"]


def network_operations(
    spec: NetworkSpec, input_dtype: InputType = "uint8", quantization: Quantization = "int8"
) -> list[OperationSpec]:
    """The operations of a network's file, without making the file.

    Args:
        spec: The layers.
        input_dtype: Pixel type of the file.
        quantization: How the file stores weights and activations. Weights of fewer than 8 bits count like int8.
    """
    is_float = FILE_TYPES[quantization].is_float
    dtype = "FLOAT32" if is_float else "INT8"
    height, width, channels = spec.image_shape
    pixels = (height, width, channels, channels)
    shapes = {INPUT: spec.image_shape, **{layer.spec.name: layer.shape for layer in spec.layers}}
    height, width, features = spec.layers[-1].shape
    operations = [
        OperationSpec("MUL", *pixels, dtype=dtype),
        OperationSpec("ADD", *pixels, dtype=dtype),
        *(_operation(layer.spec, shapes[layer.inputs[0]], dtype) for layer in spec.layers),
        OperationSpec("MEAN", height, width, features, features, dtype=dtype),
        OperationSpec("FULLY_CONNECTED", 1, 1, features, spec.num_classes, dtype=dtype),
    ]
    if not is_float:
        operations.insert(0, OperationSpec("QUANTIZE", *pixels, dtype=input_dtype.upper()))
        operations.append(OperationSpec("DEQUANTIZE", 1, 1, spec.num_classes, spec.num_classes))
    elif input_dtype == "uint8":
        operations.insert(0, OperationSpec("DEQUANTIZE", *pixels, dtype="UINT8"))
    return [*operations, OperationSpec("SOFTMAX", 1, 1, spec.num_classes, spec.num_classes, dtype="FLOAT32")]


def _operation(layer: LayerSpec, shape: tuple[int, int, int], dtype: str) -> OperationSpec:
    """The operation of a layer whose input has this shape."""
    if isinstance(layer, AddSpec):
        return OperationSpec("ADD", *shape, shape[2], inputs=2, dtype=dtype)
    if isinstance(layer, PoolSpec):
        kind = POOL_KINDS[layer.kind]
        return OperationSpec(kind, *shape, shape[2], kernel=layer.size, stride=layer.stride, dtype=dtype)
    return OperationSpec(
        CONV_KINDS[layer.kind],
        *shape,
        layer.out_channels,
        kernel=layer.kernel,
        stride=layer.stride,
        activation="RELU" if layer.activation else "NONE",
        dtype=dtype,
    )


@dataclass(frozen=True)
class SmallNetworkSpec(NetworkSpec):
    """A small network with every kind of operation that networks have."""

    def connections(self) -> Iterator[tuple[LayerSpec, tuple[str, ...]]]:
        """See `NetworkSpec`."""
        yield ConvSpec("conv", "conv", 3, 1, self.image_shape[2], 8, activation=True), (INPUT,)
        yield ConvSpec("depthwise", "depthwise", 3, 1, 8, 8, activation=True), ("conv",)
        yield PoolSpec("average", "average", 3, 1), ("depthwise",)
        yield PoolSpec("max", "max", 3, 1), ("average",)
        yield AddSpec("add"), ("conv", "max")


def export_untrained(
    spec: NetworkSpec,
    path: str | Path,
    *,
    input_dtype: InputType = "uint8",
    quantization: Quantization = "int8",
    seed: int = 0,
) -> Path:
    """Write the file of a network with random weights: their values do not change how long it takes.

    Args:
        spec: The layers.
        path: Where to write. The directory has to exist.
        input_dtype: Pixel type of the file.
        quantization: int8 or float32; what else computes in float is written as float32, all other as int8.
        seed: Seeds weights and calibration images.

    Returns:
        The path.
    """
    channels = spec.image_shape[2]
    mean, std, labels = (127.5,) * channels, (64.0,) * channels, tuple(range(spec.num_classes))
    info = DatasetInfo(spec.image_shape, input_dtype, mean, std, (0.0, 255.0), labels, 1, 1)
    images = np.random.default_rng(seed).integers(0, 256, (CALIBRATION_IMAGES, *spec.image_shape))
    model = build_network(spec, info, seed=seed)
    if FILE_TYPES[quantization].is_float:
        return export_float(model, path, info, weights="float32", calibration_images=images, seed=seed)
    return export_int8(model, path, info, calibration_images=images.astype(np.float32), seed=seed)
