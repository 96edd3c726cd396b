import dataclasses
import zipfile
from collections.abc import Callable
from io import BytesIO

import keras
import numpy as np
import pytest

from automl_keras.errors import ExportError, InvalidArchitectureError, InvalidArgumentError, InvalidDataError
from automl_keras.export import TFLiteModel, export_int8
from automl_keras.export.flatbuffer import constant, operation_name, read, weighted_operations
from automl_keras.export.inspection import weight_bits
from automl_keras.quantization.policy_files import PolicyFiles
from tests.quantization_tests.networks import INFO, general_network, mbconv_network, pixels, residual_network

ALL_WIDTHS = {
    "FULLY_CONNECTED": (2, 3, 4, 8, 16, 32),
    "CONV_2D": (3, 4, 8, 16, 32),
    "DEPTHWISE_CONV_2D": (3, 4, 8, 16, 32),
}
NETWORKS = (mbconv_network, residual_network, general_network)


def make(network: keras.Model, **settings) -> PolicyFiles:
    return PolicyFiles(network, INFO, pixels(40), **{"profile": "litert>=2.1.6", "seed": 0, **settings})


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda builder: builder.__name__)
def network(request: pytest.FixtureRequest) -> keras.Model:
    builder: Callable[[], keras.Model] = request.param
    return builder()


@pytest.fixture(scope="module")
def files(network: keras.Model) -> PolicyFiles:
    return make(network, bits=ALL_WIDTHS)


def test_random_policies_are_what_the_file_holds(files):
    """200 legal policies over the three networks; every export compares types and codes with the policy."""
    rng, images = np.random.default_rng(0), pixels(20)
    integers = files.space.restrict({d.name: [b for b in d.options if b <= 8] for d in files.space.decisions})
    for number in range(67):
        policy = (files.space if number % 3 == 0 else integers).sample(rng)
        data = files.export(policy)
        probabilities = TFLiteModel(data).predict(images)
        assert np.isfinite(probabilities).all()
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
        found = weight_bits(read(data))
        assert {name: found[name] for name in policy} == {n: 4 if bits == 3 else bits for n, bits in policy.items()}
        difference = files.predict_size(policy) - len(data)
        if max(policy.values()) <= 8:
            assert difference == 0
        else:
            assert -50 <= difference <= 250 * sum(bits > 8 for bits in policy.values())


def test_sizes_of_one_float_layer_are_measured(files):
    eight = dict.fromkeys(files.space.names, 8)
    for name in files.space.names[:3]:
        assert files.predict_size({**eight, name: 16}) == len(files.export({**eight, name: 16}))


def test_all_8_bits_is_the_int8_file(network, files, tmp_path):
    path = export_int8(network, tmp_path / "m.tflite", INFO, calibration_images=pixels(40), seed=0)
    data = files.export(dict.fromkeys(files.space.names, 8))
    images = pixels(300, seed=1)
    expected = TFLiteModel(path).predict(images)
    answers = TFLiteModel(data).predict(images)
    # A 1x1 convolution may round the last digit of its int8 results differently as a fully connected operation.
    assert np.mean(answers.argmax(axis=1) == expected.argmax(axis=1)) >= 0.99
    assert np.abs(answers - expected).mean() < 0.005
    assert abs(len(data) - path.stat().st_size) < 200
    with zipfile.ZipFile(BytesIO(data)) as archive:
        assert archive.read("labels.txt").decode().split() == list(INFO.classes)


def test_wider_weights_are_closer_to_keras(network, files):
    images = pixels(100, seed=2)
    expected = network.predict(images.astype(np.float32), verbose=0)
    if network.layers[-1].name != "classes":
        expected = keras.ops.convert_to_numpy(keras.ops.softmax(expected))
    errors = []
    for bits in (4, 8, 32):
        probabilities = TFLiteModel(files.export(dict.fromkeys(files.space.names, bits))).predict(images)
        errors.append(np.abs(probabilities - expected).mean())
    assert errors[0] > 2 * errors[1]
    assert errors[1] < 0.01
    assert errors[2] <= errors[1]


