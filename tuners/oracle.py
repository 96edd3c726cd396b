"""`StrategyOracle`: any strategy as a Keras-Tuner oracle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from automl_keras.errors import InvalidArgumentError, SearchError
from automl_keras.evaluation import Cost, Evaluation
from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.tuners.durable_oracle import DurableOracle, reason
from automl_keras.tuners.storage import Event
from automl_keras.tuners.strategy import Strategy

PHASE = "nas/phase"
ROUND = "nas/round"
STAGE = "nas/stage"
GENERATION = "nas/generation"
_ASKED = "asked"


class StrategyOracle(DurableOracle):
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

    - round `k` of 1 to `rounds`: `{"nas/phase": "train", "nas/round": k, "nas/generation": k}`, and
      "nas/stage" if `stages` are given; it trains the supernet from generation `k - 1` to `k`. Other workers wait.
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
        stages: What each round is for, in words; as many as rounds, or none.
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
        stages: Sequence[str] = (),
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
        if stages and len(stages) != rounds:
            raise InvalidArgumentError(
                f"`stages` must be as many as `rounds`. Received: rounds={rounds}, stages={tuple(stages)}"
            )
        super().__init__(
            objective=keras_tuner.Objective(strategy.objective, strategy.direction),
            max_trials=None if max_trials is None else max_trials + rounds,
            hyperparameters=_joined(None if follow_hypermodel else strategy, hyperparameters),
            allow_new_entries=allow_new_entries,
            tune_new_entries=tune_new_entries,
            seed=strategy.seed,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
        )
        self.strategy = strategy
        self.rounds = rounds
        self.stages = tuple(stages)
        self.follow_hypermodel = follow_hypermodel
        self._follow()
        self._initial: tuple[SearchSpace, dict[str, Any]] | None = None

    def settings(self) -> dict[str, Any]:
        """See `DurableOracle`; the arguments of the strategy count, its seed does not."""
        return {**super().settings(), "strategy": self.strategy.describe(), "rounds": self.rounds}

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """The next round of training, or the next proposal; IDLE while either waits for a running trial."""
        rounds = [self.trials[round_id] for round_id in self.start_order[: self.rounds]]
        if any(trial.status == TrialStatus.FAILED for trial in rounds):
            return {"status": TrialStatus.STOPPED}
        if any(trial.status != TrialStatus.COMPLETED for trial in rounds):
            return {"status": TrialStatus.IDLE}
        if len(rounds) < self.rounds:
            number = len(rounds) + 1
            values: dict[str, Any] = {PHASE: "train", ROUND: number, GENERATION: number}
            if self.stages:
                values[STAGE] = self.stages[number - 1]
            return {"status": TrialStatus.RUNNING, "values": values}
        proposals = self.strategy.ask()
        if not proposals:
            # A running trial may yet have to be repeated, so its worker's colleagues stay.
            return {"status": TrialStatus.IDLE if self.ongoing_trials else TrialStatus.STOPPED}
        values = self._with_defaults(proposals[0].to_dict())
        if self.rounds:
            values.update({PHASE: "eval", GENERATION: self.rounds})
        return {"status": TrialStatus.RUNNING, "values": values, _ASKED: True}

    def absorb(self, event: Event, *, is_replay: bool) -> None:
        """Let the strategy know; what it proposed it knows already unless this is a replay."""
        if event.trial_id is None:
            self._follow()
            return
        trial = self.trials[event.trial_id]
        if event.kind == "create" and event.data.get(_ASKED) and is_replay:
            self.strategy.note_asked(self.architecture(trial))
        if event.kind == "end" and trial.trial_id in self._ended and not _is_round(trial):
            self.strategy.tell([self.evaluation(trial)])

    def check_failures(self, trial: Trial) -> None:
        """See `DurableOracle`.

        Raises:
            SearchError: If too many trials failed in a row, or a round of training failed.
        """
        if _is_failed_round(trial):
            number = trial.hyperparameters.values[ROUND]
            raise SearchError(f"Round {number} of supernet training failed: {reason(trial.message)}")
        super().check_failures(trial)

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """The best evaluations that succeeded; rounds of training and failed trials never win.

        Among equals the first that ended is better, as in `Strategy.best`.
        """
        trials = super().get_best_trials(num_trials + self.rounds)
        return [trial for trial in trials if not _is_round(trial)][:num_trials]

    def remaining_trials(self) -> int | None:
        """How many architectures may still be evaluated, `None` without a limit."""
        remaining = super().remaining_trials()
        return None if remaining is None else remaining - max(self.rounds - len(self.trials), 0)

    def get_state(self) -> dict[str, Any]:
        """Keras-Tuner's state and the strategy's, which no later trial changes."""
        return {**super().get_state(), "strategy": self.strategy.get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore from `get_state`."""
        super().set_state(state)
        self._follow()
        self.strategy.set_state(state["strategy"])

    def reload(self) -> None:
        """See `DurableOracle`. Nothing can be evaluated without the rounds, so a failed one is repeated."""
        super().reload()
        for trial_id in self.start_order[: self.rounds]:
            if _is_failed_round(self.trials[trial_id]):
                self._retry_queue.append(trial_id)

    def _begin_anew(self) -> None:
        super()._begin_anew()
        if self._initial is None:
            self._initial = self.strategy.space, self.strategy.get_state()
        self.strategy.space, state = self._initial
        self.strategy.set_state({**state, "seed": self.seed})

    def _follow(self) -> None:
        if self.follow_hypermodel:
            declared = SearchSpace.from_hyperparameters(self.hyperparameters)
            if declared != self.strategy.space:
                self.strategy.extend(declared)

    def _with_defaults(self, values: dict[str, Any]) -> dict[str, Any]:
        """Add the defaults of other hyperparameters, which Keras-Tuner would draw without a seed."""
        hp = self._space_with(values)
        for entry in hp.space:
            if entry.name not in hp.values and hp.is_active(entry):
                hp.values[entry.name] = entry.default
        return hp.values

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
            error=None if completed else reason(trial.message),
        )

    def ended_evaluations(self) -> list[Evaluation]:
        """The evaluations of all trials that ended, failed ones among them, in the order they ended."""
        trials = [self.trials[trial_id] for trial_id in self.end_order]
        return [self.evaluation(trial) for trial in trials if not _is_round(trial)]

    def _complete(self, hp: keras_tuner.HyperParameters) -> None:
        if hp.values.get(PHASE) != "train":  # a round has no architecture
            super()._complete(hp)

    def _remember_values(self, trial: Trial) -> None:
        if not _is_round(trial):
            super()._remember_values(trial)


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
