"""`as_bytes`: images of any range of values, to look at."""

import numpy as np


def as_bytes(image: np.ndarray, pixel_range: tuple[float, float]) -> np.ndarray:
    """Pixels in the user's units as uint8: of shape `(height, width)` for one channel, else `(height, width, 3)`.

    Args:
        image: `(height, width, channels)`. A fourth channel, of opacity, is left out.
        pixel_range: `(smallest, largest)` value, shown as black and white.
    """
    smallest, largest = pixel_range
    scaled = (np.asarray(image, np.float64) - smallest) / max(largest - smallest, 1e-12)
    pixels = np.round(255 * np.clip(scaled, 0.0, 1.0)).astype(np.uint8)
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels[..., :3]
