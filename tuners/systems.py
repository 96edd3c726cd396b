"""One row for each way to search: which strategy, with which sampler, scored how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from automl_keras.tuners.evolution import EvolutionStrategy
from automl_keras.tuners.random_search import RandomStrategy
from automl_keras.tuners.strategy import Strategy


@dataclass(frozen=True)
class System:
    """A way to search.

    Attributes:
        strategy: The strategy that proposes architectures.
        sampler: Name of the sampler of `automl_keras.supernet` that trains the shared
            weights: "sandwich" or "uniform".
        description: One sentence for the documentation.
        reference: The papers.
    """

    strategy: type[Strategy]
    sampler: Literal["sandwich", "uniform"]
    description: str
    reference: str


SYSTEMS = {
    "evolution": System(
        strategy=EvolutionStrategy,
        sampler="sandwich",
        description="Trains one supernet, then mutates the best architectures and forgets the oldest.",
        reference="Real et al., AAAI 2019; sandwich rule: Yu and Huang, ICCV 2019",
    ),
    "random": System(
        strategy=RandomStrategy,
        sampler="sandwich",
        description="Trains one supernet, then draws architectures uniformly: the baseline to beat.",
        reference="Li and Talwalkar, UAI 2019; sandwich rule: Yu and Huang, ICCV 2019",
    ),
}
