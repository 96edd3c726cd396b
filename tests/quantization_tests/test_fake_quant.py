import itertools
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from automl_keras.errors import InvalidArchitectureError, InvalidArgumentError, InvalidDataError
from automl_keras.export import TFLiteModel
from automl_keras.export.flatbuffer import constant, read, type_name, weighted_operations
from automl_keras.quantization.fake_quant import FakeQuantModel
from automl_keras.quantization.fake_quant_layers import (
    ActivationQuantizer,
    FakeQuantized,
    fake_quantize_weights,
    int8_limits,
)
from automl_keras.quantization.folding import fold_batch_norm
from automl_keras.quantization.policy_files import PolicyFiles
from tests.quantization_tests.conftest import TrainedDigits
from tests.quantization_tests.layer_zoo import activations, branches
from tests.quantization_tests.networks import INFO, general_network, pixels

PIXELS = (0.0, 255.0)
FAST = ("FULLY_CONNECTED",)  # what has fast kernels for 4 bits
BITS = {
    "FULLY_CONNECTED": (2, 3, 4, 8, 16, 32),
    "CONV_2D": (3, 4, 8, 16, 32),
    "DEPTHWISE_CONV_2D": (3, 4, 8, 16, 32),
}


@dataclass(frozen=True)
class Case:
    folded: keras.Model
    fake_quant: FakeQuantModel
    files: PolicyFiles


def calibrated(folded: keras.Model, images: np.ndarray) -> FakeQuantModel:
    fake_quant = FakeQuantModel(folded)
    fake_quant.calibrate(images, seed=0, pixel_range=PIXELS)
    return fake_quant


def policy_files(folded: keras.Model, images: np.ndarray, info=INFO) -> PolicyFiles:
    return PolicyFiles(folded, info, images, profile="litert>=2.1.6", seed=0, bits=BITS)


def file_scales(data: bytes) -> set[tuple[float, int]]:
    """Scale and zero point of every int8 activation of a file."""
    graph = read(data).subgraphs[0]
    tensors = [graph.tensors[index] for operator in graph.operators for index in operator.outputs]
    return {
        (float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0]))
        for tensor in tensors
        if type_name(tensor) == "INT8"
    }


def quantizer_scales(fake_quant: FakeQuantModel) -> dict[str, tuple[float, int]]:
    found = {}
    for layer in fake_quant.model.layers:
        if isinstance(layer, ActivationQuantizer):
            low, high = (float(limit) for limit in layer.limits.numpy())
            found[layer.name] = ((high - low) / 255, round(-128 - low * 255 / (high - low)))
    return found


def same(one: tuple[float, int], other: tuple[float, int]) -> bool:
    return one[1] == other[1] and abs(one[0] / other[0] - 1) < 1e-4


def file_codes(data: bytes) -> dict[str, np.ndarray]:
    """The codes of every layer with integer weights, the channels first."""
    model, found = read(data), {}
    for operation in weighted_operations(model):
        if type_name(operation.weights).startswith("INT"):
            codes = np.moveaxis(constant(model, operation.weights), operation.channel_axis, 0)
            found[operation.weights.name.decode()] = codes.reshape(len(codes), -1)
    return found


def kernel_codes(fake_quant: FakeQuantModel, bits: dict[str, int]) -> dict[str, np.ndarray]:
    found = {}
    for layer in fake_quant.model.layers:
        if isinstance(layer, FakeQuantized):
            kernel = layer.stored_kernel().numpy()
            if isinstance(layer.layer, layers.DepthwiseConv2D):
                kernel = kernel.reshape(*kernel.shape[:2], -1)
            kernel = np.moveaxis(kernel, -1, 0).reshape(kernel.shape[-1], -1)
            name = layer.name.replace("_pointwise", ":1")
            if bits[name] <= 8:
                scale = np.abs(kernel).max(axis=1, keepdims=True) / (2 ** (bits[name] - 1) - 1)
                found[name] = np.rint(kernel / scale).astype(np.int8)
    return found


def case_of(build: Callable[[], keras.Model]) -> Case:
    folded = fold_batch_norm(build())
    return Case(folded, calibrated(folded, pixels(60)), policy_files(folded, pixels(60)))


@pytest.fixture(scope="module")
def branching() -> Case:
    return case_of(branches)


def check_scales(case: Case, *, only_in_file: int) -> None:
    in_file = file_scales(case.files.export(dict.fromkeys(case.fake_quant.kernels, 8)))
    mine = quantizer_scales(case.fake_quant)
    assert [name for name, scale in mine.items() if not any(same(scale, other) for other in in_file)] == []
    assert len([scale for scale in in_file if not any(same(scale, other) for other in mine.values())]) == only_in_file


