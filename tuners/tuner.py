"""`SupernetTuner`: Keras-Tuner's loop around one supernet that is trained once and then asked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import keras
from keras_tuner.engine.trial import Trial, TrialStatus

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation, OneShotEvaluator, Quantization
from automl_keras.search_space import Architecture, ImageSearchSpace
from automl_keras.supernet import SubnetScorer
from automl_keras.training import TrainingLog
from automl_keras.tuners.durable_tuner import DurableTuner
from automl_keras.tuners.oracle import GENERATION, PHASE, ROUND, StrategyOracle
from automl_keras.tuners.round_runner import POLICY, RoundRunner


class SupernetTuner(DurableTuner):
    """Runs the trials of a `StrategyOracle` against one long-lived supernet.

    A trial is a round of training, after which the weights are saved as the next generation, or the
    evaluation of one architecture with the weights of the present generation. No model is rebuilt for
    it. A search that was killed goes on from the last generation.

    Args:
        oracle: Serves as many rounds as the runner has.
        runner: Trains the supernet in rounds.
        scorer: Scores subnets of the same supernet.
        deadline: Value of `time.monotonic()` from which on no further trial begins; `None` for no limit.
        on_round: Called with the number of the round and its progress in [0, 1].
        on_trained: Called after a round with its number and what was done in it.
        on_evaluation: Called with each evaluation.
        keep_generations: Generations whose weights are kept after a newer one was reached.
        quantization: Of the files whose cost is predicted.
        settings: `directory`, `project_name` and `overwrite`, as in `keras_tuner.Tuner`.

    Raises:
        InvalidArgumentError: If the oracle serves another number of rounds.
    """

    runs_in_workers = False  # the supernet is trained in one process

    def __init__(
        self,
        oracle: StrategyOracle,
        *,
        runner: RoundRunner,
        scorer: SubnetScorer,
        deadline: float | None = None,
        on_round: Callable[[int, float], None] | None = None,
        on_trained: Callable[[int, TrainingLog], None] | None = None,
        on_evaluation: Callable[[Evaluation], None] | None = None,
        keep_generations: Collection[int] = (),
        quantization: Quantization = "int8",
        **settings: Any,
    ) -> None:
        if oracle.rounds != len(runner.rounds):
            raise InvalidArgumentError(
                f"`runner` must have as many rounds as the oracle serves, {oracle.rounds}. "
                f"Received: {len(runner.rounds)} rounds"
            )
        self.runner = runner
        self.trainer = runner.trainer
        self.rounds = runner.rounds
        self.scorer = scorer
        self.deadline = deadline
        self.on_round = on_round
        self.on_trained = on_trained
        self.on_evaluation = on_evaluation
        self.quantization = quantization
        # The full network of the first round is the teacher of later ones.
        self.keep_generations = frozenset(keep_generations) | {1 for planned in self.rounds if planned.teacher}
        self.generation = 0
        self._seconds: dict[str, float] = {}
        # Without a hypermodel Keras-Tuner builds no model to find the space: the oracle has it.
        super().__init__(oracle, **settings)
        self.save()  # opens the project, which Keras-Tuner does only if a trial has ended in it
        self._restore()

    def generation_path(self, generation: int) -> Path:
        """Where the weights of a generation are kept."""
        return Path(self.project_dir) / "supernet" / f"generation_{generation}.weights.h5"

    def _policy_path(self, generation: int) -> Path:
        return self.generation_path(generation).with_name(f"policy_{generation}.json")

    def load_generation(self, generation: int) -> None:
        """Bring the supernet to the weights of a generation."""
        self.trainer.supernet.load_weights(self.generation_path(generation))
        if self._policy_path(generation).exists():
            assert self.runner.policy is not None
            self.runner.policy.set_state(json.loads(self._policy_path(generation).read_text()))
        self.generation = generation

    def _delete_old_generations(self) -> None:
        for generation in set(range(1, self.generation)) - self.keep_generations:
            self.generation_path(generation).unlink(missing_ok=True)
            self._policy_path(generation).unlink(missing_ok=True)

    def _restore(self) -> None:
        trained = [
            trial.hyperparameters.values[ROUND]
            for trial in self.oracle.trials.values()
            if trial.hyperparameters.values.get(PHASE) == "train" and trial.status == TrialStatus.COMPLETED
        ]
        if trained:
            self.load_generation(max(trained))

    def pre_create_trial(self) -> None:
        """Stop the oracle once the deadline has passed."""
        super().pre_create_trial()
        if self.deadline is not None and time.monotonic() >= self.deadline and self.generation == len(self.rounds):
            self.oracle.stop()

    def run_trial(self, trial: Trial, *args: Any, **kwargs: Any) -> dict[str, float]:
        """One round of training or one evaluation, as the trial's values say."""
        values = trial.hyperparameters.values
        if values.get(PHASE) == "train":
            return self._train(trial)
        evaluator = self.evaluator(values.get(GENERATION, 0))
        return self.reported(trial, evaluator.evaluate(self.architecture(trial)))

    def evaluator(self, generation: int) -> OneShotEvaluator:
        """Scores architectures with the weights of a generation, also in another process: it can be pickled."""
        if generation != self.generation:
            self.load_generation(generation)
        return OneShotEvaluator(self.scorer, generation=generation, quantization=self.quantization)

    def reported(self, trial: Trial, evaluation: Evaluation) -> dict[str, float]:
        """What `run_trial` returns for an evaluation of this trial, wherever it was made."""
        self._seconds[trial.trial_id] = evaluation.seconds
        costs = {name: float(value) for name, value in evaluation.cost.to_dict().items() if value is not None}
        return {**evaluation.metrics, **costs}

    def on_trial_end(self, trial: Trial) -> None:
        """Report the evaluation, failed or not, once the oracle has told it to the strategy; delete old weights."""
        self._report_phases(trial)
        super().on_trial_end(trial)
        if trial.hyperparameters.values.get(PHASE) == "train":
            # Only now: had the end of the round not been recorded, it would be repeated from the one before.
            self._delete_old_generations()
        if self.on_evaluation is not None and trial.hyperparameters.values.get(PHASE) == "eval":
            evaluation = self.oracle.evaluation(self.oracle.trials[trial.trial_id])
            self.on_evaluation(replace(evaluation, seconds=self._seconds.pop(trial.trial_id, 0.0)))

    def _report_phases(self, trial: Trial) -> None:
        """Add what a policy measured to the results of its round, step by step."""
        values, policy = trial.hyperparameters.values, self.runner.policy
        if policy is None or values.get(PHASE) != "train" or trial.status != TrialStatus.COMPLETED:
            return
        if self.rounds[int(values[ROUND]) - 1].sampler == POLICY:
            objective = self.oracle.objective.name
            latest = self.oracle.trials[trial.trial_id].metrics.get_last_value(objective)
            for phase, measured in enumerate(policy.history, start=1):
                self.oracle.update_trial(trial.trial_id, {objective: latest, **measured}, step=phase)

    def _train(self, trial: Trial) -> dict[str, float]:
        number = int(trial.hyperparameters.values[ROUND])
        on_progress = None if self.on_round is None else partial(self.on_round, number)
        before = self.trainer.gradient_evaluations
        if number > 1:  # an attempt that failed may have left other weights
            self.load_generation(number - 1)
        teacher = self._teacher if self.rounds[number - 1].teacher else None
        log = self.runner.run(number, teacher=teacher, on_progress=on_progress)
        self._save_generation(number)
        if self.on_trained is not None:
            self.on_trained(number, log)
        return {
            self.oracle.objective.name: self.scorer.score(self.trainer.supernet.space.default()),
            "gradient_evaluations": float(self.trainer.gradient_evaluations - before),
        }

    @cached_property
    def _teacher(self) -> keras.Model:
        """The full network as the first round left it (Cai et al., ICLR 2020, section 3.3); each new one is traced."""
        space = self.trainer.supernet.space
        assert isinstance(space, ImageSearchSpace)  # of progressive shrinking
        latest = self.generation
        self.load_generation(1)
        teacher = self.scorer.subnet(space.extreme(largest=True))
        self.load_generation(latest)
        return teacher

    def _save_generation(self, number: int) -> None:
        """Write the weights and what the policy has learnt; a generation is there once its weights are."""
        path = self.generation_path(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.runner.policy is not None:
            self._policy_path(number).write_text(json.dumps(self.runner.policy.get_state()))
        unfinished = path.with_name(f"unfinished_{path.name}")
        self.trainer.supernet.save_weights(unfinished, overwrite=True)
        unfinished.replace(path)
        self.generation = number

    def architecture(self, trial: Trial) -> Architecture:
        """The architecture that a trial evaluates."""
        return self.oracle.architecture(trial)

    def load_model(self, trial: Trial) -> keras.Model:
        """The calibrated subnet of an evaluated trial, as an ordinary Keras model of logits."""
        if trial.hyperparameters.values.get(GENERATION, 0) != self.generation:
            self.load_generation(trial.hyperparameters.values[GENERATION])
        return self.scorer.subnet(self.architecture(trial))
