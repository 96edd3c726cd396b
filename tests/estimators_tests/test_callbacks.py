from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from automl_keras import ImageClassifier
from automl_keras.data import CLASSIFICATION, Dataset
from automl_keras.errors import InvalidArgumentError, InvalidTypeError
from automl_keras.estimators import finishing
from automl_keras.estimators.validating import make_validation
from automl_keras.training import CurvePoint, CurveRecorder
from automl_keras.tuners import Project

DIGITS = load_digits()
X, Y = DIGITS.images[:200], DIGITS.target[:200]
POINT = CurvePoint(4, 1.0, 0.5, 2.0, 0.1)


class Counter(keras.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.count += 1


def fit(callbacks: Any = None, **settings: Any) -> ImageClassifier:
    classifier = ImageClassifier(max_trials=1, seed=0, verbose=0, **settings)
    return classifier.fit(X, Y, epochs=2, callbacks=callbacks)


@pytest.fixture
def trainings(stand_ins: Any, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The settings of final trainings, which are of one point and then as the stand-ins have them."""
    found: list[dict[str, Any]] = []
    train = finishing.train_network

    def noted(*arguments: Any, **settings: Any) -> Any:
        found.append(settings)
        settings["curve"].add(POINT)
        return train(*arguments, **settings)

    monkeypatch.setattr(finishing, "train_network", noted)
    return found


def test_copies_watch_the_final_training(trainings: list[dict[str, Any]]) -> None:
    given = [Counter(), keras.callbacks.EarlyStopping("loss")]
    classifier = fit(given)
    [settings] = trainings  # the first small model has none
    assert [type(callback) for callback in settings["callbacks"]] == [Counter, keras.callbacks.EarlyStopping]
    assert not set(map(id, settings["callbacks"])) & set(map(id, given))
    assert set(settings["validate"]()) == {"val_loss", "val_accuracy"}
    assert "callbacks" not in classifier.get_params()
    fit()
    assert trainings[1]["callbacks"] == () and trainings[1]["validate"] is None


def test_callbacks_are_no_part_of_a_project(trainings: list[dict[str, Any]], tmp_path: Path) -> None:
    first = fit([Counter()], directory=tmp_path)
    again = fit([keras.callbacks.History()], directory=tmp_path)
    assert len(trainings) == 1 and again.report_ == first.report_


@pytest.mark.parametrize(
    ("callbacks", "error"),
    [(Counter(), InvalidTypeError), ([keras.callbacks.ReduceLROnPlateau()], InvalidArgumentError)],
)
def test_what_cannot_be_called_is_refused_before_any_training(stand_ins: Any, callbacks: Any, error: type) -> None:
    with pytest.raises(error, match="callbacks"):
        fit(callbacks)
    assert stand_ins.trained == []


def test_validation_is_that_of_the_weights_of_the_moment() -> None:
    image = keras.Input((1, 1, 2))
    model = keras.Model(image, keras.layers.Flatten()(keras.layers.Rescaling(1.0)(keras.layers.Conv2D(2, 1)(image))))
    images = np.array([[[[3, 0]]], [[[0, 1]]], [[[2, 0]]]], np.float32)
    validate = make_validation(model, CLASSIFICATION, Dataset(images, np.array([0, 1, 1]), np.float32([1, 1, 2])))
    for scale in (0.0, 1.0):
        model.set_weights([scale * np.eye(2).reshape(1, 1, 2, 2), np.zeros(2)])
        losses = np.log1p(np.exp(-scale * np.array([3.0, 1.0, -2.0])))
        found = validate()
        assert found["val_loss"] == pytest.approx(np.average(losses, weights=[1, 1, 2]), rel=1e-5)
        assert found["val_accuracy"] == (0.25 if scale == 0.0 else 0.5)


def test_curves_are_kept_with_the_project(trainings: list[dict[str, Any]], tmp_path: Path) -> None:
    classifier = fit(directory=tmp_path)
    [curve] = classifier.training_curves_  # the stand-in of the first training has no points
    assert (curve.name, curve.points) == ("final network", (POINT,))
    folder = tmp_path / "image_classifier"
    assert Project(folder).curves == ImageClassifier.load(folder).training_curves_ == (curve,)
    classifier.save(tmp_path / "elsewhere")
    assert ImageClassifier.load(tmp_path / "elsewhere").training_curves_ == (curve,)


def test_an_interrupted_training_keeps_its_curve(trainings: list[dict[str, Any]], stand_ins: Any) -> None:
    stand_ins.interrupts = {("final training", 1)}
    assert [curve.points for curve in fit().training_curves_] == [(POINT,)]


class Killed(BaseException):
    """Passes whatever catches exceptions or Ctrl-C, as the end of a process does."""


def test_a_training_that_goes_on_has_one_curve(trainings: list[dict[str, Any]], tmp_path: Path) -> None:
    train = finishing.train_network

    def kill(model: keras.Model, *arguments: Any, curve: CurveRecorder, on_checkpoint: Any, **settings: Any) -> None:
        curve.add(POINT)
        on_checkpoint(0.5, model.get_weights())
        raise Killed

    def fit_for_a_minute() -> ImageClassifier:
        return ImageClassifier(time_limit=60, seed=0, verbose=0, directory=tmp_path).fit(X, Y)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(finishing, "train_network", kill)
        fit_for_a_minute()
    assert finishing.train_network is train
    [curve] = fit_for_a_minute().training_curves_
    assert curve.points == (POINT, CurvePoint(8, 2.0, 1.0, 2.0, 0.1))


@pytest.mark.slow
def test_a_callback_that_does_nothing_changes_nothing() -> None:
    alone, watched = (ImageClassifier(max_trials=3, seed=0, verbose=0) for _ in range(2))
    alone.fit(X, Y, epochs=2)
    watched.fit(X, Y, epochs=2, callbacks=[keras.callbacks.Callback()])
    assert np.array_equal(alone.predict_proba(X), watched.predict_proba(X))
    assert [e.metrics for e in alone.evaluations_] == [e.metrics for e in watched.evaluations_]
    names = [curve.name for curve in alone.training_curves_]
    assert names[0] == "first small model" and names[-1] == "final network"
    assert [curve.name for curve in watched.training_curves_] == names
