"""Which validation images the final network may learn from, and when."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from automl_keras.data import CLASSIFICATION, Dataset, PreparedData, Task, split_indices

HELD_OUT_SHARE = 0.25
MIN_HELD_OUT = 200
ENOUGH = 0.9


def divide_validation(validation: Dataset, seed: int, task: Task = CLASSIFICATION) -> tuple[Dataset | None, Dataset]:
    """Divide a default validation part once the search is over.

    The search needs many images to tell networks apart; to say how good the finished file is, fewer
    will do, and the others are worth more as training images.

    Args:
        validation: The images the search has validated on.
        seed: Decides the division.
        task: Says what either part must have a share of.

    Returns:
        What the final network may learn from, `None` if there are too few to divide, and what no
        network learns from: a quarter, at least 200 images.
    """
    keep = max(MIN_HELD_OUT, round(HELD_OUT_SHARE * validation.num_examples))
    if keep >= validation.num_examples:
        return None, validation
    strata = task.strata(validation.codes)
    learn, unseen = split_indices(validation.images, strata, keep / validation.num_examples, seed)
    if len(unseen) < ENOUGH * keep:  # classes of one image cannot be divided
        return None, validation
    return validation.take(learn), validation.take(unseen)


def all_images(data: PreparedData) -> Dataset:
    """Training and validation images together, with weights of losses; images without a weight count 1."""
    parts = [data.train, data.validation]
    if any(part.sample_weight is not None for part in parts):
        parts = [
            replace(part, sample_weight=np.ones(part.num_examples, np.float32)) if part.sample_weight is None else part
            for part in parts
        ]
    train, validation = parts
    return data.weighted(train.joined(validation))