def test_a_softmax_of_its_own_is_not_repeated():
    model = read(make(general_network()).export({}))
    kinds = [operation_name(model, operator) for operator in model.subgraphs[0].operators]
    assert kinds.count("SOFTMAX") == 1
    assert kinds[-1] == "SOFTMAX"


def test_float_operations_are_listed():
    network = keras.Sequential(
        [
            keras.Input(INFO.image_shape),
            keras.layers.Conv2D(6, 3, name="first"),
            keras.layers.LeakyReLU(0.2, name="leaky"),
            keras.layers.Conv2D(6, 3, dilation_rate=2, name="dilated"),
            keras.layers.Flatten(),
            keras.layers.Dense(4, name="logits"),
        ]
    )
    files = make(network, bits={"FULLY_CONNECTED": (4, 32), "first": (32,)})
    assert files.float_operations[0] == "leaky (LEAKY_RELU)"
    assert {operation.split()[0] for operation in files.float_operations} <= {"leaky", "dilated"}
    policy = {"first": 32, "dilated": 8, "logits": 4}
    assert weight_bits(read(files.export(policy))) == policy
    assert make(mbconv_network()).float_operations == ()


def test_3_bits_are_on_the_grid_of_3_bits(files):
    layer = next(layer.name for layer in files.space.layers if layer.op == "FULLY_CONNECTED")
    model = read(files.export({**dict.fromkeys(files.space.names, 8), layer: 3}))
    codes = [constant(model, one.weights) for one in weighted_operations(model) if one.weights.name.decode() == layer]
    assert {int(np.abs(code).max()) for code in codes} == {3}


def test_dead_channels_keep_their_bias_with_2_bits():
    inputs = keras.Input(INFO.image_shape)
    x = keras.layers.Conv2D(4, 1, use_bias=False, name="conv")(inputs)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.BatchNormalization(name="norm")(x))
    network = keras.Model(inputs, keras.layers.Dense(4, name="logits")(x))
    network.get_layer("norm").gamma.assign([0.0, 0.01, 0.0, 0.01])
    network.get_layer("norm").beta.assign([1.0, 0.0, 2.0, 0.0])
    images = pixels(30, seed=3)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(network(images.astype(np.float32))))
    files = make(network, bits={"conv": (2, 3, 8)})
    for bits in (2, 3, 8):
        answers = TFLiteModel(files.export({"conv": bits})).predict(images)
        np.testing.assert_allclose(answers, expected, atol=0.05)


def test_float_pixels_go_in_as_they_are():
    info = dataclasses.replace(INFO, input_dtype="float32")
    files = PolicyFiles(mbconv_network(), info, pixels(40).astype(np.float32), seed=0)
    assert TFLiteModel(files.export({})).input_details["dtype"] is np.float32
    assert files.space.profile.name == "litert>=1.4"


def test_the_same_seed_gives_the_same_bytes():
    network, images = residual_network(), pixels(210)
    one, same, other = (PolicyFiles(network, INFO, images, seed=seed).export({"logits": 4}) for seed in (0, 0, 1))
    assert one == same
    assert one != other


def test_what_does_not_fit_is_refused(network, files):
    with pytest.raises(InvalidArchitectureError, match="must be one of"):
        files.export({files.space.names[0]: 5})
    with pytest.raises(InvalidArchitectureError, match="Names must be decisions"):
        files.predict_size({"nobody": 8})
    with pytest.raises(InvalidDataError, match="`calibration_images` must be images of shape"):
        PolicyFiles(network, INFO, pixels(4)[:, :4], seed=0)
    with pytest.raises(InvalidArgumentError, match="`model` must map images"):
        PolicyFiles(network, dataclasses.replace(INFO, classes=("a", "b")), pixels(4), seed=0)


def test_a_dead_layer_is_refused():
    network = mbconv_network()
    network.get_layer("stem_bn").beta.assign(np.full(8, -1e6))
    with pytest.raises(ExportError, match=r"No layer may be dead.* in layer 'stem'"):
        make(network)
