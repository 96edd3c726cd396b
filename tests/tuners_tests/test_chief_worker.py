"""Chief and workers as real processes on the loopback interface. Their trials are no models, so that they are quick."""

import os
import signal
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras_tuner
import pytest

from automl_keras.errors import InvalidArgumentError, SearchError
from automl_keras.testing import toy_score
from automl_keras.tuners import EvolutionOracle, RoundRunner, SupernetTuner, chief_worker
from automl_keras.tuners.durable_tuner import DurableTuner
from tests.tuners_tests.chief_worker_script import ORACLES, SPACE, Processes, Script, ToyTuner, ended, kill, wait_until
from tests.tuners_tests.listening import listeners

WORKERS = ("worker0", "worker1", "worker2")


@pytest.fixture
def processes() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    processes.end()


@pytest.fixture
def script(tmp_path: Path) -> Script:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return Script(tmp_path, free.getsockname()[1])


def assert_each_ended_once(script: Script, failed: Sequence[str] = ()) -> None:
    """Every trial has ended once, well except for the `failed`, with the values and the score that are its own."""
    results = script.results
    assert len(results["end_order"]) == len(set(results["end_order"])) == script.max_trials
    assert results["end_order"] and sorted(results["end_order"]) == sorted(results["trials"])
    assert {i for i, trial in results["trials"].items() if trial["status"] != "COMPLETED"} == set(failed)
    architectures = [SPACE.canonical(trial["values"]) for trial in results["trials"].values()]
    assert [trial["values"] for trial in results["trials"].values()] == [a.to_dict() for a in architectures]
    assert len(set(architectures)) == script.max_trials
    for trial_id, architecture in zip(results["trials"], architectures, strict=True):
        if trial_id not in failed:
            assert results["trials"][trial_id]["score"] == toy_score(architecture)


def runs(script: Script) -> dict[str, int]:
    """How often each trial was begun."""
    return Counter(trial_id for _, trial_id in script.begun)


def test_a_killed_worker_is_replaced(script: Script, processes: Processes) -> None:
    script = replace(script, lease=3.0, holds={"worker0": "never"})
    chief, victim = processes.start(script, "chief", "worker0")
    wait_until(lambda: "worker0" in dict(script.begun))  # else the others may leave it nothing
    others = processes.start(script, *WORKERS[1:])
    assert listeners(chief.pid) == {("127.0.0.1", script.port)}
    victim.kill()
    assert ended(chief, *others) == [0, 0, 0]
    assert_each_ended_once(script)
    assert runs(script)[dict(script.begun)["worker0"]] == 2


