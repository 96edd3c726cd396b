import json

import numpy as np
import pytest

from automl_keras.data import Dataset, DatasetInfo, prepare_arrays
from automl_keras.errors import InvalidArgumentError, InvalidDataError, InvalidTypeError


def images_and_labels(count=60, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 9, 8, channels), dtype=np.uint8), np.array(["ape", "bee", "cow"])[
        np.arange(count) % 3
    ]


def test_dataset_batches_in_order():
    images, _ = images_and_labels(5)
    data = Dataset(images, np.arange(5, dtype=np.int32), np.linspace(0, 1, 5, dtype=np.float32))
    batches = list(data.batches(2))
    assert [len(batch.images) for batch in batches] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([batch.images for batch in batches]), images)
    assert np.concatenate([batch.codes for batch in batches]).tolist() == [0, 1, 2, 3, 4]
    assert np.concatenate([batch.sample_weight for batch in batches]).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert next(Dataset(images, data.codes).batches(2)).sample_weight is None


def test_dataset_takes_examples_in_the_given_order():
    images, _ = images_and_labels(5)
    part = Dataset(images, np.arange(5, dtype=np.int32), np.arange(5, dtype=np.float32)).take(np.array([4, 1]))
    assert (part.num_examples, part.image_shape) == (2, (9, 8, 3))
    np.testing.assert_array_equal(part.images, images[[4, 1]])
    assert part.codes.tolist() == [4, 1]
    assert part.sample_weight.tolist() == [4, 1]


def test_arrays_are_encoded_and_split():
    images, labels = images_and_labels()
    prepared = prepare_arrays(images, labels, seed=3)
    train, validation = prepared.train, prepared.validation
    assert (train.num_examples, validation.num_examples) == (48, 12)
    assert train.codes.dtype == np.int32
    original = {image.tobytes(): label for image, label in zip(images, labels, strict=True)}
    seen = {}
    for data in (train, validation):
        for image, label in zip(data.images, prepared.codec.decode(data.codes), strict=True):
            seen[image.tobytes()] = label
    assert seen == original


def test_info_describes_the_training_part():
    images, labels = images_and_labels()
    prepared = prepare_arrays(images, labels, validation_split=0.5, seed=3)
    info, pixels = prepared.info, prepared.train.images.astype(np.float64)
    assert info.image_shape == (9, 8, 3)
    assert info.input_dtype == "uint8"
    assert info.classes == ("ape", "bee", "cow")
    assert (info.num_classes, info.num_train, info.num_validation) == (3, 30, 30)
    np.testing.assert_allclose(info.pixel_mean, pixels.mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(info.pixel_std, pixels.std(axis=(0, 1, 2)))
    assert info.pixel_range == (pixels.min(), pixels.max())
    assert DatasetInfo.from_dict(json.loads(json.dumps(info.to_dict()))) == info


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.float64])
def test_stored_bytes_do_not_change_the_type_of_the_input(dtype):
    images, labels = images_and_labels()
    prepared = prepare_arrays(images.astype(dtype), labels, seed=0)
    assert prepared.info.input_dtype == "float32"
    assert prepared.train.images.dtype == np.uint8


def test_one_hot_labels_have_a_class_for_each_column():
    images, _ = images_and_labels()
    prepared = prepare_arrays(images, np.eye(5, dtype=np.float32)[np.arange(60) % 4], seed=0)
    assert prepared.info.classes == (0, 1, 2, 3, 4)
    assert prepared.codec.decode(prepared.train.codes).shape == (48, 5)


def test_weights_follow_their_images():
    images, labels = images_and_labels()
    prepared = prepare_arrays(images, labels, seed=0, sample_weight=images[:, 0, 0, 0] + 1.5)
    for data in (prepared.train, prepared.validation):
        assert data.sample_weight.dtype == np.float32
        np.testing.assert_array_equal(data.sample_weight, data.images[:, 0, 0, 0] + 1.5)


def test_given_validation_data_is_used_and_nothing_is_copied():
    images, labels = images_and_labels()
    other, other_labels = images_and_labels(6, seed=1)
    prepared = prepare_arrays(images, labels, validation_data=(other, other_labels, np.ones(6)), seed=0)
    assert prepared.train.images is images
    assert prepared.validation.images is other
    assert prepared.validation.codes.tolist() == [0, 1, 2, 0, 1, 2]
    assert prepared.validation.sample_weight.tolist() == [1] * 6
    assert (prepared.info.num_train, prepared.info.num_validation) == (60, 6)


