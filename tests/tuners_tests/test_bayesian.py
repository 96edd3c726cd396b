from collections.abc import Callable

import numpy as np
import pytest

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, Decision, SearchSpace
from automl_keras.testing import StrategyTestCase, conditional_space, flat_space, run_search, toy_evaluation, toy_score
from automl_keras.tuners.bayesian import BayesianOracle, BayesianStrategy, CodeSpace, last_refit, pair_root, spread
from automl_keras.tuners.random_search import RandomStrategy
from automl_keras.tuners.surrogates import RidgeRegression, pair_features
from benchmarks.nas_tables import load_table


class TestBayesianStrategy(StrategyTestCase):
    @pytest.fixture
    def make_strategy(self) -> Callable[..., BayesianStrategy]:
        return _quick


def _quick(*arguments: object, **settings: object) -> BayesianStrategy:
    return BayesianStrategy(*arguments, **{"pool_size": 60, "max_points": 12, **settings})  # type: ignore[arg-type]


def _mean(architecture: Architecture) -> float:
    return float(np.mean([int(option) for option in architecture.values()]))


def _scored(score: Callable[[Architecture], float]) -> Callable[[Architecture], Evaluation]:
    return lambda architecture: Evaluation(architecture, {"val_accuracy": score(architecture)})


@pytest.mark.parametrize(
    ("name", "random_regret"), [("macro", 0.287), pytest.param("201-cifar10", 1.04, marks=pytest.mark.slow)]
)
def test_published_tables(name: str, random_regret: float) -> None:
    """A third of what random search has left after 100 queries, as measured with 40 seeds."""
    table, regrets = load_table(name), []
    for seed in range(3):
        strategy, noise = BayesianStrategy(table.space, seed=seed), np.random.default_rng(seed)
        run_search(strategy, 100, _scored(lambda a, noise=noise: table.query(a, noise)))  # type: ignore[misc]
        best = strategy.best()
        assert best is not None
        regrets.append(table.regret(best.architecture))
    assert np.mean(regrets) < random_regret / 3


def test_first_points_are_random_and_count_pending() -> None:
    bayesian, random = BayesianStrategy(flat_space(), seed=3), RandomStrategy(flat_space(), seed=3)
    assert bayesian.ask(8) == random.ask(8)
    bayesian.tell([toy_evaluation(architecture) for architecture in bayesian.pending[:2]])
    assert bayesian.ask(2) == random.ask(2)
    assert bayesian.ask() != random.ask()


def test_proposals_are_better_than_random() -> None:
    """The 21st to 40th, on average by more than the deviation of random ones."""
    space = flat_space()
    proposals = [a for seed in range(3) for a in run_search(BayesianStrategy(space, seed=seed), 40)[20:]]
    rng = np.random.default_rng(0)
    random = [toy_score(space.sample(rng)) for _ in range(300)]
    assert np.mean([toy_score(a) for a in proposals]) > np.mean(random) + np.std(random)


def test_only_ranks_count() -> None:
    searches = [
        run_search(BayesianStrategy(flat_space(), seed=0), 30, _scored(score))
        for score in (toy_score, lambda a: float(np.exp(20.0 * toy_score(a))))
    ]
    assert searches[0] == searches[1]


def test_many_ordered_options_are_learnt_from_few() -> None:
    """Neighbouring numbers do alike, though hardly any is seen twice."""
    space = SearchSpace([Decision("width", tuple(range(1000))), Decision("depth", tuple(range(100)))])
    strategy = BayesianStrategy(space, seed=0)
    proposals = run_search(strategy, 30, _scored(lambda a: -abs(int(a["width"]) - 300) - abs(int(a["depth"]) - 50)))
    near = [abs(int(a["width"]) - 300) < 100 for a in proposals]
    assert np.mean(near[20:]) > 0.6  # one in five is


def test_kept_parameters_do_not_decide() -> None:
    """They are from the first evaluations, one of which is corrected here."""
    strategy = BayesianStrategy(flat_space(), seed=0)
    first, *_ = run_search(strategy, 20)
    strategy.ask()
    strategy.tell([Evaluation(first, {"val_accuracy": 2.0})])
    resumed = BayesianStrategy(flat_space())
    resumed.set_state(strategy.get_state())
    assert resumed.ask(3) == strategy.ask(3)


def test_more_evaluations_than_are_modelled() -> None:
    strategy = BayesianStrategy(flat_space(), seed=0, max_points=20)
    proposals = run_search(strategy, 60)
    scores = [toy_score(architecture) for architecture in proposals]
    assert np.mean(scores[40:]) > np.mean(scores[:10]) + 2.0 * np.std(scores[:10]) / np.sqrt(10)


