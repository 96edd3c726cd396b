"""The search stage: train a supernet in rounds, ask it, and hand out subnets with inherited weights."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from functools import partial

import keras

from automl_keras.data import PreparedData
from automl_keras.estimators.default_network import Feasible
from automl_keras.estimators.journal import Journal
from automl_keras.estimators.plan import Plan
from automl_keras.estimators.settings import FitSettings
from automl_keras.estimators.shared_weights import SharedWeights
from automl_keras.evaluation import Evaluation
from automl_keras.quantization.joint import RoundedScorer
from automl_keras.reporting import ProgressReporter
from automl_keras.search_space import Architecture, ImageSearchSpace, NetworkSpace
from automl_keras.supernet import MinibatchScorer, SubnetScorer, SupernetTrainer, make_supernet
from automl_keras.training import TrainingLog
from automl_keras.tuners import Policy, RoundRunner, Strategy, StrategyOracle, SupernetTuner, search_on_ray

NUM_CANDIDATES = 3
Candidate = tuple[Architecture, Callable[[], keras.Model]]


class Searcher:
    """Runs the search that a plan describes.

    Args:
        plan: With a space for the supernet.
        space: That space.
        settings: What the user asked for.
        data: The checked and split data.
        feasible: Whether an architecture keeps the budget.
        journal: Told how far the search has come; in its folder Keras-Tuner writes its project.
    """

    def __init__(
        self,
        plan: Plan,
        space: NetworkSpace,
        settings: FitSettings,
        data: PreparedData,
        feasible: Feasible,
        journal: Journal,
    ) -> None:
        self.plan = plan
        self.space = space
        self.settings = settings
        self.data = data
        self.feasible = feasible
        self.journal = journal
        self.directory = journal.directory

    def search(
        self, reporter: ProgressReporter, evaluations: list[Evaluation], *, is_over: bool = False
    ) -> tuple[list[Candidate], keras.Model | None]:
        """Train, evaluate and cut out; a search that was interrupted goes on from its last round and trial.

        Args:
            reporter: Told about rounds and trials.
            evaluations: Every evaluation is appended here as it is made.
            is_over: Whether an earlier fit has come to the end of the search, so that nothing is added.

        Returns:
            The best architectures, best first, each with a function that makes its calibrated subnet, and
            the network to learn from, if the plan has one: the largest subnet of the first generation. Nothing of
            both if the search is over because a round of training failed: no architecture can be told from another.

        Raises:
            SearchError: If a round of training or too many evaluations failed.
        """
        reporter.stage("build the supernet")
        tuner = self._make_tuner(reporter, evaluations)
        if not is_over:
            evaluations.extend(tuner.oracle.ended_evaluations())
            tuner.deadline = self._deadline(tuner.generation)
            if self.settings.use_ray:
                search_on_ray(tuner, verbose=0)
            else:
                tuner.search(verbose=0)
        if tuner.generation < len(self.plan.rounds):
            return [], None
        SharedWeights.keep(self.directory, tuner, self.data, seed=self.settings.seed)
        best = self._candidates(tuner)
        teacher = self._teacher(tuner, best[0]) if self.plan.recipe["distillation"] else None
        return [(architecture, partial(tuner.scorer.subnet, architecture)) for architecture in best], teacher

    def _teacher(self, tuner: SupernetTuner, winner: Architecture) -> keras.Model:
        """The largest network with the winner's operations, as it was before smaller ones were trained too."""
        assert isinstance(self.space, ImageSearchSpace)  # of the sandwich rule
        latest = tuner.generation
        operations = {name: (option,) for name, option in winner.items() if name.endswith("_operation")}
        tuner.load_generation(1)
        teacher = tuner.scorer.subnet(self.space.restrict(operations).extreme(largest=True))
        tuner.load_generation(latest)
        return teacher

    def _make_tuner(self, reporter: ProgressReporter, evaluations: list[Evaluation]) -> SupernetTuner:
        settings = self.settings
        supernet = make_supernet(self.space, self.data.info, seed=settings.seed, **settings.system.supernet_settings)
        train, validation = self.data.weighted(self.data.train), self.data.validation
        recipe = settings.trained_by(self.plan.recipe)
        trainer = SupernetTrainer(supernet, recipe, batch_size=settings.batch_size, seed=settings.seed)
        policy = minibatches = None
        if settings.system.policy is not None:
            policy = settings.system.policy(self.space, feasible=self.feasible, seed=settings.seed)
            minibatches = MinibatchScorer(
                supernet, validation.images, validation.codes, validation.sample_weight, seed=settings.seed
            )
        oracle = StrategyOracle(
            self._make_strategy(policy),
            max_trials=self.plan.max_trials,
            rounds=len(self.plan.rounds),
            stages=[planned.name or planned.sampler for planned in self.plan.rounds],
        )
        started: set[int] = set()

        def name(number: int) -> str:
            planned = self.plan.rounds[number - 1]
            return f"supernet, round {number}: {planned.name or planned.sampler}"

        def on_round(number: int, fraction: float) -> None:
            if number not in started:
                started.add(number)
                self.journal.write(rounds_done=number - 1)
                reporter.stage(name(number), self.plan.rounds[number - 1].seconds)
            reporter.advance(fraction)
            self.journal.tick()

        def on_trained(number: int, log: TrainingLog) -> None:
            self.journal.keep_curve(name(number), log.curve)

        def on_evaluation(evaluation: Evaluation) -> None:
            if not evaluations:
                reporter.stage("search", self.plan.search_seconds)
            evaluations.append(evaluation)
            self.journal.write(rounds_done=len(self.plan.rounds))
            reporter.trial(len(evaluations), evaluation, settings.objective)

        scorer_class = RoundedScorer if settings.quantization == "joint" else SubnetScorer
        scorer = scorer_class(
            supernet,
            train.images,
            validation.images,
            validation.codes,
            validation.sample_weight,
            seed=settings.seed,
        )
        with contextlib.redirect_stdout(io.StringIO()):  # Keras-Tuner prints when it goes on with a search
            return SupernetTuner(
                oracle,
                runner=RoundRunner(trainer, train, self.plan.rounds, policy=policy, minibatches=minibatches),
                scorer=scorer,
                on_round=on_round,
                on_trained=on_trained,
                on_evaluation=on_evaluation,
                keep_generations=(1,) if self.plan.recipe["distillation"] else (),  # for the teacher
                quantization=settings.quantization,
                directory=str(self.directory),
                project_name="search",
            )

    def _make_strategy(self, policy: Policy | None) -> Strategy:
        """Proposes what to evaluate, beginning with the default network if the supernet holds it."""
        settings = self.settings
        own = {} if policy is None else {"policy": policy}
        initial = [self.space.canonical(self.plan.default)] if isinstance(self.space, ImageSearchSpace) else []
        return settings.system.strategy(
            self.space,
            objective=settings.objective,
            feasible=self.feasible,
            seed=settings.seed,
            initial=initial,
            **own,
        )

    def _deadline(self, rounds_done: int) -> float | None:
        """When no further network is evaluated."""
        if self.plan.search_seconds is None:
            return None
        rounds = sum(planned.seconds or 0.0 for planned in self.plan.rounds[rounds_done:])
        return time.monotonic() + rounds + self.plan.search_seconds

    def _candidates(self, tuner: SupernetTuner) -> list[Architecture]:
        """The best few; the default network stays first unless one is better by more than a standard error."""
        best = [tuner.architecture(trial) for trial in tuner.oracle.get_best_trials(NUM_CANDIDATES)]
        scores = {e.architecture: e.metrics[self.settings.objective] for e in tuner.oracle.strategy.evaluations}
        if not isinstance(self.space, ImageSearchSpace):
            return best[:NUM_CANDIDATES]
        default = self.space.canonical(self.plan.default)
        if not best:  # no time was left to evaluate any
            return [default]
        if default in scores:
            error = self.data.info.task.standard_error(scores[default], self.data.validation.num_examples)
            if scores[best[0]] < scores[default] + error:
                best = [default, *(architecture for architecture in best if architecture != default)]
        return best[:NUM_CANDIDATES]
