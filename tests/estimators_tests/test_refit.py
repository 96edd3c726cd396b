from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from automl_keras import Budget, ImageClassifier
from automl_keras.data import prepare_data
from automl_keras.errors import InvalidTypeError
from automl_keras.estimators import fitting, refitting
from automl_keras.estimators.held_out import all_images
from automl_keras.estimators.project import FittedState

DIGITS = load_digits()
X, Y = DIGITS.images, DIGITS.target


def fit(directory: Path | None = None, *, epochs: int | None = 20, **settings: Any) -> ImageClassifier:
    classifier = ImageClassifier(directory=directory, seed=0, verbose=0, **{"max_trials": 1, "refit": True, **settings})
    return classifier.fit(X, Y, epochs=epochs)


def test_the_accuracy_is_that_before_the_refit(stand_ins: Any) -> None:
    stand_ins.accuracies = [0.5, 0.9, 1.0]
    classifier = fit()
    assert classifier.report_.refitted and classifier.report_.accuracy == 0.9
    assert classifier.best_evaluation_.metrics == {"val_accuracy": 0.9}
    assert classifier.tflite_path_.name == "network_2.tflite"
    assert [row["val_accuracy"] for row in classifier.leaderboard()] == [0.9, 0.9, 0.5]
    assert ImageClassifier.load(classifier.tflite_path_.parent).report_.refitted


def test_it_learns_from_all_images_for_a_tenth_of_the_epochs(stand_ins: Any) -> None:
    fit()
    names, images, limits = zip(*stand_ins.trained, strict=True)
    assert names[-2:] == ("final training", "refit")
    assert images[-2] < len(X) and images[-1] == len(X)
    assert limits[-1].steps == round(0.1 * 20 * (len(X) // 128))
    assert limits[-1].begin > 0.5  # no high learning rate


def test_its_time_is_set_aside(stand_ins: Any) -> None:
    fit(time_limit=400, epochs=None)
    assert [name for name, *_ in stand_ins.trained[-2:]] == ["final training", "refit"]
    final, refit = (limit for *_, limit in stand_ins.trained[-2:])
    assert refit.seconds == 40 and refit.steps is None
    assert refit.deadline - final.deadline > 30


@pytest.mark.parametrize(("accuracies", "sizes"), [([0.5, 0.9, 0.8], [20.0]), ([0.5, 0.9, 1.0], [20.0, 20.0, 30.1])])
def test_a_worse_or_larger_file_leaves_the_earlier_one(
    stand_ins: Any, accuracies: list[float], sizes: list[float]
) -> None:
    stand_ins.accuracies, stand_ins.sizes = accuracies, sizes
    classifier = fit(budget=Budget(max_size_kb=30))
    assert stand_ins.calls["refit"] == 1
    assert not classifier.report_.refitted and classifier.report_.accuracy == 0.9
    assert classifier.tflite_path_.name == "network_1.tflite"
    assert len(classifier.leaderboard()) == 3 and classifier.leaderboard()[-1]["error"]


def test_without_it_nothing_is_refitted(stand_ins: Any) -> None:
    classifier = fit(refit=False)
    assert stand_ins.calls["refit"] == 0 and not classifier.report_.refitted
    with pytest.raises(InvalidTypeError, match="refit='yes'"):
        fit(refit="yes")


class Killed(BaseException):
    """Passes whatever catches exceptions or Ctrl-C, as the end of a process does."""


def kill(*args: object, **settings: object) -> None:
    raise Killed


@pytest.mark.parametrize(
    ("owner", "name", "trainings"), [(fitting, "refit", ["refit"]), (FittedState, "save", [])], ids=["before", "after"]
)
def test_a_fit_that_was_killed_goes_on_with_the_refit_or_has_had_it(
    stand_ins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, trainings: list[str]
) -> None:
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(owner, name, kill)
        fit(tmp_path)
    stand_ins.trained.clear()
    classifier = fit(tmp_path)
    assert [training for training, *_ in stand_ins.trained] == trainings
    assert classifier.report_.refitted and len(classifier.evaluations_) == 3


def test_all_images_keep_their_weights() -> None:
    weight = np.linspace(0.5, 1.5, 200)
    data = prepare_data(X[:200], Y[:200], (X[200:260], Y[200:260]), seed=0, sample_weight=weight, class_weight={3: 2.0})
    joined = all_images(data)
    expected = np.concatenate([weight, np.ones(60)]) * np.where(Y[:260] == 3, 2.0, 1.0)
    assert joined.sample_weight is not None
    assert np.allclose(joined.sample_weight, expected / expected.mean())
    assert all_images(prepare_data(X[:200], Y[:200], seed=0)).sample_weight is None


@pytest.mark.slow
def test_a_refitted_network_has_learnt_the_held_out_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refitting, "REFIT_SHARE", 1.0)
    right = np.arange(600) < 300
    labels = np.where(right, Y[:600], (Y[:600] + 1) % 10)  # only whoever sees the second half can know its labels
    settings: dict[str, Any] = {"max_trials": 1, "seed": 0, "verbose": 0}
    plain, refitted = (
        ImageClassifier(refit=refit, **settings).fit(
            X[:300], labels[:300], epochs=15, batch_size=32, validation_data=(X[300:600], labels[300:600])
        )
        for refit in (False, True)
    )
    assert refitted.report_.refitted and refitted.report_.accuracy == plain.report_.accuracy
    assert refitted.score(X[300:600], labels[300:600]) > plain.score(X[300:600], labels[300:600]) + 0.1
