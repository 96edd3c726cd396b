"""Networks of many kinds of layers, with random weights, for colour images of 8x8 pixels and four classes."""

import keras
import numpy as np
from keras import layers

from tests.quantization_tests.networks import INFO


def branches() -> keras.Model:
    """Every kind of layer with a kernel, BatchNorm in all places, padding, branches, a nested model, dropout."""
    inputs = keras.Input(INFO.image_shape, name="image")
    x = layers.Rescaling([1 / 50, 1 / 60, 1 / 70], [-1.0, -1.2, -1.1], name="normalize")(inputs)
    x = layers.Conv2D(8, 3, use_bias=False, name="stem")(layers.ZeroPadding2D(1)(x))
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(x)
    y = layers.Activation("relu", name="depthwise_relu")(layers.BatchNormalization(scale=False)(y))
    y = layers.BatchNormalization(center=False)(layers.Conv2D(8, 1, groups=2, name="grouped")(y))
    x = x + y
    z = layers.SeparableConv2D(8, 3, padding="same", name="separable")(x)
    z = layers.ReLU()(layers.BatchNormalization()(z))
    x = layers.AveragePooling2D(2)(layers.Concatenate()([x, z]))
    nested = [keras.Input((4, 4, 16)), layers.Conv2D(8, 3, name="inner"), layers.BatchNormalization(), layers.ReLU()]
    x = layers.BatchNormalization(name="loose")(keras.Sequential(nested, name="nested")(x))
    x = layers.Dense(16, name="hidden")(layers.Dropout(0.3)(layers.Flatten()(x)))
    x = layers.ReLU(name="hidden_relu")(layers.BatchNormalization()(x))
    return randomized(keras.Model(inputs, layers.Dense(4, name="logits")(x)))


def activations() -> keras.Model:
    """Activations of all kinds inside layers and behind them, ReLU behind pooling, a softmax at the end."""
    inputs = keras.Input(INFO.image_shape, name="image")
    x = layers.Conv2D(8, 3, padding="same", name="c1")(layers.Rescaling(1 / 255)(inputs))
    x = layers.ReLU()(layers.MaxPooling2D(3, 1)(layers.Activation("hard_silu")(x)))
    x = layers.Conv2D(8, 3, padding="same", name="c2")(x)
    x = layers.Concatenate()([x, layers.Activation("silu")(x)])
    x = layers.Conv2D(4, 1, activation="sigmoid", name="c3")(x)
    y = layers.LeakyReLU()(layers.Conv2D(4, 1, activation="gelu", name="c4")(x))
    y = layers.Conv2D(4, 1, activation="tanh", name="c5")(y)
    y = layers.Conv2D(4, 1, activation="hard_sigmoid", name="c6")(y)
    x = layers.ReLU()(layers.AveragePooling2D(2)(layers.ReLU()(layers.Multiply()([x, y]))))
    x = layers.ReLU()(layers.Dropout(0.1)(layers.Conv2D(6, 1, name="c7")(x)))
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    return randomized(keras.Model(inputs, layers.Dense(4, activation="softmax", name="classes")(x)))


def randomized(model: keras.Model) -> keras.Model:
    rng = np.random.default_rng(0)
    for weight in model.weights:
        positive = weight.name in ("gamma", "moving_variance")
        weight.assign(rng.uniform(0.5, 1.5, weight.shape) if positive else rng.normal(0, 0.3, weight.shape))
    return model
