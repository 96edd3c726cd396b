"""What the user asked a fit for, checked before anything is trained."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from automl_keras.arguments import check_choice, check_count, check_instance, check_seconds
from automl_keras.data import DatasetInfo, images_at_once
from automl_keras.errors import InvalidArgumentError
from automl_keras.estimators.transfer.backbone import Backbone, check_backbone
from automl_keras.evaluation import Budget, Quantization
from automl_keras.search_space import OPERATIONS, ImageSearchSpace, MacroSearchSpace
from automl_keras.training import (
    BATCH_SIZE,
    OWN_AUGMENTATION,
    Augmentation,
    augmentation_identity,
    check_augmentation,
    check_callbacks,
)
from automl_keras.tuners import SYSTEMS, System

BATCH_SIZES, STEPS_OF_FEW = (BATCH_SIZE, 64, 32), 8
DEFAULT_TIME_LIMIT = 600.0
DEFAULT_SYSTEM = "evolution"
DEFAULT_MACRO_SYSTEM = "enas"
QUANTIZATIONS: dict[str | None, Quantization] = {
    "int8": "int8",
    "mixed": "mixed",
    "joint": "joint",
    "float16": "float16",
    None: "float32",
}
# Of files that are made in one type throughout: bits are searched for the network of a fit alone.
UNIFORM: dict[Quantization, Quantization] = {
    "int8": "int8",
    "mixed": "int8",
    "joint": "int8",
    "float16": "float16",
    "float32": "float32",
}
SHORT_TIME_LIMIT = 20.0  # below, the fixed costs of a fit may be more than the limit


@dataclass(frozen=True)
class FitSettings:
    """What the user asked for, checked.

    Attributes:
        budget: The limits of the device.
        deadline: Value of `time.monotonic()` at which `fit` must be done, or `None`.
        time_limit: The same as seconds from the start.
        max_trials: Evaluated architectures at most, or `None`.
        epochs: Epochs of each training, or `None`.
        batch_size: Images in a step.
        system: How to search with shared weights.
        macro: The macro space to search, if the user gave one.
        objective: The metric to improve.
        quantization: How the file is quantised.
        refit: Whether the finished network learns from the validation images too.
        use_ray: Whether networks are evaluated on Ray.
        seed: Where all randomness comes from.
        callbacks: Called in the training of the final network.
        augmentation: The user's own, `None` for none, or "auto".
        backbone: What networks are built on, if the user gave one.
        balance_classes: Whether all classes are to count the same.
    """

    budget: Budget
    deadline: float | None
    time_limit: float | None
    max_trials: int | None
    epochs: int | None
    batch_size: int
    system: System
    macro: MacroSearchSpace | None
    objective: str
    quantization: Quantization
    refit: bool
    use_ray: bool
    seed: int
    callbacks: tuple[keras.callbacks.Callback, ...] = ()
    augmentation: Augmentation = "auto"
    backbone: Backbone | None = None
    balance_classes: bool = False

    def identity(self) -> dict[str, Any]:
        """What must be the same for a project to be that of these settings, as JSON."""
        return {
            "budget": self.budget.to_dict(),
            "max_trials": self.max_trials,
            "time_limit": self.time_limit,
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "quantization": self.quantization,
            "refit": self.refit,
            "kind_of_space": self.system.space,
            "augmentation": None if self.has_auto_augmentation else augmentation_identity(self.augmentation) or "none",
            "backbone": None if self.backbone is None else self.backbone.identity(),
            "class_weight": "auto" if self.balance_classes else None,
        }

    @property
    def has_auto_augmentation(self) -> bool:
        """Whether images are augmented as the recipe says."""
        return isinstance(self.augmentation, str)

    def trained_by(self, recipe: Mapping[str, Any]) -> Mapping[str, Any]:
        """A recipe with the augmentation that the user gave in place of its own."""
        return recipe if self.has_auto_augmentation else {**recipe, OWN_AUGMENTATION: self.augmentation}

    def steps(self, epochs: float | None, num_examples: int) -> int | None:
        """Optimizer steps of so many epochs, at least 1; `None` if there is no number of epochs."""
        if epochs is None:
            return None
        return max(1, round(epochs * max(1, num_examples // min(self.batch_size, num_examples))))


def fit_settings(
    parameters: Mapping[str, Any],
    start: float,
    *,
    epochs: int | None,
    batch_size: int | None,
    callbacks: Sequence[keras.callbacks.Callback] | None = None,
    journal: Mapping[str, Any],
    objective: str = "val_accuracy",
    balance_classes: bool = False,
) -> FitSettings:
    """Check the arguments of an estimator's constructor and of its `fit`.

    Args:
        parameters: The constructor's arguments.
        start: Value of `time.monotonic()` when `fit` began.
        epochs: As given to `fit`.
        batch_size: As given to `fit`.
        callbacks: As given to `fit`.
        journal: Facts about an unfinished fit that this one goes on with: its seed, and the seconds it took.
        objective: What the estimator maximises.
        balance_classes: Whether `fit` was given `class_weight="auto"`.

    Raises:
        InvalidTypeError: If an argument is of a wrong type.
        InvalidArgumentError: If an argument is out of range.
    """
    max_trials = check_count("max_trials", parameters["max_trials"])
    time_limit = check_seconds("time_limit", parameters["time_limit"])
    if max_trials is None and time_limit is None:
        time_limit = DEFAULT_TIME_LIMIT
    system, macro = _system(parameters["tuner"], parameters["search_space"])
    quantization = QUANTIZATIONS[check_choice("quantization", parameters["quantization"], set(QUANTIZATIONS))]
    refit = check_instance("refit", parameters["refit"], bool)
    if refit and quantization in ("mixed", "joint"):
        raise InvalidArgumentError(
            f"`refit` must not be True where bits are searched: they are fitted to the finished weights. "
            f"Received: refit=True, quantization={quantization!r}"
        )
    if quantization == "joint" and (system.space != "image" or system.kernel_transform or macro is not None):
        raise InvalidArgumentError(
            "`quantization` can be 'joint' where the image space is searched by slices of plain kernels. "
            f"Received: quantization='joint', tuner={parameters['tuner']!r}"
        )
    budget = parameters["budget"]
    budget = Budget() if budget is None else check_instance("budget", budget, Budget)
    if quantization == "joint" and budget.max_latency_ms is not None:
        raise InvalidArgumentError(
            "`max_latency_ms` cannot be kept where bits are part of the search: how long an operation takes with few "
            f"bits is not predicted. Received: quantization='joint', max_latency_ms={budget.max_latency_ms:g}"
        )
    if quantization == "mixed" and budget.max_latency_ms is not None:
        quantization = "int8"  # 3x3 convolutions are twice as slow with 4 bits
    backbone = check_backbone(parameters, system)
    if balance_classes and (refit or backbone is not None):
        raise InvalidArgumentError(
            "`class_weight` must not be 'auto' with `refit` or a `backbone`. "
            f"Received: class_weight='auto', refit={refit}, backbone={parameters.get('backbone')!r}"
        )
    distribute = check_choice("distribute", parameters["distribute"], {None, "ray"})
    seed = check_count("seed", parameters["seed"], smallest=0)
    return FitSettings(
        budget=budget,
        deadline=None if time_limit is None else start + time_limit - journal.get("seconds", 0.0),
        time_limit=time_limit,
        max_trials=max_trials,
        epochs=check_count("epochs", epochs),
        batch_size=check_count("batch_size", batch_size) or BATCH_SIZE,
        system=system,
        macro=macro,
        objective=check_choice("objective", parameters["objective"], {objective}),
        quantization=quantization,
        refit=refit,
        use_ray=distribute == "ray" or "RAY_ADDRESS" in os.environ,
        seed=journal.get("seed", int(np.random.SeedSequence().generate_state(1)[0])) if seed is None else seed,
        callbacks=check_callbacks(callbacks),
        augmentation=check_augmentation(parameters.get("augmentation", "auto")),
        backbone=backbone,
        balance_classes=balance_classes,
    )


def _system(tuner: Any, space: Any) -> tuple[System, MacroSearchSpace | None]:
    """The system of a name, for the user's kind of space; and that space, if it is a macro space."""
    name = check_choice("tuner", tuner, {"auto", *SYSTEMS})
    if isinstance(space, MacroSearchSpace):
        system = SYSTEMS[DEFAULT_MACRO_SYSTEM if name == "auto" else name]
        if system.training not in ("uniform", "fair", "policy"):
            fitting = sorted(key for key, row in SYSTEMS.items() if row.training in ("uniform", "fair", "policy"))
            raise InvalidArgumentError(
                f"`tuner` must be one of {['auto', *fitting]} for a `MacroSearchSpace`, in which networks have no "
                f"sizes. Received: tuner={tuner!r}"
            )
        return replace(system, space="macro"), space
    system = SYSTEMS[DEFAULT_SYSTEM if name == "auto" else name]
    if isinstance(space, ImageSearchSpace) and system.space == "macro":
        system = replace(system, space="image", operations=OPERATIONS)
    return system, None


def usual_batch_size(info: DatasetInfo) -> int:
    """Images in a step where the user has not said: 128, or 64 or 32 of few images, and fewer of large ones.

    An epoch of few images has eight steps so: on 300 images, 32 in a step measured two points better than 128.
    """
    size = next((size for size in BATCH_SIZES if size * STEPS_OF_FEW <= info.num_train), min(BATCH_SIZES))
    return min(size, images_at_once(max(BATCH_SIZES), info.image_shape))


def warn_if_late(settings: FitSettings) -> None:
    """Warn that `fit` has taken longer than it may: 5 % and 5 s more than its time limit, no more below 20 s."""
    if settings.deadline is None or settings.time_limit is None:
        return
    late = time.monotonic() - settings.deadline
    if late > (0.0 if settings.time_limit < SHORT_TIME_LIMIT else 0.05 * settings.time_limit + 5.0):
        warnings.warn(
            f"`fit` took {late:.1f} s longer than `time_limit` allows. Received: time_limit={settings.time_limit:g}",
            stacklevel=4,  # the line that called `fit`
        )
