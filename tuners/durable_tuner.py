"""`DurableTuner`: Keras-Tuner's tuner, which can be killed, and run by many processes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, ClassVar

import keras
import keras_tuner
from keras_tuner.engine.trial import Trial

from automl_keras.errors import InvalidArgumentError, SearchError
from automl_keras.tuners.chief_worker import MESSAGE, Chief, role, serve
from automl_keras.tuners.durable_oracle import DurableOracle

_LONGEST_PAUSE = 0.5


class DurableTuner(keras_tuner.Tuner):
    """A `keras_tuner.Tuner` that can be killed, and run by many processes.

    The same script runs everywhere; the environment says who is the chief and who is a worker:

    ```python
    oracle = EvolutionOracle(max_trials=200, seed=0)
    tuner = DurableTuner(oracle, build_model, directory="search")
    tuner.search(x, y, validation_split=0.2, epochs=3)
    ```

    A worker sends heartbeats as long as it searches. If it dies, another one repeats its trial
    (`oracle.leases.seconds` says how soon). It waits for a chief that is being restarted. The chief ends as soon as
    every worker was told that there is no more to do, and with the oracle's error if there is one.

    In a single process it is an ordinary tuner, except that it pauses while the oracle has no trial for it, and
    needs TensorBoard only for a TensorBoard callback.

    Args:
        oracle: Proposes the trials. Under chief and worker a `DurableOracle`.
        hypermodel: As in `keras_tuner.Tuner`.
        patience: How many seconds a worker waits for a chief that does not answer.
        keep_weights: Of how many trials, the best ones, the weights are kept. `None` keeps all. Those of trials that
            may be gone on with, as in Hyperband and ASHA, are always kept.
        **settings: Further arguments of `keras_tuner.Tuner`, by name. A worker ignores `overwrite`: the project is the
            chief's.

    Attributes:
        runs_in_workers: Whether a trial can run in any process; if not, chief and worker are refused.

    Raises:
        InvalidArgumentError: If the environment names a chief, and the oracle cannot serve workers or the tuner not run
            in them.
    """

    runs_in_workers: ClassVar[bool] = True

    def __init__(
        self,
        oracle: keras_tuner.Oracle,
        hypermodel: Any = None,
        *,
        patience: float = 600.0,
        keep_weights: int | None = None,
        **settings: Any,
    ) -> None:
        has_chief = role() is not None
        if has_chief and not isinstance(oracle, DurableOracle):
            raise InvalidArgumentError(
                "With KERASTUNER_ORACLE_IP set, `oracle` must be a `DurableOracle`, as all oracles of "
                f"`automl_keras.tuners` are. Received: oracle={oracle}"
            )
        if has_chief and not self.runs_in_workers:
            raise InvalidArgumentError(
                f"A `{type(self).__name__}` works in one process; only `search_on_ray` spreads its evaluations. "
                f"Received: KERASTUNER_ORACLE_IP={os.environ['KERASTUNER_ORACLE_IP']}"
            )
        if role() == "worker":
            settings["overwrite"] = False
        self._saved: dict[str, Any] | None = None
        self._keep_weights = keep_weights
        self._with_weights: set[str] = set()
        super().__init__(oracle, hypermodel, **settings)
        self._pause = 0.0
        if self._is_worker():
            self._beat_every = oracle.leases.seconds / 4
            self._chief = Chief(type(self.oracle.stub), patience)
            self.oracle.stub = self._chief

    def search(self, *fit_args: Any, **fit_kwargs: Any) -> None:
        """As `keras_tuner.Tuner.search`; the chief serves the workers until the search is over.

        Raises:
            SearchError: On a worker, if the chief does not answer or ends the search with an error.
        """
        if role() == "chief":
            self.oracle.verbose = fit_kwargs.get("verbose", self.oracle.verbose)
            self.save()
            serve(self.oracle)
        elif self._is_worker():
            with self._chief.heartbeats(self.tuner_id, self._beat_every):
                super().search(*fit_args, **fit_kwargs)
            self._chief.error = SearchError(
                f"The search has ended, and with it the chief at {self._chief.address}: that process has the results"
            )
        else:
            super().search(*fit_args, **fit_kwargs)

    def on_search_begin(self) -> None:
        """Look which trials have weights already."""
        if self._keep_weights is not None:
            self._with_weights = {trial.trial_id for trial in self.oracle.get_best_trials(self._keep_weights)}
        super().on_search_begin()

    def save(self) -> None:
        """As `keras_tuner.Tuner.save`, if there is anything new: a `DurableOracle` saves itself."""
        state = self.get_state()
        if state != self._saved or not isinstance(self.oracle, DurableOracle):
            super().save()
            self._saved = state

    def pre_create_trial(self) -> None:
        """Pause if the oracle had no trial the last time."""
        if self._pause:  # even a sleep of 0 s gives the core to others
            time.sleep(self._pause)
        self._pause = min(max(2 * self._pause, 0.02), _LONGEST_PAUSE)

    def on_trial_begin(self, trial: Trial) -> None:
        """Forget the pause, and what gRPC adds to the values of the trial."""
        self._pause = 0.0
        if self._is_worker():
            # The values of inactive hyperparameters come as their defaults.
            values = trial.hyperparameters.values
            trial.hyperparameters.values = {name: values[name] for name in self._chief.served_values}
        super().on_trial_begin(trial)

    def on_trial_end(self, trial: Trial) -> None:
        """Tell the oracle, with the reason if the trial failed. It may have waited for this, so the pause ends."""
        self._pause = 0.0
        if self._is_worker() and trial.message:
            # Keras-Tuner's protocol has no place for it.
            trial.hyperparameters.values[MESSAGE] = trial.message
        super().on_trial_end(trial)
        if self._keep_weights is not None and "tuner/epochs" not in trial.hyperparameters.values:
            self._delete_weights(trial, self._keep_weights)

    def _delete_weights(self, ended: Trial, number: int) -> None:
        best = {trial.trial_id for trial in self.oracle.get_best_trials(number)}
        for trial_id in (self._with_weights | {ended.trial_id}) - best:
            Path(self.get_trial_dir(trial_id), "checkpoint.weights.h5").unlink(missing_ok=True)
        self._with_weights = best

    def _configure_tensorboard_dir(self, callbacks: list[keras.callbacks.Callback], *args: Any, **kwargs: Any) -> None:
        # Keras-Tuner imports TensorBoard whether or not there is such a callback.
        if any(isinstance(callback, keras.callbacks.TensorBoard) for callback in callbacks):
            super()._configure_tensorboard_dir(callbacks, *args, **kwargs)
