"""Policies: distributions over architectures that learn while a supernet is trained on what they draw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from automl_keras.errors import InvalidArgumentError
from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.tuners.mdenas import MultinomialDistribution
from automl_keras.tuners.reinforce import NUM_DRAFTS, ReinforceTrainer, flattening_drafts, preset_settings
from automl_keras.tuners.strategy import described

# The accuracy of each architecture with the shared weights of now, on minibatches from that number on.
Accuracies = Callable[[Sequence[Architecture], int], np.ndarray]


# Instead of the released learning rate of 0.001 with Adam's epsilon of 0.001 and a slow baseline.
SHORT: Mapping[str, Any] = {"learning_rate": 0.02, "betas": (0.9, 0.999), "epsilon": 1e-8, "baseline_decay": 0.9}


class Policy(ABC):
    """Draws the paths that shared weights are trained on, and learns from accuracies with these weights.

    Training goes in phases of a number of steps. After each one `learn` is called. Every random number comes
    from the seed and the number of step, phase or update.

    Args:
        space: The architectures.
        feasible: Whether an architecture may be the result; one that may not is worth nothing to the policy.
        seed: Of all that is drawn.

    Attributes:
        phase_epochs: Length of a phase, in epochs.
        history: What `learn` measured in each phase.
    """

    phase_epochs: ClassVar[float] = 1.0

    def __init__(
        self, space: SearchSpace, *, feasible: Callable[[Architecture], bool] | None = None, seed: int = 0
    ) -> None:
        self.space = space
        self.feasible = feasible
        self.seed = seed
        self.history: list[dict[str, float]] = []

    def describe(self) -> dict[str, Any]:
        """The class and its settings, as JSON; not the seed."""
        return described(self)

    @abstractmethod
    def path(self, phase: int, step: int) -> Architecture:
        """The architecture that a step of training runs."""

    @abstractmethod
    def drafts(self, rng: np.random.Generator) -> list[Architecture]:
        """Architectures to evaluate: the first drawn from what was learnt, later ones ever more uniformly."""

    @abstractmethod
    def learn(self, phase: int, accuracies: Accuracies) -> None:
        """Learn from the shared weights after a phase, and add to `history`."""

    @abstractmethod
    def get_state(self) -> dict[str, Any]:
        """What was learnt, as JSON."""

    @abstractmethod
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore from `get_state`."""

    def rewards(self, architectures: Sequence[Architecture], accuracies: np.ndarray) -> np.ndarray:
        """The accuracies, with 0 for what is not feasible."""
        if self.feasible is None:
            return accuracies
        return np.where([self.feasible(architecture) for architecture in architectures], accuracies, 0.0)


