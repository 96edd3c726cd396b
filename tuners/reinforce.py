"""REINFORCE: train the controller of NAS-RL and ENAS to draw better architectures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, Option, SearchSpace
from automl_keras.tuners.adam import Adam
from automl_keras.tuners.controller import Controller
from automl_keras.tuners.controller_steps import Weights
from automl_keras.tuners.named_oracle import NamedOracle
from automl_keras.tuners.strategy import Objective, Strategy

# Drafts of one proposal. Where the first is known already, later ones, whose logits are divided by more and more, find
# something new near by; the last are nearly uniform: a controller that has settled need not draw hundreds of times.
NUM_DRAFTS = 16
FLATTEST = 100.0


@dataclass(frozen=True)
class ReinforceSettings:
    """How a controller is built and trained.

    Attributes:
        hidden_size: See `Controller`.
        temperature: See `Controller`.
        tanh_constant: See `Controller`.
        skip_target: See `Controller`.
        skip_weight: Weight of `Controller.skip_divergence`, which is subtracted from the reward.
        entropy_weight: Weight of the controller's entropy, which is added to the reward.
        reward: "score" is the objective itself, negated if it is minimised, which suits settings made for
            accuracies. "rank" suits any objective: the share of evaluations so far that an
            evaluation beats, less the share that beats it.
        baseline_decay: How much of the baseline, an exponential moving average of rewards, is left after
            an update.
        batch_size: How many evaluations make an update.
        learning_rate: Of Adam.
        betas: Adam's decays of the means of gradients and of their squares.
        epsilon: Adam's, added to the root of the mean square.

    Raises:
        InvalidArgumentError: If a number is out of range, or the reward is unknown.
    """

    hidden_size: int = 32
    temperature: float = 1.0
    tanh_constant: float | None = None
    skip_target: float = 0.4
    skip_weight: float = 0.0
    entropy_weight: float = 0.0
    reward: str = "rank"
    baseline_decay: float = 0.9
    batch_size: int = 1
    learning_rate: float = 0.01
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        if self.reward not in ("rank", "score"):
            raise InvalidArgumentError(f"`reward` must be 'rank' or 'score'. Received: reward={self.reward!r}")
        if self.batch_size < 1:
            raise InvalidArgumentError(f"`batch_size` must be at least 1. Received: batch_size={self.batch_size}")
        for name in ("learning_rate", "epsilon"):
            if not getattr(self, name) > 0:
                raise InvalidArgumentError(f"`{name}` must be positive. Received: {name}={getattr(self, name)}")
        for name in ("skip_weight", "entropy_weight"):
            if not getattr(self, name) >= 0:
                raise InvalidArgumentError(f"`{name}` must not be negative. Received: {name}={getattr(self, name)}")
        for name, decays in (("baseline_decay", (self.baseline_decay,)), ("betas", self.betas)):
            if not all(0 <= decay < 1 for decay in decays):
                raise InvalidArgumentError(
                    f"`{name}` must be at least 0 and less than 1. Received: {name}={getattr(self, name)}"
                )

    def controller(self, space: SearchSpace, *, seed: int) -> Controller:
        """An untrained controller."""
        return Controller(
            space,
            seed=seed,
            hidden_size=self.hidden_size,
            temperature=self.temperature,
            tanh_constant=self.tanh_constant,
            skip_target=self.skip_target,
        )


PRESETS: Mapping[str, ReinforceSettings] = {
    "few_trials": ReinforceSettings(),
    "released": ReinforceSettings(
        hidden_size=64,
        tanh_constant=1.5,
        skip_weight=0.8,
        entropy_weight=1e-4,
        reward="score",
        baseline_decay=0.99,
        batch_size=20,
        learning_rate=1e-3,
        betas=(0.0, 0.999),
        epsilon=1e-3,
    ),
    "paper": ReinforceSettings(
        hidden_size=100,
        temperature=5.0,
        tanh_constant=2.5,
        skip_weight=0.8,
        entropy_weight=0.1,
        reward="score",
        baseline_decay=0.99,
        learning_rate=3.5e-4,
    ),
}


def preset_settings(preset: str, **changes: Any) -> ReinforceSettings:
    """The settings of a preset, a name of `PRESETS`, with some attributes replaced.

    Raises:
        InvalidArgumentError: If the preset is unknown or a setting out of range.
    """
    if preset not in PRESETS:
        raise InvalidArgumentError(f"`preset` must be one of {sorted(PRESETS)}. Received: preset={preset!r}")
    return replace(PRESETS[preset], **changes)


def flattening_drafts(controller: Controller, rng: np.random.Generator) -> list[Architecture]:
    """Draws from a controller: the first with its own probabilities, later ones with ever flatter ones."""
    return controller.sample(rng, NUM_DRAFTS, flatness=np.geomspace(1.0, FLATTEST, NUM_DRAFTS))


class ReinforceTrainer:
    """Trains a controller by REINFORCE (Williams, 1992) with a moving average as baseline, and Adam.

    An update follows an unbiased estimate, but for a factor, of the gradient of
    `E[reward + entropy_weight * entropy - skip_weight * skip_divergence]`, the expectation over what the
    controller draws.

    ```python
    trainer = ReinforceTrainer(settings.controller(space, seed=0), settings)
    for _ in range(50):
        architectures = trainer.controller.sample(rng, 20)
        trainer.update(architectures, [accuracy(architecture) for architecture in architectures])
    ```

    Differences from ENAS as released: entropy and divergence have their whole gradient, as rewards and through the
    probabilities they are computed from (released: the entropy the former part, the divergence the
    latter); the baseline starts at the first reward instead of 0, which no accuracy is near.

    Args:
        controller: Its weights are updated in place.
        settings: The weights of the terms, and Adam's numbers.

    Attributes:
        baseline: The moving average; `None` before the first update.
    """

    def __init__(self, controller: Controller, settings: ReinforceSettings) -> None:
        self.controller = controller
        self.settings = settings
        self.baseline: float | None = None
        self._adam = Adam(controller.weights, settings.learning_rate, betas=settings.betas, epsilon=settings.epsilon)

    def update(self, architectures: Sequence[Architecture], rewards: Sequence[float]) -> None:
        """Make architectures of high reward more likely.

        Args:
            architectures: Drawn from the controller.
            rewards: One for each, the higher the better.
        """
        returns = self.returns(architectures, rewards)
        mean = float(returns.mean())
        if self.baseline is None:
            self.baseline = mean
        self.baseline += (1 - self.settings.baseline_decay) * (mean - self.baseline)
        self._adam.ascend(self.gradient(architectures, returns - self.baseline))

    def get_state(self) -> dict[str, Any]:
        """The controller's weights, Adam's moments and the baseline, as JSON."""
        arrays = {"weights": self.controller.weights, "means": self._adam.means, "squares": self._adam.squares}
        state: dict[str, Any] = {
            kind: {name: array.tolist() for name, array in named.items()} for kind, named in arrays.items()
        }
        return {**state, "num_updates": self._adam.num_steps, "baseline": self.baseline}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore from `get_state`."""
        arrays = {"weights": self.controller.weights, "means": self._adam.means, "squares": self._adam.squares}
        for kind, named in arrays.items():
            for name, array in named.items():
                array[...] = state[kind][name]
        self._adam.num_steps, self.baseline = state["num_updates"], state["baseline"]

    def returns(self, architectures: Sequence[Architecture], rewards: Sequence[float]) -> np.ndarray:
        """What is maximised: the rewards with the weighted entropies and divergences, of shape `(n,)`."""
        returns = np.array(rewards, dtype=np.float64)
        if self.settings.entropy_weight:
            returns += self.settings.entropy_weight * self.controller.entropy(architectures)
        if self.settings.skip_weight:
            returns -= self.settings.skip_weight * self.controller.skip_divergence(architectures)
        return returns

    def gradient(self, architectures: Sequence[Architecture], advantages: np.ndarray) -> Weights:
        """The estimate of the gradient of the expected return, from returns less a baseline."""
        n = len(architectures)
        return self.controller.gradient(
            architectures,
            log_prob=advantages / n,
            entropy=self.settings.entropy_weight / n,
            skip_divergence=-self.settings.skip_weight / n,
        )


