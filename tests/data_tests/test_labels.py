import json

import numpy as np
import pytest

from automl_keras.data import LabelCodec
from automl_keras.errors import InvalidDataError, InvalidTypeError


@pytest.mark.parametrize(
    "labels",
    [
        np.array([7, 3, 3, 7]),
        np.array([7, 3, 3, 250], dtype=np.uint8),
        np.array([-1, 5, -1, 5], dtype=np.int16),
        np.array(["cat", "ox", "ox", "cat"]),
        np.array(["cat", "ox", "ox", "cat"], dtype=object),
        np.array([2, 1, 1, 2], dtype=object),
        np.array([True, False, False, True]),
        np.array([1.0, 3.0, 3.0, 1.0], dtype=np.float32),
    ],
)
def test_labels_come_back_as_they_went_in(labels):
    codec = LabelCodec.fit(labels)
    codes = codec.encode(labels)
    assert codes.dtype == np.int32
    assert codec.classes_.tolist() == sorted(set(labels.tolist()))
    assert [codec.classes_[code] for code in codes] == labels.tolist()
    decoded = codec.decode(codes)
    assert decoded.dtype == labels.dtype
    np.testing.assert_array_equal(decoded, labels)


@pytest.mark.parametrize(
    ("labels", "kind"), [([3, 1, 3], "i"), (["a", "bb"], "U"), ([True, False], "b"), ([2.0, 1], "f"), (("x", "y"), "U")]
)
def test_lists_become_arrays_of_their_kind(labels, kind):
    codec = LabelCodec.fit(labels)
    decoded = codec.decode(codec.encode(labels))
    assert decoded.dtype.kind == kind
    assert decoded.tolist() == list(labels)


def test_a_column_counts_as_one_dimensional():
    codec = LabelCodec.fit(np.array([[4], [2], [4]]))
    assert not codec.one_hot
    assert codec.encode([[2], [4]]).tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.uint8, np.bool_])
def test_one_hot_rows_come_back(dtype):
    rows = np.eye(4, dtype=dtype)[[2, 0, 2, 1]]  # column 3 is a class without examples
    codec = LabelCodec.fit(rows)
    assert codec.one_hot
    assert codec.classes_.tolist() == [0, 1, 2, 3]
    assert codec.encode(rows).tolist() == [2, 0, 2, 1]
    decoded = codec.decode([2, 0, 2, 1])
    assert decoded.dtype == dtype
    np.testing.assert_array_equal(decoded, rows)


def test_one_hot_lists():
    assert LabelCodec.fit([[0, 1], [1, 0]]).encode([[0, 1]]).tolist() == [1]


@pytest.mark.parametrize(
    "labels",
    [["b", "a"], [1, 5], [True, False], [1.0, 2.0], np.array(["b", "a"], dtype=object), np.eye(3, dtype=np.float32)],
)
def test_json_round_trip(labels):
    codec = LabelCodec.fit(labels)
    copy = LabelCodec.from_dict(json.loads(json.dumps(codec.to_dict())))
    codes = copy.encode(labels)
    np.testing.assert_array_equal(codes, codec.encode(labels))
    assert copy.decode(codes).dtype == codec.decode(codes).dtype
    np.testing.assert_array_equal(copy.decode(codes), codec.decode(codes))


def test_numpy_scalars_in_an_object_array_reach_json():
    codec = LabelCodec.fit(np.array([np.int64(3), np.int64(1)], dtype=object))
    assert json.loads(json.dumps(codec.to_dict()))["classes"] == [1, 3]


def test_unknown_labels_are_named():
    codec = LabelCodec.fit(["cat", "dog"])
    with pytest.raises(InvalidDataError, match=r"`y_test`.*\['cat', 'dog'\].*unknown labels \['eel', 'fox'\]"):
        codec.encode(["cat", "fox", "eel"], "y_test")
    with pytest.raises(InvalidDataError, match=r"unknown labels \[0, 9\]"):
        LabelCodec.fit([1, 5]).encode([9, 1, 0])
    with pytest.raises(InvalidDataError, match="and 15 more"):
        LabelCodec.fit([1, 5]).encode(np.arange(10, 35))


def test_labels_of_another_kind_are_unknown():
    with pytest.raises(InvalidDataError, match=r"unknown labels \['1'\]"):
        LabelCodec.fit([1, 5]).encode(["1"])
    with pytest.raises(InvalidDataError, match=r"unknown labels \[1\]"):
        LabelCodec.fit(["1", "5"]).encode([1])


def test_numbers_match_by_value():
    assert LabelCodec.fit([1, 5]).encode([5.0, 1.0]).tolist() == [1, 0]


def test_one_hot_and_plain_labels_do_not_mix():
    with pytest.raises(InvalidDataError, match="one-hot with 3 columns"):
        LabelCodec.fit(np.eye(3)).encode([0, 1])
    with pytest.raises(InvalidDataError, match="one-hot with 3 columns"):
        LabelCodec.fit(np.eye(3)).encode(np.eye(4))
    with pytest.raises(InvalidDataError, match="must not be one-hot"):
        LabelCodec.fit([0, 1]).encode(np.eye(2))


@pytest.mark.parametrize(
    "labels",
    [
        np.array([0.0, np.nan]),
        np.array([0.0, np.inf]),
        [0, None],
        ["a", None],
        ["a", float("nan")],
        np.array(["a", np.nan], dtype=object),
        np.array([1, np.nan], dtype=object),
    ],
)
def test_missing_labels_are_refused(labels):
    with pytest.raises(InvalidDataError, match="`y` must have no missing labels"):
        LabelCodec.fit(labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.5, 1.0], "whole numbers. Received: y with 0.5"),
        (np.array([1, 2.5], dtype=object), "whole numbers. Received: y with 2.5"),
        (["a", 1], "of one kind"),
        ([True, 2], "of one kind"),
        ([], "at least one label"),
        (3, "must have the shape"),
        (np.zeros((2, 2, 2)), "must have the shape"),
        ([[1, 1], [0, 1]], r"exactly one 1.*y\[0\]=\[1, 1\]"),
        ([[1, 0], [0, 0]], r"exactly one 1.*y\[1\]=\[0, 0\]"),
        ([[1, 0], [0.9, 0.1]], "exactly one 1"),
        (np.array([[1.0, np.nan]]), "exactly one 1"),
        ([["a", "b"]], "one-hot numbers"),
    ],
)
def test_unusable_labels_are_refused(labels, message):
    with pytest.raises(InvalidDataError, match=message):
        LabelCodec.fit(labels)


@pytest.mark.parametrize(
    "labels", [[[1, 2], [3]], [b"a", b"b"], np.array([b"a"]), [1j, 2j], [{}, {}], np.array(["2020-01-01"], "M8[D]")]
)
def test_types_that_name_no_class_are_refused(labels):
    with pytest.raises(InvalidTypeError, match="`y` must hold integers, floats, bools or strings"):
        LabelCodec.fit(labels)


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (["a b", "a  b"], r"differ in more than white space. Received: y with 'a  b' and 'a b'"),
        (["a", "a\n"], r"differ in more than white space. Received: y with 'a' and 'a\n'"),
        (["\udcff", "b"], r"Unicode letters, also where they are names of folders. Received: y with '\udcff'"),
    ],
)
def test_texts_that_a_file_of_labels_cannot_hold(labels: list[str], text: str) -> None:
    with pytest.raises(InvalidDataError) as raised:
        LabelCodec.fit(labels)
    assert text in str(raised.value)
    assert LabelCodec.fit(["a b", "ab", "\u00e9"]).classes_.tolist() == ["a b", "ab", "\u00e9"]
