from collections.abc import Callable
from itertools import product

import numpy as np
import pytest

from automl_keras.search_space import Architecture, Decision, SearchSpace
from automl_keras.testing import StrategyTestCase, conditional_space, run_search
from automl_keras.tuners import RandomStrategy, WallRandomStrategy, budget_wall

SIZES = (90, 10, 400, 30, 1000)
EIGHT_BITS = SearchSpace([Decision(f"layer{i}", tuple(range(1, 9)), default=8) for i in range(len(SIZES))])


class TestWallRandomStrategy(StrategyTestCase):
    @pytest.fixture
    def make_strategy(self) -> Callable[..., WallRandomStrategy]:
        return WallRandomStrategy


def cost(policy: Architecture) -> int:
    return sum(size * int(policy[f"layer{i}"]) for i, size in enumerate(SIZES))


def within(limit: float) -> Callable[[Architecture], bool]:
    return lambda policy: cost(policy) <= limit


def as_haq(bits: list[int], limit: float) -> list[int]:
    """The loop of HAQ's released code, over plain lists."""
    while sum(s * b for s, b in zip(SIZES, bits, strict=True)) > limit:
        for place in reversed(range(len(bits))):
            bits[place] -= bits[place] > 1
            if sum(s * b for s, b in zip(SIZES, bits, strict=True)) <= limit:
                break
    return bits


def test_it_cuts_as_haq_and_gives_back_what_fits() -> None:
    rng = np.random.default_rng(0)
    num_refilled = 0
    for _ in range(300):
        drawn, limit = EIGHT_BITS.sample(rng), float(rng.integers(sum(SIZES), 8 * sum(SIZES)))
        found = budget_wall(EIGHT_BITS, drawn, within(limit))
        assert found is not None
        cut = as_haq([int(bits) for bits in drawn.values()], limit)
        assert all(low <= found[name] <= drawn[name] for low, name in zip(cut, drawn, strict=True))
        assert cost(found) <= limit
        num_refilled += list(found.values()) != cut
        for name in drawn:  # no notch that was taken can be given back
            if found[name] < drawn[name]:
                assert cost(EIGHT_BITS.canonical({**found, name: int(found[name]) + 1})) > limit
    assert num_refilled > 50


def test_order_of_the_cuts() -> None:
    """The last layer first, then the one before, a notch each; again from the end only then."""
    full = EIGHT_BITS.default()
    [one, two, six] = [budget_wall(EIGHT_BITS, full, within(cost(full) - less)) for less in (1, 1001, 1531)]
    assert [*one.values()] == [8, 8, 8, 8, 7]
    assert [*two.values()] == [8, 8, 8, 7, 7]
    assert [*six.values()] == [8, 8, 8, 8, 6]  # five notches and the sixth alone, the others are given back


def test_what_fits_is_left_alone_and_what_cannot_is_none() -> None:
    full = EIGHT_BITS.default()
    assert budget_wall(EIGHT_BITS, full, within(cost(full))) == full
    assert budget_wall(EIGHT_BITS, full, within(sum(SIZES))) == EIGHT_BITS.canonical(dict.fromkeys(full, 1))
    assert budget_wall(EIGHT_BITS, full, within(sum(SIZES) - 1)) is None


def test_decisions_that_are_not_always_active() -> None:
    """From every architecture to the one that is lowest in all decisions, and to any other that is feasible."""
    space = conditional_space()
    values = product(*(decision.options for decision in space.decisions))
    for architecture in {space.canonical(dict(zip(space.names, v, strict=True))) for v in values}:
        lowest = budget_wall(space, architecture, lambda a: all(a[n] == space[n].options[0] for n in a))
        assert lowest == space.canonical({decision.name: decision.options[0] for decision in space.decisions})


def test_draws_come_close_to_the_limit() -> None:
    """Where few samples are feasible."""
    limit = 0.3 * 8 * sum(SIZES)
    walled = run_search(WallRandomStrategy(EIGHT_BITS, feasible=within(limit), seed=0), 50)
    sampled = run_search(RandomStrategy(EIGHT_BITS, feasible=within(limit), seed=0), 50)
    assert all(cost(policy) <= limit for policy in walled)
    assert np.mean([cost(policy) for policy in walled]) > np.mean([cost(policy) for policy in sampled])
