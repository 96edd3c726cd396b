"""`StrategyTestCase`: what every strategy has to keep, as tests to inherit."""

from __future__ import annotations

import json
import math
import multiprocessing
import random
from collections.abc import Callable

import numpy as np
import pytest

from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.testing.toy import conditional_space, flat_space, toy_evaluation, toy_score
from automl_keras.tuners.strategy import Strategy

StrategyFactory = Callable[..., Strategy]


def run_search(strategy: Strategy, num_trials: int) -> list[Architecture]:
    """Ask for and tell `num_trials` architectures one by one; fewer if the space is exhausted."""
    proposals: list[Architecture] = []
    for _ in range(num_trials):
        asked = strategy.ask()
        if not asked:
            break
        strategy.tell([toy_evaluation(architecture, strategy.objective) for architecture in asked])
        proposals += asked
    return proposals


class StrategyTestCase:
    """The tests every strategy passes. A concrete test supplies the fixture `make_strategy`.

    The fixture returns a callable with the arguments of `Strategy`. Choose settings for which
    `num_learned` evaluations lead beyond the warm-up. A fresh process has to import the callable, so it
    is a class, a function of a module or a `functools.partial` of one:

    ```python
    class TestEvolution(StrategyTestCase):
        @pytest.fixture
        def make_strategy(self):
            return partial(EvolutionStrategy, population_size=5, sample_size=2)
    ```

    For readable failures call `pytest.register_assert_rewrite("automl_keras.testing.strategy_checks")`
    in a `conftest.py`.
    """

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

    @pytest.mark.parametrize("seed", [0, 169208])
    def test_same_seed_same_proposals(self, make_strategy: StrategyFactory, space: SearchSpace, seed: int) -> None:
        """0 is a seed like any other."""
        first = run_search(make_strategy(space, seed=seed), self.num_learned)
        second = run_search(make_strategy(space, seed=seed), self.num_learned)
        assert first == second

    def test_other_seed_other_proposals(self, make_strategy: StrategyFactory) -> None:
        """So do two strategies without a seed."""
        searches = [run_search(make_strategy(flat_space(), seed=seed), 5) for seed in (0, 1, None, None)]
        assert len({tuple(proposals) for proposals in searches}) == 4

    def test_same_proposals_in_fresh_process(
        self, make_strategy: StrategyFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With another hash seed, so that no order of a set decides."""
        monkeypatch.setenv("PYTHONHASHSEED", "1")
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            elsewhere = pool.apply(_proposals, (make_strategy, self.num_learned))
        assert elsewhere == _proposals(make_strategy, self.num_learned)

    def test_global_generators_are_untouched(self, make_strategy: StrategyFactory, space: SearchSpace) -> None:
        """Neither read nor seeded."""
        before = random.getstate(), repr(np.random.get_state())  # noqa: NPY002
        run_search(make_strategy(space), self.num_learned)
        assert (random.getstate(), repr(np.random.get_state())) == before  # noqa: NPY002

    def test_proposals_are_canonical(self, make_strategy: StrategyFactory, space: SearchSpace) -> None:
        """Inactive decisions are absent, and every value is an option itself, not a numpy scalar."""
        for architecture in run_search(make_strategy(space, seed=0), self.num_learned):
            assert list(architecture) == list(space.canonical(architecture))
            for name, value in architecture.items():
                assert type(value) is type(space[name].default)
                assert value in space[name].options

    def test_no_proposal_twice(self, make_strategy: StrategyFactory, space: SearchSpace) -> None:
        """Whatever was told is never proposed again."""
        proposals = run_search(make_strategy(space, seed=0), 3 * self.num_learned)
        assert len(set(proposals)) == len(proposals)

    def test_pending_is_not_proposed(self, make_strategy: StrategyFactory) -> None:
        """`ask` never waits: before any result and, in batches, after some."""
        strategy = make_strategy(flat_space(), seed=0)
        proposals = strategy.ask(self.num_learned)
        assert strategy.pending == tuple(proposals)
        strategy.tell([toy_evaluation(architecture) for architecture in reversed(proposals[:-3])])
        assert strategy.pending == tuple(proposals[-3:])
        for n in (1, 0, 10):
            asked = strategy.ask(n)
            assert len(asked) == n
            proposals += asked
        assert len(set(proposals)) == self.num_learned + 11

    def test_exhausted_space(self, make_strategy: StrategyFactory) -> None:
        """Every architecture comes exactly once, then none."""
        space = conditional_space()
        strategy = make_strategy(space, seed=0)
        proposals = run_search(strategy, space.size - 3)
        proposals += strategy.ask(10)
        assert len(set(proposals)) == len(proposals) == space.size
        assert strategy.ask() == []
        strategy.tell([toy_evaluation(architecture) for architecture in strategy.pending])
        assert strategy.ask(2) == []

    def test_feasible_is_obeyed(self, make_strategy: StrategyFactory) -> None:
        """Also where few are feasible; an infeasible result told from outside is not believed."""
        strategy = make_strategy(flat_space(), feasible=_is_light, seed=0)
        heavy = flat_space().canonical({f"d{index}": 2 for index in range(8)})
        strategy.tell([Evaluation(heavy, {"val_accuracy": 2.0})])
        assert all(_is_light(architecture) for architecture in run_search(strategy, self.num_learned))
        assert strategy.best() in strategy.evaluations
        assert heavy not in [evaluation.architecture for evaluation in strategy.evaluations]

    def test_all_feasible_ones_are_found(self, make_strategy: StrategyFactory) -> None:
        """In a space that can be enumerated not one is missed."""
        strategy = make_strategy(conditional_space(), feasible=lambda a: a.get("expansion") == 4, seed=0)
        assert len(run_search(strategy, 100)) == 16
        assert make_strategy(conditional_space(), feasible=lambda _: False).ask() == []

    def test_initial_comes_first(self, make_strategy: StrategyFactory) -> None:
        """In the given order, canonical, infeasible and known ones left out."""
        space = conditional_space()
        first, second, third = {"operation": "skip"}, {"operation": "mbconv", "kernel": 5}, {"operation": "conv"}
        strategy = make_strategy(
            space, initial=[first, second, third, first], feasible=lambda a: a["operation"] != "conv", seed=0
        )
        assert strategy.ask(2) == [space.canonical(first), space.canonical(second)]
        assert strategy.ask()[0] not in [space.canonical(values) for values in (first, second, third)]

    @pytest.mark.parametrize("num_told", [0, 3, 40])
    def test_state_round_trip(self, make_strategy: StrategyFactory, space: SearchSpace, num_told: int) -> None:
        """Through JSON; with pending and failed architectures; the seed is the state's."""
        strategy = make_strategy(space, feasible=_is_fair, seed=None)
        run_search(strategy, min(num_told, space.size // 4))
        failed, *_ = strategy.ask(3)
        strategy.tell([Evaluation(failed, error="crashed")])
        state = json.loads(json.dumps(strategy.get_state()))
        resumed = make_strategy(space, feasible=_is_fair, seed=12345)
        resumed.set_state(state)
        assert resumed.get_state() == state
        assert resumed.pending == strategy.pending
        assert resumed.evaluations == strategy.evaluations
        assert run_search(resumed, 30) == run_search(strategy, 30)

    @pytest.mark.parametrize("score", [math.nan, math.inf, None])
    def test_failed_is_neither_learnt_nor_repeated(self, make_strategy: StrategyFactory, score: float | None) -> None:
        """No finite objective, or an error beside a wonderful score; also after a success."""
        space = conditional_space()
        strategy = make_strategy(space, seed=0)
        run_search(strategy, 5)
        known = strategy.evaluations
        unfinished = {} if score is None else {"val_accuracy": score}
        first, second = strategy.ask(2)
        strategy.tell([Evaluation(first, unfinished), Evaluation(second, {"val_accuracy": 9.0}, error="crashed")])
        assert strategy.evaluations == known
        assert strategy.pending == ()
        strategy.tell([Evaluation(known[0].architecture, error="crashed")])
        assert strategy.evaluations == known[1:]
        later = run_search(strategy, space.size)
        assert len(later) == space.size - 7
        assert not {first, second, known[0].architecture} & set(later)

    @pytest.mark.parametrize(("objective", "choose"), [("val_accuracy", max), ("val_loss", min)])
    def test_best(self, make_strategy: StrategyFactory, objective: str, choose: Callable[..., Architecture]) -> None:
        """The best told, in the direction of the objective; a repeated evaluation replaces the first."""
        strategy = make_strategy(flat_space(), objective, seed=0)
        assert strategy.best() is None
        proposals = run_search(strategy, self.num_learned)
        best = strategy.best()
        assert best is not None
        assert best.architecture == choose(proposals, key=toy_score)
        worse = {"max": -1.0, "min": 2.0}[strategy.direction]
        strategy.tell([Evaluation(best.architecture, {objective: worse})])
        again = strategy.best()
        assert again is not None
        assert again.architecture != best.architecture

    def test_learns_from_results_not_asked_for(self, make_strategy: StrategyFactory, space: SearchSpace) -> None:
        """In canonical form; they are not proposed any more."""
        strategy = make_strategy(space, seed=0)
        strategy.tell([Evaluation(Architecture({}), {"val_accuracy": 0.5})])
        best = strategy.best()
        assert best is not None
        assert best.architecture == space.default()
        assert space.default() not in run_search(strategy, 3 * self.num_learned)

    def test_newer_generation_forgets_older_scores(self, make_strategy: StrategyFactory) -> None:
        """Scores of shared weights only; a late result of the older generation changes nothing."""
        space = conditional_space()
        strategy = make_strategy(space, seed=0)
        old, late, new, alone = strategy.ask(4)
        strategy.tell([_shared(old, 0.9, 1), Evaluation(alone, {"val_accuracy": 0.1}), _shared(new, 0.5, 2)])
        strategy.tell([_shared(late, 0.8, 1)])
        assert [evaluation.architecture for evaluation in strategy.evaluations] == [alone, new]
        assert strategy.best() == _shared(new, 0.5, 2)
        assert {old, late} <= set(run_search(strategy, space.size))


def _proposals(make_strategy: StrategyFactory, num_trials: int) -> list[dict[str, object]]:
    strategy = make_strategy(flat_space(), feasible=_is_fair, seed=7)
    return [architecture.to_dict() for architecture in run_search(strategy, num_trials)]


def _is_fair(architecture: Architecture) -> bool:
    """Six in ten of the small space and three in four of the flat one."""
    return toy_score(architecture) > 0.45


def _is_light(architecture: Architecture) -> bool:
    """One in 42 of the flat space."""
    return sum(int(option) for option in architecture.values()) <= 3


def _shared(architecture: Architecture, score: float, generation: int) -> Evaluation:
    return Evaluation(architecture, {"val_accuracy": score}, source="shared_weights", generation=generation)
