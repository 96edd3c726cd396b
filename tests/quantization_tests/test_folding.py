import keras
import numpy as np
import pytest
from keras import layers

from automl_keras.errors import InvalidArgumentError
from automl_keras.quantization.folding import fold_batch_norm
from tests.quantization_tests.layer_zoo import branches, randomized
from tests.quantization_tests.networks import general_network, pixels


def kinds(model: keras.Model) -> dict[str, str]:
    return {layer.name: type(layer).__name__ for layer in model.layers}


def test_the_folded_network_computes_the_same():
    model = branches()
    before = [weight.numpy() for weight in model.weights]
    folded = fold_batch_norm(model)
    images = pixels(20).astype(np.float32)
    expected = model(images, training=False).numpy()
    np.testing.assert_allclose(folded(images, training=False), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())
    assert [name for name, kind in kinds(folded).items() if kind == "BatchNormalization"] == ["loose"]
    with_kernel = [layer for layer in folded.layers if any(len(weight.shape) > 1 for weight in layer.weights)]
    assert [layer.name for layer in with_kernel] == [
        *("stem", "depthwise", "grouped", "separable", "inner", "hidden", "logits")
    ]
    assert all(layer.use_bias for layer in with_kernel)
    assert all(np.array_equal(old, new) for old, new in zip(before, model.weights, strict=True))


def test_folding_twice_changes_nothing():
    once = fold_batch_norm(branches())
    twice = fold_batch_norm(once)
    assert kinds(twice) == kinds(once)
    assert all(np.array_equal(one, two) for one, two in zip(once.weights, twice.weights, strict=True))


def test_batch_norm_stays_where_it_is_not_the_next_step_of_a_linear_layer():
    inputs = keras.Input((8, 8, 3), name="image")
    x = layers.BatchNormalization(name="first")(inputs)
    x = layers.Conv2D(4, 3, activation="relu", name="active")(x)
    x = layers.Conv2D(4, 1, name="read_twice")(layers.BatchNormalization(name="behind_relu")(x))
    x = layers.Add()([x, layers.BatchNormalization(name="beside")(x)])
    model = randomized(keras.Model(inputs, layers.Flatten()(layers.BatchNormalization(axis=1, name="rows")(x))))
    folded = fold_batch_norm(model)
    assert kinds(folded) == kinds(model)
    images = pixels(3).astype(np.float32)
    np.testing.assert_allclose(folded(images), model(images), rtol=1e-5, atol=1e-4)


def test_a_layer_that_is_called_twice_stays_one_layer():
    model = general_network()
    folded = fold_batch_norm(model)
    assert kinds(folded) == kinds(model)
    assert len(folded.weights) == len(model.weights)
    images = pixels(5).astype(np.float32)
    np.testing.assert_allclose(folded(images), model(images), rtol=1e-5, atol=1e-6)


def test_what_only_batch_norm_trained_stays_trainable():
    inputs = keras.Input((8, 8, 3), name="image")
    scale = layers.DepthwiseConv2D(1, use_bias=False, trainable=False, name="scale")(inputs)
    frozen = layers.Conv2D(4, 1, trainable=False, name="frozen")(layers.BatchNormalization()(scale))
    folded = fold_batch_norm(keras.Model(inputs, layers.BatchNormalization(trainable=False)(frozen)))
    assert [layer.trainable for layer in folded.layers if layer.name in ("scale", "frozen")] == [True, False]


def test_adapted_normalization_is_copied():
    images = pixels(20).astype(np.float32)
    normalize = layers.Normalization()
    normalize.adapt(images)
    inputs = keras.Input((8, 8, 3), name="image")
    model = keras.Model(inputs, layers.Conv2D(2, 3)(normalize(inputs)))
    np.testing.assert_allclose(fold_batch_norm(model)(images), model(images), rtol=1e-5, atol=1e-5)


def test_other_models_are_refused():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    one, two = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    same_name = [
        keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(3, 1, name="conv")], name=name) for name in "ab"
    ]
    for model, said in (
        (Subclassed(), "functional"),
        (keras.Model([one, two], layers.Add()([one, two])), "2 inputs"),
        (keras.Model(one, same_name[1](same_name[0](one))), "'conv' twice"),
    ):
        with pytest.raises(InvalidArgumentError, match=said):
            fold_batch_norm(model)
