"""Bayesian optimisation: a Gaussian process over architectures, and Thompson sampling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy.linalg import helmert

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, Decision, Option, SearchSpace
from automl_keras.tuners.gaussian_process import ArchitectureKernel, GaussianProcess, fit_parameters
from automl_keras.tuners.named_oracle import NamedOracle
from automl_keras.tuners.strategy import Objective, Strategy
from automl_keras.tuners.surrogates import RidgeRegression, normal_scores, upper_scores

NUM_PARENTS = 10
CHANGE_AGAIN, MAX_CHANGES = 0.5, 4
MIN_MODELLED = 2
REFIT_STEP, REFIT_GROWTH = 5, 1.15
MAX_NOMINAL = 8


class BayesianStrategy(Strategy):
    """Bayesian optimisation with a Gaussian process over architectures (as Jin et al., KDD 2019, for AutoKeras).

    After a few random architectures each proposal comes from a pool: mutants of the ten best, with one to four
    decisions changed, and as many samples of the space. For each of them a value is drawn from its posterior,
    independently (White et al., BANANAS, AAAI 2021, section 5), and the one with the highest is proposed.

    The process sees ranks, spread like a normal distribution: failures of training that are far below the rest
    would otherwise rule it, and only the order matters for the search. Its kernel learns which
    decisions matter, how alike options are, and how far only the number of times counts that an option was
    chosen; see `ArchitectureKernel`. Its parameters are fitted again when a seventh more is known.

    `best` trusts an observed score by half, and by half what a ridge regression on the options and their pairs makes
    of it and all others, as `PredictorStrategy` does: the highest of many noisy scores is high by luck too. The mean of
    the process, which fits what is observed more closely, was a worse second opinion on published tables.

    Differences from AutoKeras: the learnt kernel in place of the edit distance of networks, in which all layers and
    operations weigh the same; Thompson sampling in place of the upper confidence bound, so that several
    workers can be served without waiting; no tree search by network morphisms. Of a tree-structured Parzen
    estimator the regret on four published tables was higher after 100 evaluations.

    Args:
        space: See `Strategy`.
        objective: See `Strategy`.
        feasible: See `Strategy`. Tested on the most promising of the pool, until one is feasible.
        seed: See `Strategy`.
        initial: See `Strategy`. They count as initial points.
        num_initial_points: So many architectures come first: the initial ones, then random ones.
        pool_size: Number of candidates of each proposal, half of them mutants. The time of a proposal
            grows with it.
        max_points: So many evaluations are modelled at most: the better half of them the best, the others spread
            evenly over the rest. The time of a proposal grows with its square.

    Raises:
        InvalidArgumentError: If a setting is smaller than 2; also as `Strategy`.
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
        pool_size: int = 800,
        max_points: int = 200,
    ) -> None:
        super().__init__(space, objective, feasible=feasible, seed=seed, initial=initial)
        settings = {"num_initial_points": num_initial_points, "pool_size": pool_size, "max_points": max_points}
        for name, value in settings.items():
            if value < 2:
                raise InvalidArgumentError(f"`{name}` must be at least 2. Received: {name}={value}")
        self.num_initial_points = num_initial_points
        self.pool_size = pool_size
        self.max_points = max_points
        # What follows from the space and the evaluations that it is kept with, and only spares the time.
        self._codes: CodeSpace | None = None
        self._fitted: tuple[CodeSpace, tuple[Evaluation, ...], np.ndarray] | None = None
        self._modelled: tuple[CodeSpace, tuple[Evaluation, ...], GaussianProcess] | None = None

    def propose(self, rng: np.random.Generator) -> Architecture:
        """A sample of the space at first, then the most promising of the pool that is allowed."""
        evaluations = self.evaluations
        num_known = len(evaluations) + len(self.pending)
        if num_known < self.num_initial_points or len(evaluations) < MIN_MODELLED:
            return self.space.sample(rng)
        if self._codes is None or self._codes.space is not self.space:
            self._codes = CodeSpace(self.space)
        codes = self._codes
        pool = self._pool(evaluations, codes, rng)
        mean, deviation = self._posterior(evaluations, codes).predict(pool[:, codes.choices])
        values = mean + deviation * rng.standard_normal(len(pool))
        drafts = (codes.decode(pool[index]) for index in np.argsort(-values, kind="stable"))
        return next(filter(self.is_allowed, drafts), self.space.sample(rng))

    def best(self) -> Evaluation | None:
        """The evaluation with the highest mean of its own and its predicted score; see above."""
        evaluations = self.evaluations
        if len(evaluations) < self.num_initial_points:
            return super().best()
        chosen = spread(np.array([self.score(evaluation) for evaluation in evaluations]), self.max_points)
        scores = upper_scores(np.array([self.score(evaluations[index]) for index in chosen]))
        codes = np.array([self.space.encode(evaluations[index].architecture) for index in chosen])
        predicted = RidgeRegression(pair_root(codes), scores).fitted()
        return evaluations[chosen[np.argmax(scores + predicted)]]

    def _pool(self, evaluations: Sequence[Evaluation], codes: CodeSpace, rng: np.random.Generator) -> np.ndarray:
        best = sorted(evaluations, key=self.score, reverse=True)[:NUM_PARENTS]
        parents = np.array([self.space.encode(evaluation.architecture) for evaluation in best])
        num_mutants = self.pool_size // 2
        mutants = codes.mutate(parents[rng.integers(len(parents), size=num_mutants)], rng)
        return np.unique(np.concatenate([mutants, codes.sample(self.pool_size - num_mutants, rng)]), axis=0)

    def _posterior(self, evaluations: tuple[Evaluation, ...], codes: CodeSpace) -> GaussianProcess:
        if self._modelled is None or self._modelled[0] is not codes or self._modelled[1] != evaluations:
            parameters = self._parameters(evaluations[: last_refit(len(evaluations))], codes)
            process = GaussianProcess(codes.kernel, parameters, *self._observations(evaluations, codes))
            self._modelled = codes, evaluations, process
        return self._modelled[2]

    def _parameters(self, evaluations: tuple[Evaluation, ...], codes: CodeSpace) -> np.ndarray:
        if self._fitted is None or self._fitted[0] is not codes or self._fitted[1] != evaluations:
            parameters = fit_parameters(codes.kernel, *self._observations(evaluations, codes))
            self._fitted = codes, evaluations, parameters
        return self._fitted[2]

    def _observations(self, evaluations: Sequence[Evaluation], codes: CodeSpace) -> tuple[np.ndarray, np.ndarray]:
        """Codes and targets of what is modelled."""
        scores = np.array([self.score(evaluation) for evaluation in evaluations])
        targets = normal_scores(scores)
        chosen = spread(scores, self.max_points)
        architectures = [evaluations[index].architecture for index in chosen]
        return np.array([self.space.encode(a) for a in architectures])[:, codes.choices], targets[chosen]


