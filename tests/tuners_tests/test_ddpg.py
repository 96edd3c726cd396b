import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy.stats import truncnorm

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, Decision, SearchSpace
from automl_keras.testing import OracleTestCase, StrategyTestCase, flat_space, run_search, toy_evaluation, toy_score
from automl_keras.tuners import DDPGStrategy, HAQOracle
from automl_keras.tuners.ddpg import option_index, scaled_features, truncated_normal
from automl_keras.tuners.ddpg_networks import Batch, DDPGAgent, DDPGSettings, Perceptron

SMALL: dict[str, Any] = {"hidden_size": 4, "batch_size": 8}


class TestDDPGStrategy(StrategyTestCase):
    @pytest.fixture
    def make_strategy(self) -> Callable[..., DDPGStrategy]:
        return partial(DDPGStrategy, warm_up=34, **SMALL)


class TestHAQOracle(OracleTestCase):
    @pytest.fixture
    def make_oracle(self) -> Any:
        return partial(HAQOracle, warm_up=6, **SMALL)


def numeric_gradient(value: Callable[[], float], array: np.ndarray) -> np.ndarray:
    """Central differences, one entry after the other."""
    gradient = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        start, values = array[index], []
        for step in (1e-6, -1e-6):
            array[index] = start + step
            values.append(value())
        array[index] = start
        gradient[index] = (values[0] - values[1]) / 2e-6
    return gradient


def some_batch(size: int = 7, state_size: int = 3) -> Batch:
    rng = np.random.default_rng(1)
    states, next_states = rng.random((2, size, state_size))
    return Batch(
        states, rng.random(size), rng.normal(size=size), next_states, (rng.random(size) > 0.3).astype(np.float64)
    )


def some_agent(**settings: Any) -> DDPGAgent:
    """With weights of float64, so that differences tell, and enough units that some are active."""
    agent = DDPGAgent(3, 50, DDPGSettings(**{**SMALL, "hidden_size": 16, **settings}), np.random.default_rng(0))
    for network in (agent.actor, agent.critic, agent.target_actor, agent.target_critic):
        as_float64(network)
    return agent


def as_float64(network: Perceptron) -> Perceptron:
    network.weights.update({name: weight.astype(np.float64) for name, weight in network.weights.items()})
    return network


def test_gradients_of_a_perceptron() -> None:
    rng = np.random.default_rng(0)
    network, inputs, shares = as_float64(Perceptron((3, 1), 5, rng)), rng.normal(size=(6, 4)), rng.normal(size=6)

    def value() -> float:
        return float(shares @ network(inputs))

    units = network.forward(inputs)
    by_weight, by_input = network.weight_gradient(units, shares), network.input_gradient(units, shares)
    np.testing.assert_allclose(by_input, numeric_gradient(value, inputs), rtol=1e-6, atol=1e-9)
    for name, weight in network.weights.items():
        np.testing.assert_allclose(by_weight[name], numeric_gradient(value, weight), rtol=1e-6, atol=1e-9)


def test_gradients_of_actor_and_critic() -> None:
    """Of what each is to improve: the critic's error, and what the critic says of the actor's actions."""
    agent, batch = some_agent(), some_batch()
    targets = agent.targets(batch)

    def negated_error() -> float:
        return -float(np.mean((agent.critic(np.column_stack([batch.states, batch.actions])) - targets) ** 2))

    def mean_value() -> float:
        actions = 1.0 / (1.0 + np.exp(-agent.actor(batch.states)))
        return float(agent.critic(np.column_stack([batch.states, actions])).mean())

    found = agent.critic_gradient(batch, targets)
    for name, weight in agent.critic.weights.items():
        np.testing.assert_allclose(found[name], numeric_gradient(negated_error, weight), rtol=1e-5, atol=1e-8)
    found = agent.actor_gradient(batch.states)
    for name, weight in agent.actor.weights.items():
        assert np.any(found[name])
        np.testing.assert_allclose(found[name], numeric_gradient(mean_value, weight), rtol=1e-4, atol=1e-9)


