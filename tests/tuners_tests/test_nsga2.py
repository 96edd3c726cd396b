from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from automl_keras.errors import InvalidArgumentError, InvalidTypeError
from automl_keras.evaluation import Cost, Evaluation
from automl_keras.search_space import Architecture
from automl_keras.testing import StrategyTestCase, flat_space, run_search, toy_score
from automl_keras.tuners.nsga2 import NSGA2Oracle, NSGA2Strategy, crowding_distances, non_dominated_fronts
from automl_keras.tuners.random_search import RandomStrategy
from automl_keras.tuners.strategy import Strategy


class TestNSGA2Strategy(StrategyTestCase):
    @pytest.fixture
    def make_strategy(self) -> Callable[..., NSGA2Strategy]:
        return partial(NSGA2Strategy, population_size=10)


def _flat(*options: int) -> Architecture:
    return Architecture({f"d{index}": option for index, option in enumerate(options)})


def _sized(architecture: Architecture, accuracy: float, size_kb: float | None) -> Evaluation:
    return Evaluation(architecture, {"val_accuracy": accuracy}, Cost(size_kb=size_kb))


def _toy(architecture: Architecture) -> Evaluation:
    """Options cost what they are; the score depends on them in no simple way."""
    return _sized(architecture, toy_score(architecture), float(sum(architecture.values())))


def _dominates(first: np.ndarray, second: np.ndarray) -> bool:
    return bool((first <= second).all() and (first < second).any())


@pytest.mark.parametrize("num_objectives", [1, 2, 3])
def test_fronts_are_those_of_the_definition(num_objectives: int) -> None:
    rng = np.random.default_rng(num_objectives)
    values = rng.integers(6, size=(60, num_objectives)).astype(float)  # many ties, some points equal
    left = set(range(len(values)))
    for front in non_dominated_fronts(values):
        expected = {i for i in left if not any(_dominates(values[j], values[i]) for j in left)}
        assert front.tolist() == sorted(expected)
        left -= expected
    assert not left


def test_crowding_distances_by_hand() -> None:
    # Ranges 10 and 4. The middle ones: (4 - 0) / 10 + (4 - 1) / 4 and (10 - 1) / 10 + (3 - 0) / 4.
    values = np.array([[4.0, 1.0], [0.0, 4.0], [10.0, 0.0], [1.0, 3.0]])
    np.testing.assert_allclose(crowding_distances(values), [0.9 + 0.75, np.inf, np.inf, 0.4 + 0.75])


def test_crowding_without_extent_counts_nothing() -> None:
    np.testing.assert_array_equal(crowding_distances(np.zeros((3, 2))), [np.inf, 0.0, np.inf])
    np.testing.assert_array_equal(crowding_distances(np.zeros((1, 2))), [np.inf])
    np.testing.assert_array_equal(crowding_distances(np.array([[0.0, 7.0], [1.0, 7.0], [4.0, 7.0]]))[1], 1.0)


def test_population_is_ordered_by_front_then_crowding() -> None:
    strategy = NSGA2Strategy(flat_space(), population_size=4, seed=0)
    architectures = RandomStrategy(flat_space(), seed=0).ask(6)
    told = [
        _sized(architecture, accuracy, size_kb)
        for architecture, accuracy, size_kb in zip(
            architectures,
            [0.5, 0.6, 0.9, 0.8, 0.4, 0.3],
            [10.0, 11.0, 50.0, 30.0, 60.0, 70.0],
            strict=True,
        )
    ]
    strategy.tell(told)
    # The first front are the first four: crowding 21 / 40 + 3 / 4 for the second, 39 / 40 + 3 / 4 for the fourth.
    assert strategy.population == [told[0], told[2], told[3], told[1]]
    assert strategy.pareto_front() == [told[2], told[3], told[1], told[0]]
    assert strategy.best() == told[2]


def test_parents_come_from_the_population() -> None:
    strategy = NSGA2Strategy(flat_space(), population_size=2, mutation_probability=0.0, seed=0)
    low, high, bad = _flat(*[0] * 8), _flat(1, *[0] * 7), _flat(*[2] * 8)
    strategy.tell([_sized(low, 0.5, 10.0), _sized(high, 0.9, 30.0), _sized(bad, 0.4, 40.0)])
    children = {strategy.propose(np.random.default_rng(seed)) for seed in range(50)}
    assert children == {low, high}


def test_better_of_two_becomes_parent() -> None:
    settings = {"population_size": 3, "crossover_probability": 0.0, "mutation_probability": 0.0}
    strategy = NSGA2Strategy(flat_space(), seed=0, **settings)
    ranked = [_flat(0, *[0] * 7), _flat(1, *[0] * 7), _flat(2, *[0] * 7)]
    strategy.tell([_sized(a, 0.9 - 0.1 * rank, 10.0 + rank) for rank, a in enumerate(ranked)])
    children = [strategy.propose(np.random.default_rng(seed)) for seed in range(900)]
    # 5/9, 3/9 and 1/9; four standard deviations are 60, 57 and 38.
    assert all(abs(children.count(a) - share) < 60 for a, share in zip(ranked, (500, 300, 100), strict=True))


