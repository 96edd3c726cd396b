"""Static int8 quantization of a float `.tflite` file by ai-edge-quantizer."""

from __future__ import annotations

from typing import Any

import numpy as np

from automl_keras.errors import ExportError
from automl_keras.export.convert import INPUT_NAME, SIGNATURE
from automl_keras.export.flatbuffer import (
    constant,
    is_constant,
    operation_name,
    output_tensor,
    read,
    serialize,
    set_constant,
    weighted_operations,
)
from automl_keras.export.silence import quiet

Recipe = list[dict[str, Any]]
Calibration = dict[str, Any]  # tensor name to {"min": array, "max": array}

CALIBRATION_BATCH = 10
OUTPUT_MARGIN = 0.05  # of the range of outputs, on either side


def int8_recipe() -> Recipe:
    """The default rules: int8 weights per channel, int8 activations, float input and softmax.

    A softmax in int8 rounds probabilities to multiples of 1/256, which costs log loss and
    saves nothing. Rules are matched against tensor names, and later rules win: append to the
    list to treat single layers differently.
    """
    from ai_edge_quantizer import qtyping, quantizer, recipe_manager

    operation = qtyping.TFLOperationName
    rules = recipe_manager.RecipeManager()
    rules.add_static_config(".*", operation.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    for kept_float in (operation.INPUT, operation.OUTPUT, operation.SOFTMAX):
        rules.add_quantization_config(".*", kept_float, algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE)
    return rules.get_quantization_recipe()


def float16_recipe() -> Recipe:
    """The rules for weights stored as float16, from which the runtime makes float32 when it loads the file."""
    from ai_edge_quantizer import qtyping, quantizer, recipe_manager

    rules = recipe_manager.RecipeManager()
    rules.add_weight_only_config(
        ".*",
        qtyping.TFLOperationName.ALL_SUPPORTED,
        num_bits=16,
        algorithm_key=quantizer.AlgorithmName.FLOAT_CASTING,
    )
    return rules.get_quantization_recipe()


def calibrate(
    float_model: bytes, images: np.ndarray, recipe: Recipe, *, pixel_range: tuple[float, float]
) -> Calibration:
    """Smallest and largest value of every activation that the recipe quantizes.

    Extremes of batches of 10 are averaged exponentially. Averaging those of single images clips
    more (measured: 99.0 % instead of 99.3 % of the float model's answers); all images at once need
    more memory and gain nothing. The input gets `pixel_range` itself, so that uint8 pixels are
    represented exactly, and normalized pixels what follows from it.

    Args:
        float_model: From `to_float_tflite`.
        images: float32 of shape `(n, height, width, channels)`, in the user's units.
        recipe: Which operations to quantize. The result serves any recipe over the same activations.
        pixel_range: `(smallest, largest)` pixel value to represent.

    Raises:
        ExportError: If an activation is not finite.
    """
    from ai_edge_quantizer import quantizer

    batches = [
        {INPUT_NAME: images[start : start + CALIBRATION_BATCH]} for start in range(0, len(images), CALIBRATION_BATCH)
    ]
    with quiet():
        calibration = quantizer.Quantizer(float_model, recipe).calibrate({SIGNATURE: batches}, num_threads=1)
    for name, values in calibration.items():
        if not all(np.isfinite(value).all() for value in values.values()):
            raise ExportError(f"Activations must be finite. Received: NaN or infinity in {name}")
    for name, limits in _known_ranges(float_model, pixel_range).items():
        if calibration.get(name):
            for key, limit in zip(("min", "max"), limits, strict=True):
                calibration[name][key] = np.full_like(calibration[name][key], limit)
    return calibration


def _known_ranges(float_model: bytes, pixel_range: tuple[float, float]) -> dict[str, tuple[float, float]]:
    """What the pixels and their normalization can be, by tensor.

    Few images hold the brightest blue there is: where channels are normalized differently, measured ranges cut it off.
    """
    model = read(float_model)
    graph = model.subgraphs[0]
    functions = {"MUL": np.multiply, "ADD": np.add, "SUB": np.subtract}
    limits = {graph.inputs[0]: np.array(pixel_range, np.float32)[:, None]}  # (2, 1) or (2, channels)
    for operator in graph.operators:
        function = functions.get(operation_name(model, operator))
        # After a fused activation the limits are others.
        if function is None or operator.inputs[0] not in limits or operator.builtinOptions.fusedActivationFunction:
            continue
        other = graph.tensors[operator.inputs[1]]
        if is_constant(model, other) and other.shape is not None and int(np.prod(other.shape[:-1])) == 1:
            ends = function(limits[operator.inputs[0]], constant(model, other).reshape(1, -1))
            limits[operator.outputs[0]] = np.sort(ends, axis=0)
    return {
        graph.tensors[index].name.decode(): (float(ends[0].min()), float(ends[1].max()))
        for index, ends in limits.items()
    }


def represent_outputs(float_model: bytes, calibration: Calibration, outputs: np.ndarray) -> None:
    """Let the last layer represent all outputs that were seen, and a bit more.

    Averaged extremes cut the largest ones off. That changes hardly any class, but extreme values and sure labels.

    Args:
        float_model: From `to_float_tflite`.
        calibration: From `calibrate`; changed in place.
        outputs: Of that model, `(n, outputs)`.
    """
    model = read(float_model)
    limits = calibration[output_tensor(model).name.decode()]
    room = OUTPUT_MARGIN * float(outputs.max() - outputs.min())
    for key, limit in (("min", outputs.min() - room), ("max", outputs.max() + room)):
        limits[key] = np.full_like(limits[key], limit)


def lift_dead_channels(float_model: bytes, calibration: Calibration) -> bytes:
    """Make the biases of nearly dead channels representable.

    A bias is stored in int32 in units of input scale times weight scale. A channel whose kernel
    has (nearly) died has such a small weight scale that its bias overflows, and the quantizer
    stores garbage without a word. One weight of such a kernel is raised until the bias fits; that
    changes the channel by less than 0.01 % of its bias.

    Args:
        float_model: From `to_float_tflite`.
        calibration: From `calibrate`.
    """
    model = read(float_model)
    for operation in weighted_operations(model):
        ranges = calibration.get(operation.input.name.decode())
        if operation.bias is None or not ranges:
            continue
        span = max(float(np.max(ranges["max"])), 0.0) - min(float(np.min(ranges["min"])), 0.0)
        if span <= 0:
            continue
        # int8: scales are span / 255 and max|w| / 127; half of int32's range is left for sums.
        needed = np.abs(constant(model, operation.bias)) * (255 * 127 / 2**30 / span)
        kernel = np.moveaxis(constant(model, operation.weights), operation.channel_axis, 0)
        channels = kernel.reshape(len(kernel), -1)
        dead = np.abs(channels).max(axis=1) < needed
        if dead.any():
            channels[dead, 0] = needed[dead]
            kernel = np.moveaxis(channels.reshape(kernel.shape), 0, operation.channel_axis)
            set_constant(model, operation.weights, kernel)
    return serialize(model)


def quantize(float_model: bytes, recipe: Recipe, calibration: Calibration) -> bytes:
    """Quantize by a recipe; a few milliseconds, so one calibration serves many recipes.

    Args:
        float_model: From `lift_dead_channels`.
        recipe: Which operations get which types; see `int8_recipe`.
        calibration: From `calibrate`.
    """
    from ai_edge_quantizer import quantizer

    with quiet():
        result = quantizer.Quantizer(float_model, recipe).quantize(
            calibration or None, enable_progress_bar=False, enable_progress_report=False
        )
    return bytes(result.quantized_model)
