import re

import numpy as np
import pytest

from automl_keras.errors import ExportError, InvalidDataError
from automl_keras.export import TFLiteModel, measure_latency, runtime_name
from automl_keras.export.flatbuffer import input_tensor, output_tensor, read, serialize


@pytest.fixture
def data(digits_file) -> bytes:
    return digits_file.read_bytes()


def test_batches_give_what_single_images_give(digits, data):
    images = digits.images[:260]  # more than one batch, the last one smaller
    model = TFLiteModel(data)
    single = np.concatenate([model.predict(image[None]) for image in images])
    np.testing.assert_array_equal(model.predict(images), single)
    assert single.shape == (260, 10)
    assert single.dtype == np.float32


def test_integer_valued_floats_are_taken_for_uint8(digits, data):
    model, images = TFLiteModel(data), digits.images[:5]
    np.testing.assert_array_equal(model.predict(images.astype(np.float64) + 0.2), model.predict(images))


def test_integer_input_and_output_are_converted(digits, data):
    """The same network with the types at its ends cut back to int8."""
    model = read(data)
    graph = model.subgraphs[0]
    first, last = graph.operators[0], graph.operators[-2]
    graph.inputs, graph.outputs = list(first.outputs), list(last.inputs)
    graph.operators = graph.operators[1:-2]
    model.signatureDefs = None
    assert input_tensor(model).type == output_tensor(model).type == 9  # INT8
    logits = TFLiteModel(serialize(model)).predict(digits.images[:200])
    assert logits.dtype == np.float32
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(TFLiteModel(data).predict(digits.images[:200]), expected, atol=1e-5)


def test_no_images_give_no_rows(digits, data):
    assert TFLiteModel(data).predict(digits.images[:0]).shape == (0, 10)


def test_images_of_another_shape_are_refused(data):
    with pytest.raises(
        InvalidDataError, match=re.escape("`images` must have the shape (n, 8, 8, 1). Received: images")
    ):
        TFLiteModel(data).predict(np.zeros((2, 8, 8), np.uint8))


def test_what_is_no_model_is_refused(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(b"no model at all")
    for source in (path, path.read_bytes(), tmp_path / "missing.tflite"):
        with pytest.raises(ExportError, match="LiteRT could not load the file"):
            TFLiteModel(source)


def test_latency_is_positive_and_bounded(data):
    assert 0 < measure_latency(data, seconds=0.02) < 1000


def test_runtime_has_a_version():
    assert re.fullmatch(r"ai-edge-litert \d+\.\d+\.\d+", runtime_name())
