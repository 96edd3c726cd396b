"""What every strategy has to keep about the results it is told."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from itertools import cycle
from typing import Any

import pytest

from automl_keras.errors import InvalidArchitectureError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.testing.strategy_fixtures import StrategyFactory, StrategyFixtures, as_json, run_search
from automl_keras.testing.toy import conditional_space, flat_space, toy_evaluation, toy_score

CRASH: dict[str, Any] = {"error": "crashed"}
FAILURES: list[dict[str, Any]] = [
    CRASH,
    {"metrics": {"val_accuracy": 9.0}, "error": "crashed"},
    {"metrics": {"val_accuracy": math.nan}},
    {"metrics": {"val_accuracy": math.inf}},
    {"metrics": {}},
]


class ResultChecks(StrategyFixtures):
    """Scores of any size and sign are learnt from, failures are not, and `best` is one of those told."""

    def test_minimising_equals_maximising_the_negated(self, make_strategy: StrategyFactory, space: SearchSpace) -> None:
        """Only `score` knows the direction."""
        expected = run_search(make_strategy(space, "val_accuracy", seed=3), self.num_learned)
        strategy = make_strategy(space, "val_loss", seed=3)
        found = run_search(strategy, self.num_learned, lambda a: Evaluation(a, {"val_loss": -toy_score(a)}))
        assert found == expected

    @pytest.mark.parametrize("spread", [0.0, 1e-9, 1e9], ids=["all_equal", "tiny", "huge"])
    def test_scores_of_any_spread(self, make_strategy: StrategyFactory, spread: float) -> None:
        """Without a warning of NumPy's, such as of a division by the spread."""
        strategy = make_strategy(flat_space(), seed=0)
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            proposals = run_search(
                strategy, self.num_learned, lambda a: Evaluation(a, {"val_accuracy": 0.5 + spread * toy_score(a)})
            )
        assert len(proposals) == self.num_learned

    def test_failed_is_not_learnt(self, make_strategy: StrategyFactory) -> None:
        """Proposals do not depend on what a failed evaluation holds: no score, no finite one, a wonderful one."""
        searches = []
        for failures in ([CRASH], FAILURES):
            strategy = make_strategy(flat_space(), seed=3)
            evaluate = _evaluator([outcome for failure in failures for outcome in (None, failure, None)])
            searches.append(run_search(strategy, self.num_learned, evaluate))
            assert not any(evaluation.failed("val_accuracy") for evaluation in strategy.evaluations)
        assert searches[0] == searches[1]

    def test_failed_is_not_repeated(self, make_in_phase: StrategyFactory) -> None:
        """Nor pending any longer."""
        space = conditional_space()
        strategy = make_in_phase(space, seed=0)
        failed = strategy.ask(len(FAILURES))
        strategy.tell([Evaluation(a, **failure) for a, failure in zip(failed, FAILURES, strict=True)])
        assert strategy.pending == ()
        assert not set(failed) & set(run_search(strategy, space.size))

    @pytest.mark.parametrize(
        "outcomes",
        [[CRASH], [CRASH, None], [CRASH] * 10 + [None] * 100],
        ids=["all_fail", "every_other_fails", "first_ten_fail"],
    )
    def test_failures_do_not_stop_the_search(
        self, make_strategy: StrategyFactory, space: SearchSpace, outcomes: list[dict[str, Any] | None]
    ) -> None:
        """Neither a level nor a population waits for one that failed; the small space is exhausted."""
        num_trials = min(self.num_learned, space.size)
        assert len(run_search(make_strategy(space, seed=0), num_trials, _evaluator(outcomes))) == num_trials

    def test_success_after_failure_counts(self, make_strategy: StrategyFactory) -> None:
        """As when a trial is run again by hand."""
        strategy = make_strategy(flat_space(), seed=0)
        failed, other = strategy.ask(2)
        strategy.tell([Evaluation(failed, **CRASH), toy_evaluation(other)])
        strategy.tell([toy_evaluation(failed)])
        assert strategy.evaluations == (toy_evaluation(other), toy_evaluation(failed))

    @pytest.mark.parametrize("objective", ["val_accuracy", "val_loss"])
    def test_best_is_one_of_those_told(self, make_strategy: StrategyFactory, objective: str) -> None:
        """`None` while there is none."""
        strategy = make_strategy(flat_space(), objective, seed=0)
        assert strategy.best() is None
        strategy.tell([Evaluation(architecture, **CRASH) for architecture in strategy.ask(2)])
        assert strategy.best() is None
        told = []
        for num_trials in (1, self.num_warm_up, self.num_learned):
            told += [toy_evaluation(a, objective) for a in run_search(strategy, num_trials)]
            assert strategy.best() in told

    @pytest.mark.parametrize(("objective", "score"), [("val_accuracy", 10.0), ("val_loss", -10.0)])
    def test_best_believes_a_clear_winner(self, make_strategy: StrategyFactory, objective: str, score: float) -> None:
        """Even if it takes scores for noisy."""
        strategy = make_strategy(flat_space(), objective, seed=0)
        run_search(strategy, self.num_learned)
        [winner] = strategy.ask()
        strategy.tell([Evaluation(winner, {objective: score})])
        best = strategy.best()
        assert best is not None
        assert best.architecture == winner

    @pytest.mark.parametrize("correction", [{"metrics": {"val_accuracy": -10.0}}, CRASH], ids=["replaced", "failed"])
    def test_best_drops_what_is_corrected(self, make_strategy: StrategyFactory, correction: dict[str, Any]) -> None:
        """A later evaluation of the same architecture counts, a failure too."""
        strategy = make_strategy(flat_space(), seed=0)
        [winner] = strategy.ask()
        strategy.tell([Evaluation(winner, {"val_accuracy": 10.0})])
        run_search(strategy, self.num_learned)
        strategy.tell([Evaluation(winner, **correction)])
        best = strategy.best()
        assert best is not None
        assert best.architecture != winner

    def test_learns_from_results_not_asked_for(self, make_strategy: StrategyFactory, space: SearchSpace) -> None:
        """In canonical form; they are not proposed any more."""
        strategy = make_strategy(space, seed=0)
        strategy.tell([Evaluation(Architecture({}), {"val_accuracy": 0.5})])
        assert strategy.evaluations == (Evaluation(space.default(), {"val_accuracy": 0.5}),)
        assert space.default() not in run_search(strategy, self.num_learned)

    def test_infeasible_results_are_not_believed(self, make_strategy: StrategyFactory) -> None:
        """Unless they were asked for."""
        space = conditional_space()
        strategy = make_strategy(space, feasible=lambda a: a["operation"] != "conv", seed=0)
        strategy.tell([Evaluation(space.canonical({"operation": "conv"}), {"val_accuracy": 2.0})])
        assert strategy.evaluations == ()

    def test_foreign_results_are_refused(self, make_in_phase: StrategyFactory) -> None:
        """And it is as if they had never been told."""
        strategy = make_in_phase(flat_space(), seed=0)
        before = as_json(strategy)
        with pytest.raises(InvalidArchitectureError, match="d0"):
            strategy.tell([Evaluation(Architecture({"d0": 99}), {"val_accuracy": 0.5})])
        assert as_json(strategy) == before
        assert len(run_search(strategy, 3)) == 3

    def test_newer_generation_forgets_older_scores(self, make_strategy: StrategyFactory) -> None:
        """Scores of shared weights only; a late result of the older generation changes nothing."""
        space = conditional_space()
        strategy = make_strategy(space, seed=0)
        old, late, new, alone = strategy.ask(4)
        strategy.tell([_shared(old, 0.9, 1), Evaluation(alone, {"val_accuracy": 0.1}), _shared(new, 0.5, 2)])
        strategy.tell([_shared(late, 0.8, 1)])
        assert [evaluation.architecture for evaluation in strategy.evaluations] == [alone, new]
        best = strategy.best()
        assert best is not None
        assert best.architecture == new
        assert {old, late} <= set(run_search(strategy, space.size))


def _evaluator(outcomes: list[dict[str, Any] | None]) -> Callable[[Architecture], Evaluation]:
    """Evaluations that end in these ways in turn: `None` well, others as the arguments of `Evaluation` say."""
    upcoming = cycle(outcomes)

    def evaluate(architecture: Architecture) -> Evaluation:
        outcome = next(upcoming)
        return toy_evaluation(architecture) if outcome is None else Evaluation(architecture, **outcome)

    return evaluate


def _shared(architecture: Architecture, score: float, generation: int) -> Evaluation:
    return Evaluation(architecture, {"val_accuracy": score}, source="shared_weights", generation=generation)