@pytest.mark.slow
class TestProcesses:
    @pytest.mark.parametrize("oracle", ORACLES)
    def test_a_restarted_chief_goes_on(self, oracle: str, script: Script, processes: Processes) -> None:
        script = replace(script, oracle=oracle, max_trials=24, holds=dict.fromkeys(WORKERS[1:], "go"))
        chief, *workers = processes.start(script, "chief", *WORKERS[1:])
        wait_until(lambda: len(script.begun) == len(workers))
        workers += processes.start(script, "worker0")
        wait_until(lambda: len(script.begun) >= 10)
        kill(chief)
        (script.directory / "go").touch()  # two trials end while there is no chief
        [chief] = processes.start(script, "chief")
        assert ended(chief, *workers) == [0, 0, 0, 0]
        assert_each_ended_once(script)
        assert set(runs(script).values()) == {1}

    def test_a_chief_that_is_killed_again_and_again(self, script: Script, processes: Processes) -> None:
        script = replace(script, max_trials=24)
        chief, *workers = processes.start(script, "chief", *WORKERS)
        for number in (4, 8, 12, 16, 20):
            wait_until(lambda number=number: len(script.begun) >= number)  # type: ignore[misc]
            kill(chief)
            [chief] = processes.start(script, "chief")
        assert ended(chief, *workers) == [0, 0, 0, 0]
        assert_each_ended_once(script)
        assert set(runs(script).values()) == {1}

    @pytest.mark.parametrize("moment", ["it waits to be repeated", "it is repeated", "it was repeated"])
    def test_a_late_result_counts_if_it_is_the_first(self, moment: str, script: Script, processes: Processes) -> None:
        script = replace(script, lease=3.0, holds={"worker0": "go0", "worker1": "go1", "worker2": "go2"})
        [chief, late] = processes.start(script, "chief", "worker0")
        wait_until(lambda: script.begun)
        os.kill(late.pid, signal.SIGSTOP)  # no heartbeat leaves it
        [busy] = processes.start(script, "worker1")
        wait_until(lambda: ("lost", "00") in script.events)
        others = [busy]
        if moment != "it waits to be repeated":
            others += processes.start(script, "worker2")
            wait_until(lambda: ("restart", "00") in script.events)
        if moment == "it was repeated":
            (script.directory / "go2").touch()
            wait_until(lambda: ("end", "00") in script.events)
        (script.directory / "go0").touch()
        os.kill(late.pid, signal.SIGCONT)
        wait_until(lambda: ("end", "00") in script.events)
        for worker in WORKERS[1:]:
            (script.directory / script.holds[worker]).touch()
        assert ended(chief, late, *others) == [0] * (2 + len(others))
        assert_each_ended_once(script)
        assert runs(script)["00"] == len(others)

    def test_a_late_joiner_takes_part(self, script: Script, processes: Processes) -> None:
        script = replace(script, holds={"worker0": "go"})
        started = processes.start(script, "chief", "worker0")
        wait_until(lambda: script.begun)
        started += processes.start(script, "late")
        wait_until(lambda: len(script.begun) == script.max_trials)
        (script.directory / "go").touch()
        assert ended(*started) == [0, 0, 0]
        assert_each_ended_once(script)
        assert Counter(worker for worker, _ in script.begun) == {"worker0": 1, "late": 11}

    def test_a_late_worker_does_not_overwrite_the_project(self, script: Script, processes: Processes) -> None:
        script = replace(script, holds={"worker0": "go"})
        started = processes.start(replace(script, overwrite=True), "chief", "worker0")
        wait_until(lambda: script.begun)
        checkpoint = script.directory / "search" / "checkpoint"
        checkpoint.touch()
        started += processes.start(replace(script, overwrite=True), "late")
        wait_until(lambda: len(script.begun) == script.max_trials)
        (script.directory / "go").touch()
        assert ended(*started) == [0, 0, 0]
        assert checkpoint.exists()
        assert_each_ended_once(script)

    def test_a_trial_that_kills_its_workers_fails(self, script: Script, processes: Processes) -> None:
        script = replace(script, lease=3.0, kills=("03",))
        chief, *workers = processes.start(script, "chief", *WORKERS, "worker3")
        exit_codes = ended(chief, *workers)
        assert exit_codes[0] == 0
        assert sorted(exit_codes[1:]) == [-signal.SIGKILL] * 3 + [0]
        assert_each_ended_once(script, failed=["03"])
        assert "every worker that ran it died" in script.results["trials"]["03"]["message"]
        assert runs(script)["03"] == 3

    def test_the_chief_knows_why_a_trial_failed(self, script: Script, processes: Processes) -> None:
        script = replace(script, fails=("03",))
        assert ended(*processes.start(script, "chief", *WORKERS)) == [0, 0, 0, 0]
        assert_each_ended_once(script, failed=["03"])
        assert script.results["trials"]["03"]["message"].rstrip().endswith("ValueError: planned")

    def test_an_error_of_the_oracle_ends_everybody(self, script: Script, processes: Processes) -> None:
        script = replace(script, breaks_at=5, holds={"worker0": "go"})
        chief, busy = processes.start(script, "chief", "worker0")
        wait_until(lambda: script.begun)
        assert ended(*processes.start(script, *WORKERS[1:])) == [1, 1]
        (script.directory / "go").touch()
        assert ended(chief, busy) == [1, 1]
        assert script.error("chief") == "ZeroDivisionError: no cost"
        for worker in WORKERS:
            assert script.error(worker).startswith("SearchError: The chief at 127.0.0.1:")
            assert script.error(worker).endswith("ended the search: ZeroDivisionError: no cost")

    def test_failures_in_a_row_end_everybody(self, script: Script, processes: Processes) -> None:
        script = replace(script, fails=tuple(f"{number:02d}" for number in range(12)))
        assert ended(*processes.start(script, "chief", *WORKERS)) == [1, 1, 1, 1]
        for process in ("chief", *WORKERS):
            assert "3 trials failed in a row, the last one: ValueError: planned" in script.error(process)

    def test_there_is_one_chief(self, script: Script, processes: Processes) -> None:
        [chief] = processes.start(script, "chief")
        wait_until(lambda: listeners(chief.pid))
        (script.directory / "other").mkdir()
        other = replace(script, directory=script.directory / "other")
        assert ended(*processes.start(other, "chief")) == [1]
        assert f"SearchError: The chief cannot listen at 127.0.0.1:{script.port}" in other.error("chief")
        assert ended(*processes.start(script, "worker0"), chief) == [0, 0]

    def test_workers_do_not_wait_for_ever(self, script: Script, processes: Processes) -> None:
        script = replace(script, patience=1.0, holds={"worker0": "go"})
        [chief, worker] = processes.start(script, "chief", "worker0")
        wait_until(lambda: script.begun)
        kill(chief)
        (script.directory / "go").touch()
        assert ended(worker) == [1]
        assert f"No chief answered at 127.0.0.1:{script.port} for 1 seconds" in script.error("worker0")

    def test_the_chief_of_an_ended_search_ends(self, script: Script, processes: Processes) -> None:
        assert ended(*processes.start(script, "chief", *WORKERS)) == [0, 0, 0, 0]
        script = replace(script, lease=1.0)  # so long it waits for the workers of before
        assert ended(*processes.start(script, "chief")) == [0]
        assert ended(*processes.start(script, "chief", "worker0")) == [0, 0]
        assert_each_ended_once(script)

    def test_stock_tuners_share_the_work(self, script: Script, processes: Processes) -> None:
        script = replace(script, stock_tuner=True, holds=dict.fromkeys(WORKERS, "go"))
        started = processes.start(script, "chief", *WORKERS)
        wait_until(lambda: {worker for worker, _ in script.begun} == set(WORKERS))  # none comes after the end
        (script.directory / "go").touch()
        assert ended(*started) == [0, 0, 0, 0]
        assert_each_ended_once(script)