def test_child_has_two_parents_and_few_mutations() -> None:
    strategy = NSGA2Strategy(flat_space(40, 2), population_size=2, crossover_probability=1.0, seed=0)
    zeros, ones = _flat(*[0] * 40), _flat(*[1] * 40)
    strategy.tell([_sized(zeros, 0.5, 10.0), _sized(ones, 0.9, 30.0)])
    shares = [np.mean(list(strategy.propose(np.random.default_rng(seed)).values())) for seed in range(200)]
    # The tournament draws the first of the population three times in four: 9/16, 6/16 and 1/16 by parents.
    assert 0.3 < np.mean([0.2 < share < 0.8 for share in shares]) < 0.45
    strategy.crossover_probability = 0.0
    changed = [sum(strategy.propose(np.random.default_rng(seed)).values()) for seed in range(400)]
    changed = [min(count, 40 - count) for count in changed]
    assert 0.85 < np.mean(changed) < 1.1  # one in the mean; twice the same decision changes nothing back
    assert max(changed) > 2


def test_unknown_cost_is_worse_than_any_known() -> None:
    strategy = NSGA2Strategy(flat_space(), seed=0)
    first, second, third, fourth = RandomStrategy(flat_space(), seed=0).ask(4)
    known, better, same = _sized(first, 0.5, 90.0), _sized(second, 0.7, None), _sized(third, 0.5, None)
    strategy.tell([known, better, same, _sized(fourth, 0.4, float("nan"))])
    assert strategy.pareto_front() == [better, known]
    strategy.tell([known, better, _sized(first, 0.7, 90.0)])
    assert [e.architecture for e in strategy.pareto_front()] == [first]


def test_without_known_costs_the_objective_decides() -> None:
    strategy = NSGA2Strategy(flat_space(), "val_loss", costs=("latency_ms", "ram_kb"), seed=0)
    assert strategy.pareto_front() == []
    first, second = strategy.ask(2)
    strategy.tell([Evaluation(first, {"val_loss": 0.3}), Evaluation(second, {"val_loss": 0.2})])
    assert [e.architecture for e in strategy.pareto_front()] == [second]


def _hypervolume(strategy: Strategy) -> float:
    """The area between the front and the point of score 0 and size 17."""
    points = sorted((float(e.cost.size_kb or 0.0), strategy.score(e)) for e in strategy.evaluations)
    sizes = [size for size, _ in points] + [17.0]
    best = np.maximum.accumulate([score for _, score in points])
    return float(sum((right - left) * score for (left, right), score in zip(pairwise(sizes), best, strict=True)))


def test_hypervolume_grows_beyond_that_of_random_search() -> None:
    volumes: dict[str, list[list[float]]] = {"evolved": [], "drawn": []}
    for seed in range(6):
        for name, strategy in (
            ("evolved", NSGA2Strategy(flat_space(), seed=seed)),
            ("drawn", RandomStrategy(flat_space(), seed=seed)),
        ):
            volumes[name].append([])
            for _ in range(8):
                run_search(strategy, 20, _toy)
                volumes[name][-1].append(_hypervolume(strategy))
    evolved, drawn = np.array(volumes["evolved"]), np.array(volumes["drawn"])
    assert (np.diff(evolved) >= 0.0).all()
    np.testing.assert_array_equal(evolved[:, 0], drawn[:, 0])  # the first population is random
    assert (evolved[:, -1] > evolved[:, 0] + 0.5).all()
    assert evolved[:, -1].min() > drawn[:, -1].max()


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"costs": ()}, r"costs=\(\)"),
        ({"costs": ("size",)}, r"costs=\('size',\)"),
        ({"costs": ("macs", "macs")}, r"costs=\('macs', 'macs'\)"),
        ({"population_size": 1}, "population_size=1"),
        ({"crossover_probability": 1.5}, "crossover_probability=1.5"),
        ({"mutation_probability": -0.1}, "mutation_probability=-0.1"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"Received: {text}"):
        NSGA2Strategy(flat_space(), **settings)


def test_costs_must_not_be_a_string() -> None:
    with pytest.raises(InvalidTypeError, match="Received: costs='macs'"):
        NSGA2Strategy(flat_space(), costs="macs")


def test_oracle_takes_the_costs() -> None:
    oracle = NSGA2Oracle(space=flat_space(), max_trials=3, costs=("macs",), seed=0)
    assert oracle.strategy.costs == ("macs",)
