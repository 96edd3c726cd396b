"""Find groups of near-identical images.

An image is described by the magnitudes of its lowest Fourier frequencies, which brightness, contrast, a little noise
and small shifts hardly change. Nearest neighbours among the descriptions are candidates; a pair is near-identical if
its pixels correlate almost perfectly, at best over shifts by one pixel.
"""

import hashlib

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from automl_keras.data.images import BLOCK_PIXELS, image_blocks
from automl_keras.data.stored import Images, select

# Of Fashion-MNIST's 60,000 training images, 0.9 % are in groups, the largest of 12, none with two labels; with 0.98
# they would be 5 % and 383, with 0.97 12 % and 1,674. Noise of 5 in 255 is found in 99 % of copies, of 10 in 85 %.
MIN_CORRELATION = 0.99
FREQUENCIES = 4
COMPONENTS = 8
NEIGHBOURS = 5
MAX_DISTANCE = 0.2
SHRUNK_SIDE = 32
MIN_SIDE_TO_SHIFT = 8
FLAT = 1e-3  # contrast relative to the data set's below which an image counts as blank


def near_duplicate_groups(images: Images) -> np.ndarray:
    """Number the groups of near-identical images.

    Two images are near-identical if they are equal, or if their pixels correlate by at least 0.99 after a shift by at
    most one pixel, both shrunk by a whole factor to a shorter side of 32 to 63 pixels if they are larger. A chain of
    such pairs is one group. Blank images are only compared for equality.

    Args:
        images: `(n, height, width, channels)`.

    Returns:
        `(n,)` integers from 0, the same for images of the same group.
    """
    first, inverse = _distinct(images)
    small = _shrunk(images if len(first) == len(images) else select(images, first))
    pairs = _matches(small)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(small), len(small)))
    return connected_components(graph, directed=False)[1][inverse]


def _distinct(images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Indices of the first of equal images, and for each image the position of its first in them."""
    position: dict[bytes, int] = {}
    first: list[int] = []
    inverse = np.empty(len(images), dtype=np.int64)
    for index, image in enumerate(images):
        digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        inverse[index] = position.setdefault(digest, len(first))
        if inverse[index] == len(first):
            first.append(index)
    return np.array(first), inverse


def _shrunk(images: Images) -> Images:
    """Images averaged over squares, so that the shorter side has 32 to 63 pixels; smaller images as they are."""
    count, height, width, channels = images.shape
    factor = min(height, width) // SHRUNK_SIDE
    if factor <= 1:
        return images
    rows, columns = height // factor, width // factor
    small = np.empty((count, rows, columns, channels), dtype=images.dtype)
    for block in image_blocks(images):
        part = images[block, : rows * factor, : columns * factor]
        means = part.reshape(-1, rows, factor, columns, factor, channels).mean(axis=(2, 4), dtype=np.float32)
        small[block] = np.rint(means) if images.dtype == np.uint8 else means
    return small


def _matches(images: Images) -> np.ndarray:
    """Near-identical pairs `(m, 2)` of indices, found among the nearest neighbours of each image."""
    descriptions, contrast = _describe(images)
    flat = FLAT * float(np.sqrt(np.mean(np.square(contrast))))
    structured = np.flatnonzero(contrast > flat)
    if len(structured) < 2:
        return np.empty((0, 2), dtype=np.int64)
    pairs = structured[_neighbours(descriptions[structured])]
    parts = np.array_split(pairs, 1 + len(pairs) * images[0].size // BLOCK_PIXELS)
    correlation = [_correlation(images[part[:, 0]], images[part[:, 1]], flat) for part in parts]
    return pairs[np.concatenate(correlation) >= MIN_CORRELATION]


def _neighbours(descriptions: np.ndarray) -> np.ndarray:
    """Pairs `(m, 2)` of indices in which one is among the nearest of the other and not far away."""
    count = len(descriptions)
    centred = descriptions - descriptions.mean(axis=0)
    principal = np.linalg.eigh(centred.T @ centred)[1][:, -COMPONENTS:]
    tree = KDTree(centred @ principal)
    _, nearest = tree.query(tree.data, k=min(NEIGHBOURS + 1, count), distance_upper_bound=MAX_DISTANCE)
    pairs = np.stack([np.repeat(np.arange(count), nearest.shape[1]), nearest.ravel()], axis=1)
    pairs = pairs[(pairs[:, 0] != pairs[:, 1]) & (pairs[:, 1] < count)]  # the index `count` stands for none
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    distance = np.linalg.norm(descriptions[pairs[:, 0]] - descriptions[pairs[:, 1]], axis=1)
    return pairs[distance <= MAX_DISTANCE]


def _describe(images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Magnitudes of low frequencies `(n, 40)`, scaled to length 1, and standard deviations of grey pixels `(n,)`."""
    count, height, width = images.shape[:3]
    # Half of the frequencies: a real image has the conjugate at the opposite one. Frequency (0, 0) is brightness.
    span = range(-FREQUENCIES, FREQUENCIES + 1)
    pairs = [(u, v) for u in range(FREQUENCIES + 1) for v in span if (u, v) > (0, 0)]
    turns = [np.add.outer(u * np.arange(height) / height, v * np.arange(width) / width).ravel() for u, v in pairs]
    angles = 2 * np.pi * np.stack(turns, axis=1)
    waves = np.concatenate([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    descriptions = np.empty((count, len(pairs)), dtype=np.float32)
    contrast = np.empty(count, dtype=np.float32)
    for block in image_blocks(images):
        grey = images[block].mean(axis=3, dtype=np.float32).reshape(-1, height * width)
        grey -= grey.mean(axis=1, keepdims=True)
        contrast[block] = grey.std(axis=1)
        cosine, sine = np.split(grey @ waves, 2, axis=1)
        descriptions[block] = np.hypot(cosine, sine)
    length = np.linalg.norm(descriptions, axis=1, keepdims=True)
    return descriptions / np.maximum(length, np.finfo(np.float32).tiny), contrast


def _correlation(first: np.ndarray, second: np.ndarray, flat: float) -> np.ndarray:
    """Largest correlation of each pair over shifts by at most one pixel; 0 where the compared part is blank.

    Brightness is removed over all channels together, so that a change of colour counts as a difference.
    """
    height, width = first.shape[1:3]
    margin = 1 if min(height, width) >= MIN_SIDE_TO_SHIFT else 0
    inner_height, inner_width = height - 2 * margin, width - 2 * margin
    fixed = first[:, margin : margin + inner_height, margin : margin + inner_width].astype(np.float32)
    fixed -= fixed.mean(axis=(1, 2, 3), keepdims=True)
    moving = second.astype(np.float32)
    moving -= moving.mean(axis=(1, 2, 3), keepdims=True)
    size = inner_height * inner_width * first.shape[3]
    least = size * flat**2
    fixed_squares = np.einsum("nhwc,nhwc->n", fixed, fixed)
    best = np.zeros(len(first), dtype=np.float32)
    for top in range(2 * margin + 1):
        for left in range(2 * margin + 1):
            window = moving[:, top : top + inner_height, left : left + inner_width]
            squares = np.einsum("nhwc,nhwc->n", window, window) - np.einsum("nhwc->n", window) ** 2 / size
            blank = (fixed_squares <= least) | (squares <= least)
            scale = np.sqrt(np.where(blank, np.inf, fixed_squares * squares))
            best = np.maximum(best, np.einsum("nhwc,nhwc->n", fixed, window) / scale)
    return best
