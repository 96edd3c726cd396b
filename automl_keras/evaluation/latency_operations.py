"""Which operations the int8 file of a network consists of, and such a file of an untrained network."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from automl_keras.data import DatasetInfo
from automl_keras.export import export_int8
from automl_keras.export.operations import OperationSpec
from automl_keras.search_space import NetworkSpec, build_network

KINDS = {"conv": "CONV_2D", "depthwise": "DEPTHWISE_CONV_2D"}
CALIBRATION_IMAGES = 8


def network_operations(spec: NetworkSpec, input_dtype: Literal["uint8", "float32"] = "uint8") -> list[OperationSpec]:
    """The operations of a network's int8 file, in the order they run, without making the file.

    Args:
        spec: The layers.
        input_dtype: Pixel type of the file.
    """
    height, width, channels = spec.image_shape
    pixels = (height, width, channels, channels)
    found = [
        OperationSpec("QUANTIZE", *pixels, dtype=input_dtype.upper()),
        OperationSpec("MUL", *pixels),
        OperationSpec("ADD", *pixels),
    ]
    convs = spec.convs()
    for count, residual in ((1, False), *((len(block.convs), block.residual) for block in spec.blocks)):
        for _ in range(count):
            conv, output_size = next(convs)
            found.append(
                OperationSpec(
                    KINDS[conv.kind],
                    height,
                    width,
                    conv.in_channels,
                    conv.out_channels,
                    kernel=conv.kernel,
                    stride=conv.stride,
                    activation="RELU" if conv.activation else "NONE",
                )
            )
            height, width = output_size
        if residual:
            found.append(OperationSpec("ADD", height, width, conv.out_channels, conv.out_channels, inputs=2))
    return [
        *found,
        OperationSpec("MEAN", height, width, spec.features, spec.features),
        OperationSpec("FULLY_CONNECTED", 1, 1, spec.features, spec.num_classes),
        OperationSpec("DEQUANTIZE", 1, 1, spec.num_classes, spec.num_classes),
        OperationSpec("SOFTMAX", 1, 1, spec.num_classes, spec.num_classes, dtype="FLOAT32"),
    ]


def export_untrained(
    spec: NetworkSpec, path: str | Path, *, input_dtype: Literal["uint8", "float32"] = "uint8", seed: int = 0
) -> Path:
    """Write the int8 file of a network with random weights: their values do not change how long it takes.

    Args:
        spec: The layers.
        path: Where to write. The directory has to exist.
        input_dtype: Pixel type of the file.
        seed: Seeds weights and calibration images.

    Returns:
        The path.
    """
    channels = spec.image_shape[2]
    mean, std, labels = (127.5,) * channels, (64.0,) * channels, tuple(range(spec.num_classes))
    info = DatasetInfo(spec.image_shape, input_dtype, mean, std, (0.0, 255.0), labels, 1, 1)
    images = np.random.default_rng(seed).integers(0, 256, (CALIBRATION_IMAGES, *spec.image_shape))
    model = build_network(spec, info, seed=seed)
    return export_int8(model, path, info, calibration_images=images.astype(np.float32), seed=seed)