def test_fingerprint_tells_data_apart_and_not_splits():
    images, labels = images_and_labels()
    expected = prepare_arrays(images, labels, seed=0).fingerprint
    assert len(expected) == 64
    assert prepare_arrays(images.copy(), list(labels), validation_split=0.4, seed=9).fingerprint == expected
    changed = images.copy()
    changed[59, 8, 7, 2] ^= 1
    renamed = np.where(labels == "ape", "ant", labels)
    moved = labels[[1, 0, *range(2, 60)]]
    others = [
        prepare_arrays(changed, labels, seed=0),
        prepare_arrays(images, renamed, seed=0),
        prepare_arrays(images, moved, seed=0),
        prepare_arrays(images.astype(np.float32), labels, seed=0),
        prepare_arrays(images.reshape(60, 8, 9, 3), labels, seed=0),
        prepare_arrays(images, labels, seed=0, sample_weight=np.ones(60)),
        prepare_arrays(images, labels, validation_data=(images[:9], labels[:9]), seed=0),
        prepare_arrays(images, labels, validation_data=(images[:8], labels[:8]), seed=0),
    ]
    assert len({expected, *(other.fingerprint for other in others)}) == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": None}, "`y` must hold a label for each image"),
        ({"y": [0, 1] * 29}, "Received: 60 images and 58 labels"),
        ({"y": np.full(60, "ape")}, r"`y` must have at least two classes. Received: y with only \['ape'\]"),
        ({"y": np.eye(3)[np.zeros(60, dtype=int)]}, r"`y` must have at least two classes. Received: y with only \[0\]"),
        ({"y": np.arange(60)}, "`y` must have a class with at least two images.*60 classes for 60 images"),
        ({"x": np.zeros((60, 9, 8, 2))}, "`x` must have 1, 3 or 4 channels"),
        ({"sample_weight": np.ones(59)}, r"`sample_weight` must have the shape \(60,\)"),
        ({"sample_weight": np.ones((60, 1))}, r"`sample_weight` must have the shape \(60,\)"),
        ({"sample_weight": np.zeros(60)}, "`sample_weight` must be finite and not negative, and not all zero"),
        ({"sample_weight": np.arange(60) - 1}, "`sample_weight` must be finite and not negative.*smallest=-1"),
        ({"sample_weight": np.full(60, np.nan)}, "`sample_weight` must be finite"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, message):
    images, labels = images_and_labels()
    with pytest.raises(InvalidDataError, match=message):
        prepare_arrays(**{"x": images, "y": labels, "seed": 0} | change)


@pytest.mark.parametrize(
    ("validation_data", "message"),
    [
        ((np.zeros((2, 9, 8, 3)), ["ape", "emu"]), r"`validation_data\[1\]`.*unknown labels \['emu'\]"),
        ((np.zeros((2, 9, 8, 3)), ["ape"]), "Received: 2 images and 1 labels"),
        ((np.zeros((2, 9, 9, 3)), ["ape", "bee"]), r"shape \(9, 8, 3\), as in `x`. Received: images of.*\(9, 9, 3\)"),
        ((np.full((2, 9, 8, 3), 0.5), ["ape", "bee"]), r"whole pixel values in 0..255, as `x` is uint8.*from 0.5"),
        ((np.full((2, 9, 8, 3), np.nan), ["ape", "bee"]), r"`validation_data\[0\]` must have finite"),
        ((np.zeros((2, 9, 8, 3)), ["ape", "bee"], [1]), r"`validation_data\[2\]` must have the shape \(2,\)"),
    ],
)
def test_validation_data_that_does_not_fit_is_refused(validation_data, message):
    images, labels = images_and_labels()
    with pytest.raises(InvalidDataError, match=message):
        prepare_arrays(images, labels, validation_data=validation_data, seed=0)


def test_arguments_of_other_types_are_refused():
    images, labels = images_and_labels()
    with pytest.raises(InvalidTypeError, match=r"`validation_data` must be a tuple.*type ndarray"):
        prepare_arrays(images, labels, validation_data=images, seed=0)
    with pytest.raises(InvalidTypeError, match="`sample_weight` must be an array of numbers"):
        prepare_arrays(images, labels, seed=0, sample_weight=["heavy"] * 60)


def test_validation_data_and_split_exclude_each_other():
    images, labels = images_and_labels()
    with pytest.raises(InvalidArgumentError, match=r"`validation_split` must be None.*validation_split=0.2"):
        prepare_arrays(images, labels, validation_data=(images, labels), validation_split=0.2, seed=0)
