import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from automl_keras.errors import InvalidArgumentError, ProjectError
from automl_keras.search_space import Architecture, Decision, SearchSpace
from automl_keras.testing import conditional_space, run_search, toy_evaluation, toy_score
from automl_keras.tuners import StrategyOracle
from automl_keras.tuners.derivation import DerivationStrategy
from automl_keras.tuners.policies import Accuracies, ControllerPolicy, MultinomialPolicy, Policy

SPACE = conditional_space()
POLICIES: dict[str, Callable[..., Policy]] = {
    "controller": lambda **settings: ControllerPolicy(
        SPACE, num_updates=3, learning_rate=0.02, batch_size=8, hidden_size=16, **settings
    ),
    "multinomial": lambda **settings: MultinomialPolicy(SPACE, learning_rate=0.05, score_rate=0.1, **settings),
}


def noisy(architectures: Sequence[Architecture], number: int) -> np.ndarray:
    """Scores of a toy, with the noise of the minibatch."""
    noise = [np.random.default_rng(number + place).normal(0, 0.02) for place in range(len(architectures))]
    return np.array([toy_score(architecture) for architecture in architectures]) + noise


def mean_score(policy: Policy) -> float:
    rng = np.random.default_rng(1)
    return float(np.mean([toy_score(policy.drafts(rng)[0]) for _ in range(200)]))


def taught(policy: Policy, phases: range, accuracies: Accuracies = noisy) -> Policy:
    for phase in phases:
        policy.learn(phase, accuracies)
    return policy


@pytest.mark.parametrize(("name", "phases"), [("controller", 40), ("multinomial", 300)])
def test_it_learns_to_draw_better_architectures(name: str, phases: int) -> None:
    policy = POLICIES[name](seed=0)
    before = mean_score(policy)
    scores = [toy_score(SPACE.sample(np.random.default_rng(n))) for n in range(500)]
    taught(policy, range(phases))
    assert mean_score(policy) > before + np.std(scores)
    assert len(policy.history) == phases
    assert policy.history[-1]["entropy"] < policy.history[0]["entropy"]


@pytest.mark.parametrize("name", POLICIES)
def test_goes_on_from_its_state_as_if_nothing_had_happened(name: str) -> None:
    policy = taught(POLICIES[name](seed=3), range(4))
    resumed = POLICIES[name](seed=3)
    resumed.set_state(json.loads(json.dumps(policy.get_state())))
    for each in (policy, resumed):
        taught(each, range(4, 6))
    assert resumed.history == policy.history
    assert [resumed.path(6, step) for step in range(5)] == [policy.path(6, step) for step in range(5)]
    assert resumed.drafts(np.random.default_rng(0)) == policy.drafts(np.random.default_rng(0))


def test_a_controller_draws_anew_for_each_step_and_a_distribution_for_each_phase() -> None:
    controller, distribution = POLICIES["controller"](seed=0), POLICIES["multinomial"](seed=0)
    assert len({controller.path(0, step) for step in range(20)}) > 5
    assert len({distribution.path(0, step) for step in range(20)}) == 1
    assert len({distribution.path(phase, 0) for phase in range(20)}) > 5


@pytest.mark.parametrize("name", POLICIES)
def test_what_is_not_feasible_is_worth_nothing(name: str) -> None:
    told: list[float] = []

    def perfect(architectures: Sequence[Architecture], number: int) -> np.ndarray:
        return np.ones(len(architectures))

    def feasible(architecture: Architecture) -> bool:
        told.append(1.0)
        return len(told) % 2 == 0

    policy = taught(POLICIES[name](seed=0, feasible=feasible), range(1), perfect)
    assert policy.history[0]["reward"] == 0.5


def test_the_first_update_is_toward_what_is_better() -> None:
    space = SearchSpace([Decision("operation", ("good", "bad"))])
    policy = MultinomialPolicy(space, learning_rate=0.1)
    phases = [phase for phase in range(20) if policy.path(phase, 0)["operation"] == "good"][:1]
    phases += [phase for phase in range(20) if policy.path(phase, 0)["operation"] == "bad"][:1]
    for phase in phases:
        score = 0.9 if policy.path(phase, 0)["operation"] == "good" else 0.2
        policy.learn(phase, lambda architectures, number, score=score: np.full(len(architectures), score))
    assert policy.distribution.probabilities["operation"].tolist() == pytest.approx([0.6, 0.4])


@pytest.mark.parametrize("name", POLICIES)
def test_a_derivation_proposes_what_the_policy_draws(name: str) -> None:
    policy = taught(POLICIES[name](seed=0), range(30))
    strategy = DerivationStrategy(SPACE, seed=0, policy=policy)
    run_search(strategy, 40, toy_evaluation)
    found = [evaluation.architecture for evaluation in strategy.evaluations]
    assert len(set(found)) == len(found) == SPACE.size
    uniform = np.mean([toy_score(SPACE.sample(np.random.default_rng(n))) for n in range(500)])
    assert np.mean([toy_score(architecture) for architecture in found[:15]]) > uniform
    resumed = DerivationStrategy(SPACE, policy=policy)
    resumed.set_state(json.loads(json.dumps(strategy.get_state())))
    assert resumed.ask(3) == strategy.ask(3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "published"}, "preset='published'"),
        ({"preset": "few_trials"}, "preset='few_trials', reward='rank'"),
        ({"reward": "rank"}, "reward='rank'"),
        ({"num_updates": 0}, "num_updates=0"),
    ],
)
def test_a_controller_refuses_what_it_could_not_do(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        ControllerPolicy(SPACE, **settings)


@pytest.mark.parametrize(
    ("policy", "other"),
    [
        (ControllerPolicy(SPACE, hidden_size=8), ControllerPolicy(SPACE, hidden_size=16)),
        (ControllerPolicy(SPACE, hidden_size=8), ControllerPolicy(SPACE, hidden_size=8, num_updates=3)),
        (ControllerPolicy(SPACE, hidden_size=8), MultinomialPolicy(SPACE)),
        (MultinomialPolicy(SPACE), MultinomialPolicy(SPACE, score_rate=0.5)),
        (MultinomialPolicy(SPACE), MultinomialPolicy(SPACE, num_minibatches=2)),
    ],
)
def test_a_search_does_not_go_on_with_another_policy(policy: Policy, other: Policy, tmp_path: Path) -> None:
    def open_project(policy: Policy) -> None:
        StrategyOracle(DerivationStrategy(SPACE, seed=0, policy=policy), rounds=1).open_project(tmp_path)

    open_project(policy)
    open_project(policy)
    with pytest.raises(ProjectError, match="policy"):
        open_project(other)
