"""The actor and the critic of DDPG, and how they learn."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from automl_keras.errors import InvalidArgumentError
from automl_keras.tuners.adam import Adam

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class DDPGSettings:
    """How the agent is built and trained; the defaults are those of HAQ's released code.

    Attributes:
        hidden_size: Units of each of the two hidden layers of the actor and of the critic.
        actor_rate: Adam's learning rate for the actor.
        critic_rate: Adam's learning rate for the critic.
        tau: How far the target networks move to the trained ones after an update.
        discount: What the value of the next state counts.
        batch_size: Transitions of one update.
        memory_per_decision: Transitions that are remembered for each decision with a choice.
        updates_per_step: Updates for every transition of an episode, made when it has ended.
        warm_up: Number of episodes in which actions are drawn uniformly and nothing is learnt.
        noise: The first standard deviation of the noise on actions, a normal distribution truncated to [0, 1].
        noise_decay: Its factor from episode to episode.
        baseline_rate: The weight of a batch in the moving average that is subtracted from rewards.
        reward_scale: The reward is this times the score. HAQ has 0.1 for percent, so 10 for fractions.
        max_repeats: How many episodes a single proposal may take from memory; not in HAQ. On measured rewards of bit
            policies none, one and five found equally good ones; five took three times as long.

    Raises:
        InvalidArgumentError: If a number is out of range.
    """

    hidden_size: int = 300
    actor_rate: float = 1e-4
    critic_rate: float = 1e-3
    tau: float = 0.01
    discount: float = 1.0
    batch_size: int = 64
    memory_per_decision: int = 128
    updates_per_step: int = 1
    warm_up: int = 20
    noise: float = 0.5
    noise_decay: float = 0.99
    baseline_rate: float = 0.5
    reward_scale: float = 10.0
    max_repeats: int = 1

    def __post_init__(self) -> None:
        for name in ("hidden_size", "batch_size", "memory_per_decision"):
            if getattr(self, name) < 1:
                raise InvalidArgumentError(f"`{name}` must be at least 1. Received: {name}={getattr(self, name)}")
        for name in ("updates_per_step", "warm_up", "max_repeats"):
            if getattr(self, name) < 0:
                raise InvalidArgumentError(f"`{name}` must not be negative. Received: {name}={getattr(self, name)}")
        for name in ("actor_rate", "critic_rate", "noise", "noise_decay", "reward_scale"):
            if not 0 < getattr(self, name) < math.inf:
                raise InvalidArgumentError(
                    f"`{name}` must be positive and finite. Received: {name}={getattr(self, name)}"
                )
        for name in ("tau", "discount", "noise_decay", "baseline_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidArgumentError(f"`{name}` must be from 0 to 1. Received: {name}={getattr(self, name)}")


@dataclass(frozen=True)
class Pass:
    """The units of a `Perceptron` for some inputs, a row for each.

    Attributes:
        inputs: Shape `(n, number of inputs)`.
        first: Of the first hidden layer, shape `(n, hidden_size)`.
        second: Of the second hidden layer.
        outputs: Shape `(n,)`.
    """

    inputs: np.ndarray
    first: np.ndarray
    second: np.ndarray
    outputs: np.ndarray


class Perceptron:
    """Two hidden layers of rectified linear units and one linear output, in float32.

    Weights and biases start as those of PyTorch's `Linear`, which HAQ uses: uniform within one over the root of the
    number of inputs. Several groups of inputs have their first layers added up, each with a bound of its own.
    HAQ's critic has such a pair, for the state and for the action, with a bias each; here there is one bias, which
    starts as the sum of both.

    Args:
        groups: Numbers of inputs.
        hidden_size: Units of each hidden layer.
        rng: Draws the weights.

    Attributes:
        weights: By name. They are changed in place.
    """

    def __init__(self, groups: Sequence[int], hidden_size: int, rng: np.random.Generator) -> None:
        def uniform(num_inputs: int, *shape: int) -> np.ndarray:
            bound = 1.0 / math.sqrt(num_inputs)
            return rng.uniform(-bound, bound, shape).astype(np.float32)

        self.weights: Arrays = {
            "first": np.concatenate([uniform(size, size, hidden_size) for size in groups]),
            "first_bias": np.sum([uniform(size, hidden_size) for size in groups], axis=0),
            "second": uniform(hidden_size, hidden_size, hidden_size),
            "second_bias": uniform(hidden_size, hidden_size),
            "output": uniform(hidden_size, hidden_size),
            "output_bias": uniform(hidden_size, 1),
        }

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """The outputs, of shape `(n,)`, for inputs of shape `(n, number of inputs)`."""
        return self.forward(inputs).outputs

    def forward(self, inputs: np.ndarray) -> Pass:
        """All units for some inputs."""
        weights = self.weights
        first = np.maximum(inputs @ weights["first"] + weights["first_bias"], 0.0)
        second = np.maximum(first @ weights["second"] + weights["second_bias"], 0.0)
        return Pass(inputs, first, second, second @ weights["output"] + weights["output_bias"])

    def weight_gradient(self, units: Pass, shares: np.ndarray) -> Arrays:
        """The gradient of a weighted sum of outputs in the weights.

        Args:
            units: From `forward`.
            shares: With what each output counts in the sum, shape `(n,)`.
        """
        first, second = self._hidden_gradients(units, shares)
        return {
            "first": units.inputs.T @ first,
            "first_bias": first.sum(axis=0),
            "second": units.first.T @ second,
            "second_bias": second.sum(axis=0),
            "output": shares @ units.second,
            "output_bias": shares.sum(keepdims=True),
        }

    def input_gradient(self, units: Pass, shares: np.ndarray) -> np.ndarray:
        """The gradient of a weighted sum of outputs in the inputs, see `weight_gradient`."""
        first, _ = self._hidden_gradients(units, shares)
        return first @ self.weights["first"].T

    def _hidden_gradients(self, units: Pass, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """In what both hidden layers add up."""
        second = shares[:, None] * self.weights["output"] * (units.second > 0)
        return (second @ self.weights["second"].T) * (units.first > 0), second

    def follow(self, other: Perceptron, rate: float) -> None:
        """Move the weights towards those of another by a share of the difference."""
        for name, weight in self.weights.items():
            weight += rate * (other.weights[name] - weight)


@dataclass(frozen=True)
class Batch:
    """Transitions.

    Attributes:
        states: Shape `(n, size of a state)`.
        actions: In [0, 1], shape `(n,)`.
        rewards: Shape `(n,)`.
        next_states: Shape `(n, size of a state)`; anything where the episode ended.
        goes_on: 0 where the episode ended with it, else 1; shape `(n,)`.
    """

    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    next_states: np.ndarray
    goes_on: np.ndarray


class DDPGAgent:
    """Deep deterministic policy gradients (Lillicrap et al., ICLR 2016, algorithm 1), as in HAQ.

    The critic learns the value of an action in a state, `reward - baseline + discount * value of the next state`, the
    latter by slowly moving copies of both networks. The actor climbs what the critic says of its actions.

    Args:
        state_size: Numbers in a state.
        capacity: How many transitions are remembered; the oldest goes first.
        settings: All other numbers.
        rng: Draws the first weights.

    Attributes:
        actor: Its output goes through a sigmoid.
        critic: Reads the state, then the action.
        target_actor: Follows the actor.
        target_critic: Follows the critic.
        baseline: The moving average of the mean rewards of batches; `None` before the first.
        num_updates: How many updates were made.
    """

    def __init__(self, state_size: int, capacity: int, settings: DDPGSettings, rng: np.random.Generator) -> None:
        self.settings = settings
        self.actor = Perceptron((state_size,), settings.hidden_size, rng)
        self.critic = Perceptron((state_size, 1), settings.hidden_size, rng)
        self.target_actor, self.target_critic = copy.deepcopy((self.actor, self.critic))
        self.baseline: float | None = None
        self.num_updates = 0
        self._actor_adam = Adam(self.actor.weights, settings.actor_rate)
        self._critic_adam = Adam(self.critic.weights, settings.critic_rate)
        # One row for each transition: state, next state, action, reward, whether the episode goes on.
        self._memory = np.zeros((capacity, 2 * state_size + 3), dtype=np.float32)
        self._num_remembered = 0

    def act(self, state: np.ndarray) -> float:
        """The action in a state, in (0, 1)."""
        return float(expit(self.actor(state[None].astype(np.float32))[0]))

    def remember(
        self, state: np.ndarray, action: float, reward: float, next_state: np.ndarray, *, is_last: bool
    ) -> None:
        """Keep a transition."""
        row = np.concatenate([state, next_state, [action, reward, not is_last]])
        self._memory[self._num_remembered % len(self._memory)] = row
        self._num_remembered += 1

    def draw(self, rng: np.random.Generator) -> Batch:
        """A batch of what is remembered, without repeats if there is enough."""
        size, number = self.settings.batch_size, min(self._num_remembered, len(self._memory))
        rows = self._memory[rng.choice(number, size, replace=number < size)]
        states, next_states = np.split(rows[:, :-3], 2, axis=1)
        return Batch(states, rows[:, -3], rows[:, -2], next_states, rows[:, -1])

    def update(self, batch: Batch) -> None:
        """One step of the critic, one of the actor, and the targets follow."""
        mean = float(batch.rewards.mean())
        self.baseline = mean if self.baseline is None else self.baseline
        self.baseline += self.settings.baseline_rate * (mean - self.baseline)
        self._critic_adam.ascend(self.critic_gradient(batch, self.targets(batch)))
        self._actor_adam.ascend(self.actor_gradient(batch.states))
        self.target_actor.follow(self.actor, self.settings.tau)
        self.target_critic.follow(self.critic, self.settings.tau)
        self.num_updates += 1

    def targets(self, batch: Batch) -> np.ndarray:
        """What the critic should say of each transition, shape `(n,)`."""
        actions = expit(self.target_actor(batch.next_states))
        values = self.target_critic(_joined(batch.next_states, actions))
        return batch.rewards - (self.baseline or 0.0) + self.settings.discount * batch.goes_on * values

    def critic_gradient(self, batch: Batch, targets: np.ndarray) -> Arrays:
        """The gradient of the negated mean squared error of the critic, in its weights."""
        units = self.critic.forward(_joined(batch.states, batch.actions))
        return self.critic.weight_gradient(units, 2.0 * (targets - units.outputs) / len(targets))

    def actor_gradient(self, states: np.ndarray) -> Arrays:
        """The gradient of the mean value of the actor's actions, in the actor's weights (algorithm 1)."""
        units = self.actor.forward(states)
        actions = expit(units.outputs)
        judged = self.critic.forward(_joined(states, actions))
        by_action = self.critic.input_gradient(judged, np.full_like(actions, 1.0 / len(states)))[:, -1]
        return self.actor.weight_gradient(units, by_action * actions * (1.0 - actions))


def _joined(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    return np.concatenate([states, actions[:, None]], axis=1)
