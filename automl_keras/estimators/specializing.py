"""`Specializer`: asks shared weights for networks of other devices, without training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import keras

from automl_keras.errors import ExportError, InfeasibleBudgetError
from automl_keras.estimators.default_network import feasibility
from automl_keras.estimators.latency import MARGIN
from automl_keras.estimators.shared_weights import SharedWeights
from automl_keras.evaluation import Budget, CostPredictor, Evaluation, LatencyTable, OneShotEvaluator
from automl_keras.export import TFLiteReport, export_int8, measure_file
from automl_keras.search_space import Architecture, NetworkSpace
from automl_keras.training import predict
from automl_keras.tuners import NSGA2Strategy, PredictorStrategy, RandomStrategy, Strategy

INITIAL_TRIALS = 60  # from so many evaluations on the predictor is worth asking
TRIALS_PER_BUDGET = 4
NUM_CANDIDATES = 3
CALIBRATION_SEED = 0


class Specializer:
    """Finds subnets for budgets, by an accuracy predictor first and shared weights then (Cai et al., ICLR 2020).

    What is evaluated for one budget is known for the next.

    Args:
        shared: The trained supernet.
        known: Evaluations with these shared weights.
        objective: The metric to improve.
        seed: Of all proposals.
    """

    def __init__(self, shared: SharedWeights, known: Sequence[Evaluation], *, objective: str, seed: int = 0) -> None:
        self.shared = shared
        self.objective = objective
        self.seed = seed
        self.generation = int(shared.description["generation"])
        self.known = {e.architecture: e for e in known if self._is_usable(e)}
        self._latency_table: LatencyTable | None = None

    def _is_usable(self, evaluation: Evaluation) -> bool:
        return (
            evaluation.source == "shared_weights"
            and evaluation.generation == self.generation
            and not evaluation.failed(self.objective)
        )

    def pareto_front(self, metric: str, max_trials: int) -> list[Evaluation]:
        """Evaluations that no other one beats in both the objective and a cost, cheapest first.

        Args:
            metric: Name of the cost.
            max_trials: How many more networks to evaluate, by NSGA-II.
        """
        if metric == "latency_ms":
            self._predict_latencies()
        strategy = cast(NSGA2Strategy, self._told(NSGA2Strategy, costs=(metric,)))
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
        if len(self.known) < INITIAL_TRIALS:
            # Of all sizes, unlike those of a search under one budget.
            self._ask(self._told(RandomStrategy), INITIAL_TRIALS - len(self.known))
        strategy = self._told(PredictorStrategy)
        strategy.feasible = feasible  # only now: what this budget does not allow is learnt from, too
        self._ask(strategy, TRIALS_PER_BUDGET)
        fitting = [evaluation for evaluation in self.known.values() if feasible(evaluation.architecture)]
        if not fitting:
            raise InfeasibleBudgetError(
                f"No network that was found in the supernet keeps the budget. Received: {budget.limits()}"
            )
        return sorted(fitting, key=lambda evaluation: -evaluation.metrics[self.objective])[:NUM_CANDIDATES]

    def _predict_cost(self) -> CostPredictor[NetworkSpace]:
        return CostPredictor(self.shared.space, self.shared.info, self._latency_table)

    def _predict_latencies(self) -> None:
        """From now on costs have latencies, those of what is known already included."""
        if self._latency_table is None:
            space, info = self.shared.space, self.shared.info
            self._latency_table = LatencyTable.measure(space, input_dtype=info.input_dtype)
            predict_cost = self._predict_cost()
            self.known = {a: replace(known, cost=predict_cost(a)) for a, known in self.known.items()}

    def subnet(self, architecture: Architecture) -> keras.Model:
        """The calibrated subnet, raw pixels to logits."""
        return self.shared.scorer.subnet(architecture)

    def _told(self, strategy_class: type[Strategy], **settings: Any) -> Strategy:
        strategy = strategy_class(self.shared.space, self.objective, seed=self.seed, **settings)
        strategy.tell(list(self.known.values()))
        return strategy

    def _ask(self, strategy: Strategy, number: int) -> None:
        evaluator = OneShotEvaluator(self.shared.scorer, generation=self.generation)
        predict_cost = self._predict_cost()
        for _ in range(number):
            for architecture in strategy.ask():
                evaluation = replace(evaluator.evaluate(architecture), cost=predict_cost(architecture))
                strategy.tell([evaluation])
                self.known[architecture] = evaluation

    def export(self, evaluation: Evaluation, model: keras.Model, path: Path, budget: Budget) -> TFLiteReport:
        """Write the file of a network and measure it on the kept validation images.

        Raises:
            ExportError: If the file does not work or breaks the budget.
        """
        samples = self.shared.samples
        export_int8(
            model, path, self.shared.info, calibration_images=samples["calibration_images"], seed=CALIBRATION_SEED
        )
        logits = predict(model, samples["images"])
        report = measure_file(
            path, samples["images"], samples["codes"], samples.get("sample_weight"), keras_predictions=logits
        )
        cost = replace(evaluation.cost, size_kb=report.size_kb, ram_kb=report.ram_kb, latency_ms=report.latency_ms)
        violations = budget.violations(cost)
        if violations:
            raise ExportError(f"The file breaks the budget: {'; '.join(violations)}")
        return report
