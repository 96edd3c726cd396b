import keras
import numpy as np
import pytest

from automl_keras.data import DatasetInfo
from automl_keras.evaluation import network_cost
from automl_keras.export import export_float, export_int8, measure_file
from automl_keras.search_space import (
    BlockSpec,
    ConvSpec,
    MacroNetworkSpec,
    NetworkSpace,
    StagedNetworkSpec,
    build_network,
    image_space,
    macro_space,
)

SMALLEST_28 = image_space((28, 28, 1), 10).extreme(largest=False, operation="residual")


def data_info(space: NetworkSpace, input_dtype: str = "uint8") -> DatasetInfo:
    channels = space.image_shape[2]
    mean, std = (73.0,) * channels, (90.0,) * channels
    labels = tuple(range(space.num_classes))
    return DatasetInfo(space.image_shape, input_dtype, mean, std, (0.0, 255.0), labels, 8, 2)


def exported(space, architecture, path, input_dtype="uint8", quantization="int8"):
    """The report on the file of a network with random weights and fitting BatchNorm statistics."""
    info = data_info(space, input_dtype)
    model = build_network(space.network_spec(architecture), info, seed=0)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (16, *space.image_shape)).astype(np.float32)
    for weight in model.trainable_variables:  # no bias is zero, as after training
        weight.assign(weight + rng.normal(0.0, 0.02, weight.shape))
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    logits = keras.ops.convert_to_numpy(model(images, training=True))
    if quantization == "int8":
        export_int8(model, path, info, calibration_images=images, seed=0)
    else:
        export_float(model, path, info, weights=quantization, calibration_images=images, seed=0)
    return measure_file(path, images, np.zeros(16), keras_predictions=logits)


def test_counts_by_hand():
    conv = ConvSpec("stem", "conv", 3, 2, 1, 8, activation=True)
    depthwise = ConvSpec("s0b0_mb2", "depthwise", 5, 1, 8, 8, activation=True)
    project = ConvSpec("s0b0_mb3", "conv", 1, 1, 8, 4, activation=False)
    spec = StagedNetworkSpec((9, 8, 1), 3, conv, (BlockSpec(0, 0, "mbconv", (depthwise, project), residual=False),))
    cost = network_cost(spec)
    assert cost.params == (9 * 8 + 8) + (25 * 8 + 8) + (8 * 4 + 4) + (4 * 3 + 3)
    assert cost.macs == (9 * 8 + 25 * 8 + 8 * 4) * 5 * 4 + 4 * 3  # 9x8 at stride 2 is 5x4
    assert cost.bit_ops == 64 * cost.macs
    assert cost.ram_kb == (9 * 8 + 2 * 160) / 1000  # the input, and the depthwise convolution's two sides
    assert cost.latency_ms is None


@pytest.mark.parametrize(
    "space", [image_space((28, 28, 1), 10), image_space((64, 64, 3), 10), macro_space((28, 28, 1), 10)]
)
def test_params_are_what_keras_has_after_folding(space):
    for seed in range(5):
        spec = space.network_spec(space.sample(np.random.default_rng(seed)))
        model = build_network(spec, data_info(space), seed=0)
        trainable = sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)
        folded = sum(layer.gamma.shape[0] for layer in model.layers if layer.name.endswith("_bn"))  # beta stays
        scales = sum(layer.kernel.shape[2] for layer in model.layers if layer.name.endswith("_norm"))  # never trained
        assert network_cost(spec).params == trainable - folded + scales


def test_residual_inputs_stay_alive():
    pair = tuple(ConvSpec(f"s0b1_res{i}", "conv", 3, 1, 8, 8, activation=True) for i in (1, 2))
    stem = ConvSpec("stem", "conv", 3, 1, 1, 8, activation=True)
    for residual, alive in ((False, 2), (True, 3)):
        spec = StagedNetworkSpec((4, 4, 1), 2, stem, (BlockSpec(0, 1, "residual", pair, residual=residual),))
        assert network_cost(spec).ram_kb == (16 + alive * 128) / 1000


