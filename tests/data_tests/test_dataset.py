import numpy as np
import pytest

from automl_keras.data import Dataset, DatasetInfo, ImageStore, LabelCodec, PreparedData


def test_dataset_batches_in_order():
    images = np.random.default_rng(0).integers(0, 256, (5, 9, 8, 3), dtype=np.uint8)
    data = Dataset(images, np.arange(5, dtype=np.int32), np.linspace(0, 1, 5, dtype=np.float32))
    batches = list(data.batches(2))
    assert [len(batch.images) for batch in batches] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([batch.images for batch in batches]), images)
    assert np.concatenate([batch.codes for batch in batches]).tolist() == [0, 1, 2, 3, 4]
    assert np.concatenate([batch.sample_weight for batch in batches]).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert next(Dataset(images, data.codes).batches(2)).sample_weight is None


def test_dataset_takes_examples_in_the_given_order():
    images = np.random.default_rng(0).integers(0, 256, (5, 9, 8, 3), dtype=np.uint8)
    part = Dataset(images, np.arange(5, dtype=np.int32), np.arange(5, dtype=np.float32)).take(np.array([4, 1]))
    assert (part.num_examples, part.image_shape) == (2, (9, 8, 3))
    np.testing.assert_array_equal(part.images, images[[4, 1]])
    assert part.codes.tolist() == [4, 1]
    assert part.sample_weight.tolist() == [4, 1]


@pytest.mark.parametrize("stored", [False, True])
def test_datasets_of_one_source_are_joined(stored):
    images = np.arange(5 * 4, dtype=np.uint8).reshape(5, 2, 2, 1)
    given = images
    if stored:
        store = ImageStore((2, 2, 1), np.uint8)
        store.append(images)
        given = store.images()
    whole = Dataset(given, np.arange(5), np.arange(5.0))
    joined = whole.take(np.array([3, 0])).joined(whole.take(np.array([4])))
    np.testing.assert_array_equal(joined.images[:], images[[3, 0, 4]])
    assert joined.codes.tolist() == joined.sample_weight.tolist() == [3, 0, 4]
    assert isinstance(joined.images, type(given))


def test_weights_of_losses_are_one_on_average():
    info = DatasetInfo((1, 1, 1), "uint8", (0.0,), (1.0,), (0.0, 1.0), (5, 7), 4, 4)

    def loss_weights(sample_weight, class_weight):
        data = Dataset(np.zeros((4, 1, 1, 1)), np.array([0, 0, 0, 1]), sample_weight)
        prepared = PreparedData(data, data, info, LabelCodec([5, 7], "int64"), class_weight, "")
        return prepared.weighted(data).sample_weight

    assert loss_weights(None, None) is None
    assert loss_weights(np.array([1, 1, 1, 5]), None).tolist() == [0.5, 0.5, 0.5, 2.5]
    assert loss_weights(None, np.array([1.0, 5.0])).tolist() == [0.5, 0.5, 0.5, 2.5]
    assert loss_weights(np.array([2, 1, 1, 0.5]), np.array([1.0, 8.0])).tolist() == [1.0, 0.5, 0.5, 2.0]
