"""Files with RGB input: the same network behind them, whatever its types."""

import dataclasses
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from automl_keras.data import Dataset, DatasetInfo
from automl_keras.errors import InvalidArgumentError
from automl_keras.export import TFLiteModel, export_float, export_int8
from automl_keras.export.android import copy_to_assets, export_rgb
from automl_keras.export.flatbuffer import constant, read, weighted_operations
from automl_keras.export.metadata import SCHEMA_IDENTIFIER, normalization
from automl_keras.export.report import TFLiteReport
from automl_keras.export.rgb_input import FRONT_LAYER, rgb_info, to_rgb, with_rgb_input

REPORT = TFLiteReport("", 1.0, 0.5, 1.0, 1.0, {}, {}, 1.0, "none", "none")


def export(model: keras.Model, path: Path, info: DatasetInfo, images: np.ndarray, types: str) -> bytes:
    if types == "int8":
        return export_int8(model, path, info, calibration_images=images, seed=0).read_bytes()
    return export_float(model, path, info, weights=types, calibration_images=images, seed=0).read_bytes()


def weights(data: bytes) -> dict[str, np.ndarray]:
    model = read(data)
    return {
        operation.weights.name.decode(): constant(model, operation.weights) for operation in weighted_operations(model)
    }


@pytest.mark.parametrize("pixels", ["uint8", "float32"])
@pytest.mark.parametrize("types", ["int8", "float16", "float32"])
def test_grey_pixels_in_three_channels_give_exactly_the_answers_of_one(digits, tmp_path, types, pixels):
    native = export(digits.model, tmp_path / "native.tflite", digits.info, digits.images, types)
    rgb = with_rgb_input(native, digits.info, pixels)
    assert rgb.count(SCHEMA_IDENTIFIER) == 1  # the native file's metadata are gone
    model = TFLiteModel(rgb)
    assert (model.image_shape, model.input_details["dtype"]) == ((8, 8, 3), np.dtype(pixels))
    grey = digits.images[:300]
    images = to_rgb(grey, digits.info, pixels)
    assert (images == grey).all()
    np.testing.assert_array_equal(model.predict(images), TFLiteModel(native).predict(grey))
    before, after = weights(native), weights(rgb)
    assert set(after) - set(before) == {FRONT_LAYER}
    for name, values in before.items():
        assert values.dtype == after[name].dtype
        np.testing.assert_array_equal(values, after[name])


def test_colours_are_mixed_as_the_eye_sees_them(digits, digits_file):
    rgb = TFLiteModel(with_rgb_input(digits_file.read_bytes(), digits.info, "uint8"))
    colours = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 3)).astype(np.uint8)
    luma = np.clip(np.rint(colours @ np.array([77, 150, 29]) / 256), 0, 255).astype(np.uint8)[..., None]
    answers = TFLiteModel(digits_file).predict(luma)
    # Halves may be rounded to either side.
    assert np.mean(np.abs(rgb.predict(colours) - answers).max(axis=1) < 0.02) > 0.97
    assert not np.allclose(rgb.predict(colours[..., ::-1]), answers, atol=0.02)


