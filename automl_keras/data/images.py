"""Check image arrays, store them compactly and take their pixel statistics.

All passes over pixels go block by block, so that their extra memory does not grow with the data set.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from automl_keras.data.stored import Images
from automl_keras.errors import InvalidDataError, InvalidTypeError

BLOCK_PIXELS = 1 << 21  # pixel values handled at once: 16 MB in float64
UNREDUCED_SIDE = 112
CHANNELS = (1, 3, 4)
RELATIVE_STD_FLOOR = 1e-3


def check_images(x: npt.ArrayLike, argument: str = "x") -> np.ndarray:
    """Check that `x` holds images, and return them in the form all stages work with.

    Args:
        x: `(n, height, width)` or `(n, height, width, channels)` with 1, 3 or 4 channels; integers,
            floats or bools of any range.
        argument: What the caller calls `x`, for error messages.

    Returns:
        `(n, height, width, channels)`: uint8 if every value is a whole number in 0..255 (exact), else float32.
        No copy of an array that is uint8 or, with other values, float32 already.

    Raises:
        InvalidTypeError: If `x` does not consist of real numbers.
        InvalidDataError: If `x` has another shape, is empty, or has NaN, infinite or too large values.
    """
    try:
        images = np.asarray(x)
    except ValueError as error:
        raise InvalidDataError(
            f"All images of `{argument}` must have one shape. Received: {argument} of type {type(x).__name__}, "
            f"which is no rectangular array ({error})"
        ) from error
    if images.dtype.kind not in "buif":
        raise InvalidTypeError(
            f"`{argument}` must be an array of integers, floats or bools. "
            f"Received: {argument} of type {type(x).__name__} with dtype={images.dtype}"
        )
    images = _with_channels(images, argument)
    if images.dtype == np.uint8:
        return images
    if images.dtype == np.bool_:
        return images.view(np.uint8)
    return _compact(images, argument)


def image_blocks(images: Images, block_pixels: int = BLOCK_PIXELS) -> Iterator[slice]:
    """Slices over the first axis, each of about `block_pixels` values (at least one image)."""
    step = max(1, block_pixels // max(1, images[:1].size))
    for start in range(0, len(images), step):
        yield slice(start, min(start + step, len(images)))


def images_at_once(most: int, image_shape: Sequence[int]) -> int:
    """`most` images up to 112x112 pixels; of larger ones fewer, so that a network's activations need no more memory.

    Args:
        most: At least 1.
        image_shape: `(height, width, channels)`.
    """
    return max(1, min(most, most * UNREDUCED_SIDE**2 // (image_shape[0] * image_shape[1])))


def pixel_statistics(images: Images) -> tuple[tuple[float, ...], tuple[float, ...], tuple[float, float]]:
    """Mean and standard deviation of each channel, and `(smallest, largest)` value over all channels.

    Args:
        images: `(n, height, width, channels)`.

    Returns:
        `(mean, std, range)`. A standard deviation is at least 0.001 of the width of the range, and 1 if all pixels
        are equal, so that dividing by it neither fails nor blows up a value unseen in training.
    """
    channels = images.shape[-1]
    # Sums are taken relative to a value of the data, or float64 would lose the variance of far-away pixels.
    origin = images[0].reshape(-1, channels).mean(axis=0, dtype=np.float64)
    total, total_squares = np.zeros(channels), np.zeros(channels)
    low, high = np.inf, -np.inf
    for block in image_blocks(images):
        low, high = min(low, float(images[block].min())), max(high, float(images[block].max()))
        pixels = images[block].reshape(-1, channels) - origin
        total += pixels.sum(axis=0)
        total_squares += np.einsum("ij,ij->j", pixels, pixels)
    count = images.size // channels
    variance = total_squares / count - (total / count) ** 2
    floor = RELATIVE_STD_FLOOR * (high - low) if high > low else 1.0
    mean, std = origin + total / count, np.sqrt(np.maximum(variance, floor**2))
    return tuple(mean.tolist()), tuple(std.tolist()), (low, high)


def _with_channels(images: np.ndarray, argument: str) -> np.ndarray:
    """Add the channel axis where it is missing, or refuse the shape."""
    if images.ndim not in (3, 4):
        raise InvalidDataError(
            f"`{argument}` must have the shape (n, height, width) or (n, height, width, channels). "
            f"Received: {argument}.shape={images.shape}"
        )
    if images.size == 0:
        raise InvalidDataError(
            f"`{argument}` must hold at least one image of at least one pixel. "
            f"Received: {argument}.shape={images.shape}"
        )
    if images.ndim == 3:
        return images[..., np.newaxis]
    if images.shape[-1] not in CHANNELS:
        raise InvalidDataError(
            f"`{argument}` must have 1, 3 or 4 channels in its last axis. Received: {argument}.shape={images.shape}"
        )
    return images


def _compact(images: np.ndarray, argument: str) -> np.ndarray:
    """Refuse what float32 cannot hold, then store as uint8 where that is exact, else as float32."""
    limit = float(np.finfo(np.float32).max)
    fits_uint8 = True
    for block in image_blocks(images):
        pixels = images[block]
        low, high = (
            float(pixels.min()),
            float(pixels.max()),
        )  # NaN and infinity show in these, without a temporary array
        if not (-limit <= low and high <= limit):
            raise InvalidDataError(
                f"`{argument}` must have finite pixel values that float32 can hold. Received: {argument} with "
                f"smallest={low} and largest={high} in the images {block.start} to {block.stop - 1}"
            )
        fits_uint8 = fits_uint8 and low >= 0 and high <= 255 and bool((pixels == np.trunc(pixels)).all())
    return images.astype(np.uint8 if fits_uint8 else np.float32, copy=False)
