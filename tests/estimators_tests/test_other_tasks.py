"""`ImageRegressor` and classifiers of several labels; networks are linear here, so that trainings take no time."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.base import clone, is_regressor
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge
from sklearn.metrics import jaccard_score, mean_absolute_error, r2_score
from sklearn.model_selection import cross_val_score

from automl_keras import Budget, ImageClassifier, ImageRegressor
from automl_keras.data import DatasetInfo
from automl_keras.errors import AutoMLError, InvalidArgumentError, NotFittedError, ProjectError
from automl_keras.estimators import spaces
from automl_keras.estimators.fitting import Fitting
from automl_keras.export import TFLiteModel

DIGITS = load_digits()
X = DIGITS.images[:500]
# In units of their own: the digit around 2,000, and how much ink there is.
VALUES = np.stack([2000 + 3.0 * DIGITS.target, 1e-3 * DIGITS.images.sum(axis=(1, 2))], axis=1)[:500]
LABELS = np.stack([DIGITS.target % 2, DIGITS.target > 4, DIGITS.target == 3], axis=1)[:500].astype(np.uint8)


def linear_network(spec: object, info: DatasetInfo, seed: int) -> keras.Model:
    image = keras.Input(info.image_shape)
    scaled = keras.layers.Rescaling(1 / info.pixel_std[0], -info.pixel_mean[0] / info.pixel_std[0])(image)
    dense = keras.layers.Dense(info.num_outputs, kernel_initializer="zeros", name="logits")
    return keras.Model(image, dense(keras.layers.Flatten()(scaled)))


@pytest.fixture(scope="module")
def linear() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spaces, "build_network", linear_network)
        yield


@pytest.fixture(scope="module")
def regressor(linear: None, tmp_path_factory: pytest.TempPathFactory) -> ImageRegressor:
    folder = tmp_path_factory.mktemp("projects")
    regressor = ImageRegressor(budget=Budget(max_size_kb=60), max_trials=1, seed=0, verbose=0, directory=folder)
    return regressor.fit(X, VALUES, epochs=15, sample_weight=np.linspace(0.5, 1.5, len(X)))


@pytest.fixture(scope="module")
def classifier(linear: None) -> ImageClassifier:
    classifier = ImageClassifier(multi_label=True, max_trials=1, seed=0, verbose=0)
    return classifier.fit(X, LABELS, epochs=15, class_weight={2: 3.0})


def test_values_are_predicted_in_their_units(regressor: ImageRegressor) -> None:
    answers = regressor.predict(X)
    assert answers.shape == VALUES.shape and is_regressor(regressor)
    assert regressor.score(X, VALUES) == pytest.approx(r2_score(VALUES, answers)) and regressor.score(X, VALUES) > 0.4
    measured = regressor.evaluate(X, VALUES)
    assert measured["r2_score"] == pytest.approx(regressor.score(X, VALUES), abs=1e-6)
    assert measured["mean_absolute_error"] == pytest.approx(mean_absolute_error(VALUES, answers), rel=1e-4)
    assert measured["mean_squared_error"] == pytest.approx(np.mean((VALUES - answers) ** 2), rel=1e-4)
    assert measured["loss"] == pytest.approx(np.mean(((VALUES - answers) / VALUES.std(axis=0)) ** 2), rel=1e-3)
    np.testing.assert_allclose(regressor.export_model().predict_on_batch(X[..., None]), answers, rtol=1e-5)


def test_the_file_answers_in_the_same_units(regressor: ImageRegressor, tmp_path: Path) -> None:
    report = regressor.export_tflite(tmp_path / "model.tflite")
    answers = TFLiteModel(report.path).predict(X[..., None].astype(np.float32))
    errors = np.abs(answers - regressor.predict(X)).max(axis=0)
    assert (errors < 0.2 * VALUES.std(axis=0)).all() and report.agreement > 0.99
    assert report.r2_score is not None and report.r2_score > 0.3 and report.accuracy is None
    [first, *_] = regressor.leaderboard()
    assert first["val_r2_score"] == report.r2_score and first["size_kb"] == report.size_kb <= 60
    with pytest.raises(InvalidArgumentError, match="`android_project` must be None for values"):
        regressor.export_tflite(tmp_path / "other.tflite", android_project=tmp_path)
    rgb = regressor.export_tflite(tmp_path / "rgb.tflite", input="rgb_uint8")
    assert rgb.r2_score == pytest.approx(report.r2_score, abs=0.02)


def test_a_project_of_values_is_no_classifier(regressor: ImageRegressor, tmp_path: Path) -> None:
    regressor.save(tmp_path)
    loaded = ImageRegressor.load(tmp_path)
    assert np.array_equal(loaded.predict(X), regressor.predict(X)) and loaded.objective == "val_r2_score"
    with pytest.raises(ProjectError, match=r"must hold an `ImageClassifier`.*images with 2 values each"):
        ImageClassifier.load(tmp_path)
    assert not hasattr(loaded, "classes_") and not hasattr(loaded, "predict_proba")
    before = regressor.best_evaluation_
    again = clone(regressor).fit(X, VALUES, epochs=15, sample_weight=np.linspace(0.5, 1.5, len(X)))
    assert again.best_evaluation_ == before  # the finished project
    with pytest.raises(ProjectError, match=r"other data or settings.*different data"):
        clone(regressor).fit(X, VALUES + 1, epochs=15)
    with pytest.raises(InvalidArgumentError, match="bits of layers are searched for classifiers"):
        regressor.quantize(Budget(max_size_kb=20))


def test_the_report_of_values(regressor: ImageRegressor, tmp_path: Path) -> None:
    regressor.report(tmp_path / "report.html", X, VALUES)
    page, card = ((tmp_path / f"report.{kind}").read_text() for kind in ("html", "md"))
    [score] = re.findall(r'data-name="answers-score" data-value="([^"]+)"', page) or re.findall(
        r'data-value="([^"]+)" data-name="answers-score"', page
    )
    assert float(score) == pytest.approx(regressor.score(X, VALUES), abs=1e-6)
    assert "Image regressor" in page and page.count('class="point"') == 2 * len(X)
    assert "onfusion" not in page and "alibration" not in page and "# Image regressor" in card
    regressor.report(tmp_path / "short.html")


def test_rows_of_labels_come_back_as_they_came(classifier: ImageClassifier, tmp_path: Path) -> None:
    answers, probabilities = classifier.predict(X), classifier.predict_proba(X)
    assert answers.dtype == LABELS.dtype and answers.shape == LABELS.shape
    assert np.array_equal(answers, probabilities > 0.5)
    sums = probabilities.sum(axis=1)
    assert sums.min() < 0.9 and sums.max() > 1.1  # sigmoids
    assert classifier.score(X, LABELS) == np.mean((answers == LABELS).all(axis=1)) > 0.5
    known = (answers | LABELS).any(axis=1)
    credit = jaccard_score(LABELS[known], answers[known], average="samples") * known.sum() + (~known).sum()
    assert classifier.evaluate(X, LABELS)["accuracy"] == pytest.approx(credit / len(X))
    assert classifier.classes_.tolist() == [0, 1, 2]
    report = classifier.export_tflite(tmp_path / "model.tflite")
    found = TFLiteModel(report.path).predict(X[..., None].astype(np.float32))
    assert np.abs(found - probabilities).max() < 0.1 and report.agreement > 0.98


def test_a_project_of_labels(classifier: ImageClassifier, tmp_path: Path) -> None:
    classifier.save(tmp_path)
    loaded = ImageClassifier.load(tmp_path)
    assert loaded.multi_label and np.array_equal(loaded.predict(X), classifier.predict(X))
    classifier.report(tmp_path / "report.html", X, LABELS)
    page = (tmp_path / "report.html").read_text()
    assert "Single labels" in page and "onfusion" not in page and "with any of 3 labels" in page
    assert "Single labels" in (tmp_path / "report.md").read_text()


@pytest.mark.parametrize(
    ("estimator", "y", "fit", "named"),
    [
        (ImageRegressor(), DIGITS.target_names[:5].astype(str), {}, "`y` must hold numbers"),
        (ImageRegressor(), np.where(np.arange(500) == 7, np.nan, 1.0), {}, r"finite numbers.*y\[7\]=nan"),
        (ImageRegressor(), np.ones(500), {}, "different values to learn"),
        (ImageRegressor(), VALUES[:9], {}, "500 images and 9"),
        (ImageRegressor(), VALUES, {"validation_data": (X, VALUES[:, 0])}, r"shape \(n, 2\)"),
        (ImageRegressor(quantization="mixed"), VALUES, {}, "bits of layers.*quantization='mixed'"),
        (ImageRegressor(objective="val_accuracy"), VALUES, {}, "`objective`.*val_r2_score.*'val_accuracy'"),
        (ImageClassifier(multi_label=True, quantization="joint"), LABELS, {}, "bits of layers.*quantization='joint'"),
        (ImageClassifier(multi_label=True), DIGITS.target[:500], {}, r"shape \(n, labels\)"),
        (ImageClassifier(multi_label="yes"), LABELS, {}, "`multi_label`"),
        (ImageClassifier(), LABELS, {}, "exactly one 1"),
    ],
)
def test_refused_before_any_training(
    estimator: Any, y: Any, fit: dict[str, Any], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fitting, "run", None)
    with pytest.raises(AutoMLError, match=f"(?s){named}"):
        estimator.set_params(verbose=0).fit(X, y, **fit)
    with pytest.raises(NotFittedError):
        estimator.predict(X)


def test_model_selection(stand_ins: Any) -> None:
    scores = cross_val_score(
        ImageRegressor(max_trials=1, seed=0, verbose=0), X, VALUES[:, 0], cv=2, params={"epochs": 1}
    )
    assert scores.shape == (2,) and np.isfinite(scores).all()


@pytest.mark.slow
def test_a_search_beats_a_ridge_regression_and_serves_many_devices(tmp_path: Path) -> None:
    x, y = DIGITS.images, DIGITS.target.astype(float)
    regressor = ImageRegressor(max_trials=8, seed=0, verbose=0, refit=True).fit(x[:1400], y[:1400], epochs=20)
    ridge = Ridge().fit(x[:1400].reshape(1400, -1), y[:1400])
    assert regressor.score(x[1400:], y[1400:]) > max(0.8, ridge.score(x[1400:].reshape(397, -1), y[1400:]))
    assert regressor.predict(x[:3]).shape == (3,) and regressor.report_.refitted
    front = regressor.pareto_front(max_trials=4)
    assert front and all("val_r2_score" in evaluation.metrics for evaluation in front)
    small = regressor.specialize(Budget(max_size_kb=40), fine_tune=2.0, x=x[:1400], y=y[:1400])
    assert small.report_.size_kb <= 40 and small.report_.r2_score > 0.5
    assert small.predict(x[:3]).shape == (3,)


@pytest.mark.slow
@pytest.mark.parametrize("tuner", ["enas", "once_for_all", "fairnas"])
def test_searches_of_labels(tuner: str) -> None:
    classifier = ImageClassifier(multi_label=True, tuner=tuner, max_trials=3, seed=0, verbose=0)
    classifier.fit(X, LABELS, epochs=4)
    shared = [row for row in classifier.leaderboard() if row["source"] == "shared_weights"]
    assert shared and all(0 <= row["val_accuracy"] <= 1 for row in shared if row["error"] is None)
    assert classifier.predict(X).shape == LABELS.shape
