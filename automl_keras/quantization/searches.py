"""Which bit policy to choose: the named searches over a space of policies."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from automl_keras.errors import ExportError, InfeasibleBudgetError, InvalidArgumentError, SearchError
from automl_keras.evaluation import Evaluation
from automl_keras.evaluation.evaluator import Evaluator
from automl_keras.quantization.bit_space import BitSpace
from automl_keras.quantization.features import haq_features
from automl_keras.quantization.ilp import (
    LinearLimit,
    neighbours,
    no_file_fits,
    solve_for_file,
    solve_policy,
    unreachable,
)
from automl_keras.quantization.sensitivity import LOSS, Sensitivities, largest_policy, sensitivities
from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.tuners import (
    DDPGStrategy,
    EvolutionStrategy,
    RandomStrategy,
    Strategy,
    WallRandomStrategy,
    budget_wall,
)


@dataclass
class PolicySearch:
    """What a search is given, see `run_search`, and what it has evaluated so far.

    Attributes:
        evaluations: By policy, in the order made.
    """

    space: SearchSpace
    evaluator: Evaluator
    feasible: Callable[[Architecture], bool] | None
    limits: Sequence[LinearLimit]
    measure: Callable[[Architecture], float] | None
    trials: int
    objective: str
    seed: int | None
    features: Sequence[Sequence[float]] | None
    deadline: float | None
    evaluations: dict[Architecture, Evaluation] = field(default_factory=dict)
    _sizes: dict[Architecture, float] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Whether all trials or all the time is used."""
        return len(self.evaluations) >= self.trials or self.is_late()

    def is_late(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def evaluate(self, policy: Architecture) -> Evaluation:
        """The evaluation of a policy, made at most once."""
        if policy not in self.evaluations:
            self.evaluations[policy] = self.evaluator.evaluate(policy)
        return self.evaluations[policy]

    def loss(self, policy: Architecture) -> float:
        """The cross-entropy of a policy, infinite if the evaluation failed."""
        evaluation = self.evaluate(policy)
        return math.inf if evaluation.failed(LOSS) else evaluation.metrics[LOSS]

    def is_predicted_to_fit(self, policy: Architecture) -> bool:
        """Whether a policy is feasible and within the limits, without its file."""
        return self._is_within(policy, self.limits)

    def fits(self, policy: Architecture) -> bool:
        """Whether a policy is feasible and within the limits, by the size of its file if that is measured."""
        if self.measure is None:
            return self._is_within(policy, self.limits)
        return self._is_within(policy, self.limits[1:]) and self.size(policy) <= self.limits[0].limit

    def size(self, policy: Architecture) -> float:
        """The measured size of a policy's file, infinite if there can be none: the evaluator says why."""
        assert self.measure is not None
        if policy not in self._sizes:
            try:
                self._sizes[policy] = self.measure(policy)
            except ExportError:
                self._sizes[policy] = math.inf
        return self._sizes[policy]

    def _is_within(self, policy: Architecture, limits: Sequence[LinearLimit]) -> bool:
        return all(limit.allows(policy) for limit in limits) and (self.feasible is None or self.feasible(policy))


def run_search(
    name: str,
    space: SearchSpace,
    evaluator: Evaluator,
    feasible: Callable[[Architecture], bool] | None = None,
    *,
    limits: Sequence[LinearLimit] = (),
    measure: Callable[[Architecture], float] | None = None,
    trials: int,
    objective: str = "val_accuracy",
    seed: int | None = None,
    features: Sequence[Sequence[float]] | None = None,
    deadline: float | None = None,
) -> list[Evaluation]:
    """Search the policies within a budget.

    ```python
    size = LinearLimit.additive(files.predict_size, files.space, 60_000)
    best, *others = run_search(
        "ilp", files.space, evaluator, limits=[size], measure=lambda policy: len(files.export(policy)), trials=50
    )
    ```

    Args:
        name: A key of `SEARCHES`.

            - "ilp": sensitivities, the exact integer programme, refinement by the size of the real file, then by the
              real loss of policies near by.
            - "evolution": begins with the policy of the integer programme.
            - "ddpg": HAQ's agent.
            - "random": draws that are lowered to the budget.
        space: The policies; options ascend.
        evaluator: Gives `val_loss`, the cross-entropy, and the objective.
        feasible: Whether a policy is within the budget, besides `limits`. `None` allows all.
        limits: What of the budget is a sum over the layers. The integer programme knows of these alone; its policy is
            lowered if it is not feasible.
        measure: The size of the real file of a policy, in the unit of the first of `limits`, which then only
            predicts it. What does not really fit is no result, nor what raises an `ExportError`.
        trials: How many policies are evaluated, if there are so many. "ilp" and "evolution" take what the
            sensitivities need, one for each smaller option of each layer and two, even if that is more.
        objective: By which the result is chosen, of equal ones by the cross-entropy.
        seed: Seeds the strategies. `None` draws one.
        features: Numbers for each decision that "ddpg" sees. `None`: `haq_features` of a `BitSpace`, else those of
            `DDPGStrategy`.
        deadline: A time of `time.monotonic()` at which to end. What sensitivities are not known by then leave their
            layers at their largest options, if the budget is met so. A policy within the budget is always found if
            there is one, so a file may be measured and evaluated after the deadline.

    Returns:
        The evaluations of policies within the budget: the successful ones, the best first, then those that failed.

    Raises:
        InvalidArgumentError: If the name is unknown, `trials` is not positive, or a measure has no limit.
        InfeasibleBudgetError: If no policy is within the budget; if that is seen from the smallest policy, before
            anything is evaluated.
        SearchError: If no evaluation within the budget succeeded, or the one that sensitivities are relative to failed.
    """
    if name not in SEARCHES:
        raise InvalidArgumentError(f"`search` must be one of {sorted(SEARCHES)}. Received: search={name!r}")
    if trials < 1:
        raise InvalidArgumentError(f"`trials` must be at least 1. Received: trials={trials}")
    if measure is not None and not limits:
        raise InvalidArgumentError("`measure` must have the limit of the size among `limits`. Received: limits=()")
    search = PolicySearch(space, evaluator, feasible, limits, measure, trials, objective, seed, features, deadline)
    _check_reachable(search)
    SEARCHES[name](search)
    if not any(evaluation.error is None and search.fits(policy) for policy, evaluation in search.evaluations.items()):
        policy = budget_wall(space, largest_policy(space), search.fits)
        if policy is not None:
            search.evaluate(policy)
    return _ranked(search)


def _check_reachable(search: PolicySearch) -> None:
    """Refuse a limit that the policy of the least cost exceeds."""
    predicted = search.limits if search.measure is None else search.limits[1:]
    if not all(limit.allows(_cheapest(search, limit)) for limit in predicted):
        raise InfeasibleBudgetError(unreachable(search.limits))
    if search.measure is not None:
        size = search.limits[0]
        smallest = search.size(_cheapest(search, size))
        if size.limit < smallest < math.inf:
            raise InfeasibleBudgetError(no_file_fits(size, smallest))


def _cheapest(search: PolicySearch, limit: LinearLimit) -> Architecture:
    return search.space.canonical({name: min(costs, key=costs.__getitem__) for name, costs in limit.costs.items()})


def _ranked(search: PolicySearch) -> list[Evaluation]:
    """The evaluations within the budget, the best first and failed ones last."""
    succeeded, failed = [], []
    for policy, evaluation in search.evaluations.items():
        if not evaluation.failed(search.objective):
            succeeded += [evaluation] * search.fits(policy)
        else:  # of which there may be no file
            failed += [evaluation] * search.is_predicted_to_fit(policy)
    if not succeeded and not failed:
        raise InfeasibleBudgetError(unreachable(search.limits))
    if not succeeded:
        reasons = sorted({str(evaluation.error) for evaluation in failed})
        raise SearchError(f"No policy within the budget could be evaluated. Received: {reasons}")
    return best_first(succeeded, search.space, search.objective) + failed


def best_first(evaluations: Sequence[Evaluation], space: SearchSpace, objective: str) -> list[Evaluation]:
    """Successful evaluations by the objective, of equal ones by the cross-entropy."""
    judge = RandomStrategy(space, objective, seed=0)  # knows the direction of the objective

    def rank(evaluation: Evaluation) -> tuple[float, float]:
        return judge.score(evaluation), -evaluation.metrics.get(LOSS, math.inf)

    return sorted(evaluations, key=rank, reverse=True)


def _solution(search: PolicySearch) -> tuple[Architecture, Sensitivities]:
    """The policy of the integer programme within the budget, and the sensitivities."""
    rises = sensitivities(search.evaluate, search.space, order=_largest_first(search), is_late=search.is_late)
    try:
        if search.measure is None:
            policy = solve_policy(rises, search.limits)
        else:
            policy = solve_for_file(rises, search.limits[0], search.size, search.limits[1:])
    except InfeasibleBudgetError:  # with the options that could be measured in time
        policy = largest_policy(search.space)
    lowered = budget_wall(search.space, policy, search.fits)
    if lowered is None:
        raise InfeasibleBudgetError(unreachable(search.limits))
    return lowered, rises


def _largest_first(search: PolicySearch) -> list[str]:
    """Layers, by how much of the first limit they can save."""
    if not search.limits:
        return list(search.space.names)
    costs = search.limits[0].costs
    return sorted(search.space.names, key=lambda name: min(costs[name].values()) - max(costs[name].values()))


def _integer_programme(search: PolicySearch) -> None:
    """Walk to better policies near by, as judged by the real loss, until the trials are used."""
    policy, rises = _solution(search)
    loss = search.loss(policy)

    def is_possible(other: Architecture) -> bool:
        return search.is_predicted_to_fit(other) and search.fits(other)

    def improved() -> Architecture | None:
        # A failed policy is no result: the trials then end with the first that is one.
        if search.is_over and loss < math.inf:
            return None
        for neighbour in neighbours(policy, rises, is_possible):
            if search.loss(neighbour) < loss:
                return neighbour
            if search.is_over and loss < math.inf:
                return None
        return None

    while (better := improved()) is not None:
        policy, loss = better, search.loss(better)


def _evolution(search: PolicySearch) -> None:
    """Regularized evolution, which begins with the policy of the integer programme."""
    policy, _ = _solution(search)

    def feasible(other: Architecture) -> bool:
        return other == policy or search.is_predicted_to_fit(other)

    search.evaluate(policy)
    strategy = EvolutionStrategy(search.space, search.objective, feasible=feasible, seed=search.seed)
    strategy.tell(list(search.evaluations.values()))  # those within the budget; the policy is the latest
    _run(search, strategy)


def _ddpg(search: PolicySearch) -> None:
    features = search.features
    if features is None and isinstance(search.space, BitSpace):
        features = haq_features(search.space)
    _run(
        search,
        DDPGStrategy(
            search.space, search.objective, feasible=search.is_predicted_to_fit, seed=search.seed, features=features
        ),
    )


def _random(search: PolicySearch) -> None:
    _run(
        search,
        WallRandomStrategy(search.space, search.objective, feasible=search.is_predicted_to_fit, seed=search.seed),
    )


def _run(search: PolicySearch, strategy: Strategy) -> None:
    while not search.is_over:
        proposals = strategy.ask()
        if not proposals:
            return
        strategy.tell([search.evaluate(proposals[0])])


SEARCHES: Mapping[str, Callable[[PolicySearch], None]] = {
    "ilp": _integer_programme,
    "ddpg": _ddpg,
    "evolution": _evolution,
    "random": _random,
}
