import numpy as np
import pytest

from automl_keras.errors import InvalidArgumentError
from automl_keras.training.augmentation import Augmenter


def numbered_images(count=50, height=7, width=6, channels=1, dtype=np.uint8):
    """Images in which no pixel value repeats within a row or a column, and none is 0 or 255."""
    images = np.random.default_rng(0).permuted(np.tile(np.arange(1, 1 + height * width), (count, 1)), axis=1)
    return np.repeat(images.reshape(count, height, width, 1), channels, axis=3).astype(dtype)


def augmenter(images, **changes):
    return Augmenter(images, **{"crop": 0, "flip": False, "cutout": 0, "seed": 4} | changes)


def windows(image, crop, fill=0):
    """All windows of the padded image, by their offset."""
    height, width = image.shape[:2]
    padded = np.pad(image, ((crop, crop), (crop, crop), (0, 0)), constant_values=fill)
    return {
        (top, left): padded[top : top + height, left : left + width]
        for top in range(2 * crop + 1)
        for left in range(2 * crop + 1)
    }


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_order_is_a_new_permutation_each_epoch(dtype):
    images = numbered_images(dtype=dtype)
    plain = augmenter(images)
    orders = []
    for index in range(3):
        epoch, order = plain.epoch(index)
        assert sorted(order.tolist()) == list(range(50))
        assert epoch.dtype == dtype
        np.testing.assert_array_equal(epoch, images[order])
        orders.append(tuple(order.tolist()))
    assert len(set(orders)) == 3


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_each_crop_is_a_window_of_the_padded_image(channels, dtype):
    images = numbered_images(count=400, channels=channels, dtype=dtype)
    epoch, order = augmenter(images, crop=2, fill=255).epoch(0)
    offsets = []
    for image, source in zip(epoch, order, strict=True):
        matches = [offset for offset, window in windows(images[source], 2, fill=255).items() if (window == image).all()]
        assert len(matches) == 1
        offsets += matches
    counts = np.unique(offsets, axis=0, return_counts=True)[1]
    assert len(counts) == 25  # all offsets occur, about equally often
    assert counts.max() < 4 * counts.min() + 12


def test_each_image_is_flipped_every_other_epoch():
    images = numbered_images()
    flipping = augmenter(images, flip=True)
    flipped = np.empty((4, 50), dtype=bool)
    for index in range(4):
        epoch, order = flipping.epoch(index)
        for image, source in zip(epoch, order, strict=True):
            flipped[index, source] = not (image == images[source]).all()
            np.testing.assert_array_equal(image, images[source, :, ::-1] if flipped[index, source] else images[source])
    np.testing.assert_array_equal(flipped[0], ~flipped[1])
    np.testing.assert_array_equal(flipped[::2], [flipped[0], flipped[0]])
    np.testing.assert_array_equal(flipped[1::2], [flipped[1], flipped[1]])
    assert 10 < flipped[0].sum() < 40


@pytest.mark.parametrize("fill", [0, 99])
def test_cutout_covers_one_square(fill):
    images = numbered_images(count=300, channels=3)
    epoch, order = augmenter(images, cutout=3, fill=fill).epoch(0)
    corners = set()
    for image, source in zip(epoch, order, strict=True):
        changed = (image != images[source]).all(axis=2)
        rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
        assert (len(rows), len(columns), changed.sum()) == (3, 3, 9)
        assert (image[changed] == fill).all()
        np.testing.assert_array_equal(image[~changed], images[source][~changed])
        corners.add((rows[0], columns[0]))
    assert corners == {(top, left) for top in range(5) for left in range(4)}


def test_an_epoch_depends_on_seed_and_index_alone():
    images = numbered_images()
    settings = {"crop": 1, "flip": True, "cutout": 2}
    first = augmenter(images, **settings)
    forwards = [first.epoch(index) for index in range(3)]
    second = augmenter(images, **settings)
    for index in (2, 0, 1, 1):
        epoch, order = second.epoch(index)
        np.testing.assert_array_equal(epoch, forwards[index][0])
        np.testing.assert_array_equal(order, forwards[index][1])
    other_seed = augmenter(images, **settings | {"seed": 5}).epoch(0)
    assert (other_seed[1] != forwards[0][1]).any()


@pytest.mark.parametrize("block_size", [1, 20, 50, 80])
def test_blocks_make_up_the_epoch(block_size):
    images = numbered_images()
    both = augmenter(images, crop=2, flip=True, cutout=3)
    epoch, order = both.epoch(7)
    blocks = list(both.blocks(7, block_size))
    assert [len(block) for block, _ in blocks[:-1]] == [block_size] * (len(blocks) - 1)
    np.testing.assert_array_equal(np.concatenate([block for block, _ in blocks]), epoch)
    np.testing.assert_array_equal(np.concatenate([part for _, part in blocks]), order)


def test_crop_flip_and_cutout_work_together():
    images = numbered_images()
    together = augmenter(images, crop=1, flip=True, cutout=2)
    for image, source in zip(*together.epoch(0), strict=True):
        candidates = [view for window in windows(images[source], 1).values() for view in (window, window[:, ::-1])]
        fewest = min(int((candidate != image).sum()) for candidate in candidates)
        assert fewest <= 4


def test_the_images_given_are_not_changed():
    images = numbered_images()
    before = images.copy()
    images.flags.writeable = False
    augmenter(images, crop=2, flip=True, cutout=3).epoch(1)
    augmenter(images, flip=True, cutout=3).epoch(1)
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("change", [{"crop": -1}, {"crop": 6}, {"cutout": -2}, {"cutout": 6}])
def test_sizes_that_leave_nothing_are_refused(change):
    (name, value), *_ = change.items()
    with pytest.raises(
        InvalidArgumentError, match=f"`{name}` must be at least 0 and less than the shorter side, 6.*{name}={value}"
    ):
        augmenter(numbered_images(), **change)
