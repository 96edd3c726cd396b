"""Progressive search: from simple architectures to complex ones, led by a surrogate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice
from typing import Any

import numpy as np
from scipy.stats import rankdata

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, SearchSpace
from automl_keras.search_space.decision import Option
from automl_keras.tuners.named_oracle import NamedOracle
from automl_keras.tuners.pnas_levels import Levels
from automl_keras.tuners.pnas_predictors import PREDICTORS, SurrogateEnsemble
from automl_keras.tuners.strategy import Objective, Strategy

REFITS_PER_DOUBLING = 40  # After so many refits in the last phase they come half as often.

PAPER_SETTINGS: Mapping[str, Any] = {
    "first_level_size": 136,
    "beam_size": 256,
    "exploration": 0.0,
    "refit_every": 256,
    "max_candidates": 1_000_000,
    "embedding_size": 100,
    "hidden_size": 100,
}
"""The sizes of the paper, for `cell_space()`: 136 + 4 * 256 = 1,160 evaluations."""


class PNASStrategy(Strategy):
    """Progressive neural architecture search (Liu et al., ECCV 2018, algorithm 1).

    It goes through levels of growing complexity. The first is evaluated whole, or a random share of
    it. Then, level by level: the best `beam_size` architectures of the level before are extended by every choice
    of the next decisions, an ensemble of surrogates fitted on all evaluations ranks the results,
    and the first `beam_size` of them are evaluated. Architectures that mean the same are
    one (`SearchSpace.canonical`). A level is a number of blocks in a `CellSpace`, and in a space of fixed length a few
    more decisions that may leave their defaults: see `Levels`.

    ```python
    PNASStrategy(cell_space(), seed=0, **PAPER_SETTINGS)  # as in the paper
    PNASStrategy(space, seed=0)                           # for 50 to 300 evaluations
    ```

    Differences from the paper:

    - Nothing waits for a level to end. While results are pending, or in the place of those that failed,
      the next best of the level are proposed; once they have run out, the next level's.
    - After the last level it goes on: the decisions of any two levels are taken anew in the best
      `beam_size` architectures of all. The surrogate is fitted again every `refit_every` evaluations,
      after 40 such fits half as often, and so on.
    - Candidates can be ranked by the mean of the ensemble plus `exploration` times its standard
      deviation. The surrogate is fitted again within a level, too.
    - The surrogate learns the ranks of the scores, so the objective can be of any scale.
    - For those of the networks see `SurrogateEnsemble`.

    The defaults were chosen on NAS-Bench-Macro and NAS-Bench-201 for the regret at 100 evaluations.

    Args:
        space: See `Strategy`.
        objective: See `Strategy`.
        feasible: See `Strategy`. Infeasible candidates give way to the next best.
        seed: See `Strategy`.
        initial: See `Strategy`. They count as evaluations of the first level.
        first_level_size: Evaluations of the first level. Above its number of architectures: all.
        beam_size: Evaluations of each further level, and how many of a level are extended (the paper's K).
        group_size: Number of decisions by which a level grows in a space of fixed length.
        predictor: "mlp" or "lstm".
        exploration: Weight of the ensemble's disagreement. The paper has none.
        refit_every: Number of evaluations from one fit to the next.
        max_candidates: If a level has more, so many are drawn at random.
        embedding_size: See `SurrogateEnsemble`.
        hidden_size: See `SurrogateEnsemble`. `None`: 64 for "mlp", 32 for "lstm".

    Raises:
        InvalidArgumentError: If a size is below 1, `exploration` negative or the predictor unknown; also as
            `Strategy`.
    """

    def __init__(
        self,
        space: SearchSpace,
        objective: str | Objective = "val_accuracy",
        *,
        feasible: Callable[[Architecture], bool] | None = None,
        seed: int | None = None,
        initial: Sequence[Mapping[str, Option]] = (),
        first_level_size: int = 12,
        beam_size: int = 10,
        group_size: int = 2,
        predictor: str = "mlp",
        exploration: float = 0.5,
        refit_every: int = 5,
        max_candidates: int = 5_000,
        embedding_size: int = 16,
        hidden_size: int | None = None,
    ) -> None:
        super().__init__(space, objective, feasible=feasible, seed=seed, initial=initial)
        self.first_level_size = _checked("first_level_size", first_level_size)
        self.beam_size = _checked("beam_size", beam_size)
        self.group_size = _checked("group_size", group_size)
        self.predictor = predictor
        self.exploration = exploration
        self.refit_every = _checked("refit_every", refit_every)
        self.max_candidates = _checked("max_candidates", max_candidates)
        self.embedding_size = _checked("embedding_size", embedding_size)
        self.hidden_size = None if hidden_size is None else _checked("hidden_size", hidden_size)
        if predictor not in PREDICTORS:
            raise InvalidArgumentError(
                f"`predictor` must be one of {sorted(PREDICTORS)}. Received: predictor={predictor!r}"
            )
        if not exploration >= 0.0:
            raise InvalidArgumentError(f"`exploration` must not be negative. Received: exploration={exploration}")
        self._start_anew()

    def _start_anew(self) -> None:
        """Forget all that follows from the space, the seed and the evaluations."""
        self._levels = Levels(self.space, self.group_size)
        self._first_level: _Ranking | None = None
        self._learnt: tuple[Evaluation, ...] = ()
        self._surrogate: SurrogateEnsemble | None = None
        self._rankings: dict[int, _Ranking] = {}

    def propose(self, rng: np.random.Generator) -> Architecture:
        """The best ranked candidate of the present level, or of later ones where it has none left."""
        level, learnt = self._progress()
        if learnt != self._learnt:
            self._learnt, self._surrogate, self._rankings = learnt, None, {}
        # The last one is the phase after all levels.
        for later in range(level, len(self._levels) + 1):
            for architecture in self._ranking(later):
                if self.is_allowed(architecture):
                    return architecture
        return self.space.sample(rng)

    def set_state(self, state: Mapping[str, Any]) -> None:
        """See `Strategy`."""
        super().set_state(state)
        self._start_anew()

    def _progress(self) -> tuple[int, tuple[Evaluation, ...]]:
        """The present level, and the evaluations to learn from: those up to the last time for a fit."""
        evaluations = self.evaluations
        level, start = 0, 0
        end = sum(1 for _ in islice(self._ranking(0), self.first_level_size))
        while level < len(self._levels) and len(evaluations) >= end:
            level, start, end = level + 1, end, end + self.beam_size
        if level == 0:
            return level, evaluations
        later, step = len(evaluations) - start, self.refit_every
        while level == len(self._levels) and later >= REFITS_PER_DOUBLING * step:
            step *= 2
        return level, evaluations[: start + later // step * step]

    def _ranking(self, level: int) -> _Ranking:
        if level == 0:
            if self._first_level is None:
                rng = self.generator("first level", 0)
                rows = self._levels.expand(self._levels.root, 0, self.max_candidates, rng)
                self._first_level = _Ranking(self._architectures(rng.permutation(rows)))
            return self._first_level
        if level not in self._rankings:
            rows = self._candidates(level)
            if len(rows):
                predicted = self._fitted().predict(rows)
                optimism = predicted.mean(axis=0) + self.exploration * predicted.std(axis=0)
                rows = rows[np.argsort(-optimism, kind="stable")]
            self._rankings[level] = _Ranking(self._architectures(rows))
        return self._rankings[level]

    def _candidates(self, level: int) -> np.ndarray:
        """The best of the level before, extended; after the last level the best of all, two levels taken anew."""
        levels = self._levels
        rows = self._encoded(sorted(self._learnt, key=self.score, reverse=True))
        if level < len(levels):
            rows = rows[levels.parents(rows, level)]
        rows = rows[: self.beam_size]
        if len(rows) == 0:
            return rows
        rng = self.generator(f"level {level}", len(self._learnt))
        if level < len(levels):
            return levels.expand(rows, level, self.max_candidates, rng)
        # With a single level it is taken twice, which changes nothing.
        pairs = list(combinations(range(len(levels)), 2)) or [(0, 0)]
        limit = max(self.max_candidates // len(pairs), 1)
        parts = [levels.expand(levels.expand(rows, one, limit, rng), other, limit, rng) for one, other in pairs]
        return np.unique(np.concatenate(parts), axis=0)

    def _fitted(self) -> SurrogateEnsemble:
        if self._surrogate is None:
            number = len(self._learnt)
            targets = (rankdata([self.score(evaluation) for evaluation in self._learnt]) - 0.5) / number
            surrogate = PREDICTORS[self.predictor](self.space, self.embedding_size, self.hidden_size)
            self._surrogate = surrogate.fit(self._encoded(self._learnt), targets, self.generator("surrogate", number))
        return self._surrogate

    def _encoded(self, evaluations: Sequence[Evaluation]) -> np.ndarray:
        rows = [self.space.encode(evaluation.architecture) for evaluation in evaluations]
        return np.array(rows, dtype=np.int32).reshape(len(rows), len(self.space.decisions))

    def _architectures(self, rows: np.ndarray) -> Iterator[Architecture]:
        """Canonical, each once, the feasible ones only."""
        known: set[Architecture] = set()
        for row in rows.tolist():
            chosen = {d.name: d.options[i] for d, i in zip(self.space.decisions, row, strict=True) if i >= 0}
            architecture = self.space.canonical(chosen)
            if architecture not in known and (self.feasible is None or self.feasible(architecture)):
                known.add(architecture)
                yield architecture


@dataclass
class _Ranking:
    """Architectures from the best on, made as far as they were looked at."""

    rest: Iterator[Architecture]
    seen: list[Architecture] = field(default_factory=list)

    def __iter__(self) -> Iterator[Architecture]:
        yield from self.seen
        for architecture in self.rest:
            self.seen.append(architecture)
            yield architecture


def _checked(name: str, value: int) -> int:
    if value < 1:
        raise InvalidArgumentError(f"`{name}` must be at least 1. Received: {name}={value}")
    return value


class PNASOracle(NamedOracle):
    """`PNASStrategy` for Keras-Tuner; takes its arguments too.

    ```python
    oracle = PNASOracle("val_accuracy", max_trials=60, seed=0)
    tuner = keras_tuner.Tuner(oracle, build_model, directory="search", project_name="pnas")
    tuner.search(x, y, validation_split=0.2, epochs=3, verbose=0)
    ```
    """

    strategy_class = PNASStrategy
