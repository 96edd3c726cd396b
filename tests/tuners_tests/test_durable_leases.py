from pathlib import Path
from typing import Any

import pytest
from keras_tuner.engine.trial import Trial

from automl_keras.errors import ProjectError
from automl_keras.tuners.leases import Leases, heartbeat_id
from tests.tuners_tests.durable_fixtures import finish, make


class TestLeases:
    @pytest.fixture
    def clock(self) -> list[float]:
        return [0.0]

    def start(self, folder: Path, clock: list[float]) -> Any:
        oracle = make(folder=folder, max_trials=2)
        oracle.leases = Leases(5.0, max_losses=2, clock=lambda: clock[0])
        return oracle

    def test_trial_of_a_silent_worker_is_repeated(self, tmp_path: Path, clock: list[float]) -> None:
        oracle = self.start(tmp_path, clock)
        lost = oracle.create_trial("a")
        oracle.get_trial(heartbeat_id("a"))
        finish(oracle, oracle.create_trial("b"))
        assert oracle.create_trial("b").status == "IDLE"
        clock[0] = 6.0
        repeated = oracle.create_trial("b")
        assert repeated.trial_id == lost.trial_id
        finish(oracle, repeated)
        lost.status = "INVALID"
        oracle.end_trial(lost)  # too late
        assert oracle.create_trial("b").status == "STOPPED"
        assert [trial.status for trial in oracle.trials.values()] == ["COMPLETED"] * 2
        assert sorted(oracle.end_order) == oracle.start_order
        assert not oracle.tuner_ids

    def test_result_of_a_worker_taken_for_dead_counts(self, tmp_path: Path, clock: list[float]) -> None:
        oracle = self.start(tmp_path, clock)
        late = oracle.create_trial("a")
        oracle.get_trial(heartbeat_id("a"))
        clock[0] = 6.0
        oracle.expire_leases()
        finish(oracle, late)
        assert oracle.end_order == [late.trial_id]
        assert oracle.create_trial("b").trial_id != late.trial_id

    def test_late_end_without_its_metrics_is_ignored(self, tmp_path: Path, clock: list[float]) -> None:
        """It reported, was taken for dead, and ends its trial when another one has begun it anew."""
        oracle = self.start(tmp_path, clock)
        late = oracle.create_trial("a")
        oracle.get_trial(heartbeat_id("a"))
        oracle.update_trial(late.trial_id, {"val_accuracy": 0.9})
        clock[0] = 6.0
        repeated = oracle.create_trial("b")
        oracle.end_trial(Trial(late.hyperparameters, late.trial_id, "COMPLETED"))
        assert (repeated.trial_id, repeated.status, oracle.end_order) == (late.trial_id, "RUNNING", [])
        finish(oracle, repeated, score=0.5)
        assert [trial.score for trial in oracle.trials.values()] == [0.5]

    def test_eviction_that_could_not_be_written(self, tmp_path: Path, clock: list[float]) -> None:
        oracle = self.start(tmp_path, clock)
        lost = oracle.create_trial("a")
        oracle.get_trial(heartbeat_id("a"))
        clock[0] = 6.0
        oracle._storage._connection.execute("PRAGMA query_only=1")
        with pytest.raises(ProjectError, match="recorded before is safe"):
            oracle.expire_leases()
        oracle._storage._connection.execute("PRAGMA query_only=0")
        assert oracle.create_trial("b").trial_id == lost.trial_id

    def test_trial_that_kills_its_workers_fails(self, tmp_path: Path, clock: list[float]) -> None:
        oracle = self.start(tmp_path, clock)
        for worker in "ab":
            assert oracle.create_trial(worker).trial_id == "0"
            oracle.get_trial(heartbeat_id(worker))
            clock[0] += 6.0
        assert oracle.create_trial("c").trial_id == "1"
        assert oracle.trials["0"].status == "FAILED"

    def test_restarted_chief_leaves_trials_to_live_workers(self, tmp_path: Path, clock: list[float]) -> None:
        oracle = self.start(tmp_path, clock)
        alive, silent = oracle.create_trial("a"), oracle.create_trial("b")
        oracle.get_trial(heartbeat_id("a"))
        oracle.update_trial(alive.trial_id, {"val_accuracy": 0.1})
        restarted = make(folder=tmp_path, max_trials=2)
        restarted.reload()
        assert restarted.create_trial("a").trial_id == alive.trial_id
        assert restarted.create_trial("c").trial_id == silent.trial_id
        assert restarted.tuner_ids == {"a", "c"}
        finish(restarted, alive)
        assert restarted.end_order == [alive.trial_id]
