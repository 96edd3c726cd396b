"""Three small networks with random weights, for colour images of 8x8 pixels and four classes."""

import keras
import numpy as np

from automl_keras.data import DatasetInfo

INFO = DatasetInfo((8, 8, 3), "uint8", (128.0,) * 3, (64.0,) * 3, (0.0, 255.0), ("a", "b", "c", "d"), 60, 20)


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng((seed, count)).integers(0, 256, (count, *INFO.image_shape), dtype=np.uint8)


def mbconv_network() -> keras.Model:
    inputs, x = _start(8)
    for block, stride in enumerate((1, 2)):
        shortcut = x
        x = _conv(x, 24, 1, f"b{block}_expand")
        x = keras.layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False, name=f"b{block}_dw")(x)
        x = _conv(keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x)), 8, 1, f"b{block}_project", relu=False)
        if stride == 1:
            x = keras.layers.Add()([shortcut, x])
    return _end(inputs, x)


def residual_network() -> keras.Model:
    inputs, x = _start(8)
    for block, width in enumerate((8, 16)):
        stride = width // 8
        shortcut = _conv(x, width, 1, f"b{block}_shortcut", stride=stride, relu=False) if stride > 1 else x
        x = _conv(_conv(x, width, 3, f"b{block}_first", stride=stride), width, 3, f"b{block}_second", relu=False)
        x = keras.layers.ReLU()(keras.layers.Add()([shortcut, x]))
    return _end(inputs, x)


def general_network() -> keras.Model:
    """Pooling, branches, a layer used twice, a hidden dense layer, and a softmax of its own at the end."""
    inputs = keras.Input(INFO.image_shape, name="pixels")
    x = keras.layers.Rescaling(1 / 255, name="rescale")(inputs)
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu", name="conv2d")(x)
    x = keras.layers.MaxPooling2D(name="pool")(x)
    shared = keras.layers.Conv2D(6, 1, activation="relu", name="conv2d_1")
    separable = keras.layers.SeparableConv2D(5, 3, padding="same", activation="relu", name="separable")
    x = keras.layers.Concatenate(name="concat")([shared(shared(x)), separable(x), keras.layers.AveragePooling2D(1)(x)])
    x = keras.layers.Flatten(name="flatten")(keras.layers.Conv2D(9, 3, groups=1, name="valid")(x))
    x = keras.layers.Dense(11, activation="relu", name="hidden")(x)
    return keras.Model(inputs, keras.layers.Dense(4, activation="softmax", name="classes")(x))


def _start(width: int) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    inputs = keras.Input(INFO.image_shape, name="image")
    x = keras.layers.Rescaling([1 / 64] * 3, [-2.0] * 3, name="normalize")(inputs)
    return inputs, _conv(x, width, 3, "stem")


def _end(inputs: keras.KerasTensor, x: keras.KerasTensor) -> keras.Model:
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, keras.layers.Dense(4, name="logits")(x))


def _conv(
    x: keras.KerasTensor, width: int, kernel: int, name: str, *, stride: int = 1, relu: bool = True
) -> keras.KerasTensor:
    x = keras.layers.Conv2D(width, kernel, strides=stride, padding="same", use_bias=False, name=name)(x)
    x = keras.layers.BatchNormalization(name=f"{name}_bn")(x)
    return keras.layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x
