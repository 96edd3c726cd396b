import numpy as np
import pytest

from automl_keras.errors import ExportError
from automl_keras.export import calibrate, int8_recipe, lift_dead_channels, quantize, to_float_tflite
from automl_keras.export.flatbuffer import constant, read, serialize, weighted_operations
from automl_keras.export.inspection import activation_dtypes, check_rescaling, peak_memory, weight_bits


@pytest.fixture
def quantized(tiny) -> bytes:
    images = np.random.default_rng(0).uniform(0, 255, (20, 6, 6, 1)).astype(np.float32)
    float_model, recipe = to_float_tflite(tiny), int8_recipe()
    calibration = calibrate(float_model, images, recipe, pixel_range=(0.0, 255.0))
    return quantize(float_model, recipe, calibration)


def test_peak_memory_counts_what_exists_at_once(tiny, quantized):
    # The float input (6*6*1*4 bytes) is kept; the worst moment is the convolution: 36 bytes in, 144 out.
    assert peak_memory(read(quantized)) == 144 + 36 + 144
    # In float32 it is the pooling, with the input still there: 576 bytes in, 16 out.
    assert peak_memory(read(to_float_tflite(tiny))) == 144 + 576 + 16


def test_types_are_read_from_the_file(tiny, quantized):
    before, after = read(to_float_tflite(tiny)), read(quantized)
    assert list(weight_bits(before).values()) == [32, 32]
    assert list(weight_bits(after).values()) == [8, 8]
    assert activation_dtypes(before)["CONV_2D"] == ("float32",)
    assert activation_dtypes(after) == {
        "INPUT": ("float32",),
        "QUANTIZE": ("int8",),
        "CONV_2D": ("int8",),
        "MEAN": ("int8",),
        "FULLY_CONNECTED": ("int8",),
        "DEQUANTIZE": ("float32",),
        "SOFTMAX": ("float32",),
        "OUTPUT": ("float32",),
    }


def test_the_smallest_refused_rescaling(quantized):
    model = read(quantized)
    conv = next(weighted_operations(model))
    limit = conv.input.quantization.scale[0] * np.max(conv.weights.quantization.scale) / 256
    conv.output.quantization.scale = np.array([limit * 1.01], np.float32)
    check_rescaling(model)
    for scale in (limit * 0.99, 0.0, np.nan):
        conv.output.quantization.scale = np.array([scale], np.float32)
        with np.errstate(all="ignore"), pytest.raises(ExportError, match=r"must be below 256. Received: "):
            check_rescaling(model)


def test_writing_shares_equal_vectors_and_loses_nothing(quantized):
    once = serialize(read(quantized))
    assert len(once) < len(quantized)
    assert serialize(read(once)) == once
    for one, other in zip(weighted_operations(read(quantized)), weighted_operations(read(once)), strict=True):
        np.testing.assert_array_equal(constant(read(quantized), one.weights), constant(read(once), other.weights))
        np.testing.assert_array_equal(one.weights.quantization.zeroPoint, other.weights.quantization.zeroPoint)


def test_tensor_data_is_aligned(digits_file):
    data = digits_file.read_bytes()
    stored = [constant(read(data), operation.weights).tobytes() for operation in weighted_operations(read(data))]
    assert len(stored) > 5
    assert {data.index(values) % 16 for values in stored} == {0}


def test_only_dead_channels_are_lifted(tiny):
    norm = tiny.get_layer("norm")
    norm.gamma.assign([0.0, 1.0, 1.0, 1.0])
    norm.beta.assign([1.0, 1.0, 0.0, -1.0])
    float_model = to_float_tflite(tiny)
    images = np.random.default_rng(0).uniform(0, 255, (20, 6, 6, 1)).astype(np.float32)
    calibration = calibrate(float_model, images, int8_recipe(), pixel_range=(0.0, 255.0))
    kernels = []
    for data in (float_model, lift_dead_channels(float_model, calibration)):
        model = read(data)
        kernels.append(constant(model, next(weighted_operations(model)).weights))
    np.testing.assert_array_equal(kernels[0][1:], kernels[1][1:])
    assert np.abs(kernels[0][0]).max() == 0
    assert kernels[1][0].ravel()[0] == pytest.approx(255 * 127 / 2**30 / 255, rel=1e-5)
    assert np.count_nonzero(kernels[1][0]) == 1
