"""Searches of a space whose losses and sizes are sums over the layers, so that the best policy is known."""

import math
import time
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from automl_keras.errors import ExportError, InfeasibleBudgetError, InvalidArgumentError, SearchError
from automl_keras.evaluation import Cost, Evaluation
from automl_keras.quantization.ilp import LinearLimit
from automl_keras.quantization.searches import SEARCHES, run_search
from automl_keras.search_space import Architecture, Decision, SearchSpace

# The agent learns in every step: its long searches are slow.
FAST = [pytest.param(name, marks=pytest.mark.slow) if name == "ddpg" else name for name in SEARCHES]
WEIGHTS = {"stem": 200, "first": 900, "second": 1500, "third": 1100, "dense": 640}
SPACE = SearchSpace([Decision(name, (2, 4, 8), default=8) for name in WEIGHTS])
RISES = {"stem": 1.0, "first": 0.1, "second": 0.25, "third": 0.5, "dense": 0.02}
BYTES = {name: {bits: weights * bits / 8 for bits in (2, 4, 8)} for name, weights in WEIGHTS.items()}
LIMIT = 2_600.0
SIZE = LinearLimit(BYTES, LIMIT)
POLICIES = [Architecture(dict(zip(WEIGHTS, bits, strict=True))) for bits in product((2, 4, 8), repeat=5)]


class ToyEvaluator:
    """The loss is a sum over the layers, and 0.3 more where neighbours `pair` both have fewer than 8 bits.

    Args:
        crashes: Policies whose evaluation fails.
        pair: Of this no sensitivity tells.
    """

    def __init__(self, crashes: Any = lambda policy: False, pair: tuple[str, ...] = ()) -> None:
        self.crashes = crashes
        self.pair = pair
        self.evaluated: list[Architecture] = []

    def loss(self, policy: Architecture) -> float:
        rise = sum(RISES[name] * (1 / int(bits) - 1 / 8) for name, bits in policy.items())
        return 0.4 + rise + 0.3 * (bool(self.pair) and all(int(policy[name]) < 8 for name in self.pair))

    def evaluate(self, architecture: Architecture) -> Evaluation:
        self.evaluated.append(architecture)
        if self.crashes(architecture):
            return Evaluation(architecture, {"val_accuracy": 1.0}, error="crashed", source="file")
        loss = self.loss(architecture)
        metrics = {"val_accuracy": math.exp(-loss), "val_loss": loss}
        return Evaluation(architecture, metrics, Cost(size_kb=SIZE.cost(architecture) / 1000), source="file")


def search(name: str, evaluator: ToyEvaluator, **arguments: Any) -> list[Evaluation]:
    trials = 24 if name == "ddpg" else 60  # the agent learns from the 21st on, 10 ms for each layer
    return run_search(name, SPACE, evaluator, **{"limits": [SIZE], "trials": trials, "seed": 0, **arguments})


def best_of_all(evaluator: ToyEvaluator) -> float:
    return min(evaluator.loss(policy) for policy in POLICIES if SIZE.cost(policy) <= LIMIT)


@pytest.mark.parametrize("name", FAST)
def test_results_are_ranked_within_the_budget_and_repeatable(name: str) -> None:
    evaluator, again = ToyEvaluator(), ToyEvaluator()
    found = search(name, evaluator)
    assert len(set(evaluator.evaluated)) == len(evaluator.evaluated) <= 60
    assert all(SIZE.allows(evaluation.architecture) for evaluation in found)
    accuracies = [evaluation.metrics["val_accuracy"] for evaluation in found]
    assert accuracies == sorted(accuracies, reverse=True)
    assert search(name, again) == found
    assert again.evaluated == evaluator.evaluated


@pytest.mark.parametrize("name", ["ilp", "evolution"])
def test_where_sensitivities_say_all_the_programme_finds_the_best(name: str) -> None:
    """With no more evaluations than the sensitivities and one."""
    evaluator = ToyEvaluator()
    [best, *_] = search(name, evaluator, trials=1)
    assert len(evaluator.evaluated) == 1 + 2 * len(WEIGHTS) + 1
    assert best.metrics["val_loss"] == pytest.approx(best_of_all(evaluator))