class CodeSpace:
    """A space in terms of option indices, many architectures at once; -1 where a decision is inactive.

    Codes are canonical but in a space that overrides `canonical`; there `decode` makes them so.

    Attributes:
        space: The space.
        kernel: The kernel over the decisions that have a choice.
        choices: The indices of those decisions.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._sizes = np.array([len(decision.options) for decision in space.decisions], dtype=np.int64)
        self.choices = np.flatnonzero(self._sizes > 1)
        # Options of different types may compare equal.
        groups = {(type(d.options[0]), d.options): d for d in space.decisions if len(d.options) > 1}
        numbers = {key: number for number, key in enumerate(groups)}
        self.kernel = ArchitectureKernel(
            [numbers[type(d.options[0]), d.options] for d in space.decisions if len(d.options) > 1],
            [_embedding(decision) for decision in groups.values()],
        )
        self._parents = [
            (space.names.index(d.parent[0]), [space[d.parent[0]].options.index(v) for v in d.parent[1]])
            if d.parent
            else None
            for d in space.decisions
        ]

    def sample(self, num: int, rng: np.random.Generator) -> np.ndarray:
        """Draw every active decision uniformly."""
        return self._deactivate(rng.integers(self._sizes, size=(num, len(self._sizes))))

    def mutate(self, codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Change one to four decisions of each, a further one with chance one half; they may be inactive."""
        num = len(codes)
        mutants = np.where(codes < 0, rng.integers(self._sizes, size=codes.shape), codes)
        num_changes = 1 + np.cumprod(rng.random((num, MAX_CHANGES - 1)) < CHANGE_AGAIN, axis=1).sum(axis=1)
        for change in range(MAX_CHANGES):
            rows = np.flatnonzero(num_changes > change)
            columns = self.choices[rng.integers(len(self.choices), size=len(rows))]
            sizes = self._sizes[columns]
            mutants[rows, columns] = (mutants[rows, columns] + rng.integers(1, sizes)) % sizes
        return self._deactivate(mutants)

    def decode(self, code: np.ndarray) -> Architecture:
        """The canonical architecture of one code."""
        chosen = zip(self.space.decisions, code, strict=True)
        return self.space.canonical({d.name: d.options[index] for d, index in chosen if index >= 0})

    def _deactivate(self, codes: np.ndarray) -> np.ndarray:
        for index, parent in enumerate(self._parents):
            if parent is not None:
                codes[~np.isin(codes[:, parent[0]], parent[1]), index] = -1
        return codes