class ReinforceStrategy(Strategy):
    """Neural architecture search by REINFORCE: the LSTM controller of NAS-RL and ENAS, over any decisions.

    An architecture is drawn from a `Controller`; its evaluation makes the controller draw better ones
    (`ReinforceTrainer`). Relations among layers are attended to where decisions have anchors
    (`Decision.anchors`).

    ```python
    strategy = ReinforceStrategy(space, seed=0)
    strategy = ReinforceStrategy(space, seed=0, preset="released", learning_rate=0.002)
    ```

    The presets are named settings:

    - "few_trials": for 50 to 300 evaluations, found by measurement on NAS-Bench-Macro and NAS-Bench-201.
    - "released": the code released with ENAS for its macro space.
    - "paper": what the paper on ENAS says; where it is silent, updates of one evaluation, Adam's usual
      numbers and the released decay of the baseline.

    With shared weights the latter two make thousands of updates. With as few evaluations as networks
    allow that are trained one by one, they draw nearly at random.

    Difference from the papers: an architecture is never evaluated twice, so drafts that are known,
    pending or infeasible are dropped, and others drawn, ever more uniformly. Updates from the
    known rewards of such drafts, or from all known ones weighted by their probability, measured no better
    and are left out.

    Sources: Zoph and Le, ICLR 2017; Pham et al., ICML 2018.

    Args:
        space: See `Strategy`.
        objective: See `Strategy`.
        feasible: See `Strategy`.
        seed: See `Strategy`.
        initial: See `Strategy`. They are learnt from like any other.
        preset: A name of `PRESETS`.
        **settings: Attributes of `ReinforceSettings` that replace those of the preset.

    Attributes:
        settings: All settings.
        trainer: What was learnt; its `controller` can be drawn from.

    Raises:
        InvalidArgumentError: If the preset is unknown or a setting out of range; also as `Strategy`
            and `Controller`.
    """

    def __init__(
        self,
        space: SearchSpace,
        objective: str | Objective = "val_accuracy",
        *,
        feasible: Callable[[Architecture], bool] | None = None,
        seed: int | None = None,
        initial: Sequence[Mapping[str, Option]] = (),
        preset: str = "few_trials",
        **settings: Any,
    ) -> None:
        super().__init__(space, objective, feasible=feasible, seed=seed, initial=initial)
        self.settings = preset_settings(preset, **settings)
        self._restart([])

    def propose(self, rng: np.random.Generator) -> Architecture:
        """Draw from the controller, ever more uniformly until the draft is allowed."""
        drafts = flattening_drafts(self.trainer.controller, rng)
        return next(filter(self.is_allowed, drafts), drafts[-1])

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """As `Strategy.tell`; every `batch_size` successful evaluations update the controller."""
        for evaluation in evaluations:
            before = self.evaluations
            super().tell([evaluation])
            # Dropped ones change nothing, failed ones may remove an earlier result; others are the last.
            if not evaluation.failed(self.objective) and self.evaluations[-1:] != before[-1:]:
                latest = self.evaluations[-1]
                self._learn(latest.architecture, self._reward(latest))

    def get_state(self) -> dict[str, Any]:
        """As `Strategy.get_state`, and what was learnt from: the weights follow from it, and are many more numbers."""
        return {**super().get_state(), "lessons": [[a.to_dict(), reward] for a, reward in self._lessons]}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """As `Strategy.set_state`; repeats all updates, about 2 ms each.

        What was learnt before a decision was known says nothing about that decision: so what was learnt
        of others is kept when the space grows.
        """
        for architecture, _ in state["lessons"]:
            self.space.canonical(architecture)
        super().set_state(state)
        self._restart([(Architecture.from_dict(architecture), reward) for architecture, reward in state["lessons"]])

    def _restart(self, lessons: Sequence[tuple[Architecture, float]]) -> None:
        self.trainer = ReinforceTrainer(self.settings.controller(self.space, seed=self.seed), self.settings)
        self._lessons: list[tuple[Architecture, float]] = []
        for architecture, reward in lessons:
            self._learn(architecture, reward)

    def _learn(self, architecture: Architecture, reward: float) -> None:
        self._lessons.append((architecture, reward))
        if len(self._lessons) % self.settings.batch_size == 0:
            architectures, rewards = zip(*self._lessons[-self.settings.batch_size :], strict=True)
            self.trainer.update(architectures, rewards)

    def _reward(self, evaluation: Evaluation) -> float:
        score = self.score(evaluation)
        if self.settings.reward == "score":
            return score
        scores = np.array([self.score(known) for known in self.evaluations])
        return float(np.mean(np.sign(score - scores)))


class ENASOracle(NamedOracle):
    """`ReinforceStrategy` for Keras-Tuner, by default as released with ENAS; takes its arguments too.

    That preset learns from thousands of evaluations. For a few hundred, take `preset="few_trials"`.

    ```python
    oracle = ENASOracle("val_accuracy", max_trials=200, preset="few_trials", seed=0)
    tuner = keras_tuner.Tuner(oracle, build_model, directory="search", project_name="enas")
    tuner.search(x, y, validation_split=0.2, epochs=3, verbose=0)
    ```
    """

    strategy_class = ReinforceStrategy
    default_settings: ClassVar[Mapping[str, Any]] = {"preset": "released"}
