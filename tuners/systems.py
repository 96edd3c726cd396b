"""The tables of what there is: strategies with their oracles, and systems that search with shared weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from automl_keras.tuners.bayesian import BayesianOracle, BayesianStrategy
from automl_keras.tuners.coevolution import CoEvolutionOracle, CoEvolutionStrategy
from automl_keras.tuners.evolution import EvolutionOracle, EvolutionStrategy
from automl_keras.tuners.greedy import GreedyOracle, GreedyStrategy
from automl_keras.tuners.mdenas import MDENASOracle, MDENASStrategy
from automl_keras.tuners.named_oracle import NamedOracle
from automl_keras.tuners.nsga2 import NSGA2Oracle, NSGA2Strategy
from automl_keras.tuners.pnas import PNASOracle, PNASStrategy
from automl_keras.tuners.predictor import PredictorOracle, PredictorStrategy
from automl_keras.tuners.random_search import RandomSearchOracle, RandomStrategy
from automl_keras.tuners.reinforce import ENASOracle, ReinforceStrategy
from automl_keras.tuners.strategy import Strategy

# Named before the comparison with other libraries was run; see benchmarks/RESULTS.md.
DEFAULT_STRATEGY = "bayesian"


@dataclass(frozen=True)
class Catalogued:
    """What to know before choosing a strategy.

    Attributes:
        strategy: The strategy.
        oracle: The same for Keras-Tuner.
        idea: What it does, in a sentence.
        searches: Which spaces it is made for.
        evaluations: How many evaluations it wants.
        reference: The paper.
    """

    strategy: type[Strategy]
    oracle: type[NamedOracle]
    idea: str
    searches: str
    evaluations: str
    reference: str


CATALOGUE = {
    "random": Catalogued(
        RandomStrategy,
        RandomSearchOracle,
        "Draws every decision uniformly: the baseline to beat.",
        "any space",
        "any number",
        "Li and Talwalkar, UAI 2019",
    ),
    "greedy": Catalogued(
        GreedyStrategy,
        GreedyOracle,
        "Copies the best architecture and draws one group of its decisions anew.",
        "any space; groups by the names of decisions",
        "20 to 100",
        "Jin et al., JMLR 2023",
    ),
    "evolution": Catalogued(
        EvolutionStrategy,
        EvolutionOracle,
        "Mutates the best of a few and forgets the oldest.",
        "any space",
        "50 and more",
        "Real et al., AAAI 2019",
    ),
    "nsga2": Catalogued(
        NSGA2Strategy,
        NSGA2Oracle,
        "Evolves the whole front of accuracy against costs.",
        "any space with costs told",
        "100 and more",
        "Deb et al., 2002; Chu et al., ICCV 2021",
    ),
    "reinforce": Catalogued(
        ReinforceStrategy,
        ENASOracle,
        "Trains an LSTM controller that draws decision after decision.",
        "any space; attention for inputs and skips",
        "200 and more",
        "Zoph and Le, ICLR 2017; Pham et al., ICML 2018",
    ),
    "pnas": Catalogued(
        PNASStrategy,
        PNASOracle,
        "Grows architectures level by level under a learnt surrogate.",
        "any space; cells by their blocks",
        "50 and more",
        "Liu et al., ECCV 2018",
    ),
    "mdenas": Catalogued(
        MDENASStrategy,
        MDENASOracle,
        "Moves probability from options that train worse to those that train better.",
        "any space",
        "200 and more",
        "Zheng et al., ICCV 2019",
    ),
    "predictor": Catalogued(
        PredictorStrategy,
        PredictorOracle,
        "Evolves under an accuracy predictor that is refitted as results come in.",
        "any space",
        "30 and more",
        "Cai et al., ICLR 2020",
    ),
    "bayesian": Catalogued(
        BayesianStrategy,
        BayesianOracle,
        "Proposes where a Gaussian process expects the most.",
        "any space",
        "20 to 1,000",
        "Jin et al., KDD 2019",
    ),
    "coevolution": Catalogued(
        CoEvolutionStrategy,
        CoEvolutionOracle,
        "Evolves modules and the blueprints that combine them.",
        "spaces in groups of decisions, such as stages",
        "100 and more",
        "Miikkulainen et al., 2019",
    ),
}
STRATEGIES: dict[str, type[Strategy]] = {name: row.strategy for name, row in CATALOGUE.items()}


@dataclass(frozen=True)
class System:
    """A way to search with shared weights: one supernet is trained, then the strategy asks it.

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
    name: System(
        strategy=row.strategy,
        sampler="sandwich",
        description=f"Trains one supernet by the sandwich rule. {row.idea}",
        reference=f"{row.reference}; sandwich rule: Yu and Huang, ICCV 2019",
    )
    for name, row in CATALOGUE.items()
}
