"""How good, how big, how fast: metrics and costs of networks."""

from automl_keras.evaluation.cost import Budget, Cost
from automl_keras.evaluation.evaluation import Evaluation
from automl_keras.evaluation.evaluator import Evaluator, OneShotEvaluator
from automl_keras.evaluation.network_cost import CostPredictor, network_cost

__all__ = ["Budget", "Cost", "CostPredictor", "Evaluation", "Evaluator", "OneShotEvaluator", "network_cost"]
