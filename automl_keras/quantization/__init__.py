"""How many bits each layer gets: what runtimes execute, spaces of policies, their files, searches, fine-tuning."""

from automl_keras.quantization.bit_space import BitSpace, bit_space
from automl_keras.quantization.evaluators import FakeQuantEvaluator, FileEvaluator
from automl_keras.quantization.fake_quant import FakeQuantModel
from automl_keras.quantization.features import haq_features
from automl_keras.quantization.fine_tuning import fine_tune
from automl_keras.quantization.folding import fold_batch_norm
from automl_keras.quantization.ilp import LinearLimit, solve_policy
from automl_keras.quantization.layers import QuantizableLayer
from automl_keras.quantization.mixed_precision import MixedPrecision
from automl_keras.quantization.policy_files import PolicyFiles
from automl_keras.quantization.profiles import PROFILES, RuntimeProfile, get_profile
from automl_keras.quantization.search_bits import search_bits
from automl_keras.quantization.searches import SEARCHES, run_search
from automl_keras.quantization.sensitivity import sensitivities

__all__ = [
    "PROFILES",
    "SEARCHES",
    "BitSpace",
    "FakeQuantEvaluator",
    "FakeQuantModel",
    "FileEvaluator",
    "LinearLimit",
    "MixedPrecision",
    "PolicyFiles",
    "QuantizableLayer",
    "RuntimeProfile",
    "bit_space",
    "fine_tune",
    "fold_batch_norm",
    "get_profile",
    "haq_features",
    "run_search",
    "search_bits",
    "sensitivities",
    "solve_policy",
]