def _embedding(decision: Decision) -> np.ndarray:
    """Where the options lie before any observation: on a line if they are many numbers, else at equal distances."""
    num_options = len(decision.options)
    if num_options > MAX_NOMINAL and isinstance(decision.options[0], int | float):
        ranks = np.argsort(np.argsort(decision.options))
        # The mean squared distance is 1.
        return (ranks / (num_options - 1) - 0.5)[:, None] * np.sqrt(6.0)
    return helmert(num_options).T / np.sqrt(2.0)


def last_refit(num_evaluations: int) -> int:
    """After how many evaluations the parameters are from: 2, 7, 12, ..., later at steps of 15 %."""
    last = MIN_MODELLED
    while (following := max(last + REFIT_STEP, int(REFIT_GROWTH * last))) <= num_evaluations:
        last = following
    return last


def spread(scores: np.ndarray, num: int) -> np.ndarray:
    """The indices of `num` scores, in order: half of them of the best, the others spread over the rest."""
    if len(scores) <= num:
        return np.arange(len(scores))
    order = np.argsort(-scores, kind="stable")
    best, rest = order[: num // 2], np.sort(order[num // 2 :])
    others = rest[np.linspace(0, len(rest) - 1, num - num // 2).astype(np.int64)]
    return np.sort(np.concatenate([best, others]))


def pair_root(codes: np.ndarray) -> np.ndarray:
    """Features of which a ridge regression is that on all options and pairs of options of two decisions.

    They have the same inner products as `surrogates.pair_features`: that of two architectures is the share of
    decisions, pairs of them and a constant that agree. But there are no more of them than architectures.

    Args:
        codes: Option indices of shape `(n, decisions)`; inactivity, -1, is an option of its own.
    """
    agreeing = np.sum(codes[:, None, :] == codes, axis=2)
    num_features = 1 + codes.shape[1] * (codes.shape[1] + 1) / 2
    values, vectors = np.linalg.eigh((1 + agreeing * (agreeing + 1) / 2) / num_features)
    return vectors * np.sqrt(np.maximum(values, 0.0))


class BayesianOracle(NamedOracle):
    """`BayesianStrategy` for Keras-Tuner; takes its arguments too."""

    strategy_class = BayesianStrategy
