"""What is repaired in Keras-Tuner; each test also sees that the stock class has the defect."""

import gc
import os
import random
import shutil
import warnings
import weakref
from pathlib import Path
from typing import Any

import keras_tuner
import pytest
from keras_tuner.engine.base_tuner import BaseTuner

from automl_keras.errors import InvalidArgumentError, ProjectError, SearchError
from automl_keras.testing import flat_space, toy_score
from automl_keras.tuners import EvolutionOracle, RandomSearchOracle
from automl_keras.tuners.durable_oracle import DurableOracle
from automl_keras.tuners.storage import STORAGE_FILE, StorageReader
from tests.tuners_tests.durable_fixtures import OBJECTIVE, RANDOM, answers, both, finish, make, values_of


class TestRepairs:
    @both
    @pytest.mark.parametrize("where", ["populate_space", "score_trial"])
    def test_lock_after_an_exception(self, kind: str, where: str, tmp_path: Path) -> None:
        class Raising(RANDOM[kind]):  # type: ignore[misc]
            def populate_space(self, trial_id: str) -> Any:
                if where == "populate_space" and trial_id == "01":
                    raise ZeroDivisionError("planned")
                return super().populate_space(trial_id)

            def score_trial(self, trial: Any) -> None:
                if where == "score_trial":
                    raise ZeroDivisionError("planned")
                super().score_trial(trial)

        oracle = Raising(objective=OBJECTIVE, max_trials=10, hyperparameters=flat_space().to_hyperparameters(), seed=1)
        BaseTuner(oracle, directory=tmp_path)
        oracle.verbose = 0
        trial = oracle.create_trial("a")
        with pytest.raises(ZeroDivisionError):
            oracle.create_trial("b") if where == "populate_space" else finish(oracle, trial)
        is_free = answers(lambda: oracle.get_trial("00") and oracle.update_trial("00", {"val_accuracy": 0.5}), 0.5)
        assert is_free == (kind == "durable")

    @both
    def test_seed_zero(self, kind: str) -> None:
        before = random.getstate()
        assert (make(kind, seed=0).seed == 0) == (kind == "durable")
        assert (random.getstate() == before) == (kind == "durable")

    @both
    def test_learnt_only_what_is_finite(self, kind: str, tmp_path: Path) -> None:
        told: list[float] = []

        class Learning(RANDOM[kind]):  # type: ignore[misc]
            if kind == "durable":

                def absorb(self, event: Any, *, is_replay: bool) -> None:
                    if event.kind == "end" and event.data["status"] == "COMPLETED":
                        told.append(event.data["score"])
            else:

                def score_trial(self, trial: Any) -> None:
                    super().score_trial(trial)
                    told.append(trial.score)

        oracle = Learning(objective=OBJECTIVE, max_trials=3, hyperparameters=flat_space().to_hyperparameters(), seed=1)
        BaseTuner(oracle, directory=tmp_path)
        oracle.verbose = 0
        for score in (0.5, float("nan"), 0.25):
            finish(oracle, oracle.create_trial("a"), score=score)
        assert (told == [0.5, 0.25]) == (kind == "durable")
        assert [t.status for t in oracle.trials.values()] == ["COMPLETED", "FAILED", "COMPLETED"]

    @both
    def test_infinite_is_no_score(self, kind: str, tmp_path: Path) -> None:
        oracle = make(kind, tmp_path)
        finish(oracle, oracle.create_trial("a"), score=float("inf"))
        assert (oracle.get_best_trials() == []) == (kind == "durable")

    @both
    def test_overwriting_in_another_process(self, kind: str, tmp_path: Path) -> None:
        """As a worker that comes late does: the project of a running search is deleted."""
        oracle = make(kind, tmp_path)
        finish(oracle, oracle.create_trial("a"))
        shutil.rmtree(tmp_path)
        (tmp_path / "search").mkdir(parents=True)
        finish(oracle, oracle.create_trial("a"))
        oracle.save()
        resumed = make(kind)
        resumed._set_project_dir(str(tmp_path), "search")
        try:
            resumed.reload()
            found = len(resumed.trials)
        except KeyError:  # a trial that was begun is not there
            found = 0
        assert (found == 2) == (kind == "durable")

    @both
    def test_another_process_is_kept_from_overwriting(self, kind: str, tmp_path: Path) -> None:
        oracle = make(kind, tmp_path)
        finish(oracle, oracle.create_trial("a"))
        child = os.fork()
        if child == 0:
            code = 1
            try:
                BaseTuner(make(kind), directory=tmp_path, project_name="search", overwrite=True)
                code = 0
            except ProjectError:
                code = 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == (2 if kind == "durable" else 0)
        assert (tmp_path / "search").exists() == (kind == "durable")

    @both
    def test_no_call_warns(self, kind: str, tmp_path: Path) -> None:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            oracle = make(kind, tmp_path)
            finish(oracle, oracle.create_trial("a"))
        assert (not caught) == (kind == "durable")

    @both
    def test_oracles_are_freed(self, kind: str, tmp_path: Path) -> None:
        oracle = make(kind, tmp_path)
        finish(oracle, oracle.create_trial("a"))
        reference = weakref.ref(oracle)
        del oracle
        gc.collect()
        assert (reference() is None) == (kind == "durable")

    @both
    def test_repeated_trial_counts_with_its_last_run(self, kind: str, tmp_path: Path) -> None:
        oracle = make(kind, tmp_path, max_retries_per_trial=1)
        finish(oracle, oracle.create_trial("a"), "INVALID", score=0.9)
        finish(oracle, oracle.create_trial("a"), score=0.5)
        assert (oracle.trials["00"].score == 0.5) == (kind == "durable")

    @both
    def test_ended_twice(self, kind: str, tmp_path: Path) -> None:
        oracle = make(kind, tmp_path)
        trial = oracle.create_trial("a")
        finish(oracle, trial, score=0.5)
        finish(oracle, trial, score=0.9)
        assert ((oracle.end_order, oracle.trials["00"].score) == (["00"], 0.5)) == (kind == "durable")


