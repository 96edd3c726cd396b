import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from automl_keras.data import (
    MultiLabel,
    MultiLabelCodec,
    Regression,
    ValueCodec,
    codec_from_dict,
    prepare_data,
    read_labelled,
)
from automl_keras.errors import AutoMLError, InvalidDataError, InvalidTypeError

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 6, 6, 1), dtype=np.uint8)


@pytest.mark.parametrize(
    "values",
    [
        np.array([1.5, -2.0, 7.25]),
        np.array([3, 3, 5], np.uint8),
        [1.0, 2, 4],
        np.array([[2000.0], [2001.0], [2010.0]]),
        np.array([[1e6, 0.001], [2e6, 0.002], [4e6, 0.002]], np.float32),
    ],
    ids=["floats", "bytes", "list", "column", "two"],
)
def test_values_come_back_as_they_went_in(values: Any) -> None:
    codec = ValueCodec.fit(values)
    targets = codec.encode(values)
    assert targets.dtype == np.float32 and targets.ndim == 2
    np.testing.assert_allclose(targets.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(targets.std(axis=0), 1.0, rtol=1e-5)
    np.testing.assert_allclose(codec.decode(codec.task.values(targets)), np.asarray(values), rtol=1e-5)
    again = codec_from_dict(json.loads(json.dumps(codec.to_dict())))
    assert isinstance(again, ValueCodec) and (again.task, again.is_flat) == (codec.task, codec.is_flat)


@pytest.mark.parametrize(
    ("values", "error", "text"),
    [
        (["a", "b"], InvalidTypeError, "must hold numbers to predict.*Received: y of type list"),
        ([1.0, None], InvalidTypeError, "none of them missing"),
        ([True, False], InvalidTypeError, "dtype=bool"),
        ([1.0, np.nan, 2.0], InvalidDataError, r"finite numbers. Received: y\[1\]=nan"),
        (np.array([[1.0, 2.0], [3.0, np.inf]]), InvalidDataError, r"Received: y\[1\]=\[3.0, inf\]"),
        (np.zeros((2, 2, 2)), InvalidDataError, r"shape \(n,\) or \(n, values\).*y.shape=\(2, 2, 2\)"),
        ([], InvalidDataError, "not be empty"),
        ([4.0, 4.0], InvalidDataError, "different values to learn. Received: y with nothing but 4"),
        (np.array([[1.0, 5.0], [2.0, 5.0]]), InvalidDataError, "nothing but 5 in column 1"),
        ([1e300, -1e300], InvalidDataError, "finite variance"),
        ([1e40, 3e40], InvalidDataError, "more than float32 resolves"),
        ([1e8, 1e8 + 1, 1e8 + 2], InvalidDataError, "subtract a constant"),
    ],
)
def test_values_that_cannot_be_learnt(values: Any, error: type[AutoMLError], text: str) -> None:
    with pytest.raises(error, match=text):
        ValueCodec.fit(values)


def test_values_have_the_shape_of_those_before() -> None:
    for fitted, other in (([1, 2], [[1], [2]]), ([[1], [2]], [1, 2]), ([[1, 2], [2, 3]], [[1], [2]])):
        with pytest.raises(InvalidDataError, match="as the values trained with"):
            ValueCodec.fit(np.array(fitted)).encode(np.array(other))


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_, np.float32])
def test_rows_of_labels_come_back_as_they_went_in(dtype: type) -> None:
    rows = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1]], dtype)
    codec = MultiLabelCodec.fit(rows)
    targets = codec.encode(rows)
    assert targets.dtype == np.float32 and codec.labels == (0, 1, 2)
    decoded = codec.decode(0.2 + 0.6 * targets)
    assert decoded.dtype == rows.dtype and np.array_equal(decoded, rows)
    assert not codec.decode(np.full((1, 3), 0.5)).any()  # more than half is needed
    again = codec_from_dict(json.loads(json.dumps(codec.to_dict())))
    assert isinstance(again, MultiLabelCodec) and again.to_dict() == codec.to_dict()


