"""The tables of what there is: strategies with their oracles, and systems that search with shared weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from automl_keras.errors import InvalidTypeError
from automl_keras.search_space import OPERATIONS, ImageSearchSpace, NetworkSpace
from automl_keras.supernet import Round, shrinking_rounds
from automl_keras.tuners.bayesian import BayesianOracle, BayesianStrategy
from automl_keras.tuners.coevolution import CoEvolutionOracle, CoEvolutionStrategy
from automl_keras.tuners.derivation import DerivationStrategy
from automl_keras.tuners.evolution import EvolutionOracle, EvolutionStrategy
from automl_keras.tuners.greedy import GreedyOracle, GreedyStrategy
from automl_keras.tuners.mdenas import MDENASOracle, MDENASStrategy
from automl_keras.tuners.named_oracle import NamedOracle
from automl_keras.tuners.nsga2 import NSGA2Oracle, NSGA2Strategy
from automl_keras.tuners.pnas import PNASOracle, PNASStrategy
from automl_keras.tuners.policies import ControllerPolicy, MultinomialPolicy, Policy
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
        training: How the shared weights are trained. "sandwich", "uniform", "fair": the largest networks first, then
            the sampler of that name, or the sampler alone; "shrinking": progressive shrinking; "policy": on what the
            policy draws.
        description: One sentence for the documentation.
        reference: The papers.
        policy: What draws the paths and learns meanwhile.
        warm_up: Share of the training in which paths are uniform, before the policy draws them.
        space: "image", the neighbourhood of the default network, or "macro".
        operations: Those that the supernet of an image space holds; `None` for as many as the time allows.
        elastic: What the supernet varies besides depth and width.
        kernel_transform: Whether small kernels are learnt from large ones, and not just their centres.
    """

    strategy: type[Strategy]
    training: Literal["sandwich", "uniform", "fair", "shrinking", "policy"]
    description: str
    reference: str
    policy: type[Policy] | None = None
    warm_up: float = 0.0
    space: Literal["image", "macro"] = "image"
    operations: tuple[str, ...] | None = None
    elastic: tuple[str, ...] = ()
    kernel_transform: bool = False

    @property
    def supernet_settings(self) -> dict[str, Any]:
        """Arguments of `make_supernet`."""
        return {"kernel_transform": True} if self.kernel_transform else {}

    def rounds(
        self, space: NetworkSpace, *, epochs: float | None, seconds: float | None, largest: float
    ) -> tuple[Round, ...]:
        """The rounds of training.

        Args:
            space: Of the supernet.
            epochs: Passes over the data in all rounds, or `None`.
            seconds: Time of all rounds, or `None`.
            largest: Under the sandwich rule, the share of the largest networks alone, which come first.

        Raises:
            InvalidTypeError: If the space is none that can be shrunk, and the system shrinks it.
        """
        if self.training == "shrinking":
            if not isinstance(space, ImageSearchSpace):
                raise InvalidTypeError(f"Progressive shrinking needs an `ImageSearchSpace`. Received: space={space!r}")
            return shrinking_rounds(space, epochs=epochs, seconds=seconds)
        parts: list[tuple[str, float, float]] = [(self.training, 1.0, 1.0)]
        if self.training == "sandwich":
            parts = [("largest", largest, 1.0), ("sandwich", 1.0 - largest, 0.4)]
        elif self.warm_up:
            parts = [("uniform", self.warm_up, 1.0), (self.training, 1.0 - self.warm_up, 1.0)]
        return tuple(
            Round(
                sampler,
                epochs=None if epochs is None else share * epochs,
                seconds=None if seconds is None else share * seconds,
                learning_rate_scale=scale,
            )
            for sampler, share, scale in parts
        )


SYSTEMS = {
    name: System(
        strategy=row.strategy,
        training="sandwich",
        description=f"Trains one supernet by the sandwich rule. {row.idea}",
        reference=f"{row.reference}; sandwich rule: Yu and Huang, ICCV 2019",
    )
    for name, row in CATALOGUE.items()
} | {
    "random_ws": System(
        strategy=RandomStrategy,
        training="uniform",
        description="Trains a uniformly drawn path in each step, then evaluates random architectures: the baseline.",
        reference="Li and Talwalkar, UAI 2019",
        operations=OPERATIONS,
    ),
    "enas": System(
        strategy=DerivationStrategy,
        training="policy",
        description="An LSTM controller draws the paths, and learns between epochs to draw better ones.",
        reference="Pham et al., ICML 2018",
        policy=ControllerPolicy,
        space="macro",
    ),
    "fairnas": System(
        strategy=NSGA2Strategy,
        training="fair",
        description="Trains every operation once in each step, then evolves the front of accuracy and size.",
        reference="Chu et al., ICCV 2021",
        operations=OPERATIONS,
    ),
    "mdenas": System(
        strategy=DerivationStrategy,
        training="policy",
        description="Trains what a multinomial distribution draws, and moves probability to what trains better.",
        reference="Zheng et al., ICCV 2019",
        policy=MultinomialPolicy,
        warm_up=0.3,
        operations=OPERATIONS,
    ),
    "once_for_all": System(
        strategy=PredictorStrategy,
        training="shrinking",
        description="Shrinks the full network step by step, then evolves under an accuracy predictor.",
        reference="Cai et al., ICLR 2020",
        operations=("fused_mbconv",),
        elastic=("kernel", "expansion"),
        kernel_transform=True,
    ),
}
