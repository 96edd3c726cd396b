import json
import os
import sys
from pathlib import Path
from typing import Any

import keras_tuner
import pytest

from automl_keras.errors import AutoMLError, ProjectError
from automl_keras.evaluation import Cost, Evaluation
from automl_keras.search_space import Architecture
from automl_keras.testing import flat_space, toy_score
from automl_keras.tuners import EvolutionOracle, StrategyOracle
from automl_keras.tuners.project import Project

SPACE = flat_space(3)


def start(folder: Path, **settings: Any) -> StrategyOracle:
    oracle = EvolutionOracle(space=SPACE, seed=0, **{"max_trials": 6, **settings})
    oracle.verbose = 0
    oracle.open_project(folder)
    return oracle


def run(oracle: StrategyOracle, trials: int) -> None:
    """The third trial fails, the others report a cost too."""
    for _ in range(trials):
        trial = oracle.create_trial("worker")
        if trial.trial_id == "2":
            trial.status, trial.message = "INVALID", "Traceback...\nValueError: no memory"
        else:
            score = toy_score({name: trial.hyperparameters.values.get(name, 0) for name in SPACE.names})
            oracle.update_trial(trial.trial_id, {oracle.objective.name: score, "size_kb": 12.5, "loss": 1 / 3})
            trial.status = "COMPLETED"
        oracle.end_trial(trial)


def test_trials_as_they_are(tmp_path: Path) -> None:
    oracle = start(tmp_path, max_retries_per_trial=1)
    run(oracle, 3)
    project = Project(tmp_path)
    assert [record.status for record in project.trials] == ["COMPLETED", "COMPLETED", "INVALID"]
    run(oracle, 1)
    running = oracle.create_trial("other")
    records = project.trials
    assert [record.status for record in records] == ["COMPLETED", "COMPLETED", "FAILED", "RUNNING"]
    for record, trial in zip(records, oracle.trials.values(), strict=True):
        assert (record.trial_id, record.values, record.score, record.message) == (
            trial.trial_id,
            trial.hyperparameters.values,
            trial.score,
            trial.message,
        )
    assert records[0].metrics == {"val_accuracy": records[0].score, "size_kb": 12.5, "loss": 1 / 3}
    assert (records[3].worker, records[3].trial_id, records[3].ended) == ("other", running.trial_id, None)
    assert records[0].ended is not None and records[0].started <= records[0].ended <= records[3].started


@pytest.mark.parametrize("direction", ["max", "min"])
def test_leaderboard_and_best(direction: str, tmp_path: Path) -> None:
    oracle = start(tmp_path, objective=keras_tuner.Objective("quality", direction))
    assert Project(tmp_path).best is None
    run(oracle, 6)
    project = Project(tmp_path)
    ranked = [trial.score for trial in oracle.get_best_trials(6)]
    *completed, failed = project.leaderboard()
    assert [evaluation.metrics["quality"] for evaluation in completed] == ranked
    assert (failed.error, failed.metrics) == ("ValueError: no memory", {})
    assert project.best == completed[0]
    told = {e.architecture: e for e in oracle.strategy.evaluations}
    assert {e.architecture for e in completed} == told.keys()
    assert completed[0].cost == Cost(size_kb=12.5)
    assert project.plan is None


def test_among_equals_the_first_that_ended_is_best(tmp_path: Path) -> None:
    oracle = start(tmp_path)
    trials = [oracle.create_trial(worker) for worker in "ab"]
    for trial in reversed(trials):
        oracle.update_trial(trial.trial_id, {"val_accuracy": 0.5})
        trial.status = "COMPLETED"
        oracle.end_trial(trial)
    best = Project(tmp_path).best
    assert best is not None and best.architecture == oracle.architecture(oracle.get_best_trials()[0])
    assert oracle.get_best_trials()[0] is trials[1]


def test_rounds_are_trials_but_no_evaluations(tmp_path: Path) -> None:
    oracle = start(tmp_path, rounds=1)
    run(oracle, 2)
    project = Project(tmp_path)
    assert [record.values.get("nas/phase") for record in project.trials] == ["train", "eval"]
    [evaluation] = project.leaderboard()
    assert (evaluation.source, evaluation.generation) == ("shared_weights", 1)
    assert set(evaluation.architecture) == set(SPACE.names)


