import os
import sys
import zlib

import keras
import numpy as np
import pytest

from automl_keras.errors import ExportError, InvalidArgumentError, InvalidDataError
from automl_keras.export import TFLiteModel
from automl_keras.export.flatbuffer import read
from automl_keras.export.inspection import activation_dtypes, weight_bits
from automl_keras.quantization.tf_keras_twin import LEGACY, load_tf_keras, to_keras, to_tf_keras
from automl_keras.quantization.tfmot import cluster_weights, quantization_aware_training, zip_size_kb
from automl_keras.testing.isolation import call_in_fresh_process, untouched_generators
from tests.quantization_tests.networks import INFO, general_network, mbconv_network, pixels, residual_network

IMAGES, CODES = pixels(64), np.arange(64) % 4


def zoo() -> keras.Model:
    """Every kind of layer that has a twin and is not in the other networks."""
    layers = keras.layers
    inputs = keras.Input(INFO.image_shape)
    x = layers.Rescaling(1 / 128, -1.0)(inputs)
    x = layers.Conv2D(6, 3, dilation_rate=2, padding="same", activation="hard_silu", name="dilated")(x)
    x = layers.ZeroPadding2D(((0, 1), (1, 0)))(layers.Activation("silu")(x))
    x = layers.DepthwiseConv2D(3, strides=2, depth_multiplier=2, activation="relu6", name="depthwise")(x)
    x = layers.Activation("hard_silu")(layers.BatchNormalization(center=False)(x))
    x = layers.SeparableConv2D(8, 3, padding="same", depth_multiplier=2, name="separable")(x)
    x = layers.Dropout(0.5)(layers.ReLU(max_value=3.0, negative_slope=0.1, threshold=0.2)(x))
    x = layers.Conv2D(8, 3, padding="same", groups=2, use_bias=False, name="grouped")(x)
    pools = layers.MaxPooling2D(2, 1, padding="same"), layers.AveragePooling2D(2, 1, padding="same")
    x = layers.Concatenate()([pool(x) for pool in pools])
    x = layers.Concatenate()([layers.GlobalMaxPooling2D()(x), layers.GlobalAveragePooling2D(keepdims=False)(x)])
    x = layers.Dense(4, activation="tanh", name="dense")(x)
    return keras.Model(inputs, layers.Softmax()(x))


def small() -> keras.Model:
    """Without BatchNorm, and with activations between -6 and 6: the ranges with which the training begins."""
    inputs = keras.Input(INFO.image_shape)
    x = keras.layers.Rescaling(1 / 128, -1.0)(inputs)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="stem")(x)
    x = keras.layers.Activation("hard_silu")(keras.layers.Conv2D(8, 1, name="pointwise")(x))
    return keras.Model(inputs, keras.layers.Dense(4, name="logits")(keras.layers.GlobalAveragePooling2D()(x)))


def shaken(model: keras.Model) -> keras.Model:
    """With other weights than a new layer has, BatchNorm's statistics too."""
    rng = np.random.default_rng(0)
    model.set_weights([weight * rng.uniform(0.5, 1.5, weight.shape) + 0.01 for weight in model.get_weights()])
    return model


def loaded() -> tuple[set[str], str | None, str]:
    os.environ.pop(LEGACY, None)
    import tensorflow as tf

    import automl_keras.quantization.tfmot  # noqa: F401

    early = {"tf_keras", "tensorflow_model_optimization"} & set(sys.modules)
    load_tf_keras()
    return early, os.environ.get(LEGACY), tf.keras.__version__


def test_loading_is_late_and_leaves_no_trace():
    assert call_in_fresh_process(loaded) == (set(), None, keras.__version__)


@pytest.mark.parametrize("value", [None, "0", "1"])
def test_the_variable_is_put_back(tmp_path, monkeypatch, value):
    (tmp_path / "tensorflow_model_optimization.py").write_text(f"import os\nos.environ['{LEGACY}'] = 'planted'\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorflow_model_optimization", raising=False)
    monkeypatch.delenv(LEGACY, raising=False) if value is None else monkeypatch.setenv(LEGACY, value)
    _, module = load_tf_keras()
    del sys.modules["tensorflow_model_optimization"]
    assert module.__file__ == str(tmp_path / "tensorflow_model_optimization.py")
    assert os.environ.get(LEGACY) == value


@pytest.mark.parametrize("network", [mbconv_network, residual_network, general_network, zoo])
def test_a_twin_computes_the_same_and_its_weights_come_back(network):
    model = shaken(network())
    with untouched_generators():
        twin = to_tf_keras(model)
    images = IMAGES[:8].astype(np.float32)
    expected = model(images, training=False).numpy()
    np.testing.assert_allclose(twin(images, training=False).numpy(), expected, rtol=1e-5, atol=1e-6)
    kernels = [layer for layer in twin.layers if layer.get_weights()]
    for layer in kernels:
        layer.set_weights([2 * weight for weight in layer.get_weights()])
    back = to_keras(twin, model)
    assert [weight.path for weight in back.weights] == [weight.path for weight in model.weights]
    for weight, original in zip(back.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, 2 * original)


