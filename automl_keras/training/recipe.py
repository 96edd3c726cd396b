"""The training recipe: an architecture over a small space of training choices, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from automl_keras.search_space import Architecture, Decision, SearchSpace
from automl_keras.training.augmentation import Augmenter
from automl_keras.training.optimizers import GatedAdamW, Muon

if TYPE_CHECKING:
    import keras
    import numpy as np

    from automl_keras.training.optimizers import Gate

PEAK_LEARNING_RATE = {"muon": 0.05, "adamw": 4e-3}
SMALL_SIDE = 16


def recipe_space() -> SearchSpace:
    """What can be chosen about training.

    - `optimizer`: "muon" or "adamw", at the peak learning rate that fits each.
    - `learning_rate_scale`: factor on that rate.
    - `weight_decay`: for each unit of learning rate.
    - `flip`: mirror images left to right, every other epoch.
    - `cutout`: side of the erased square, as a share of the image's side; 0 for none.
    - `distillation`: learn from a larger network too, where one has been trained.
    """
    return SearchSpace(
        [
            Decision("optimizer", ("muon", "adamw")),
            Decision("learning_rate_scale", (0.6, 1.0), default=1.0),
            Decision("weight_decay", (0.02, 0.1)),
            Decision("flip", (False, True)),
            Decision("cutout", (0.0, 0.18)),
            Decision("distillation", (False, True)),
        ]
    )


def make_optimizer(recipe: Mapping[str, Any], gate: Gate | None = None) -> keras.optimizers.Optimizer:
    """A fresh optimizer for a recipe; `gate` as in `GatedAdamW`."""
    kind = Muon if recipe["optimizer"] == "muon" else GatedAdamW
    return kind(learning_rate=peak_learning_rate(recipe), weight_decay=recipe["weight_decay"], gate=gate)


def peak_learning_rate(recipe: Mapping[str, Any]) -> float:
    """The highest learning rate of the one-cycle schedule."""
    return PEAK_LEARNING_RATE[str(recipe["optimizer"])] * float(recipe["learning_rate_scale"])


def make_augmenter(recipe: Mapping[str, Any], images: np.ndarray, seed: int) -> Augmenter:
    """The augmentation of a recipe. Crops shift by up to 2 pixels, by 1 on images up to 16 pixels a side."""
    side = min(images.shape[1:3])
    return Augmenter(
        images,
        crop=1 if side <= SMALL_SIDE else 2,
        flip=bool(recipe["flip"]),
        cutout=round(float(recipe["cutout"]) * side),
        seed=seed,
    )


def with_choice(recipe: Architecture, **choices: Any) -> Architecture:
    """The recipe with some choices changed."""
    return recipe_space().canonical({**recipe, **choices})
