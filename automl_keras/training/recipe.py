"""The training recipe: an architecture over a small space of training choices, and what it means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from automl_keras.data import Images
from automl_keras.search_space import Decision, SearchSpace
from automl_keras.training.augmentation import Augmenter
from automl_keras.training.optimizers import GatedAdamW, Muon
from automl_keras.training.own_augmentation import OwnAugmenter

if TYPE_CHECKING:
    import keras

    from automl_keras.training.optimizers import Gate

PEAK_LEARNING_RATE = {"muon": 0.05, "adamw": 4e-3}
WEIGHT_DECAY = 0.02
OWN_AUGMENTATION = "own_augmentation"
SMALL_SIDE = 16
BORDER_SAMPLE = 1000


def recipe_space() -> SearchSpace:
    """What can be chosen about training.

    - `optimizer`: "muon" or "adamw", at the peak learning rate that fits each.
    - `learning_rate_scale`: factor on that rate.
    - `flip`: mirror images left to right, every other epoch.
    - `cutout`: side of the erased square, as a share of the image's side; 0 for none.
    - `distillation`: learn from a larger network too, where one has been trained.
    """
    return SearchSpace(
        [
            Decision("optimizer", ("muon", "adamw")),
            Decision("learning_rate_scale", (0.6, 1.0), default=1.0),
            Decision("flip", (False, True)),
            Decision("cutout", (0.0, 0.18, 0.3)),
            Decision("distillation", (False, True)),
        ]
    )


def make_optimizer(recipe: Mapping[str, Any], gate: Gate | None = None) -> keras.optimizers.Optimizer:
    """A fresh optimizer for a recipe; `gate` as in `GatedAdamW`."""
    kind = Muon if recipe["optimizer"] == "muon" else GatedAdamW
    return kind(learning_rate=peak_learning_rate(recipe), weight_decay=WEIGHT_DECAY, gate=gate)


def peak_learning_rate(recipe: Mapping[str, Any]) -> float:
    """The highest learning rate of the one-cycle schedule."""
    return PEAK_LEARNING_RATE[str(recipe["optimizer"])] * float(recipe["learning_rate_scale"])


def make_augmenter(recipe: Mapping[str, Any], images: Images, seed: int) -> Augmenter | OwnAugmenter:
    """The augmentation of a recipe. Crops shift by up to 2 pixels, by 1 on images up to 16 pixels a side.

    A recipe with the further key `OWN_AUGMENTATION` has what is to be done in place of all that.
    """
    if OWN_AUGMENTATION in recipe:
        return OwnAugmenter(images, recipe[OWN_AUGMENTATION], seed=seed)
    side = min(images.shape[1:3])
    return Augmenter(
        images,
        crop=min(1 if side <= SMALL_SIDE else 2, side - 1),
        flip=bool(recipe["flip"]),
        cutout=round(float(recipe["cutout"]) * side),
        seed=seed,
        fill=_border(images),
    )


def _border(images: Images) -> float:
    """What lies beyond the image, as far as its edges tell: the median pixel of a sample's borders."""
    sample = images[:: max(1, len(images) // BORDER_SAMPLE)]
    edges = [sample[:, 0], sample[:, -1], sample[:, :, 0], sample[:, :, -1]]
    return float(np.median(np.concatenate([edge.ravel() for edge in edges])))