def test_targets_of_the_critic() -> None:
    """The last step of an episode has no next state; targets come from the slow networks."""
    agent, batch = some_agent(discount=0.5), some_batch()
    expected = []
    for place in range(7):
        state = batch.next_states[place][None]
        action = 1.0 / (1.0 + np.exp(-agent.target_actor(state)))
        value = agent.target_critic(np.column_stack([state, action]))[0]
        expected.append(batch.rewards[place] + 0.5 * batch.goes_on[place] * value)
    for weight in [*agent.actor.weights.values(), *agent.critic.weights.values()]:
        weight += 1.0
    np.testing.assert_allclose(agent.targets(batch), expected)


def test_an_update_moves_everything_once() -> None:
    agent, batch = some_agent(tau=0.25, baseline_rate=0.5), some_batch()
    before = {name: weight.copy() for name, weight in agent.target_critic.weights.items()}
    agent.update(batch)
    mean = batch.rewards.mean()
    assert agent.baseline == pytest.approx(mean)
    for slow, fast in ((agent.target_actor, agent.actor), (agent.target_critic, agent.critic)):
        assert all(np.any(slow.weights[name] != fast.weights[name]) for name in before)
    for name, weight in agent.target_critic.weights.items():
        np.testing.assert_allclose(weight, 0.75 * before[name] + 0.25 * agent.critic.weights[name])
    agent.update(Batch(batch.states, batch.actions, batch.rewards + 1.0, batch.next_states, batch.goes_on))
    assert agent.baseline == pytest.approx(mean + 0.5)
    assert agent.num_updates == 2


def test_a_constant_in_all_rewards_changes_nothing() -> None:
    """So HAQ's accuracy of the float network need not be known."""
    agents, batch = [some_agent(), some_agent()], some_batch()
    for _ in range(5):
        agents[0].update(batch)
        agents[1].update(Batch(batch.states, batch.actions, batch.rewards - 9.0, batch.next_states, batch.goes_on))
    for name, weight in agents[0].actor.weights.items():
        np.testing.assert_allclose(weight, agents[1].actor.weights[name], rtol=1e-6, atol=1e-9)


def test_memory_forgets_the_oldest_and_draws_each_once() -> None:
    agent = some_agent(batch_size=50)
    for number in range(60):
        agent.remember(np.full(3, number), 0.5, float(number), np.full(3, number + 1), is_last=number % 2 == 1)
    batch = agent.draw(np.random.default_rng(0))
    assert sorted(batch.rewards) == list(range(10, 60))
    np.testing.assert_array_equal(batch.states[:, 2], batch.rewards)
    np.testing.assert_array_equal(batch.next_states[:, 0], batch.rewards + 1)
    np.testing.assert_array_equal(batch.goes_on, batch.rewards % 2 == 0)


def test_actions_are_haqs_bits() -> None:
    """For 1 to 8 bits, ties included; clipped at the ends, where HAQ's formula gives 0 bits."""
    for action in [*np.linspace(0.0, 1.0, 1001), *(k / 8 for k in range(9))]:
        bits = int(np.round((8.5 - 0.5) * action + 0.5, 0))
        assert option_index(float(action), 8) + 1 == min(max(bits, 1), 8)
    assert [option_index(action, 3) for action in (0.0, 0.33, 0.34, 0.66, 0.67, 1.0)] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(("mean", "deviation"), [(0.5, 0.5), (0.01, 0.3), (0.999, 0.05), (0.3, 1e-9), (0.7, 10.0)])
def test_noise_is_a_truncated_normal_distribution(mean: float, deviation: float) -> None:
    chances = np.linspace(0.01, 0.99, 25)
    found = [truncated_normal(mean, deviation, chance) for chance in chances]
    expected = truncnorm.ppf(chances, -mean / deviation, (1 - mean) / deviation, loc=mean, scale=deviation)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert 0.0 <= truncated_normal(mean, deviation, 0.0) <= 1.0


def test_defaults_are_haqs_constants() -> None:
    settings = DDPGSettings()
    assert (settings.hidden_size, settings.actor_rate, settings.critic_rate) == (300, 1e-4, 1e-3)
    assert (settings.tau, settings.discount, settings.batch_size, settings.memory_per_decision) == (0.01, 1.0, 64, 128)
    assert (settings.warm_up, settings.updates_per_step) == (20, 1)
    assert (settings.noise, settings.noise_decay, settings.baseline_rate) == (0.5, 0.99, 0.5)


