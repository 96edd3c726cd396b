"""Which validation images the final network may learn from."""

from __future__ import annotations

from automl_keras.data import Dataset, split_indices

HELD_OUT_SHARE = 0.25
MIN_HELD_OUT = 200


def divide_validation(validation: Dataset, seed: int) -> tuple[Dataset | None, Dataset]:
    """Divide a default validation part once the search is over.

    The search needs many images to tell networks apart; to say how good the finished file is, fewer
    will do, and the others are worth more as training images.

    Args:
        validation: The images the search has validated on.
        seed: Decides the division.

    Returns:
        What the final network may learn from, `None` if there are too few to divide, and what no
        network learns from: a quarter, at least 200 images.
    """
    keep = max(MIN_HELD_OUT, round(HELD_OUT_SHARE * validation.num_examples))
    if keep >= validation.num_examples:
        return None, validation
    learn, unseen = split_indices(validation.images, validation.codes, keep / validation.num_examples, seed)
    return validation.take(learn), validation.take(unseen)