def test_the_real_loss_decides_among_neighbours() -> None:
    """Which finds out what no sensitivity tells: that two layers must not both be small."""
    evaluator = ToyEvaluator(pair=("first", "second"))
    [alone, *_] = search("ilp", evaluator, trials=1)
    [best, *_] = search("ilp", evaluator, trials=60)
    assert best.metrics["val_loss"] < alone.metrics["val_loss"]
    assert best.metrics["val_loss"] == pytest.approx(best_of_all(evaluator))


@pytest.mark.parametrize("name", SEARCHES)
def test_a_failed_evaluation_is_no_result(name: str) -> None:
    """However good it looks; all of the best third fail."""
    limit = sorted(map(ToyEvaluator().loss, filter(SIZE.allows, POLICIES)))[len(POLICIES) // 9]
    evaluator = ToyEvaluator(lambda policy: SIZE.allows(policy) and ToyEvaluator().loss(policy) < limit)
    found = search(name, evaluator)
    states = [evaluation.error for evaluation in found]
    assert states[0] is None
    assert states == sorted(states, key=lambda error: error is not None)
    assert "crashed" in states
    assert min(e.metrics["val_loss"] for e in found if not e.error) == found[0].metrics["val_loss"] >= limit


def test_where_the_programmes_policy_fails_a_neighbour_is_taken() -> None:
    """Even if no trial is left."""
    [best, *_] = search("ilp", ToyEvaluator(), trials=1)
    [found, failed] = search("ilp", ToyEvaluator(lambda policy: policy == best.architecture), trials=1)
    assert failed.architecture == best.architecture
    assert sum(found.architecture[name] != best.architecture[name] for name in WEIGHTS) <= 2


def test_what_the_programme_does_not_know_of_is_met_by_lowering() -> None:
    [unlimited, *_] = search("ilp", ToyEvaluator(), trials=1)
    [best] = search("ilp", ToyEvaluator(), trials=1, feasible=lambda policy: policy["dense"] == 2)
    assert best.architecture == Architecture({**unlimited.architecture, "dense": 2})


@pytest.mark.parametrize("name", ["random", "ddpg", "evolution"])
def test_nothing_but_failures(name: str) -> None:
    with pytest.raises(SearchError, match="crashed"):
        search(name, ToyEvaluator(SIZE.allows), trials=20)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_budget_that_no_policy_meets(name: str) -> None:
    """States the smallest that there is, before anything is evaluated; as measured if it is."""
    evaluator, limits = ToyEvaluator(), [LinearLimit(BYTES, SIZE.smallest - 1.0)]
    with pytest.raises(InfeasibleBudgetError, match=r"reached: 1\.085 kB.*limit=1\.084 kB"):
        search(name, evaluator, limits=limits)
    with pytest.raises(InfeasibleBudgetError, match=r"has 1\.100 kB.*limit=1\.084 kB"):
        search(name, evaluator, limits=limits, measure=lambda policy: SIZE.cost(policy) + 15.0)
    assert evaluator.evaluated == []


@pytest.mark.parametrize("name", SEARCHES)
@pytest.mark.parametrize("extra", [None, 60.0])
def test_late_from_the_start_a_policy_within_the_budget_is_found(name: str, extra: float | None) -> None:
    evaluator = ToyEvaluator()
    measure = None if extra is None else lambda policy: SIZE.cost(policy) + extra
    found = search(name, evaluator, deadline=0.0, measure=measure)
    assert len(evaluator.evaluated) == 1
    assert SIZE.cost(found[0].architecture) + (extra or 0.0) <= LIMIT


def test_with_little_time_the_layers_of_the_most_bytes_are_lowered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the limit is met so; what is not known stays at 8 bits."""
    evaluator = ToyEvaluator()
    monkeypatch.setattr(time, "monotonic", lambda: float(len(evaluator.evaluated)))
    [best, *_] = search("ilp", evaluator, deadline=5.0)
    assert evaluator.evaluated[1:5] == [
        SPACE.canonical({layer: bits}) for layer in ("second", "third") for bits in (2, 4)
    ]
    assert len(evaluator.evaluated) == 6
    assert {name for name, bits in best.architecture.items() if bits == 8} >= {"stem", "first", "dense"}
    evaluator.evaluated.clear()
    [best, *_] = search("ilp", evaluator, deadline=3.0)  # "second" alone does not save enough
    assert SIZE.allows(best.architecture)
    assert any(best.architecture[name] < 8 for name in WEIGHTS if name != "second")


def test_why_the_reference_failed_is_said() -> None:
    with pytest.raises(SearchError, match=r"all others are compared with it\. Received: crashed"):
        search("ilp", ToyEvaluator(lambda policy: policy == SPACE.default()))


@pytest.mark.parametrize("name", FAST)
def test_what_does_not_fit_really_is_no_result(name: str) -> None:
    """Files that are 60 bytes larger than predicted."""
    found = search(name, ToyEvaluator(), measure=lambda policy: SIZE.cost(policy) + 60.0)
    assert all(SIZE.cost(evaluation.architecture) <= LIMIT - 60.0 for evaluation in found)


@pytest.mark.parametrize("name", FAST)
def test_what_cannot_be_made_is_no_result(name: str) -> None:
    """Neither the measuring nor the evaluating of such a policy ends the search."""

    def is_dead(policy: Architecture) -> bool:  # among them the policy of the programme
        return (policy["first"], policy["second"]) == (2, 4)

    def measure(policy: Architecture) -> float:
        if is_dead(policy):
            raise ExportError("a dead layer")
        return SIZE.cost(policy)

    found = search(name, ToyEvaluator(is_dead), measure=measure)
    assert found[0].error is None
    assert not any(is_dead(evaluation.architecture) for evaluation in found if evaluation.error is None)


@pytest.mark.parametrize("name", SEARCHES)
def test_further_conditions_hold(name: str) -> None:
    """Of which the programme does not know."""

    def feasible(policy: Architecture) -> bool:
        return policy["dense"] == 2 or policy["stem"] == 2

    assert all(feasible(evaluation.architecture) for evaluation in search(name, ToyEvaluator(), feasible=feasible))
    with pytest.raises(InfeasibleBudgetError):
        search(name, ToyEvaluator(), feasible=lambda policy: False)


@pytest.mark.parametrize("name", FAST)
def test_without_a_budget(name: str) -> None:
    evaluator = ToyEvaluator()
    assert len(search(name, evaluator, limits=[], trials=22)) == len(evaluator.evaluated) == 22


@pytest.mark.slow
def test_the_agent_sees_what_it_is_given() -> None:
    """Other features, other proposals after the random ones."""
    features = [[float(weights)] for weights in WEIGHTS.values()]
    one, other = ToyEvaluator(), ToyEvaluator()
    search("ddpg", one, trials=32)
    search("ddpg", other, trials=32, features=features)
    assert one.evaluated[:20] == other.evaluated[:20]
    assert one.evaluated != other.evaluated


def test_loss_can_be_the_objective() -> None:
    found = search("random", ToyEvaluator(), objective="val_loss")
    losses = [evaluation.metrics["val_loss"] for evaluation in found]
    assert losses == sorted(losses)
    assert np.isfinite(losses).all()


def test_of_equal_accuracies_the_lower_loss_is_better() -> None:
    class Coarse(ToyEvaluator):
        def evaluate(self, architecture: Architecture) -> Evaluation:
            found = super().evaluate(architecture)
            return replace(found, metrics={**found.metrics, "val_accuracy": 0.9})

    losses = [evaluation.metrics["val_loss"] for evaluation in search("random", Coarse())]
    assert losses == sorted(losses)
    assert len(set(losses)) > 10


@pytest.mark.parametrize(
    ("arguments", "received"),
    [
        ({"name": "bayes"}, "search='bayes'"),
        ({"name": "ilp", "trials": 0}, "trials=0"),
        ({"name": "ilp", "limits": [], "measure": len}, r"limits=\(\)"),
    ],
)
def test_arguments_are_checked_before_anything_is_evaluated(arguments: dict[str, Any], received: str) -> None:
    evaluator = ToyEvaluator()
    with pytest.raises(InvalidArgumentError, match=f"Received: {received}"):
        search(evaluator=evaluator, **arguments)
    assert evaluator.evaluated == []