@pytest.fixture
def worker_environment(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "worker0")
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", str(script.port))


@pytest.mark.usefixtures("worker_environment")
def test_oracles_that_cannot_serve_workers_are_refused(tmp_path: Path) -> None:
    oracle = keras_tuner.oracles.RandomSearchOracle("val_accuracy", 2)
    with pytest.raises(InvalidArgumentError, match=r"must be a `DurableOracle`"):
        DurableTuner(oracle, lambda hp: None, directory=tmp_path)


@pytest.mark.usefixtures("worker_environment")
def test_a_worker_without_a_chief_says_so(script: Script) -> None:
    with pytest.raises(SearchError, match=rf"No chief answered at 127\.0\.0\.1:{script.port} for 0.2 seconds"):
        ToyTuner(script, patience=0.2).search()


@pytest.mark.usefixtures("worker_environment")
def test_a_supernet_is_not_searched_by_workers(tmp_path: Path) -> None:
    oracle = EvolutionOracle(space=SPACE)
    runner: Any = RoundRunner(None, None, ())  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match=r"Received: KERASTUNER_ORACLE_IP=127.0.0.1"):
        SupernetTuner(oracle, runner=runner, scorer=None, directory=tmp_path)  # type: ignore[arg-type]


def test_private_names_exist_in_keras_tuner() -> None:
    assert {"CreateTrial", "EndTrial"} <= vars(chief_worker.OracleServicer).keys()
    assert chief_worker.OracleServicer(None).stop_triggered is False
    assert chief_worker.protos.get_service().GetTrialRequest(trial_id="0").trial_id == "0"
    assert callable(chief_worker.protos.get_service_grpc().add_OracleServicer_to_server)
    assert {"has_chief_oracle", "is_chief_oracle"} <= vars(chief_worker.roles).keys()
    assert {"_configure_tensorboard_dir", "_is_worker"} <= set(dir(keras_tuner.Tuner))


def test_the_end_of_an_unknown_trial_is_the_workers_error(script: Script) -> None:
    """Such as of a worker that outlived a search that was overwritten."""
    servicer = chief_worker._Servicer(script.make_oracle())
    trial = keras_tuner.engine.trial.Trial(keras_tuner.HyperParameters(), "07", "INVALID")
    with pytest.raises(InvalidArgumentError, match="trial_id='07'"):
        servicer.EndTrial(chief_worker.protos.get_service().EndTrialRequest(trial=trial.to_proto()), None)
    assert servicer.error is None
