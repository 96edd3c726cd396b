"""A search that is killed at any moment goes on as if nothing had happened."""

import functools
import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl_keras.data import Dataset, DatasetInfo
from automl_keras.search_space import image_space
from automl_keras.supernet import Round, SubnetScorer, SupernetTrainer, make_supernet
from automl_keras.testing import flat_space, toy_score
from automl_keras.training import recipe_space
from automl_keras.tuners import (
    ENASOracle,
    EvolutionOracle,
    EvolutionStrategy,
    HAQOracle,
    PNASOracle,
    RoundRunner,
    StrategyOracle,
    SupernetTuner,
)
from automl_keras.tuners.project import Project
from automl_keras.tuners.storage import STORAGE_FILE, StorageReader

NUM_TRIALS = 60
ORACLES: dict[str, Callable[[], StrategyOracle]] = {
    "evolution": partial(EvolutionOracle, population_size=10, sample_size=4),
    "pnas": partial(PNASOracle, beam_size=6, refit_every=20, max_candidates=200),
    "enas": partial(ENASOracle, preset="few_trials"),
    "haq": partial(HAQOracle, hidden_size=4, batch_size=8, noise_decay=0.7),  # soon plays from memory
}
Trials = list[tuple[str, dict[str, Any], float | None]]


def make_oracle(name: str, folder: Path) -> StrategyOracle:
    oracle = ORACLES[name](space=flat_space(), max_trials=NUM_TRIALS, seed=5, max_retries_per_trial=1)
    oracle.verbose = 0
    oracle.open_project(folder)
    return oracle


def search(oracle: StrategyOracle) -> Trials:
    """All trials of a search that does no work; every seventh fails once."""
    while (trial := oracle.create_trial("tuner0")).status != "STOPPED":
        score = toy_score(trial.hyperparameters.values)
        if int(trial.trial_id) % 7 == 3 and oracle.get_state()["run_times"].get(trial.trial_id, 0) == 0:
            trial.status, trial.message = "INVALID", "ValueError: planned"
        else:
            oracle.update_trial(trial.trial_id, {"val_accuracy": score, "params": 3.0})
            trial.status = "COMPLETED"
        oracle.end_trial(trial)
    assert oracle.end_order == oracle.start_order
    return [(t.trial_id, t.hyperparameters.values, t.score) for t in oracle.trials.values()]