def test_counts_of_macro_networks_by_hand():
    skips = ((), (), (), (0,))
    operations = ("conv_3x3", "max_pool_3x3", "separable_conv_5x5", "average_pool_3x3")
    cost = network_cost(MacroNetworkSpec((8, 8, 1), 3, 4, operations, skips))  # halved after layers 0 and 1
    stem, conv, pool, separable = 9 * 4, 16 + 9 * 16, 16, 16 + 25 * 4 + 16
    scale, reduction = 4, 16
    # Layer 0 alone is halved twice: once on the way to layer 1, once more for layer 3.
    weights = stem + conv + reduction + reduction + pool + scale + reduction + separable + scale + pool + scale
    assert cost.params == weights + (1 + 2 + 2 + 1 + 1 + 1 + 3 + 1 + 1 + 1) * 4 + (4 * 3 + 3)
    at_8, at_4, at_2 = stem + conv, reduction + pool + scale, 2 * reduction + separable + scale + pool + scale
    assert cost.macs == 64 * at_8 + 16 * at_4 + 4 * at_2 + 4 * 3


def test_skipped_outputs_stay_alive():
    for skips, alive in (((), 2), ((0,), 3)):
        spec = MacroNetworkSpec((8, 8, 1), 2, 2, ("max_pool_3x3",) * 6, ((), skips, (), (), (), ()))
        assert network_cost(spec).ram_kb == (64 + alive * 128) / 1000


def test_input_type_and_labels_count():
    spec = image_space((28, 28, 1), 2).network_spec({})
    plain = network_cost(spec)
    assert network_cost(spec, input_dtype="float32").ram_kb == pytest.approx(plain.ram_kb + 3 * 784 / 1000)
    named = network_cost(spec, class_names=["größe", "b"])
    assert named.size_kb == pytest.approx(plain.size_kb + 6 / 1000)


@pytest.mark.parametrize(
    ("shape", "classes", "seed", "dtype", "quantization"),
    [
        ((28, 28, 1), 10, 101, "uint8", "int8"),
        ((28, 28, 1), 10, 102, "float32", "int8"),
        ((8, 8, 1), 10, 103, "float32", "int8"),
        ((32, 32, 3), 100, 104, "uint8", "int8"),
        ((32, 32, 3), 2, 105, "uint8", "int8"),
        ((28, 28, 1), 10, 106, "uint8", "float16"),
        ((32, 32, 3), 10, 107, "float32", "float32"),
    ],
)
def test_size_and_memory_are_those_of_the_file(tmp_path, shape, classes, seed, dtype, quantization):
    space = image_space(shape, classes)
    architecture = space.sample(np.random.default_rng(seed))
    report = exported(space, architecture, tmp_path / "m.tflite", dtype, quantization)
    cost = network_cost(space.network_spec(architecture), input_dtype=dtype, quantization=quantization)
    assert cost.size_kb == pytest.approx(report.size_kb, rel=0.02)
    assert cost.ram_kb == report.ram_kb


@pytest.mark.parametrize(
    ("shape", "classes", "layers", "filters", "seed", "dtype"),
    [
        ((28, 28, 1), 10, 6, 24, 1, "uint8"),
        ((8, 8, 1), 3, 12, 8, 2, "float32"),
        ((50, 30, 3), 20, 3, 36, 3, "uint8"),
    ],
)
def test_size_and_memory_of_macro_networks_are_those_of_the_file(
    tmp_path, shape, classes, layers, filters, seed, dtype
):
    space = macro_space(shape, classes, num_layers=layers, num_filters=filters)
    architecture = space.sample(np.random.default_rng(seed))
    report = exported(space, architecture, tmp_path / "m.tflite", dtype)
    cost = network_cost(space.network_spec(architecture), input_dtype=dtype)
    assert cost.size_kb == pytest.approx(report.size_kb, rel=0.01)
    assert cost.ram_kb == report.ram_kb
    kept_float = {"INPUT", "DEQUANTIZE", "SOFTMAX", "OUTPUT"}
    assert all(types == ("int8",) for name, types in report.dtypes.items() if name not in kept_float)
    order = [*(conv.name for conv, _ in space.network_spec(architecture).convs()), "logits"]
    assert report.bits == dict.fromkeys(order, 8) and list(report.bits) == order


def test_the_smallest_network_is_tiny(tmp_path):
    space = image_space((28, 28, 1), 10)
    report = exported(space, SMALLEST_28, tmp_path / "m.tflite")
    assert report.size_kb < 7
    assert network_cost(space.network_spec(SMALLEST_28)).size_kb == pytest.approx(report.size_kb, rel=0.02)
