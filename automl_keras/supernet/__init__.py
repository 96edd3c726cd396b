"""One network that shares the weights of all architectures: training it, scoring and cutting out subnets."""

from automl_keras.supernet.calibration import CALIBRATION_IMAGES, SubnetScorer
from automl_keras.supernet.image_supernet import ImageSupernet
from automl_keras.supernet.macro_supernet import MacroSupernet
from automl_keras.supernet.making import make_supernet
from automl_keras.supernet.minibatches import MinibatchScorer
from automl_keras.supernet.rounds import Round
from automl_keras.supernet.samplers import (
    SAMPLERS,
    FairSampler,
    LargestSampler,
    Sampler,
    SandwichSampler,
    UniformSampler,
    make_sampler,
)
from automl_keras.supernet.shrinking import shrinking_rounds
from automl_keras.supernet.supernet import Supernet
from automl_keras.supernet.trainer import SupernetTrainer

__all__ = [
    "CALIBRATION_IMAGES",
    "SAMPLERS",
    "FairSampler",
    "ImageSupernet",
    "LargestSampler",
    "MacroSupernet",
    "MinibatchScorer",
    "Round",
    "Sampler",
    "SandwichSampler",
    "SubnetScorer",
    "Supernet",
    "SupernetTrainer",
    "UniformSampler",
    "make_sampler",
    "make_supernet",
    "shrinking_rounds",
]
