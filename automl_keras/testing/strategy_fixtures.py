"""What the checks of strategies share: the fixtures, and how a search is run."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.testing.toy import conditional_space, flat_space, toy_evaluation, toy_score
from automl_keras.tuners.strategy import Strategy

StrategyFactory = Callable[..., Strategy]


def run_search(
    strategy: Strategy, num_trials: int, evaluate: Callable[[Architecture], Evaluation] | None = None
) -> list[Architecture]:
    """Ask for and tell architectures one by one.

    Args:
        strategy: Asked and told.
        num_trials: How many; fewer if the space is exhausted.
        evaluate: Gives what is told. `None`: the toy score, as the strategy's objective.

    Returns:
        The proposals, in order.
    """
    proposals: list[Architecture] = []
    for _ in range(num_trials):
        asked = strategy.ask()
        if not asked:
            break
        strategy.tell([evaluate(a) if evaluate else toy_evaluation(a, strategy.objective) for a in asked])
        proposals += asked
    return proposals


def as_json(strategy: Strategy) -> Any:
    """The state of a strategy as it comes back from a file."""
    return json.loads(json.dumps(strategy.get_state()))


class StrategyFixtures:
    """The fixtures of `StrategyTestCase`.

    Attributes:
        num_warm_up: After so many evaluations the strategy is still in its warm-up.
        num_learned: After so many it proposes what it learnt.
    """

    num_warm_up = 3
    num_learned = 40

    @pytest.fixture
    def make_strategy(self) -> StrategyFactory:
        """The strategy under test."""
        raise NotImplementedError("A subclass of `StrategyTestCase` must define the fixture `make_strategy`.")

    @pytest.fixture(params=[flat_space(), conditional_space()], ids=["flat", "conditional"])
    def space(self, request: pytest.FixtureRequest) -> SearchSpace:
        """A space larger and one smaller than the number of proposals."""
        space: SearchSpace = request.param
        return space

    @pytest.fixture(params=["new", "warm_up", "learned", "resumed"])
    def make_in_phase(self, request: pytest.FixtureRequest, make_strategy: StrategyFactory) -> StrategyFactory:
        """As `make_strategy`, but somewhere in a search; a third of the space has been told at most."""
        phase = request.param
        num_told = {"new": 0, "warm_up": self.num_warm_up}.get(phase, self.num_learned)

        def make(space: SearchSpace, *arguments: Any, **settings: Any) -> Strategy:
            strategy = make_strategy(space, *arguments, **settings)
            run_search(strategy, min(num_told, space.size // 3))
            if phase != "resumed":
                return strategy
            resumed = make_strategy(space, *arguments, **settings)
            resumed.set_state(as_json(strategy))
            return resumed

        return make


def is_fair(architecture: Architecture) -> bool:
    """Six in ten of the conditional space and three in four of the flat one."""
    return toy_score(architecture) > 0.45


def is_light(architecture: Architecture) -> bool:
    """One in 42 of the flat space."""
    return sum(int(option) for option in architecture.values()) <= 3
