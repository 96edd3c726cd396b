"""`RecordingOracle`: the half of `DurableOracle` that writes down what happens, and restores it."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine.metrics_tracking import infer_metric_direction
from keras_tuner.engine.trial import Trial, TrialStatus

from automl_keras.errors import ProjectError
from automl_keras.tuners.leases import Leases
from automl_keras.tuners.storage import STORAGE_FILE, Event, Storage, StorageReader

_STOCK_FILE = "oracle.json"


class RecordingOracle(keras_tuner.Oracle):
    """A `keras_tuner.Oracle` whose state is the sum of its events, each on disk before it changes anything.

    What happens live and what is read back goes the same way, through `_record`. The kinds of events:

    | kind | data | |
    |---|---|---|
    | "create" | tuner_id, values | a new trial; more that `populate_space` said of it |
    | "restart" | tuner_id | an unfinished trial is run again |
    | "update" | metrics, step | results of a trial |
    | "lost" | | its worker died; the trial waits to be repeated |
    | "end" | status, message, score, best_step, values | INVALID waits to be repeated; values only if they changed |
    | "space" | space | new hyperparameters |

    For arguments see `DurableOracle`.
    """

    trials: dict[str, Trial]
    ongoing_trials: dict[str, Trial]
    start_order: list[str]
    end_order: list[str]
    tuner_ids: set[str]
    _retry_queue: list[str]
    _run_times: dict[str, int]
    _tried_so_far: set[str | None]
    _id_to_hash: dict[str, str | None]

    def __init__(
        self, *, seed: int | None = None, hyperparameters: keras_tuner.HyperParameters | None = None, **settings: Any
    ) -> None:
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        super().__init__(
            # Keras-Tuner takes 0 for no seed and then draws from the global generator.
            seed=seed or 1,
            hyperparameters=None if hyperparameters is None else hyperparameters.copy(),
            **settings,
        )
        self.seed = self._seed_state = seed
        self.leases = Leases()
        self._lock = threading.RLock()
        self._folder: Path | None = None
        self._storage: Storage | None = None
        self._beginning: dict[str, Any] | None = None
        self._is_stale = False
        self._ended: dict[str, str] = {}  # the status of each trial that ended, whatever a late worker makes of it
        self._num_snapshot = 0
        self._facts: dict[str, str] = {}
        self._directions: dict[str, str] = {}

    def settings(self) -> dict[str, Any]:
        """What a search must have in common with the one it goes on with, as JSON."""
        return {
            "oracle": type(self).__qualname__,
            "objective": {"name": self.objective.name, "direction": self.objective.direction},
            "hyperparameters": self.hyperparameters.get_config()["space"],
        }

    def algorithm_state(self) -> dict[str, Any]:
        """What `populate_space` changes, as JSON; written at every event, so it must not grow with the trials."""
        return {"seed_state": self._seed_state}

    def set_algorithm_state(self, state: dict[str, Any]) -> None:
        """Restore from `algorithm_state`."""
        self._seed_state = state["seed_state"]

    def absorb(self, event: Event, *, is_replay: bool) -> None:
        """Called after every event; on resuming for those since the latest snapshot of `get_state`."""

    def get_state(self) -> dict[str, Any]:
        """Keras-Tuner's state as JSON, which no later trial changes."""
        return _copied(super().get_state())

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore from `get_state`."""
        super().set_state(_copied(state))
        self._ended = {trial_id: self.trials[trial_id].status for trial_id in self.end_order}

    def save(self) -> None:
        """Nothing is left to write: every event was written when it happened. Opens the project if need be."""
        with self._changing():
            pass

    def reload(self) -> None:
        """See `DurableOracle.reload`, also for the `ProjectError` that it raises."""
        with self._lock:
            if self._folder is None:
                return
            if self._storage is None:
                self._open(self._folder)
            assert self._storage is not None
            # Who was evicted by a call that failed holds its trial no more.
            alive = self.leases.workers if self._is_stale else ()
            workers = {worker: trial.trial_id for worker, trial in self.ongoing_trials.items() if worker in alive}
            self._restore(self._storage)
            if not self._is_stale:
                held = {worker: trial.trial_id for worker, trial in self.ongoing_trials.items()}
                self.leases.set_state(self._storage.fact("leases") or {"workers": [], "losses": {}}, held)
                self.tuner_ids = set(self.leases.workers)
                workers = self.leases.held
            for worker, trial in list(self.ongoing_trials.items()):
                if workers.get(worker) != trial.trial_id:
                    del self.ongoing_trials[worker]
                    self._retry_queue.append(trial.trial_id)
            self._is_stale = False

    def _begin_anew(self) -> None:
        """Forget all trials."""
        assert self._beginning is not None
        self.trials, self.ongoing_trials = {}, {}
        self.start_order, self.end_order, self._retry_queue, self._ended = [], [], [], {}
        self._run_times, self._id_to_hash, self._tried_so_far = defaultdict(int), defaultdict(lambda: None), set()
        self.hyperparameters = _hyperparameters(self._beginning["hyperparameters"])
        self.seed = self._beginning["seed"]
        self.set_algorithm_state(_copied(self._beginning["algorithm"]))

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """One call at a time, on the state that is on disk: one that failed halfway is forgotten."""
        with self._lock:
            if self._folder is not None and (self._storage is None or self._is_stale):
                self.reload()
            try:
                yield
            except BaseException:
                self._is_stale = self._storage is not None
                raise

    def _write(self, event: Event) -> None:
        """Write an event, then let it happen."""
        facts = {"algorithm": self.algorithm_state(), "leases": self.leases.get_state()}
        encoded = {name: json.dumps(value) for name, value in facts.items()}
        changed = {name: facts[name] for name in facts if encoded[name] != self._facts.get(name)}
        if self._storage is not None:
            [event] = self._storage.append([event], changed)
            self._facts.update({name: encoded[name] for name in changed})
        self._record(event)
        self.absorb(event, is_replay=False)
        # After ever more trials, so that all snapshots together cost as much as the log.
        if self._storage is not None and len(self.end_order) > 1.5 * self._num_snapshot:
            self._num_snapshot = len(self.end_order)
            self._storage.append(facts={"snapshot": {"after": event.number, "state": self.get_state()}})

    def _open(self, folder: Path) -> None:
        if (folder / _STOCK_FILE).exists() and not (folder / STORAGE_FILE).exists():
            raise ProjectError(
                f"The project was written by an oracle of Keras-Tuner; `overwrite=True` begins anew. Received: {folder}"
            )
        if self._beginning is None:
            if self.trials:
                raise ProjectError(
                    "An oracle must be given its project before its first trial. "
                    f"Received: {folder} after {len(self.trials)} trials"
                )
            beginning = {
                "hyperparameters": self.hyperparameters.get_config(),
                "settings": self.settings(),
                "algorithm": self.algorithm_state(),
                "seed": self.seed,
            }
            self._beginning = _copied(beginning)
        settings = self._beginning["settings"]
        if (folder / STORAGE_FILE).exists():
            reader = StorageReader(folder)
            begun = reader.fact("settings") or settings
            reader.close()
            different = [name for name in {**begun, **settings} if begun.get(name) != settings.get(name)]
            if different:
                raise ProjectError(
                    "A search is resumed with the settings it began with, "
                    f"{ {name: begun.get(name) for name in different} }; `overwrite=True` begins anew. "
                    f"Received: { {name: settings.get(name) for name in different} } for {folder}"
                )
        self._storage = Storage(folder)
        if self._storage.fact("settings") is None:
            begun = {"settings": settings, "seed": self.seed, "algorithm": self._beginning["algorithm"]}
            self._storage.append(facts=begun)

    def _restore(self, storage: Storage) -> None:
        assert self._beginning is not None
        self._beginning["seed"] = storage.fact("seed")
        events, snapshot = storage.events(), storage.fact("snapshot") or {"after": 0, "state": None}
        self._begin_anew()
        for event in events[: snapshot["after"]]:
            self._record(event)
        if snapshot["state"] is not None:
            trials = self.trials
            self._begin_anew()
            self.trials = trials
            self.set_state(snapshot["state"])
        self._num_snapshot = len(self.end_order)
        for event in events[snapshot["after"] :]:
            self._record(event)
            self.absorb(event, is_replay=True)
        algorithm = storage.fact("algorithm")
        if algorithm is not None:
            self.set_algorithm_state(algorithm)
        self._facts = {}

    def _record(self, event: Event) -> None:
        """Let an event happen."""
        data, trial_id = event.data, event.trial_id
        if trial_id is None:
            self.hyperparameters.merge(_hyperparameters({"space": data["space"], "values": {}}))
            return
        if event.kind == "create":
            self.trials[trial_id] = Trial(self._space_with(data["values"]), trial_id)
            self.start_order.append(trial_id)
            self._remember_values(self.trials[trial_id])
        trial = self.trials[trial_id]
        if event.kind in ("create", "restart"):
            self._begin(trial, data["tuner_id"])
        elif event.kind == "update":
            self._report(trial, data["metrics"], data["step"])
        elif event.kind == "lost":
            self._release(trial_id)
            trial.status = TrialStatus.INVALID
            self._retry_queue.append(trial_id)
        else:
            self._finish(trial, **data)

    def _begin(self, trial: Trial, tuner_id: str) -> None:
        if trial.trial_id in self._ended:
            del self._ended[trial.trial_id]
            self.end_order.remove(trial.trial_id)
        if trial.trial_id in self._retry_queue:
            self._retry_queue.remove(trial.trial_id)
        # The last run alone counts, not the mean of all.
        trial.metrics, trial.score, trial.message = type(trial.metrics)(), None, None
        trial.status = TrialStatus.RUNNING
        self.ongoing_trials[tuner_id] = trial

    def _report(self, trial: Trial, metrics: dict[str, float], step: int) -> None:
        for name, value in metrics.items():
            if not trial.metrics.exists(name):
                trial.metrics.register(name, self._direction(name))
            # Not `trial.metrics.update`, which looks for the best value twice.
            trial.metrics.metrics[name].update(value, step)

    def _finish(
        self,
        trial: Trial,
        status: str,
        message: str | None,
        score: float | None,
        best_step: int,
        values: dict[str, Any] | None = None,
    ) -> None:
        if values is not None:
            trial.hyperparameters = self._space_with(values)
            self._remember_values(trial)
        trial.status, trial.message, trial.score, trial.best_step = status, message, score, best_step
        self._run_times[trial.trial_id] += 1
        self._release(trial.trial_id)
        if trial.trial_id in self._retry_queue:
            self._retry_queue.remove(trial.trial_id)
        if status == TrialStatus.INVALID:
            self._retry_queue.append(trial.trial_id)
        else:
            self._ended[trial.trial_id] = status
            self.end_order.append(trial.trial_id)

    def _release(self, trial_id: str) -> None:
        for worker in [worker for worker, trial in self.ongoing_trials.items() if trial.trial_id == trial_id]:
            del self.ongoing_trials[worker]

    def _direction(self, metric: str) -> str:
        """The direction of a metric; Keras-Tuner looks for it in all of Keras, which takes longer than all else."""
        if metric == self.objective.name:
            return str(self.objective.direction)
        if metric not in self._directions:
            self._directions[metric] = infer_metric_direction(metric) or "min"
        return self._directions[metric]

    def _space_with(self, values: dict[str, Any]) -> keras_tuner.HyperParameters:
        """The space with other values; `HyperParameters.copy` would write and read every entry."""
        hp = keras_tuner.HyperParameters()
        hp.space.extend(self.hyperparameters.space)
        for entry in hp.space:
            hp._hps[entry.name].append(entry)  # private; a test sees that it exists
        hp.values = dict(values)
        return hp

    def _remember_values(self, trial: Trial) -> None:
        """Count the values of a trial as tried, in place of those it had before."""
        tried = self._compute_values_hash(trial.hyperparameters.values)
        before = self._id_to_hash[trial.trial_id]
        if before != tried:
            self._tried_so_far.discard(before)
        self._id_to_hash[trial.trial_id] = tried
        self._tried_so_far.add(tried)


def _copied(state: dict[str, Any]) -> dict[str, Any]:
    copied: dict[str, Any] = json.loads(json.dumps(state))
    return copied


def _hyperparameters(config: dict[str, Any]) -> keras_tuner.HyperParameters:
    return keras_tuner.HyperParameters.from_config(_copied(config))  # which changes what it is given