def check_codes(case: Case) -> None:
    assert set(case.fake_quant.kernels) == set(case.files.space.names)
    rng, decisions = np.random.default_rng(0), case.files.space.decisions
    mixed = {d.name: int(rng.choice([b for b in d.options if b <= 8])) for d in decisions}
    for policy in (dict.fromkeys(case.fake_quant.kernels, 8), mixed):
        case.fake_quant.set_policy(policy)
        expected, codes = kernel_codes(case.fake_quant, policy), file_codes(case.files.export(policy))
        assert codes.keys() == expected.keys()
        assert all(np.array_equal(codes[name], expected[name]) for name in codes)


def check_probabilities(case: Case) -> None:
    """Where XNNPACK computes they are the same, elsewhere the runtime's kernels round a little differently."""
    images = pixels(200)
    exact = case.folded(images.astype(np.float32), training=False).numpy()
    if case.folded.layers[-1].activation is not keras.activations.softmax:
        exact = tf.nn.softmax(exact).numpy()
    names, fully_connected = case.fake_quant.kernels, [x.name for x in case.files.space.layers if x.op in FAST]
    sampled = case.files.space.sample(np.random.default_rng(1))
    for policy, share in (({}, 0.05), (dict.fromkeys(fully_connected, 4), 0.05), (sampled, 0.6)):
        case.fake_quant.set_policy(policy)
        in_file = TFLiteModel(case.files.export({**dict.fromkeys(names, 8), **policy})).predict(images)
        predicted = case.fake_quant.predict(images)
        assert np.abs(predicted - in_file).mean() < share * np.abs(exact - in_file).mean()


def test_branches_are_rounded_as_in_the_file(branching: Case):
    check_scales(branching, only_in_file=0)
    check_codes(branching)
    check_probabilities(branching)


@pytest.mark.slow
def test_activations_are_rounded_as_in_the_file():
    case = case_of(activations)
    check_scales(case, only_in_file=1)  # what a hard sigmoid divides by 6
    check_codes(case)
    check_probabilities(case)


@pytest.mark.slow
def test_a_kernel_used_twice_is_rounded_as_in_the_file():
    case = case_of(general_network)
    check_scales(case, only_in_file=0)
    check_codes(case)


@pytest.mark.slow
def test_accuracy_of_the_file_is_met(trained_digits: TrainedDigits):
    """Every answer is the file's where XNNPACK computes all of it, else the accuracy is within 0.3 points."""
    digits = trained_digits
    fake_quant = calibrated(digits.folded, digits.images[:1000])
    files = policy_files(digits.folded, digits.images[:1000], digits.info)
    names, fast = fake_quant.kernels, {layer.name for layer in files.space.layers if layer.op in FAST}
    fast_mix = {name: 4 if name in fast else 8 for name in names}
    floats = {name: (8, 4, 16, 32)[index % 4] for index, name in enumerate(names)}
    for policy, agreement in (
        (dict.fromkeys(names, 8), 0.999),
        (fast_mix, 0.999),
        (dict.fromkeys(names, 4), 0.99),
        (floats, 0.99),
    ):
        fake_quant.set_policy(policy)
        predicted = fake_quant.predict(digits.images).argmax(axis=1)
        in_file = TFLiteModel(files.export(policy)).predict(digits.images).argmax(axis=1)
        assert (predicted == in_file).mean() >= agreement
        assert abs(np.mean(predicted == digits.codes) - np.mean(in_file == digits.codes)) <= 0.003


def test_one_trace_serves_every_policy(branching: Case, monkeypatch: pytest.MonkeyPatch):
    traces = []
    stored_kernel = FakeQuantized.stored_kernel
    monkeypatch.setattr(FakeQuantized, "stored_kernel", lambda layer: traces.append(layer.name) or stored_kernel(layer))
    fake_quant = calibrated(branching.folded, pixels(20))
    results = []
    for bits in (8, 4, 2, 16, 32):
        fake_quant.set_policy(dict.fromkeys(fake_quant.kernels, bits))
        results.append(fake_quant.predict(pixels(150)))
        if bits == 8:
            before = len(traces)
    assert len(traces) == before
    assert all(not np.array_equal(one, other) for one, other in itertools.pairwise(results))


