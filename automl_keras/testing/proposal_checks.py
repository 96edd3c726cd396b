"""What every strategy has to keep about its proposals."""

from __future__ import annotations

from typing import Any

import pytest

from automl_keras.search_space import Architecture, Decision, SearchSpace
from automl_keras.testing.isolation import call_in_fresh_process, untouched_generators
from automl_keras.testing.strategy_fixtures import (
    StrategyFactory,
    StrategyFixtures,
    as_json,
    is_fair,
    is_light,
    run_search,
)
from automl_keras.testing.toy import conditional_space, flat_space, toy_evaluation


class ProposalChecks(StrategyFixtures):
    """Reproducible, canonical, feasible, new, and as many as asked for."""

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

    def test_same_proposals_in_fresh_process(self, make_strategy: StrategyFactory) -> None:
        """With another hash seed, so that no order of a set decides."""
        elsewhere = call_in_fresh_process(_proposals, make_strategy, self.num_learned)
        assert elsewhere == _proposals(make_strategy, self.num_learned)

    @pytest.mark.parametrize("seed", [None, 0])
    def test_global_generators_are_untouched(self, make_strategy: StrategyFactory, seed: int | None) -> None:
        """Those of Python, NumPy, Keras and TensorFlow are neither drawn from nor seeded."""
        with untouched_generators():
            run_search(make_strategy(flat_space(), seed=seed), self.num_learned)

    def test_proposals_are_canonical(self, make_strategy: StrategyFactory, space: SearchSpace) -> None:
        """The active decisions and no others, in the order of the space."""
        for architecture in run_search(make_strategy(space, seed=0), self.num_learned):
            assert list(architecture.items()) == list(space.canonical(architecture).items())

    def test_proposals_are_plain_scalars(self, make_strategy: StrategyFactory) -> None:
        """The type of a value is its option's; a NumPy scalar, which may equal it, cannot be written as JSON."""
        space = conditional_space()
        for architecture in run_search(make_strategy(space, seed=0), self.num_learned):
            for name, value in architecture.items():
                assert type(value) is type(space[name].default)

    def test_no_proposal_twice(self, make_strategy: StrategyFactory, space: SearchSpace) -> None:
        """Whatever was told is never proposed again."""
        proposals = run_search(make_strategy(space, seed=0), min(3 * self.num_learned, space.size))
        assert len(set(proposals)) == len(proposals)

    def test_ask_never_waits(self, make_in_phase: StrategyFactory) -> None:
        """As many as asked for come at once, however many are out."""
        strategy = make_in_phase(flat_space(), seed=0)
        for n in (1, 0, self.num_learned, 5):
            assert len(strategy.ask(n)) == n

    def test_pending_is_kept(self, make_in_phase: StrategyFactory) -> None:
        """In the order asked, until told, in whatever order that happens; it is not proposed meanwhile."""
        strategy = make_in_phase(flat_space(), seed=0)
        proposals = strategy.ask(10) + strategy.ask(10)
        assert strategy.pending == tuple(proposals)
        strategy.tell([toy_evaluation(architecture) for architecture in reversed(proposals[2:-2])])
        assert strategy.pending == tuple(proposals[:2] + proposals[-2:])
        later = strategy.ask(5)
        assert strategy.pending == tuple(proposals[:2] + proposals[-2:] + later)
        assert len(set(proposals + later)) == 25

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

    @pytest.mark.parametrize(
        "decisions", [[], [Decision("only", ("one",))]], ids=["no_decision", "decision_without_choice"]
    )
    def test_space_of_one_architecture(self, make_strategy: StrategyFactory, decisions: list[Decision]) -> None:
        """A hypermodel may have declared nothing yet."""
        space = SearchSpace(decisions)
        strategy = make_strategy(space, seed=0)
        assert run_search(strategy, 1) == [space.default()]
        assert strategy.ask(2) == []

    def test_feasible_is_obeyed(self, make_strategy: StrategyFactory) -> None:
        """Also where few are feasible."""
        strategy = make_strategy(flat_space(), feasible=is_light, seed=0)
        assert all(is_light(architecture) for architecture in run_search(strategy, self.num_learned))

    def test_all_feasible_ones_are_found(self, make_strategy: StrategyFactory) -> None:
        """In a space that can be enumerated not one is missed."""
        strategy = make_strategy(conditional_space(), feasible=lambda a: a.get("expansion") == 4, seed=0)
        assert len(run_search(strategy, 100)) == 16
        assert make_strategy(conditional_space(), feasible=lambda _: False).ask() == []

    def test_raising_feasible_leaves_it_usable(self, make_in_phase: StrategyFactory) -> None:
        """The exception reaches the caller of `ask`, and it is as if that call had never been."""
        broken = False

        def feasible(architecture: Architecture) -> bool:
            if broken:
                raise ZeroDivisionError("no cost")
            return True

        strategy = make_in_phase(flat_space(), feasible=feasible, seed=0)
        before, broken = as_json(strategy), True
        with pytest.raises(ZeroDivisionError, match="no cost"):
            strategy.ask()
        broken = False
        assert as_json(strategy) == before
        assert len(run_search(strategy, 3)) == 3

    def test_initial_comes_first(self, make_strategy: StrategyFactory) -> None:
        """In the given order, canonical, infeasible and known ones left out."""
        space = conditional_space()
        first, second, third = {"operation": "skip"}, {"operation": "mbconv", "kernel": 5}, {"operation": "conv"}
        strategy = make_strategy(
            space, initial=[first, second, third, first], feasible=lambda a: a["operation"] != "conv", seed=0
        )
        assert strategy.ask(2) == [space.canonical(first), space.canonical(second)]
        assert strategy.ask()[0] not in [space.canonical(values) for values in (first, second, third)]


def _proposals(make_strategy: StrategyFactory, num_trials: int) -> list[dict[str, Any]]:
    searches = [
        run_search(make_strategy(space, feasible=is_fair, seed=7), num_trials)
        for space in (flat_space(), conditional_space())
    ]
    return [architecture.to_dict() for proposals in searches for architecture in proposals]
