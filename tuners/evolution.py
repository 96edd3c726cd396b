"""Regularized evolution: mutate a good one, forget the oldest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from automl_keras.errors import InvalidArgumentError
from automl_keras.evaluation import Evaluation
from automl_keras.search_space import Architecture, Option, SearchSpace
from automl_keras.tuners.named_oracle import NamedOracle
from automl_keras.tuners.strategy import Objective, Strategy


class EvolutionStrategy(Strategy):
    """Regularized (aging) evolution (Real et al., AAAI 2019, algorithm 1).

    The population are the latest `population_size` successful evaluations: each new one
    removes the oldest, not the worst. After as many random architectures, each proposal is
    the best of `sample_size` random members, drawn with replacement, with one decision changed.

    The paper trained 20,000 networks with a population of 100 and samples of 25. The defaults
    here are for 50 to 300 evaluations.

    Other differences from the paper: an architecture is never evaluated twice, so there is no identity
    mutation; pending architectures count as part of the first, random population, so that any
    number of workers can ask at once.

    Args:
        space: See `Strategy`.
        objective: See `Strategy`.
        feasible: See `Strategy`. Infeasible mutants are drawn again, with a new parent.
        seed: See `Strategy`.
        initial: See `Strategy`. They are part of the first population.
        population_size: Number of members that can become parents.
        sample_size: Number of members from which the best becomes the parent; the higher,
            the greedier.

    Raises:
        InvalidArgumentError: If not `1 <= sample_size <= population_size`; also as `Strategy`.
    """

    def __init__(
        self,
        space: SearchSpace,
        objective: str | Objective = "val_accuracy",
        *,
        feasible: Callable[[Architecture], bool] | None = None,
        seed: int | None = None,
        initial: Sequence[Mapping[str, Option]] = (),
        population_size: int = 20,
        sample_size: int = 8,
    ) -> None:
        super().__init__(space, objective, feasible=feasible, seed=seed, initial=initial)
        if not 1 <= sample_size <= population_size:
            raise InvalidArgumentError(
                "`sample_size` must be at least 1 and at most `population_size`. "
                f"Received: sample_size={sample_size}, population_size={population_size}"
            )
        self.population_size = population_size
        self.sample_size = sample_size

    @property
    def population(self) -> tuple[Evaluation, ...]:
        """The possible parents, the oldest first."""
        return self.evaluations[-self.population_size :]

    def propose(self, rng: np.random.Generator) -> Architecture:
        """A sample of the space while the first population is incomplete, then a mutant."""
        population = self.population
        if not population or len(population) + len(self.pending) < self.population_size:
            return self.space.sample(rng)
        sample = [population[index] for index in rng.integers(len(population), size=self.sample_size)]
        parent = max(sample, key=self.score)
        return self.space.mutate(parent.architecture, rng)


class EvolutionOracle(NamedOracle):
    """`EvolutionStrategy` for Keras-Tuner; takes its arguments too.

    ```python
    oracle = EvolutionOracle("val_accuracy", max_trials=50, seed=0, population_size=10, sample_size=4)
    tuner = keras_tuner.Tuner(oracle, build_model, directory="search", project_name="evolution")
    tuner.search(x, y, validation_split=0.2, epochs=3, verbose=0)
    ```
    """

    strategy_class = EvolutionStrategy
