"""The network with fake quantization in it: which tensors of the file are int8, and with which scale.

The rules are what TensorFlow Lite's converter and ai-edge-quantizer do with the layers of a Keras model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from automl_keras.quantization.fake_quant_layers import ActivationQuantizer, FakeQuantized, StoredOperand
from automl_keras.quantization.folding import norm_constants
from automl_keras.quantization.graph import KERNEL_LAYERS, Call, Copies, Graph, has_weights, seeded_config

# Layers and operations of `keras.ops` are told apart by the names of their classes.
IDENTITY = frozenset(
    {
        *("ActivityRegularization", "AlphaDropout", "Dropout", "GaussianDropout", "GaussianNoise", "Identity"),
        "SpatialDropout2D",
    }
)
# The values they return are some of those they get, so they keep the scale.
MOVING = frozenset(
    {
        *("Cropping2D", "Flatten", "GlobalMaxPooling2D", "MaxPooling2D", "Permute", "RepeatVector", "Reshape"),
        "ZeroPadding2D",
    }
)
POOLING = frozenset({"AveragePooling2D", "MaxPooling2D"})
CONCATENATION = "Concatenate"

LINEAR, SOFTMAX, SILU = keras.activations.linear, keras.activations.softmax, keras.activations.silu
SIGMOID, TANH = keras.activations.sigmoid, keras.activations.tanh
RELU, RELU6 = keras.activations.relu, keras.activations.relu6
# The converter fuses them into the operation before, if that is one of FUSING, a convolution or a dense layer.
FUSED = (RELU, RELU6, keras.activations.hard_sigmoid)
FUSING = frozenset({"Add", "BatchNormalization", "Multiply", "Rescaling", "Subtract"})
# Fixed by the kernels of the runtime.
FIXED_LIMITS = {SIGMOID: (0.0, 255 / 256), TANH: (-1.0, 127 / 128)}
OPERATIONS = {"Relu": RELU, "Relu6": RELU6, "Sigmoid": SIGMOID, "Silu": SILU, "Softmax": SOFTMAX, "Tanh": TANH}

Function = Callable[[Any], Any]


@dataclass(frozen=True)
class QuantizedTensor:
    """An activation that the file holds in int8.

    Attributes:
        quantizer: What rounds it.
        before: What is rounded, a tensor of the new network.
        kernels: Names of the kernels whose operations write or read it.
        others: Whether other operations that compute in int8 do so too.
        fixed: Smallest and largest value, where the runtime fixes them.
        from_pixels: Whether it is a pixel, multiplied and shifted: its limits follow from those of the pixels.
    """

    quantizer: ActivationQuantizer
    before: keras.KerasTensor
    kernels: frozenset[str]
    others: bool
    fixed: tuple[float, float] | None = None
    from_pixels: bool = False


class FakeQuantNetwork:
    """Rebuilds a network with every kernel and every activation rounded as in the file.

    Args:
        graph: Of a network without a BatchNorm that could be folded.

    Attributes:
        model: Images to logits; a softmax at the end is left out.
        tensors: What is int8 in the file, in the order it is computed; the first one is the image.
        kernels: By the names of a policy: the second kernel of `SeparableConv2D` is "name:1".
        inputs: By the name of a kernel, what rounds its input, and a constant by which the input is multiplied then;
            `None` if that differs from call to call.
        operands: Constants that the file stores in int8.
        layers: All other layers with weights, by the names they have in the graph.
    """

    def __init__(self, graph: Graph) -> None:
        self.tensors: list[QuantizedTensor] = []
        self.kernels: dict[str, FakeQuantized] = {}
        self.inputs: dict[str, tuple[ActivationQuantizer, float] | None] = {}
        self.operands: list[StoredOperand] = []
        self.layers: dict[str, keras.layers.Layer] = {}
        self._graph = graph
        self._copies = Copies()
        self._named: Counter[str] = Counter()
        self._producers = {id(tensor): call for call in graph.calls for tensor in call.outputs}
        self._rounded: dict[int, ActivationQuantizer] = {}  # new tensor to what its scale comes from
        self._factors: dict[int, float] = {}  # new tensor to what it has been multiplied by since it was rounded
        self._writers: dict[int, str] = {}  # tensor of the graph that is not rounded yet, to the kernel it comes from
        self._from_pixels: set[int] = set()  # new tensors that are pixels, multiplied and shifted
        image = keras.Input(batch_shape=graph.input.shape, dtype=graph.input.dtype, name=graph.input.name)
        self._from_pixels.add(id(image))
        rounded = self._round(image, f"{image.name}_quantizer", *self._users(graph.input))
        self.model = keras.Model(image, graph.replay(self._make, rounded), name=graph.name)

    def _make(self, call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What stands in the place of a call."""
        layer, kind, function = call.layer, type(call.layer).__name__, _function(call.layer)
        if type(layer) in KERNEL_LAYERS:
            return self._kernel(call, args[0])
        if function is not None:
            return self._activation(call, function, args[0])
        if (constants := _constants(layer)) is not None:
            return self._affine(call, *constants, args[0])
        results = self._copies.call(layer, args, kwargs)
        if has_weights(layer):
            self.layers[layer.name] = self._copies.get(layer)
        if len(call.outputs) > 1:  # pieces of a tensor
            return results
        if kind in IDENTITY | MOVING:
            return self._keep_scale(call, args[0], results)
        if kind == "AveragePooling2D" and id(args[0]) in self._rounded:  # rounded to its input's scale
            return self._keep_scale(call, args[0], self._rounded[id(args[0])](results, averaged=True))
        return self._output(call, results)

    def _kernel(self, call: Call, x: keras.KerasTensor) -> keras.KerasTensor:
        layer, name, weights = call.layer, call.layer.name, call.layer.get_weights()
        inside = layer.activation if layer.activation in FUSED else LINEAR
        if type(layer) is keras.layers.SeparableConv2D:
            depthwise, pointwise = _separated(layer, inside)
            x = self._fake_quantized(name, depthwise, weights[:1], x)
            name = f"{name}:1"
            x = self._round(x, f"{layer.name}_depthwise_quantizer", frozenset({layer.name, name}), others=False)
            x = self._fake_quantized(name, pointwise, weights[1:], x)
        else:
            x = self._fake_quantized(
                name, type(layer).from_config({**seeded_config(layer), "activation": inside}), weights, x
            )
        if layer.activation in (LINEAR, *FUSED):
            return self._output(call, x, writer=name)
        is_softmax = layer.activation is SOFTMAX
        x = self._round(x, f"{layer.name}_linear_quantizer", frozenset({name}), others=not is_softmax)
        return self._activation(call, layer.activation, x)

    def _fake_quantized(
        self, name: str, layer: keras.layers.Layer, weights: list[np.ndarray], x: keras.KerasTensor
    ) -> keras.KerasTensor:
        given = (self._rounded[id(x)], self._factors.get(id(x), 1.0)) if id(x) in self._rounded else None
        if name in self.kernels:  # called before
            self.inputs[name] = given if given == self.inputs[name] else None
            return self.kernels[name](x)
        self.inputs[name] = given
        self.kernels[name] = FakeQuantized(layer)
        result = self.kernels[name](x)
        layer.set_weights(weights)
        return result

    def _activation(self, call: Call, function: Function, x: keras.KerasTensor) -> keras.KerasTensor:
        if function is SOFTMAX and call.outputs[0] is self._graph.output:
            return x
        name = call.layer.name
        if function is SILU:  # the file multiplies by the sigmoid
            gate = keras.layers.Activation(SIGMOID, name=self._unique(f"{name}_gate"))(x)
            gate = self._round(gate, f"{name}_gate_quantizer", frozenset(), others=True, fixed=FIXED_LIMITS[SIGMOID])
            return self._output(call, keras.layers.Multiply(name=self._unique(f"{name}_product"))([x, gate]))
        if type(call.layer) in KERNEL_LAYERS:
            result = keras.layers.Activation(function, name=self._unique(f"{name}_activation"))(x)
        else:
            result = self._copies.add(call.layer)(x)
        if function is LINEAR or (function in FUSED and self._follows_pooling(call)):
            return self._keep_scale(call, x, result)
        if function in FIXED_LIMITS:
            users = self._users(call.outputs[0], others=True)
            return self._round(result, f"{name}_quantizer", *users, fixed=FIXED_LIMITS[function])
        if function is SOFTMAX:  # stays float, and is rounded for those that read it
            return self._round(result, f"{name}_quantizer", *self._users(call.outputs[0]))
        return self._output(call, result, writer=self._writers.get(id(call.inputs[0])))

    def _affine(self, call: Call, factor: np.ndarray, summand: np.ndarray, x: keras.KerasTensor) -> keras.KerasTensor:
        """A multiplication and an addition, each with its own rounding."""
        name = call.layer.name
        multiplied = self._operand(factor, "multiply", name, x)
        if not np.any(summand):
            readers = self._readers(call.outputs[0])
            if factor.size == 1 and all(reader is not None and _is_convolution(reader.layer) for reader in readers):
                self._factors[id(multiplied)] = float(factor[0])
                return self._keep_scale(call, x, multiplied)  # the converter multiplies the kernels instead
            return self._output(call, multiplied)
        if np.any(factor != 1.0):
            multiplied = self._round(multiplied, f"{name}_factor_quantizer", frozenset(), others=True)
        return self._output(call, self._operand(summand, "add", name, multiplied))

    def _operand(self, values: np.ndarray, operation: str, name: str, x: keras.KerasTensor) -> keras.KerasTensor:
        self.operands.append(StoredOperand(values.tolist(), operation, name=self._unique(f"{name}_{operation}")))
        result = self.operands[-1](x)
        if id(x) in self._from_pixels:
            self._from_pixels.add(id(result))
        return result

    def _output(self, call: Call, x: keras.KerasTensor, writer: str | None = None) -> keras.KerasTensor:
        """The result of an operation, rounded unless that is done later; `writer`: the kernel it comes from."""
        tensor = call.outputs[0]
        readers = self._readers(tensor)
        reader = readers[0] if readers and all(other is readers[0] for other in readers) else None
        if reader is not None and _function(reader.layer) in FUSED and _is_fusing(call.layer):
            if writer is not None:
                self._writers[id(tensor)] = writer
            return x
        # What a concatenation alone reads gets the scale of the concatenation.
        if reader is not None and type(reader.layer).__name__ == CONCATENATION:
            return x
        users = self._users(tensor, writer, others=writer is None)
        return self._round(x, f"{call.layer.name}_quantizer", *users)

    def _round(
        self,
        x: keras.KerasTensor,
        name: str,
        kernels: frozenset[str],
        others: bool,
        fixed: tuple[float, float] | None = None,
    ) -> keras.KerasTensor:
        quantizer = ActivationQuantizer(name=self._unique(name))
        result = quantizer(x)
        from_pixels = id(x) in self._from_pixels
        self.tensors.append(QuantizedTensor(quantizer, x, kernels, others, fixed, from_pixels))
        if from_pixels:
            self._from_pixels.add(id(result))
        self._rounded[id(result)] = quantizer
        return result

    def _unique(self, name: str) -> str:
        """A name, with a number behind it if a layer that is called several times has it already."""
        self._named[name] += 1
        return name if self._named[name] == 1 else f"{name}_call{self._named[name]}"

    def _keep_scale(self, call: Call, x: keras.KerasTensor, result: keras.KerasTensor) -> keras.KerasTensor:
        if id(x) in self._rounded:
            self._rounded[id(result)] = self._rounded[id(x)]
        if id(x) in self._factors:
            self._factors[id(result)] = self._factors[id(x)]
        if id(call.inputs[0]) in self._writers:
            self._writers[id(call.outputs[0])] = self._writers[id(call.inputs[0])]
        return result

    def _users(
        self, tensor: keras.KerasTensor, writer: str | None = None, *, others: bool = False
    ) -> tuple[frozenset[str], bool]:
        """The kernels that a tensor comes from and goes to, and whether other int8 operations are among its users."""
        kernels = {writer} if writer is not None else set()
        for reader in self._readers(tensor):
            if reader is not None and type(reader.layer) in KERNEL_LAYERS:
                kernels.add(reader.layer.name)
            elif reader is not None and _function(reader.layer) is not SOFTMAX:
                others = True
        return frozenset(kernels), others

    def _readers(self, tensor: keras.KerasTensor) -> list[Call | None]:
        """The calls that read a tensor, behind dropout and the like; `None` for the reader of the output."""
        readers: list[Call | None] = [None] if tensor is self._graph.output else []
        for call in self._graph.readers(tensor):
            readers += self._readers(call.outputs[0]) if type(call.layer).__name__ in IDENTITY else [call]
        return readers

    def _follows_pooling(self, call: Call) -> bool:
        producer = self._producers.get(id(call.inputs[0]))
        return producer is not None and type(producer.layer).__name__ in POOLING


