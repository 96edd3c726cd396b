import time
import warnings
from typing import Any

import pytest
from sklearn.datasets import load_digits

from automl_keras import ImageClassifier
from automl_keras.estimators.settings import FitSettings, fit_settings, warn_if_late

DIGITS = load_digits()
X, Y = DIGITS.images[:300], DIGITS.target[:300]


def settings(time_limit: float | None, seconds_ago: float) -> FitSettings:
    parameters = {**ImageClassifier(time_limit=time_limit, max_trials=1).get_params()}
    return fit_settings(parameters, time.monotonic() - seconds_ago, epochs=None, batch_size=None, journal={})


@pytest.mark.parametrize(("time_limit", "seconds"), [(10, 12.5), (19.9, 20.5), (20, 27), (300, 330)])
def test_a_broken_time_limit_is_told(time_limit: float, seconds: float) -> None:
    with pytest.warns(UserWarning, match=rf"{seconds - time_limit:.1f} s longer.*time_limit={time_limit:g}"):
        warn_if_late(settings(time_limit, seconds))


@pytest.mark.parametrize(("time_limit", "seconds"), [(10, 5), (20, 25), (300, 310), (None, 1e6)])
def test_a_limit_that_is_kept_is_not(time_limit: float | None, seconds: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_if_late(settings(time_limit, seconds))


def test_fit_warns_where_it_was_called(stand_ins: Any) -> None:
    with pytest.warns(UserWarning, match="s longer than `time_limit` allows") as caught:
        ImageClassifier(time_limit=0.01, seed=0, verbose=0).fit(X, Y)
    late = [warning for warning in caught if "time_limit" in str(warning.message)]
    assert [warning.filename for warning in late] == [__file__]


def test_stages_say_where_the_time_went(stand_ins: Any, capsys: pytest.CaptureFixture[str]) -> None:
    start = time.monotonic()
    classifier = ImageClassifier(max_trials=1, seed=0, verbose=1).fit(X, Y, epochs=2)
    seconds = time.monotonic() - start
    stages = classifier.stages_
    assert [stage.name for stage in stages] == [
        "read and check the data",
        "first small model",
        "export and measure",
        "train the final network",
        "export and measure",
        "save the project",
    ]
    assert all(0 <= stage.working_seconds <= stage.seconds for stage in stages)
    assert all(stage.seconds > 0 for stage in stages) and sum(stage.seconds for stage in stages) <= seconds
    assert ImageClassifier.load(classifier.tflite_path_.parent).stages_ == stages
    assert sum("were neither training nor evaluation" in line for line in capsys.readouterr().out.splitlines()) == 1


@pytest.mark.slow
def test_training_and_evaluation_take_part_of_each_stage() -> None:
    # So long that each round is more than the one call that traces it.
    classifier = ImageClassifier(max_trials=4, seed=0, verbose=0).fit(X, Y, epochs=80)
    working = {stage.name: stage.working_seconds for stage in classifier.stages_}
    assert [name for name, seconds in working.items() if seconds == 0.0] == [
        "read and check the data",
        "build the supernet",
        "save the project",
    ]
    assert all(evaluation.seconds > 0 for evaluation in classifier.evaluations_)
