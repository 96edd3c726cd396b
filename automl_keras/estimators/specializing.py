"""`Specializer`: asks shared weights for networks of other devices, without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import keras

from automl_keras.data import Dataset
from automl_keras.errors import InfeasibleBudgetError
from automl_keras.estimators.default_network import Feasible, feasibility, smallest_networks
from automl_keras.estimators.files_within import export_within
from automl_keras.estimators.latency import MARGIN
from automl_keras.estimators.shared_weights import SharedWeights
from automl_keras.evaluation import (
    Budget,
    Cost,
    CostPredictor,
    Evaluation,
    LatencyTable,
    OneShotEvaluator,
    Quantization,
)
from automl_keras.export import TFLiteReport
from automl_keras.search_space import Architecture, ImageSearchSpace, NetworkSpace, Option
from automl_keras.tuners import NSGA2Strategy, PredictorStrategy, RandomStrategy, Strategy

INITIAL_TRIALS = 40  # of all sizes, unlike those of a search under one budget
ENOUGH_KNOWN = 8  # networks within a budget, from which on the predictor is worth asking
TRIALS_PER_BUDGET = 4
NUM_CANDIDATES = 3


class Specializer:
    """Finds subnets for budgets, by an accuracy predictor first and shared weights then (Cai et al., ICLR 2020).

    What is evaluated for one budget is known for the next.

    Args:
        shared: The trained supernet.
        known: Evaluations with these shared weights.
        objective: The metric to improve.
        seed: Of all proposals.
        quantization: Of the files.
    """

    def __init__(
        self,
        shared: SharedWeights,
        known: Sequence[Evaluation],
        *,
        objective: str,
        seed: int = 0,
        quantization: Quantization = "int8",
    ) -> None:
        self.shared = shared
        self.quantization = quantization
        self.objective = objective
        self.seed = seed
        self.generation = int(shared.description["generation"])
        self._has_explored = False
        self._latency_table: LatencyTable | None = None
        predict_cost = self._predict_cost()  # a fit that searched bits predicted other files
        self.known = {
            e.architecture: replace(e, cost=predict_cost(e.architecture)) for e in known if self._is_usable(e)
        }

    def _is_usable(self, evaluation: Evaluation) -> bool:
        return (
            evaluation.source == "shared_weights"
            and evaluation.generation == self.generation
            and not evaluation.failed(self.objective)
        )

    @property
    def held_out(self) -> Dataset:
        """The validation images that are kept with the shared weights."""
        samples = self.shared.samples
        return Dataset(samples["images"], samples["codes"], samples.get("sample_weight"))

    def pareto_front(self, metric: str, max_trials: int) -> list[Evaluation]:
        """Evaluations that no other one beats in both the objective and a cost, cheapest first.

        Args:
            metric: Name of the cost.
            max_trials: How many more networks to evaluate, by NSGA-II.
        """
        if metric == "latency_ms":
            self._predict_latencies()
        strategy = cast(NSGA2Strategy, self._told(NSGA2Strategy, self.shared.space, costs=(metric,)))
        self._ask(strategy, max_trials)
        return sorted(strategy.pareto_front(), key=lambda evaluation: getattr(evaluation.cost, metric))

    def best(self, budget: Budget) -> list[Evaluation]:
        """The best few known networks within a budget, best first, after the search for better ones.

        Raises:
            InfeasibleBudgetError: If no network keeps the budget.
        """
        if budget.max_latency_ms is not None:
            self._predict_latencies()
            budget = replace(budget, max_latency_ms=MARGIN * budget.max_latency_ms)
        feasible = feasibility(self._predict_cost(), budget)
        part = self._part_within(budget, feasible)
        self._explore()
        missing = ENOUGH_KNOWN - len(self._known_in(part, feasible))
        if missing > 0:
            self._ask(self._told(RandomStrategy, part, feasible), missing)
        self._ask(self._told(PredictorStrategy, part, feasible), TRIALS_PER_BUDGET)
        fitting = self._known_in(part, feasible)
        if not fitting:
            raise InfeasibleBudgetError(f"No network was found that keeps the budget. Received: {budget.limits()}")
        return sorted(fitting, key=lambda evaluation: -evaluation.metrics[self.objective])[:NUM_CANDIDATES]

    def _explore(self) -> None:
        if not self._has_explored:
            self._has_explored = True
            self._ask(self._told(RandomStrategy, self.shared.space), INITIAL_TRIALS)

    def _part_within(self, budget: Budget, feasible: Feasible) -> NetworkSpace:
        """The space without the options that break the budget even where all else is smallest.

        Where few networks are feasible it would take thousands of draws to meet one in the whole space.
        """
        space = self.shared.space
        if not isinstance(space, ImageSearchSpace):
            return space
        allowed = [network for network in smallest_networks(space) if feasible(network)]
        if not allowed:
            least = self._predict_cost()(smallest_networks(space)[0])
            raise InfeasibleBudgetError(
                f"The smallest network of the supernet breaks the budget: {'; '.join(budget.violations(least))}. "
                f"Received: {budget.limits()}"
            )

        def fits(name: str, option: Option) -> bool:
            return any(feasible(space.canonical({**network, name: option})) for network in allowed)

        return space.restrict({d.name: [o for o in d.options if fits(d.name, o)] for d in space.decisions})

    def _known_in(self, space: NetworkSpace, feasible: Feasible | None = None) -> list[Evaluation]:
        def is_in(architecture: Mapping[str, Option]) -> bool:
            return all(option in space[name].options for name, option in architecture.items())

        known = [evaluation for evaluation in self.known.values() if is_in(evaluation.architecture)]
        return [each for each in known if feasible is None or feasible(each.architecture)]

    def _predict_cost(self) -> CostPredictor[NetworkSpace]:
        return CostPredictor(self.shared.space, self.shared.info, self._latency_table, quantization=self.quantization)

    def _predict_latencies(self) -> None:
        """From now on costs have latencies, those of what is known already included."""
        if self._latency_table is None:
            space, info = self.shared.space, self.shared.info
            self._latency_table = LatencyTable.measure(
                space, input_dtype=info.input_dtype, quantization=self.quantization
            )
            predict_cost = self._predict_cost()
            self.known = {a: replace(known, cost=predict_cost(a)) for a, known in self.known.items()}

    def subnet(self, architecture: Architecture) -> keras.Model:
        """The calibrated subnet, raw pixels to logits."""
        return self.shared.scorer.subnet(architecture)

    def _told(
        self,
        strategy_class: type[Strategy],
        space: NetworkSpace,
        feasible: Feasible | None = None,
        **settings: Any,
    ) -> Strategy:
        strategy = strategy_class(space, self.objective, seed=self.seed, **settings)
        strategy.tell(self._known_in(space))
        strategy.feasible = feasible  # only now: what this budget does not allow is learnt from, too
        return strategy

    def _ask(self, strategy: Strategy, number: int) -> None:
        evaluator = OneShotEvaluator(self.shared.scorer, generation=self.generation)
        predict_cost = self._predict_cost()
        for _ in range(number):
            for architecture in strategy.ask():
                evaluation = replace(evaluator.evaluate(architecture), cost=predict_cost(architecture))
                strategy.tell([evaluation])
                self.known[architecture] = evaluation

    def export(
        self, evaluation: Evaluation, model: keras.Model, path: Path, budget: Budget
    ) -> tuple[TFLiteReport, Cost]:
        """Write the file of a network and measure it on the kept validation images.

        Raises:
            ExportError: If the file does not work or breaks the budget.
        """
        return export_within(
            model,
            path,
            self.shared.info,
            budget,
            evaluation.cost,
            self.held_out,
            calibration_images=self.shared.samples["calibration_images"],
            seed=self.seed,
            quantization=self.quantization,
        )
