"""`search_on_ray`: the trials of a tuner as tasks on a Ray cluster, or on all cores of one machine."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial, TrialStatus

from automl_keras.errors import InvalidArgumentError, InvalidTypeError
from automl_keras.evaluation import Evaluation
from automl_keras.tuners.asha import PARENT
from automl_keras.tuners.oracle import GENERATION, PHASE
from automl_keras.tuners.ray_session import ray_session
from automl_keras.tuners.ray_worker import (
    TrialOracle,
    TrialOutcome,
    TrialWork,
    evaluate_in_worker,
    run_in_worker,
    run_loop,
)
from automl_keras.tuners.tuner import SupernetTuner

if TYPE_CHECKING:
    from ray import ObjectRef

_IDLE_SECONDS = 0.2


def search_on_ray(
    tuner: BaseTuner,
    *fit_args: Any,
    num_workers: int | None = None,
    address: str | None = None,
    num_cpus: float = 1,
    num_gpus: float = 0,
    max_retries: int = 3,
    **fit_kwargs: Any,
) -> None:
    """As `tuner.search(*fit_args, **fit_kwargs)`, with several trials at once on Ray (`pip install automl-keras[ray]`).

    ```python
    tuner = keras_tuner.Tuner(EvolutionOracle(max_trials=100, seed=0), build_model, directory="search")
    search_on_ray(tuner, x, y, validation_split=0.2, num_workers=4)
    tuner.get_best_models()
    ```

    The oracle stays in this process, and with it the project: a search that was killed, on whatever machine, goes
    on when it is started again, and repeats the trials that were running. The hooks `on_search_begin`,
    `pre_create_trial`, `on_trial_begin`, `on_trial_end` and `on_search_end` run here too.

    - **Any tuner.** Each trial is a task, `run_trial` on a fresh copy of the tuner, so what it changes in the tuner
      is lost. Its oracle there knows this trial alone. Checkpoints are written to `directory`, which has to be the same
      folder on all machines. Arrays come to a worker read-only and without a copy. The global random generators
      of a worker are seeded by the search and the trial.
    - **`SupernetTuner`.** Rounds of training run in this process, with all its cores: they come one after the other,
      and each needs the weights of the last and all images. Evaluations are tasks. The weights of a generation
      travel through Ray, so workers need no folder of ours; each loads them once.

    A trial that raises fails as in Keras-Tuner. One whose worker dies is repeated by Ray; if that is in vain, it
    fails as if it had raised. What is no trial's fault, such as a module that a worker cannot import, ends the
    search with an exception.

    Args:
        tuner: Any Keras-Tuner tuner, not yet searching. It and what it is given must be picklable; a
            `tf.data.Dataset` is not, so make it in `HyperModel.fit`.
        *fit_args: What `tuner.search` takes.
        num_workers: How many trials run at once. `None`: as many as Ray has room for.
        address: Of a running Ray cluster, as in `ray.init`. `None`: the environment variable `RAY_ADDRESS`, without
            which a Ray is started for this search, on this machine alone and not to be reached from others ("local"
            does so in any case). Not used if Ray has been initialised in this process: that one is used, and stays.
        num_cpus: Cores of a trial; also the threads of its TensorFlow.
        num_gpus: GPUs of a trial, also fractions.
        max_retries: How often a trial is repeated whose worker died.
        **fit_kwargs: What `tuner.search` takes.

    Raises:
        MissingDependencyError: If Ray is not installed.
        InvalidArgumentError: If an argument is out of range, or there is no room for one worker.
        InvalidTypeError: If the tuner, or what it is given, cannot be pickled.
        SearchError: If a local Ray could be reached from other machines, because `ray` was imported before.
    """
    for name, value, minimum in (
        ("num_workers", num_workers, 1),
        ("num_cpus", num_cpus, 0),
        ("num_gpus", num_gpus, 0),
        ("max_retries", max_retries, 0),
    ):
        if value is not None and value < minimum:
            raise InvalidArgumentError(f"`{name}` must be at least {minimum}. Received: {name}={value}")
    if "verbose" in fit_kwargs:
        tuner.oracle.verbose = fit_kwargs["verbose"]
    with ray_session(address, num_workers, num_cpus, num_gpus, max_retries) as workers:
        options = {"num_cpus": num_cpus, "num_gpus": num_gpus, "max_retries": max_retries}
        tasks: _Tasks
        if isinstance(tuner, SupernetTuner):
            tasks = _Evaluations(tuner, options)
        else:
            tasks = _Trials(tuner, fit_args, fit_kwargs, options)
        _search(tuner, tasks, workers)


class _Tasks(Protocol):
    """Trials as Ray tasks."""

    def submit(self, trial: Trial) -> ObjectRef | None:
        """Begin a trial; `None` if it ran here and has ended."""
        ...

    def collect(self, trial: Trial, result: Any) -> None:
        """Take over what a task returned."""
        ...


def _search(tuner: BaseTuner, tasks: _Tasks, num_workers: int) -> None:
    """Keras-Tuner's loop, with as many trials at once as there are workers."""
    import ray

    free = [f"ray{index}" for index in reversed(range(num_workers))]  # to the oracle each is a tuner of its own
    running: dict[ObjectRef, tuple[str, Trial]] = {}
    tuner.on_search_begin()
    try:
        while True:
            status = TrialStatus.RUNNING
            while free and status == TrialStatus.RUNNING:
                tuner.pre_create_trial()
                trial = tuner.oracle.create_trial(free[-1])
                status = trial.status
                if status == TrialStatus.RUNNING:
                    tuner.on_trial_begin(trial)
                    task = tasks.submit(trial)
                    if task is None:
                        tuner.on_trial_end(trial)
                    else:
                        running[task] = free.pop(), trial
            # Also when the oracle has stopped: a trial that runs may yet have to be repeated.
            if running:
                [task], _ = ray.wait(list(running), num_returns=1)
                # At once: to cancel a task that has ended can abort this process (Ray 2.60).
                worker, trial = running.pop(task)
                _collect(tasks, trial, task)
                tuner.on_trial_end(trial)
                free.append(worker)
            elif status == TrialStatus.IDLE:
                time.sleep(_IDLE_SECONDS)
            else:
                break
    finally:
        # Not by force, which ends workers, and this process too if a task ends at that moment.
        for task in running:
            ray.cancel(task)
    tuner.on_search_end()


