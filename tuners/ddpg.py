"""DDPG: HAQ's agent, which walks through the decisions and picks each by a continuous action."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, Decision, Option, SearchSpace
from automl_keras.tuners.ddpg_networks import DDPGAgent, DDPGSettings
from automl_keras.tuners.named_oracle import NamedOracle
from automl_keras.tuners.strategy import Objective, Strategy
from automl_keras.tuners.wall import budget_wall

# Drafts of one proposal besides those that are learnt from again. Their noise grows: the last are nearly uniform.
NUM_DRAFTS = 16
SMALLEST_NOISE, LARGEST_NOISE = 1e-9, 10.0
FIRST_PREVIOUS = 1.0  # what the first state says of the option before

Actions = dict[str, float]


class DDPGStrategy(Strategy):
    """HAQ's agent: deep deterministic policy gradients (Wang et al., CVPR 2019, section 3, and the released code).

    An episode walks through the decisions in order. The state is the features of a decision, each scaled to
    [0, 1] over all decisions, and the option chosen before, as `(index + 1) / number of options`; 1 at the first
    (HAQ's linear mode, where that is bits over 8). The actor's action in [0, 1] picks an option
    (`option_index`). What exceeds the budget is lowered from the last decision to the first and refilled
    (`budget_wall`). Every step of an episode gets the same reward, that of the whole; the agent learns when the
    result is told, one update for each step. Rewards are `reward_scale` times the score. HAQ subtracts the
    accuracy of the float network first; its moving average of rewards takes away any such constant.

    ```python
    strategy = DDPGStrategy(space, features=rows, feasible=fits, seed=0)
    ```

    Proposals are always new, and a deterministic actor soon repeats itself. HAQ evaluates again what is known. Here
    such an episode is played from memory: the agent learns from the known score, the noise
    decays, and the actor walks again, up to `max_repeats` times for one proposal. After that the noise
    grows from draft to draft until one is new. What is pending or failed has no score to learn from and is drafted
    again. So a number of evaluations means as many episodes or more.

    Other differences from HAQ:

    - Decisions without a choice or inactive ones are no steps. The options of a decision are taken for ordered.
    - HAQ draws 21 random episodes, because it counts from 0; here there are `warm_up`.
    - An architecture that the actor did not propose, such as an initial one, is learnt from as if each action had been
      the middle of those that pick its options.
    - A feature that is the same for all decisions becomes 0; HAQ leaves it as it is.
    - HAQ's budget wall gives nothing back. In linear mode it keeps the first and the last layer at 8 bits; here the
      space says so.

    Args:
        space: See `Strategy`.
        objective: See `Strategy`.
        feasible: See `Strategy`.
        seed: See `Strategy`.
        initial: See `Strategy`.
        features: Plain numbers for each decision of the space, the same number for all. `None`: the place of the
            decision and its number of options.
        **settings: Attributes of `DDPGSettings` to change.

    Attributes:
        settings: All settings.
        agent: What was learnt.

    Raises:
        InvalidArgumentError: If the features are not finite or do not fit the space, or a setting is out of range;
            also as `Strategy`.
    """

    def __init__(
        self,
        space: SearchSpace,
        objective: str | Objective = "val_accuracy",
        *,
        feasible: Callable[[Architecture], bool] | None = None,
        seed: int | None = None,
        initial: Sequence[Mapping[str, Option]] = (),
        features: Sequence[Sequence[float]] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(space, objective, feasible=feasible, seed=seed, initial=initial)
        self.settings = DDPGSettings(**settings)
        self._features = None if features is None else [[float(value) for value in row] for row in features]
        self._lessons: list[_Lesson] = []
        self._actions: dict[Architecture, Actions] = {}  # of pending proposals
        self._draft: _Draft | None = None
        self._restart([])

    def describe(self) -> dict[str, Any]:
        """As `Strategy.describe`, and the features."""
        return {**super().describe(), "features": self._features}

    def propose(self, rng: np.random.Generator) -> Architecture:
        """What the actor comes up with, or a sample of the space if that is not allowed."""
        if self._draft is None:
            self._draft = self._make_draft(rng)
        architecture = self._draft.architecture
        return self.space.sample(rng) if architecture is None else architecture

    def note_asked(self, architecture: Architecture) -> None:
        """As `Strategy.note_asked`; what was learnt on the way to the proposal is kept from now on."""
        architecture = self.space.canonical(architecture)
        if architecture not in self.initial:
            # In another process the draft is made again: the same, as all it depends on is the same.
            draft = self._draft or self._make_draft(self.generator("ask", self._num_asked))
            if draft.architecture == architecture:
                self.agent, self._actions[architecture] = draft.agent, draft.actions
                self._lessons += draft.lessons
        self._draft = None
        super().note_asked(architecture)

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """As `Strategy.tell`; each successful evaluation is an episode to learn from."""
        for evaluation in evaluations:
            before = self.evaluations
            super().tell([evaluation])
            self._draft = None
            # Dropped ones change nothing, failed ones may remove an earlier result; others are the last.
            if not evaluation.failed(self.objective) and self.evaluations[-1:] != before[-1:]:
                latest = self.evaluations[-1]
                actions = self._actions.get(latest.architecture) or self._middle_actions(latest.architecture)
                self._lessons.append(self._lesson(actions, latest))
                self._learn(self.agent, self._lessons)
            self._actions = {a: actions for a, actions in self._actions.items() if a in self._pending}

    def get_state(self) -> dict[str, Any]:
        """As `Strategy.get_state`, and what was learnt from: the weights follow from it, and are many more numbers."""
        return {
            **super().get_state(),
            "lessons": [[dict(lesson.actions), lesson.reward] for lesson in self._lessons],
            "actions": [[architecture.to_dict(), dict(a)] for architecture, a in self._actions.items()],
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """As `Strategy.set_state`; repeats all updates, some milliseconds each.

        What was learnt before a decision was known says nothing about that decision.

        Raises:
            InvalidArgumentError: If features were given and the space grew.
        """
        self._rows()
        super().set_state(state)
        self._restart([_Lesson(dict(actions), reward) for actions, reward in state["lessons"]])
        self._actions = {self.space.canonical(values): dict(actions) for values, actions in state["actions"]}

    def _restart(self, lessons: Sequence[_Lesson]) -> None:
        self._scaled = scaled_features(self._rows())
        steps = [decision for decision in self.space.decisions if len(decision.options) > 1]
        self.agent = DDPGAgent(
            self._scaled.shape[1] + 1,
            max(1, self.settings.memory_per_decision * len(steps)),
            self.settings,
            self.generator("agent", 0),
        )
        self._lessons, self._actions, self._draft = [], {}, None
        for lesson in lessons:
            self._lessons.append(lesson)
            self._learn(self.agent, self._lessons)

    def _rows(self) -> Sequence[Sequence[float]]:
        """The features of every decision."""
        decisions = self.space.decisions
        if self._features is None:
            return [[place, len(decision.options)] for place, decision in enumerate(decisions)]
        if len(self._features) != len(decisions):
            raise InvalidArgumentError(
                f"`features` must have a row for each of the {len(decisions)} decisions of the space. "
                f"Received: len(features)={len(self._features)}"
            )
        return self._features

    def _make_draft(self, rng: np.random.Generator) -> _Draft:
        """Let the actor walk until its architecture is allowed, learning from memory on the way; changes nothing."""
        agent, lessons, num_vain = self.agent, list(self._lessons), 0
        while num_vain < NUM_DRAFTS:
            noise = self._noise(len(lessons) + len(self._pending), num_vain / (NUM_DRAFTS - 1))
            actions, architecture = self._walk(agent, noise, rng)
            if self.is_allowed(architecture):
                return _Draft(architecture, actions, agent, lessons[len(self._lessons) :])
            known = self._evaluations.get(architecture)
            if known is None or len(lessons) - len(self._lessons) >= self.settings.max_repeats:
                num_vain += 1
                continue
            if agent is self.agent:
                agent = copy.deepcopy(agent)
            lessons.append(self._lesson(actions, known))
            self._learn(agent, lessons)
        return _Draft(None, {}, agent, [])

    def _noise(self, episode: int, growth: float) -> float | None:
        """The standard deviation: that of the episode, with `growth` of 1 the largest; `None` while all is random."""
        if episode < self.settings.warm_up:
            return None
        decayed = self.settings.noise * self.settings.noise_decay ** (episode - self.settings.warm_up)
        return float(max(decayed, SMALLEST_NOISE) ** (1.0 - growth) * LARGEST_NOISE**growth)

    def _walk(self, agent: DDPGAgent, noise: float | None, rng: np.random.Generator) -> tuple[Actions, Architecture]:
        """Decide everything, each by an action for a state; the architecture is within the budget if it can be."""
        actions: Actions = {}
        chosen: dict[str, Option] = {}
        previous = FIRST_PREVIOUS
        for decision, features in zip(self.space.decisions, self._scaled, strict=True):
            if decision.parent is not None and chosen.get(decision.parent[0]) not in decision.parent[1]:
                continue
            index = 0
            if len(decision.options) > 1:
                action = rng.random()
                if noise is not None:
                    action = truncated_normal(agent.act(np.append(features, previous)), noise, action)
                actions[decision.name] = action
                index = option_index(action, len(decision.options))
                previous = _level(index, decision)
            chosen[decision.name] = decision.options[index]
        architecture = self.space.canonical(chosen)
        if self.feasible is None:
            return actions, architecture
        lowered = budget_wall(self.space, architecture, self.feasible)
        return actions, architecture if lowered is None else lowered

    def _learn(self, agent: DDPGAgent, lessons: Sequence[_Lesson]) -> None:
        """Let an agent learn the last of its lessons: HAQ remembers a step, then updates, until the episode is over."""
        actions, reward, previous = lessons[-1].actions, lessons[-1].reward, FIRST_PREVIOUS
        steps: list[tuple[np.ndarray, float]] = []
        for decision, features in zip(self.space.decisions, self._scaled, strict=True):
            if decision.name in actions:
                action = actions[decision.name]
                steps.append((np.append(features, previous), action))
                previous = _level(option_index(action, len(decision.options)), decision)
        num_updates = self.settings.updates_per_step if len(lessons) > self.settings.warm_up else 0
        for place, (state, action) in enumerate(steps):
            is_last = place + 1 == len(steps)
            # The value of the state after the last does not count, whatever it is.
            agent.remember(state, action, reward, state if is_last else steps[place + 1][0], is_last=is_last)
            for _ in range(num_updates):
                agent.update(agent.draw(self.generator("update", agent.num_updates)))

    def _lesson(self, actions: Actions, evaluation: Evaluation) -> _Lesson:
        return _Lesson(actions, self.settings.reward_scale * self.score(evaluation))

    def _middle_actions(self, architecture: Architecture) -> Actions:
        """For each decision with a choice the action in the middle of those that pick its option."""
        choices = [self.space[name] for name in architecture if len(self.space[name].options) > 1]
        return {d.name: (d.options.index(architecture[d.name]) + 0.5) / len(d.options) for d in choices}


@dataclass(frozen=True)
class _Lesson:
    """An episode: the action of each step, by decision, and the reward of all of them."""

    actions: Actions
    reward: float


@dataclass(frozen=True)
class _Draft:
    """A proposal that nobody has been given yet.

    Attributes:
        architecture: What is proposed, or `None`.
        actions: The actor's, before the budget wall.
        agent: What it was when it walked: the strategy's own, or a copy that has learnt more.
        lessons: What the copy has learnt more.
    """

    architecture: Architecture | None
    actions: Actions
    agent: DDPGAgent
    lessons: list[_Lesson]


def option_index(action: float, num_options: int) -> int:
    """Which option a continuous action in [0, 1] picks: each has an equal share, the first the lowest.

    HAQ has `bits = round((max + 0.5 - (min - 0.5)) * action + (min - 0.5))`, with half to even. For bits from 1 to n,
    which are the options 0 to n - 1, that is `round(n * action + 0.5)`, one more than the index. At an action of 0
    it is 0 bits, at 1 it may be n + 1; the index is clipped to the options.
    """
    return min(max(round(num_options * action + 0.5) - 1, 0), num_options - 1)


def truncated_normal(mean: float, deviation: float, chance: float) -> float:
    """The quantile `chance` of a normal distribution truncated to [0, 1], by inversion."""
    low, high = ndtr(-mean / deviation), ndtr((1.0 - mean) / deviation)
    return float(np.clip(mean + deviation * ndtri(low + chance * (high - low)), 0.0, 1.0))


def scaled_features(rows: Sequence[Sequence[float]]) -> np.ndarray:
    """Rows of numbers with each column scaled to [0, 1]; a constant column becomes 0.

    Raises:
        InvalidArgumentError: If rows are not equally long, or a number is not finite.
    """
    if len({len(row) for row in rows}) > 1:
        raise InvalidArgumentError(
            f"`features` must have equally many numbers in all rows. Received: {[len(row) for row in rows]}"
        )
    table = np.array(rows, dtype=np.float64).reshape(len(rows), len(rows[0]) if rows else 0)
    if not np.isfinite(table).all():
        raise InvalidArgumentError(f"`features` must be finite. Received: features={table.tolist()}")
    if not rows:
        return table
    extent = np.ptp(table, axis=0)
    return (table - table.min(axis=0)) / np.where(extent > 0, extent, 1.0)


def _level(index: int, decision: Decision) -> float:
    """An option as the next state tells it."""
    return (index + 1) / len(decision.options)


class HAQOracle(NamedOracle):
    """`DDPGStrategy` for Keras-Tuner, with HAQ's constants; takes its arguments too.

    HAQ runs 600 episodes, of which the first 20 are random.

    ```python
    oracle = HAQOracle("val_accuracy", max_trials=100, seed=0)
    tuner = keras_tuner.Tuner(oracle, build_model, directory="search", project_name="haq")
    tuner.search(x, y, validation_split=0.2, epochs=3, verbose=0)
    ```
    """

    strategy_class = DDPGStrategy
