from collections.abc import Callable

import numpy as np
import pytest

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture
from automl_keras.testing import StrategyTestCase, flat_space, run_search, toy_evaluation, toy_score
from automl_keras.tuners import EvolutionStrategy, RandomStrategy, Strategy


class TestEvolutionStrategy(StrategyTestCase):
    @pytest.fixture
    def make_strategy(self) -> Callable[..., EvolutionStrategy]:
        return EvolutionStrategy


def _distance(first: Architecture, second: Architecture) -> int:
    return sum(first[name] != second[name] for name in first)


def _flat(*options: int) -> Architecture:
    return Architecture({f"d{index}": option for index, option in enumerate(options)})


def test_beats_random_search() -> None:
    space = flat_space(5, 6)  # 7,776 architectures

    def best_scores(make: Callable[..., Strategy]) -> np.ndarray:
        return np.array([max(map(toy_score, run_search(make(space, seed=seed), 200))) for seed in range(20)])

    evolution, random = best_scores(EvolutionStrategy), best_scores(RandomStrategy)
    assert evolution.mean() > random.mean() + 0.03
    assert (evolution > random).mean() >= 0.9


def test_oldest_leaves_though_it_is_the_best() -> None:
    strategy = EvolutionStrategy(flat_space(), seed=0, population_size=3, sample_size=3)
    best = _flat(0, 0, 0, 0, 0, 0, 0, 0)
    others = [_flat(2, 2, 2, 2, 2, 2, 2, 2), _flat(2, 2, 2, 2, 2, 2, 2, 1), _flat(2, 2, 2, 2, 2, 2, 2, 0)]
    strategy.tell([Evaluation(best, {"val_accuracy": 0.9})])
    strategy.tell([Evaluation(a, {"val_accuracy": 0.1}) for a in others[:2]])
    assert [e.architecture for e in strategy.population] == [best, *others[:2]]
    strategy.tell([Evaluation(others[2], {"val_accuracy": 0.1})])
    assert [e.architecture for e in strategy.population] == others
    assert all(_distance(child, best) > 4 for child in strategy.ask(20))
    evaluation = strategy.best()
    assert evaluation is not None
    assert evaluation.architecture == best


def test_child_changes_one_decision_of_the_tournament_winner() -> None:
    # 60 draws with replacement miss the best of three members once in 10^10.
    strategy = EvolutionStrategy(flat_space(), seed=0, population_size=60, sample_size=60)
    strategy.tell([toy_evaluation(a) for a in strategy.ask(60)[:3]])
    winner = max(strategy.population, key=strategy.score).architecture
    assert [_distance(child, winner) for child in strategy.ask(10)] == [1] * 10


def test_minimised_objective_prefers_small_values() -> None:
    strategy = EvolutionStrategy(flat_space(), "val_loss", seed=0, population_size=2, sample_size=2)
    low, high = _flat(0, 0, 0, 0, 0, 0, 0, 0), _flat(2, 2, 2, 2, 2, 2, 2, 2)
    strategy.tell([Evaluation(low, {"val_loss": 0.1}), Evaluation(high, {"val_loss": 0.9})])
    near_low = [_distance(child, low) == 1 for child in strategy.ask(12)]
    assert near_low.count(True) > near_low.count(False)


def test_first_population_is_random_and_counts_pending() -> None:
    evolution, random = EvolutionStrategy(flat_space(), seed=3), RandomStrategy(flat_space(), seed=3)
    assert evolution.ask(19) == random.ask(19)
    evolution.tell([toy_evaluation(a) for a in evolution.pending[:2]])
    assert evolution.ask() == random.ask()
    members = [e.architecture for e in evolution.population]
    [child] = evolution.ask()
    assert min(_distance(child, member) for member in members) == 1


def test_failed_ones_do_not_count_as_population() -> None:
    strategy = EvolutionStrategy(flat_space(), seed=0, population_size=2, sample_size=1)
    strategy.tell([Evaluation(a, error="crashed") for a in strategy.ask(5)])
    assert strategy.population == ()
    assert len(strategy.ask(3)) == 3


@pytest.mark.parametrize(("population_size", "sample_size"), [(4, 5), (4, 0), (0, 0)])
def test_sizes_are_checked(population_size: int, sample_size: int) -> None:
    with pytest.raises(InvalidArgumentError, match=f"sample_size={sample_size}, population_size={population_size}"):
        EvolutionStrategy(flat_space(), population_size=population_size, sample_size=sample_size)
