"""`export_tflite`: what a fitted classifier gives to an app."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from automl_keras import Budget, ImageClassifier
from automl_keras.errors import InvalidArgumentError, InvalidTypeError
from automl_keras.export import TFLiteModel

DIGITS = load_digits()
X = np.rint(DIGITS.images[:400] / 16 * 255).astype(np.uint8)
Y = np.array(["even", "odd"])[DIGITS.target[:400] % 2]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> ImageClassifier:
    folder = tmp_path_factory.mktemp("fit")
    classifier = ImageClassifier(budget=Budget(max_size_kb=30), max_trials=1, directory=folder, seed=0, verbose=0)
    return classifier.fit(X, Y, epochs=2, batch_size=32)


@pytest.mark.parametrize(("input", "dtype"), [("rgb_uint8", np.uint8), ("rgb_float32", np.float32)])
def test_rgb_files_are_measured_again_and_answer_like_the_native_one(
    classifier: ImageClassifier, tmp_path: Path, input: Any, dtype: type
) -> None:
    native = classifier.report_
    report = classifier.export_tflite(tmp_path / "rgb.tflite", input=input)
    assert report.path == str(tmp_path / "rgb.tflite")
    assert report.size_kb == Path(report.path).stat().st_size / 1000 > native.size_kb
    assert (report.accuracy, report.agreement) == (native.accuracy, 1.0)
    assert report.min_runtime == native.min_runtime
    assert native.bits.items() <= report.bits.items()
    model = TFLiteModel(report.path)
    assert (model.image_shape, model.input_details["dtype"]) == ((8, 8, 3), dtype)
    colours = np.repeat(X[..., None], 3, axis=3).astype(dtype)
    expected = TFLiteModel(classifier.tflite_path_).predict(X[..., None])
    np.testing.assert_array_equal(model.predict(colours), expected)
    assert classifier.report_ == native


def test_the_native_file_is_copied_also_into_an_apps_assets(classifier: ImageClassifier, tmp_path: Path) -> None:
    assets = tmp_path / "MyApp" / "app" / "src" / "main" / "assets"
    assets.parent.mkdir(parents=True)
    path = tmp_path / "native.tflite"
    report = classifier.export_tflite(path, android_project=tmp_path / "MyApp")
    assert path.read_bytes() == classifier.tflite_path_.read_bytes() == (assets / "model.tflite").read_bytes()
    assert (report.path, report.accuracy) == (str(path), classifier.report_.accuracy)
    assert (assets / "labels.txt").read_text() == "even\nodd"


def test_a_layer_in_front_that_breaks_the_budget_is_said(
    classifier: ImageClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    native = classifier.report_
    monkeypatch.setattr(classifier, "budget", Budget(max_size_kb=native.size_kb + 0.01))
    assert classifier.export_tflite(tmp_path / "native.tflite").warnings == native.warnings
    report = classifier.export_tflite(tmp_path / "rgb.tflite", "rgb_uint8")
    [warning] = set(report.warnings) - set(native.warnings)
    assert warning.startswith(f"With this input the file breaks the budget: size_kb {report.size_kb:g} exceeds")


def test_a_loaded_classifier_exports_the_same_file(classifier: ImageClassifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "saved")
    before = classifier.export_tflite(tmp_path / "before.tflite", input="rgb_uint8")
    after = ImageClassifier.load(tmp_path / "saved").export_tflite(tmp_path / "after.tflite", input="rgb_uint8")
    assert Path(before.path).read_bytes() == Path(after.path).read_bytes()
    assert (after.accuracy, after.agreement, after.warnings) == (before.accuracy, 1.0, before.warnings)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"path": 3}, InvalidTypeError, "path=3"),
        ({"input": "rgb"}, InvalidArgumentError, "input='rgb'"),
        ({"android_project": 5}, InvalidTypeError, "android_project=5"),
        ({"android_project": "nowhere"}, InvalidArgumentError, "app/src/main"),
    ],
)
def test_wrong_arguments_write_nothing(
    classifier: ImageClassifier, tmp_path: Path, arguments: dict[str, Any], error: type, text: str
) -> None:
    with pytest.raises(error, match=text.replace("(", r"\(")):
        classifier.export_tflite(**{"path": tmp_path / "model.tflite", "input": "rgb_uint8", **arguments})
    assert list(tmp_path.iterdir()) == []
