"""MDENAS: learn a multinomial distribution over each decision by comparing its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, Decision, Option, SearchSpace
from automl_keras.tuners.named_oracle import NamedOracle
from automl_keras.tuners.strategy import Objective, Strategy


class MultinomialDistribution:
    """The probabilities of the options of each decision, and how often and how well each was tried.

    ```python
    distribution = MultinomialDistribution(space, learning_rate=0.01)
    architecture = distribution.sample(rng)
    distribution.update(architecture, score)
    ```

    Of two options of a decision, the one tried no more often and yet with the higher score wins
    `learning_rate` from the other, or what the other has left (Zheng et al., ICCV 2019, with the
    comparisons and the limit of XNAS), for every pair and after every architecture. So the
    probabilities stay on the simplex. Only the signs of differences count: scores may have any scale.

    Differences from the paper: options never tried are not compared, which is the same where all scores
    are positive; decisions that are inactive in `architecture` are left alone; the score of an option
    is a running mean instead of its latest, see `score_rate`.

    Args:
        space: The decisions. All options start with equal probability.
        learning_rate: What the winner of a pair takes from the loser, the paper's alpha (0.01 there).
        score_rate: The weight of the latest score in the running mean of an option, or one over the
            number of its scores while that is more. 1 keeps only the latest, as in the paper; 0 is
            the plain mean.

    Attributes:
        probabilities: Decision name to float64 array, one for each option.
        counts: How often each option was tried, the paper's H^e.
        scores: The running mean of the scores of each option, the paper's H^a; 0 before the first.
    """

    def __init__(self, space: SearchSpace, learning_rate: float = 0.1, score_rate: float = 0.05) -> None:
        self.space = space
        self.learning_rate = learning_rate
        self.score_rate = score_rate
        self.probabilities: dict[str, np.ndarray] = {}
        self.counts: dict[str, np.ndarray] = {}
        self.scores: dict[str, np.ndarray] = {}
        for decision in space.decisions:
            self._start(decision)

    def sample(self, rng: np.random.Generator, exploration: float = 0.0) -> Architecture:
        """Draw each decision, uniformly with probability `exploration`, else from its probabilities."""
        values: dict[str, Option] = {}
        for decision in self.space.decisions:
            size = len(decision.options)
            mixed = (1.0 - exploration) * self.probabilities[decision.name] + exploration / size
            # Where the cumulative sum ends a little below 1, the last option takes the rest.
            index = int(np.searchsorted(np.cumsum(mixed)[:-1], rng.random(), side="right"))
            values[decision.name] = decision.options[index]
        return self.space.canonical(values)

    def update(self, architecture: Architecture, score: float) -> None:
        """Note that an architecture scored so (higher is better), and move its decisions' probabilities."""
        for name, option in architecture.items():
            index = self.space[name].options.index(option)
            self.counts[name][index] += 1
            rate = max(self.score_rate, 1.0 / self.counts[name][index])
            self.scores[name][index] += rate * (score - self.scores[name][index])
            self._move(name)

    def get_state(self) -> dict[str, Any]:
        """What was learnt, as JSON: for each decision its options and three numbers for each of them."""
        return {
            decision.name: {
                "options": list(decision.options),
                "probabilities": self.probabilities[decision.name].tolist(),
                "counts": self.counts[decision.name].tolist(),
                "scores": self.scores[decision.name].tolist(),
            }
            for decision in self.space.decisions
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore from `get_state`, also of a smaller space.

        A decision that is not in the state, or of which an option is gone, starts anew. An option that
        is not in the state starts untried, with equal probability; the others share the rest in proportion.
        """
        for decision in self.space.decisions:
            self._start(decision)
            learnt = state.get(decision.name)
            if learnt is not None and set(learnt["options"]) <= set(decision.options):
                self._restore(decision, learnt)

    def _start(self, decision: Decision) -> None:
        size = len(decision.options)
        self.probabilities[decision.name] = np.full(size, 1.0 / size)
        self.counts[decision.name] = np.zeros(size, dtype=np.int64)
        self.scores[decision.name] = np.zeros(size)

    def _restore(self, decision: Decision, learnt: Mapping[str, Any]) -> None:
        known = [decision.options.index(option) for option in learnt["options"]]
        share = len(known) / len(decision.options)
        self.probabilities[decision.name][known] = share * np.array(learnt["probabilities"])
        self.counts[decision.name][known] = learnt["counts"]
        self.scores[decision.name][known] = learnt["scores"]

    def _move(self, name: str) -> None:
        probabilities, counts, scores = self.probabilities[name], self.counts[name], self.scores[name]
        tried = np.flatnonzero(counts)
        for position, first in enumerate(tried):
            for second in tried[position + 1 :]:
                loser, winner = (first, second) if scores[first] < scores[second] else (second, first)
                if scores[loser] < scores[winner] and counts[loser] >= counts[winner]:
                    moved = min(self.learning_rate, probabilities[loser])
                    probabilities[loser] -= moved
                    probabilities[winner] += moved


class MDENASStrategy(Strategy):
    """MDENAS (Zheng et al., ICCV 2019): sample from a `MultinomialDistribution` and learn it from each result.

    In the paper each architecture drawn trains a supernet for an epoch and is scored with its
    weights; here whoever evaluates decides. What was learnt outlives the scores: it stays when a newer
    generation of shared weights makes the strategy forget older evaluations, and when an
    architecture fails that succeeded before.

    Differences from the paper, besides those of `MultinomialDistribution`: no architecture is evaluated
    twice, so decisions are drawn uniformly now and then, or a distribution that has converged would
    have nothing to propose; and it learns from the first result on, without a warm-up.

    Args:
        space: See `Strategy`.
        objective: See `Strategy`.
        feasible: See `Strategy`.
        seed: See `Strategy`.
        initial: See `Strategy`.
        learning_rate: See `MultinomialDistribution`. The default is for 50 to 300 evaluations.
        score_rate: See `MultinomialDistribution`. The score of a network depends on all its decisions, so
            the latest score of an option says little of the option: with 1, as in the paper, 200
            evaluations found no better networks than random search on four published tables.
        exploration: The probability with which a decision is drawn uniformly.

    Raises:
        InvalidArgumentError: If `learning_rate` is not above 0 and at most 1, or `score_rate` or
            `exploration` not from 0 to 1; also as `Strategy`.
    """

    def __init__(
        self,
        space: SearchSpace,
        objective: str | Objective = "val_accuracy",
        *,
        feasible: Callable[[Architecture], bool] | None = None,
        seed: int | None = None,
        initial: Sequence[Mapping[str, Option]] = (),
        learning_rate: float = 0.1,
        score_rate: float = 0.05,
        exploration: float = 0.2,
    ) -> None:
        super().__init__(space, objective, feasible=feasible, seed=seed, initial=initial)
        if not 0.0 < learning_rate <= 1.0:
            raise InvalidArgumentError(
                f"`learning_rate` must be above 0 and at most 1. Received: learning_rate={learning_rate}"
            )
        for name, value in (("score_rate", score_rate), ("exploration", exploration)):
            if not 0.0 <= value <= 1.0:
                raise InvalidArgumentError(f"`{name}` must be from 0 to 1. Received: {name}={value}")
        self.learning_rate = learning_rate
        self.score_rate = score_rate
        self.exploration = exploration
        self.distribution = MultinomialDistribution(space, learning_rate, score_rate)

    def propose(self, rng: np.random.Generator) -> Architecture:
        """A sample of the distribution."""
        return self.distribution.sample(rng, self.exploration)

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        """As `Strategy.tell`; the distribution learns from each evaluation that is not dropped."""
        for evaluation in evaluations:
            told = replace(evaluation, architecture=self.space.canonical(evaluation.architecture))
            super().tell([told])
            # What failed, is late or infeasible is not among them.
            if self.evaluations[-1:] == (told,):
                self.distribution.update(told.architecture, self.score(told))

    def get_state(self) -> dict[str, Any]:
        """As `Strategy.get_state`, and the distribution."""
        return {**super().get_state(), "distribution": self.distribution.get_state()}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """As `Strategy.set_state`, and the distribution."""
        super().set_state(state)
        self.distribution = MultinomialDistribution(self.space, self.learning_rate, self.score_rate)
        self.distribution.set_state(state["distribution"])


class MDENASOracle(NamedOracle):
    """`MDENASStrategy` for Keras-Tuner; takes its arguments too."""

    strategy_class = MDENASStrategy
