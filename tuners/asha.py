"""ASHA: many architectures trained for a few epochs, the best of them for more, nobody ever waiting."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import keras
import keras_tuner
from keras_tuner.engine.trial import Trial, TrialStatus

from automl_keras.errors import InvalidArgumentError, InvalidTypeError
from automl_keras.search_space import Architecture, Option, SearchSpace
from automl_keras.tuners.durable_tuner import DurableTuner
from automl_keras.tuners.named_oracle import NamedOracle
from automl_keras.tuners.random_search import RandomStrategy
from automl_keras.tuners.strategy import Objective

# The names under which Keras-Tuner's Hyperband tells a tuner what to train.
EPOCHS = "tuner/epochs"
INITIAL_EPOCH = "tuner/initial_epoch"
PARENT = "tuner/trial_id"


@dataclass(frozen=True)
class SuccessiveHalving:
    """Who may be promoted: asynchronous successive halving (Li et al., MLSys 2020, algorithm 2).

    What is trained for `epochs[k]` epochs in all is in rung `k`. It may go on to rung `k + 1` as soon as it
    is among the best `1 / eta` of those that have finished rung `k`, however many are still running.

    Attributes:
        eta: The reduction factor: how many times more epochs the next rung has, and of how many one is promoted.
        min_epochs: The minimum resource r.
        max_epochs: The maximum resource R. The last rung has the largest `min_epochs * eta**n` up to it.
        early_stopping_rate: The minimum early-stopping rate s: how many of the lowest rungs are left out, where
            rankings after few epochs are not to be trusted.

    Raises:
        InvalidArgumentError: If a value is out of range, or no rung is left.
        InvalidTypeError: If a value is no integer.
    """

    eta: int = 4
    min_epochs: int = 1
    max_epochs: int = 64
    early_stopping_rate: int = 0

    def __post_init__(self) -> None:
        for field, least in zip(fields(self), (2, 1, self.min_epochs, 0), strict=True):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise InvalidTypeError(f"`{field.name}` must be an integer. Received: {field.name}={value!r}")
            if value < least:
                raise InvalidArgumentError(f"`{field.name}` must be at least {least}. Received: {field.name}={value}")
        if not self.epochs:
            raise InvalidArgumentError(
                f"`early_stopping_rate` must leave a rung up to `max_epochs={self.max_epochs}`. "
                f"Received: early_stopping_rate={self.early_stopping_rate}"
            )

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs of each rung, counted from the start of training."""
        epochs, number = [], self.min_epochs * self.eta**self.early_stopping_rate
        while number <= self.max_epochs:
            epochs.append(number)
            number *= self.eta
        return tuple(epochs)

    def promotion(self, rungs: Sequence[Mapping[str, float]], promoted: Collection[str]) -> tuple[str, int] | None:
        """The job to promote next and the rung it goes to, `None` if there is none.

        ```python
        halving = SuccessiveHalving(eta=2, max_epochs=4)                   # rungs of 1, 2 and 4 epochs
        halving.promotion([{"a": 0.5}, {}, {}], [])                        # None
        halving.promotion([{"a": 0.5, "b": 0.6}, {}, {}], [])              # ("b", 1)
        halving.promotion([{"a": 0.5, "b": 0.6}, {}, {}], ["b"])           # None: half of two
        ```

        Args:
            rungs: For each rung the jobs that finished it well, in the order they did, with their scores;
                higher is better, and among equals the first.
            promoted: The jobs that were promoted from their rung.
        """
        for rung in reversed(range(len(self.epochs) - 1)):
            scores = rungs[rung]
            best = sorted(scores, key=scores.__getitem__, reverse=True)[: len(scores) // self.eta]
            for job in best:
                if job not in promoted:
                    return job, rung + 1
        return None


class ASHAOracle(NamedOracle):
    """Asynchronous successive halving for Keras-Tuner (Li et al., MLSys 2020): epochs as fidelity.

    A trial trains a random new architecture for a few epochs, or goes on with one that did well, for `eta`
    times as many epochs in all: promotions come first, from the highest rung down. A worker never waits while
    an architecture is left. `ASHATuner` obeys what a trial says in `trial.hyperparameters.values`, under the
    names that Keras-Tuner's Hyperband uses:

    - `tuner/epochs`: epochs in all,
    - `tuner/initial_epoch`: how many of them are trained already,
    - `tuner/trial_id`: whose weights to go on with; only in a promoted trial.

    ```python
    oracle = ASHAOracle("val_accuracy", max_trials=100, seed=0, eta=3, max_epochs=27)
    tuner = ASHATuner(oracle, build_model, directory="search")
    tuner.search(x, y, validation_split=0.2)
    ```

    The best trial is the one with the best objective, whatever its epochs. The strategy's `evaluations` hold the
    latest of each architecture.

    The paper says nothing of failures: a failed trial does not count in its rung and is never promoted, and a
    job whose promotion failed is not promoted again.

    Args:
        objective: See `NamedOracle`.
        max_trials: How many trials, promotions included. `None` stops when the space is exhausted and nobody
            can be promoted any more.
        seed: See `Strategy`.
        hyperparameters: See `NamedOracle`.
        eta: See `SuccessiveHalving`. 4 is the paper's.
        min_epochs: See `SuccessiveHalving`.
        max_epochs: See `SuccessiveHalving`. By default there are rungs of 1, 4, 16 and 64 epochs.
        early_stopping_rate: See `SuccessiveHalving`.
        space: See `NamedOracle`.
        feasible: See `Strategy`.
        initial: See `Strategy`.
        allow_new_entries: See `keras_tuner.Oracle`.
        tune_new_entries: See `keras_tuner.Oracle`.
        max_retries_per_trial: See `keras_tuner.Oracle`.
        max_consecutive_failed_trials: See `StrategyOracle`.

    Raises:
        InvalidArgumentError: As `SuccessiveHalving` and `NamedOracle`.
        InvalidTypeError: As `SuccessiveHalving`.
    """

    strategy_class = RandomStrategy

    def __init__(
        self,
        objective: str | Objective | None = "val_accuracy",
        max_trials: int | None = 100,
        seed: int | None = None,
        hyperparameters: keras_tuner.HyperParameters | None = None,
        *,
        eta: int = 4,
        min_epochs: int = 1,
        max_epochs: int = 64,
        early_stopping_rate: int = 0,
        space: SearchSpace | None = None,
        feasible: Callable[[Architecture], bool] | None = None,
        initial: Sequence[Mapping[str, Option]] = (),
        allow_new_entries: bool = True,
        tune_new_entries: bool = True,
        max_retries_per_trial: int = 0,
        max_consecutive_failed_trials: int = 3,
    ) -> None:
        self.halving = SuccessiveHalving(eta, min_epochs, max_epochs, early_stopping_rate)
        super().__init__(
            objective,
            max_trials,
            seed,
            hyperparameters,
            space=space,
            feasible=feasible,
            initial=initial,
            allow_new_entries=allow_new_entries,
            tune_new_entries=tune_new_entries,
            max_retries_per_trial=max_retries_per_trial,
            max_consecutive_failed_trials=max_consecutive_failed_trials,
        )

    @property
    def rungs(self) -> tuple[dict[str, float], ...]:
        """The trials that finished each rung, in that order, with their scores; higher is better."""
        sign = 1 if self.objective.direction == "max" else -1
        rungs: tuple[dict[str, float], ...] = tuple({} for _ in self.halving.epochs)
        for trial in (self.trials[trial_id] for trial_id in self.end_order):
            if trial.status == TrialStatus.COMPLETED:
                rung = self.halving.epochs.index(trial.hyperparameters.values[EPOCHS])
                rungs[rung][trial.trial_id] = sign * float(trial.score)
        return rungs

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """A promotion if there is one, else a new architecture; see `StrategyOracle.populate_space`."""
        # All from the trials, which Keras-Tuner keeps: there is no second state that a kill could leave behind.
        promoted = {trial.hyperparameters.values.get(PARENT) for trial in self.trials.values()}
        promotion = self.halving.promotion(self.rungs, promoted)
        epochs = self.halving.epochs
        if promotion is None:
            response = super().populate_space(trial_id)
            if response["status"] == TrialStatus.RUNNING:
                response["values"].update({EPOCHS: epochs[0], INITIAL_EPOCH: 0})
            return response
        parent, rung = promotion
        values = {
            **self.trials[parent].hyperparameters.values,
            EPOCHS: epochs[rung],
            INITIAL_EPOCH: epochs[rung - 1],
            PARENT: parent,
        }
        # With the defaults of what was declared since the parent was trained.
        return {"status": TrialStatus.RUNNING, "values": self._with_defaults(values)}

    def settings(self) -> dict[str, Any]:
        """See `DurableOracle`."""
        return {**super().settings(), "halving": asdict(self.halving)}


class ASHATuner(DurableTuner):
    """A `DurableTuner` that trains as many epochs as a trial says, from the weights of the trial it goes on with.

    Both come from the oracle, an `ASHAOracle` or Keras-Tuner's `HyperbandOracle`; `epochs` and `initial_epoch`
    given to `search` do not count. The weights are those of the best epoch, the optimizer's state included,
    so that schedules of the learning rate go on where they were. Arguments as for `DurableTuner`.
    """

    def run_trial(self, trial: Trial, *fit_args: Any, **fit_kwargs: Any) -> Any:
        """As `keras_tuner.Tuner.run_trial`, for the epochs and from the weights that the trial names."""
        values = trial.hyperparameters.values
        if EPOCHS in values:
            fit_kwargs.update(epochs=values[EPOCHS], initial_epoch=values[INITIAL_EPOCH])
        if PARENT in values:
            warm_start = _WarmStart(Path(self.get_trial_dir(values[PARENT])))
            fit_kwargs["callbacks"] = [warm_start, *fit_kwargs.get("callbacks", [])]
        return super().run_trial(trial, *fit_args, **fit_kwargs)


class _WarmStart(keras.callbacks.Callback):
    """Brings a model to what Keras-Tuner saved of a trial, before the first epoch."""

    def __init__(self, trial_dir: Path) -> None:
        super().__init__()
        self.trial_dir = trial_dir

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        model = self.model
        if not model.built:
            model.build_from_config(json.loads((self.trial_dir / "build_config.json").read_text()))
        if not model.optimizer.built:
            model.optimizer.build(model.trainable_variables)
        model.load_weights(self.trial_dir / "checkpoint.weights.h5")
