"""What every strategy has to keep when it is saved and restored, and when its space grows."""

from __future__ import annotations

import inspect
from dataclasses import replace

import pytest

from automl_keras.errors import InvalidArchitectureError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Decision, SearchSpace
from automl_keras.testing.strategy_fixtures import StrategyFactory, StrategyFixtures, as_json, is_fair, run_search
from automl_keras.testing.toy import conditional_space, flat_space, toy_evaluation


class StateChecks(StrategyFixtures):
    """A killed search goes on as if nothing had happened, a growing one with all it knows."""

    def test_state_round_trip(
        self, make_in_phase: StrategyFactory, make_strategy: StrategyFactory, space: SearchSpace
    ) -> None:
        """Through JSON; with pending and failed architectures; the seed is the state's."""
        strategy = make_in_phase(space, feasible=is_fair, seed=None)
        failed, *_ = strategy.ask(3)
        strategy.tell([Evaluation(failed, error="crashed")])
        state = as_json(strategy)
        resumed = make_strategy(space, feasible=is_fair, seed=12345)
        resumed.set_state(state)
        assert as_json(resumed) == state
        assert resumed.pending == strategy.pending
        assert resumed.evaluations == strategy.evaluations
        assert run_search(resumed, 20) == run_search(strategy, 20)

    def test_state_is_a_snapshot(self, make_strategy: StrategyFactory) -> None:
        """Going on changes neither the state that was given out nor the one that was restored."""
        strategy, resumed = make_strategy(flat_space(), seed=0), make_strategy(flat_space())
        run_search(strategy, self.num_learned)
        strategy.ask(2)
        state = strategy.get_state()
        before = repr(state)
        resumed.set_state(state)
        for going_on in (strategy, resumed):
            going_on.tell([toy_evaluation(going_on.pending[0])])
            run_search(going_on, 5)
        assert repr(state) == before

    def test_state_holds_no_argument_but_the_seed(self, make_strategy: StrategyFactory) -> None:
        """Arguments come from running the same code again, perhaps with a larger budget."""
        strategy = make_strategy(flat_space(), feasible=is_fair, initial=[{"d0": 1}], seed=3)
        run_search(strategy, self.num_learned)
        arguments = inspect.signature(type(strategy)).parameters.keys() - {"seed"}
        assert not arguments & strategy.get_state().keys()
        other = make_strategy(flat_space())
        other.set_state(as_json(strategy))
        assert (other.feasible, other.initial, other.seed) == (None, (), strategy.seed)

    def test_arguments_are_not_mutated(self, make_strategy: StrategyFactory) -> None:
        """Neither the lists nor what they hold."""
        initial = [{"operation": "conv", "expansion": 4}, {"kernel": 5}]
        strategy = make_strategy(conditional_space(), initial=initial, seed=0)
        told = [toy_evaluation(architecture) for architecture in strategy.ask(5)]
        told.append(Evaluation(strategy.ask()[0], {"val_accuracy": 9.0, "loss": 1.0}, error="crashed"))
        before = repr((initial, told))
        strategy.tell(told)
        run_search(strategy, 5)
        assert repr((initial, told)) == before

    def test_extend_keeps_what_was_told(self, make_in_phase: StrategyFactory, space: SearchSpace) -> None:
        """As made with the default of a decision that was not known yet; so are results that come late."""
        strategy = make_in_phase(space, seed=0)
        pending, told, larger = strategy.ask(3), strategy.evaluations, grown(space)
        strategy.extend(larger)
        assert strategy.space == larger
        assert strategy.evaluations == tuple(replace(e, architecture=larger.canonical(e.architecture)) for e in told)
        assert strategy.pending == tuple(larger.canonical(architecture) for architecture in pending)
        strategy.tell([toy_evaluation(architecture) for architecture in pending])
        assert strategy.pending == ()
        assert len(strategy.evaluations) == len(told) + 3

    def test_extend_explores_new_decisions(self, make_in_phase: StrategyFactory) -> None:
        """Before all else is known."""
        strategy, larger = make_in_phase(flat_space(), seed=0), grown(flat_space())
        strategy.extend(larger)
        proposals = (run_search(strategy, 1)[0] for _ in range(3 * self.num_learned))
        assert any(architecture["units"] != larger["units"].default for architecture in proposals)

    def test_extended_space_is_exhausted(self, make_in_phase: StrategyFactory) -> None:
        """Every architecture comes once that was not tried as made with the defaults."""
        space = conditional_space().restrict({"pool": ("max",), "residual": (True,)})
        strategy, larger = make_in_phase(space, seed=0), grown(space)
        [failed] = strategy.ask()
        strategy.tell([Evaluation(failed, error="crashed")])
        tried = {larger.canonical(a) for a in (failed, *(e.architecture for e in strategy.evaluations))}
        strategy.extend(larger)
        proposals = run_search(strategy, larger.size - len(tried))
        assert len(tried.union(larger.canonical(architecture) for architecture in proposals)) == larger.size

    def test_extended_state_round_trip(self, make_in_phase: StrategyFactory, make_strategy: StrategyFactory) -> None:
        """What is derived from the smaller space must not decide."""
        strategy, larger = make_in_phase(flat_space(), seed=0), grown(flat_space())
        strategy.extend(larger)
        run_search(strategy, 5)
        strategy.ask(2)
        resumed = make_strategy(larger)
        resumed.set_state(as_json(strategy))
        assert run_search(resumed, 15) == run_search(strategy, 15)

    def test_refused_extension_changes_nothing(self, make_strategy: StrategyFactory) -> None:
        """A space without what was told before is none to go on in."""
        strategy = make_strategy(flat_space(), seed=0)
        run_search(strategy, self.num_learned)
        before = as_json(strategy)
        with pytest.raises(InvalidArchitectureError):
            strategy.extend(conditional_space())
        assert strategy.space == flat_space()
        assert as_json(strategy) == before
        assert len(run_search(strategy, 3)) == 3


def grown(space: SearchSpace) -> SearchSpace:
    """Three times as large: a decision whose default is not its first option, and a child of it."""
    units = Decision("units", (16, 32), default=32)
    return SearchSpace([*space.decisions, units, Decision("dropout", (False, True), parent=("units", (16,)))])
