"""Split a data set into a training and a validation part that tell the truth about each other."""

import numpy as np

from automl_keras.data.duplicates import near_duplicate_groups
from automl_keras.data.stored import Images
from automl_keras.errors import InvalidArgumentError, InvalidTypeError

DEFAULT_SPLIT = 0.2
MAX_DEFAULT_VALIDATION = 2_000
SPLIT_STREAM = 101  # keeps the generator apart from others made from the same seed


def split_indices(
    images: Images, codes: np.ndarray, validation_split: float | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split at random, by class, with near-identical images on one side.

    Each class keeps its share, as far as whole groups of near-identical images allow: the groups are dealt out in
    random order to the validation part while they fit, and a class left with less than half of its share there gets
    its smallest groups, up to half of the class. A class that still has none, since all its images are near-identical,
    is split all the same; a class with a single image is in the training part only.

    Args:
        images: `(n, height, width, channels)`.
        codes: `(n,)` class codes from 0.
        validation_split: Share of the validation part. `None`: 0.2, at most 2,000 images (more only if there are more
            classes than that).
        seed: The same seed gives the same split.

    Returns:
        `(training, validation)`: sorted indices, together 0 to n - 1.

    Raises:
        InvalidTypeError: If `validation_split` is neither a number nor `None`.
        InvalidArgumentError: If it is not between 0 and 1.
    """
    class_sizes = np.bincount(codes)
    quotas = _quotas(class_sizes, _validation_size(len(codes), validation_split))
    groups = near_duplicate_groups(images)
    members = np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1])
    rng = np.random.default_rng((seed, SPLIT_STREAM))
    chosen = np.zeros(len(codes), dtype=bool)
    taken = np.zeros_like(quotas)

    def take_if_within(limits: np.ndarray, group: np.ndarray) -> None:
        sizes = np.bincount(codes[group], minlength=len(limits))
        if ((taken + sizes <= limits) | (sizes == 0)).all():
            taken[:] += sizes
            chosen[group] = True

    for number in rng.permutation(len(members)):
        take_if_within(quotas, members[number])
    for code in np.flatnonzero(2 * taken < quotas):
        rest = [members[number] for number in np.unique(groups[(codes == code) & ~chosen])]
        for group in sorted(rest, key=len):
            if 2 * taken[code] < quotas[code]:
                take_if_within(class_sizes // 2, group)
    for code in np.flatnonzero((taken == 0) & (quotas > 0)):
        chosen[rng.permutation(np.flatnonzero(codes == code))[: quotas[code]]] = True
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def _validation_size(count: int, validation_split: float | None) -> int:
    if validation_split is None:
        return min(round(DEFAULT_SPLIT * count), MAX_DEFAULT_VALIDATION)
    if isinstance(validation_split, bool) or not isinstance(validation_split, int | float | np.integer | np.floating):
        raise InvalidTypeError(
            f"`validation_split` must be a number or None. Received: validation_split={validation_split!r}"
        )
    if not 0 < validation_split < 1:
        raise InvalidArgumentError(
            f"`validation_split` must be greater than 0 and less than 1. Received: validation_split={validation_split}"
        )
    return round(float(validation_split) * count)


def _quotas(class_sizes: np.ndarray, total: int) -> np.ndarray:
    """Validation images for each class: its share of `total` by largest remainders, at least 1, never all of them."""
    shares = class_sizes * total / class_sizes.sum()
    quotas = np.floor(shares).astype(np.int64)
    largest = np.argsort(quotas - shares, kind="stable")[: total - quotas.sum()]
    quotas[largest] += 1
    return np.minimum(np.maximum(quotas, 1), np.maximum(class_sizes - 1, 0))
