"""Accuracy predictor and evolution: evaluate what a population evolved on predictions comes up with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, Option, SearchSpace
from automl_keras.tuners.named_oracle import NamedOracle
from automl_keras.tuners.strategy import Objective, Strategy
from automl_keras.tuners.surrogates import RidgeRegression, normal_scores, pair_features, upper_scores

POPULATION_SIZE = 100
NUM_GENERATIONS = 20
PARENT_PART = 0.25
MUTATION_CHANCE = 0.1


class PredictorStrategy(Strategy):
    """Once-for-All's accuracy predictor and evolutionary search (Cai et al., ICLR 2020, section 3.4 and its code).

    After some random architectures it fits an ensemble of predictors on all evaluations, evolves a
    population on the predicted scores and proposes the best that it found, for each member of the
    ensemble in turn; after a few more evaluations it begins anew. The population is Once-for-All's:
    100, of which the best quarter are parents; half of the children are crossovers, half mutants,
    in which each decision is drawn again with chance 0.1.

    Differences from the paper, which fitted one predictor once, on 16,000 subnets of a supernet:

    - Here 10 to 1,000 evaluations must do, so they are chosen by what the earlier ones taught. The
      predictors are ridge regressions on options and pairs of options (`RidgeRegression`), not
      perceptrons. They disagree where the evaluations leave it open, and so each
      favourite of one of them is worth a look (Thompson sampling).
    - They learn the ranks of the scores (`normal_scores`).
    - Parents are the favourites of all members, in equal parts, out of all found so far. What was
      evaluated is part of the first population. 20 generations do, instead of 500: with
      10 the regret on published tables was higher, and later ones bring little that is new.

    `best` trusts an observed score by half, and by half what the observed scores of all say about it
    (`RidgeRegression` on `upper_scores`): the highest of many noisy scores is high by luck, too.

    Args:
        space: See `Strategy`.
        objective: See `Strategy`.
        feasible: See `Strategy`. Infeasible architectures are no parents and not proposed.
        seed: See `Strategy`.
        initial: See `Strategy`. They are part of the initial points.
        num_initial_points: So many architectures come first: the initial ones, then random ones.
        refit_interval: After so many evaluations the predictors are fitted again; from 200 evaluations
            on after twice as many, from 300 on after thrice as many, and so on.
        ensemble_size: Number of predictors. Of up to as many proposals between two fits each is the
            favourite of another one.

    Raises:
        InvalidArgumentError: If a setting is not positive; also as `Strategy`.
    """

    def __init__(
        self,
        space: SearchSpace,
        objective: str | Objective = "val_accuracy",
        *,
        feasible: Callable[[Architecture], bool] | None = None,
        seed: int | None = None,
        initial: Sequence[Mapping[str, Option]] = (),
        num_initial_points: int = 10,
        refit_interval: int = 5,
        ensemble_size: int = 10,
    ) -> None:
        super().__init__(space, objective, feasible=feasible, seed=seed, initial=initial)
        for name, value in (
            ("num_initial_points", num_initial_points),
            ("refit_interval", refit_interval),
            ("ensemble_size", ensemble_size),
        ):
            if value < 1:
                raise InvalidArgumentError(f"`{name}` must be positive. Received: {name}={value}")
        self.num_initial_points = num_initial_points
        self.refit_interval = refit_interval
        self.ensemble_size = ensemble_size
        self._found: _Found | None = None

    def propose(self, rng: np.random.Generator) -> Architecture:
        """A sample of the space at first, then the favourite of one member of the ensemble."""
        num_known = len(self.evaluations) + len(self.pending)
        learnt = self._learnt_from()
        if not learnt or num_known < self.num_initial_points:
            return self.space.sample(rng)
        if self._found is None or self._found.learnt != learnt:
            self._found = self._search(learnt)
        order = self._found.order[:, num_known % self.ensemble_size]
        favourites = (self._found.architectures[index] for index in order)
        return next(filter(self.is_allowed, favourites), self.space.sample(rng))

    def best(self) -> Evaluation | None:
        """The evaluation with the highest mean of its own and its predicted score; see above."""
        evaluations = self.evaluations
        if len(evaluations) < self.num_initial_points:
            return super().best()
        scores = upper_scores(np.array([self.score(evaluation) for evaluation in evaluations]))
        predicted = RidgeRegression(self._features([e.architecture for e in evaluations]), scores).fitted()
        return evaluations[int(np.argmax(scores + predicted))]

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; see `Strategy`. What was found is found again."""
        super().set_state(state)
        self._found = None

    def _learnt_from(self) -> tuple[Evaluation, ...]:
        """The evaluations up to the last refit: their number alone decides, so a resumed search has the same."""
        number = len(self.evaluations)
        return self.evaluations[: number - number % (self.refit_interval * max(1, number // 100))]

    def _search(self, learnt: tuple[Evaluation, ...]) -> _Found:
        """Evolve a population on the scores that an ensemble predicts.

        It must not depend on what is pending or was told since, else a resumed search would find other ones.
        """
        rng = self.generator("predictor", len(learnt))
        known = [evaluation.architecture for evaluation in learnt]
        scores = normal_scores(np.array([self.score(evaluation) for evaluation in learnt]))
        weights = RidgeRegression(self._features(known), scores).ensemble(self.ensemble_size, rng)
        feasible: dict[Architecture, bool] = {}
        found = dict.fromkeys([*known, *(self.space.sample(rng) for _ in range(POPULATION_SIZE))])
        predicted = self._features(list(found)) @ weights
        for _ in range(NUM_GENERATIONS):
            parents = self._parents(list(found), predicted, feasible)
            if not parents:  # the limits are tighter than when these were evaluated
                break
            new = [child for child in dict.fromkeys(self._children(parents, rng)) if child not in found]
            if new:
                found.update(dict.fromkeys(new))
                predicted = np.concatenate([predicted, self._features(new) @ weights])
        return _Found(learnt, list(found), np.argsort(-predicted, axis=0, kind="stable"))

    def _parents(
        self, found: list[Architecture], predicted: np.ndarray, feasible: dict[Architecture, bool]
    ) -> list[Architecture]:
        """The feasible favourites of each member, in equal parts, each once."""
        number = math.ceil(PARENT_PART * POPULATION_SIZE / self.ensemble_size)

        def is_feasible(architecture: Architecture) -> bool:
            if architecture not in feasible:
                feasible[architecture] = self.feasible is None or self.feasible(architecture)
            return feasible[architecture]

        parents: dict[Architecture, None] = {}
        for order in np.argsort(-predicted, axis=0, kind="stable").T:
            favourites = (found[index] for index in order)
            parents.update(dict.fromkeys(islice(filter(is_feasible, favourites), number)))
        return list(parents)

    def _children(self, parents: list[Architecture], rng: np.random.Generator) -> list[Architecture]:
        """As many mutants as crossovers; what is inactive in the parents is drawn."""
        options = np.array([self.space.encode(parent) for parent in parents])
        first, second = options[rng.integers(len(parents), size=(2, POPULATION_SIZE))]
        shape = first.shape
        drawn = rng.integers([len(d.options) for d in self.space.decisions], size=shape)
        mutants = np.where(rng.random(shape) < MUTATION_CHANCE, drawn, first)
        crossovers = np.where(rng.random(shape) < 0.5, first, second)
        is_mutant = np.arange(POPULATION_SIZE)[:, None] < POPULATION_SIZE // 2
        children = np.where(is_mutant, mutants, crossovers)
        children = np.where(children < 0, drawn, children)
        return [
            self.space.canonical({d.name: d.options[i] for d, i in zip(self.space.decisions, child, strict=True)})
            for child in children.tolist()
        ]

    def _features(self, architectures: list[Architecture]) -> np.ndarray:
        options = np.array([self.space.encode(architecture) for architecture in architectures])
        sizes = [len(d.options) + (d.parent is not None) for d in self.space.decisions]
        return pair_features(options, sizes)


@dataclass(frozen=True)
class _Found:
    """What a search on predictions found.

    Attributes:
        learnt: The evaluations that the predictor was fitted on.
        architectures: All that were in a population.
        order: Indices of `architectures`, for each member of the ensemble (a column) the best first.
    """

    learnt: tuple[Evaluation, ...]
    architectures: list[Architecture]
    order: np.ndarray


class PredictorOracle(NamedOracle):
    """`PredictorStrategy` for Keras-Tuner; takes its arguments too."""

    strategy_class = PredictorStrategy
