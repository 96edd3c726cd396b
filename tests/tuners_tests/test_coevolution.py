from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Decision, SearchSpace
from automl_keras.testing import StrategyTestCase, conditional_space, flat_space, run_search, toy_evaluation, toy_score
from automl_keras.tuners.coevolution import (
    CoEvolutionOracle,
    CoEvolutionStrategy,
    Slot,
    make_populations,
    slots_of,
    speciate,
)
from automl_keras.tuners.random_search import RandomStrategy
from automl_keras.tuners.strategy import Strategy


class TestCoEvolutionStrategy(StrategyTestCase):
    @pytest.fixture
    def make_strategy(self) -> Callable[..., CoEvolutionStrategy]:
        return partial(CoEvolutionStrategy, population_size=10)


def _stages(number: int = 3) -> SearchSpace:
    return SearchSpace(
        [
            Decision(f"stage{index}_{name}", options)
            for index in range(number)
            for name, options in (("kernel", (3, 5, 7)), ("width", (8, 16, 32)))
        ]
    )


def test_slots_end_at_the_last_number() -> None:
    names = ["stem", "stage0_kernel", "stage0_width", "stage1_kernel", "stage1_width", "stage2_kernel", "rate"]
    assert slots_of(SearchSpace([Decision(name, (1, 2)) for name in names])) == (
        Slot("stem", (0,), 0),
        Slot("stage0", (1, 2), 1),
        Slot("stage1", (3, 4), 1),
        Slot("stage2", (5,), 2),
        Slot("rate", (6,), 3),
    )
    # Other options are no obstacle, another number of them is.
    widths = [Decision("width_0", (8, 16)), Decision("width_1", (16, 32)), Decision("width_2", (8, 16, 32))]
    assert [slot.kind for slot in slots_of(SearchSpace(widths))] == [0, 0, 1]


def test_fitness_by_hand() -> None:
    slots = (Slot("stage0", (0, 1), 0), Slot("stage1", (2, 3), 0), Slot("rate", (4,), 1))
    genes = np.array([[0, 0, 1, 1, 0], [0, 0, 0, 0, 1], [1, 1, 0, 0, 0]])
    populations = make_populations(slots, genes, np.array([0.9, 0.6, 0.3]), 0.0)
    stage, rate = populations.modules
    assert stage.genes.tolist() == [[0, 0], [1, 1]]
    # [0, 0] in both slots of the second network, and in one of each other; [1, 1] in the first and the third.
    np.testing.assert_allclose(stage.fitness, [(0.9 + 0.6 + 0.6 + 0.3) / 4, (0.9 + 0.3) / 2])
    np.testing.assert_allclose(rate.fitness, [0.6, 0.6])
    assert populations.blueprints.shape == (3, 3)
    assert sorted(populations.fitness) == pytest.approx([0.3, 0.6, 0.9])


def test_networks_of_one_blueprint_share_its_fitness() -> None:
    slots = (Slot("stage0", (0, 1), 0), Slot("stage1", (2, 3), 0))
    genes = np.array([[0, 0, 2, 2], [0, 1, 2, 2], [2, 2, 0, 0]])
    populations = make_populations(slots, genes, np.array([0.8, 0.6, 0.1]), 0.5)
    [modules] = populations.modules
    # Of the fittest on: [0, 1] with 0.6, which [0, 0] with 0.45 is near to, then [2, 2] with 0.5.
    assert modules.genes.tolist() == [[0, 0], [0, 1], [2, 2]]
    assert modules.species.tolist() == [0, 0, 1]
    assert populations.blueprints.tolist() == [[0, 1], [1, 0]]
    np.testing.assert_allclose(populations.fitness, [0.7, 0.1])
    # Shared fitness: 0.525 and 0.5.
    np.testing.assert_allclose(modules.weights, [2 / 3, 1 / 3])


def test_species_do_not_gain_by_members() -> None:
    slots = tuple(Slot(f"s{index}", (2 * index, 2 * index + 1), 0) for index in range(3))
    crowd = [[0, 0, 0, 1, 0, 2], [0, 1, 0, 2, 0, 0]]
    populations = make_populations(slots, np.array([*crowd, [5, 6, 5, 6, 5, 6]]), np.array([0.4, 0.4, 0.9]), 0.5)
    [modules] = populations.modules
    assert modules.species.tolist() == [1, 1, 1, 0]
    np.testing.assert_allclose(modules.weights, [2 / 3, 1 / 3])


