"""How good, how big, how fast: metrics and costs of networks."""

from automl_keras.evaluation.cost import Budget, Cost
from automl_keras.evaluation.evaluation import Evaluation
from automl_keras.evaluation.evaluator import Evaluator, OneShotEvaluator
from automl_keras.evaluation.file_types import Quantization
from automl_keras.evaluation.latency_operations import export_untrained, network_operations
from automl_keras.evaluation.latency_profile import ProfiledFile
from automl_keras.evaluation.latency_table import LatencyTable
from automl_keras.evaluation.network_cost import CostPredictor, network_cost

__all__ = [
    "Budget",
    "Cost",
    "CostPredictor",
    "Evaluation",
    "Evaluator",
    "LatencyTable",
    "OneShotEvaluator",
    "ProfiledFile",
    "Quantization",
    "export_untrained",
    "network_cost",
    "network_operations",
]
