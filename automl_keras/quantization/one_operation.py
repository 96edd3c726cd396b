"""Files of one operation whose outputs are known exactly but for the rounding of activations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from automl_keras.errors import ExportError
from automl_keras.export import calibrate, quantize, to_float_tflite
from automl_keras.export.exporter import converting
from automl_keras.export.flatbuffer import WeightedOperation, read, serialize, set_constant, type_name
from automl_keras.export.flatbuffer import weighted_operations as operations_of
from automl_keras.export.packing import store_as_int4
from automl_keras.export.pointwise import pointwise_to_fully_connected
from automl_keras.export.quantize import Recipe
from automl_keras.quantization.file_check import STORED_TYPES
from automl_keras.quantization.recipes import STATIC_BITS, width_recipe

# Name of the network to its operation. FULLY_CONNECTED occurs in two forms: of vectors and of the pixels of an image.
NETWORKS = {
    "conv 3x3": "CONV_2D",
    "depthwise 3x3": "DEPTHWISE_CONV_2D",
    "dense": "FULLY_CONNECTED",
    "conv 1x1": "FULLY_CONNECTED",
}
# A kernel that takes packed weights for int8 reads beyond their end, which is seen at once if they are many.
CHANNELS = {"conv 3x3": 128, "depthwise 3x3": 16, "dense": 16, "conv 1x1": 16}
SIDE = 8
IMAGES = 10  # one batch of the calibration, so that its extremes are those of these images
PIXEL_RANGE = (0.0, 255.0)
LARGEST_WEIGHT = 9  # near 2^-9 to 2^-11: outputs of a few units, which a softmax keeps apart
ROUNDING = 1e-4  # of float32 and of biases, of the largest output


@dataclass(frozen=True)
class OneOperation:
    """A network of a 2x2 pool, which has integers where activations are integers, and one operation behind it.

    Weights and images are such that quantizing changes neither: all that is left is the rounding of activations.

    Attributes:
        op: Kind of the operation, as in the file.
        float_model: The float file; a softmax is its end.
        images: float32 of shape `(10, 8, 8, channels)`, whole numbers from 0 to 255.
        weights: In the layout of the file.
        bias: Of each output channel.
    """

    op: str
    float_model: bytes
    images: np.ndarray
    weights: np.ndarray
    bias: np.ndarray

    def logits(self) -> np.ndarray:
        """The outputs before the softmax, computed by numpy in float64; convolutions have padding "same"."""
        count, height, width, channels = self.images.shape
        split = self.images.reshape(count, height // 2, 2, width // 2, 2, channels)
        pooled = split.max(axis=(2, 4)).astype(np.float64)
        if self.op == "FULLY_CONNECTED":
            rows = pooled if self.weights.shape[1] == channels else pooled.reshape(count, -1)
            return rows @ self.weights.T + self.bias
        padded = np.pad(pooled, ((0, 0), (1, 1), (1, 1), (0, 0)))
        total = np.zeros((*pooled.shape[:3], len(self.bias)))
        for row, column in np.ndindex(3, 3):
            part = padded[:, row : row + pooled.shape[1], column : column + pooled.shape[2]]
            weights = self.weights[:, row, column]
            total += part * weights if self.op == "DEPTHWISE_CONV_2D" else part @ weights.T
        return total + self.bias

    def file(self, bits: int, activations: str) -> bytes:
        """The quantized file.

        Args:
            bits: Of the weights.
            activations: "int8", "int16", "dynamic" or "float".

        Raises:
            ExportError: If the quantizer refuses, or stores weights of another type than asked for.
        """
        recipe = _recipe(self.op, bits, activations)
        with converting():
            calibration = calibrate(self.float_model, self.images, recipe, pixel_range=PIXEL_RANGE)
            model = read(quantize(self.float_model, recipe, calibration))
        weights = next(operations_of(model)).weights
        if bits == 3 and type_name(weights) == "INT8":
            store_as_int4(model, weights)
        if type_name(weights) != STORED_TYPES[bits]:
            raise ExportError(f"ai-edge-quantizer stored weights of {bits} bits as {type_name(weights)}")
        return serialize(model)

    def rounding_error(self, bits: int, activations: str) -> float:
        """The largest error of a logit that the rounding of activations may cause.

        Half a step of each input, times the weights it meets, and a whole step of the output: half of it for the
        multiplier of the kernel, which is rounded too. Arguments as for `file`.
        """
        logits = self.logits()
        low, high = min(logits.min(), 0.0), max(logits.max(), 0.0)
        rounding = ROUNDING * max(high, -low)
        if bits > 8 or activations == "float":
            return float(rounding)
        # Pixels are exact in int8. Kernels that quantize by themselves do so with 127 steps in the worst case.
        input_step = {"int8": 0.0, "int16": PIXEL_RANGE[1] / 32767, "dynamic": PIXEL_RANGE[1] / 127}[activations]
        output_step = {"int8": (high - low) / 255, "int16": max(high, -low) / 32767, "dynamic": 0.0}[activations]
        rows = np.moveaxis(self.weights, 3 if self.op == "DEPTHWISE_CONV_2D" else 0, 0).reshape(len(self.bias), -1)
        return float(input_step / 2 * np.abs(rows).sum(axis=1).max() + output_step + rounding)


def convert(network: str) -> bytes:
    """The float file of one of `NETWORKS`; its weights are of no account."""
    import keras

    channels, layers = CHANNELS[network], keras.layers
    inputs = keras.Input((SIDE, SIDE, channels))
    x = layers.MaxPooling2D(2)(inputs)
    if network == "dense":
        x = layers.Dense(channels)(layers.Flatten()(x))
    elif network == "depthwise 3x3":
        x = layers.DepthwiseConv2D(3, padding="same")(x)
    else:
        x = layers.Conv2D(channels, 1 if network == "conv 1x1" else 3, padding="same")(x)
    model = keras.Model(inputs, x)
    for variable in model.weights:  # no zeros: the converter would leave a bias of zeros out
        variable.assign(np.full(variable.shape, 0.5, np.float32))
    converted = read(to_float_tflite(model))
    pointwise_to_fully_connected(converted)
    return serialize(converted)


def draw(converted: bytes, bits: int, seed: int) -> OneOperation:
    """A network with weights that the width represents exactly, and images.

    Args:
        converted: From `convert`.
        bits: Of the weights: those of one width are not on the grid of another.
        seed: Seeds weights and images.
    """
    rng = np.random.default_rng((seed, bits))
    model = read(converted)
    operation = next(operations_of(model))
    weights = _weights(operation, min(bits, 8), rng)
    bias = rng.uniform(-1, 1, (weights.shape[operation.channel_axis],)).astype(np.float32)
    set_constant(model, operation.weights, weights)
    set_constant(model, operation.bias, bias)
    channels = int(model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]].shape[-1])
    images = rng.integers(0, 256, (IMAGES, SIDE, SIDE, channels)).astype(np.float32)
    return OneOperation(operation.kind, serialize(model), images, weights, bias)


def _weights(operation: WeightedOperation, bits: int, rng: np.random.Generator) -> np.ndarray:
    """Integer codes times a scale for each output channel: a power of two, so that float16 holds them too."""
    largest = 2 ** (bits - 1) - 1
    shape, axis = tuple(int(size) for size in operation.weights.shape), operation.channel_axis
    codes = np.moveaxis(rng.integers(-largest, largest + 1, shape), axis, 0).copy()
    codes.reshape(len(codes), -1)[:, 0] = largest  # of which the quantizer makes the scale
    scales = 2.0 ** -(LARGEST_WEIGHT + bits - 1 + rng.integers(0, 3, len(codes)))
    return np.moveaxis((codes.T * scales).T, 0, axis).astype(np.float32)


def _recipe(op: str, bits: int, activations: str) -> Recipe:
    from ai_edge_quantizer import qtyping, quantizer, recipe_manager

    names, rules = qtyping.TFLOperationName, recipe_manager.RecipeManager()
    if activations in STATIC_BITS:
        static_bits = STATIC_BITS[activations]
        rules.add_static_config(".*", names.ALL_SUPPORTED, activation_num_bits=static_bits, weight_num_bits=8)
        for kept_float in (names.INPUT, names.OUTPUT, names.SOFTMAX):
            rules.add_quantization_config(".*", kept_float, algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE)
    return rules.get_quantization_recipe() + width_recipe(".*", op, bits, activations)
