import gc

import numpy as np
import pytest

from automl_keras.data import ImageStore, StoredImages, select


@pytest.fixture(params=["uint8", "float32"])
def images(request):
    return np.random.default_rng(0).integers(0, 256, (300, 5, 4, 3)).astype(request.param)


@pytest.fixture
def stored(images):
    store = ImageStore(images.shape[1:], images.dtype)
    for start in range(0, len(images), 70):
        store.append(images[start : start + 70])
    return store.images()


@pytest.mark.parametrize(
    "key",
    [
        7,
        -1,
        np.int64(3),
        slice(None),
        slice(10, 20),
        slice(200, 5, -3),
        slice(5, 5),
        np.array([4, 5, 6, 2, 299, 0, 4]),
        [1, 3],
        np.array([], dtype=int),
        (slice(0, 4), slice(1, 3)),
        (np.array([9, 8]), slice(1, None), slice(None, 2)),
        (3, 1),
    ],
)
def test_indexes_like_an_array(images, stored, key):
    np.testing.assert_array_equal(stored[key], images[key])
    assert stored[key].dtype == images.dtype


def test_has_the_shape_of_an_array(images, stored):
    assert (stored.shape, stored.dtype, stored.size, len(stored)) == (images.shape, images.dtype, images.size, 300)
    np.testing.assert_array_equal(list(stored), images)


def test_selections_stay_in_the_file(images, stored):
    order = np.random.default_rng(1).permutation(300)
    for given in (images, stored):
        selected = select(select(given, order), np.arange(0, 300, 7))
        assert isinstance(selected, type(given))
        np.testing.assert_array_equal(selected[:], images[order][::7])
    joined = stored.select(order[:3]).joined(stored.select([5]))
    np.testing.assert_array_equal(joined[:], images[[*order[:3], 5]])


def test_whole_floats_become_bytes():
    images = np.random.default_rng(0).integers(0, 256, (300, 2, 2, 1)).astype(np.float32)
    store = ImageStore((2, 2, 1), np.float32)
    store.append(images)
    bytes_ = store.as_uint8().images()
    assert bytes_.dtype == np.uint8
    np.testing.assert_array_equal(bytes_[:], images)


def test_views_keep_the_file(images):
    store = ImageStore(images.shape[1:], images.dtype)
    store.append(images)
    view = store.images().select([1, 2])
    del store
    gc.collect()
    assert isinstance(view, StoredImages)
    np.testing.assert_array_equal(view[:], images[1:3])
