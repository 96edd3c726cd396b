import dataclasses
import logging
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import automl_keras.export
from automl_keras.errors import ExportError, InvalidArgumentError, InvalidDataError
from automl_keras.export import (
    TFLiteModel,
    calibrate,
    export_float,
    export_int8,
    int8_recipe,
    measure_file,
    to_float_tflite,
)
from automl_keras.export.flatbuffer import read, weighted_operations


def pixels(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 6, 6, 1), dtype=np.uint8)


def tensor_names(path: Path) -> set[str]:
    return {tensor.name.decode() for tensor in read(path.read_bytes()).subgraphs[0].tensors if tensor.name}


def test_the_file_answers_like_keras(digits, digits_file):
    report = measure_file(digits_file, digits.images, digits.codes, keras_predictions=digits.logits)
    keras_accuracy = np.mean(digits.logits.argmax(axis=1) == digits.codes)
    assert keras_accuracy > 0.9
    assert report.agreement >= 0.98
    assert abs(report.accuracy - keras_accuracy) < 0.02
    probabilities = TFLiteModel(digits_file).predict(digits.images)
    assert np.abs(probabilities - keras.ops.convert_to_numpy(keras.ops.softmax(digits.logits))).mean() < 0.01
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)


def test_all_weights_and_activations_are_int8(digits, digits_file):
    report = measure_file(digits_file, digits.images[:20], digits.codes[:20], keras_predictions=digits.logits[:20])
    layers = [layer.name for layer in digits.model.layers if layer.name == "logits" or "Conv" in type(layer).__name__]
    assert report.bits == dict.fromkeys(layers, 8)
    computing = {"MUL", "ADD", "CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "FULLY_CONNECTED"}
    assert {report.dtypes[name] for name in computing} == {("int8",)}
    assert report.dtypes["INPUT"] == ("uint8",)
    assert report.dtypes["OUTPUT"] == ("float32",)


def test_uint8_pixels_go_in_as_they_are(digits_file):
    model = TFLiteModel(digits_file)
    assert model.input_details["dtype"] is np.uint8
    assert model.input_details["quantization"] == (1.0, 0)
    assert model.output_details["dtype"] is np.float32
    assert tuple(model.output_details["shape"]) == (1, 10)


def test_float_pixels_go_in_as_they_are(digits, tmp_path):
    info = dataclasses.replace(digits.info, input_dtype="float32")
    path = export_int8(digits.model, tmp_path / "m.tflite", info, calibration_images=digits.images, seed=0)
    assert TFLiteModel(path).input_details["dtype"] is np.float32
    images = digits.images.astype(np.float32)
    assert measure_file(path, images, digits.codes, keras_predictions=digits.logits).agreement >= 0.98


@pytest.mark.parametrize(("weights", "bits"), [("float16", 16), ("float32", 32)])
def test_float_files_compute_what_keras_computes(digits, tmp_path, weights, bits):
    path = export_float(
        digits.model, tmp_path / "m.tflite", digits.info, weights=weights, calibration_images=digits.images, seed=0
    )
    report = measure_file(path, digits.images, digits.codes, keras_predictions=digits.logits)
    assert set(report.bits.values()) == {bits}
    assert report.dtypes["CONV_2D"] == ("float32",)
    assert report.agreement >= 0.998
    assert TFLiteModel(path).input_details["dtype"] is np.uint8


def test_labels_are_inside(digits_file):
    with zipfile.ZipFile(digits_file) as archive:
        assert archive.read("labels.txt").decode().splitlines() == [f"digit {code}" for code in range(10)]


def test_names_are_those_of_layers(digits, digits_file):
    layers = {layer.name for layer in digits.model.layers if layer.weights and not layer.name.endswith("_bn")}
    assert tensor_names(digits_file) == {"image", "probabilities", *layers}


def test_the_same_seed_gives_the_same_bytes(digits, digits_file, tmp_path):
    again = export_int8(digits.model, tmp_path / "m.tflite", digits.info, calibration_images=digits.images, seed=0)
    other = export_int8(digits.model, tmp_path / "n.tflite", digits.info, calibration_images=digits.images, seed=1)
    assert again.read_bytes() == digits_file.read_bytes()
    assert other.read_bytes() != digits_file.read_bytes()


def test_the_signature_names_input_and_output(digits, digits_file):
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_path=str(digits_file)).get_signature_runner("serving_default")
    result = run(image=digits.images[:1])["probabilities"]
    np.testing.assert_array_equal(result, TFLiteModel(digits_file).predict(digits.images[:1]))


def test_a_failure_leaves_the_old_file_and_nothing_else(tiny, tiny_info, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"old")
    tiny.get_layer("conv").kernel.assign(np.full((3, 3, 1, 4), np.nan))
    with pytest.raises(ExportError, match=r"Weights must be finite. Received: NaN or infinity in conv/kernel"):
        export_int8(tiny, path, tiny_info, calibration_images=pixels(8), seed=0)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_infinite_activations_are_refused(tiny, tiny_info, tmp_path):
    tiny.get_layer("conv").kernel.assign(np.full((3, 3, 1, 4), 3e38))
    with pytest.raises(ExportError, match="Activations must be finite"):
        export_int8(tiny, tmp_path / "m.tflite", tiny_info, calibration_images=pixels(8), seed=0)


