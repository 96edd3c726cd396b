"""`DurableOracle`: Keras-Tuner's oracle on a `Storage`, with its defects repaired.

Underscore methods of `keras_tuner.Oracle` are overridden in this file alone.
"""

from __future__ import annotations

import math
import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from automl_keras.errors import InvalidArgumentError, SearchError
from automl_keras.tuners.leases import heartbeat_worker
from automl_keras.tuners.project_lock import LOCK_FILE, ProjectLock
from automl_keras.tuners.recording import RecordingOracle
from automl_keras.tuners.storage import Event

_SIDE_VALUES = "nas/"  # what trials tell tuners is no part of what is tried


class DurableOracle(RecordingOracle):
    """A `keras_tuner.Oracle` that loses nothing: every event is on disk before anybody learns of it.

    It is a base for oracles of your own, and gives Keras-Tuner's their durability by inheritance, see
    `automl_keras.tuners.stock`:

    ```python
    class HyperbandOracle(DurableOracle, keras_tuner.oracles.HyperbandOracle): ...
    ```

    Events are kept by a `Storage` in the project folder that a tuner gives it, or that `open_project` names; without
    either in memory alone. A search that was killed goes on by running the same program again: trials that were
    running are repeated first, those of workers that may still be alive are left to them (`Leases`). A folder of
    another search is refused, and one that another process is using.

    It differs from `keras_tuner.Oracle` in this, too:

    - An exception leaves no lock behind, no call warns, and an oracle that is not used any more takes no memory.
    - 0 is a seed, no global generator is drawn from, and a resumed search goes on drawing where it was.
    - A result that is not finite makes a trial invalid, a repeated trial is scored by its last run alone, the first
      end of a trial counts, and failed trials are never among the best.
    - The files `oracle.json` and `trial_*/trial.json` are not written.

    What a subclass computes in `populate_space` may depend on the trials, which are restored. What else it remembers
    belongs into `algorithm_state`, which is written at every event and must stay small, or into `get_state`,
    which is written now and then; in that case `absorb` makes up for the events since.

    Args:
        seed: A non-negative integer. `None` draws one, which the project then keeps.
        hyperparameters: See `keras_tuner.Oracle`; copied.
        **settings: The other arguments of `keras_tuner.Oracle`, by name.

    Attributes:
        leases: Which worker runs which trial.
    """

    def __init__(
        self, *, seed: int | None = None, hyperparameters: keras_tuner.HyperParameters | None = None, **settings: Any
    ) -> None:
        super().__init__(seed=seed, hyperparameters=hyperparameters, **settings)
        self._is_stopped = False

    def open_project(self, folder: str | Path) -> None:
        """Keep the search in a folder, and go on with the one that is there. A tuner does this by itself.

        Raises:
            ProjectError: As `reload`.
        """
        folder = Path(folder)
        self._set_project_dir(str(folder.parent), folder.name)
        self.reload()

    def reload(self) -> None:
        """Restore the search from its project folder. Trials that were running wait to be repeated.

        Those of workers that may still be alive (`leases`) are left to them.

        Raises:
            ProjectError: If the project is of another search, in use by another process, or cannot be read.
        """
        super().reload()
        if self._folder is not None:  # and the project is ours
            for path in self._folder.glob("*.json"):
                if path.stat().st_size < len("{}"):
                    path.write_text("{}")  # a tuner was killed while it wrote its file, which it reads after this

    def stop(self) -> None:
        """Serve no further trial, as when the time is up; what runs may still end."""
        self._is_stopped = True

    def create_trial(self, tuner_id: str) -> Trial:
        """As `keras_tuner.Oracle.create_trial`; IDLE instead of STOPPED while a worker with a trial may yet die.

        Raises:
            ProjectError: If the trial could not be recorded; then there is none.
        """
        with self._changing():
            self.leases.heard(tuner_id)
            self.expire_leases()
            if tuner_id in self.ongoing_trials:
                return self.ongoing_trials[tuner_id]
            self.tuner_ids.add(tuner_id)
            trial = self._serve(tuner_id)
            if trial.status == TrialStatus.RUNNING:
                self.leases.grant(tuner_id, trial.trial_id)
        if trial.status == TrialStatus.RUNNING:
            self._display.on_trial_begin(trial)
        return trial

    def update_trial(self, trial_id: str, metrics: dict[str, float], step: int = 0) -> Trial:
        """As `keras_tuner.Oracle.update_trial`; ignored if the trial has ended.

        Raises:
            InvalidArgumentError: If there is no such trial, or the metrics lack the objective.
            ProjectError: If the results could not be recorded.
        """
        with self._changing():
            trial = self._known(trial_id)
            for name in getattr(self.objective, "name_to_direction", [self.objective.name]):
                if name not in metrics:
                    raise InvalidArgumentError(f"`metrics` must have the objective {name!r}. Received: {metrics}")
            self.leases.renew(trial_id)
            if trial_id not in self._ended:
                values = {name: float(value) for name, value in metrics.items()}
                self._write(Event("update", trial_id, {"metrics": values, "step": step}))
            return trial

    def end_trial(self, trial: Trial) -> None:
        """As `keras_tuner.Oracle.end_trial`. The first end of a trial counts; later ones are ignored.

        Raises:
            InvalidArgumentError: If there is no such trial.
            SearchError: If too many trials failed in a row.
            ProjectError: If the end could not be recorded; then the trial is still running.
        """
        with self._changing():
            known = self._known(trial.trial_id)
            is_held = any(held.trial_id == trial.trial_id for held in self.ongoing_trials.values())
            # Who was taken for dead may yet bring a result, but its failure says nothing; nor does an end whose
            # metrics were forgotten when another worker began the trial anew.
            counts = is_held
            if trial.status == TrialStatus.COMPLETED:
                counts = known.metrics.exists(self.objective.name) or not self.leases.has_lost(trial.trial_id)
            if trial.trial_id in self._ended or not counts:
                unfinished = TrialStatus.RUNNING if is_held else TrialStatus.INVALID
                known.status = self._ended.get(trial.trial_id, unfinished)
                return
            self.update_space(trial.hyperparameters)
            self._write(self._end_event(known, trial))
            self.leases.release(known.trial_id)
        # Keras-Tuner's display knows no trials that began before a resume, or before it was switched on.
        if known.trial_id in self._display.trial_start:
            self._display.on_trial_end(known)
        self.check_failures(known)

    def check_failures(self, trial: Trial) -> None:
        """Called after the end of a trial, to raise if the search cannot go on.

        Raises:
            SearchError: If too many trials failed in a row.
        """
        if trial.status != TrialStatus.FAILED:
            return
        # Of the latest alone: those from before a resume must not stop it again.
        latest = [self.trials[trial_id] for trial_id in self.end_order[-self.max_consecutive_failed_trials :]]
        if len(latest) == self.max_consecutive_failed_trials and all(t.status == TrialStatus.FAILED for t in latest):
            raise SearchError(f"{len(latest)} trials failed in a row, the last one: {reason(latest[-1].message)}")

    def get_trial(self, trial_id: str) -> Trial:
        """As `keras_tuner.Oracle.get_trial`; `heartbeat_id(worker)` instead tells that a worker is alive.

        Raises:
            InvalidArgumentError: If there is no such trial.
        """
        worker = heartbeat_worker(trial_id)
        if worker is None:
            return self._known(trial_id)
        self.leases.beat(worker)
        return Trial(keras_tuner.HyperParameters(), trial_id)

    def expire_leases(self) -> None:
        """Take workers that were silent for too long for dead; their trials wait to be repeated, see `Leases`."""
        with self._changing():
            for eviction in self.leases.evict():
                self.tuner_ids.discard(eviction.worker)
                if eviction.trial_id is not None and eviction.is_final:
                    trial = self.trials[eviction.trial_id]
                    trial.status, trial.message = TrialStatus.FAILED, "WorkerLost: every worker that ran it died"
                    self._write(self._end_event(trial, trial))
                elif eviction.trial_id is not None:
                    self._write(Event("lost", eviction.trial_id, {}))

    def get_space(self) -> keras_tuner.HyperParameters:
        """As `keras_tuner.Oracle.get_space`."""
        with self._changing():
            return self._space_with(self.hyperparameters.values)

    def update_space(self, hyperparameters: keras_tuner.HyperParameters) -> None:
        """As `keras_tuner.Oracle.update_space`.

        Raises:
            SearchError: If there are new entries, and `allow_new_entries` is false.
        """
        with self._changing():
            known = self.hyperparameters
            added = [entry for entry in hyperparameters.space if not known._exists(entry.name, entry.conditions)]
            if added and not self.allow_new_entries:
                raise SearchError(f"With `allow_new_entries=False` a model must not declare more. Received: {added}")
            if added and self.tune_new_entries:
                entries = keras_tuner.HyperParameters()
                entries.space.extend(added)
                self._write(Event("space", None, {"space": entries.get_config()["space"]}))

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """The best trials that succeeded, best first; among equals the first that ended."""
        with self._changing():
            ended = [self.trials[trial_id] for trial_id in self.end_order]
        trials = [trial for trial in ended if trial.status == TrialStatus.COMPLETED]
        trials.sort(key=lambda trial: trial.score, reverse=self.objective.direction == "max")
        return trials[:num_trials]

    def remaining_trials(self) -> int | None:
        """How many trials may still be created, `None` without a limit."""
        with self._changing():
            return None if self.max_trials is None else self.max_trials - len(self.trials)

    def _serve(self, tuner_id: str) -> Trial:
        """The trial to repeat, the next one, or an empty one with the status IDLE or STOPPED."""
        if self._retry_queue and not self._is_stopped:
            trial_id = self._retry_queue[-1]
            self._write(Event("restart", trial_id, {"tuner_id": tuner_id}))
            return self.trials[trial_id]
        trial_id = f"{len(self.trials):0{len(str(self.max_trials))}d}"
        is_full = bool(self.max_trials) and len(self.trials) >= self.max_trials
        response = {"status": TrialStatus.STOPPED} if is_full or self._is_stopped else self.populate_space(trial_id)
        status, values = response.pop("status"), response.pop("values", None)
        if status == TrialStatus.RUNNING:
            hp = self._space_with(values or {})
            self._complete(hp)
            self._write(Event("create", trial_id, {"tuner_id": tuner_id, "values": hp.values, **response}))
            return self.trials[trial_id]
        if status == TrialStatus.STOPPED and not self._is_stopped and self.leases.watched:
            status = TrialStatus.IDLE
        if status == TrialStatus.STOPPED:
            self.tuner_ids.discard(tuner_id)
            self.leases.leave(tuner_id)
        return Trial(self._space_with({}), trial_id, status)

    def _known(self, trial_id: str) -> Trial:
        if trial_id not in self.trials:
            raise InvalidArgumentError(f"`trial_id` must be that of a trial. Received: trial_id={trial_id!r}")
        return self.trials[trial_id]

    def _end_event(self, known: Trial, reported: Trial) -> Event:
        """What the end of a trial comes to: its score, and whether it is to be repeated."""
        hp, status = reported.hyperparameters, reported.status
        known.status = status
        if status == TrialStatus.COMPLETED:
            self.score_trial(known)
            if not math.isfinite(known.score):
                status = TrialStatus.INVALID
        if status == TrialStatus.INVALID and self._run_times[known.trial_id] >= self.max_retries_per_trial:
            status = TrialStatus.FAILED
        score = float(known.score) if status == TrialStatus.COMPLETED else None
        data = {"status": status, "message": reported.message, "score": score, "best_step": known.best_step}
        self._complete(hp)
        if self._compute_values_hash(hp.values) != self._id_to_hash[known.trial_id]:
            data["values"] = dict(hp.values)
        return Event("end", known.trial_id, data)

    def _complete(self, hp: keras_tuner.HyperParameters) -> None:
        """Give every active hyperparameter a value, from the seed, and none to others.

        Keras-Tuner does so from the global generator, and also drops the value of a name that is declared in two
        scopes when the last one is inactive.
        """
        for entry in hp.space:
            if hp.is_active(entry):
                if entry.name not in hp.values:
                    hp.values[entry.name] = entry.random_sample(self._seed_state)
                    self._seed_state += 1
            elif not hp.is_active(entry.name):
                hp.values.pop(entry.name, None)

    def _set_project_dir(self, directory: str, project_name: str) -> None:
        super()._set_project_dir(directory, project_name)
        if self._storage is not None:
            self._storage.close()
        self._storage, self._is_stale = None, False
        self._folder = None if _is_worker() else Path(directory) / project_name
        # Before a tuner with `overwrite=True` deletes what another process is writing.
        if self._folder is not None and (self._folder / LOCK_FILE).exists():
            with suppress(sqlite3.Error):  # where nobody may write, opening the project says so
                ProjectLock.hold(self._folder)

    def _compute_values_hash(self, values: dict[str, Any]) -> str:
        own = {name: value for name, value in values.items() if not name.startswith(_SIDE_VALUES)}
        return str(super()._compute_values_hash(own))

    def _random_values(self) -> dict[str, Any] | None:
        # The same values as Keras-Tuner's, which copies every entry to draw them.
        for _ in range(self._max_collisions + 1):
            hp = keras_tuner.HyperParameters()
            for entry in self.hyperparameters.space:
                if hp.is_active(entry):
                    hp.values[entry.name] = entry.random_sample(self._seed_state)
                    self._seed_state += 1
            if not self._duplicate(hp.values):
                return hp.values
        return None


def reason(message: str | None) -> str:
    """Why a trial failed: the last line of the traceback that Keras-Tuner keeps."""
    lines = (message or "").strip().splitlines()
    return lines[-1] if lines else "it reported no finite objective"


def _is_worker() -> bool:
    """Whether this process is a worker of Keras-Tuner's chief/worker mode: there the chief alone has the project."""
    return "KERASTUNER_ORACLE_IP" in os.environ and "chief" not in os.environ.get("KERASTUNER_TUNER_ID", "")
