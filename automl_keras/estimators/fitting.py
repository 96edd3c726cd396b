"""The stages of `fit`: a first model, probes, a plan, the search, the final network and its file."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import numpy as np

from automl_keras.data import Dataset, PreparedData
from automl_keras.errors import ExportError, SearchError
from automl_keras.estimators.balancing import balance_of, probe_balance, with_balance
from automl_keras.estimators.default_network import (
    Feasible,
    default_network,
    feasibility,
    scaled_widths,
    shallow,
)
from automl_keras.estimators.finishing import Finisher
from automl_keras.estimators.fit_result import FitResult
from automl_keras.estimators.journal import InterruptedTraining, Journal
from automl_keras.estimators.latency import LatencyLimit
from automl_keras.estimators.mirroring import small_sample
from automl_keras.estimators.plan import Means, Plan, Probe, is_worth_probing, make_plan
from automl_keras.estimators.probing import probe_recipe, without_augmentation
from automl_keras.estimators.refitting import refit, refit_seconds
from automl_keras.estimators.searching import Candidate, Searcher
from automl_keras.estimators.settings import FitSettings
from automl_keras.estimators.spaces import NetworkSpaces, check_macro_budget, largest_macro_space
from automl_keras.evaluation import Evaluation
from automl_keras.reporting import TimedReporter
from automl_keras.search_space import Architecture, ImageSearchSpace, MacroSearchSpace, NetworkSpace
from automl_keras.training import Limit, TrainingLog, recipe_space, train_network, training_work

FIRST_MODEL_SHARE = 0.025  # of the time limit
FIRST_MODEL_SECONDS = (1.0, 6.0)
FIRST_MODEL_EPOCHS = 3
OPTIMIZER_PROBE_SECONDS = 120.0  # from this time limit on, the optimizer is probed


class Fitting:
    """One run of `fit`.

    Args:
        settings: What the user asked for.
        data: The checked and split data.
        space: The image space.
        directory: Where everything is written.
        reporter: Told about the progress.
        journal: Of the project; a fit that was interrupted goes on from what it holds.
        may_train_on: Validation images that the final network may learn from.
        held_out: Validation images that no network learns from; files are measured on them.
    """

    def __init__(
        self,
        settings: FitSettings,
        data: PreparedData,
        space: ImageSearchSpace,
        directory: Path,
        reporter: TimedReporter,
        journal: Journal,
        *,
        may_train_on: Dataset | None,
        held_out: Dataset,
    ) -> None:
        self.settings = settings
        self.data = data
        self.space = space
        self.reporter = reporter
        self.journal = journal
        self.spaces = NetworkSpaces(data.info, space, quantization=settings.quantization)
        self.predict_cost = self.spaces.predictor(space)
        self.predictable = settings.budget  # what predicted costs must keep
        self.latency_limit: LatencyLimit | None = None
        if settings.budget.max_latency_ms is not None:
            self.latency_limit = LatencyLimit(
                settings.budget.max_latency_ms,
                self.spaces,
                data.train.images,
                seconds=settings.time_limit,
                seed=settings.seed,
                folder=directory,
            )
        self.evaluations: list[Evaluation] = []
        self.plan: Plan | None = None
        self.finisher = Finisher(
            settings.budget,
            data.info,
            data.weighted(data.train if may_train_on is None else data.train.joined(may_train_on)),
            held_out,
            directory,
            reporter,
            journal,
            spaces=self.spaces,
            seed=settings.seed,
            callbacks=settings.callbacks,
        )

    def feasible_in(self, space: NetworkSpace) -> Feasible:
        """A test that an architecture of a space keeps the budget, as far as that can be predicted."""
        table = None if self.latency_limit is None else self.latency_limit.table(space)
        return feasibility(self.spaces.predictor(space, table), self.predictable)

    def run(self) -> FitResult:
        """Go through all stages; Ctrl-C after the first model ends with the best one so far.

        The network in training is then finished too; a second Ctrl-C goes without it.

        Raises:
            SearchError: If no network could be exported within the budget.
            KeyboardInterrupt: If it was interrupted before there was a model.
        """
        try:
            self.plan = self._earlier_plan() or self._new_plan()
            if isinstance(self.plan.space, MacroSearchSpace):
                self.spaces.add(self.plan.space)
            self._carry_out(self.plan)
            if self.settings.refit:
                refit(self.finisher, self.data, self.settings, self.plan)
        except KeyboardInterrupt:
            with suppress(KeyboardInterrupt):
                self.finisher.finish_interrupted()
            if self.finisher.best is None:
                raise
            self.reporter.message("Interrupted: keeping the best model so far.")
        return FitResult.of(self.finisher, self.plan, self.evaluations)

    def _new_plan(self) -> Plan:
        self._limit_latency()
        self._time_macro_networks()
        plan = self._make_plan(*self._first_model())
        self.journal.write(plan=plan.to_dict())
        self.reporter.message(f"Plan: {plan.reason}.")
        return plan

    def _earlier_plan(self) -> Plan | None:
        """The plan of a fit that was interrupted, whose results are taken up."""
        if "plan" not in self.journal.facts:
            return None
        self.reporter.message("Going on with an unfinished project.")
        if "best" in self.journal.facts:
            self.finisher.restore()
        self.evaluations = list(map(Evaluation.from_dict, self.journal.facts.get("evaluations", [])))
        self._limit_latency()
        plan = Plan.from_dict(self.journal.facts["plan"])
        if self.settings.balance_classes:
            self._weigh_classes(balance_of(plan.probes))
        return plan

    def _carry_out(self, plan: Plan) -> None:
        if "finished" in self.journal.facts:
            return
        interrupted = self.journal.training()
        if interrupted is not None:
            self._finish_interrupted(interrupted, plan)
            return
        candidates: list[Candidate] = []
        teacher = None
        if plan.space is not None:
            feasible = self.feasible_in(plan.space)
            in_time = plan.within(self._seconds_left(), self.journal.facts.get("rounds_done", 0))
            searcher = Searcher(in_time, plan.space, self.settings, self.data, feasible, self.journal)
            is_over = self.journal.facts.get("searched", False)
            try:
                candidates, teacher = searcher.search(self.reporter, self.evaluations, is_over=is_over)
            except SearchError as error:
                self.reporter.message(f"The search failed, the default network takes its place: {error}")
            self.journal.write(searched=True, evaluations=[evaluation.to_dict() for evaluation in self.evaluations])
        fallbacks = [plan.default]
        if self.latency_limit is not None and self.finisher.best is not None:
            # What is known to be fast enough is better trained to the end than left as the first model.
            fallbacks.append(self.finisher.best.architecture)
        candidates += [(network, partial(self.spaces.build, network, seed=self.settings.seed)) for network in fallbacks]
        self._finish(candidates, teacher, plan)

    def _finish_interrupted(self, interrupted: InterruptedTraining, plan: Plan) -> None:
        """Go on with the final training where an earlier fit was interrupted; its teacher is not brought back."""
        model = self.spaces.build(interrupted.architecture, seed=self.settings.seed)
        model.set_weights(interrupted.weights)
        self._finish([(interrupted.architecture, lambda: model)], None, plan, begin=interrupted.progress)

    def _limit_latency(self) -> None:
        """Allow only networks that are fast enough, as far as the times of their operations tell.

        A fit that goes on keeps the limit it began with: timed again, networks would be allowed that were not before.
        """
        if self.latency_limit is None:
            return
        if "max_latency_ms" not in self.journal.facts:
            self.reporter.stage("time untrained networks")
            self.journal.write(max_latency_ms=self.latency_limit.predicted_limit(self.space))
        self.predictable = replace(self.predictable, max_latency_ms=self.journal.facts["max_latency_ms"])

    def _time_macro_networks(self) -> None:
        """Take the time for the table of macro networks before what is left is divided; check the user's space."""
        if self.latency_limit is None or self.settings.system.space != "macro":
            return
        macro = self.settings.macro
        table = self.latency_limit.table(macro or largest_macro_space(self.space))
        if macro is not None:
            check_macro_budget(self.spaces.predictor(macro, table), self.predictable)

    def _finish(
        self, candidates: list[Candidate], teacher: keras.Model | None, plan: Plan, *, begin: float = 0.0
    ) -> None:
        """Finish the first candidate; where its file fails or breaks the budget, the next with the time left."""
        for architecture, make_model in candidates:
            if self.latency_limit is not None and not self.latency_limit.allows(architecture):
                self.finisher.failures.append(f"the file of {dict(architecture)} is too slow")
                self.reporter.message("A candidate is too slow, the next one follows.")
                continue
            deadline = self._deadline()
            if deadline is not None:
                deadline -= self.finisher.seconds_needed
                if time.monotonic() >= deadline and self.finisher.best is not None and begin == 0.0:
                    self.reporter.message("No time is left for the final network.")
                    return
            self.reporter.stage("train the final network", plan.final_seconds)
            steps = self.settings.steps(plan.final_epochs, self.finisher.train.num_examples)
            try:
                self.finisher.train_and_finish(
                    architecture,
                    make_model(),
                    self.settings.trained_by(plan.recipe),
                    Limit(steps=steps, deadline=deadline, begin=begin),
                    teacher=teacher,
                    batch_size=self.settings.batch_size,
                )
            except ExportError as error:
                self.reporter.message(f"A candidate failed, the next one follows: {error}")
                continue
            self.journal.write(finished=True)
            return

    def _deadline(self) -> float | None:
        """When the final training and its file must be done: early enough for a refit, if there is to be one."""
        deadline = self.settings.deadline
        if deadline is None or not self.settings.refit:
            return deadline
        return deadline - refit_seconds(self.settings) - self.finisher.seconds_needed

    def _seconds_left(self) -> float | None:
        deadline = self._deadline()
        return None if deadline is None else deadline - time.monotonic()

    def _first_model(self) -> tuple[TrainingLog, Architecture, Architecture]:
        """Train and export something small, so that there is a result from here on."""
        seconds = self._first_seconds()
        self.reporter.stage("first small model", seconds)
        architecture = self.space.canonical({**scaled_widths(self.space, 0.5), **shallow(self.space)})
        feasible = self.feasible_in(self.space)
        if not feasible(architecture):
            max_work = training_work(self.space.network_spec(architecture))
            architecture = default_network(self.predict_cost, feasible, max_work)
        recipe = recipe_space().default()
        model, log = self._train_small("first small model", architecture, recipe)
        try:
            self.finisher.finish(architecture, model)
        except ExportError as error:
            self.reporter.message(f"The first small model could not be exported: {error}")
        return log, architecture, recipe

    def _train_small(
        self, name: str, network: Architecture, recipe: Architecture, data: PreparedData | None = None
    ) -> tuple[keras.Model, TrainingLog]:
        model = self.spaces.build(network, seed=self.settings.seed)
        train = (data or self.data).weighted(self.data.train)
        seconds = self._first_seconds()
        epochs = min(self.settings.epochs or FIRST_MODEL_EPOCHS, FIRST_MODEL_EPOCHS)
        steps = self.settings.steps(epochs, train.num_examples) if seconds is None else None
        log = train_network(
            model,
            train.images,
            train.codes,
            self.settings.trained_by(recipe),
            Limit(steps=steps, seconds=seconds),
            sample_weight=train.sample_weight,
            batch_size=self.settings.batch_size,
            seed=self.settings.seed,
            on_progress=self.reporter.advance,
            task=self.data.info.task,
        )
        self.journal.keep_curve(name, log.curve)
        return model, log

    def _first_seconds(self) -> float | None:
        if self.settings.time_limit is None:
            return None
        return float(np.clip(FIRST_MODEL_SHARE * self.settings.time_limit, *FIRST_MODEL_SECONDS))

    def _make_plan(self, log: TrainingLog, architecture: Architecture, recipe: Architecture) -> Plan:
        probes: tuple[Probe, ...] = ()
        means, first_recipe = self._means(log, architecture), recipe
        if is_worth_probing(self.space, means):
            recipe, probes = self._probe(architecture, recipe)
        if self.settings.balance_classes and self.finisher.best is not None:
            probes += (self._balance(self.finisher.best.model, architecture, first_recipe),)
        plan = make_plan(self.predict_cost, self.feasible_in, recipe, probes, self._means(log, architecture))
        return plan if self.settings.has_auto_augmentation else without_augmentation(plan)

    def _balance(self, first: keras.Model, architecture: Architecture, recipe: Architecture) -> Probe:
        """Choose how much rare classes count in the loss; from here on they do."""
        self.reporter.stage("probe class weights", self._first_seconds())
        train = partial(self._train_small, "probe: class weights", architecture, recipe)
        probe = probe_balance(first, lambda data: train(data)[0], self.data, small_sample(self.data.validation))
        self._weigh_classes(probe.chosen)
        return probe

    def _weigh_classes(self, power: float) -> None:
        self.data = with_balance(self.data, power)
        self.finisher.train = self.data.weighted(self.finisher.train)

    def _means(self, log: TrainingLog, architecture: Architecture) -> Means:
        return Means(
            seconds_left=self._seconds_left(),
            work_per_second=log.images_per_second * training_work(self.space.network_spec(architecture)),
            setup_per_layer=log.setup_seconds / sum(1 for _ in self.space.network_spec(architecture).convs()),
            num_train=self.finisher.train.num_examples,
            num_validation=self.data.validation.num_examples,
            steps_per_epoch=self.settings.steps(1, self.finisher.train.num_examples) or 1,
            max_trials=self.settings.max_trials,
            epochs=self.settings.epochs,
            system=self.settings.system,
            macro=self.settings.macro,
        )

    def _probe(self, architecture: Architecture, recipe: Architecture) -> tuple[Architecture, tuple[Probe, ...]]:
        """Decide yes/no priors of the recipe with the first small network, or one like it."""
        if self.finisher.best is None:
            return recipe, ()

        def train(other: Architecture) -> keras.Model:
            self.reporter.stage("probe optimizer", self._first_seconds())
            return self._train_small(f"probe: {other['optimizer']}", architecture, other)[0]

        is_long = self.settings.time_limit is not None and self.settings.time_limit >= OPTIMIZER_PROBE_SECONDS
        evaluating = self.reporter.evaluating
        return probe_recipe(self.finisher.best.model, recipe, self.data, evaluating, train if is_long else None)
