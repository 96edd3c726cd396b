"""Which architecture to try next: strategies, and the Keras-Tuner oracles that serve them."""

from automl_keras.tuners.evolution import EvolutionOracle, EvolutionStrategy
from automl_keras.tuners.oracle import StrategyOracle
from automl_keras.tuners.random_search import RandomSearchOracle, RandomStrategy
from automl_keras.tuners.strategy import Strategy
from automl_keras.tuners.systems import SYSTEMS, System
from automl_keras.tuners.tuner import SupernetTuner

__all__ = [
    "SYSTEMS",
    "EvolutionOracle",
    "EvolutionStrategy",
    "RandomSearchOracle",
    "RandomStrategy",
    "Strategy",
    "StrategyOracle",
    "SupernetTuner",
    "System",
]
