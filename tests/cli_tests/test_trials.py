import json
from pathlib import Path
from typing import Any

import pytest

from automl_keras import ImageClassifier
from automl_keras.cli import main, trials
from automl_keras.testing import flat_space
from automl_keras.tuners import EvolutionOracle, StrategyOracle
from tests.cli_tests.conftest import Workplace, run


def start(folder: Path) -> StrategyOracle:
    oracle = EvolutionOracle(space=flat_space(3), seed=0, max_trials=6)
    oracle.verbose = 0
    oracle.open_project(folder)
    return oracle


def finish(oracle: StrategyOracle, score: float | None) -> None:
    """Begin a trial and end it; without a score it fails."""
    trial = oracle.create_trial("worker")
    if score is None:
        trial.status, trial.message = "INVALID", "Traceback...\nValueError: no memory"
    else:
        oracle.update_trial(trial.trial_id, {"val_accuracy": score, "size_kb": 12.5})
        trial.status = "COMPLETED"
    oracle.end_trial(trial)


def test_trials_of_a_tuner(tmp_path: Path) -> None:
    oracle = start(tmp_path)
    assert "No trial has ended well yet." in run("trials", str(tmp_path))[1]
    for score in (0.25, 0.75, None):
        finish(oracle, score)
    oracle.create_trial("other")
    code, output = run("trials", str(tmp_path), "--json")
    facts = json.loads(output)
    assert code == 0
    assert [(record["status"], record["score"]) for record in facts["trials"]] == [
        ("COMPLETED", 0.25),
        ("COMPLETED", 0.75),
        ("FAILED", None),
        ("RUNNING", None),
    ]
    assert facts["best"]["metrics"] == {"val_accuracy": 0.75}
    assert (facts["finished"], len(facts["evaluations"])) == (False, 3)
    text = run("trials", str(tmp_path))[1]
    assert text.splitlines()[0].split() == ["trial", "status", "work", "score", "seconds", "worker", "message"]
    assert "ValueError: no memory" in text and "Traceback" not in text
    assert "0.75" in text and "12.5" in text


def test_a_finished_fit(workplace: Workplace) -> None:
    code, output = run("trials", "projects/photos", "--live", "--json")  # nothing is left to follow
    facts = json.loads(output)
    assert (code, facts["finished"]) == (0, True)
    classifier = ImageClassifier.load("projects/photos")
    assert facts["best"] == json.loads(json.dumps(classifier.best_evaluation_.to_dict()))
    assert facts["plan"] == classifier.plan_
    assert len(facts["evaluations"]) == len(classifier.leaderboard())
    assert run("trials", "projects/photos")[1].count("\nfile ") == len(classifier.leaderboard())


def test_a_running_search_is_followed_until_ctrl_c(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    oracle = start(tmp_path)
    finish(oracle, 0.25)
    running: list[Any] = []

    def end() -> None:
        oracle.update_trial(running[0].trial_id, {"val_accuracy": 0.125})
        running[0].status = "COMPLETED"
        oracle.end_trial(running[0])

    looks = iter([lambda: finish(oracle, 0.5), lambda: running.append(oracle.create_trial("other")), end, lambda: None])

    def sleep(seconds: float) -> None:
        look = next(looks, None)
        if look is None:
            raise KeyboardInterrupt
        look()

    monkeypatch.setattr(trials.time, "sleep", sleep)
    assert main(["trials", str(tmp_path), "--live"]) == 130
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[:2] for line in lines[:4]] == [
        ["trial 0", "status COMPLETED"],
        ["trial 1", "status COMPLETED"],
        ["trial 2", "status RUNNING"],
        ["trial 2", "status COMPLETED"],
    ]
    assert "score 0.25" in lines[0] and "score 0.5" in lines[1] and "score 0.125" in lines[3]
    assert lines[4].startswith("source")  # then what was reached
    assert "Best: " in lines[-1]
    assert main(["trials", str(tmp_path), "--live", "--json"]) == 130  # Ctrl-C at once
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [lines[0], lines[1], lines[3]]
    assert len(json.loads(captured.out)["trials"]) == 3


def test_a_reader_that_leaves_while_a_search_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def followed(directory: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(trials, "_followed", followed)
    assert main(["trials", str(tmp_path), "--live"]) == 1
    assert capfd.readouterr() == ("", "")


def test_a_fit_is_followed_to_its_end(
    workplace: Workplace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "project.json").write_text("{}")  # it has begun, and has no search yet

    def begin_search(seconds: float) -> None:
        finish(start(tmp_path), 0.5)
        monkeypatch.setattr(trials.time, "sleep", end_fit)

    def end_fit(seconds: float) -> None:
        (tmp_path / "classifier.json").write_bytes(Path("projects/photos/classifier.json").read_bytes())

    monkeypatch.setattr(trials.time, "sleep", begin_search)
    assert main(["trials", str(tmp_path), "--live"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("trial 0  status COMPLETED  work network  score 0.5")
