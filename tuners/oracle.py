"""`StrategyOracle`: any strategy as a Keras-Tuner oracle, and repairs of `keras_tuner.Oracle`.

This is the one file that overrides underscore methods of `keras_tuner.Oracle`.
"""

from __future__ import annotations

import copy
import math
import threading
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from automl_keras.errors import InvalidArgumentError, SearchError
from automl_keras.evaluation import Cost, Evaluation
from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.tuners.strategy import Strategy

PHASE = "nas/phase"
ROUND = "nas/round"
GENERATION = "nas/generation"
_SIDE_VALUES = "nas/"


class StrategyOracle(keras_tuner.Oracle):
    """Serves the proposals of a strategy as Keras-Tuner trials, and tells it their results.

    It works in any `keras_tuner.Tuner`. Hyperparameters that are no decisions of the strategy's
    space keep their defaults.

    ```python
    oracle = StrategyOracle(EvolutionStrategy(space, seed=0), max_trials=100)
    tuner = keras_tuner.Tuner(oracle, space.hypermodel(info), directory="search")
    tuner.search(x, y, validation_data=(x_val, y_val))
    ```

    With `rounds` it serves two kinds of trials, for a tuner that shares weights. What a trial is
    travels in `trial.hyperparameters.values`:

    - round `k` of 1 to `rounds`: `{"nas/phase": "train", "nas/round": k, "nas/generation": k}`;
      it trains the supernet from generation `k - 1` to `k`. Other workers are kept waiting.
    - after the last round, one evaluation per architecture:
      `{"nas/phase": "eval", "nas/generation": rounds, **architecture}`.

    Without rounds a trial holds the architecture and nothing else.

    A trial that ends well is told to the strategy as an `Evaluation`: metrics named like a field
    of `Cost` become its cost. One that fails, or whose objective is not finite, is told as
    failed once Keras-Tuner has given up on it. A search resumed by Keras-Tuner (`overwrite=False`)
    first repeats the trials that were running, then goes on with the same proposals.

    Args:
        strategy: Proposes. Its objective and its seed are the oracle's.
        max_trials: How many architectures to evaluate; rounds of training do not count. The
            attribute `max_trials` is Keras-Tuner's: it includes the rounds. `None` stops when
            the space is exhausted.
        rounds: Number of rounds of supernet training before the evaluations.
        follow_hypermodel: The space is what the hypermodel declares, whatever the strategy was made
            with: it grows as soon as a model declares a new hyperparameter (`Strategy.extend`).
        hyperparameters: More hyperparameters, none of them a decision of the space. With
            `follow_hypermodel`: hyperparameters to start from, all of them decisions.
        allow_new_entries: See `keras_tuner.Oracle`.
        tune_new_entries: See `keras_tuner.Oracle`.
        max_retries_per_trial: See `keras_tuner.Oracle`.
        max_consecutive_failed_trials: After so many failed trials in a row the search stops with
            a `SearchError`.

    Raises:
        InvalidArgumentError: If `hyperparameters` has a decision of the space, a hyperparameter to
            follow has no grid, or `rounds` or `max_trials` is out of range.
    """

    def __init__(
        self,
        strategy: Strategy,
        max_trials: int | None = None,
        *,
        rounds: int = 0,
        follow_hypermodel: bool = False,
        hyperparameters: keras_tuner.HyperParameters | None = None,
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
    ) -> None:
        if max_trials is not None and max_trials < 1:
            raise InvalidArgumentError(f"`max_trials` must be at least 1 or None. Received: max_trials={max_trials}")
        if rounds < 0:
            raise InvalidArgumentError(f"`rounds` must not be negative. Received: rounds={rounds}")
        super().__init__(
            objective=keras_tuner.Objective(strategy.objective, strategy.direction),
            max_trials=None if max_trials is None else max_trials + rounds,
            hyperparameters=_joined(None if follow_hypermodel else strategy, hyperparameters),
            allow_new_entries=allow_new_entries,
            tune_new_entries=tune_new_entries,
            # Keras-Tuner takes 0 for no seed and then draws from the global generator.
            seed=strategy.seed or 1,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
        )
        self.seed = strategy.seed
        self.strategy = strategy
        self.rounds = rounds
        self.follow_hypermodel = follow_hypermodel
        self._follow()
        self._told: set[str] = set()
        self._lock = threading.RLock()
        self._error: Exception | None = None
        self._is_stopped = False
        self._retry_queue: list[str]

    def create_trial(self, tuner_id: str) -> Trial:
        """As `keras_tuner.Oracle.create_trial`; an exception of the strategy leaves no lock behind."""
        with self._lock:
            trial = super().create_trial(tuner_id)
            self._raise_deferred()
            return trial

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The next round of training, or the next proposal; IDLE while either waits for a running trial."""
        try:
            return self._next_trial()
        except Exception as error:
            # Keras-Tuner holds a lock that an exception would never release: `create_trial` raises it.
            self._error = error
            return {"status": TrialStatus.STOPPED}

    def update_trial(self, trial_id: str, metrics: dict[str, float], step: int = 0) -> Trial:
        """As `keras_tuner.Oracle.update_trial`; bad results are refused before its lock is taken, and leave it free.

        Raises:
            InvalidArgumentError: If there is no such trial, or the metrics lack the objective.
        """
        if trial_id not in self.trials:
            raise InvalidArgumentError(f"`trial_id` must be that of a trial. Received: trial_id={trial_id!r}")
        name = self.objective.name
        if name not in metrics:
            raise InvalidArgumentError(f"`metrics` must have the objective {name!r}. Received: metrics={metrics}")
        return super().update_trial(trial_id, metrics, step)

    def update_space(self, hyperparameters: keras_tuner.HyperParameters) -> None:
        """As `keras_tuner.Oracle.update_space`; the strategy's space grows with it if it follows the hypermodel."""
        with self._lock:
            super().update_space(hyperparameters)
            self._follow()

    def stop(self) -> None:
        """Serve no further trial, as when the time is up; what runs may still end."""
        self._is_stopped = True

    def end_trial(self, trial: Trial) -> None:
        """As `keras_tuner.Oracle.end_trial`, then tells the strategy.

        Raises:
            SearchError: If too many trials failed in a row, or a round of training failed.
        """
        with self._lock:
            super().end_trial(trial)
            self._tell_ended()
            self._raise_deferred()

    def score_trial(self, trial: Trial) -> None:
        """As `keras_tuner.Oracle.score_trial`; an infinite objective is no score either."""
        super().score_trial(trial)
        if not math.isfinite(trial.score):
            trial.score = math.nan  # Keras-Tuner makes such a trial invalid

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """The best evaluations that succeeded; rounds of training and failed trials never win.

        Among equals the first that ended is better, as in `Strategy.best`.
        """
        # Not `self.trials.values()`: a resumed search holds them in the order of the file system.
        ended = [self.trials[trial_id] for trial_id in self.end_order]
        trials = [trial for trial in ended if trial.status == TrialStatus.COMPLETED and not _is_round(trial)]
        trials.sort(key=lambda trial: trial.score, reverse=self.objective.direction == "max")
        return trials[:num_trials]

    def remaining_trials(self) -> int | None:
        """How many architectures may still be evaluated, `None` without a limit."""
        if self.max_trials is None:
            return None
        return self.max_trials - self.rounds - sum(not _is_round(trial) for trial in self.trials.values())

    def get_state(self) -> dict[str, Any]:
        """Keras-Tuner's state and the strategy's, which no later trial changes."""
        state = copy.deepcopy(super().get_state())
        return {**state, "strategy": self.strategy.get_state(), "told": sorted(self._told)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore from `get_state`."""
        super().set_state(state)
        self._follow()
        self.strategy.set_state(state["strategy"])
        self._told = set(state["told"])

    def reload(self) -> None:
        """As `keras_tuner.Oracle.reload`, and repairs what a kill between two writes leaves behind."""
        super().reload()
        # Killed after a trial was written and before the oracle was: the same proposal will come again.
        for trial_id in self.trials.keys() - set(self.start_order):
            del self.trials[trial_id]
        # Killed after the end of a trial was written: Keras-Tuner takes it for still running.
        self._retry_queue = [trial_id for trial_id in self._retry_queue if trial_id not in self.end_order]
        # Nothing can be evaluated without the rounds, so a failed one is repeated.
        for trial_id in [i for i in self.end_order if _is_failed_round(self.trials[i])]:
            self.end_order.remove(trial_id)
            self._told.discard(trial_id)
            self._retry_queue.append(trial_id)
        self._tell_ended()

    def _follow(self) -> None:
        if self.follow_hypermodel:
            declared = SearchSpace.from_hyperparameters(self.hyperparameters)
            if declared != self.strategy.space:
                self.strategy.extend(declared)

    def _next_trial(self) -> dict[str, Any]:
        if self._is_stopped:
            return {"status": TrialStatus.STOPPED}
        trained = [trial for trial in self.trials.values() if _is_round(trial)]
        if any(_is_failed_round(trial) for trial in trained):
            return {"status": TrialStatus.STOPPED}
        if any(trial.status != TrialStatus.COMPLETED for trial in trained):
            return {"status": TrialStatus.IDLE}
        if len(trained) < self.rounds:
            number = len(trained) + 1
            return {
                "status": TrialStatus.RUNNING,
                "values": {PHASE: "train", ROUND: number, GENERATION: number},
            }
        proposals = self.strategy.ask()
        if not proposals:
            # A running trial may yet have to be repeated, so its worker's colleagues stay.
            return {"status": TrialStatus.IDLE if self.ongoing_trials else TrialStatus.STOPPED}
        values = self._with_defaults(proposals[0].to_dict())
        if self.rounds:
            values.update({PHASE: "eval", GENERATION: self.rounds})
        return {"status": TrialStatus.RUNNING, "values": values}

    def _with_defaults(self, values: dict[str, Any]) -> dict[str, Any]:
        """Add the defaults of other hyperparameters, which Keras-Tuner would draw without a seed."""
        hp = self.hyperparameters.copy()
        hp.values = values
        for entry in hp.space:
            if entry.name not in hp.values and hp.is_active(entry):
                hp.values[entry.name] = entry.default
        return hp.values

    def _tell_ended(self) -> None:
        for trial_id in self.end_order:
            if trial_id in self._told:
                continue
            self._told.add(trial_id)
            trial = self.trials[trial_id]
            if not _is_round(trial):
                self.strategy.tell([self.evaluation(trial)])
            elif trial.status == TrialStatus.FAILED:
                number = trial.hyperparameters.values[ROUND]
                self._error = SearchError(f"Round {number} of supernet training failed: {_reason(trial)}")

    def architecture(self, trial: Trial) -> Architecture:
        """The architecture that a trial evaluates."""
        values, space = trial.hyperparameters.values, self.strategy.space
        return space.canonical({name: values[name] for name in space.names if name in values})

    def evaluation(self, trial: Trial) -> Evaluation:
        """What an ended trial tells the strategy."""
        values = trial.hyperparameters.values
        reported = {name: float(trial.metrics.get_last_value(name)) for name in trial.metrics.metrics}
        metrics = {name: value for name, value in reported.items() if name not in Cost.names()}
        completed = trial.status == TrialStatus.COMPLETED
        if completed:
            metrics[self.objective.name] = float(trial.score)
        return Evaluation(
            architecture=self.architecture(trial),
            metrics=metrics,
            cost=Cost.from_metrics(reported),
            source="shared_weights" if PHASE in values else "standalone",
            generation=values.get(GENERATION, 0),
            error=None if completed else _reason(trial),
        )

    def ended_evaluations(self) -> list[Evaluation]:
        """The evaluations of all trials that ended, failed ones among them, in the order they ended."""
        trials = [self.trials[trial_id] for trial_id in self.end_order]
        return [self.evaluation(trial) for trial in trials if not _is_round(trial)]

    def _raise_deferred(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _check_consecutive_failures(self) -> None:
        # Keras-Tuner raises here, with its lock held and the trial not yet saved; and it counts failures from
        # before a resume over again, so that a resumed search could never pass them.
        latest = [self.trials[trial_id] for trial_id in self.end_order[-self.max_consecutive_failed_trials :]]
        if len(latest) == self.max_consecutive_failed_trials and all(t.status == TrialStatus.FAILED for t in latest):
            self._error = SearchError(f"{len(latest)} trials failed in a row, the last one: {_reason(latest[-1])}")

    def _compute_values_hash(self, values: dict[str, Any]) -> str:
        own = {name: value for name, value in values.items() if not name.startswith(_SIDE_VALUES)}
        return str(super()._compute_values_hash(own))

    def _record_values(self, trial: Trial) -> None:
        # Keras-Tuner would fill in an architecture, and take it for tried.
        if _is_round(trial):
            return
        hp = trial.hyperparameters
        values = dict(hp.values)
        super()._record_values(trial)
        # Keras-Tuner drops the value of a name that is declared in two scopes when the last one is inactive.
        hp.values.update({name: value for name, value in values.items() if hp.is_active(name)})


def _joined(
    strategy: Strategy | None, others: keras_tuner.HyperParameters | None
) -> keras_tuner.HyperParameters | None:
    """A copy of the caller's hyperparameters, with the decisions of the strategy's space if there is one."""
    if strategy is None:
        return None if others is None else others.copy()
    hyperparameters = strategy.space.to_hyperparameters()
    if others is not None:
        repeated = [entry.name for entry in others.space if entry.name in strategy.space.names]
        if repeated:
            raise InvalidArgumentError(
                "`hyperparameters` must not hold decisions of the space; use `space.restrict` to fix them. "
                f"Received: {repeated}"
            )
        hyperparameters.merge(others)
    return hyperparameters


def _is_round(trial: Trial) -> bool:
    return trial.hyperparameters.values.get(PHASE) == "train"


def _is_failed_round(trial: Trial) -> bool:
    return _is_round(trial) and trial.status == TrialStatus.FAILED


def _reason(trial: Trial) -> str:
    """The last line of the traceback that Keras-Tuner keeps."""
    lines = (trial.message or "").strip().splitlines()
    return lines[-1] if lines else "it reported no finite objective"
