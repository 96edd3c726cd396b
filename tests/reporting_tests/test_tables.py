import numpy as np
import pytest

from automl_keras.reporting import format_table


def test_numbers_stand_on_the_right_and_words_on_the_left():
    rows = [
        {"rank": 1, "source": "file", "accuracy": 0.91725, "latency_ms": None},
        {"rank": 10, "source": "shared_weights", "accuracy": 0.9, "latency_ms": 3.25},
    ]
    assert format_table(rows).splitlines() == [
        "rank  source          accuracy  latency_ms",
        "----  --------------  --------  ----------",
        "   1  file              0.9173           -",
        "  10  shared_weights       0.9        3.25",
    ]


def test_columns_choose_and_order():
    rows = [{"a": 1, "b": "x"}, {"b": "long", "c": 2}]
    assert format_table(rows, ["c", "b"]).splitlines() == ["c  b", "-  ----", "-  x", "2  long"]
    assert format_table(rows).splitlines()[0] == "a  b     c"


def test_no_rows_leave_the_header_and_no_columns_nothing():
    assert format_table([], ["a", "bc"]) == "a  bc\n-  --"
    assert format_table([]) == ""
    assert format_table([{}]) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0"),
        (1234567, "1234567"),
        (0.0, "0"),
        (1.0, "1"),
        (0.123456, "0.1235"),
        (999.96, "1000"),
        (12345.6, "12346"),
        (-12345.6, "-12346"),
        (1e-6, "1e-06"),
        (2.5e12, "2.5e+12"),
        (float("nan"), "nan"),
        (np.float32(0.1), "0.1"),
        (np.int64(7), "7"),
        (True, "True"),
        ("two\n  lines", "two lines"),
        ((3, 3), "(3, 3)"),
    ],
)
def test_a_value_is_written_compactly(value, text):
    assert format_table([{"": value}]).splitlines()[2] == text


def test_truth_values_are_words_and_a_word_turns_its_column_left():
    assert format_table([{"ok": True}, {"ok": False}]).splitlines()[2:] == ["True", "False"]
    assert format_table([{"bits": 4}, {"bits": "mixed"}]).splitlines()[2:] == ["4", "mixed"]
