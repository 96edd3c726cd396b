"""Whether images may be mirrored in training, asked of a network that has never seen a mirrored one."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np

from automl_keras.data import CLASSIFICATION, Dataset, Task
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


def validation_score(
    model: keras.Model, data: Dataset, *, mirrored: bool = False, task: Task = CLASSIFICATION
) -> float:
    """What the task maximises, such as the share of images named rightly, as they are or mirrored left to right.

    Args:
        model: Raw pixels to outputs of the task.
        data: In memory.
        mirrored: Whether to mirror them.
        task: What was learnt.
    """
    images = data.images[:, :, ::-1] if mirrored else data.images
    return task.score(predict(model, images), data.codes, data.sample_weight)


def may_mirror(
    plain: float,
    mirrored: float,
    codes: np.ndarray,
    task: Task = CLASSIFICATION,
    *,
    sample_weight: np.ndarray | None = None,
) -> bool:
    """Whether so much of what the network knows holds for mirrored images that their targets must be the same.

    Skill is the score above that of the best answer that is always the same, such as the largest class. To train with
    mirrored images and compare says less and takes seconds: they double what there is to learn, so that a short
    training looks worse for them.

    Args:
        plain: Score on images as they are.
        mirrored: Score on the same images, mirrored.
        codes: Their targets, such as (n,) class indices.
        task: What was learnt.
        sample_weight: How much each image counts in the scores.
    """
    chance = task.chance(codes, sample_weight)
    skill, kept = (found - chance for found in (plain, mirrored))
    return skill >= MIN_SKILL * (1.0 - chance) and kept >= KEPT_SKILL * skill