@pytest.mark.parametrize(
    ("rows", "error", "text"),
    [
        ([0, 1, 1], InvalidDataError, r"shape \(n, labels\) if images may have several labels.*y.shape=\(3,\)"),
        ([["a", "b"]], InvalidTypeError, "0 or 1 for each label"),
        ([[0, 1], [2, 0]], InvalidDataError, r"Received: y\[1\]=\[2, 0\]"),
        ([[0.0, np.nan]], InvalidDataError, "0 or 1 for each label"),
        (np.zeros((3, 0)), InvalidDataError, r"y.shape=\(3, 0\)"),
    ],
)
def test_rows_that_are_no_labels(rows: Any, error: type[AutoMLError], text: str) -> None:
    with pytest.raises(error, match=text):
        MultiLabelCodec.fit(rows)


def test_other_rows_than_before() -> None:
    with pytest.raises(InvalidDataError, match="must have 2 columns"):
        MultiLabelCodec.fit([[0, 1]]).encode([[0, 1, 0]])


def test_data_of_values_are_divided_at_random() -> None:
    values = np.linspace(5, 9, 40)
    data = prepare_data(IMAGES, values, seed=0, codec_class=ValueCodec)
    assert (data.train.num_examples, data.validation.num_examples, data.info.num_outputs) == (32, 8, 1)
    assert isinstance(data.info.task, Regression) and data.info.classes == ()
    assert data.info.described == "with a value each"
    everything = np.concatenate([data.train.codes, data.validation.codes])[:, 0]
    np.testing.assert_allclose(np.sort(everything) * values.std() + values.mean(), values, rtol=1e-5)
    other = prepare_data(IMAGES, 2 * values, seed=0, codec_class=ValueCodec)  # the same targets in other units
    assert other.fingerprint != data.fingerprint


def test_rare_labels_are_on_both_sides() -> None:
    rows = np.zeros((40, 5), int)
    rows[:, 0], rows[:4, 3] = 1, 1
    for seed in range(5):
        data = prepare_data(IMAGES, rows, seed=seed, codec_class=MultiLabelCodec)
        assert data.train.codes[:, 3].sum() == 3 and data.validation.codes[:, 3].sum() == 1


def test_weights_of_labels_belong_to_the_loss() -> None:
    rows = (np.random.default_rng(1).random((40, 3)) < 0.5).astype(int)
    data = prepare_data(IMAGES, rows, seed=0, codec_class=MultiLabelCodec, class_weight={2: 4.0})
    assert data.info.task == MultiLabel((0.5, 0.5, 2.0))
    assert data.class_weight is None and data.weighted(data.train) is data.train
    with pytest.raises(InvalidDataError, match=r"labels of `y` as keys\. Received: class_weight with 'cat'"):
        prepare_data(IMAGES, rows, seed=0, codec_class=MultiLabelCodec, class_weight={"cat": 2.0})


@pytest.mark.parametrize("codec_class", [ValueCodec, MultiLabelCodec])
def test_folders_name_classes(codec_class: Any, tmp_path: Path) -> None:
    y = np.arange(40.0) if codec_class is ValueCodec else np.eye(40)
    text = "the sub-folders of a folder name one class"
    with pytest.raises(InvalidDataError, match=rf"`x` must be an array.*{text}"):
        prepare_data(tmp_path, seed=0, codec_class=codec_class)
    with pytest.raises(InvalidDataError, match=rf"`validation_data` must be an array.*{text}"):
        prepare_data(IMAGES, y, tmp_path, seed=0, codec_class=codec_class)
    with pytest.raises(InvalidDataError, match=text):
        read_labelled(tmp_path, None, None, codec_class.fit(y), (6, 6, 1))


def test_rows_that_are_all_the_same() -> None:
    with pytest.raises(InvalidDataError, match=r"some images have and others have not.*40 rows like \[0, 1\]"):
        prepare_data(IMAGES, np.tile([0, 1], (40, 1)), seed=0, codec_class=MultiLabelCodec)


@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("width", [None, 3])
def test_values_of_a_stream(batched: bool, width: int | None) -> None:
    values = np.random.default_rng(2).normal(7, 3, (40,) if width is None else (40, width))
    stream = tf.data.Dataset.from_tensor_slices((IMAGES, values))
    data = prepare_data(stream.batch(16) if batched else stream, seed=0, codec_class=ValueCodec)
    expected = prepare_data(IMAGES, values, seed=0, codec_class=ValueCodec)
    assert data.info == expected.info and np.array_equal(data.train.codes, expected.train.codes)
    assert data.codec.to_dict() == expected.codec.to_dict()
