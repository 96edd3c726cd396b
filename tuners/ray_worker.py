"""What runs in a Ray worker: a trial of any tuner, or an evaluation with the shared weights of a supernet."""

from __future__ import annotations

import functools
import os
import signal
import traceback
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial, TrialStatus

from automl_keras.evaluation import Evaluation, OneShotEvaluator
from automl_keras.search_space import Architecture

if TYPE_CHECKING:
    from ray import ObjectRef


@dataclass(frozen=True)
class TrialWork:
    """What all trials of a search share; it is sent to the workers once.

    Attributes:
        tuner: A copy of the driver's tuner, without its oracle.
        objective: The oracle's.
        seed: The oracle's.
        fit_args: What `search` was given.
        fit_kwargs: Likewise.
    """

    tuner: BaseTuner
    objective: keras_tuner.Objective
    seed: int
    fit_args: tuple[Any, ...]
    fit_kwargs: Mapping[str, Any]


@dataclass(frozen=True)
class TrialOutcome:
    """How a trial ended.

    Attributes:
        status: "COMPLETED", "INVALID" or "FAILED", as Keras-Tuner has it.
        message: The traceback of a trial that failed.
        hyperparameters: Those of the trial, with what the hypermodel declared.
        reports: Metrics and their step, in the order reported.
    """

    status: str
    message: str | None
    hyperparameters: keras_tuner.HyperParameters
    reports: Sequence[tuple[Mapping[str, float], int]]


class TrialOracle(keras_tuner.Oracle):
    """Serves one trial, keeps what is reported about it, and writes nothing.

    Args:
        objective: Of the search.
        trial: The one to serve, as a copy without what an earlier run of it reported.
        known: Other trials that `get_trial` finds.
    """

    def __init__(self, objective: keras_tuner.Objective, trial: Trial, known: Sequence[Trial] = ()) -> None:
        super().__init__(objective=objective, hyperparameters=trial.hyperparameters, seed=1)
        self.trial = Trial(trial.hyperparameters, trial_id=trial.trial_id)
        self.trials = {each.trial_id: each for each in (*known, self.trial)}
        self.reports: list[tuple[Mapping[str, float], int]] = []

    def create_trial(self, tuner_id: str) -> Trial:
        """The trial; once it has ended, one that says STOPPED."""
        if self.trial.status == TrialStatus.RUNNING:
            return self.trial
        return Trial(self.trial.hyperparameters, status=TrialStatus.STOPPED)

    def update_trial(self, trial_id: str, metrics: Mapping[str, float], step: int = 0) -> Trial:
        """Keep metrics for the driver's oracle."""
        self.reports.append((metrics, step))
        # Keras-Tuner asks whether `run_trial` has reported by itself.
        if not self.trial.metrics.exists(self.objective.name):
            self.trial.metrics.register(self.objective.name, self.objective.direction)
        return self.trial


class TrialLoop(BaseTuner):
    """Keras-Tuner's own loop for one trial: what it makes of results and exceptions is not written twice.

    Args:
        oracle: Serves the trial.
        run_trial: Takes the trial and what `search` is given.
    """

    def __init__(self, oracle: TrialOracle, run_trial: Callable[..., Any]) -> None:
        # Keras-Tuner's constructor is left out: it would open the project, which is the driver's.
        self.oracle = oracle
        self.tuner_id = oracle.trial.trial_id
        self._run_trial = run_trial

    def run_trial(self, trial: Trial, *fit_args: Any, **fit_kwargs: Any) -> Any:
        """As the function given."""
        return self._run_trial(trial, *fit_args, **fit_kwargs)

    def on_trial_end(self, trial: Trial) -> None:
        """Nothing: the driver ends the trial."""


def run_loop(
    oracle: TrialOracle, run_trial: Callable[..., Any], fit_args: Sequence[Any], fit_kwargs: Mapping[str, Any]
) -> TrialOutcome:
    """Run the trial of an oracle.

    Raises:
        keras_tuner.errors.FatalError: If no trial of this search could succeed.
    """
    TrialLoop(oracle, run_trial).search(*fit_args, **fit_kwargs)
    trial = oracle.trial
    return TrialOutcome(trial.status, trial.message, trial.hyperparameters, oracle.reports)


def run_in_worker(work: Sequence[ObjectRef], trial: Trial, known: Sequence[Trial], num_threads: int) -> TrialOutcome:
    """A Ray task: one trial of a tuner, on a fresh copy of it.

    The global generators of the worker are seeded by the search and the trial, so that its result depends
    neither on the worker nor on what that ran before.

    Args:
        work: One reference to a `TrialWork`; within a sequence, so that Ray leaves getting it to this function.
        trial: To run.
        known: Other trials that it names.
        num_threads: Threads of a TensorFlow operation.
    """
    import ray

    prepare_process(num_threads)
    job = ray.get(work[0])
    keras.utils.set_random_seed(zlib.crc32(f"{job.seed}/{trial.trial_id}".encode()))
    job.tuner.oracle = TrialOracle(job.objective, trial, known)
    return run_loop(job.tuner.oracle, job.tuner.run_trial, job.fit_args, job.fit_kwargs)


def evaluate_in_worker(work: Sequence[ObjectRef], architecture: Architecture, num_threads: int) -> Evaluation:
    """A Ray task: one evaluation with shared weights, which a worker loads once for each generation.

    Args:
        work: One reference to a `OneShotEvaluator`.
        architecture: To evaluate.
        num_threads: Threads of a TensorFlow operation.
    """
    prepare_process(num_threads)
    evaluator = _loaded(work[0])
    try:
        return evaluator.evaluate(architecture)
    except Exception:
        return Evaluation(
            architecture, source="shared_weights", generation=evaluator.generation, error=traceback.format_exc()
        )


def prepare_process(num_threads: int) -> None:
    """Let the task be cancelled, and TensorFlow see what Ray has given to it, which it reads when first used."""
    import ray

    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as a search in the background passes it on
        signal.signal(signal.SIGINT, signal.default_int_handler)  # by which Ray cancels a task
    os.environ["TF_NUM_INTRAOP_THREADS"] = os.environ["TF_NUM_INTEROP_THREADS"] = str(num_threads)
    if not ray.get_gpu_ids():  # Ray hides the others' GPUs only from tasks that have one
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@functools.lru_cache(maxsize=1)
def _loaded(evaluator: ObjectRef) -> OneShotEvaluator:
    """The latest evaluator of this process: building a supernet and tracing it take seconds."""
    import ray

    return ray.get(evaluator)