def _collect(tasks: _Tasks, trial: Trial, task: ObjectRef) -> None:
    import ray

    try:
        tasks.collect(trial, ray.get(task))
    except (
        ray.exceptions.WorkerCrashedError,
        ray.exceptions.OutOfMemoryError,
        ray.exceptions.NodeDiedError,
    ) as error:
        trial.status, trial.message = TrialStatus.INVALID, f"{type(error).__name__}: {error}"


class _Trials:
    """Every trial a task that runs the tuner's `run_trial`."""

    def __init__(
        self, tuner: BaseTuner, fit_args: Sequence[Any], fit_kwargs: Mapping[str, Any], options: dict[str, Any]
    ) -> None:
        import ray

        self._oracle = tuner.oracle
        self._num_threads = _num_threads(options)
        self._task = ray.remote(**options)(run_in_worker)
        sent = copy.copy(tuner)
        sent.oracle = None
        sent.directory = str(Path(tuner.directory).resolve())  # workers have other working directories
        work = TrialWork(sent, self._oracle.objective, self._oracle.seed, tuple(fit_args), fit_kwargs)
        try:
            self._work = ray.put(work)
        except Exception as error:  # whatever pickling calls
            raise InvalidTypeError(
                "The tuner and what `search_on_ray` is given are sent to other processes, so they must be picklable; "
                f"make a `tf.data.Dataset` in `HyperModel.fit`. Received: tuner={tuner!r}, which is not: {error}"
            ) from error

    def submit(self, trial: Trial) -> ObjectRef:
        parent = trial.hyperparameters.values.get(PARENT)
        known = [self._oracle.get_trial(parent)] if parent else []
        return self._task.remote([self._work], trial, known, self._num_threads)

    def collect(self, trial: Trial, result: TrialOutcome) -> None:
        _take_over(self._oracle, trial, result)


class _Evaluations:
    """Evaluations as tasks; rounds of training here."""

    def __init__(self, tuner: SupernetTuner, options: dict[str, Any]) -> None:
        import ray

        self._tuner = tuner
        self._num_threads = _num_threads(options)
        # By default Ray ends a worker with a GPU after each task, and with it what it has loaded.
        self._task = ray.remote(**options, max_calls=0)(evaluate_in_worker)
        self._sent: tuple[int, ObjectRef] | None = None

    def submit(self, trial: Trial) -> ObjectRef | None:
        values, oracle = trial.hyperparameters.values, self._tuner.oracle
        if values.get(PHASE) == "train":
            _take_over(oracle, trial, run_loop(TrialOracle(oracle.objective, trial), self._tuner.run_trial, (), {}))
            return None
        generation = values.get(GENERATION, 0)
        if self._sent is None or self._sent[0] != generation:
            import ray

            self._sent = generation, ray.put(self._tuner.evaluator(generation))
        return self._task.remote([self._sent[1]], self._tuner.architecture(trial), self._num_threads)

    def collect(self, trial: Trial, result: Evaluation) -> None:
        if result.error is not None:
            trial.status, trial.message = TrialStatus.INVALID, result.error
            return
        self._tuner.oracle.update_trial(trial.trial_id, self._tuner.reported(trial, result))
        trial.status = TrialStatus.COMPLETED


def _take_over(oracle: Any, trial: Trial, outcome: TrialOutcome) -> None:
    for metrics, step in outcome.reports:
        oracle.update_trial(trial.trial_id, metrics, step=step)
    trial.hyperparameters = outcome.hyperparameters
    trial.status, trial.message = outcome.status, outcome.message


def _num_threads(options: Mapping[str, Any]) -> int:
    return max(1, int(options["num_cpus"]))
