import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from automl_keras.data import DatasetInfo, StoredImages, prepare_data
from automl_keras.errors import InvalidArgumentError, InvalidDataError, InvalidTypeError


def images_and_labels(count=60, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 9, 8, channels), dtype=np.uint8), np.array(["ape", "bee", "cow"])[
        np.arange(count) % 3
    ]


def test_arrays_are_encoded_and_split():
    images, labels = images_and_labels()
    prepared = prepare_data(images, labels, seed=3)
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
    prepared = prepare_data(images, labels, validation_split=0.5, seed=3)
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
    prepared = prepare_data(images.astype(dtype), labels, seed=0)
    assert prepared.info.input_dtype == "float32"
    assert prepared.train.images.dtype == np.uint8


def test_one_hot_labels_have_a_class_for_each_column():
    images, _ = images_and_labels()
    prepared = prepare_data(images, np.eye(5, dtype=np.float32)[np.arange(60) % 4], seed=0)
    assert prepared.info.classes == (0, 1, 2, 3, 4)
    assert prepared.codec.decode(prepared.train.codes).shape == (48, 5)


def test_weights_follow_their_images():
    images, labels = images_and_labels()
    prepared = prepare_data(images, labels, seed=0, sample_weight=images[:, 0, 0, 0] + 1.5)
    for data in (prepared.train, prepared.validation):
        assert data.sample_weight.dtype == np.float32
        np.testing.assert_array_equal(data.sample_weight, data.images[:, 0, 0, 0] + 1.5)


def test_given_validation_data_is_used_and_nothing_is_copied():
    images, labels = images_and_labels()
    other, other_labels = images_and_labels(6, seed=1)
    prepared = prepare_data(images, labels, validation_data=(other, other_labels, np.ones(6)), seed=0)
    assert prepared.train.images is images
    assert prepared.validation.images is other
    assert prepared.validation.codes.tolist() == [0, 1, 2, 0, 1, 2]
    assert prepared.validation.sample_weight.tolist() == [1] * 6
    assert (prepared.info.num_train, prepared.info.num_validation) == (60, 6)


def test_fingerprint_tells_data_apart_and_not_splits():
    images, labels = images_and_labels()
    expected = prepare_data(images, labels, seed=0).fingerprint
    assert len(expected) == 64
    assert prepare_data(images.copy(), list(labels), validation_split=0.4, seed=9).fingerprint == expected
    changed = images.copy()
    changed[59, 8, 7, 2] ^= 1
    renamed = np.where(labels == "ape", "ant", labels)
    moved = labels[[1, 0, *range(2, 60)]]
    others = [
        prepare_data(changed, labels, seed=0),
        prepare_data(images, renamed, seed=0),
        prepare_data(images, moved, seed=0),
        prepare_data(images.astype(np.float32), labels, seed=0),
        prepare_data(images.reshape(60, 8, 9, 3), labels, seed=0),
        prepare_data(images, labels, seed=0, sample_weight=np.ones(60)),
        prepare_data(images, labels, validation_data=(images[:9], labels[:9]), seed=0),
        prepare_data(images, labels, validation_data=(images[:8], labels[:8]), seed=0),
    ]
    assert len({expected, *(other.fingerprint for other in others)}) == 9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": None}, "`y` must hold a label for each image"),
        ({"y": [0, 1] * 29}, "Received: 60 images and 58 labels"),
        ({"y": np.full(60, "ape")}, r"`y` must have at least two classes. Received: y with only \['ape'\]"),
        ({"y": np.eye(3)[np.zeros(60, dtype=int)]}, r"`y` must have at least two classes. Received: y with only \[0\]"),
        ({"y": np.arange(60)}, "Each class of `y` must have at least two images.*one image of 60 classes, such as 0"),
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
        prepare_data(**{"x": images, "y": labels, "seed": 0} | change)


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
        prepare_data(images, labels, validation_data=validation_data, seed=0)


def test_arguments_of_other_types_are_refused():
    images, labels = images_and_labels()
    with pytest.raises(InvalidTypeError, match=r"`validation_data` must be .x, y.*type ndarray"):
        prepare_data(images, labels, validation_data=images, seed=0)
    with pytest.raises(InvalidTypeError, match="`sample_weight` must be an array of numbers"):
        prepare_data(images, labels, seed=0, sample_weight=["heavy"] * 60)


def test_validation_data_and_split_exclude_each_other():
    images, labels = images_and_labels()
    with pytest.raises(InvalidArgumentError, match=r"`validation_split` must be None.*validation_split=0.2"):
        prepare_data(images, labels, validation_data=(images, labels), validation_split=0.2, seed=0)


def save_folder(root, images, labels):
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        (root / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / str(label) / f"{index:03}.png")
    return root


