"""Strategies with one fault each, and the check of `StrategyTestCase` that finds it.

Run by `test_strategy_checks_catch.py`; a fresh process imports it too.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.testing import StrategyTestCase
from automl_keras.tuners import RandomStrategy


class Broken(RandomStrategy):
    fails: ClassVar[str]


class TakesZeroForNoSeed(Broken):
    fails = "test_same_seed_same_proposals"

    def __init__(self, *arguments: Any, seed: int | None = None, **settings: Any) -> None:
        super().__init__(*arguments, seed=seed or None, **settings)


class IgnoresTheSeed(Broken):
    fails = "test_other_seed_other_proposals"

    def __init__(self, *arguments: Any, seed: int | None = None, **settings: Any) -> None:
        super().__init__(*arguments, seed=5, **settings)


class DrawsInTheOrderOfASet(Broken):
    fails = "test_same_proposals_in_fresh_process"

    def propose(self, rng: np.random.Generator) -> Architecture:
        options = {name: self.space[name].options for name in set(self.space.names)}
        return self.space.canonical({name: values[rng.integers(len(values))] for name, values in options.items()})


class DrawsFromTheGlobalGenerator(Broken):
    fails = "test_global_generators_are_untouched"

    def propose(self, rng: np.random.Generator) -> Architecture:
        np.random.random()  # noqa: NPY002
        return super().propose(rng)


class DecidesWhatIsInactive(Broken):
    fails = "test_proposals_are_canonical"

    def ask(self, n: int = 1) -> list[Architecture]:
        proposals = super().ask(n)
        if len(self.evaluations) < 12:
            return proposals
        return [Architecture({**a, "expansion": 2}) if a.get("operation") == "conv" else a for a in proposals]


class ProposesNumpyScalars(Broken):
    fails = "test_proposals_are_plain_scalars"

    def propose(self, rng: np.random.Generator) -> Architecture:
        architecture = super().propose(rng)
        return Architecture({n: np.float64(v) if isinstance(v, float) else v for n, v in architecture.items()})


class ConfirmsTheBest(Broken):
    fails = "test_no_proposal_twice"

    def ask(self, n: int = 1) -> list[Architecture]:
        best = self.best()
        return [best.architecture] if best is not None and len(self.evaluations) == 50 else super().ask(n)


class WaitsForResults(Broken):
    fails = "test_ask_never_waits"

    def ask(self, n: int = 1) -> list[Architecture]:
        return super().ask(min(n, 20 - len(self.pending)))


class TakesABatchForTold(Broken):
    fails = "test_pending_is_kept"

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        super().tell(evaluations)
        self.set_state({**self.get_state(), "pending": []})


class StartsOver(Broken):
    fails = "test_exhausted_space"

    def ask(self, n: int = 1) -> list[Architecture]:
        is_exhausted = len(self.evaluations) == self.space.size > 1
        return [self.evaluations[-1].architecture] if is_exhausted else super().ask(n)


class DrawsADecision(Broken):
    fails = "test_space_of_one_architecture"

    def propose(self, rng: np.random.Generator) -> Architecture:
        rng.integers(len(self.space.names))
        return super().propose(rng)


class IgnoresAStrictFeasible(Broken):
    fails = "test_feasible_is_obeyed"

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        samples = [self.space.sample(np.random.default_rng(seed)) for seed in range(10)]
        if self.space.size > 1_000 and self.feasible and not any(map(self.feasible, samples)):
            self.feasible = None


class GivesUpOnARareFeasible(Broken):
    fails = "test_all_feasible_ones_are_found"

    def ask(self, n: int = 1) -> list[Architecture]:
        rng = self.generator("look", len(self.evaluations))
        gives_up = self.feasible and not any(self.is_allowed(self.space.sample(rng)) for _ in range(60))
        return [] if gives_up and self.space.size < 1_000 else super().ask(n)


class StaysBusy(Broken):
    fails = "test_raising_feasible_leaves_it_usable"
    busy = False

    def ask(self, n: int = 1) -> list[Architecture]:
        if self.busy:
            raise RuntimeError("busy")
        self.busy = True
        proposals = super().ask(n)
        self.busy = False
        return proposals


class IgnoresInitial(Broken):
    fails = "test_initial_comes_first"

    def __init__(self, *arguments: Any, initial: Any = (), **settings: Any) -> None:
        super().__init__(*arguments, **settings)


class ClimbsTheRawMetric(Broken):
    fails = "test_minimising_equals_maximising_the_negated"

    def propose(self, rng: np.random.Generator) -> Architecture:
        if len(self.evaluations) < 5:
            return super().propose(rng)
        parent = max(self.evaluations, key=lambda evaluation: evaluation.metrics[self.objective])
        return self.space.mutate(parent.architecture, rng)


class DividesByTheSpread(Broken):
    fails = "test_scores_of_any_spread"

    def propose(self, rng: np.random.Generator) -> Architecture:
        if len(self.evaluations) < 5:
            return super().propose(rng)
        scores = np.array([self.score(evaluation) for evaluation in self.evaluations])
        weights = np.exp((scores - scores.max()) / scores.std())
        parent = self.evaluations[rng.choice(len(scores), p=weights / weights.sum())]
        return self.space.mutate(parent.architecture, rng)


class LearnsFromFailed(Broken):
    fails = "test_failed_is_not_learnt"
    num_wonderful = 0

    def propose(self, rng: np.random.Generator) -> Architecture:
        rng.random(self.num_wonderful)
        return super().propose(rng)

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        super().tell(evaluations)
        self.num_wonderful += sum(evaluation.metrics.get(self.objective, 0) > 1 for evaluation in evaluations)

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "num_wonderful": self.num_wonderful}

    def set_state(self, state: Any) -> None:
        super().set_state(state)
        self.num_wonderful = state["num_wonderful"]


class ForgetsWhatHadNoScore(Broken):
    fails = "test_failed_is_not_repeated"

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        super().tell(evaluations)
        scoreless = [e.architecture.to_dict() for e in evaluations if e.error is None and e.failed(self.objective)]
        state = self.get_state()
        self.set_state({**state, "failed": [values for values in state["failed"] if values not in scoreless]})


class StopsAfterFailuresInARow(Broken):
    fails = "test_failures_do_not_stop_the_search"
    num_in_a_row = 0

    def ask(self, n: int = 1) -> list[Architecture]:
        return [] if self.num_in_a_row == 5 else super().ask(n)

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        super().tell(evaluations)
        for evaluation in evaluations:
            self.num_in_a_row = self.num_in_a_row + 1 if evaluation.failed(self.objective) else 0


class NeverForgives(Broken):
    fails = "test_success_after_failure_counts"

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        failed = self.get_state()["failed"]
        super().tell([e for e in evaluations if e.architecture.to_dict() not in failed])


class MakesUpTheBest(Broken):
    fails = "test_best_is_one_of_those_told"

    def best(self) -> Evaluation | None:
        best = super().best()
        return best and replace(best, metrics={name: value + 0.01 for name, value in best.metrics.items()})


class IgnoresTheDirection(Broken):
    fails = "test_best_believes_a_clear_winner"

    def best(self) -> Evaluation | None:
        return max(self.evaluations, key=lambda evaluation: evaluation.metrics[self.objective], default=None)


class RemembersTheBest(Broken):
    fails = "test_best_drops_what_is_corrected"

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.seen: list[Evaluation] = []

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        super().tell(evaluations)
        self.seen += [evaluation for evaluation in self.evaluations if evaluation not in self.seen]

    def best(self) -> Evaluation | None:
        valid = {evaluation.architecture for evaluation in self.evaluations}
        return max((e for e in self.seen if e.architecture in valid), key=self.score, default=None)


class IgnoresWhatItDidNotAskFor(Broken):
    fails = "test_learns_from_results_not_asked_for"

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        super().tell([e for e in evaluations if not self.is_allowed(self.space.canonical(e.architecture))])


class BelievesTheInfeasible(Broken):
    fails = "test_infeasible_results_are_not_believed"

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        feasible, self.feasible = self.feasible, None
        super().tell(evaluations)
        self.feasible = feasible


class CountsBeforeItChecks(Broken):
    fails = "test_foreign_results_are_refused"
    num_told = 0

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        self.num_told += len(evaluations)
        super().tell(evaluations)

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "num_told": self.num_told}

    def set_state(self, state: Any) -> None:
        super().set_state(state)
        self.num_told = state["num_told"]


class MixesGenerations(Broken):
    fails = "test_newer_generation_forgets_older_scores"

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        super().tell([replace(evaluation, generation=0) for evaluation in evaluations])


class CountsSuccessesOnly(Broken):
    fails = "test_state_round_trip"

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "num_asked": len(self.evaluations) + len(self.pending)}


class GivesOutItsList(Broken):
    fails = "test_state_is_a_snapshot"

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.batches: list[int] = []

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        super().tell(evaluations)
        self.batches.append(len(evaluations))

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "batches": self.batches}

    def set_state(self, state: Any) -> None:
        super().set_state(state)
        self.batches = list(state["batches"])


class SavesItsArguments(Broken):
    fails = "test_state_holds_no_argument_but_the_seed"

    def __init__(self, space: SearchSpace, objective: Any = "val_accuracy", **settings: Any) -> None:
        super().__init__(space, objective, **settings)

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "objective": self.objective}


class ConsumesWhatItIsTold(Broken):
    fails = "test_arguments_are_not_mutated"

    def tell(self, evaluations: list[Evaluation]) -> None:  # type: ignore[override]
        while evaluations:
            super().tell([evaluations.pop(0)])


class ForgetsPendingWhenItGrows(Broken):
    fails = "test_extend_keeps_what_was_told"

    def extend(self, space: SearchSpace) -> None:
        super().extend(space)
        self.set_state({**self.get_state(), "pending": []})


class LeavesNewDecisionsAlone(Broken):
    fails = "test_extend_explores_new_decisions"

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.known = list(self.space.names)

    def propose(self, rng: np.random.Generator) -> Architecture:
        return self.space.canonical({n: v for n, v in super().propose(rng).items() if n in self.known})

    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "known": list(self.known)}

    def set_state(self, state: Any) -> None:
        super().set_state(state)
        self.known = list(state["known"])


class KeepsTheOldSize(Broken):
    fails = "test_extended_space_is_exhausted"

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.size = self.space.size

    def ask(self, n: int = 1) -> list[Architecture]:
        return super().ask(min(n, self.size - len(self.evaluations) - len(self.pending)))


class DependsOnWhenItGrew(Broken):
    fails = "test_extended_state_round_trip"
    num_extensions = 0

    def extend(self, space: SearchSpace) -> None:
        super().extend(space)
        self.num_extensions += 1

    def propose(self, rng: np.random.Generator) -> Architecture:
        rng.random(self.num_extensions)
        return super().propose(rng)


class GrowsBeforeItChecks(Broken):
    fails = "test_refused_extension_changes_nothing"

    def extend(self, space: SearchSpace) -> None:
        self.space = space
        super().extend(space)


class TestBroken(StrategyTestCase):
    num_learned = 20

    @pytest.fixture(params=Broken.__subclasses__())
    def make_strategy(self, request: pytest.FixtureRequest) -> Any:
        return request.param
