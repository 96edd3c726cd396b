"""Training on a CPU, fast: the recipe, the optimizers, the schedule and the loop."""

from automl_keras.training.augmentation import Augmenter
from automl_keras.training.inference import predict
from automl_keras.training.loop import (
    BATCH_SIZE,
    TrainingLog,
    TrainingLoop,
    batch_at,
    cross_entropy,
    distillation_loss,
    step_signature,
    train_network,
)
from automl_keras.training.optimizers import GatedAdamW, Muon
from automl_keras.training.recipe import make_augmenter, make_optimizer, peak_learning_rate, recipe_space
from automl_keras.training.schedule import Limit, one_cycle
from automl_keras.training.work import training_work

__all__ = [
    "BATCH_SIZE",
    "Augmenter",
    "GatedAdamW",
    "Limit",
    "Muon",
    "TrainingLog",
    "TrainingLoop",
    "batch_at",
    "cross_entropy",
    "distillation_loss",
    "make_augmenter",
    "make_optimizer",
    "one_cycle",
    "peak_learning_rate",
    "predict",
    "recipe_space",
    "step_signature",
    "train_network",
    "training_work",
]