def test_a_dead_layer_is_refused_before_it_crashes_the_runtime(tiny, tiny_info, tmp_path):
    tiny.get_layer("norm").beta.assign(np.full(4, -1e6))
    with pytest.raises(ExportError, match=r"No layer may be dead.* in layer 'conv'"):
        export_int8(tiny, tmp_path / "m.tflite", tiny_info, calibration_images=pixels(8), seed=0)
    assert list(tmp_path.iterdir()) == []


def test_channels_without_kernel_keep_their_bias(tiny, tiny_info, tmp_path):
    norm = tiny.get_layer("norm")
    norm.gamma.assign([0.0, 0.01, 0.0, 0.01])
    norm.beta.assign([1.0, 0.0, 2.0, 0.0])
    tiny.get_layer("logits").kernel.assign(np.random.default_rng(0).normal(size=(4, 3)))
    path = export_int8(tiny, tmp_path / "m.tflite", tiny_info, calibration_images=pixels(50), seed=0)
    images = pixels(20)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(tiny(images.astype(np.float32))))
    np.testing.assert_allclose(TFLiteModel(path).predict(images), expected, atol=0.02)


def test_a_recipe_may_treat_layers_differently(tiny, tiny_info, tmp_path):
    from ai_edge_quantizer import recipe_manager

    rules = recipe_manager.RecipeManager()
    rules.load_quantization_recipe(int8_recipe())
    rules.add_quantization_config(r"(^|[;/])logits(_\d+)?/", "FULLY_CONNECTED", algorithm_key="no_quantize")
    path = export_int8(
        tiny,
        tmp_path / "m.tflite",
        tiny_info,
        calibration_images=pixels(8),
        seed=0,
        recipe=rules.get_quantization_recipe(),
    )
    report = measure_file(path, pixels(8), np.zeros(8), keras_predictions=np.ones((8, 3)))
    assert report.bits == {"conv": 8, "logits": 32}
    assert report.dtypes["FULLY_CONNECTED"] == ("float32",)


def test_weights_alone_may_be_quantized(tiny, tiny_info, tmp_path):
    from ai_edge_quantizer import recipe

    path = tmp_path / "m.tflite"
    export_int8(tiny, path, tiny_info, calibration_images=pixels(8), seed=0, recipe=recipe.weight_only_wi8_afp32())
    images = pixels(20)
    logits = keras.ops.convert_to_numpy(tiny(images.astype(np.float32)))
    report = measure_file(path, images, np.zeros(20), keras_predictions=logits)
    assert report.bits == {"conv": 8, "logits": 8}
    assert report.dtypes["INPUT"] == ("uint8",)
    assert report.dtypes["CONV_2D"] == ("float32",)
    assert report.agreement >= 0.9


def test_nothing_is_printed_and_logging_stays_as_it_was(tiny, tiny_info, tmp_path, capfd, recwarn, monkeypatch):
    root, absl = logging.getLogger(), logging.getLogger("absl")
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(absl, "level", logging.NOTSET)
    path = export_int8(tiny, tmp_path / "m.tflite", tiny_info, calibration_images=pixels(8), seed=0)
    TFLiteModel(path).predict(pixels(2))
    assert capfd.readouterr() == ("", "")
    assert list(recwarn) == []
    assert (root.handlers, root.level, absl.level) == ([], logging.WARNING, logging.NOTSET)
    print("audible again")
    assert capfd.readouterr().out == "audible again\n"


def test_wrong_arguments_are_named(tiny, tiny_info, tmp_path):
    path = tmp_path / "m.tflite"
    with pytest.raises(InvalidArgumentError, match=r"`model` must map images \(6, 6, 1\) to 2 outputs"):
        info = dataclasses.replace(tiny_info, classes=("a", "b"))
        export_int8(tiny, path, info, calibration_images=pixels(8), seed=0)
    for images in (pixels(0), pixels(8)[:, :5]):
        with pytest.raises(InvalidDataError, match="`calibration_images` must be images of shape"):
            export_int8(tiny, path, tiny_info, calibration_images=images, seed=0)


def test_the_broken_conversion_is_never_used():
    folder = Path(automl_keras.export.__file__).parent
    assert not any("from_concrete_functions" in file.read_text() for file in folder.glob("*.py"))


def test_all_pixels_are_represented_once_they_are_normalized():
    inputs = keras.Input((4, 4, 3))
    x = keras.layers.Rescaling([0.01, 0.02, -0.03], [-1.0, 0.0, 2.0])(inputs)
    model = keras.Model(inputs, keras.layers.Flatten()(keras.layers.Conv2D(1, 4)(x)))
    grey = np.full((20, 4, 4, 3), 128.0, np.float32)  # no image has the extremes
    float_model = to_float_tflite(model)
    calibration = calibrate(float_model, grey, int8_recipe(), pixel_range=(0.0, 255.0))
    [conv] = weighted_operations(read(float_model))
    normalized = calibration[conv.input.name.decode()]
    assert float(normalized["min"].min()) == pytest.approx(-0.03 * 255 + 2)
    assert float(normalized["max"].max()) == pytest.approx(0.02 * 255)
