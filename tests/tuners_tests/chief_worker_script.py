"""The script that chief and workers run in the tests of chief and worker, and how its processes are started."""

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras_tuner

from automl_keras.search_space import Architecture
from automl_keras.testing import conditional_space, toy_score
from automl_keras.tuners import EvolutionOracle, PNASOracle, StrategyOracle
from automl_keras.tuners.durable_tuner import DurableTuner
from automl_keras.tuners.storage import STORAGE_FILE, StorageReader

ORACLES = {"evolution": EvolutionOracle, "pnas": PNASOracle}
SPACE = conditional_space()
LONGEST_WAIT = 60.0  # only a hanging test waits so long


@dataclass(frozen=True)
class Script:
    """What the user's script does; all processes run the same one.

    Attributes:
        holds: A worker waits in its trial until the file exists.
        kills: Trials that kill their worker.
        fails: Trials that raise an error.
        breaks_at: The oracle raises an error when it checks so many architectures.
    """

    directory: Path
    port: int
    oracle: str = "evolution"
    max_trials: int = 12
    lease: float = 60.0
    patience: float = 60.0
    stock_tuner: bool = False
    overwrite: bool = False
    holds: dict[str, str] = field(default_factory=dict)
    kills: tuple[str, ...] = ()
    fails: tuple[str, ...] = ()
    breaks_at: int | None = None

    @property
    def begun(self) -> list[tuple[str, str]]:
        """Worker and trial, in the order in which trials were begun."""
        log = self.directory / "begun.txt"
        return [tuple(line.split()) for line in log.read_text().splitlines()] if log.exists() else []  # type: ignore[misc]

    @property
    def events(self) -> set[tuple[str, str | None]]:
        """Kind and trial of what the chief has written down."""
        if not (self.directory / "search" / STORAGE_FILE).exists():
            return set()
        reader = StorageReader(self.directory / "search")
        events = {(event.kind, event.trial_id) for event in reader.events()}
        reader.close()
        return events

    @property
    def results(self) -> dict[str, Any]:
        """What the chief had in the end."""
        return dict(json.loads((self.directory / "results.json").read_text()))

    def error(self, tuner_id: str) -> str:
        return (self.directory / f"{tuner_id}.txt").read_text()

    def make_oracle(self) -> StrategyOracle:
        asked: list[int] = []

        def feasible(_: Architecture) -> bool:
            asked.append(1)
            if len(asked) == self.breaks_at:
                raise ZeroDivisionError("no cost")
            return True

        oracle = ORACLES[self.oracle](space=SPACE, max_trials=self.max_trials, feasible=feasible, seed=0)
        oracle.leases.seconds = self.lease
        return oracle

    def run_trial(self, tuner_id: str, trial: Any) -> dict[str, float]:
        with (self.directory / "begun.txt").open("a") as log:
            log.write(f"{tuner_id} {trial.trial_id}\n")
        if tuner_id in self.holds:
            wait_until((self.directory / self.holds[tuner_id]).exists)
        if trial.trial_id in self.kills:
            os.kill(os.getpid(), signal.SIGKILL)
        if trial.trial_id in self.fails:
            raise ValueError("planned")
        values = trial.hyperparameters.values
        architecture = SPACE.canonical(values)
        # gRPC adds the defaults of inactive hyperparameters; a stock tuner sees them.
        assert self.stock_tuner or values == architecture.to_dict()
        return {"val_accuracy": toy_score(architecture)}


class ToyTuner(DurableTuner):
    def __init__(self, script: Script, **settings: Any) -> None:
        self.script = script
        super().__init__(script.make_oracle(), directory=script.directory, project_name="search", **settings)

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        return self.script.run_trial(self.tuner_id, trial)


class StockTuner(keras_tuner.Tuner):
    def __init__(self, script: Script) -> None:
        self.script = script
        super().__init__(script.make_oracle(), directory=script.directory, project_name="search")

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        return self.script.run_trial(self.tuner_id, trial)


def run(script: Script, tuner_id: str) -> None:
    """The main program of every process."""
    os.environ.update(
        KERASTUNER_TUNER_ID=tuner_id, KERASTUNER_ORACLE_IP="127.0.0.1", KERASTUNER_ORACLE_PORT=str(script.port)
    )
    try:
        if script.stock_tuner:
            tuner: Any = StockTuner(script)
        else:
            tuner = ToyTuner(script, patience=script.patience, overwrite=script.overwrite)
        tuner.search(verbose=0)
    except Exception as error:
        (script.directory / f"{tuner_id}.txt").write_text(f"{type(error).__name__}: {error}")
        sys.exit(1)
    if "chief" in tuner_id:
        trials = {
            trial.trial_id: {
                "status": trial.status,
                "values": trial.hyperparameters.values,
                "score": trial.score,
                "message": trial.message,
            }
            for trial in tuner.oracle.trials.values()
        }
        (script.directory / "results.json").write_text(
            json.dumps({"end_order": tuner.oracle.end_order, "trials": trials})
        )


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + LONGEST_WAIT
    while not condition():
        assert time.monotonic() < deadline, "waited for too long"
        time.sleep(0.01)


def kill(process: Any) -> None:
    process.kill()
    process.join()


class Processes:
    """Starts them, forked from one that has imported what they need, and ends those that a failed test left."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__])
        self._all: list[Any] = []

    def start(self, script: Script, *tuner_ids: str) -> list[Any]:
        started = [self._context.Process(target=run, args=(script, tuner_id)) for tuner_id in tuner_ids]
        for process in started:
            process.start()
        self._all += started
        return started

    def end(self) -> None:
        for process in self._all:
            kill(process)


def ended(*processes: Any) -> list[int]:
    """The exit codes, once all have ended by themselves."""
    for process in processes:
        process.join(LONGEST_WAIT)
    return [process.exitcode for process in processes]
