"""`Augmenter`: a randomly changed copy of all training images for each epoch, made in NumPy."""

from collections.abc import Iterator

import numpy as np

from automl_keras.data import Images
from automl_keras.errors import InvalidArgumentError

PARITY_STREAM, EPOCH_STREAM = 201, 202  # keep the generators apart from others made from the same seed


class Augmenter:
    """Makes epochs: all images in random order, each randomly cropped, flipped and partly covered.

    - Crop: the image is padded by `crop` pixels of value `fill` on each side, and a window of the old size is cut out
      at random.
    - Flip: each image is flipped left to right in every other epoch; half of the images begin. Every pair of
      epochs so shows each image both ways (K. Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024,
      section 3.6, arXiv:2404.00498).
    - Cutout: a square of side `cutout` at a random place inside the image becomes `fill` (T. DeVries and G. Taylor,
      "Improved Regularization of Convolutional Neural Networks with Cutout", 2017, arXiv:1708.04552; there the square
      may stick out of the image).

    Epoch `index` depends on nothing but the arguments and `index`, so epochs can be made in any order.

    Args:
        images: `(n, height, width, channels)`, any type; kept by reference, never changed.
        crop: Padding in pixels; 0 for no crop.
        flip: Whether to flip.
        cutout: Side of the square in pixels; 0 for none.
        seed: Seed of all random choices.
        fill: Pixel value for padding and cutout.

    Raises:
        InvalidArgumentError: If `crop` or `cutout` is negative, or not smaller than the shorter side.
    """

    def __init__(self, images: Images, *, crop: int, flip: bool, cutout: int, seed: int, fill: float = 0) -> None:
        shorter = min(images.shape[1:3])
        for name, pixels in (("crop", crop), ("cutout", cutout)):
            if not 0 <= pixels < shorter:
                raise InvalidArgumentError(
                    f"`{name}` must be at least 0 and less than the shorter side, {shorter}. Received: {name}={pixels}"
                )
        self._images = images
        self._crop = crop
        self._cutout = cutout
        self._seed = seed
        self._fill = fill
        first_flipped = np.random.default_rng((seed, PARITY_STREAM)).integers(0, 2, len(images), dtype=np.uint8)
        self._first_flipped = first_flipped if flip else None

    def epoch(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Epoch `index`: images `(n, height, width, channels)`, and `order`, the `(n,)` indices they come from."""
        return next(self.blocks(index, len(self._images)))

    def blocks(self, index: int, block_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The same as `epoch(index)` in pieces of `block_size` images, the last one smaller, for little memory."""
        rng = np.random.default_rng((self._seed, index, EPOCH_STREAM))
        count, height, width = self._images.shape[:3]
        order = rng.permutation(count)
        shifts = rng.integers(-self._crop, self._crop + 1, (count, 2))
        corners = rng.integers(0, (height - self._cutout + 1, width - self._cutout + 1), (count, 2))
        for start in range(0, count, block_size):
            part = slice(start, start + block_size)
            yield self._augmented(index, order[part], shifts[part], corners[part]), order[part]

    def _augmented(self, index: int, order: np.ndarray, shifts: np.ndarray, corners: np.ndarray) -> np.ndarray:
        images = self._images[order] if self._crop == 0 else self._cropped(order, shifts)
        if self._first_flipped is not None:
            flipped = np.flatnonzero(self._first_flipped[order] ^ (index & 1))
            images[flipped] = images[flipped, :, ::-1]
        if self._cutout:
            for image, (top, left) in zip(images, corners.tolist(), strict=True):
                image[top : top + self._cutout, left : left + self._cutout] = self._fill
        return images

    def _cropped(self, order: np.ndarray, shifts: np.ndarray) -> np.ndarray:
        """Each image moved up and left by its shift, all images of one shift at a time."""
        height, width = self._images.shape[1:3]
        images = np.full((len(order), *self._images.shape[1:]), self._fill, dtype=self._images.dtype)
        for down, right in np.ndindex(2 * self._crop + 1, 2 * self._crop + 1):
            down, right = down - self._crop, right - self._crop
            moved = np.flatnonzero((shifts == (down, right)).all(axis=1))
            images[moved, max(-down, 0) : height - down, max(-right, 0) : width - right] = self._images[
                order[moved], max(down, 0) : height + down, max(right, 0) : width + right
            ]
        return images
