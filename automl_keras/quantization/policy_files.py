"""`PolicyFiles`: from a bit policy to the `.tflite` file, in milliseconds, and its size without making it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from automl_keras.data import DatasetInfo, Images
from automl_keras.export import calibrate, int8_recipe, lift_dead_channels, quantize
from automl_keras.export.exporter import check_fit, converting, draw_images, finish_file, pixels_to_represent
from automl_keras.export.flatbuffer import layer_in, operation_name, output_tensor, read, type_name, weighted_operations
from automl_keras.export.packing import store_as_int4
from automl_keras.export.quantize import Recipe
from automl_keras.quantization.bit_space import DEFAULT_PROFILE, STORED_BITS, Bits, runs_packed, space_of
from automl_keras.quantization.file_check import check_file
from automl_keras.quantization.layers import layer_operations, prepare_float, quantizable_layers
from automl_keras.quantization.profiles import RuntimeProfile, get_profile
from automl_keras.quantization.recipes import width_recipe

if TYPE_CHECKING:
    import keras

MAX_INTEGER_BITS = 8
CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


class PolicyFiles:
    """Files of one model with weights of any widths.

    The model is converted, rewritten and calibrated once; a file then takes a few milliseconds. All of a file but
    the listed float operations has int8 activations, and every file is checked against its policy.

    Args:
        model: Images to logits, or to probabilities by a softmax at its end, as for `export_int8`.
        info: Pixel type, range and classes of the data.
        calibration_images: Shape `(n, height, width, channels)`; at most 200, drawn by `seed`, are used.
        profile: Where the files shall run.
        seed: Seeds the draw.
        bits: Widths to choose from; see `bit_space`.

    Attributes:
        space: The policies.
        float_model: The float file whose weights are quantized.
        calibration: Smallest and largest value of every activation.
        float_operations: What cannot be quantized and stays float in every file, such as "norm (SUB)".

    Raises:
        InvalidArgumentError: If the model does not fit `info`, or as for `bit_space`.
        InvalidDataError: If the calibration images do not fit.
        ExportError: If the model cannot be converted or quantized, or a layer is dead.
    """

    def __init__(
        self,
        model: keras.Model,
        info: DatasetInfo,
        calibration_images: Images,
        *,
        profile: str | RuntimeProfile = DEFAULT_PROFILE,
        seed: int,
        bits: Bits | None = None,
    ) -> None:
        check_fit(model, info, calibration_images)
        profile = get_profile(profile)
        images = draw_images(calibration_images, seed)
        with converting():
            float_model = prepare_float(model, pointwise=runs_packed(profile))
            self.calibration = calibrate(float_model, images, int8_recipe(), pixel_range=pixels_to_represent(info))
        # Lifted for 8 bits. Fewer bits have larger scales, by which biases only become easier to represent.
        self.float_model = lift_dead_channels(float_model, self.calibration)
        self.space = space_of(quantizable_layers(self.float_model), profile, bits=bits)
        self._info = info
        self._source = read(self.float_model)
        operations = list(layer_operations(self._source))
        self._names = tuple(name for name, _ in operations)  # the layer of every weighted operation, in order
        self._outputs = tuple(operation.output.name.decode() for _, operation in operations)
        self._rules = self._all_rules()
        # The file from which sizes are counted: integers wherever a layer has them.
        self._base = self.space.canonical({d.name: widest_integer(d.options) for d in self.space.decisions})
        quantized = self._quantized(self._base)
        self.float_operations = tuple(self._float_operations(quantized, {layer.name for layer in model.layers}))
        self._base_size = len(self.export(self._base))
        self._extra_sizes: dict[tuple[str, int], int] = {}

    def export(self, policy: Mapping[str, Any]) -> bytes:
        """The file of a policy, with labels and metadata; input and output as those of `export_int8`.

        Args:
            policy: Layer to bits; a layer that is not named has its largest width.

        Raises:
            InvalidArchitectureError: If the policy is not of this space.
            ExportError: If the file is not what the policy says, or a layer is dead.
        """
        policy = self.space.canonical(policy)
        quantized = self._quantized(policy)
        # If there were not as many operations as before, the check below would say so.
        operations = zip(self._names, weighted_operations(quantized), strict=False)
        packed = {id(one.weights): one.weights for name, one in operations if policy[name] in STORED_BITS}
        for weights in packed.values():
            store_as_int4(quantized, weights)
        data = finish_file(quantized, self._info, set(self.space.names))
        check_file(data, self._source, policy)
        return data

    def predict_size(self, policy: Mapping[str, Any]) -> int:
        """Bytes of a policy's file, without making it: a sum over the layers, right to a few dozen bytes.

        A layer of a float width makes the file larger by more than its weights, by conversions around it. That is
        measured on a file in which it is the only such layer; neighbours share conversions, so a file with several
        comes out up to 0.25 kB smaller for each of them.

        Args:
            policy: As for `export`.

        Raises:
            InvalidArchitectureError: If the policy is not of this space.
            ExportError: If a file that has to be measured cannot be made.
        """
        policy = self.space.canonical(policy)
        return self._base_size + sum(self.size_change(name, policy[name]) for name in self.space.names)

    def size_change(self, layer: str, bits: Any) -> int:
        """Bytes by which a file grows if a layer gets `bits` instead of its largest integer width."""
        change = self.space.weight_bytes(layer, bits) - self.space.weight_bytes(layer, int(self._base[layer]))
        if bits <= MAX_INTEGER_BITS or bits == self._base[layer]:
            return change
        if (layer, bits) not in self._extra_sizes:
            size = len(self.export({**self._base, layer: bits}))
            self._extra_sizes[layer, bits] = size - self._base_size - change
        return change + self._extra_sizes[layer, bits]

    def _quantized(self, policy: Mapping[str, Any]) -> Any:
        """The file of a policy as the quantizer makes it, a `ModelT`."""
        recipe = int8_recipe()
        for name in self.space.names:
            recipe += self._rules.get((name, int(policy[name])), [])
        with converting():
            return read(quantize(self.float_model, recipe, self.calibration))

    def _all_rules(self) -> dict[tuple[str, int], Recipe]:
        """A rule for every layer and width that differs from what `int8_recipe` says."""
        outputs: dict[str, list[str]] = {}
        for name, output in zip(self._names, self._outputs, strict=True):
            outputs.setdefault(name, []).append(output)
        return {
            (layer.name, int(bits)): width_recipe(_scope(outputs[layer.name]), layer.op, int(bits))
            for layer in self.space.layers
            for bits in self.space[layer.name].options
            if bits != MAX_INTEGER_BITS
        }

    def _float_operations(self, quantized: Any, layers: set[str]) -> list[str]:
        """Layers and kinds of the operations that return floats, but for conversions and the softmax at the end."""
        chosen = {
            output
            for name, output in zip(self._names, self._outputs, strict=True)
            if int(self._base[name]) > MAX_INTEGER_BITS
        }
        found = []
        for operator in quantized.subgraphs[0].operators:
            kind, result = operation_name(quantized, operator), quantized.subgraphs[0].tensors[operator.outputs[0]]
            if kind in CONVERSIONS or result is output_tensor(quantized) or type_name(result) != "FLOAT32":
                continue
            name = result.name.decode()
            if name not in chosen:
                found.append(f"{layer_in(name, layers) or name} ({kind})")
        return found


def _scope(outputs: list[str]) -> str:
    """A regular expression for operations that are known by the names of their outputs."""
    # The quantizer puts a semicolon behind the name of an operation's output.
    return f"^(?:{'|'.join(map(re.escape, outputs))});?$"


def widest_integer(options: tuple[Any, ...]) -> Any:
    """The largest integer width of a layer's options; if all are float, the largest."""
    return max((bits for bits in options if bits <= MAX_INTEGER_BITS), default=max(options))
