"""Tests to inherit and toys to test with, for authors of strategies. Needs pytest."""

from automl_keras.testing.strategy_checks import StrategyTestCase, run_search
from automl_keras.testing.toy import conditional_space, flat_space, toy_evaluation, toy_score

__all__ = ["StrategyTestCase", "conditional_space", "flat_space", "run_search", "toy_evaluation", "toy_score"]