def test_float_widths_leave_weights_and_the_activations_between_them(branching: Case):
    fake_quant = branching.fake_quant
    fake_quant.set_policy({})
    weights = tf.constant(np.random.default_rng(0).normal(0, 1e-3, (3, 3, 4, 5)), tf.float32)
    halves = tf.cast(tf.cast(weights, tf.float16), tf.float32)
    np.testing.assert_array_equal(fake_quantize_weights(weights, tf.constant(16), [0, 1, 2]), halves)
    np.testing.assert_array_equal(fake_quantize_weights(weights, tf.constant(32), [0, 1, 2]), weights)

    def rounded() -> set[str]:
        found = [layer for layer in fake_quant.model.layers if isinstance(layer, ActivationQuantizer)]
        return {layer.name for layer in found if layer.enabled.numpy()}

    everything = rounded()
    fake_quant.set_policy({"depthwise": 16, "grouped": 32})
    assert rounded() == everything - {"depthwise_relu_quantizer"}  # between these two
    fake_quant.set_policy({"logits": 32})
    assert rounded() == everything - {"logits_quantizer"}
    fake_quant.set_policy({"logits": 32, "hidden": 32})
    assert rounded() == everything - {"logits_quantizer", "hidden_relu_quantizer"}


def test_gradients_are_those_of_the_function_without_rounding():
    rng = np.random.default_rng(0)
    images, kernel = rng.normal(size=(4, 5, 5, 3)).astype(np.float32), rng.normal(size=(3, 3, 3, 2))
    slopes = rng.normal(size=(4, 3, 3, 2)).astype(np.float32)
    layer, quantizer = FakeQuantized(layers.Conv2D(2, 3, name="conv")), ActivationQuantizer()
    quantizer(layer(images))
    layer.layer.kernel.assign(kernel)
    layer.bits.assign(3)
    quantizer.limits.assign(int8_limits(-3.0, 4.0))
    quantizer.enabled.assign(True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(slopes * quantizer(layer(images)))
    gradient = tape.gradient(loss, layer.layer.kernel.value).numpy()
    stored = layer.stored_kernel().numpy().astype(np.float64)
    assert np.abs(stored - kernel).max() > 0.1

    def without_rounding(values: np.ndarray) -> float:
        windows = np.lib.stride_tricks.sliding_window_view(images.astype(np.float64), (3, 3), axis=(1, 2))
        outputs = np.einsum("nhwcij,ijco->nhwo", windows, values)
        return float(np.sum(slopes * np.clip(outputs, *quantizer.limits.numpy())))

    for index in np.ndindex(kernel.shape):
        step = np.zeros_like(stored)
        step[index] = 1e-6
        difference = (without_rounding(stored + step) - without_rounding(stored - step)) / 2e-6
        assert gradient[index] == pytest.approx(difference, rel=1e-3, abs=1e-3)


def test_a_hardened_network_is_plain_and_gives_the_same_file(branching: Case):
    folded, fake_quant = branching.folded, calibrated(branching.folded, pixels(60))
    policy = {"stem": 3, "separable:1": 2, "hidden": 4, "depthwise": 16}
    policy = {**dict.fromkeys(fake_quant.kernels, 8), **policy}
    fake_quant.set_policy(policy)
    hardened = fake_quant.hardened()
    assert [type(layer) for layer in hardened.layers] == [type(layer) for layer in folded.layers]
    hardened_file = policy_files(hardened, pixels(60)).export(policy)
    codes, hardened_codes = file_codes(branching.files.export(policy)), file_codes(hardened_file)
    assert all(np.array_equal(codes[name], hardened_codes[name]) for name in codes)
    fake_quant.calibrate(pixels(60), seed=0, pixel_range=PIXELS, policy=policy)
    in_file, mine = file_scales(hardened_file), quantizer_scales(fake_quant)
    rounded = [name for name in mine if fake_quant.model.get_layer(name).enabled.numpy()]
    assert [name for name in rounded if not any(same(mine[name], other) for other in in_file)] == []


def test_bad_input_is_refused():
    model = branches()
    with pytest.raises(InvalidArgumentError, match="fold_batch_norm"):
        FakeQuantModel(model)
    fake_quant = FakeQuantModel(fold_batch_norm(model))
    for policy in ({"stem": 5}, {"unknown": 8}):
        with pytest.raises(InvalidArchitectureError, match="Received"):
            fake_quant.set_policy(policy)
    with pytest.raises(InvalidDataError, match="at least one"):
        fake_quant.calibrate(pixels(0), seed=0, pixel_range=PIXELS)
    with pytest.raises(InvalidDataError, match=r"shape \(8, 8, 3\)"):
        fake_quant.predict(pixels(2)[:, :4])
