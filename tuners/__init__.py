"""Which architecture to try next: strategies, and the Keras-Tuner oracles that serve them."""

from automl_keras.tuners.asha import ASHAOracle, ASHATuner
from automl_keras.tuners.bayesian import BayesianOracle, BayesianStrategy
from automl_keras.tuners.coevolution import CoEvolutionOracle, CoEvolutionStrategy
from automl_keras.tuners.ddpg import DDPGStrategy, HAQOracle
from automl_keras.tuners.derivation import DerivationStrategy
from automl_keras.tuners.durable_oracle import DurableOracle
from automl_keras.tuners.durable_tuner import DurableTuner
from automl_keras.tuners.evolution import EvolutionOracle, EvolutionStrategy
from automl_keras.tuners.greedy import GreedyOracle, GreedyStrategy
from automl_keras.tuners.mdenas import MDENASOracle, MDENASStrategy
from automl_keras.tuners.named_oracle import NamedOracle
from automl_keras.tuners.nsga2 import NSGA2Oracle, NSGA2Strategy
from automl_keras.tuners.oracle import StrategyOracle
from automl_keras.tuners.pnas import PNASOracle, PNASStrategy
from automl_keras.tuners.policies import ControllerPolicy, MultinomialPolicy, Policy
from automl_keras.tuners.predictor import PredictorOracle, PredictorStrategy
from automl_keras.tuners.project import Project, TrialRecord
from automl_keras.tuners.random_search import RandomSearchOracle, RandomStrategy
from automl_keras.tuners.ray_search import search_on_ray
from automl_keras.tuners.reinforce import ENASOracle, ReinforceStrategy
from automl_keras.tuners.round_runner import RoundRunner
from automl_keras.tuners.strategy import Strategy
from automl_keras.tuners.systems import CATALOGUE, DEFAULT_STRATEGY, STRATEGIES, SYSTEMS, Catalogued, System
from automl_keras.tuners.tuner import SupernetTuner
from automl_keras.tuners.wall import WallRandomStrategy, budget_wall

__all__ = [
    "CATALOGUE",
    "DEFAULT_STRATEGY",
    "STRATEGIES",
    "SYSTEMS",
    "ASHAOracle",
    "ASHATuner",
    "BayesianOracle",
    "BayesianStrategy",
    "Catalogued",
    "CoEvolutionOracle",
    "CoEvolutionStrategy",
    "ControllerPolicy",
    "DDPGStrategy",
    "DerivationStrategy",
    "DurableOracle",
    "DurableTuner",
    "ENASOracle",
    "EvolutionOracle",
    "EvolutionStrategy",
    "GreedyOracle",
    "GreedyStrategy",
    "HAQOracle",
    "MDENASOracle",
    "MDENASStrategy",
    "MultinomialPolicy",
    "NSGA2Oracle",
    "NSGA2Strategy",
    "NamedOracle",
    "PNASOracle",
    "PNASStrategy",
    "Policy",
    "PredictorOracle",
    "PredictorStrategy",
    "Project",
    "RandomSearchOracle",
    "RandomStrategy",
    "ReinforceStrategy",
    "RoundRunner",
    "Strategy",
    "StrategyOracle",
    "SupernetTuner",
    "System",
    "TrialRecord",
    "WallRandomStrategy",
    "budget_wall",
    "search_on_ray",
]
