import numpy as np
import pytest

from automl_keras.errors import InvalidArgumentError
from automl_keras.export import to_float_tflite
from automl_keras.export.flatbuffer import constant, read, serialize, set_constant, type_name, weighted_operations
from automl_keras.export.packing import pack, store_as_int4, unpack


def test_the_first_code_is_in_the_lowest_bits():
    np.testing.assert_array_equal(pack(np.array([1, -1, -8, 7, 2]), 4), [0xF1, 0x78, 0x02])
    np.testing.assert_array_equal(pack(np.array([1, -1, 0, -2, 1]), 2), [0b10_00_11_01, 0b01])


@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("shape", [(0,), (1,), (2, 3), (3, 3, 1, 1), (5, 4)])
def test_codes_survive(bits, shape):
    limit = 2 ** (bits - 1)
    codes = np.random.default_rng(0).integers(-limit, limit, shape).astype(np.int8)
    packed = pack(codes, bits)
    assert packed.shape == (-(-codes.size * bits // 8),)
    np.testing.assert_array_equal(unpack(packed, bits, codes.size).reshape(shape), codes)


def test_codes_that_do_not_fit_are_refused():
    with pytest.raises(InvalidArgumentError, match=r"Codes of 4 bits must be from -8 to 7. Received: from -1 to 8"):
        pack(np.array([-1, 8]), 4)
    with pytest.raises(InvalidArgumentError, match="Received: from -3 to 1"):
        pack(np.array([-3, 1]), 2)


def test_narrow_constants_are_read_and_written_as_codes(tiny):
    from ai_edge_litert import schema_py_generated as schema

    model = read(to_float_tflite(tiny))
    weights = next(weighted_operations(model)).weights
    codes = np.random.default_rng(0).integers(-3, 4, tuple(weights.shape)).astype(np.int8)
    weights.type = schema.TensorType.INT8
    set_constant(model, weights, codes)
    store_as_int4(model, weights)

    weights = next(weighted_operations(again := read(serialize(model)))).weights
    assert type_name(weights) == "INT4"
    assert len(again.buffers[weights.buffer].data) == codes.size // 2
    np.testing.assert_array_equal(constant(again, weights), codes)
    set_constant(again, weights, -codes)
    np.testing.assert_array_equal(constant(again, weights), -codes)