def test_founder_decides_the_species() -> None:
    genes = np.array([[0, 0, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1], [0, 0, 0, 1]])
    fitness = np.array([0.9, 0.8, 0.7, 0.6])
    assert speciate(genes, fitness, 0.5).tolist() == [0, 0, 1, 0]
    assert speciate(genes, np.array([0.6, 0.8, 0.9, 0.7]), 0.5).tolist() == [1, 0, 0, 1]
    assert speciate(genes, fitness, 0.25).tolist() == [0, 1, 2, 0]
    assert speciate(genes, fitness, 0.0).tolist() == [0, 1, 2, 3]
    assert speciate(genes, fitness, 1.0).tolist() == [0, 0, 0, 0]


def test_without_mutation_modules_are_those_of_the_population() -> None:
    space = _stages()
    strategy = CoEvolutionStrategy(space, population_size=8, mutation_probability=0.0, seed=0)
    strategy.tell([toy_evaluation(a) for a in RandomStrategy(space, seed=0).ask(20)])
    [modules] = strategy.populations.modules
    known = {tuple(row) for row in modules.genes.tolist()}
    for seed in range(50):
        genes = space.encode(strategy.propose(np.random.default_rng(seed))).reshape(3, 2)
        assert {tuple(row) for row in genes.tolist()} <= known


def test_populations_are_of_the_best() -> None:
    space = _stages()
    strategy = CoEvolutionStrategy(space, population_size=4, species_distance=0.0, seed=0)
    told = [toy_evaluation(a) for a in RandomStrategy(space, seed=0).ask(30)]
    for evaluation in told:
        strategy.tell([evaluation])
        assert len(strategy.populations.blueprints) == min(4, len(strategy.evaluations))
    best = sorted(map(strategy.score, told))[-4:]
    assert sorted(strategy.populations.fitness) == pytest.approx(best)


def test_grown_space_has_new_slots() -> None:
    strategy = CoEvolutionStrategy(_stages(2), population_size=4, seed=0)
    run_search(strategy, 10)
    assert len(strategy.populations.slots) == 2
    strategy.extend(_stages(3))
    assert len(strategy.populations.slots) == 3
    # Nothing told differs here: the new decision is inactive in all of them.
    space = conditional_space()
    strategy = CoEvolutionStrategy(space, population_size=4, feasible=lambda a: a["operation"] == "skip", seed=0)
    run_search(strategy, 4)
    before = strategy.evaluations, len(strategy.populations.slots)
    strategy.extend(SearchSpace([*space.decisions, Decision("stride", (1, 2), parent=("operation", ("conv",)))]))
    assert (strategy.evaluations, len(strategy.populations.slots)) == (before[0], before[1] + 1)


def test_beats_random_search() -> None:
    space = flat_space(5, 6)

    def best_scores(make: Callable[..., Strategy]) -> np.ndarray:
        return np.array([max(map(toy_score, run_search(make(space, seed=seed), 100))) for seed in range(12)])

    evolved, random = best_scores(CoEvolutionStrategy), best_scores(RandomStrategy)
    assert evolved.mean() > random.mean() + 2 * (evolved - random).std() / np.sqrt(12)
    assert (evolved > random).mean() >= 0.75


def test_minimised_objective_prefers_small_values() -> None:
    space = _stages(1)
    strategy = CoEvolutionStrategy(space, "val_loss", population_size=1, seed=0)
    low, high = RandomStrategy(space, seed=0).ask(2)
    strategy.tell([Evaluation(high, {"val_loss": 0.9}), Evaluation(low, {"val_loss": 0.1})])
    [modules] = strategy.populations.modules
    assert modules.genes.tolist() == [space.encode(low).tolist()]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("population_size", 0),
        ("sample_size", 0),
        ("crossover_probability", 1.1),
        ("mutation_probability", -0.1),
        ("species_distance", 2.0),
    ],
)
def test_settings_are_checked(name: str, value: float) -> None:
    with pytest.raises(InvalidArgumentError, match=f"Received: {name}={value}"):
        CoEvolutionStrategy(flat_space(), **{name: value})


def test_oracle_takes_the_settings() -> None:
    assert CoEvolutionOracle(space=flat_space(), population_size=7).strategy.population_size == 7
