import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from automl_keras.data import DatasetInfo
from automl_keras.errors import InvalidArgumentError, InvalidDataError
from automl_keras.estimators.transfer.backbone import Backbone
from automl_keras.estimators.transfer.network import TransferNetwork, head_alone
from automl_keras.estimators.transfer.trials import PLAIN
from automl_keras.training import Limit, train_network

GREY = DatasetInfo((6, 6, 1), "uint8", (100.0,), (50.0,), (3.0, 200.0), (0, 1, 2), 40, 10)
FLOATS = dataclasses.replace(GREY, input_dtype="float32", pixel_range=(-2.0, 14.0))
COLOUR = dataclasses.replace(GREY, image_shape=(8, 8, 3))
HEAD = {"head_units": 0, "dropout": 0.0}


def conv_backbone(shape=(8, 8, 3)):
    """Three convolutions, one of them in a model of its own, BatchNorm with statistics of its own, an addition."""
    keras.utils.set_random_seed(0)
    inner = keras.Sequential([keras.Input((None, None, 4)), keras.layers.Conv2D(4, 3, padding="same")])
    image = keras.Input(shape)
    x = keras.layers.Conv2D(4, 3, padding="same", name="logits")(image)  # a name that the head would take
    normalized = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(normalized) + inner(normalized)
    x = keras.layers.Conv2D(5, 1)(x)
    model = keras.Model(image, x)
    rng = np.random.default_rng(0)
    model.set_weights([weight + rng.uniform(0.1, 0.5, weight.shape) for weight in model.get_weights()])
    return model


def images(info, count=7):
    low, high = (0, 256) if info.input_dtype == "uint8" else info.pixel_range
    return np.random.default_rng(1).uniform(low, high, (count, *info.image_shape)).astype(np.float32)


@pytest.mark.parametrize("info", [GREY, FLOATS, COLOUR], ids=["bytes", "floats", "colour"])
@pytest.mark.parametrize("size", [None, (12, 10)])
def test_features_are_those_of_the_backbone_for_adapted_images(info, size):
    backbone = Backbone(conv_backbone((8, 8, 3) if size is None else (None, None, 3)), pixel_range=(-1, 1), size=size)
    network = TransferNetwork(backbone, info, HEAD, seed=0)
    x = images(info)
    black, white = (0, 255) if info.input_dtype == "uint8" else info.pixel_range
    adapted = (x - black) / (white - black) * 2 - 1
    adapted = np.repeat(tf.image.resize(adapted, size or (8, 8)).numpy(), 3 // info.image_shape[2], axis=3)
    expected = backbone.model(adapted, training=False).numpy().mean((1, 2))
    np.testing.assert_allclose(network.features(x, training=False), expected, atol=1e-4)
    assert network.model.output_shape == (None, 3)
    assert network.model.input_shape == (None, *info.image_shape)


def test_pixels_are_taken_as_they_are_unless_a_range_is_given():
    model = conv_backbone()
    network = TransferNetwork(Backbone(model), COLOUR, HEAD, seed=0)
    expected = model(images(COLOUR), training=False).numpy().mean((1, 2))
    np.testing.assert_allclose(network.features(images(COLOUR), training=False), expected, rtol=1e-4)


def test_features_may_come_pooled():
    model = conv_backbone()
    pooled = keras.Model(model.input, keras.layers.GlobalMaxPooling2D()(model.output))
    network = TransferNetwork(Backbone(pooled), COLOUR, HEAD, seed=0)
    expected = model(images(COLOUR), training=False).numpy().max((1, 2))
    np.testing.assert_allclose(network.features(images(COLOUR), training=False), expected, rtol=1e-4)


@pytest.mark.parametrize("units", [0, 8])
def test_a_head_trained_alone_fits_into_the_network(units):
    architecture = {"head_units": units, "dropout": 0.5}
    network = TransferNetwork(Backbone(conv_backbone()), COLOUR, architecture, seed=0)
    alone = head_alone(5, architecture, 3, seed=7)
    network.take_head(alone)
    features = network.features(images(COLOUR), training=False).numpy()
    expected = alone(features[:, None, None, :], training=False)
    np.testing.assert_allclose(network.model(images(COLOUR), training=False), expected, rtol=1e-4)


def trained(share):
    """What a short training changes: names of the layers whose weights are others than before, and the network."""
    model = conv_backbone()
    before_model = [weight.copy() for weight in model.get_weights()]
    network = TransferNetwork(Backbone(model), COLOUR, HEAD, seed=0)
    network.unfreeze(share)
    before = {layer.name: layer.get_weights() for layer in network.model.layers}
    x = np.rint(images(COLOUR, 40)).astype(np.uint8)
    recipe = {**PLAIN, "learning_rate_scale": 1.0}
    train_network(network.model, x, np.arange(40, dtype=np.int32) % 3, recipe, Limit(steps=3), batch_size=20)
    assert all(np.array_equal(*pair) for pair in zip(before_model, model.get_weights(), strict=True))
    return [
        type(layer).__name__
        for layer in network.model.layers
        if any(not np.array_equal(*pair) for pair in zip(before[layer.name], layer.get_weights(), strict=True))
    ]


@pytest.mark.parametrize(("share", "convolutions"), [(0.3, 1), (0.5, 2), (1.0, 3)])
def test_the_last_layers_learn_with_the_head_and_batch_norm_never_does(share, convolutions):
    assert trained(share) == ["Conv2D"] * convolutions + ["Dense"]


def test_a_backbone_for_other_channels_or_sizes_is_refused():
    with pytest.raises(InvalidDataError, match=r"backbone takes, 3.*\(8, 8, 4\)"):
        TransferNetwork(
            Backbone(conv_backbone((8, 8, 3))), dataclasses.replace(COLOUR, image_shape=(8, 8, 4)), HEAD, seed=0
        )
    flat = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(4)])
    with pytest.raises(InvalidArgumentError, match=r"`size`.*size=\(9, 9\)"):
        TransferNetwork(Backbone(flat, size=(9, 9)), COLOUR, HEAD, seed=0)
