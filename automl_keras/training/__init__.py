"""Training on a CPU, fast: the recipe, the optimizers, the schedule and the loop."""

from automl_keras.training.augmentation import Augmenter
from automl_keras.training.callbacks import EpochCallbacks, check_callbacks
from automl_keras.training.curve import CurvePoint, CurveRecorder, TrainingCurve, read_curves, write_curves
from automl_keras.training.inference import Predictor, predict
from automl_keras.training.loop import (
    BATCH_SIZE,
    TrainingLog,
    TrainingLoop,
    batch_at,
    distillation_loss,
    step_signature,
    train_network,
    weighted_loss,
)
from automl_keras.training.optimizers import GatedAdamW, Muon
from automl_keras.training.own_augmentation import (
    Augmentation,
    OwnAugmenter,
    augmentation_identity,
    check_augmentation,
    layer_identity,
    try_augmentation,
)
from automl_keras.training.recipe import (
    OWN_AUGMENTATION,
    make_augmenter,
    make_optimizer,
    peak_learning_rate,
    recipe_space,
)
from automl_keras.training.schedule import Limit, one_cycle
from automl_keras.training.work import training_work

__all__ = [
    "BATCH_SIZE",
    "OWN_AUGMENTATION",
    "Augmentation",
    "Augmenter",
    "CurvePoint",
    "CurveRecorder",
    "EpochCallbacks",
    "GatedAdamW",
    "Limit",
    "Muon",
    "OwnAugmenter",
    "Predictor",
    "TrainingCurve",
    "TrainingLog",
    "TrainingLoop",
    "augmentation_identity",
    "batch_at",
    "check_augmentation",
    "check_callbacks",
    "distillation_loss",
    "layer_identity",
    "make_augmenter",
    "make_optimizer",
    "one_cycle",
    "peak_learning_rate",
    "predict",
    "read_curves",
    "recipe_space",
    "step_signature",
    "train_network",
    "training_work",
    "try_augmentation",
    "weighted_loss",
    "write_curves",
]