def test_layers_without_a_twin_are_refused():
    inputs = keras.Input(INFO.image_shape)
    for layer in (keras.layers.LayerNormalization(name="it"), keras.layers.Conv2D(2, 1, activation="gelu", name="it")):
        with pytest.raises(InvalidArgumentError, match="'it'"):
            to_tf_keras(keras.Model(inputs, layer(inputs)))


@pytest.mark.slow
def test_clustered_kernels_have_few_values_and_zip_well():
    model = shaken(small())
    before = model.get_weights()
    with untouched_generators():
        clustered = cluster_weights(model, 5, IMAGES, CODES, batch_size=32, learning_rate=1e-3, seed=0)
    for weight, original in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, original)
    values = {layer.name: len(np.unique(layer.get_weights()[0])) for layer in clustered.layers if layer.weights}
    assert set(values.values()) == {5}
    assert not np.array_equal(
        clustered.get_layer("logits").get_weights()[1], model.get_layer("logits").get_weights()[1]
    )
    images = IMAGES[:8].astype(np.float32)
    assert np.abs(clustered(images).numpy() - model(images).numpy()).max() < 1.0
    zipped = [zip_size_kb(network.get_layer("stem").get_weights()[0].tobytes()) for network in (clustered, model)]
    assert zipped[0] < 0.5 * zipped[1]


@pytest.mark.slow
def test_the_file_of_a_hardly_trained_network_is_that_network():
    """Weights hardly move, so what is left is rounding to int8."""
    model = shaken(small())
    data = quantization_aware_training(model, IMAGES, CODES, INFO, batch_size=16, learning_rate=1e-12, seed=0)
    file = read(data)
    assert weight_bits(file) == {"stem": 8, "pointwise": 8, "logits": 8}
    types = activation_dtypes(file)
    for kind in ("CONV_2D", "HARD_SWISH", "MEAN", "FULLY_CONNECTED"):
        assert types[kind] == ("int8",)
    assert types["INPUT"] == ("uint8",)
    assert types["SOFTMAX"] == types["MUL"] == types["OUTPUT"] == ("float32",)
    expected = keras.ops.softmax(model(IMAGES.astype(np.float32))).numpy()
    np.testing.assert_allclose(TFLiteModel(data).predict(IMAGES), expected, atol=0.02)


@pytest.mark.slow
def test_a_training_is_repeatable():
    model = shaken(small())
    first, again, other = (
        cluster_weights(model, 4, IMAGES, CODES, batch_size=16, learning_rate=0.01, seed=seed).get_weights()
        for seed in (0, 0, 1)
    )
    assert all(np.array_equal(*pair) for pair in zip(first, again, strict=True))
    assert not all(np.array_equal(*pair) for pair in zip(first, other, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("network", [mbconv_network, residual_network])
def test_networks_of_blocks_become_int8_files_that_have_learnt(network):
    """Brightness in four steps, which the new networks know nothing of."""
    codes = np.arange(256) % 4
    images = np.clip(pixels(256) // 4 + 50 * codes[:, None, None, None], 0, 255).astype(np.uint8)
    model = network()
    data = quantization_aware_training(model, images, codes, INFO, epochs=12, batch_size=16, learning_rate=0.01, seed=0)
    assert set(weight_bits(read(data)).values()) == {8}
    assert activation_dtypes(read(data))["CONV_2D"] == ("int8",)
    assert np.mean(TFLiteModel(data).predict(images).argmax(axis=1) == codes) > 0.9


def test_what_cannot_be_trained_is_refused():
    model = small()
    with pytest.raises(InvalidArgumentError, match="Received: clusters=1"):
        cluster_weights(model, 1, IMAGES, CODES, seed=0)
    with pytest.raises(InvalidArgumentError, match="Received: epochs=0"):
        cluster_weights(model, 4, IMAGES, CODES, epochs=0, seed=0)
    with pytest.raises(InvalidDataError, match=r"Received: lengths=\(64, 63\)"):
        quantization_aware_training(model, IMAGES, CODES[:-1], INFO, seed=0)
    with pytest.raises(ExportError, match="tensorflow-model-optimization cannot quantize the model"):
        quantization_aware_training(general_network(), IMAGES, CODES, INFO, seed=0)


def test_zip_size_is_that_of_deflate():
    data = b"weights " * 1000
    deflated = len(zlib.compress(data, 9, -15))
    assert deflated / 1000 < zip_size_kb(data) < (deflated + 200) / 1000
