import numpy as np
import pytest
from sklearn.datasets import load_digits

from automl_keras.data import near_duplicate_groups


def pictures(count, side=28, channels=1, seed=0):
    """Distinct smooth images with a dark border, uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(count, 7, 7, channels))
    place = np.linspace(0, 6, side)
    weights = np.maximum(0, 1 - np.abs(place[:, np.newaxis] - np.arange(7)))
    fine = np.einsum("yi,xj,nijc->nyxc", weights, weights, coarse)
    fine = (fine - fine.min()) / (fine.max() - fine.min())
    border = max(2, side // 10)
    fine[:, :border] = fine[:, -border:] = fine[:, :, :border] = fine[:, :, -border:] = 0
    return np.rint(220 * fine).astype(np.uint8)


def noisy(images, scale, seed=1):
    noise = np.random.default_rng(seed).normal(0, scale, images.shape)
    return np.clip(np.rint(images + noise), 0, 255).astype(np.uint8)


COPIES = {
    "equal": lambda images: images.copy(),
    "noise": lambda images: noisy(images, 3),
    "brighter": lambda images: images + np.uint8(20),
    "darker": lambda images: images // 2,
    "down": lambda images: np.roll(images, 1, axis=1),
    "left": lambda images: np.roll(images, -1, axis=2),
    "diagonal": lambda images: np.roll(images, (1, -1), axis=(1, 2)),
    "shifted and noisy": lambda images: noisy(np.roll(images, (-1, -1), axis=(1, 2)), 3),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("change", COPIES)
def test_copies_are_found_and_nothing_else(change, channels):
    originals = pictures(150, channels=channels)
    groups = near_duplicate_groups(np.concatenate([originals, COPIES[change](originals[:80])]))
    assert len(np.unique(groups[:150])) == 150
    np.testing.assert_array_equal(groups[150:], groups[:80])


@pytest.mark.parametrize(("side", "noise"), [(8, 2), (32, 2), (70, 6), (130, 12)])
def test_copies_are_found_at_any_size(side, noise):
    originals = pictures(60, side=side, channels=3)
    groups = near_duplicate_groups(np.concatenate([originals, noisy(originals, noise)]))
    assert len(np.unique(groups)) == 60
    np.testing.assert_array_equal(groups[60:], groups[:60])


def test_scale_of_the_pixels_does_not_matter():
    originals = pictures(50)
    images = np.concatenate([originals, noisy(originals, 3)])
    for scaled in (images.astype(np.float32) / 255, images.astype(np.float32) * 100 - 5_000):
        np.testing.assert_array_equal(near_duplicate_groups(scaled), near_duplicate_groups(images))


def test_crowds_of_copies_stay_together():
    crowd = noisy(np.repeat(pictures(4), 200, axis=0), 4)
    groups = near_duplicate_groups(np.concatenate([crowd, pictures(100, seed=9)]))
    for start in range(0, 800, 200):
        assert len(np.unique(groups[start : start + 200])) == 1
    assert len(np.unique(groups)) == 104


def test_real_images_are_rarely_grouped():
    digits = load_digits()
    images = digits.images[..., np.newaxis].astype(np.uint8)
    groups = near_duplicate_groups(images)
    sizes = np.bincount(groups)
    assert (sizes[groups] > 1).mean() < 0.01
    assert sizes.max() <= 3


def test_another_colour_is_another_image():
    red = pictures(40, channels=3)
    red[..., 1:] = 0
    assert len(np.unique(near_duplicate_groups(np.concatenate([red, red[..., ::-1]])))) == 80


def test_blank_images_are_compared_for_equality_only():
    blank = np.full((6, 12, 12, 1), 30, dtype=np.uint8)
    blank[3:] = 31
    groups = near_duplicate_groups(np.concatenate([blank, pictures(10, side=12)]))
    assert groups[:6].tolist() == [groups[0]] * 3 + [groups[3]] * 3
    assert len(np.unique(groups)) == 12


def test_a_trace_of_structure_counts_as_blank():
    trace = 1e-4 * np.random.default_rng(0).normal(size=(1, 12, 12, 1))
    blank = np.linspace(0.1, 0.9, 30)[:, np.newaxis, np.newaxis, np.newaxis] + trace
    images = np.concatenate([blank, pictures(10, side=12) / 255]).astype(np.float32)
    assert len(np.unique(near_duplicate_groups(images))) == 40


@pytest.mark.parametrize("shape", [(1, 1), (1, 20), (3, 2), (8, 300)])
def test_odd_shapes(shape):
    images = np.random.default_rng(0).integers(0, 256, (9, *shape, 1), dtype=np.uint8)
    groups = near_duplicate_groups(np.concatenate([images, images]))
    np.testing.assert_array_equal(groups[:9], groups[9:])


def test_one_image():
    assert near_duplicate_groups(pictures(1)).tolist() == [0]
