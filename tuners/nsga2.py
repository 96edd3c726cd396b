"""NSGA-II: evolve the trade-off between the objective and what a network costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields

import numpy as np

from automl_keras.errors import InvalidArgumentError, InvalidTypeError
from automl_keras.evaluation import Cost, Evaluation
from automl_keras.search_space import Architecture, Option, SearchSpace
from automl_keras.tuners.named_oracle import NamedOracle
from automl_keras.tuners.strategy import Objective, Strategy

COST_NAMES = tuple(field.name for field in fields(Cost))


class NSGA2Strategy(Strategy):
    """NSGA-II (Deb et al., IEEE Transactions on Evolutionary Computation 6(2), 2002), as FairNAS searches.

    It improves the objective and lowers the named costs at once. Evaluations are ordered by the front
    they are in (1: dominated by none; 2: dominated by those of the first alone; ...) and, within a front,
    by their crowding distance, the lonelier first. The first `population_size` can become parents.
    Each parent is the better of two drawn; a child takes each decision from either parent, then
    mutates.

    ```python
    strategy = NSGA2Strategy(space, costs=("size_kb", "latency_ms"), seed=0)
    ...
    for evaluation in strategy.pareto_front():
        print(evaluation.metrics["val_accuracy"], evaluation.cost.size_kb)
    ```

    An unknown cost counts as a little more than the largest known one. So a network whose size is
    unknown is dominated by any of known size that is at least as good. `best` is the best in the objective
    alone.

    Differences from the paper: parents are the best of all evaluations, chosen again after each one,
    instead of the best of two generations of equal size, so no good network is lost, results count at
    once, and any number of workers can ask. No architecture is evaluated twice. Decisions are categorical: crossover
    is uniform, and a mutated decision gets any of its other options. The population is smaller, for 50
    to 300 evaluations: FairNAS (Chu et al., ICCV 2021) evaluated some 14,000 networks with one of 70.

    Args:
        space: See `Strategy`.
        objective: See `Strategy`.
        feasible: See `Strategy`.
        seed: See `Strategy`.
        initial: See `Strategy`. They are part of the first population.
        costs: Names of fields of `Cost`, all to be lowered.
        population_size: Number of evaluations that can become parents; as many random architectures
            come first.
        crossover_probability: How often a child has two parents; else it is a mutant of one.
        mutation_probability: With which each decision of a child changes. `None` is one over the
            number of decisions, as in the paper.

    Raises:
        InvalidTypeError: If `costs` is a string.
        InvalidArgumentError: If `costs` is empty, repeated or unknown, `population_size` below 2 or a
            probability not in [0, 1]; also as `Strategy`.
    """

    def __init__(
        self,
        space: SearchSpace,
        objective: str | Objective = "val_accuracy",
        *,
        feasible: Callable[[Architecture], bool] | None = None,
        seed: int | None = None,
        initial: Sequence[Mapping[str, Option]] = (),
        costs: Sequence[str] = ("size_kb",),
        population_size: int = 20,
        crossover_probability: float = 0.9,
        mutation_probability: float | None = None,
    ) -> None:
        super().__init__(space, objective, feasible=feasible, seed=seed, initial=initial)
        self.costs = _checked_costs(costs)
        if population_size < 2:
            raise InvalidArgumentError(
                f"`population_size` must be at least 2. Received: population_size={population_size}"
            )
        self.population_size = population_size
        self.crossover_probability = _checked_probability("crossover_probability", crossover_probability)
        if mutation_probability is not None:
            _checked_probability("mutation_probability", mutation_probability)
        self.mutation_probability = mutation_probability
        self._sorted: tuple[Evaluation, ...] = ()
        self._population: list[Evaluation] = []

    @property
    def population(self) -> list[Evaluation]:
        """The possible parents, the best first: by front, then by crowding distance."""
        evaluations = self.evaluations
        if evaluations != self._sorted:
            values = self._values(evaluations)
            ranked: list[int] = []
            for front in non_dominated_fronts(values):
                ranked += front[np.argsort(-crowding_distances(values[front]), kind="stable")].tolist()
                if len(ranked) >= self.population_size:
                    break
            self._population = [evaluations[index] for index in ranked[: self.population_size]]
            self._sorted = evaluations
        return self._population

    def pareto_front(self) -> list[Evaluation]:
        """The evaluations that no other dominates: as good in everything and better in something; the best first."""
        evaluations = self.evaluations
        if not evaluations:
            return []
        front = [evaluations[index] for index in non_dominated_fronts(self._values(evaluations))[0]]
        return sorted(front, key=self.score, reverse=True)

    def propose(self, rng: np.random.Generator) -> Architecture:
        """A sample of the space while the first population is incomplete, then a child of the population."""
        if not self.evaluations or len(self.evaluations) + len(self.pending) < self.population_size:
            return self.space.sample(rng)
        population = self.population
        # Each the better of two, drawn with replacement; the population is ordered.
        first, second = (population[index].architecture for index in rng.integers(len(population), size=(2, 2)).min(1))
        child = self.space.crossover(first, second, rng) if rng.random() < self.crossover_probability else first
        num_changeable = sum(len(self.space[name].options) > 1 for name in child)
        probability = self.mutation_probability
        if probability is None:
            probability = 1.0 / max(1, num_changeable)
        for _ in range(rng.binomial(num_changeable, probability)):
            child = self.space.mutate(child, rng)
        return child

    def _values(self, evaluations: Sequence[Evaluation]) -> np.ndarray:
        """What is minimised, float64 of shape `(evaluations, 1 + costs)`."""
        columns = [np.array([-self.score(evaluation) for evaluation in evaluations])]
        for name in self.costs:
            known = np.array([getattr(evaluation.cost, name) for evaluation in evaluations], dtype=np.float64)
            is_known = np.isfinite(known)
            largest = known[is_known].max(initial=0.0)
            columns.append(np.where(is_known, known, np.nextafter(largest, math.inf)))
        return np.stack(columns, axis=1)


def non_dominated_fronts(values: np.ndarray) -> list[np.ndarray]:
    """The fast non-dominated sort (section III-A): indices of each front in ascending order, the best front first.

    Args:
        values: What is minimised, of shape `(points, objectives)`.
    """
    no_worse = np.ones((len(values), len(values)), dtype=bool)
    for column in values.T:
        no_worse &= column[:, None] <= column[None, :]
    dominates = no_worse & ~no_worse.T
    num_dominating = dominates.sum(axis=0)
    is_left = np.ones(len(values), dtype=bool)
    fronts = []
    while is_left.any():
        front = np.flatnonzero(is_left & (num_dominating == 0))
        is_left[front] = False
        num_dominating -= dominates[front].sum(axis=0)
        fronts.append(front)
    return fronts


def crowding_distances(values: np.ndarray) -> np.ndarray:
    """How lonely each point of a front is (section III-B): the extremes are infinitely so.

    In each objective, the distance between the neighbours on both sides over the range of the front, summed.

    Args:
        values: Of shape `(points, objectives)`.
    """
    distances = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        distances[order[[0, -1]]] = math.inf
        extent = column[order[-1]] - column[order[0]]
        if extent > 0:
            distances[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / extent
    return distances


def _checked_costs(costs: Sequence[str]) -> tuple[str, ...]:
    if isinstance(costs, str):
        raise InvalidTypeError(f"`costs` must be a sequence of names. Received: costs={costs!r}")
    if not costs or len(set(costs)) != len(costs) or not set(costs) <= set(COST_NAMES):
        raise InvalidArgumentError(f"`costs` must be one or more out of {COST_NAMES}. Received: costs={tuple(costs)}")
    return tuple(costs)


def _checked_probability(name: str, value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise InvalidArgumentError(f"`{name}` must be from 0 to 1. Received: {name}={value}")
    return value


class NSGA2Oracle(NamedOracle):
    """`NSGA2Strategy` for Keras-Tuner; takes its arguments too."""

    strategy_class = NSGA2Strategy