def test_states_of_an_episode() -> None:
    """Scaled features and the option before, the same when walked and when learnt; the reward is that of the end."""
    space = SearchSpace([Decision("a", (2, 4, 8)), Decision("fixed", (8,)), Decision("b", (4, 8))])
    features = [[10.0, 7.0], [0.0, 7.0], [30.0, 7.0]]
    strategy = DDPGStrategy(space, features=features, seed=0, batch_size=2, hidden_size=4)
    [policy] = strategy.ask()
    strategy.tell([Evaluation(policy, {"val_accuracy": 0.9})])
    batch = strategy.agent.draw(np.random.default_rng(0))
    last, first = np.argsort(batch.goes_on)
    chosen = [space[name].options.index(policy[name]) for name in ("a", "b")]
    np.testing.assert_allclose(batch.states[first], [1 / 3, 0.0, 1.0], rtol=1e-6)
    np.testing.assert_allclose(batch.states[last], [1.0, 0.0, (chosen[0] + 1) / 3], rtol=1e-6)
    np.testing.assert_array_equal(batch.next_states[first], batch.states[last])
    assert [option_index(a, n) for a, n in zip(batch.actions[[first, last]], (3, 2), strict=True)] == chosen
    assert batch.rewards.tolist() == [9.0, 9.0]
    assert {part.dtype for part in (batch.states, *strategy.agent.actor.weights.values())} == {np.dtype("float32")}
    assert batch.goes_on[[first, last]].tolist() == [1.0, 0.0]


def test_features_are_scaled_by_column() -> None:
    scaled = scaled_features([[1.0, 5.0], [3.0, 5.0], [2.0, 5.0]])
    assert scaled.tolist() == [[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]]
    for wrong in ([[1.0], [1.0, 2.0]], [[1.0], [float("nan")]]):
        with pytest.raises(InvalidArgumentError, match="Received"):
            scaled_features(wrong)


def lessons(strategy: DDPGStrategy) -> list[Any]:
    return strategy.get_state()["lessons"]


def settled(**settings: Any) -> DDPGStrategy:
    """An actor without noise, from the first episode on."""
    return DDPGStrategy(flat_space(), seed=0, warm_up=0, noise=1e-6, **{**SMALL, **settings})


def test_known_proposals_are_played_from_memory() -> None:
    """With their known score, in `ask` alone, no more than the limit; then noise finds a new one."""
    strategy = settled(max_repeats=3)
    [first] = strategy.ask()
    strategy.tell([toy_evaluation(first)])
    [second] = strategy.ask()
    assert second != first
    assert len(lessons(strategy)) == 4
    assert [reward for _, reward in lessons(strategy)] == pytest.approx([10 * toy_score(first)] * 4)
    assert [option_index(action, 3) for action in lessons(strategy)[-1][0].values()] == list(first.values())
    run_search(strategy, 20)
    assert 21 < len(lessons(strategy)) <= 4 * 22
    fresh = settled(max_repeats=0)
    run_search(fresh, 5)
    assert len(lessons(fresh)) == 5


def test_settled_actor_finds_new_architectures_near_by() -> None:
    strategy = settled(max_repeats=0)
    [first, *others] = run_search(strategy, 11, lambda a: Evaluation(a, {"val_accuracy": 0.5}))
    distances = [sum(first[name] != value for name, value in other.items()) for other in others]
    assert np.mean(distances) < 4  # of random architectures: 5.3


def test_what_is_learnt_in_ask_survives_a_kill() -> None:
    """Only what was asked and told is logged: the rest is found again."""
    strategy, resumed = settled(), settled()
    space = flat_space()
    run_search(strategy, 3)
    resumed.set_state(strategy.get_state())
    for _ in range(4):
        first, second = strategy.ask(2)
        evaluations = [toy_evaluation(second), Evaluation(first, error="crashed")]
        strategy.tell(evaluations)
        for architecture in (first, second):
            resumed.note_asked(space.canonical(dict(architecture)))
        resumed.tell(evaluations)
    assert len(lessons(strategy)) > len(strategy.evaluations)
    assert resumed.get_state() == strategy.get_state()
    assert resumed.ask(3) == strategy.ask(3)


