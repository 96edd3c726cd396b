from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, Decision, SearchSpace
from automl_keras.testing import StrategyTestCase, flat_space, run_search, toy_score
from automl_keras.tuners.greedy import GreedyOracle, GreedyStrategy, name_nodes
from automl_keras.tuners.random_search import RandomStrategy
from automl_keras.tuners.strategy import Strategy


class TestGreedyStrategy(StrategyTestCase):
    @pytest.fixture
    def make_strategy(self) -> Callable[..., GreedyStrategy]:
        return GreedyStrategy


def _changed(child: Architecture, parent: Architecture) -> frozenset[str]:
    return frozenset(name for name in child if child[name] != parent.get(name))


def _told(space: SearchSpace, *scores: float) -> GreedyStrategy:
    """A strategy that was told random architectures with these scores."""
    strategy = GreedyStrategy(space, num_initial_points=0, seed=0)
    architectures = RandomStrategy(space, seed=0).ask(len(scores))
    strategy.tell([Evaluation(a, {"val_accuracy": s}) for a, s in zip(architectures, scores, strict=True)])
    return strategy


def test_nodes_of_names() -> None:
    names = ["cell_0/kernel", "cell_0/width", "cell_1/kernel", "cell", "rate"]
    assert set(name_nodes(names)) == {
        tuple(names),
        ("cell_0/kernel", "cell_0/width", "cell_1/kernel", "cell"),
        ("cell_0/kernel", "cell_0/width"),
        *((name,) for name in names),
    }
    assert len(name_nodes(names)) == 8
    # All begin alike: one root, not two nodes that draw everything again.
    assert name_nodes(["block_0", "block_1"]) == [("block_0", "block_1"), ("block_0",), ("block_1",)]
    assert name_nodes(["rate"]) == [("rate",)]
    assert name_nodes([]) == []


def test_node_is_drawn_by_its_number_of_leaves() -> None:
    options = tuple(range(1000))  # the same option again once in a thousand
    space = SearchSpace([Decision(name, options) for name in ("a_x", "a_y", "b")])
    strategy = _told(space, 0.1, 0.9, 0.2)
    best = strategy.best()
    assert best is not None
    counts = Counter(_changed(strategy.propose(np.random.default_rng(i)), best.architecture) for i in range(2000))
    # Weights: 1/3 for the root, 1/2 for "a", 1 for each name; 23/6 in all.
    expected = {("a_x", "a_y", "b"): 2 / 23, ("a_x", "a_y"): 3 / 23, ("a_x",): 6 / 23, ("a_y",): 6 / 23, ("b",): 6 / 23}
    for names, share in expected.items():
        deviation = np.sqrt(2000 * share * (1 - share))
        assert abs(counts[frozenset(names)] - 2000 * share) < 4 * deviation + 4
    assert sum(counts[frozenset(names)] for names in expected) >= 1980


def test_decisions_below_a_drawn_one_are_drawn_too() -> None:
    space = SearchSpace(
        [Decision("operation", ("skip", "conv")), Decision("kernel", (3, 5, 7), parent=("operation", ("conv",)))]
    )
    strategy = GreedyStrategy(space, num_initial_points=0, seed=0)
    strategy.tell([Evaluation(Architecture({"operation": "skip"}), {"val_accuracy": 0.9})])
    kernels = Counter(strategy.propose(np.random.default_rng(i))["kernel"] for i in range(300))
    assert all(70 <= kernels[kernel] <= 130 for kernel in (3, 5, 7))


def test_second_best_is_varied_when_the_best_has_no_news() -> None:
    space = flat_space(8, 2)
    strategy = GreedyStrategy(space, num_initial_points=0, seed=0)
    best = space.default()
    flips = [space.canonical({name: 1}) for name in space.names]
    second = space.canonical(dict.fromkeys(space.names, 1))
    strategy.tell([Evaluation(best, {"val_accuracy": 0.9}), Evaluation(second, {"val_accuracy": 0.8})])
    near_best = [len(_changed(strategy.propose(np.random.default_rng(i)), best)) == 1 for i in range(100)]
    assert sum(near_best) > 90
    strategy.tell([Evaluation(a, {"val_accuracy": 0.1}) for a in flips])
    # 20 draws reach the root, and so a random architecture, once in four times.
    near_second = [len(_changed(strategy.propose(np.random.default_rng(i)), second)) == 1 for i in range(100)]
    assert sum(near_second) > 60


def test_first_points_are_random_and_count_pending() -> None:
    greedy, random = GreedyStrategy(flat_space(), seed=3), RandomStrategy(flat_space(), seed=3)
    assert greedy.ask(9) == random.ask(9)
    first, *_ = greedy.pending
    greedy.tell([Evaluation(first, {"val_accuracy": 0.5})])
    assert greedy.ask() == random.ask()
    assert greedy.ask() != random.ask()


def test_beats_random_search() -> None:
    space = flat_space(5, 6)

    def best_scores(make: Callable[..., Strategy]) -> np.ndarray:
        return np.array([max(map(toy_score, run_search(make(space, seed=seed), 100))) for seed in range(20)])

    greedy, random = best_scores(GreedyStrategy), best_scores(RandomStrategy)
    assert greedy.mean() > random.mean() + 0.03
    assert (greedy > random).mean() >= 0.9


def test_number_of_initial_points_is_checked() -> None:
    with pytest.raises(InvalidArgumentError, match="num_initial_points=-1"):
        GreedyStrategy(flat_space(), num_initial_points=-1)


def test_oracle_takes_the_setting() -> None:
    assert GreedyOracle(space=flat_space(), num_initial_points=4).strategy.num_initial_points == 4
