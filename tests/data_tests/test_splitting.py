import numpy as np
import pytest

from automl_keras.data import near_duplicate_groups, split_indices
from automl_keras.errors import InvalidArgumentError, InvalidTypeError


def distinct_images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 1), dtype=np.uint8)


def split_counts(codes, parts):
    return [np.bincount(codes[part], minlength=codes.max() + 1).tolist() for part in parts]


def test_every_image_is_on_one_side_and_classes_keep_their_shares():
    codes = np.repeat([0, 1, 2], [100, 50, 10])
    parts = split_indices(distinct_images(160), codes, 0.2, 0)
    assert sorted(np.concatenate(parts).tolist()) == list(range(160))
    assert split_counts(codes, parts) == [[80, 40, 8], [20, 10, 2]]


def test_the_seed_decides():
    images, codes = distinct_images(100), np.arange(100) % 4
    first, again, other = (split_indices(images, codes, 0.3, seed)[1].tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_default_is_a_fifth_and_at_most_two_thousand():
    codes = np.arange(10_400) % 2
    images = distinct_images(10_400)
    assert len(split_indices(images[:500], codes[:500], None, 0)[1]) == 100
    assert split_counts(codes, split_indices(images, codes, None, 0)) == [[4200, 4200], [1000, 1000]]


def test_small_classes_are_on_both_sides_and_single_images_in_training():
    codes = np.repeat([0, 1, 2, 4], [60, 2, 1, 3])  # class 3 has no images
    parts = split_indices(distinct_images(66), codes, 0.1, 0)
    training, validation = split_counts(codes, parts)
    assert training == [53, 1, 1, 0, 2]
    assert validation == [7, 1, 0, 0, 1]


@pytest.mark.parametrize("seed", range(5))
def test_copies_stay_on_one_side(seed):
    images = np.concatenate([distinct_images(80)] * 3)
    codes = np.tile(np.arange(80) % 4, 3)
    training, validation = split_indices(images, codes, 0.25, seed)
    assert not set(training % 80) & set(validation % 80)
    assert split_counts(codes, (training, validation)) == [[45] * 4, [15] * 4]


def test_copies_with_different_labels_stay_on_one_side():
    images = np.concatenate([distinct_images(40)] * 2)
    codes = np.concatenate([np.arange(40) % 4, np.arange(1, 41) % 4])
    training, validation = split_indices(images, codes, 0.25, 0)
    assert not set(training % 40) & set(validation % 40)
    assert np.bincount(codes[validation]).min() > 0
    assert np.bincount(codes[training]).min() > 0


@pytest.mark.parametrize("seed", range(5))
def test_large_groups_go_to_validation_where_nothing_smaller_is_left(seed):
    pictures = distinct_images(43)
    images = np.concatenate([np.repeat(pictures[:3], [30, 12, 18], axis=0), pictures[3:]])
    codes = np.repeat([0, 1], [60, 40])
    parts = split_indices(images, codes, 0.1, seed)
    assert split_counts(codes, parts) == [[48, 36], [12, 4]]
    assert set(parts[1][parts[1] < 60]) == set(range(30, 42))


def test_a_class_of_one_group_is_split_all_the_same():
    pictures = distinct_images(2)
    codes = np.repeat([0, 1], [10, 20])
    parts = split_indices(pictures[codes], codes, 0.2, 0)
    assert split_counts(codes, parts) == [[8, 16], [2, 4]]


def test_noisy_copies_stay_on_one_side():
    images = distinct_images(60)
    rng = np.random.default_rng(5)
    copies = np.clip(images + rng.normal(0, 3, images.shape), 0, 255).astype(np.uint8)
    images = np.concatenate([images, copies])
    assert near_duplicate_groups(images).max() == 59
    training, validation = split_indices(images, np.tile(np.arange(60) % 3, 2), None, 0)
    assert not set(training % 60) & set(validation % 60)


@pytest.mark.parametrize("share", [0, 1, 0.0, 1.0, -0.1, 1.5, float("nan")])
def test_the_share_must_be_between_0_and_1(share):
    with pytest.raises(InvalidArgumentError, match=r"`validation_split`.*Received: validation_split="):
        split_indices(distinct_images(4), np.array([0, 1, 0, 1]), share, 0)


@pytest.mark.parametrize("share", ["0.2", True, [0.2]])
def test_the_share_must_be_a_number(share):
    with pytest.raises(InvalidTypeError, match=r"`validation_split`.*Received: validation_split="):
        split_indices(distinct_images(4), np.array([0, 1, 0, 1]), share, 0)
