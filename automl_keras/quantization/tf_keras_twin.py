"""The tf_keras twin of a Keras network: the same layers and weights in Keras 2.

`tf_keras` and `tensorflow_model_optimization` are imported when they are first needed, through `load_tf_keras` alone.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Collection
from typing import Any

import keras
import tensorflow as tf

from automl_keras.errors import InvalidArgumentError, MissingDependencyError
from automl_keras.quantization.graph import Call, Copies, Graph, has_weights

LEGACY = "TF_USE_LEGACY_KERAS"

# Layer to the settings of its configuration that decide what it computes; weights are moved.
SETTINGS: dict[str, tuple[str, ...]] = {
    "Activation": (),
    "Add": (),
    "AveragePooling2D": ("pool_size", "strides", "padding"),
    "BatchNormalization": ("axis", "momentum", "epsilon", "center", "scale"),
    "Concatenate": ("axis",),
    "Conv2D": ("filters", "kernel_size", "strides", "padding", "dilation_rate", "groups", "use_bias"),
    "Dense": ("units", "use_bias"),
    "DepthwiseConv2D": ("kernel_size", "strides", "padding", "depth_multiplier", "dilation_rate", "use_bias"),
    "Dropout": ("rate", "seed"),
    "Flatten": (),
    "GlobalAveragePooling2D": ("keepdims",),
    "GlobalMaxPooling2D": ("keepdims",),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "ReLU": ("max_value", "negative_slope", "threshold"),
    "Rescaling": ("scale", "offset"),
    "SeparableConv2D": (
        "filters",
        "kernel_size",
        "strides",
        "padding",
        "depth_multiplier",
        "dilation_rate",
        "use_bias",
    ),
    "Softmax": ("axis",),
    "ZeroPadding2D": ("padding",),
}
# Activations that mean the same in both; relu6 and hard_silu become layers of their own.
ACTIVATIONS = {
    "linear": "linear",
    "relu": "relu",
    "sigmoid": "sigmoid",
    "silu": "swish",
    "softmax": "softmax",
    "tanh": "tanh",
}
INITIALIZED = {  # to zeros: random initial weights would be drawn from the global generator, and are replaced anyway
    "Conv2D": ("kernel_initializer",),
    "Dense": ("kernel_initializer",),
    "DepthwiseConv2D": ("depthwise_initializer",),
    "SeparableConv2D": ("depthwise_initializer", "pointwise_initializer"),
}


def load_tf_keras() -> tuple[Any, Any]:
    """The modules `tf_keras` and `tensorflow_model_optimization`, without a trace in this process.

    The latter sets the environment variable TF_USE_LEGACY_KERAS, by which `tf.keras` and the Keras of every
    process to come would be another one. It is put back, and `tf.keras` settled before.

    Raises:
        MissingDependencyError: If one is not installed.
    """
    tf.keras.__version__  # noqa: B018 - decides which Keras `tf.keras` is, for the whole process
    before = os.environ.get(LEGACY)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it still uses distutils
            import tensorflow_model_optimization as tfmot
        import tf_keras
    except ImportError as error:
        raise MissingDependencyError(
            "tf_keras or tensorflow-model-optimization is not installed: "
            "pip install tf_keras tensorflow-model-optimization"
        ) from error
    finally:
        if before is None:
            os.environ.pop(LEGACY, None)
        else:
            os.environ[LEGACY] = before
    return tf_keras, tfmot


def to_tf_keras(model: keras.Model, *, without: Collection[str] = ()) -> Any:
    """The tf_keras twin of a network: the same outputs, layers of the same names with the same weights.

    An activation of relu6 or hard_silu inside a layer becomes a layer of its own.

    Args:
        model: Functional or Sequential, of one input and one output; nested models are laid open.
        without: Names of layers of one input to leave out.

    Raises:
        InvalidArgumentError: If it has a layer or an activation that has no twin.
    """
    tf_keras, _ = load_tf_keras()
    graph = Graph(model)
    twins: dict[int, Any] = {}

    def make(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if call.layer.name in without:
            return args[0]
        if id(call.layer) not in twins:
            twins[id(call.layer)] = _twins(call.layer)
        first, *others = twins[id(call.layer)]
        x = first(*args, **kwargs)
        for twin in others:
            x = twin(x)
        return x

    inputs = tf_keras.Input(tuple(graph.input.shape[1:]), name=graph.input.name)
    twin = tf_keras.Model(inputs, graph.replay(make, inputs), name=graph.name)
    for call in graph.calls:
        if has_weights(call.layer) and call.layer.name not in without:
            twin.get_layer(call.layer.name).set_weights(call.layer.get_weights())
    return twin


def to_keras(twin: Any, model: keras.Model) -> keras.Model:
    """A copy of a network with the weights of its twin.

    Args:
        twin: From `to_tf_keras` of `model`, trained since. A layer that it was made without keeps its weights.
        model: Left alone.
    """
    copies, trained = Copies(), {layer.name: layer for layer in twin.layers}

    def make(call: Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        weights = trained[call.layer.name].get_weights() if call.layer.name in trained else None
        return copies.call(call.layer, args, kwargs, weights=weights)

    return Graph(model).rebuild(make)


@functools.cache
def hard_silu() -> Any:
    """The activation hard_silu, also called hard_swish, as a function that tf_keras can store and load."""
    tf_keras, _ = load_tf_keras()

    @tf_keras.utils.register_keras_serializable("automl_keras")
    def hard_silu(x: tf.Tensor) -> tf.Tensor:
        return x * (tf.nn.relu6(x + 3.0) / 6.0)

    return hard_silu


def _twins(layer: keras.Operation) -> list[Any]:
    """The twin of a layer, and of its activation if that becomes a layer."""
    tf_keras, _ = load_tf_keras()
    kind = type(layer).__name__
    if kind not in SETTINGS or type(layer) is not getattr(keras.layers, kind, None):
        raise InvalidArgumentError(
            f"Layers must be of one of the kinds {sorted(SETTINGS)}. Received: {layer.name!r}, a {kind}"
        )
    config = layer.get_config()
    settings = {name: config[name] for name in SETTINGS[kind]}
    settings |= dict.fromkeys(INITIALIZED.get(kind, ()), "zeros")
    settings |= {"name": layer.name, "trainable": layer.trainable}
    if "activation" not in config:
        return [getattr(tf_keras.layers, kind)(**settings)]
    activation = keras.activations.serialize(layer.activation)
    if activation in ACTIVATIONS:
        return [getattr(tf_keras.layers, kind)(**settings, activation=ACTIVATIONS[activation])]
    name = layer.name if kind == "Activation" else f"{layer.name}_activation"
    if activation == "relu6":
        follower = tf_keras.layers.ReLU(6.0, name=name)
    elif activation == "hard_silu":
        follower = tf_keras.layers.Activation(hard_silu(), name=name)
    else:
        known = sorted([*ACTIVATIONS, "hard_silu", "relu6"])
        raise InvalidArgumentError(f"Activations must be of {known}. Received: {activation!r} in {layer.name!r}")
    return [follower] if kind == "Activation" else [getattr(tf_keras.layers, kind)(**settings), follower]