def colour_network(low: float, high: float) -> tuple[keras.Model, DatasetInfo, np.ndarray]:
    """An untrained network for colour images whose values fill the range."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Rescaling(2 / (high - low), -(high + low) / (high - low))(inputs)
    x = keras.layers.Conv2D(8, 3, activation="relu", name="conv")(x)
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(4, name="logits")(x))
    images = np.random.default_rng(0).integers(0, 256, (120, 6, 6, 3)) / 255 * (high - low) + low
    info = DatasetInfo((6, 6, 3), "float32", (0.0,) * 3, (1.0,) * 3, (low, high), ("a", "b", "c", "d"), 100, 20)
    return model, info, images.astype(np.float32)


@pytest.mark.parametrize("types", ["int8", "float32"])
@pytest.mark.parametrize("limits", [(0.0, 1.0), (0.0, 255.0), (-2.0, 2.25)])
def test_pixels_from_0_to_255_lead_to_the_users_units(tmp_path, types, limits):
    model, info, images = colour_network(*limits)
    native = export(model, tmp_path / "native.tflite", info, images, types)
    expected = TFLiteModel(native).predict(images)
    # What MediaPipe does: pixels as they are, or normalised by the metadata.
    mean, std = normalization(info)
    pixels = np.rint(images * std + mean)
    as_bytes = TFLiteModel(with_rgb_input(native, info, "uint8")).predict(pixels.astype(np.uint8))
    np.testing.assert_allclose(as_bytes, expected, atol=0.02 if types == "int8" else 1e-5)
    assert normalization(rgb_info(info, "float32")) == (mean, std)
    as_floats = TFLiteModel(with_rgb_input(native, info, "float32")).predict((pixels - mean) / std)
    np.testing.assert_allclose(as_floats, expected, atol=0.02 if types == "int8" else 1e-5)


def test_a_file_that_takes_rgb_bytes_already_stays_what_it_is(tmp_path):
    model, info, images = colour_network(0.0, 255.0)
    info = dataclasses.replace(info, input_dtype="uint8", pixel_range=(0.0, 90.0))  # dark pictures
    images = images.astype(np.uint8)
    native = export(model, tmp_path / "native.tflite", info, images, "int8")
    assert with_rgb_input(native, info, "uint8") == native
    floats = with_rgb_input(native, info, "float32")
    assert normalization(rgb_info(info, "float32")) == (0.0, 1.0)
    np.testing.assert_array_equal(
        TFLiteModel(floats).predict(images.astype(np.float32)), TFLiteModel(native).predict(images)
    )


def test_the_same_file_again_has_the_same_bytes(digits, digits_file):
    first, second = (with_rgb_input(digits_file.read_bytes(), digits.info, "uint8") for _ in range(2))
    assert first == second


def test_other_channels_are_refused(digits, digits_file):
    info = dataclasses.replace(digits.info, image_shape=(8, 8, 2))
    with pytest.raises(InvalidArgumentError, match="network of 2 channels"):
        with_rgb_input(digits_file.read_bytes(), info, "uint8")


def test_the_report_is_that_of_the_new_file(digits, digits_file, tmp_path):
    native = dataclasses.replace(REPORT, path=str(digits_file), bits={"stem": 8})
    path = tmp_path / "rgb.tflite"
    held_out = Dataset(digits.images, digits.codes, None)
    report = export_rgb(native, path, digits.info, "uint8", held_out)
    assert report.path == str(path)
    assert report.size_kb == path.stat().st_size / 1000 > digits_file.stat().st_size / 1000
    assert (report.accuracy, report.agreement, report.warnings) == (0.5, 1.0, ())
    assert report.bits[FRONT_LAYER] == 32
    assert report.dtypes["INPUT"] == ("uint8",)
    unmeasured = export_rgb(native, path, digits.info, "uint8", None)
    assert (unmeasured.accuracy, unmeasured.agreement) == (0.5, 1.0)
    assert "no images were kept" in unmeasured.warnings[0]


def test_a_file_that_answers_otherwise_is_said_to(digits, digits_file, tmp_path, caplog):
    """Pixels that are cut off at 0 and 255 lose what the network looks at."""
    native = dataclasses.replace(REPORT, path=str(digits_file))
    brighter = dataclasses.replace(digits.info, input_dtype="float32", pixel_range=(0.0, 40.0))
    images = digits.images.astype(np.float32)
    codes = TFLiteModel(digits_file).predict(digits.images).argmax(axis=1)
    report = export_rgb(native, tmp_path / "rgb.tflite", brighter, "uint8", Dataset(images, codes, None))
    assert report.agreement < 0.9
    assert report.accuracy == pytest.approx(max(0.0, 0.5 + report.agreement - 1))
    assert f"only {report.agreement:.1%}, by the answers to {len(images)} images" in report.warnings[0] in caplog.text


def test_file_and_labels_are_put_into_an_apps_assets(digits_file, tmp_path):
    def contents(folder: Path) -> dict[str, Any]:
        return {file.name: file.read_bytes() for file in folder.iterdir()}

    with pytest.raises(InvalidArgumentError, match="app/src/main"):
        copy_to_assets(digits_file, tmp_path)
    (tmp_path / "app" / "src" / "main").mkdir(parents=True)
    assets = copy_to_assets(digits_file, tmp_path)
    assert assets == tmp_path / "app" / "src" / "main" / "assets"
    labels = zipfile.ZipFile(digits_file).read("labels.txt")
    assert contents(assets) == {"model.tflite": digits_file.read_bytes(), "labels.txt": labels}
    assert labels.decode().split("\n") == [f"digit {code}" for code in range(10)]
    (assets / "labels.txt").write_text("old")
    copy_to_assets(digits_file, tmp_path)
    assert contents(assets)["labels.txt"] == labels


def test_a_failed_copy_leaves_what_was_there(digits_file, tmp_path, monkeypatch):
    def write_bytes(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:5])
        raise OSError("no space left")

    (tmp_path / "app" / "src" / "main").mkdir(parents=True)
    assets = copy_to_assets(digits_file, tmp_path)
    before = {file.name: file.read_bytes() for file in assets.iterdir()}
    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    with pytest.raises(OSError, match="no space left"):
        copy_to_assets(digits_file, tmp_path)
    assert {file.name: file.read_bytes() for file in assets.iterdir()} == before
