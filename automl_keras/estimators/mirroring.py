"""Whether images may be mirrored in training, asked of a network that has never seen a mirrored one."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np

from automl_keras.data import Dataset
from automl_keras.training import predict

# Measured on seven data sets after 60 to 400 steps: garments and photographs keep 0.75 to 1.0, digits and letters
# 0.35 to 0.5.
KEPT_SKILL = 0.62
MIN_SKILL = 0.2  # a network that has learnt less says nothing
MAX_IMAGES = 2000


def small_sample(validation: Dataset) -> Dataset:
    """At most 2,000 of the images, spread evenly, in memory."""
    count = min(validation.num_examples, MAX_IMAGES)
    sample = validation.take(np.linspace(0, validation.num_examples - 1, count).astype(int))
    return replace(sample, images=np.asarray(sample.images[:]))


def accuracy(model: keras.Model, data: Dataset, *, mirrored: bool = False) -> float:
    """Weighted share of the images that a network names rightly, as they are or mirrored left to right.

    Args:
        model: Raw pixels to logits.
        data: In memory.
        mirrored: Whether to mirror them.
    """
    images = data.images[:, :, ::-1] if mirrored else data.images
    right = predict(model, images).argmax(axis=1) == data.codes
    return float(np.average(right, weights=data.sample_weight))


def may_mirror(plain: float, mirrored: float, codes: np.ndarray) -> bool:
    """Whether so much of what the network knows holds for mirrored images that their classes must be the same.

    Skill is accuracy above that of always naming the largest class. To train with mirrored images and compare says less
    and takes seconds: they double what there is to learn, so that a short training looks worse for them.

    Args:
        plain: Accuracy on images as they are.
        mirrored: Accuracy on the same images, mirrored.
        codes: (n,) their class indices.
    """
    chance = float(np.bincount(codes).max() / len(codes))
    skill, kept = (accuracy - chance for accuracy in (plain, mirrored))
    return skill >= MIN_SKILL * (1.0 - chance) and kept >= KEPT_SKILL * skill
