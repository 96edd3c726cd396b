"""`fold_batch_norm`: BatchNorm folded into the layer before it, as the converter does for the file."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from automl_keras.quantization.graph import KERNEL_LAYERS, Call, Copies, Graph


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """A network that computes the same in evaluation, with every BatchNorm that can be folded in the layer before it.

    BatchNorm in evaluation is a factor and a summand for each channel. Behind a layer that is linear in its weights
    they become part of these (Jacob et al., CVPR 2018, section 3.2, equation 14): with s = gamma / sqrt(variance +
    epsilon), the kernel times s, and the bias (bias - mean) * s + beta.

    Folded are Conv2D, DepthwiseConv2D, SeparableConv2D (its pointwise kernel) and Dense without an activation, if
    nothing but a BatchNorm over channels reads their output, and if they are called once. The layer keeps its name
    and has a bias then. A BatchNorm elsewhere stays as it is. The result may be folded again: it comes out the same.

    Args:
        model: Functional or Sequential, of one input and one output. It is left alone; nested models are laid open.

    Returns:
        A functional model; a copied layer keeps its name.

    Raises:
        InvalidArgumentError: If the model is of another kind, or two layers with kernels have the same name.
    """
    graph = Graph(model)
    norms = foldable_norms(graph)
    folded = {id(norm) for norm in norms.values()}

    copies = Copies()

    def make(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if id(call) in folded:
            return args[0]
        norm = norms.get(id(call))
        if norm is None:
            return copies.call(call.layer, args, kwargs)
        # Where only BatchNorm was trained, what has become of it stays trainable.
        trainable = call.layer.trainable or norm.layer.trainable
        weights = _folded_weights(call.layer, norm.layer)
        return copies.call(call.layer, args, kwargs, weights=weights, use_bias=True, trainable=trainable)

    return graph.rebuild(make)


def foldable_norms(graph: Graph) -> dict[int, Call]:
    """The calls of BatchNorm that can be folded, by the `id` of the call before."""
    return {id(call): norm for call in graph.calls if (norm := _foldable_norm(graph, call)) is not None}


def _foldable_norm(graph: Graph, call: Call) -> Call | None:
    """The call of the BatchNorm that can be folded into a call, if there is one."""
    layer, norm = call.layer, graph.only_reader(call.outputs[0])
    if type(layer) not in KERNEL_LAYERS or layer.activation is not keras.activations.linear:
        return None
    if norm is None or sum(other.layer in (layer, norm.layer) for other in graph.calls) != 2:
        return None
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return None
    if type(norm.layer) is not keras.layers.BatchNormalization:
        return None
    return norm if norm.layer.axis in (-1, len(call.outputs[0].shape) - 1) else None


def norm_constants(norm: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """What BatchNorm in evaluation is: a factor and a summand for each channel, float64."""
    variance = np.asarray(norm.moving_variance, np.float64)
    gamma = np.asarray(norm.gamma, np.float64) if norm.scale else np.ones_like(variance)
    beta = np.asarray(norm.beta, np.float64) if norm.center else np.zeros_like(variance)
    factor = gamma / np.sqrt(variance + norm.epsilon)
    return factor, beta - np.asarray(norm.moving_mean, np.float64) * factor


def _folded_weights(layer: keras.layers.Layer, norm: keras.layers.BatchNormalization) -> list[np.ndarray]:
    """The kernels and the bias of a layer with BatchNorm in them."""
    factor, summand = norm_constants(norm)
    *kernels, kernel, bias = layer.get_weights() if layer.use_bias else [*layer.get_weights(), np.zeros(1)]
    if type(layer) is keras.layers.DepthwiseConv2D:  # (height, width, channels, multiplier)
        kernel = kernel * factor.reshape(kernel.shape[2:])
    else:  # channels last; of SeparableConv2D the second kernel
        kernel = kernel * factor
    return [np.asarray(values, np.float32) for values in (*kernels, kernel, bias * factor + summand)]