def test_folder_and_stream_prepare_as_their_arrays(tmp_path):
    images, labels = images_and_labels()
    order = np.argsort(labels, kind="stable")  # a folder is sorted by class
    images, labels = images[order], labels[order]
    expected = prepare_data(images, labels, seed=0)
    folder = save_folder(tmp_path / "data", images, labels)
    for source in (folder, str(folder), tf.data.Dataset.from_tensor_slices((images, labels)).batch(7)):
        prepared = prepare_data(source, seed=0)
        assert prepared.info == expected.info
        assert prepared.fingerprint == expected.fingerprint
        for part, wanted in ((prepared.train, expected.train), (prepared.validation, expected.validation)):
            assert isinstance(part.images, StoredImages)
            np.testing.assert_array_equal(part.images[:], wanted.images)
            np.testing.assert_array_equal(part.codes, wanted.codes)


def test_own_validation_folder_is_scaled_to_the_training_images(tmp_path):
    images, labels = images_and_labels()
    validation = save_folder(tmp_path / "validation", np.repeat(images[:6], 2, axis=1), labels[:6])
    prepared = prepare_data(save_folder(tmp_path / "train", images, labels), validation_data=validation, seed=0)
    assert prepared.validation.image_shape == prepared.train.image_shape == (9, 8, 3)
    assert prepared.validation.num_examples == 6


def test_weights_of_a_stream():
    images, labels = images_and_labels()
    weights = np.arange(1.0, 61.0)
    stream = tf.data.Dataset.from_tensor_slices((images, labels, weights))
    prepared = prepare_data(stream, seed=0)
    expected = prepare_data(images, labels, seed=0, sample_weight=weights)
    np.testing.assert_array_equal(prepared.train.sample_weight, expected.train.sample_weight)


@pytest.mark.parametrize("argument", ["y", "sample_weight"])
def test_labels_beside_a_folder_or_a_stream_are_refused(tmp_path, argument):
    images, labels = images_and_labels(6)
    extra = {argument: np.ones(6)}
    with pytest.raises(InvalidDataError, match=f"`{argument}` must be None where `x` is a folder"):
        prepare_data(save_folder(tmp_path, images, labels), seed=0, **extra)
    with pytest.raises(InvalidDataError, match=f"`{argument}` must be None where `x` is a tf.data.Dataset"):
        prepare_data(tf.data.Dataset.from_tensor_slices((images, labels)), seed=0, **extra)


@pytest.mark.parametrize(
    "make_labels",
    [list, tf.constant, lambda y: np.asarray(y, float), lambda y: tuple(map(float, y))],
)
def test_every_container_of_labels(make_labels):
    images, _ = images_and_labels()
    labels = [3, 5] * 30
    prepared = prepare_data(tf.constant(images), make_labels(labels), seed=0)
    assert prepared.info.classes == (3, 5)
    assert prepared.train.num_examples == 48


def test_class_weights():
    images, labels = images_and_labels()
    plain = prepare_data(images, labels, seed=0)
    assert plain.class_weight is None
    prepared = prepare_data(images, labels, seed=0, class_weight={"cow": 2.0, "ape": 0})
    assert prepared.class_weight.tolist() == [0.0, 1.0, 2.0]
    assert prepared.fingerprint != plain.fingerprint
    weights = prepared.weighted(prepared.train).sample_weight
    assert set(zip(prepared.train.codes.tolist(), weights.round(3).tolist(), strict=True)) == {
        (0, 0.0),
        (1, 1.0),
        (2, 2.0),
    }


@pytest.mark.parametrize(
    ("class_weight", "error", "message"),
    [
        ([1, 2, 3], InvalidTypeError, "`class_weight` must map labels to numbers. Received: class_weight of type list"),
        ({"dog": 1}, InvalidDataError, "must have labels of `y` as keys. Received: class_weight with 'dog'"),
        ({"ape": "much"}, InvalidTypeError, r"must map labels to numbers. Received: class_weight\['ape'\]='much'"),
        ({"ape": -1}, InvalidDataError, r"finite and not negative. Received: class_weight\['ape'\]=-1"),
        ({"ape": float("nan")}, InvalidDataError, "finite and not negative"),
        ({"ape": 0, "bee": 0, "cow": 0}, InvalidDataError, "must not be zero for all classes"),
    ],
)
def test_refused_class_weights(class_weight, error, message):
    images, labels = images_and_labels()
    with pytest.raises(error, match=message):
        prepare_data(images, labels, seed=0, class_weight=class_weight)


@pytest.mark.parametrize(("x", "image_size"), [(np.zeros((4, 2, 2)), 128), ("folder", 225), ("folder", 0)])
def test_refused_image_sizes(x, image_size):
    with pytest.raises(InvalidArgumentError, match=f"`image_size` must be at (least|most).*image_size={image_size}"):
        prepare_data(x, [0, 0, 1, 1], seed=0, image_size=image_size)