class ControllerPolicy(Policy):
    """ENAS's controller (Pham et al., ICML 2018, section 2.2): an LSTM trained by REINFORCE between epochs.

    In each phase the shared weights are trained on architectures drawn from the controller, a new one for
    each step. Then the controller is updated a number of times, each time from the accuracies of a few drawn
    architectures, each on one minibatch of validation images.

    Difference from the paper: what is not feasible has accuracy 0.

    Args:
        space: See `Policy`.
        feasible: See `Policy`.
        seed: See `Policy`.
        num_updates: Updates after each phase (released: 50; paper: 2,000 of one architecture each).
        preset: A name of `tuners.reinforce.PRESETS`; one with the reward "score", or that is given too. `None`: the
            released settings, but learning 20 times as fast, for hundreds of updates instead of 15,000.
        **settings: Attributes of `ReinforceSettings` that replace those of the preset.

    Raises:
        InvalidArgumentError: If the preset is unknown, a number out of range, or the reward not "score".
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        feasible: Callable[[Architecture], bool] | None = None,
        seed: int = 0,
        num_updates: int = 10,
        preset: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(space, feasible=feasible, seed=seed)
        if num_updates < 1:
            raise InvalidArgumentError(f"`num_updates` must be at least 1. Received: num_updates={num_updates}")
        self.num_updates = num_updates
        self.settings = preset_settings(preset or "released", **settings if preset else {**SHORT, **settings})
        if self.settings.reward != "score":
            raise InvalidArgumentError(
                "`reward` must be 'score' in a policy, whose rewards are accuracies of minibatches. "
                f"Received: preset={preset!r}, reward={self.settings.reward!r}"
            )
        self.trainer = ReinforceTrainer(self.settings.controller(space, seed=seed), self.settings)

    def path(self, phase: int, step: int) -> Architecture:
        """A draw from the controller, a new one for each step."""
        return self.trainer.controller.sample(np.random.default_rng((self.seed, 0, step)))[0]

    def drafts(self, rng: np.random.Generator) -> list[Architecture]:
        """Draws from the controller, with ever flatter probabilities."""
        return flattening_drafts(self.trainer.controller, rng)

    def learn(self, phase: int, accuracies: Accuracies) -> None:
        """Update the controller `num_updates` times."""
        controller, size = self.trainer.controller, self.settings.batch_size
        rewards, entropies = [], []
        for update in range(self.num_updates):
            number = phase * self.num_updates + update
            architectures = controller.sample(np.random.default_rng((self.seed, 1, number)), size)
            reward = self.rewards(architectures, accuracies(architectures, number * size))
            entropies.append(controller.entropy(architectures).mean())
            self.trainer.update(architectures, list(reward))
            rewards.append(reward.mean())
        self.history.append({"reward": float(np.mean(rewards)), "entropy": float(np.mean(entropies))})

    def get_state(self) -> dict[str, Any]:
        """See `Policy`."""
        return {"trainer": self.trainer.get_state(), "history": self.history}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """See `Policy`."""
        self.trainer.set_state(state["trainer"])
        self.history = list(state["history"])


class MultinomialPolicy(Policy):
    """MDENAS (Zheng et al., ICCV 2019, algorithm 1): one architecture for each phase, judged after it.

    In each phase one architecture is drawn and the shared weights are trained on it alone; then its accuracy
    moves the probability of its options against the others (`MultinomialDistribution`).

    Args:
        space: See `Policy`.
        feasible: See `Policy`.
        seed: See `Policy`.
        num_minibatches: On how many the accuracy is measured.
        learning_rate: See `MultinomialDistribution`.
        score_rate: See `MultinomialDistribution`; 1 is the paper's.
    """

    phase_epochs = 0.25

    def __init__(
        self,
        space: SearchSpace,
        *,
        feasible: Callable[[Architecture], bool] | None = None,
        seed: int = 0,
        num_minibatches: int = 4,
        learning_rate: float = 0.01,
        score_rate: float = 1.0,
    ) -> None:
        super().__init__(space, feasible=feasible, seed=seed)
        self.num_minibatches = num_minibatches
        self.learning_rate = learning_rate
        self.score_rate = score_rate
        self.distribution = MultinomialDistribution(space, learning_rate, score_rate)

    def path(self, phase: int, step: int) -> Architecture:
        """The architecture of the phase."""
        return self.distribution.sample(np.random.default_rng((self.seed, 0, phase)))

    def drafts(self, rng: np.random.Generator) -> list[Architecture]:
        """Draws from the distribution, ever more decisions uniformly."""
        return [self.distribution.sample(rng, exploration) for exploration in np.linspace(0.0, 1.0, NUM_DRAFTS)]

    def learn(self, phase: int, accuracies: Accuracies) -> None:
        """Compare the architecture that was trained."""
        trained = [self.path(phase, 0)] * self.num_minibatches
        reward = float(self.rewards(trained, accuracies(trained, phase * self.num_minibatches)).mean())
        self.distribution.update(trained[0], reward)
        self.history.append({"reward": reward, "entropy": self._entropy()})

    def _entropy(self) -> float:
        probabilities = np.concatenate(list(self.distribution.probabilities.values()))
        known = probabilities[probabilities > 0]
        return float(-np.sum(known * np.log(known)))

    def get_state(self) -> dict[str, Any]:
        """See `Policy`."""
        return {"distribution": self.distribution.get_state(), "history": self.history}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """See `Policy`."""
        self.distribution.set_state(state["distribution"])
        self.history = list(state["history"])
