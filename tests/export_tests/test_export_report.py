import json
import logging

import numpy as np
import pytest

from automl_keras.errors import InvalidDataError
from automl_keras.export import TFLiteReport, measure_file, runtime_name


def test_a_report_survives_json(digits, digits_file):
    report = measure_file(digits_file, digits.images, digits.codes, keras_predictions=digits.logits)
    assert TFLiteReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report
    assert report.path == str(digits_file)
    assert report.size_kb == digits_file.stat().st_size / 1000
    assert report.runtime == runtime_name()
    assert report.min_runtime == "tflite-runtime 2.14.0"
    assert report.latency_ms > 0
    assert report.warnings == ()


def test_disagreement_with_keras_is_said(digits, digits_file, caplog):
    logits = digits.logits.copy()
    logits[:50] = np.roll(logits[:50], 1, axis=1)
    with caplog.at_level(logging.WARNING):
        report = measure_file(digits_file, digits.images, digits.codes, keras_predictions=logits)
    assert report.agreement == pytest.approx(1 - 50 / 1797, abs=0.01)
    assert "of 1797 images; at least 99% is expected" in report.warnings[0]
    assert report.warnings[0] in caplog.text


def test_lengths_must_fit(digits, digits_file):
    for count, codes in ((0, 0), (5, 4)):
        images, logits = digits.images[:count], digits.logits[:count]
        with pytest.raises(InvalidDataError, match=r"must be of one length, at least 1. Received: lengths="):
            measure_file(digits_file, images, digits.codes[:codes], keras_predictions=logits)