def test_hyperparameters_that_were_declared_later(tmp_path: Path) -> None:
    oracle = EvolutionOracle(max_trials=2, seed=0)
    oracle.verbose = 0
    oracle.open_project(tmp_path)
    trial = oracle.create_trial("a")
    with trial.hyperparameters.name_scope("block"):
        trial.hyperparameters.Choice("units", [1, 2])
    oracle.update_trial(trial.trial_id, {"val_accuracy": 0.5})
    trial.status = "COMPLETED"
    oracle.end_trial(trial)
    best = Project(tmp_path).best
    assert best is not None and best.architecture == Architecture({"block/units": 1})


def test_read_while_another_process_searches(tmp_path: Path) -> None:
    go, gone = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go[1])
        oracle = start(tmp_path / "search")
        os.write(gone[1], b".")
        while os.read(go[0], 1):
            run(oracle, 1)
            os.write(gone[1], b".")
        os._exit(0)
    os.read(gone[0], 1)
    project = Project(tmp_path)
    for number in range(1, 4):
        os.write(go[1], b".")
        os.read(gone[0], 1)
        assert len(project.trials) == number
    os.close(go[1])
    os.waitpid(child, 0)


def test_frame(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    oracle = start(tmp_path)
    run(oracle, 4)
    frame = Project(tmp_path).trials_frame()
    assert frame["trial_id"].tolist() == ["0", "1", "2", "3"]
    assert frame["values.d0"].tolist() == [trial.hyperparameters.values["d0"] for trial in oracle.trials.values()]
    assert frame.sort_values("score")["trial_id"].iloc[-2] == oracle.get_best_trials()[0].trial_id
    assert frame["metrics.size_kb"].isna().tolist() == [False, False, True, False]
    assert (frame["seconds"] >= 0).all()


def test_frame_without_pandas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start(tmp_path)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(AutoMLError, match="pip install pandas"):
        Project(tmp_path).trials_frame()


class TestClassifierFolders:
    """Made of what `ImageClassifier` writes."""

    def write(self, folder: Path, **files: dict[str, Any]) -> None:
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            (folder / f"{name}.json").write_text(json.dumps(content))

    def test_running(self, tmp_path: Path) -> None:
        self.write(tmp_path, project={"seed": 0})
        assert (Project(tmp_path).plan, Project(tmp_path).best, Project(tmp_path).trials) == (None, None, ())
        self.write(tmp_path, journal={"plan": {"rounds": 2}, "seconds": 3.0})
        oracle = start(tmp_path / "search")
        run(oracle, 2)
        project = Project(tmp_path)
        assert project.plan == {"rounds": 2}
        assert project.best is not None and project.best.metrics["val_accuracy"] == oracle.get_best_trials()[0].score

    def test_finished(self, tmp_path: Path) -> None:
        architectures = [Architecture({"width": width}) for width in (1, 2, 3)]
        shared, winner, other = (
            Evaluation(architecture, {"val_accuracy": score}, source=source)
            for architecture, score, source in zip(
                architectures, (0.99, 0.9, 0.95), ("shared_weights", "file", "file"), strict=True
            )
        )
        about = {
            "best": winner.to_dict(),
            "evaluations": [evaluation.to_dict() for evaluation in (shared, other, winner)],
            "plan": {"rounds": 2},
            "parameters": {"objective": "val_accuracy"},
        }
        self.write(tmp_path, project={"seed": 0}, classifier=about)
        project = Project(tmp_path)
        assert project.best == winner
        assert project.leaderboard() == [winner, other, shared]
        assert project.plan == {"rounds": 2}

    def test_damaged(self, tmp_path: Path) -> None:
        self.write(tmp_path, project={})
        (tmp_path / "journal.json").write_text("{")
        with pytest.raises(ProjectError, match=r"journal\.json"):
            _ = Project(tmp_path).plan


def test_what_is_no_project(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="with none"):
        Project(tmp_path)
    for name in "ab":
        start(tmp_path / name)
    with pytest.raises(ProjectError, match=r"one project.*'.*a', '.*b'"):
        Project(tmp_path)