def test_an_ask_that_fails_has_taught_nothing() -> None:
    calls = []

    def feasible(architecture: Architecture) -> bool:
        calls.append(architecture)
        if len(calls) == 5:  # the first proposal took three; it was walked to once more and learnt from, then again
            raise ZeroDivisionError("no cost")
        return True

    strategy = settled(feasible=feasible)
    [first] = strategy.ask()
    strategy.tell([toy_evaluation(first)])
    before = {name: weight.copy() for name, weight in strategy.agent.critic.weights.items()}
    with pytest.raises(ZeroDivisionError, match="no cost"):
        strategy.ask()
    assert calls[:4] == [first] * 4
    assert len(lessons(strategy)) == strategy.agent.num_updates / 8 == 1
    for name, weight in strategy.agent.critic.weights.items():
        np.testing.assert_array_equal(weight, before[name])


def test_what_the_actor_did_not_propose_is_learnt_by_its_middle() -> None:
    strategy = DDPGStrategy(flat_space(2), seed=0, initial=[{"d0": 2, "d1": 0}], **SMALL)
    [first] = strategy.ask()
    strategy.tell(
        [Evaluation(first, {"val_accuracy": 0.7}), Evaluation(Architecture({"d1": 1}), {"val_accuracy": 0.5})]
    )
    middle = pytest.approx({"d0": 5 / 6, "d1": 1 / 6}), pytest.approx({"d0": 1 / 6, "d1": 1 / 2})
    assert [actions for actions, _ in lessons(strategy)] == list(middle)


def test_actions_are_kept_as_they_were_before_the_wall() -> None:
    """The agent learns what it did, with the reward of what became of it."""
    space = SearchSpace([Decision(f"layer{i}", (2, 4, 8), default=8) for i in range(6)])
    strategy = DDPGStrategy(space, feasible=lambda a: sum(a.values()) <= 20, seed=0, max_repeats=0)  # type: ignore[arg-type]
    policies = run_search(strategy, 10)
    assert all(sum(policy.values()) <= 20 for policy in policies)  # type: ignore[arg-type]
    acted = [[(2, 4, 8)[option_index(action, 3)] for action in actions.values()] for actions, _ in lessons(strategy)]
    assert all(
        low <= high for p, bits in zip(policies, acted, strict=True) for low, high in zip(p.values(), bits, strict=True)
    )
    assert sum(map(sum, acted)) > 10 * 20


def test_learns_to_propose_better_ones() -> None:
    """A smooth score of ordered options, with a third of HAQ's episodes and a faster actor."""
    space, target = SearchSpace([Decision(f"d{i}", tuple(range(8))) for i in range(6)]), np.array([1, 6, 3, 7, 0, 4])

    def score(architecture: Architecture) -> float:
        return 1.0 - float(np.mean(((space.encode(architecture) - target) / 7) ** 2))

    strategy = DDPGStrategy(space, seed=0, hidden_size=32, actor_rate=1e-3)
    scores = [score(a) for a in run_search(strategy, 200, lambda a: Evaluation(a, {"val_accuracy": score(a)}))]
    drawn = np.array(scores[:20])
    assert np.mean(scores[-50:]) > drawn.mean() + 3 * drawn.std() / np.sqrt(20)


def test_features_fit_the_space() -> None:
    with pytest.raises(InvalidArgumentError, match=re.escape("Received: len(features)=3")):
        DDPGStrategy(flat_space(), features=[[1.0]] * 3)
    strategy = DDPGStrategy(flat_space(2), features=[[1.0], [2.0]], seed=0, **SMALL)
    run_search(strategy, 2)
    before = strategy.get_state()
    with pytest.raises(InvalidArgumentError, match=re.escape("Received: len(features)=2")):
        strategy.extend(flat_space(3))
    assert strategy.get_state() == before
    assert strategy.describe()["features"] == [[1.0], [2.0]]


@pytest.mark.parametrize(
    "setting", [{"hidden_size": 0}, {"warm_up": -1}, {"actor_rate": 0.0}, {"noise": float("inf")}, {"tau": 1.5}]
)
def test_settings_are_checked(setting: dict[str, Any]) -> None:
    [(name, value)] = setting.items()
    with pytest.raises(InvalidArgumentError, match=f"Received: {name}={value}"):
        DDPGStrategy(flat_space(), **setting)


def test_oracle_takes_features_and_settings() -> None:
    strategy = HAQOracle(space=flat_space(2), features=[[1.0], [2.0]], warm_up=3, seed=0).strategy
    assert isinstance(strategy, DDPGStrategy)
    assert strategy.settings == DDPGSettings(warm_up=3)
    assert strategy.describe()["features"] == [[1.0], [2.0]]
