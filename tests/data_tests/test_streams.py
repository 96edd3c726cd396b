import numpy as np
import pytest
import tensorflow as tf

from automl_keras.data.streams import read_stream, read_stream_images
from automl_keras.errors import InvalidDataError, InvalidTypeError

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 6, 5, 3), dtype=np.uint8)
CODES = np.arange(20) % 3
ONE_HOT = np.eye(3, dtype=np.float32)[CODES]


def dataset(*parts):
    return tf.data.Dataset.from_tensor_slices(parts)


@pytest.mark.parametrize("images", [IMAGES, IMAGES[..., :1], IMAGES[..., 0]], ids=["colour", "grey", "no channel axis"])
@pytest.mark.parametrize("labels", [CODES, ONE_HOT], ids=["codes", "one-hot"])
@pytest.mark.parametrize("batch_size", [None, 7, 20])
def test_batched_or_not(images, labels, batch_size):
    given = dataset(images, labels)
    stream = read_stream(given if batch_size is None else given.batch(batch_size))
    np.testing.assert_array_equal(stream.images[:], images.reshape(20, 6, 5, -1))
    np.testing.assert_array_equal(stream.labels, labels)
    assert stream.sample_weight is None
    assert stream.images.dtype == np.uint8


def test_weights_and_text_labels():
    stream = read_stream(dataset(IMAGES, np.array(["é", "b"])[np.arange(20) % 2], np.arange(20.0)).batch(6))
    assert stream.labels.tolist() == ["é", "b"] * 10
    assert stream.sample_weight.tolist() == list(range(20))


def test_floats_are_bytes_where_that_is_exact():
    floats = IMAGES.astype(np.float32)
    assert read_stream(dataset(floats, CODES).batch(8)).images.dtype == np.uint8
    floats[-1, 0, 0, 0] += 0.5
    images = read_stream(dataset(floats, CODES).batch(8)).images
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images[:], floats)


def test_every_pass_but_one_is_saved():
    passes = []

    def generate():
        passes.append(1)
        yield from zip(IMAGES, CODES, strict=True)

    signature = (tf.TensorSpec((6, 5, 3), tf.uint8), tf.TensorSpec((), tf.int64))
    stream = read_stream(tf.data.Dataset.from_generator(generate, output_signature=signature))
    assert len(stream.images[:]) == len(stream.images[:]) == 20
    assert len(passes) == 1


def ragged():
    signature = (tf.TensorSpec((None, None, 3), tf.uint8), tf.TensorSpec((), tf.int64))
    shapes = [(4, 4, 3), (5, 4, 3)]
    return tf.data.Dataset.from_generator(
        lambda: ((np.zeros(shape, np.uint8), 0) for shape in shapes), output_signature=signature
    )


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: tf.data.Dataset.from_tensor_slices(IMAGES), InvalidTypeError, "pairs"),
        (lambda: tf.data.Dataset.from_tensor_slices({"x": IMAGES, "y": CODES}), InvalidTypeError, "pairs"),
        (lambda: dataset(IMAGES, CODES).repeat(), InvalidDataError, "must end"),
        (lambda: dataset(IMAGES, CODES).take(0), InvalidDataError, "at least one image"),
        (lambda: dataset(IMAGES[..., :2], CODES), InvalidDataError, "1, 3 or 4 channels"),
        (lambda: dataset(np.full((3, 4, 4, 1), np.nan, np.float32), CODES[:3]), InvalidDataError, "finite"),
        (ragged, InvalidDataError, "one shape"),
        (lambda: ragged().batch(1), InvalidDataError, "one shape"),
    ],
)
def test_refused_streams(make, error, message):
    with pytest.raises(error, match=message):
        read_stream(make())


@pytest.mark.parametrize("images", [IMAGES, IMAGES[..., :1], IMAGES[..., 0]], ids=["colour", "grey", "no channel axis"])
@pytest.mark.parametrize("batch_size", [None, 7])
@pytest.mark.parametrize("with_labels", [False, True])
def test_images_alone(images, batch_size, with_labels):
    given = dataset(images, CODES) if with_labels else tf.data.Dataset.from_tensor_slices(images)
    found = read_stream_images(given if batch_size is None else given.batch(batch_size))
    np.testing.assert_array_equal(found[:], images.reshape(20, 6, 5, -1))
