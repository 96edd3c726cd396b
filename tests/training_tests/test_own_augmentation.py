from functools import partial

import keras
import numpy as np
import pytest

from automl_keras.errors import InvalidArgumentError, InvalidTypeError
from automl_keras.training import (
    OWN_AUGMENTATION,
    OwnAugmenter,
    augmentation_identity,
    check_augmentation,
    make_augmenter,
    recipe_space,
    try_augmentation,
)

IMAGES = np.random.default_rng(0).integers(0, 256, (600, 5, 4, 3), dtype=np.uint8)


def darker(images, rng):
    return images * rng.uniform(0.5, 1.0, (len(images), 1, 1, 1))


def epoch(augmentation, index=0, *, images=IMAGES, seed=0, block_size=300):
    """All images of an epoch, brought back into their order."""
    blocks = list(OwnAugmenter(images, augmentation, seed=seed).blocks(index, block_size))
    changed, order = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    assert sorted(order) == list(range(len(images)))
    return changed[np.argsort(order)], order


def test_without_augmentation_images_come_as_they_are_in_another_order_each_epoch():
    first, order = epoch(None, 0)
    assert np.array_equal(first, IMAGES)
    assert first.dtype == np.uint8
    assert not np.array_equal(order, epoch(None, 1)[1])


@pytest.mark.parametrize("augmentation", [darker, keras.layers.RandomBrightness(0.5)], ids=["function", "layer"])
def test_an_epoch_depends_on_seed_and_index_alone(augmentation):
    changed, _ = epoch(augmentation, 3)
    epoch(augmentation, 1)
    assert np.array_equal(changed, epoch(augmentation, 3)[0])
    assert not np.array_equal(changed, epoch(augmentation, 4)[0])
    assert not np.array_equal(changed, epoch(augmentation, 3, seed=1)[0])
    differences = changed.astype(float) - IMAGES
    assert len(np.unique(differences.mean((1, 2, 3)).round(3))) > 100  # one change for each image


def test_the_layers_of_a_sequential_are_seeded_each():
    layers = keras.Sequential([keras.layers.RandomFlip(), keras.layers.RandomContrast(0.5)])
    assert np.array_equal(epoch(layers, 2)[0], epoch(layers, 2)[0])
    assert not np.array_equal(epoch(layers, 2)[0], epoch(layers, 3)[0])


def test_bytes_are_rounded_and_cut_off_and_floats_are_kept():
    images = np.array([0, 100, 255], np.uint8).reshape(3, 1, 1, 1)
    assert epoch(lambda x, rng: x * 1.999, images=images)[0].ravel().tolist() == [0, 200, 255]
    assert epoch(lambda x, rng: x - 300.0, images=images)[0].ravel().tolist() == [0, 0, 0]
    floats = images.astype(np.float32)
    assert epoch(lambda x, rng: x - 300.5, images=floats)[0].ravel().tolist() == [-300.5, -200.5, -45.5]
    assert images.ravel().tolist() == [0, 100, 255]  # the user's own


def test_it_takes_the_place_of_what_the_recipe_says():
    recipe = {**recipe_space().default(), "flip": True, "cutout": 0.3, OWN_AUGMENTATION: None}
    [(block, order)] = make_augmenter(recipe, IMAGES, seed=0).blocks(1, 600)
    assert np.array_equal(block, IMAGES[order])


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (lambda images, rng: images[:, 1:], r"shape=\(8, 4, 4, 3\)"),
        (lambda images, rng: images / np.zeros(3), "finite=False"),
        (keras.layers.RandomCrop(2, 2), r"shape=\(8, 2, 2, 3\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value|divide by zero")
def test_what_cannot_be_trained_on_is_refused(wrong, named):
    with pytest.raises(InvalidArgumentError, match=named):
        try_augmentation(wrong, IMAGES)


@pytest.mark.parametrize("wrong", ["flip", 3, [darker]])
def test_what_is_no_augmentation_is_refused(wrong):
    with pytest.raises(InvalidTypeError, match="`augmentation`"):
        check_augmentation(wrong)


def test_identities_tell_augmentations_apart_but_not_the_numbers_in_names_of_layers():
    twins = [augmentation_identity(keras.Sequential([keras.layers.RandomRotation(0.1)])) for _ in range(2)]
    assert twins[0] == twins[1]
    others = [keras.layers.RandomRotation(0.1), keras.layers.RandomRotation(0.2), darker, None, "auto"]
    assert len({twins[0], *map(augmentation_identity, others)}) == 6
    bound = [partial(darker, 2), partial(darker, 3), lambda x, rng: x, lambda x, rng: x + 1, lambda x, rng: abs(x)]
    assert len(set(map(augmentation_identity, bound))) == 5