def killed(work: Callable[[int], Any], after: float | None = None) -> bool:
    """Run a function in a forked child; whether it was killed.

    Args:
        work: Is given a pipe, to write to once a search is open.
        after: Seconds from then on to the kill; `None` leaves it to the child.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work(write)
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as pipe:
        pipe.read(1)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Trials, float]]:
    """The trials of whole searches, and how many seconds they take."""

    @functools.cache
    def run(name: str) -> tuple[Trials, float]:
        oracle, start = make_oracle(name, tmp_path_factory.mktemp(name)), time.monotonic()
        return search(oracle), time.monotonic() - start

    return run


def search_in_child(name: str, folder: Path, opened: int) -> None:
    oracle = make_oracle(name, folder)
    os.write(opened, b".")
    search(oracle)


def check(name: str, folder: Path, expected: Trials) -> None:
    """The log of a killed search has nothing twice, and the search ends as if it had not been killed."""
    assert search(make_oracle(name, folder)) == expected
    events = StorageReader(folder).events()
    ended = [e.trial_id for e in events if e.kind == "end" and e.data["status"] != "INVALID"]
    created = [e.trial_id for e in events if e.kind == "create"]
    assert created == ended == [trial_id for trial_id, _, _ in expected]


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("kills", [2, pytest.param(40, marks=pytest.mark.slow)])
def test_killed_at_random_moments(
    name: str, kills: int, tmp_path: Path, uninterrupted: Callable[[str], tuple[Trials, float]]
) -> None:
    """Whole searches are killed again and again until they are done."""
    (expected, seconds), rng = uninterrupted(name), np.random.default_rng(kills)
    num_killed = number = 0
    while num_killed < kills:
        folder = tmp_path / str(number)
        while num_killed < kills and killed(partial(search_in_child, name, folder), rng.uniform(0.0, 0.6 * seconds)):
            num_killed += 1
        check(name, folder, expected)
        number += 1


class Killing(sqlite3.Connection):
    """A connection on which the process dies before its n-th statement."""

    left = 0

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        Killing.left -= 1
        if Killing.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().execute(sql, *arguments)


def search_and_die(name: str, folder: Path, statements: int, opened: int) -> None:
    Killing.left, connect = statements, sqlite3.connect
    sqlite3.connect = partial(connect, factory=Killing)  # in a child of its own
    search_in_child(name, folder, opened)


# The first are those that open a new project: locks, pragmas, tables. Then some 14 for each trial.
@pytest.mark.parametrize(
    "statements",
    [[3, 8, 13, 17, 24, 102, 233], pytest.param([*range(1, 100), *range(100, 400, 11)], marks=pytest.mark.slow)],
    ids=["few", "many"],
)
def test_killed_between_two_statements(
    statements: list[int], tmp_path: Path, uninterrupted: Callable[[str], tuple[Trials, float]]
) -> None:
    """In the middle of a transaction and of the making of the file, too."""
    expected, _ = uninterrupted("evolution")
    for number in statements:
        folder = tmp_path / str(number)
        assert killed(partial(search_and_die, "evolution", folder, number))
        assert killed(partial(search_and_die, "evolution", folder, number))  # and again while it is restored
        check("evolution", folder, expected)


def make_supernet_tuner(folder: Path) -> SupernetTuner:
    space = image_space((8, 8, 1), 2)
    sizes = {f"stage{s}_width": (8, 16) for s in range(3)} | {f"stage{s}_depth": (1,) for s in range(3)}
    kinds = {f"stage{s}_operation": ("residual",) for s in range(3)} | {f"stage{s}_kernel": (3, 5) for s in range(3)}
    space = space.restrict(sizes | kinds)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, 64).astype(np.int32)
    images = rng.integers(0, 100, (64, 8, 8, 1)).astype(np.uint8)
    images[codes == 1, :, :4] += 150
    supernet = make_supernet(
        space, DatasetInfo((8, 8, 1), "uint8", (100.0,), (50.0,), (0.0, 255.0), (0, 1), 64, 64), seed=0
    )
    return SupernetTuner(
        StrategyOracle(EvolutionStrategy(space, seed=0, population_size=3, sample_size=2), max_trials=30, rounds=2),
        runner=RoundRunner(
            SupernetTrainer(supernet, recipe_space().default(), batch_size=16),
            Dataset(images, codes),
            (Round("largest", epochs=2), Round("sandwich", epochs=2)),
        ),
        scorer=SubnetScorer(supernet, images, images, codes),
        directory=str(folder),
        project_name="search",
    )


def search_supernet(folder: str) -> None:
    make_supernet_tuner(Path(folder)).search(verbose=0)


@pytest.mark.slow
def test_supernet_search_killed_ten_times(tmp_path: Path) -> None:
    """Real training: the same trials and, on the same machine with the same number of threads, the same scores."""
    context = multiprocessing.get_context("spawn")

    def run(folder: Path, kill_after: int | None) -> bool:
        """Search in a process of its own, killed a little after so many further events are on the disk."""
        child = context.Process(target=search_supernet, args=(str(folder),))
        child.start()
        before = num_events(folder)
        while child.is_alive():
            if kill_after is not None and num_events(folder) >= before + kill_after:
                time.sleep(0.02 * kill_after)
                child.kill()
            child.join(timeout=0.01)
        return child.exitcode == -signal.SIGKILL

    def num_events(folder: Path) -> int:
        return len(StorageReader(folder / "search").events()) if (folder / "search" / STORAGE_FILE).exists() else 0

    def trials(folder: Path) -> list[tuple[str, dict[str, Any], float | None, dict[str, float]]]:
        records = Project(folder / "search").trials
        return [(r.trial_id, dict(r.values), r.score, dict(r.metrics)) for r in records]

    assert not run(tmp_path / "whole", None)
    expected = trials(tmp_path / "whole")
    assert len(expected) == 32
    kills = [run(tmp_path / "killed", number) for number in (1, 2, 3, 1, 2, 3, 1, 2, 3, 1)]
    assert all(kills)
    assert not run(tmp_path / "killed", None)
    assert trials(tmp_path / "killed") == expected
