"""Data sets made worse: near-duplicates and wrong labels."""

import io

import numpy as np
from PIL import Image

JPEG_QUALITIES = (60, 90)


def with_relatives(images: np.ndarray, labels: np.ndarray, *, copies: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Each image `copies` times in a row: as it is, then moved by up to a pixel, lit and JPEG-coded anew.

    Args:
        images: uint8 of shape (n, height, width, 3).
        labels: Shape (n,).
        copies: Versions of each image, the original among them.
        seed: Seeds movements, light and quality.

    Returns:
        Images (n * copies, height, width, 3) and their labels.
    """
    rng = np.random.default_rng(seed)
    versions = [version for image in images for version in (image, *(_relative(image, rng) for _ in range(copies - 1)))]
    return np.stack(versions), np.repeat(labels, copies)


def _relative(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    down, right = rng.integers(0, 3, 2)
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="edge")
    moved = padded[down : down + image.shape[0], right : right + image.shape[1]]
    lit = np.clip(moved * rng.uniform(0.95, 1.05), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(lit).save(file, "jpeg", quality=int(rng.integers(*JPEG_QUALITIES)))
    with Image.open(file) as coded:
        return np.asarray(coded)


def noisy_labels(labels: np.ndarray, *, share: float, seed: int) -> np.ndarray:
    """A copy of which `share` is replaced by labels drawn evenly among all classes, the right one included."""
    rng = np.random.default_rng(seed)
    noisy = labels.copy()
    chosen = rng.choice(len(labels), round(share * len(labels)), replace=False)
    noisy[chosen] = rng.choice(np.unique(labels), len(chosen))
    return noisy
