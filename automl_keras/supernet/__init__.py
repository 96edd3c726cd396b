"""One network that shares the weights of all architectures: training it, scoring and cutting out subnets."""

from automl_keras.supernet.calibration import SubnetScorer
from automl_keras.supernet.image_supernet import ImageSupernet
from automl_keras.supernet.making import make_supernet
from automl_keras.supernet.samplers import (
    SAMPLERS,
    LargestSampler,
    Sampler,
    SandwichSampler,
    UniformSampler,
    make_sampler,
)
from automl_keras.supernet.supernet import Supernet
from automl_keras.supernet.trainer import Round, SupernetTrainer

__all__ = [
    "SAMPLERS",
    "ImageSupernet",
    "LargestSampler",
    "Round",
    "Sampler",
    "SandwichSampler",
    "SubnetScorer",
    "Supernet",
    "SupernetTrainer",
    "UniformSampler",
    "make_sampler",
    "make_supernet",
]
