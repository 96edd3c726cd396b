from types import SimpleNamespace

import numpy as np
import pytest

from automl_keras.errors import ExportError
from automl_keras.export import int8_recipe, quantize
from automl_keras.export.exporter import finish_file
from automl_keras.export.flatbuffer import constant, read, serialize, set_constant, weighted_operations
from automl_keras.quantization.file_check import check_file, expected_weights
from automl_keras.quantization.policy_files import PolicyFiles
from tests.quantization_tests.networks import INFO, mbconv_network, pixels


@pytest.fixture(scope="module")
def made() -> SimpleNamespace:
    bits = {"b0_expand": (2, 4, 8), "b0_dw": (3, 4, 8), "b1_project": (8, 16, 32)}
    files = PolicyFiles(mbconv_network(), INFO, pixels(20), profile="litert>=2.1.6", seed=0, bits=bits)
    policy = files.space.canonical({"b0_expand": 2, "b0_dw": 3, "b1_project": 8, "b1_expand": 4})
    return SimpleNamespace(files=files, policy=policy, data=files.export(policy), eight={**policy, "b0_dw": 8})


def changed(data: bytes, layer: str, change) -> bytes:
    model = read(data)
    change(model, next(one for one in weighted_operations(model) if one.weights.name.decode() == layer))
    return serialize(model)


def by_recipe(files: PolicyFiles, recipe: list) -> bytes:
    return finish_file(read(quantize(files.float_model, recipe, files.calibration)), INFO, set(files.space.names))


def test_codes_and_scales_follow_the_formula():
    weights = np.array([[7, -3.5, 0.5, -7], [0, 0, 0, 0], [14, 5, -14, 3]], np.float32)
    codes, scales = expected_weights(weights, 0, 4)
    np.testing.assert_array_equal(codes, [[7, -4, 0, -7], [0, 0, 0, 0], [7, 2, -7, 2]])  # half to even
    np.testing.assert_allclose(scales, [1, 1e-9 / 7, 2], rtol=1e-6)
    codes, scales = expected_weights(weights.T, 1, 2)
    np.testing.assert_array_equal(codes.T, [[1, 0, 0, -1], [0, 0, 0, 0], [1, 0, -1, 0]])  # -1, 0 and 1 alone
    assert scales.shape == (3,)
    assert expected_weights(weights, 0, 16)[0].dtype == np.float16
    assert expected_weights(weights, 0, 32)[1] is None


def test_the_right_file_passes(made):
    check_file(made.data, made.files.float_model, made.policy)


@pytest.mark.parametrize(
    ("layer", "bits", "message"),
    [
        (
            "b0_expand",
            4,
            r"4 bits in layer 'b0_expand'.*=\('FULLY_CONNECTED', 'INT4', 'INT8', 'INT8'\). Received: .*INT2",
        ),
        ("b0_dw", 8, r"8 bits in layer 'b0_dw'.*'INT8', 'INT8', 'INT8'.*Received: .*'INT4', 'INT8', 'INT8'"),
        ("b0_dw", 4, r"on the grid of 4 bits. Received: \d+ of 216 other codes in layer 'b0_dw'"),
        ("b1_project", 32, r"32 bits in layer 'b1_project'.*FLOAT32.*Received: .*INT8"),
    ],
)
def test_another_width_is_refused(made, layer, bits, message):
    with pytest.raises(ExportError, match=message):
        check_file(made.data, made.files.float_model, {**made.policy, layer: bits})


def test_a_layer_that_the_quantizer_left_float_is_caught(made):
    """A rule of 4 bits for all operations leaves depthwise convolutions float, without a word."""
    from ai_edge_quantizer import qtyping, recipe_manager

    rules = recipe_manager.RecipeManager()
    everything = qtyping.TFLOperationName.ALL_SUPPORTED
    rules.add_static_config(".*", everything, activation_num_bits=8, weight_num_bits=4)
    data = by_recipe(made.files, rules.get_quantization_recipe() + int8_recipe()[1:])
    policy = dict.fromkeys(made.policy, 4)
    with pytest.raises(ExportError, match=r"4 bits in layer 'b0_dw'.*Received: .*'FLOAT32', 'FLOAT32', 'FLOAT32'"):
        check_file(data, made.files.float_model, policy)


def test_integer_weights_in_a_float_operation_are_caught(made):
    from ai_edge_quantizer import qtyping, recipe_manager

    rules = recipe_manager.RecipeManager()
    rules.add_weight_only_config(".*logits_.*", qtyping.TFLOperationName.FULLY_CONNECTED, num_bits=8)
    data = by_recipe(made.files, int8_recipe() + rules.get_quantization_recipe())
    with pytest.raises(ExportError, match=r"8 bits in layer 'logits'.*Received: .*'INT8', 'FLOAT32', 'FLOAT32'"):
        check_file(data, made.files.float_model, dict.fromkeys(made.policy, 8))


def test_one_wrong_code_is_caught(made):
    def change(model, operation):
        codes = constant(model, operation.weights)
        codes.flat[5] = 1 if codes.flat[5] < 1 else -1
        set_constant(model, operation.weights, codes)

    for layer in ("stem", "b0_expand", "b0_dw", "b1_expand"):
        with pytest.raises(ExportError, match=rf"Received: 1 of \d+ other codes in layer '{layer}'"):
            check_file(changed(made.data, layer, change), made.files.float_model, made.policy)


def test_a_wrong_scale_or_zero_point_is_caught(made):
    def scale(model, operation):
        operation.weights.quantization.scale = np.asarray(operation.weights.quantization.scale) * np.float32(1.001)

    def zero_point(model, operation):
        operation.weights.quantization.zeroPoint = np.ones_like(operation.weights.quantization.zeroPoint)

    for change in (scale, zero_point):
        with pytest.raises(ExportError, match=r"Scales must be max\|w\| / 1 of .* in layer 'b0_expand'"):
            check_file(changed(made.data, "b0_expand", change), made.files.float_model, made.policy)


def test_a_missing_layer_is_caught(made):
    model = read(made.data)
    operators = model.subgraphs[0].operators
    operators.remove(next(weighted_operations(model)).operator)
    with pytest.raises(ExportError, match=r"must have 8 operations with weights.* Received: 7"):
        check_file(serialize(model), made.files.float_model, made.policy)
