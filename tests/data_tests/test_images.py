import numpy as np
import pytest

from automl_keras.data import check_images, image_blocks, images_at_once, pixel_statistics
from automl_keras.errors import InvalidDataError, InvalidTypeError


def random_images(shape=(5, 6, 7, 3), seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_uint8_and_float32_are_not_copied():
    pixels = random_images()
    fractions = pixels.astype(np.float32) / 255
    assert check_images(pixels) is pixels
    assert check_images(fractions) is fractions
    assert np.shares_memory(check_images(pixels[..., 0]), pixels)


def test_grey_images_get_a_channel_axis():
    pixels = random_images((5, 6, 7))
    images = check_images(pixels)
    assert images.shape == (5, 6, 7, 1)
    np.testing.assert_array_equal(images[..., 0], pixels)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int16, np.int64, np.uint16])
def test_whole_numbers_within_a_byte_are_stored_as_bytes(dtype):
    pixels = random_images()
    images = check_images(pixels.astype(dtype))
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, pixels)


@pytest.mark.parametrize("value", [0.5, -1, 256, 1e30])
def test_one_other_value_makes_it_float32(value):
    pixels = random_images().astype(np.float64)
    pixels[4, 5, 6, 2] = value
    images = check_images(pixels)
    assert images.dtype == np.float32
    np.testing.assert_array_equal(images, pixels.astype(np.float32))


def test_bools_are_zeros_and_ones():
    images = check_images(random_images() > 99)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, random_images() > 99)


def test_lists_and_strided_arrays():
    pixels = random_images()
    np.testing.assert_array_equal(check_images([list(image) for image in pixels.astype(int)]), pixels)
    np.testing.assert_array_equal(check_images(pixels[::2, ::-1]), pixels[::2, ::-1])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])
@pytest.mark.parametrize("index", [0, 299])
def test_values_that_are_not_finite_are_refused_wherever_they_are(value, index):
    pixels = np.zeros((300, 100, 100))  # several blocks
    pixels[index, 50, 50] = value
    with pytest.raises(InvalidDataError, match="`x_test` must have finite pixel values") as caught:
        check_images(pixels, "x_test")
    assert f"{index}" in str(caught.value)


@pytest.mark.parametrize(
    "shape", [(4,), (4, 4), (2, 4, 4, 2), (2, 4, 4, 5), (2, 4, 4, 3, 1), (0, 4, 4), (2, 0, 4), (2, 4, 0, 3), ()]
)
def test_other_shapes_are_refused(shape):
    with pytest.raises(InvalidDataError, match=r"`x` must h.* Received: x.shape=\("):
        check_images(np.zeros(shape))


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((2, 4, 4), dtype=complex),
        np.zeros((2, 4, 4), dtype=object),
        np.full((2, 4, 4), "a"),
        np.zeros((2, 4, 4), dtype="M8[s]"),
        "images",
        None,
        {"x": 1},
    ],
)
def test_other_types_are_refused(x):
    with pytest.raises(InvalidTypeError, match="`x` must be an array of integers, floats or bools"):
        check_images(x)


def test_ragged_images_are_refused():
    with pytest.raises(InvalidDataError, match="`x` must have one shape"):
        check_images([np.zeros((4, 4)), np.zeros((5, 4))])


@pytest.mark.parametrize(
    ("shape", "expected"), [((28, 28, 1), 128), ((112, 112, 3), 128), ((224, 224, 3), 32), ((5000, 5000, 3), 1)]
)
def test_fewer_large_images_are_handled_at_once(shape, expected):
    assert images_at_once(128, shape) == expected


def test_blocks_cover_every_image_once():
    images = np.zeros((10, 4, 5, 3))
    blocks = list(image_blocks(images, block_pixels=130))
    assert blocks == [slice(0, 2), slice(2, 4), slice(4, 6), slice(6, 8), slice(8, 10)]
    assert list(image_blocks(images, block_pixels=1))[3] == slice(3, 4)
    assert list(image_blocks(images[:0])) == []


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_statistics_are_those_of_all_pixels(dtype):
    images = np.repeat(random_images((700, 40, 30, 3)), 2, axis=1).astype(dtype)  # several blocks
    images[..., 1] //= 2
    mean, std, pixel_range = pixel_statistics(images)
    np.testing.assert_allclose(mean, images.mean(axis=(0, 1, 2), dtype=np.float64), rtol=1e-9)
    np.testing.assert_allclose(std, images.std(axis=(0, 1, 2), dtype=np.float64), rtol=1e-9)
    assert pixel_range == (images.min(), images.max())


def test_a_small_variance_far_from_zero_is_kept():
    images = np.float32(30_000) + random_images((50, 8, 8, 1)).astype(np.float32) / 256
    exact = images.astype(np.float64)
    mean, std, _ = pixel_statistics(images)
    np.testing.assert_allclose((*mean, *std), (exact.mean(), exact.std()), rtol=1e-9)


def test_constant_channels_have_a_usable_deviation():
    images = random_images()
    images[..., 2] = 7
    mean, std, pixel_range = pixel_statistics(images)
    assert mean[2] == 7
    assert std[2] == pytest.approx((pixel_range[1] - pixel_range[0]) / 1000)
    assert pixel_statistics(np.full((2, 3, 3, 1), 9, dtype=np.uint8)) == ((9.0,), (1.0,), (9.0, 9.0))
