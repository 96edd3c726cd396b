"""Fits with a supernet that fail, are killed and go on."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from automl_keras import Budget, ImageClassifier
from automl_keras.data import prepare_data
from automl_keras.errors import InfeasibleBudgetError, ProjectError, SearchError
from automl_keras.estimators import journal as journals
from automl_keras.estimators.finishing import Finisher
from automl_keras.estimators.fitting import Fitting
from automl_keras.estimators.journal import Journal, read_journal
from automl_keras.estimators.latency import LatencyLimit
from automl_keras.estimators.plan import Means, Plan
from automl_keras.estimators.searching import Searcher
from automl_keras.estimators.settings import fit_settings
from automl_keras.estimators.shared_weights import SharedWeights
from automl_keras.evaluation import Cost, Evaluation
from automl_keras.reporting import TimedReporter, make_reporter
from automl_keras.search_space import Architecture, MacroSearchSpace, NetworkSpace, image_space, macro_space
from automl_keras.supernet import Round, SubnetScorer
from automl_keras.training import TrainingLog, recipe_space
from automl_keras.tuners import RoundRunner

DIGITS = load_digits()
X, Y = DIGITS.images[:300], DIGITS.target[:300]
LOG = TrainingLog(steps=1, epochs=1.0, seconds=0.0, loss=0.0, images_per_second=0.0)


class Killed(BaseException):
    """Passes whatever catches exceptions or Ctrl-C, as the end of a process does."""


def kill(*args: object, **settings: object) -> None:
    raise Killed


def searcher(directory: Path) -> Searcher:
    """Of a space with two networks, and a teacher."""
    space = image_space((8, 8, 1), 10)
    space = space.restrict({name: space[name].options[:1] for name in space.names if name != "stage2_width"})
    space = space.restrict({"stage2_width": space["stage2_width"].options[:2]})
    plan = Plan(
        recipe=Architecture({**recipe_space().default(), "distillation": True}),
        probes=(),
        default=space.default(),
        space=space,
        rounds=(Round("largest", epochs=1.0), Round("sandwich", epochs=1.0)),
        max_trials=2,
        search_seconds=None,
        final_epochs=1.0,
        final_seconds=None,
        reason="",
    )
    parameters = ImageClassifier(max_trials=2, seed=0).get_params()
    settings = fit_settings(parameters, time.monotonic(), epochs=1, batch_size=None, journal={})
    journal = Journal(directory, time.monotonic())
    return Searcher(plan, space, settings, prepare_data(X, Y, seed=0), lambda architecture: True, journal)


def quiet() -> TimedReporter:
    return TimedReporter(make_reporter(0), "test", start=time.monotonic())


@pytest.mark.parametrize("trained", [0, 1])
def test_a_search_that_failed_leaves_no_shared_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: int
) -> None:
    def run(self: RoundRunner, number: int, **settings: Any) -> TrainingLog:
        if number > trained:
            raise ValueError("planted")
        return LOG

    monkeypatch.setattr(RoundRunner, "run", run)
    monkeypatch.setattr(SubnetScorer, "score", lambda self, architecture: 0.5)
    with pytest.raises(SearchError, match="planted"):
        searcher(tmp_path).search(quiet(), [])
    assert searcher(tmp_path).search(quiet(), [], is_over=True) == ([], None)
    assert SharedWeights.find(tmp_path, prepare_data(X, Y, seed=0).info) is None


def test_time_in_a_round_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "TICK_SECONDS", 0.0)
    seen = []

    def run(self: RoundRunner, number: int, *, on_progress: Any, **settings: Any) -> TrainingLog:
        for progress in (0.1, 0.2):
            on_progress(progress)
            facts = read_journal(tmp_path)
            seen.append((facts["rounds_done"], facts["seconds"]))
        if number == 2:
            raise Killed
        return LOG

    monkeypatch.setattr(RoundRunner, "run", run)
    monkeypatch.setattr(SubnetScorer, "score", lambda self, architecture: 0.5)
    with pytest.raises(Killed):
        searcher(tmp_path).search(quiet(), [])
    assert [rounds_done for rounds_done, _ in seen] == [0, 0, 1, 1]
    assert np.all(np.diff([seconds for _, seconds in seen]) > 0)


@pytest.mark.parametrize("half_way", [False, True])
def test_a_final_training_that_was_killed_leaves_the_search(
    stand_ins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, half_way: bool
) -> None:
    made: list[Evaluation] = []

    def search(self: Searcher, reporter: object, evaluations: list[Evaluation], *, is_over: bool) -> Any:
        assert is_over == bool(evaluations)
        if not is_over:
            cost = Cost(params=7, size_kb=3.5)
            made.append(
                Evaluation(self.plan.default, {"val_accuracy": 0.5}, cost, "shared_weights", generation=2, seconds=0.25)
            )
            evaluations.extend(made)
        return [], None

    def train_and_die(self: Finisher, architecture: Architecture, model: Any, *args: Any, **settings: Any) -> None:
        if half_way:
            self.journal.keep_training(architecture, 0.5, model.get_weights())
        raise Killed

    monkeypatch.setattr(Searcher, "search", search)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Finisher, "train_and_finish", train_and_die)
        ImageClassifier(max_trials=3, seed=0, verbose=0, directory=tmp_path).fit(X, Y)
    classifier = ImageClassifier(max_trials=3, seed=0, verbose=0, directory=tmp_path).fit(X, Y)
    assert [each for each in classifier.evaluations_ if each.source == "shared_weights"] == made
    assert [name for name, *_ in stand_ins.trained] == ["small training", "final training"]


@dataclass
class Table:
    """Predicts the same for all networks."""

    milliseconds: float

    def predict(self, spec: object, *, input_dtype: str, quantization: str) -> float:
        return self.milliseconds


@pytest.mark.parametrize("moment", ["_first_model", "_carry_out"])
def test_the_limit_of_predicted_latencies_stays(
    stand_ins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    limits = []

    def note_and_die(self: Fitting, *args: object) -> None:
        limits.append(self.predictable.max_latency_ms)
        raise Killed

    monkeypatch.setattr(Fitting, moment, note_and_die)
    for measured, predicted in ((1.9, 1.85), (7.0, 1.5)):  # the second time the machine is busy
        monkeypatch.setattr(LatencyLimit, "measure", lambda self, network, result=measured: result)
        monkeypatch.setattr(LatencyLimit, "table", lambda self, space, result=predicted: Table(result))
        with pytest.raises(Killed):
            budget = Budget(max_latency_ms=2.0)
            ImageClassifier(budget=budget, max_trials=3, seed=0, verbose=0, directory=tmp_path).fit(X, Y)
    assert limits == [1.85, 1.85]


@pytest.mark.parametrize("given", [False, True])
def test_macro_networks_are_timed_before_the_time_is_divided(
    stand_ins: Any, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    done: list[str] = []
    means, milliseconds = Fitting._means, 1.0

    def table(self: LatencyLimit, space: NetworkSpace) -> Table:
        done.append(type(space).__name__)
        return Table(milliseconds if isinstance(space, MacroSearchSpace) else 1.0)

    def noted(self: Fitting, *args: Any) -> Means:
        done.append("means")
        return means(self, *args)

    monkeypatch.setattr(LatencyLimit, "measure", lambda self, network: 1.0)
    monkeypatch.setattr(LatencyLimit, "table", table)
    monkeypatch.setattr(Fitting, "_means", noted)
    monkeypatch.setattr(Fitting, "_carry_out", kill)
    space: Any = macro_space((8, 8, 1), 10, num_layers=3, num_filters=4) if given else "auto"
    settings: dict[str, Any] = {"tuner": "enas", "search_space": space, "time_limit": 100, "seed": 0, "verbose": 0}
    with pytest.raises(Killed):
        ImageClassifier(budget=Budget(max_latency_ms=2.0), **settings).fit(X, Y)
    assert "means" not in done[: done.index("MacroSearchSpace")]
    milliseconds = 9.0
    stand_ins.trained.clear()
    with pytest.raises(InfeasibleBudgetError if given else Killed):
        ImageClassifier(budget=Budget(max_latency_ms=2.0), **settings).fit(X, Y)
    assert bool(stand_ins.trained) != given


def test_a_project_is_of_one_kind_of_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Fitting, "run", kill)

    def fit(space: Any) -> None:
        settings: dict[str, Any] = {"max_trials": 3, "seed": 0, "verbose": 0, "directory": tmp_path}
        ImageClassifier(tuner="enas", search_space=space, **settings).fit(X, Y, epochs=1)

    for _ in range(2):
        with pytest.raises(Killed):
            fit("auto")
    with pytest.raises(ProjectError, match="different kind_of_space"):
        fit(image_space((8, 8, 1), 10))
