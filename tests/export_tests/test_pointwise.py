import keras
import numpy as np
import pytest

from automl_keras.export import TFLiteModel, to_float_tflite
from automl_keras.export.flatbuffer import operation_name, read, serialize, weighted_operations
from automl_keras.export.pointwise import pointwise_to_fully_connected


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """1x1 convolutions of all kinds; only those named "yes" can be rewritten."""
    layer = keras.layers.Conv2D
    inputs = keras.Input((9, 7, 3))
    x = layer(8, 3, padding="same", activation="relu", name="no_3x3")(inputs)
    x = layer(12, 1, use_bias=False, name="yes_plain")(x)
    x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
    x = layer(12, 1, groups=2, name="no_groups")(x)
    shared = layer(12, 1, padding="valid", activation="relu", name="yes_twice")
    x = shared(shared(x))
    x = layer(6, 1, strides=2, name="no_strides")(x)
    x = layer(5, (1, 3), name="no_row")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(4, name="dense")(x))


def kinds(model) -> list[str]:
    return [operation_name(model, operator) for operator in model.subgraphs[0].operators]


def test_results_are_bit_identical(network):
    images = np.random.default_rng(0).normal(size=(20, 9, 7, 3)).astype(np.float32)
    before = to_float_tflite(network)
    model = read(before)
    pointwise_to_fully_connected(model)
    after = serialize(model)
    np.testing.assert_array_equal(TFLiteModel(after).predict(images), TFLiteModel(before).predict(images))
    found = [one.kind for one in weighted_operations(read(after))]
    assert [kind == "FULLY_CONNECTED" for kind in found] == [False, True, False, True, True, False, False, True]
    assert len(kinds(model)) == len(kinds(read(before)))


def test_weights_that_another_convolution_reads_keep_their_shape(network):
    model = read(to_float_tflite(network))
    shared = [one for one in weighted_operations(model) if tuple(one.weights.shape) == (12, 1, 1, 12)]
    assert len(shared) == 2
    shared[0].operator.builtinOptions.strideH = 2
    pointwise_to_fully_connected(model)
    found = [(one.kind, tuple(one.weights.shape)) for one in weighted_operations(model)]
    assert found.count(("CONV_2D", (12, 1, 1, 12))) == 2
    assert [kind for kind, _ in found].count("FULLY_CONNECTED") == 2


def test_nothing_is_added_where_nothing_is_rewritten(tiny):
    before = to_float_tflite(tiny)
    model = read(before)
    pointwise_to_fully_connected(model)
    assert serialize(model) == serialize(read(before))
