"""Files of several labels and of values: what they answer is what the Keras model answers, in the same units."""

import zipfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from automl_keras.data import Dataset, DatasetInfo, MultiLabel, Regression
from automl_keras.errors import InvalidArgumentError
from automl_keras.export import TFLiteModel, export_float, export_int8, measure_file
from automl_keras.export.android import check_app, export_rgb

VALUES = Regression((2000.0, -0.5, 3e5), (6.0, 0.002, 4e4))  # years, and values of other sizes
RNG = np.random.default_rng(0)
IMAGES = (RNG.random((60, 6, 6, 1)) * RNG.uniform(20, 255, (60, 1, 1, 1))).astype(np.uint8)  # darker and lighter ones


@pytest.fixture
def values_info(tiny_info: DatasetInfo) -> DatasetInfo:
    return replace(tiny_info, classes=(), task=VALUES)


@pytest.fixture
def labels_info(tiny_info: DatasetInfo) -> DatasetInfo:
    return replace(tiny_info, classes=(0, 1, 2), task=MultiLabel())


@pytest.fixture
def spread() -> keras.Model:
    """A linear network with outputs of mean 0 and variance 1, as those of a trained one are about."""
    image = keras.Input((6, 6, 1))
    scaled = keras.layers.Rescaling(1 / 255)(image)
    dense = keras.layers.Dense(3, name="logits")
    model = keras.Model(image, dense(keras.layers.Flatten()(scaled)))
    kernel = np.random.default_rng(1).normal(size=(36, 3))
    outputs = IMAGES.reshape(60, 36) / 255 @ kernel
    dense.set_weights([kernel / outputs.std(axis=0), -outputs.mean(axis=0) / outputs.std(axis=0)])
    return model


def answers(model: keras.Model, info: DatasetInfo) -> np.ndarray:
    outputs = model.predict_on_batch(IMAGES.astype(np.float32))
    return np.asarray(info.task.output_layer()(outputs))


def test_values_of_a_float_file_are_in_the_users_units(
    spread: keras.Model, values_info: DatasetInfo, tmp_path: Path
) -> None:
    for weights, tolerance in (("float32", 1e-5), ("float16", 1e-2)):
        path = tmp_path / f"{weights}.tflite"
        export_float(spread, path, values_info, weights=weights, calibration_images=IMAGES, seed=0)
        difference = TFLiteModel(path).predict(IMAGES) - answers(spread, values_info)
        assert (np.abs(difference) <= tolerance * np.array(VALUES.std) + 2e-7 * np.abs(VALUES.mean)).all()


def test_values_of_an_int8_file_keep_their_resolution(
    spread: keras.Model, values_info: DatasetInfo, tmp_path: Path
) -> None:
    path = export_int8(spread, tmp_path / "int8.tflite", values_info, calibration_images=IMAGES, seed=0)
    found, expected = TFLiteModel(path).predict(IMAGES), answers(spread, values_info)
    # A mean of 2,000 beside a deviation of 6 would leave an int8 output steps of more than that.
    assert (np.abs(found - expected).max(axis=0) < 0.1 * np.array(VALUES.std)).all()
    targets = VALUES.outputs_of(expected).astype(np.float32)
    report = measure_file(path, IMAGES, targets, keras_predictions=targets, task=VALUES)
    assert report.accuracy is None and report.score == report.r2_score and report.r2_score > 0.99
    assert report.agreement > 0.998 and report.dtypes["OUTPUT"] == ("float32",)
    assert not zipfile.is_zipfile(path)  # there are no labels


def test_probabilities_of_labels_are_independent_sigmoids(
    spread: keras.Model, labels_info: DatasetInfo, tmp_path: Path
) -> None:
    path = export_int8(spread, tmp_path / "labels.tflite", labels_info, calibration_images=IMAGES, seed=0)
    outputs = spread.predict_on_batch(IMAGES.astype(np.float32))
    found = TFLiteModel(path).predict(IMAGES)
    assert np.abs(found - 1 / (1 + np.exp(-outputs))).max() < 0.03
    assert len(np.unique(found[:, 0] * 256 % 1)) > 2  # the sigmoids are not computed in int8
    targets = (outputs > 0).astype(np.float32)
    report = measure_file(path, IMAGES, targets, keras_predictions=outputs, task=MultiLabel())
    wanted, answered = targets > 0.5, found > 0.5
    either = (wanted | answered).sum(axis=1)
    expected = np.where(either > 0, (wanted & answered).sum(axis=1) / np.maximum(either, 1), 1.0).mean()
    assert report.accuracy == report.score == pytest.approx(expected) and report.r2_score is None
    assert report.agreement == pytest.approx(np.mean(wanted == answered))
    with zipfile.ZipFile(path) as content:
        assert content.read("labels.txt") == b"0\n1\n2"


def test_values_with_rgb_input(spread: keras.Model, values_info: DatasetInfo, tmp_path: Path) -> None:
    path = export_int8(spread, tmp_path / "grey.tflite", values_info, calibration_images=IMAGES, seed=0)
    outputs = spread.predict_on_batch(IMAGES.astype(np.float32))
    native = measure_file(path, IMAGES, outputs, keras_predictions=outputs, task=VALUES)
    report = export_rgb(native, tmp_path / "rgb.tflite", values_info, "uint8", Dataset(IMAGES, outputs))
    found = TFLiteModel(tmp_path / "rgb.tflite").predict(np.repeat(IMAGES, 3, axis=3))
    np.testing.assert_allclose(found, TFLiteModel(path).predict(IMAGES), rtol=1e-5)
    assert report.r2_score == pytest.approx(native.r2_score) and report.agreement == pytest.approx(1.0)


def test_an_app_shows_labels(tmp_path: Path) -> None:
    (tmp_path / "app" / "src" / "main").mkdir(parents=True)
    check_app("native", tmp_path, MultiLabel())
    with pytest.raises(InvalidArgumentError, match=r"`android_project` must be None for values"):
        check_app("native", tmp_path, VALUES)
