"""The toys run in Ray workers, which cannot import tests: they are pickled by value."""

import ipaddress
import os
import re
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf

from automl_keras.data import Dataset, DatasetInfo
from automl_keras.errors import InvalidArgumentError, InvalidTypeError, MissingDependencyError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Decision, SearchSpace, image_space
from automl_keras.supernet import Round, SubnetScorer, SupernetTrainer, make_supernet
from automl_keras.testing import flat_space
from automl_keras.training import recipe_space
from automl_keras.tuners import (
    EvolutionOracle,
    RandomSearchOracle,
    RandomStrategy,
    RoundRunner,
    StrategyOracle,
    SupernetTuner,
)
from automl_keras.tuners.ray_search import search_on_ray
from automl_keras.tuners.ray_session import ray_session
from tests.tuners_tests.listening import listeners, process_tree

PAGE = Path(__file__).resolve().parents[2] / "docs" / "distributed.md"
SPACE = flat_space(num_decisions=5, num_options=3)


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    """One Ray for all tests: what is initialised is used, and stays."""
    with ray_session("local", 2, 1, 0, 1):
        import ray

        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        yield


class ToyTuner(keras_tuner.Tuner):
    """The score is the sum of the options."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        return float(sum(trial.hyperparameters.values[name] for name in SPACE.names))


class Flawed(ToyTuner):
    """Says by the option of `d0` how a trial ends."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        kind = trial.hyperparameters.values["d0"]
        with Path(self.project_dir, "runs").open("a") as runs:
            runs.write(f"{kind}\n")
        num_runs = Path(self.project_dir, "runs").read_text().splitlines().count(kind)
        if kind == "always dies" or (kind == "dies once" and num_runs == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "exits":
            sys.exit(1)
        if kind == "raises":
            raise ValueError("planned")
        return {"good": 0.5, "dies once": 0.25}[kind]


def make(oracle: keras_tuner.Oracle, directory: Path, cls: type[keras_tuner.Tuner] = ToyTuner) -> keras_tuner.Tuner:
    tuner = cls(oracle, directory=directory, project_name="search")
    oracle.verbose = 0
    return tuner


def scores(tuner: keras_tuner.Tuner) -> dict[str, float]:
    return {str(sorted(t.hyperparameters.values.items())): t.score for t in tuner.oracle.trials.values()}


def kinds_oracle(*kinds: str, **settings: Any) -> keras_tuner.Oracle:
    space = SearchSpace([Decision("d0", kinds)])
    return RandomSearchOracle(space=space, max_trials=None, max_consecutive_failed_trials=100, seed=0, **settings)


def by_kind(tuner: keras_tuner.Tuner) -> dict[str, Any]:
    return {trial.hyperparameters.values["d0"]: trial for trial in tuner.oracle.trials.values()}


def test_nothing_listens_beyond_loopback() -> None:
    found = listeners(*process_tree(os.getpid()))
    assert len(found) >= 5
    assert all(ipaddress.ip_address(address).is_loopback for address, _ in found)


def test_a_listener_on_all_interfaces_would_be_found() -> None:
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        with socket.create_server((address, 0), family=family):
            assert address in {found for found, _ in listeners(os.getpid())}


def test_same_trials_and_scores_as_serial(tmp_path: Path) -> None:
    tuners = [make(RandomSearchOracle(space=SPACE, max_trials=20, seed=0), tmp_path / name) for name in ("1", "2")]
    tuners[0].search()
    search_on_ray(tuners[1], num_workers=2)
    assert len(scores(tuners[0])) == 20
    assert scores(tuners[1]) == scores(tuners[0])
    best = [tuner.oracle.get_best_trials()[0].score for tuner in tuners]
    assert best[0] == best[1]


def test_evolution_is_as_good_as_serial(tmp_path: Path) -> None:
    """The optimum is 10; alone and with two at once it misses it in 1 of 30 searches, by 1. Random search finds 9."""
    oracle = EvolutionOracle(space=SPACE, max_trials=80, seed=0, population_size=10, sample_size=5)
    tuner = make(oracle, tmp_path)
    search_on_ray(tuner, num_workers=2)
    assert len(tuner.oracle.end_order) == 80
    assert oracle.get_best_trials()[0].score >= 9


def runs_of(tuner: keras_tuner.Tuner) -> dict[str, int]:
    return dict(Counter(Path(tuner.project_dir, "runs").read_text().split("\n")[:-1]))


def test_failed_trials_are_told_and_never_win(tmp_path: Path) -> None:
    """A worker that dies once costs nothing but time."""
    tuner = make(kinds_oracle("good", "raises", "dies once"), tmp_path, Flawed)
    search_on_ray(tuner, num_workers=2, max_retries=1)
    trials = by_kind(tuner)
    expected = {"good": "COMPLETED", "raises": "FAILED", "dies once": "COMPLETED"}
    assert {kind: trial.status for kind, trial in trials.items()} == expected
    assert "ValueError: planned" in trials["raises"].message
    assert runs_of(tuner) == {"good": 1, "raises": 1, "dies once": 2}
    assert [trial.score for trial in tuner.oracle.get_best_trials(5)] == [0.5, 0.25]


@pytest.mark.slow
def test_trials_that_end_their_worker_each_time_fail(tmp_path: Path) -> None:
    tuner = make(kinds_oracle("good", "always dies", "exits"), tmp_path, Flawed)
    search_on_ray(tuner, num_workers=2, max_retries=1)
    trials = by_kind(tuner)
    expected = {"good": "COMPLETED", "always dies": "FAILED", "exits": "FAILED"}
    assert {kind: trial.status for kind, trial in trials.items()} == expected
    assert all("WorkerCrashedError" in trials[kind].message for kind in ("always dies", "exits"))
    assert runs_of(tuner) == {"good": 1, "always dies": 2, "exits": 2}
    assert [trial.score for trial in tuner.oracle.get_best_trials(5)] == [0.5]


def test_keras_tuner_repeats_what_it_is_told_to_repeat(tmp_path: Path) -> None:
    tuner = make(kinds_oracle("good", "raises", max_retries_per_trial=2), tmp_path, Flawed)
    search_on_ray(tuner, num_workers=2)
    assert by_kind(tuner)["raises"].status == "FAILED"
    assert runs_of(tuner) == {"good": 1, "raises": 3}


class Patient(RandomSearchOracle):
    """Serves one trial at a time, and counts how often it is asked."""

    asked = 0

    def create_trial(self, tuner_id: str) -> Any:
        self.asked += 1
        return super().create_trial(tuner_id)

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        return {"status": "IDLE"} if self.ongoing_trials else super().populate_space(trial_id)


def test_idle_is_not_asked_again_before_a_trial_ends(tmp_path: Path) -> None:
    oracle = Patient(space=SPACE, max_trials=5, seed=0)
    search_on_ray(make(oracle, tmp_path), num_workers=2)
    assert len(oracle.end_order) == 5
    assert oracle.asked <= 2 * 5 + 2


class Small(keras_tuner.HyperModel):
    """Declares a hyperparameter only where another one asks for it."""

    def build(self, hp: Any) -> keras.Model:
        layers = [keras.layers.Input((4,))]
        if hp.Boolean("deep", default=True):
            layers.append(keras.layers.Dense(hp.Int("units", 2, 4), activation="relu"))
        model = keras.Sequential([*layers, keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model


def test_models_of_workers_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a relative directory too."""
    monkeypatch.chdir(tmp_path)
    x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(16, 4)
    y = x.sum(axis=1)
    tuner = keras_tuner.Tuner(RandomSearchOracle("val_loss", max_trials=1, seed=0), Small(), directory="relative")
    search_on_ray(tuner, x, y, validation_data=(x, y), epochs=2, verbose=0, num_workers=1)
    [trial] = tuner.oracle.get_best_trials()
    assert trial.best_step == 1
    assert tuner.get_best_models()[0].evaluate(x, y, verbose=0) == pytest.approx(trial.score)


class Reporting(keras_tuner.Tuner):
    """Reports by itself, as Keras-Tuner still allows, after each of two epochs."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> None:
        for step in range(2):
            self.oracle.update_trial(trial.trial_id, {"val_accuracy": 0.5 + step}, step=step)


def test_trials_may_report_themselves(tmp_path: Path) -> None:
    tuner = make(RandomSearchOracle(space=SPACE, max_trials=1, seed=0), tmp_path, Reporting)
    search_on_ray(tuner, num_workers=1)
    [trial] = tuner.oracle.trials.values()
    assert (trial.status, trial.score, trial.best_step) == ("COMPLETED", 1.5, 1)


class Curious(keras_tuner.Tuner):
    """Reports what it sees of its arguments and of its process."""

    def run_trial(self, trial: Any, x: np.ndarray, *, scale: float) -> Any:
        return {
            "val_accuracy": scale * x.sum(),
            "writeable": float(x.flags.writeable),
            "threads": float(os.environ["TF_NUM_INTRAOP_THREADS"]),
            "numpy": np.random.random(),  # noqa: NPY002
            "keras": float(keras.random.uniform(())),
            "calls": float(len(self.__dict__.setdefault("calls", [])) or self.calls.append(1) or 0),
        }


def test_trials_share_arrays_and_nothing_else(tmp_path: Path) -> None:
    """What is drawn depends on the seed and the trial, not on what the worker ran before."""
    seen = []
    for name, seed in (("1", 0), ("2", 0), ("3", 1)):
        tuner = make(RandomSearchOracle(space=SPACE, max_trials=2, seed=seed), tmp_path / name, Curious)
        search_on_ray(tuner, np.ones(1_000_000), scale=0.5, num_workers=1)
        for trial in tuner.oracle.trials.values():
            seen.append({name: trial.metrics.get_last_value(name) for name in trial.metrics.metrics})
    shared = {"val_accuracy": 500_000.0, "writeable": 0.0, "threads": 1.0, "calls": 0.0}
    assert all({**metrics, **shared} == metrics for metrics in seen)
    assert seen[0:2] == seen[2:4]
    assert len({metrics["keras"] for metrics in seen}) == len({metrics["numpy"] for metrics in seen}) == 4


class Hopeless(keras_tuner.Tuner):
    """Returns what no trial may return."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        return None


def test_errors_that_are_no_trials_fault_end_the_search(tmp_path: Path) -> None:
    tuner = make(RandomSearchOracle(space=SPACE, max_trials=5, seed=0), tmp_path, Hopeless)
    with pytest.raises(keras_tuner.errors.FatalTypeError, match="forget to return"):
        search_on_ray(tuner, num_workers=1)
    assert len(tuner.oracle.trials) == 1


class Stuck(keras_tuner.Tuner):
    """One trial ends the search once another has begun, which would go on for a minute."""

    def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> Any:
        began, cancelled = Path(self.project_dir, "began"), Path(self.project_dir, "cancelled")
        if trial.trial_id == "0":
            while not began.exists():
                time.sleep(0.01)
            return None
        began.touch()
        try:
            for _ in range(6000):  # a call into C is not interrupted; a training is many of them
                time.sleep(0.01)
        except KeyboardInterrupt:
            cancelled.touch()
            raise
        return 0.0


def test_what_runs_is_cancelled_when_the_search_ends(tmp_path: Path) -> None:
    """With a Ray that stays; its worker stays too, and is free for the next search."""
    tuner = make(RandomSearchOracle(space=SPACE, max_trials=5, seed=0), tmp_path, Stuck)
    with pytest.raises(keras_tuner.errors.FatalTypeError):
        search_on_ray(tuner, num_workers=2)
    deadline = time.monotonic() + 30.0
    while not Path(tuner.project_dir, "cancelled").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    again = make(RandomSearchOracle(space=SPACE, max_trials=4, seed=0), tmp_path / "again")
    search_on_ray(again, num_workers=2)
    assert len(again.oracle.end_order) == 4


def test_what_cannot_be_sent_is_refused(tmp_path: Path) -> None:
    tuner = make(RandomSearchOracle(space=SPACE, max_trials=5, seed=0), tmp_path)
    with pytest.raises(InvalidTypeError, match=r"tf\.data\.Dataset"):
        search_on_ray(tuner, tf.data.Dataset.range(3), num_workers=1)


@pytest.mark.parametrize(
    "arguments", [{"num_workers": 0}, {"num_cpus": -1}, {"num_gpus": -1}, {"max_retries": -1}, {"num_gpus": 1}]
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, arguments: dict[str, int]) -> None:
    tuner = make(RandomSearchOracle(space=SPACE, max_trials=5, seed=0), tmp_path)
    with pytest.raises(InvalidArgumentError, match=next(iter(arguments))):
        search_on_ray(tuner, **arguments)


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"automl-keras\[ray\]"):
        search_on_ray(make(RandomSearchOracle(space=SPACE, max_trials=5), tmp_path))


def supernet_tuner(directory: Path, seen: list[Evaluation]) -> SupernetTuner:
    space = image_space((8, 8, 1), 2)
    sizes = {f"stage{s}_width": (8, 16) for s in range(3)} | {f"stage{s}_depth": (1,) for s in range(3)}
    kinds = {f"stage{s}_operation": ("residual",) for s in range(3)} | {f"stage{s}_kernel": (3,) for s in range(3)}
    space = space.restrict(sizes | kinds)
    codes = np.arange(64, dtype=np.int32) % 2
    images = np.random.default_rng(0).integers(0, 100, (64, 8, 8, 1)).astype(np.uint8)
    images[codes == 1, :, :4] += 60
    info = DatasetInfo((8, 8, 1), "uint8", (100.0,), (50.0,), (0.0, 255.0), (0, 1), 64, 64)
    supernet = make_supernet(space, info, seed=0)
    oracle = StrategyOracle(RandomStrategy(space, seed=0), max_trials=6, rounds=2)
    oracle.verbose = 0
    return SupernetTuner(
        oracle,
        runner=RoundRunner(
            SupernetTrainer(supernet, recipe_space().default(), batch_size=16),
            Dataset(images, codes),
            (Round("largest", epochs=1), Round("sandwich", epochs=1)),
        ),
        scorer=SubnetScorer(supernet, images, images, codes),
        on_evaluation=seen.append,
        directory=str(directory),
    )


@pytest.mark.slow
def test_supernet_search_equals_serial(tmp_path: Path) -> None:
    """Rounds, evaluations and what is reported of them; also when a second search goes on."""
    serial: list[Evaluation] = []
    supernet_tuner(tmp_path / "serial", serial).search()
    seen: list[Evaluation] = []
    tuner = supernet_tuner(tmp_path / "ray", seen)
    tuner.oracle.max_trials = 2 + 3
    search_on_ray(tuner, num_workers=2)
    assert len(seen) == 3
    tuner = supernet_tuner(tmp_path / "ray", seen)
    search_on_ray(tuner, num_workers=2)
    assert len(seen) == len(serial) == 6
    assert all(evaluation.source == "shared_weights" and evaluation.generation == 2 for evaluation in seen)
    assert all(evaluation.seconds > 0 and evaluation.cost.params for evaluation in seen)
    expected = {evaluation.architecture: evaluation.metrics["val_accuracy"] for evaluation in serial}
    # Sums of floats depend on the number of threads, so an image on the edge may change sides.
    found = {evaluation.architecture: evaluation.metrics["val_accuracy"] for evaluation in seen}
    assert found == pytest.approx(expected, abs=1 / 64)
    assert len(set(expected.values())) > 1


@pytest.mark.slow
def test_failed_evaluation_is_told(tmp_path: Path) -> None:
    seen: list[Evaluation] = []
    tuner = supernet_tuner(tmp_path, seen)
    train = tuner.runner.train
    tuner.scorer = UnevenScorer(tuner.scorer.supernet, train.images, train.images, train.codes)
    search_on_ray(tuner, num_workers=2)
    widths = [evaluation.architecture["stage0_width"] for evaluation in seen]
    assert [evaluation.error is not None for evaluation in seen] == [width == 16 for width in widths]
    assert len(set(widths)) == 2
    assert all("planned" in evaluation.error for evaluation in seen if evaluation.error)


class UnevenScorer(SubnetScorer):
    """Cannot score wide networks."""

    def score(self, architecture: Any) -> float:
        if architecture["stage0_width"] == 16:
            raise ValueError("planned")
        return super().score(architecture)


@pytest.mark.slow
def test_the_code_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    on_ray, as_chief = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    exec(on_ray, {"__name__": "__main__"})
    assert 'directory="/shared' in as_chief  # needs such a folder, and goes on from the names of the first