def _function(layer: keras.Operation) -> Function | None:
    """The activation function that a layer is, if it is one."""
    if isinstance(layer, keras.layers.Activation):
        return layer.activation
    if isinstance(layer, keras.layers.ReLU) and not layer.negative_slope and not layer.threshold:
        return {None: RELU, 6: RELU6}.get(layer.max_value)
    return OPERATIONS.get(type(layer).__name__)


def _constants(layer: keras.Operation) -> tuple[np.ndarray, np.ndarray] | None:
    """Factor and summand of a layer that multiplies by constants and adds some, for each channel or one for all."""
    if isinstance(layer, keras.layers.Rescaling):
        return np.array(layer.scale, np.float32, ndmin=1), np.array(layer.offset, np.float32, ndmin=1)
    if isinstance(layer, keras.layers.BatchNormalization) and layer.axis in (-1, len(layer.input.shape) - 1):
        factor, summand = norm_constants(layer)
        return factor.astype(np.float32), summand.astype(np.float32)
    return None


def _is_convolution(layer: keras.Operation) -> bool:
    return type(layer) in KERNEL_LAYERS and type(layer) is not keras.layers.Dense


def _is_fusing(layer: keras.Operation) -> bool:
    if type(layer) in KERNEL_LAYERS:
        return layer.activation is LINEAR
    return type(layer).__name__ in FUSING


def _separated(layer: keras.layers.SeparableConv2D, activation: Function) -> tuple[keras.layers.Layer, ...]:
    """The two layers that a separable convolution consists of."""
    shared = {"data_format": layer.data_format, "trainable": layer.trainable}
    depthwise = keras.layers.DepthwiseConv2D(
        layer.kernel_size,
        strides=layer.strides,
        padding=layer.padding,
        depth_multiplier=layer.depth_multiplier,
        dilation_rate=layer.dilation_rate,
        use_bias=False,
        name=layer.name,
        **shared,
    )
    pointwise = keras.layers.Conv2D(
        layer.filters, 1, use_bias=layer.use_bias, activation=activation, name=f"{layer.name}_pointwise", **shared
    )
    return depthwise, pointwise
