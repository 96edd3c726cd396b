import json
from collections.abc import Callable

import numpy as np
import pytest

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, Decision, SearchSpace
from automl_keras.testing import StrategyTestCase, conditional_space, flat_space, run_search, toy_evaluation, toy_score
from automl_keras.tuners import RandomStrategy, Strategy
from automl_keras.tuners.predictor import PredictorOracle, PredictorStrategy


class TestPredictorStrategy(StrategyTestCase):
    @pytest.fixture
    def make_strategy(self) -> Callable[..., PredictorStrategy]:
        return PredictorStrategy


def _additive(architecture: Architecture) -> float:
    return sum(int(option) * (index + 1) for index, option in enumerate(architecture.values()))


def _noisy(deviation: float, seed: int) -> Callable[[Architecture], Evaluation]:
    rng = np.random.default_rng(seed)
    return lambda a: Evaluation(a, {"val_accuracy": toy_score(a) + deviation * rng.standard_normal()})


def test_beats_random_search() -> None:
    space = flat_space(5, 6)  # 7,776 architectures

    def best_scores(make: Callable[..., Strategy]) -> np.ndarray:
        return np.array([max(map(toy_score, run_search(make(space, seed=seed), 60))) for seed in range(10)])

    predictor, random = best_scores(PredictorStrategy), best_scores(RandomStrategy)
    assert predictor.mean() > random.mean() + 0.08
    assert (predictor > random).all()


def test_finds_the_best_of_an_additive_score() -> None:
    space = flat_space()
    strategy = PredictorStrategy(space, seed=0)
    found = run_search(strategy, 60, lambda a: Evaluation(a, {"val_accuracy": _additive(a)}))
    assert space.canonical({name: 2 for name in space.names}) in found


def test_begins_with_random_architectures_and_counts_pending() -> None:
    predictor = PredictorStrategy(flat_space(), seed=3, num_initial_points=12, refit_interval=3)
    random = RandomStrategy(flat_space(), seed=3)
    assert predictor.ask(11) == random.ask(11)
    told = [toy_evaluation(a) for a in predictor.pending[:6]]
    predictor.tell(told)
    random.tell(told)
    assert predictor.ask() == random.ask()
    assert predictor.ask() != random.ask()


def test_learns_after_every_interval() -> None:
    def next_proposals(num_told: int) -> list[Architecture]:
        strategy = PredictorStrategy(flat_space(), seed=0, num_initial_points=20, refit_interval=4)
        told = [toy_evaluation(a) for a in strategy.ask(24)]
        strategy.tell(told[:num_told])
        return strategy.ask(10)

    assert next_proposals(21) == next_proposals(20)
    assert next_proposals(23) == next_proposals(20)
    assert next_proposals(24) != next_proposals(20)


def test_members_of_the_ensemble_disagree() -> None:
    space = flat_space()

    def distance(seed: int, ensemble_size: int) -> float:
        """Between ten proposals of one fit."""
        strategy = PredictorStrategy(space, seed=seed, ensemble_size=ensemble_size)
        strategy.tell([toy_evaluation(a) for a in RandomStrategy(space, seed=seed).ask(20)])
        encoded = np.array([space.encode(a) for a in strategy.ask(10)])
        return float((encoded[:, None] != encoded[None]).sum(axis=2).mean())

    assert np.mean([distance(seed, 10) - distance(seed, 1) for seed in range(10)]) > 0.5


def test_found_does_not_depend_on_what_is_out() -> None:
    # The predictor is fitted when another proposal is asked for; a resumed one is fitted later.
    strategy = PredictorStrategy(flat_space(), seed=0)
    run_search(strategy, 20)
    strategy.ask(3)
    strategy.tell([toy_evaluation(a) for a in strategy.pending[:2]])
    resumed = PredictorStrategy(flat_space())
    resumed.set_state(json.loads(json.dumps(strategy.get_state())))
    assert resumed.ask(12) == strategy.ask(12)


def test_state_of_another_search_is_searched_anew() -> None:
    states = []
    for seed in (0, 1):
        strategy = PredictorStrategy(flat_space(), seed=seed)
        strategy.tell([toy_evaluation(a) for a in RandomStrategy(flat_space(), seed=5).ask(20)])
        states.append(strategy.get_state())
        strategy.ask()
    fresh = PredictorStrategy(flat_space())
    for reused in (strategy, fresh):
        reused.set_state(states[0])
    assert strategy.ask(10) == fresh.ask(10)


def test_finds_the_best_of_a_conditional_score() -> None:
    inner = [Decision(f"d{index}", (0, 1, 2), parent=("cell", (True,))) for index in range(8)]
    space = SearchSpace([Decision("cell", (False, True)), *inner])
    strategy = PredictorStrategy(space, seed=0)
    found = run_search(strategy, 60, lambda a: Evaluation(a, {"val_accuracy": _additive(a)}))
    assert space.canonical({**{d.name: 2 for d in inner}, "cell": True}) in found


def test_few_checks_of_feasibility() -> None:
    # They may cost milliseconds, and 20 generations make 2,000 architectures.
    checked: list[Architecture] = []

    def feasible(architecture: Architecture) -> bool:
        checked.append(architecture)
        return architecture["d0"] != 2

    strategy = PredictorStrategy(flat_space(), feasible=feasible, seed=0)
    run_search(strategy, 20)
    checked.clear()
    [architecture] = strategy.ask()
    assert architecture["d0"] != 2
    assert len(checked) < 500


def test_goes_on_under_tighter_limits() -> None:
    # Nothing that was evaluated may be a parent any more.
    strategy = PredictorStrategy(conditional_space(), seed=0)
    run_search(strategy, 15, toy_evaluation)
    resumed = PredictorStrategy(conditional_space(), feasible=lambda a: False)
    resumed.set_state(strategy.get_state())
    assert resumed.ask() == []


def test_inactive_decisions_are_learnt_from() -> None:
    space = conditional_space()
    strategy = PredictorStrategy(space, seed=0, num_initial_points=8, refit_interval=1)
    # Only without convolution: every other decision but `residual` and `pool` is absent.
    found = run_search(strategy, 18, lambda a: Evaluation(a, {"val_accuracy": float("kernel" not in a)}))
    assert sum(a["operation"] == "skip" for a in found) == 4


def test_best_averages_out_noise() -> None:
    denoised, observed = [], []
    for seed in range(12):
        strategy = PredictorStrategy(flat_space(), seed=seed)
        run_search(strategy, 60, _noisy(0.05, seed))
        highest = max(toy_score(e.architecture) for e in strategy.evaluations)
        for losses, best in ((denoised, strategy.best()), (observed, Strategy.best(strategy))):
            assert best is not None
            losses.append(highest - toy_score(best.architecture))
    assert np.mean(denoised) < 0.7 * np.mean(observed)


def test_best_is_the_highest_while_little_is_known() -> None:
    for seed in range(10):
        strategy = PredictorStrategy(flat_space(), seed=seed, num_initial_points=20)
        run_search(strategy, 19, _noisy(1.0, seed))
        assert strategy.best() == max(strategy.evaluations, key=strategy.score)


@pytest.mark.parametrize("name", ["num_initial_points", "refit_interval", "ensemble_size"])
def test_settings_are_checked(name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"{name}=0"):
        PredictorStrategy(flat_space(), **{name: 0})


def test_oracle_takes_the_settings() -> None:
    oracle = PredictorOracle(max_trials=3, seed=0, space=flat_space(), ensemble_size=3)
    assert isinstance(oracle.strategy, PredictorStrategy)
    assert oracle.strategy.ensemble_size == 3