def test_best_is_denoised() -> None:
    """Of two equal scores that whose neighbours do well too, and a little more than the other's."""
    space = flat_space(6, 3)

    def told(lucky: float) -> Architecture:
        rng = np.random.default_rng(0)
        strategy = BayesianStrategy(space, seed=0)
        good, worse = (space.canonical({f"d{index}": option for index in range(6)}) for option in (2, 0))
        others = [a for a in RandomStrategy(space, seed=0).ask(80) if a not in (good, worse)]
        strategy.tell([Evaluation(a, {"val_accuracy": _mean(a) + 0.1 * rng.standard_normal()}) for a in others])
        strategy.tell([Evaluation(good, {"val_accuracy": 3.0}), Evaluation(worse, {"val_accuracy": lucky})])
        best = strategy.best()
        assert best is not None
        return best.architecture

    assert told(3.0)["d0"] == told(3.2)["d0"] == 2
    assert told(10.0)["d0"] == 0


def test_second_opinion_is_the_regression_on_pairs() -> None:
    space, rng = conditional_space(), np.random.default_rng(0)
    codes, targets = CodeSpace(space).sample(25, rng), rng.standard_normal(25)
    features = pair_features(codes, [len(decision.options) + 1 for decision in space.decisions])
    np.testing.assert_allclose(
        RidgeRegression(pair_root(codes), targets).fitted(), RidgeRegression(features, targets).fitted(), atol=1e-6
    )


def test_spread() -> None:
    scores = np.array([0.0, 9.0, 1.0, 8.0, 2.0, 7.0, 3.0, 6.0])
    np.testing.assert_array_equal(spread(scores, 8), np.arange(8))
    # The best are 1 and 3; of the others, 0, 2, 4, 5, 6 and 7, the first and the last.
    np.testing.assert_array_equal(spread(scores, 4), [0, 1, 3, 7])


def test_refits() -> None:
    refits = [last_refit(number) for number in range(2, 120)]
    assert sorted(set(refits)) == [2, 7, 12, 17, 22, 27, 32, 37, 42, 48, 55, 63, 72, 82, 94, 108]
    assert all(last <= number for last, number in zip(refits, range(2, 120), strict=True))


@pytest.mark.parametrize("space", [flat_space(), conditional_space()], ids=["flat", "conditional"])
def test_codes_are_canonical(space: SearchSpace) -> None:
    codes, rng = CodeSpace(space), np.random.default_rng(0)
    sample = codes.sample(300, rng)
    for drawn in (sample, codes.mutate(sample, rng)):
        assert all((space.encode(codes.decode(code)) == code).all() for code in drawn)
        assert len({codes.decode(code) for code in drawn}) > 0.9 * min(space.size, 300)


def test_mutants_change_one_to_four_decisions() -> None:
    space = SearchSpace([*flat_space(100, 50).decisions, Decision("fixed", ("only",))])
    codes, rng = CodeSpace(space), np.random.default_rng(0)
    parents = codes.sample(2000, rng)
    before = parents.copy()
    changes = np.bincount((codes.mutate(parents, rng) != parents).sum(axis=1), minlength=5)
    np.testing.assert_array_equal(parents, before)
    assert changes[0] == 0
    # A few of the further changes hit the same decision.
    np.testing.assert_allclose(changes[1:] / 2000, [0.5, 0.25, 0.125, 0.125], atol=0.04)


def test_infeasible_drafts_cost_one_proposal() -> None:
    """The next best of the same pool is taken."""
    calls = []

    class Counting(BayesianStrategy):
        def propose(self, rng: np.random.Generator) -> Architecture:
            calls.append(1)
            return super().propose(rng)

    strategy = Counting(flat_space(), feasible=lambda a: a["d0"] == 2, seed=0)
    strategy.tell([toy_evaluation(flat_space().canonical({"d0": 2, "d1": index})) for index in range(3)])
    for _ in range(12):
        strategy.ask()
    calls.clear()
    strategy.ask()
    assert len(calls) == 1


@pytest.mark.parametrize("name", ["num_initial_points", "pool_size", "max_points"])
def test_settings_are_checked(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"{name}=1"):
        BayesianStrategy(flat_space(), **{name: 1})  # type: ignore[arg-type]


def test_oracle_takes_the_settings() -> None:
    oracle = BayesianOracle(max_trials=3, seed=0, num_initial_points=4)
    assert isinstance(oracle.strategy, BayesianStrategy)
    assert oracle.strategy.num_initial_points == 4