def test_private_names_exist_in_keras_tuner() -> None:
    """Everything that `durable_oracle.py` and `recording.py` override or use."""
    oracle = keras_tuner.Oracle(OBJECTIVE, seed=1)
    overridden = {name for name in vars(DurableOracle) if name.startswith("_") and hasattr(keras_tuner.Oracle, name)}
    own = {"__init__", "__doc__", "__module__"}
    assert overridden - own == {"_compute_values_hash", "_random_values", "_set_project_dir"}
    attributes = ("_id_to_hash", "_max_collisions", "_retry_queue", "_run_times", "_seed_state", "_tried_so_far")
    for name in (*attributes, "_duplicate", "_display", "ongoing_trials", "tuner_ids"):
        assert hasattr(oracle, name)
    assert {"trial_start", "verbose"} <= vars(oracle._display).keys()
    hp = keras_tuner.HyperParameters()
    hp.Choice("a", [1, 2])
    assert [*hp._hps] == ["a"] and hp._exists("a", [])
    bayesian = keras_tuner.oracles.BayesianOptimizationOracle(OBJECTIVE, seed=1)
    assert hasattr(bayesian, "_random_state") and hasattr(bayesian, "_make_gpr")
    hyperband = keras_tuner.oracles.HyperbandOracle(OBJECTIVE, seed=1)
    assert {"_brackets", "_current_bracket", "_current_iteration"} <= vars(hyperband).keys()


