from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_digits

from automl_keras import ImageClassifier

DIGITS = load_digits()
X, Y = (DIGITS.images[:300] * 15).astype(np.uint8), DIGITS.target[:300]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("digits")
    for index, (image, label) in enumerate(zip(X, Y, strict=True)):
        (root / f"digit {label}").mkdir(exist_ok=True)
        Image.fromarray(image).save(root / f"digit {label}" / f"{index:03}.png")
    return root


def fit(x: object, y: object = None, **settings: object) -> ImageClassifier:
    return ImageClassifier(max_trials=1, seed=0, verbose=0).fit(x, y, epochs=10, batch_size=32, **settings)


@pytest.mark.slow
def test_a_folder_is_fitted_like_its_arrays(folder: Path) -> None:
    order = np.argsort(Y, kind="stable")
    arrays = fit(X[order], np.array([f"digit {label}" for label in Y[order]]))
    classifier = fit(folder)
    assert classifier.classes_.tolist() == [f"digit {label}" for label in range(10)]
    assert np.array_equal(classifier.predict_proba(X), arrays.predict_proba(X))
    assert np.array_equal(classifier.predict_proba(folder), arrays.predict_proba(X[order]))
    expected = arrays.evaluate(X, np.array([f"digit {label}" for label in Y]))
    assert classifier.evaluate(folder) == pytest.approx(expected, rel=1e-5)
    assert classifier.predict(folder / "digit 3").shape == (np.sum(Y == 3),)


@pytest.mark.slow
def test_a_stream_is_fitted_like_its_arrays() -> None:
    stream = tf.data.Dataset.from_tensor_slices((X, Y)).batch(32)
    arrays, classifier = fit(X, Y, validation_data=(X[:100], Y[:100])), fit(stream, validation_data=stream.take(4))
    assert np.array_equal(classifier.predict(stream), classifier.predict(X))
    assert classifier.evaluate(stream)["accuracy"] == classifier.score(X, Y)
    assert classifier.best_architecture_ == arrays.best_architecture_


@pytest.mark.slow
def test_weights_reach_losses_and_accuracies() -> None:
    wrong = np.arange(300) % 2 == 1
    labels = np.where(wrong, (Y + 1) % 10, Y)
    taught_right = fit(X, labels, sample_weight=np.where(wrong, 0.0, 1.0))
    taught_wrong = fit(X, labels, sample_weight=np.where(wrong, 1.0, 0.0))
    assert taught_right.score(X, Y) > 0.8
    assert taught_wrong.score(X, (Y + 1) % 10) > 0.8
    assert taught_right.report_.accuracy > 0.7  # of the images that count
    assert taught_right.evaluate(X, labels, 1.0 - wrong)["accuracy"] == taught_right.score(X[~wrong], Y[~wrong])


@pytest.mark.slow
def test_class_weights_reach_the_loss() -> None:
    images, labels = np.concatenate([X, X]), np.concatenate([Y, np.full(300, 10)])  # each image has two answers
    ten = fit(images, labels, class_weight={10: 20.0}).predict(X)
    digits = fit(images, labels, class_weight={10: 0.05}).predict(X)
    assert np.mean(ten == 10) > 0.9
    assert np.mean(digits == 10) < 0.1
