import json

import keras
import numpy as np
import pytest

from automl_keras.errors import InvalidArchitectureError, InvalidArgumentError
from automl_keras.export.flatbuffer import read
from automl_keras.quantization.bit_space import BitSpace, bit_space, space_of
from automl_keras.quantization.layers import QuantizableLayer, layer_operations, prepare_float
from automl_keras.quantization.profiles import get_profile
from tests.quantization_tests.networks import general_network


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return general_network()


@pytest.fixture(scope="module")
def space(network: keras.Model) -> BitSpace:
    return bit_space(network)


def test_layers_are_those_of_the_network(space):
    assert space.layers == (
        QuantizableLayer("conv2d", "CONV_2D", 3, 1, 3, 6, 162, 6, 162 * 64, 64),
        # Called twice: one kernel, one decision, twice the work.
        QuantizableLayer("conv2d_1", "FULLY_CONNECTED", 1, 1, 6, 6, 36, 6, 2 * 36 * 16, 2 * 16),
        QuantizableLayer("separable", "DEPTHWISE_CONV_2D", 3, 1, 6, 6, 54, 6, 54 * 16, 16),
        QuantizableLayer("separable:1", "FULLY_CONNECTED", 1, 1, 6, 5, 30, 5, 30 * 16, 16),
        QuantizableLayer("valid", "CONV_2D", 3, 1, 17, 9, 17 * 81, 9, 17 * 81 * 4, 4),
        QuantizableLayer("hidden", "FULLY_CONNECTED", 1, 1, 36, 11, 396, 11, 396, 1),
        QuantizableLayer("classes", "FULLY_CONNECTED", 1, 1, 11, 4, 44, 4, 44, 1),
    )


def test_by_default_only_what_is_as_fast_as_int8_has_a_choice(network, space):
    for layer in space.layers:
        assert space[layer.name].options == ((4, 8) if layer.op == "FULLY_CONNECTED" else (8,))
        assert space.default()[layer.name] == 8
    legacy = bit_space(network, "legacy")
    assert legacy.size == 1
    assert [layer.op for layer in legacy.layers].count("FULLY_CONNECTED") == 2  # nothing gained by rewriting


def test_other_widths_are_opt_in(network):
    bits = {"FULLY_CONNECTED": (8, 2, 4), "hidden": (16, 3), "valid": (32, 8)}
    space = bit_space(network, "litert>=2.1.6", bits=bits)
    assert space["classes"].options == (2, 4, 8)
    assert space["hidden"].options == (3, 16)
    assert space["hidden"].default == 16
    assert space["valid"].options == (8, 32)
    assert space["conv2d"].options == (8,)
    assert space_of(space.layers, space.profile, bits=(4, 8)).size == 2 ** len(space.layers)


@pytest.mark.parametrize(
    ("bits", "message"),
    [
        ((2, 8), r"CONV_2D with weights of 2 bits .* Received: bits=2"),
        ({"separable": (2,)}, "DEPTHWISE_CONV_2D with weights of 2 bits"),
        ({"hidden": (5, 8)}, r"must be one of \(2, 3, 4, 8, 16, 32\). Received: bits=5"),
        ({"hiden": (8,)}, r"`bits` must name layers or operations .*. Received: 'hiden'"),
        ({"hidden": ()}, "Every layer needs at least one width"),
    ],
)
def test_what_cannot_run_is_refused(space, bits, message):
    with pytest.raises(InvalidArgumentError, match=message):
        space_of(space.layers, get_profile("litert>=2.1.6"), bits=bits)


def test_costs_of_a_policy(space):
    policy = space.canonical({"conv2d_1": 4, "hidden": 4})
    macs = sum(layer.macs for layer in space.layers)
    assert space.bit_ops(space.default()) == macs * 64
    assert space.bit_ops(policy) == macs * 64 - (2 * 36 * 16 + 396) * 32
    # 396 weights and a header of 12 bytes, in steps of 16; 3 bits are stored in 4, and floats compute in float32.
    assert [space.weight_bytes("hidden", bits) for bits in (2, 3, 4, 8, 16, 32)] == [112, 224, 224, 416, 816, 1600]
    assert space.bit_ops({**policy, "classes": 16}) == space.bit_ops(policy) + 44 * (16 * 32 - 64)


def test_the_space_survives_json_and_restriction(space):
    again = BitSpace.from_dict(json.loads(json.dumps(space.to_dict())))
    assert again == space
    assert again.profile is space.profile
    narrow = again.restrict({"hidden": [4]})
    assert narrow.bit_ops(narrow.default()) == space.bit_ops({**space.default(), "hidden": 4})
    with pytest.raises(InvalidArchitectureError, match="`hidden` must be one of"):
        narrow.canonical({"hidden": 8})


def test_equal_weights_of_two_layers_are_two_decisions():
    layers = [keras.layers.Conv2D(4, 1, use_bias=False, kernel_initializer="ones", name=name) for name in ("a", "b")]
    network = keras.Sequential([keras.Input((4, 4, 4)), *layers, keras.layers.GlobalAveragePooling2D()])
    (first, one), (second, other) = layer_operations(read(prepare_float(network)))
    assert (first, second) == ("a", "b")
    assert one.weights is not other.weights
    assert one.weights.buffer != other.weights.buffer
    assert np.prod(one.weights.shape) == 16
