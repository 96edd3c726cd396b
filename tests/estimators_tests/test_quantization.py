"""`ImageClassifier(quantization=)` and `quantize`: the numbers in the file are those that were asked for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from automl_keras import Budget, ImageClassifier
from automl_keras.errors import InfeasibleBudgetError, InvalidArgumentError, InvalidTypeError
from automl_keras.export import TFLiteModel
from automl_keras.quantization import SEARCHES
from automl_keras.search_space import image_space

DIGITS = load_digits()
X, Y = DIGITS.images[:600], DIGITS.target[:600]


def fitted(folder: Path, quantization: str | None, kilobytes: float, **settings: Any) -> ImageClassifier:
    settings = {"max_trials": 1, **settings}
    classifier = ImageClassifier(
        budget=Budget(max_size_kb=kilobytes), quantization=quantization, directory=folder, seed=0, verbose=0, **settings
    )
    return classifier.fit(X, Y, epochs=3, batch_size=32)


def check_file(classifier: ImageClassifier) -> None:
    """The exported file is within the budget, was measured right and answers like the Keras model."""
    report = classifier.report_
    assert classifier.tflite_path_.stat().st_size == 1000 * report.size_kb <= 1000 * classifier.budget.max_size_kb
    answers = TFLiteModel(classifier.tflite_path_).predict(X[..., None]).argmax(axis=1)
    assert np.mean(answers == classifier.predict(X)) > 0.9
    assert report.agreement > 0.9


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> ImageClassifier:
    return fitted(tmp_path_factory.mktemp("mixed"), "mixed", 24)


def test_a_mixed_file_keeps_a_budget_that_the_int8_file_breaks(mixed: ImageClassifier) -> None:
    check_file(mixed)
    bits = mixed.report_.bits
    assert set(bits.values()) == {4, 8}
    rows = [row for row in mixed.leaderboard() if row["source"] == "file"]
    of_best = [row for row in rows if row["params"] == rows[0]["params"]]
    assert len(of_best) >= 2  # several policies of the final network
    assert all(row["size_kb"] <= 24 for row in rows)
    best = rows[0]["architecture"]
    assert {name.removeprefix("bits:"): best[name] for name in best if name.startswith("bits:")} == bits


@pytest.mark.slow
def test_the_same_seed_gives_the_same_mixed_file(mixed: ImageClassifier, tmp_path: Path) -> None:
    again = fitted(tmp_path, "mixed", 24)
    assert again.tflite_path_.read_bytes() == mixed.tflite_path_.read_bytes()
    assert again.leaderboard()[0]["architecture"] == mixed.leaderboard()[0]["architecture"]


@pytest.mark.parametrize(
    ("quantization", "bits", "kilobytes"), [("float16", 16, 30), pytest.param(None, 32, 50, marks=pytest.mark.slow)]
)
def test_float_files(tmp_path: Path, quantization: str | None, bits: int, kilobytes: float) -> None:
    classifier = fitted(tmp_path, quantization, kilobytes)
    check_file(classifier)
    assert set(classifier.report_.bits.values()) == {bits}
    assert classifier.report_.agreement == 1.0


@pytest.mark.slow
def test_architecture_and_bits_are_searched_together(tmp_path: Path) -> None:
    classifier = fitted(tmp_path, "joint", 20, max_trials=6)
    check_file(classifier)
    searched = [row for row in classifier.leaderboard() if row["source"] == "shared_weights"]
    assert len(searched) == 6
    assert all(row["size_kb"] <= 20 and {"stage0_bits", "stage2_bits"} <= set(row["architecture"]) for row in searched)


def test_a_loaded_classifier_is_quantized_for_other_budgets(mixed: ImageClassifier, tmp_path: Path) -> None:
    mixed.save(tmp_path / "saved")
    loaded = ImageClassifier.load(tmp_path / "saved")
    before = loaded.tflite_path_.read_bytes()
    report = loaded.quantize(Budget(max_size_kb=22), path=tmp_path / "small.tflite")
    assert (tmp_path / "small.tflite").stat().st_size == 1000 * report.size_kb <= 22_000
    assert report.accuracy > 0.5
    assert loaded.tflite_path_.read_bytes() == before
    copy = report.save(tmp_path / "copy.tflite")
    assert Path(copy.path).read_bytes() == (tmp_path / "small.tflite").read_bytes()
    with pytest.raises(InfeasibleBudgetError, match=r"smallest file .* has 1\d\.\d{3} kB"):
        loaded.quantize(Budget(max_size_kb=2))


def test_a_quantized_file_for_an_app(mixed: ImageClassifier, tmp_path: Path) -> None:
    app = tmp_path / "MyApp" / "app" / "src" / "main"
    app.mkdir(parents=True)
    path = tmp_path / "rgb.tflite"
    budget = Budget(max_size_kb=mixed.report_.size_kb)  # which the same bits would break with a layer in front
    report = mixed.quantize(budget, path=path, input="rgb_float32", android_project=tmp_path / "MyApp")
    assert path.read_bytes() == (app / "assets" / "model.tflite").read_bytes()
    assert path.stat().st_size == 1000 * report.size_kb <= 1000 * mixed.report_.size_kb
    assert not any("breaks the budget" in warning for warning in report.warnings)
    assert TFLiteModel(path).image_shape == (8, 8, 3)
    assert set(report.bits) - set(mixed.report_.bits) == {"rgb_input"}
    assert report.agreement == 1.0 and report.accuracy > 0.5


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (((),), InvalidTypeError, "budget"),
        ((Budget(max_size_kb=20), "best"), InvalidArgumentError, str(sorted(SEARCHES))),
    ],
)
def test_wrong_arguments_of_quantize(mixed: ImageClassifier, arguments: Any, error: Any, text: str) -> None:
    with pytest.raises(error) as raised:
        mixed.quantize(*arguments)
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"quantization": "mixed", "refit": True}, "`refit` must not be True"),
        ({"quantization": "joint", "tuner": "once_for_all"}, "tuner='once_for_all'"),
        ({"quantization": "joint", "tuner": "enas"}, "tuner='enas'"),
        ({"quantization": "joint", "search_space": image_space((8, 8, 1), 10)}, "weight_bits=(4, 8)"),
    ],
)
def test_refusals(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidArgumentError) as raised:
        ImageClassifier(max_trials=2, **settings).fit(X, Y)
    assert text in str(raised.value)