class TestProjects:
    def test_without_a_project_it_works_in_memory(self, tmp_path: Path) -> None:
        oracle = EvolutionOracle(space=flat_space(), max_trials=5, seed=0)
        oracle.verbose = 0
        while (trial := oracle.create_trial("a")).status != "STOPPED":
            finish(oracle, trial)
        assert len(oracle.strategy.evaluations) == 5
        with pytest.raises(ProjectError, match="before its first trial"):
            oracle.open_project(tmp_path / "late")
        assert not any(tmp_path.iterdir())

    def test_killed_before_the_first_trial_ended(self, tmp_path: Path) -> None:
        """Keras-Tuner has written nothing then, and would begin anew."""
        first = make(folder=tmp_path).create_trial("a")
        resumed = make(folder=tmp_path)
        assert resumed.create_trial("b").hyperparameters.values == first.hyperparameters.values
        assert len(resumed.trials) == 1

    def test_waiting_to_be_repeated_survives(self, tmp_path: Path) -> None:
        settings: dict[str, Any] = {"folder": tmp_path, "max_retries_per_trial": 1}
        oracle = make(**settings)
        finish(oracle, oracle.create_trial("a"))
        failed = oracle.create_trial("a")
        finish(oracle, failed, "INVALID")
        for _ in range(2):
            resumed = make(**settings)
            assert resumed.create_trial("b").trial_id == failed.trial_id
        finish(resumed, failed, "INVALID")
        assert [trial.status for trial in resumed.trials.values()] == ["COMPLETED", "FAILED"]

    def test_killed_before_the_first_event(self, tmp_path: Path) -> None:
        """The seed that the project keeps is the one that is drawn from."""
        make(folder=tmp_path, seed=3).save()
        trials = [make(seed=3).create_trial("a"), make(folder=tmp_path, seed=7).create_trial("a")]
        assert trials[0].hyperparameters.values == trials[1].hyperparameters.values

    def test_failures_before_a_resume_do_not_stop_a_retry(self, tmp_path: Path) -> None:
        settings: dict[str, Any] = {"folder": tmp_path, "max_retries_per_trial": 1}
        oracle = make(**settings)
        with pytest.raises(SearchError, match="3 trials failed in a row"):
            for _ in range(3):
                finish(oracle, oracle.create_trial("a"), "FAILED")
        resumed = make(**settings)
        finish(resumed, resumed.create_trial("a"), "INVALID")
        finish(resumed, resumed.create_trial("a"))
        assert resumed.trials["03"].status == "COMPLETED"

    def test_files_in_a_refused_folder_are_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "oracle.json").write_text("{}")
        (tmp_path / "notes.json").touch()
        with pytest.raises(ProjectError, match="written by an oracle of Keras-Tuner"):
            make().open_project(tmp_path)
        assert (tmp_path / "notes.json").read_text() == ""

    def test_of_keras_tuner_is_refused(self, tmp_path: Path) -> None:
        oracle = make("stock", tmp_path)
        finish(oracle, oracle.create_trial("a"))
        BaseTuner(oracle, directory=tmp_path, project_name="search").save()
        with pytest.raises(ProjectError, match=r"written by an oracle of Keras-Tuner.*overwrite=True"):
            make(folder=tmp_path).create_trial("a")
        assert not (tmp_path / "search" / STORAGE_FILE).exists()

    @pytest.mark.parametrize(
        ("other", "names"),
        [
            ({"objective": keras_tuner.Objective("loss", "min")}, "objective"),
            ({"space": flat_space(3)}, "hyperparameters"),
            ({"population_size": 9}, "strategy"),
            ({"rounds": 1}, "rounds"),
            (None, "oracle"),
        ],
    )
    def test_of_another_search_is_refused(self, other: dict[str, Any] | None, names: str, tmp_path: Path) -> None:
        oracle = EvolutionOracle(space=flat_space(), max_trials=5, seed=0)
        oracle.verbose = 0
        oracle.open_project(tmp_path)
        finish(oracle, oracle.create_trial("a"))
        if other is None:
            refused: Any = RandomSearchOracle(space=flat_space(), max_trials=5, seed=0)
        else:
            refused = EvolutionOracle(**{"space": flat_space(), "max_trials": 5, "seed": 0, **other})
        with pytest.raises(ProjectError, match=rf"settings it began with, {{'.*{names}'.*Received"):
            refused.open_project(tmp_path)
        finish(oracle, oracle.create_trial("a"))  # nothing happened to the search that is there
        assert len(StorageReader(tmp_path).events()) == 6

    def test_seed_and_number_of_trials_may_differ(self, tmp_path: Path) -> None:
        for number in (3, 7):
            oracle = make(folder=tmp_path, max_trials=number, seed=number)
            while (trial := oracle.create_trial("a")).status != "STOPPED":
                finish(oracle, trial)
        whole = make(folder=tmp_path / "whole", max_trials=7, seed=3)
        while (trial := whole.create_trial("a")).status != "STOPPED":
            finish(whole, trial)
        assert values_of(oracle) == values_of(whole)

    def test_failed_write_changes_nothing(self, tmp_path: Path) -> None:
        """The search goes on in the same process, as if the call had not been made."""
        oracles = [
            EvolutionOracle(space=flat_space(), max_trials=12, seed=0, population_size=4, sample_size=2) for _ in "ab"
        ]
        for oracle, name in zip(oracles, "ab", strict=True):
            oracle.verbose = 0
            oracle.open_project(tmp_path / name)
        broken, whole = oracles
        connection = broken._storage._connection
        for number in range(12):
            connection.execute("PRAGMA query_only=1")  # as on a disk that became full
            with pytest.raises(ProjectError, match="recorded before is safe"):
                broken.create_trial("a")
            connection.execute("PRAGMA query_only=0")
            trial = broken.create_trial("a")
            broken.update_trial(trial.trial_id, {"val_accuracy": toy_score(trial.hyperparameters.values)})
            trial.status = "COMPLETED"
            connection.execute("PRAGMA query_only=1")
            with pytest.raises(ProjectError, match="recorded before is safe"):
                broken.end_trial(trial)
            connection.execute("PRAGMA query_only=0")
            broken.end_trial(trial)
            finish(whole, whole.create_trial("a"))
            assert values_of(broken) == values_of(whole), number
        assert broken.strategy.get_state() == whole.strategy.get_state()
        assert broken.end_order == broken.start_order

    def test_new_entries_not_allowed(self, tmp_path: Path) -> None:
        oracle = make(folder=tmp_path, allow_new_entries=False)
        trial = oracle.create_trial("a")
        trial.hyperparameters.Choice("more", [1, 2])
        with pytest.raises(SearchError, match="allow_new_entries=False"):
            finish(oracle, trial)
        assert oracle.create_trial("b").status == "RUNNING"

    def test_unknown_trial(self) -> None:
        with pytest.raises(InvalidArgumentError, match="trial_id='7'"):
            make().get_trial("7")
