import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from ai_edge_quantizer import qtyping, recipe_manager

from automl_keras.errors import ExportError, InvalidArgumentError, InvalidDataError
from automl_keras.export import TFLiteModel, interpreter, quantize, to_float_tflite
from automl_keras.export.child import ChildRuntime


@pytest.fixture
def data(digits_file) -> bytes:
    return digits_file.read_bytes()


@pytest.fixture(scope="module")
def crashing() -> bytes:
    """A convolution that takes its 2-bit weights for 8-bit ones and reads 110 kB beyond their end."""
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(128, 3)(keras.layers.Concatenate()([inputs] * 128))
    rules = recipe_manager.RecipeManager()
    rules.add_dynamic_config(".*", qtyping.TFLOperationName.CONV_2D, num_bits=2)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    return quantize(to_float_tflite(model), rules.get_quantization_recipe(), {})


@pytest.mark.parametrize("count", [3, 260])
def test_a_child_gives_bit_for_bit_what_this_process_gives(digits, data, count):
    model = TFLiteModel(data)
    for images in (digits.images[:count], digits.images[:count] / 2):
        with ChildRuntime(images) as child:
            for _ in range(2):
                np.testing.assert_array_equal(child.predict(data), model.predict(images))


def test_a_crash_is_an_error_and_the_next_file_runs(digits, data, crashing):
    with ChildRuntime(digits.images[:5]) as child:
        expected = child.predict(data)
        for _ in range(2):
            with pytest.raises(ExportError, match=r"The child process that ran the file ended: SIGSEGV"):
                child.predict(crashing)
        np.testing.assert_array_equal(child.predict(data), expected)


def test_files_are_timed_between_others(digits, data):
    with ChildRuntime(digits.images[:5]) as child:
        expected = child.predict(data)
        assert 0.0 < child.measure_latency(data, seconds=0.001) < 1000.0
        with pytest.raises(ExportError, match="LiteRT could not load the file"):
            child.measure_latency(data[: len(data) // 2], seconds=0.001)
        np.testing.assert_array_equal(child.predict(data), expected)


def test_a_refused_file_is_an_error_and_the_next_file_runs(digits, data):
    with ChildRuntime(digits.images[:5]) as child:
        with pytest.raises(ExportError, match="LiteRT could not load the file: The model is not a valid Flatbuffer"):
            child.predict(b"no model at all")
        assert child.predict(data).shape == (5, 10)


def test_images_of_another_shape_are_an_error(data):
    with (
        ChildRuntime(np.zeros((2, 8, 8, 3), np.uint8)) as child,
        pytest.raises(ExportError, match="LiteRT could not run the file"),
    ):
        child.predict(data)


def test_a_file_that_takes_too_long_is_given_up(digits, data):
    with ChildRuntime(np.repeat(digits.images, 20, axis=0), seconds_per_file=1e-9) as child:
        with pytest.raises(ExportError, match="A file must run within 1e-09 s"):
            child.predict(data)
        child.seconds_per_file = 60.0
        assert len(child.predict(data)) == 20 * len(digits.images)


def test_a_late_start_is_said_to_be_one(digits, data, monkeypatch):
    monkeypatch.setattr("automl_keras.export.child.START_SECONDS", 1e-9)
    with (
        ChildRuntime(digits.images[:5]) as child,
        pytest.raises(ExportError, match=r"LiteRT must start within 1e-09 s\. Received: no answer by then"),
    ):
        child.predict(data)


def test_an_interrupted_file_does_not_answer_for_the_next(digits, data, crashing, monkeypatch):
    def interrupted(stream: object) -> bytes:
        raise KeyboardInterrupt

    with ChildRuntime(digits.images[:5]) as child:
        expected = child.predict(data)
        with monkeypatch.context() as patch:
            patch.setattr(interpreter, "read_frame", interrupted)
            with pytest.raises(KeyboardInterrupt):
                child.predict(data)
        with pytest.raises(ExportError, match="SIGSEGV"):
            child.predict(crashing)
        np.testing.assert_array_equal(child.predict(data), expected)


def test_a_child_that_cannot_start_says_why(digits, data, tmp_path, monkeypatch):
    (tmp_path / "ai_edge_litert").mkdir()
    (tmp_path / "ai_edge_litert" / "__init__.py").write_text("raise OSError('no such wheel')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with (
        ChildRuntime(digits.images[:5]) as child,
        pytest.raises(ExportError, match=re.escape("ended: exit code 1 (OSError: no such wheel)")),
    ):
        child.predict(data)


def test_the_child_imports_neither_tensorflow_nor_this_package(digits, data):
    requests = interpreter.to_bytes(digits.images[:5]), interpreter.RUN + data
    sent = b"".join(interpreter.LENGTH.pack(len(content)) + content for content in requests)
    command = [sys.executable, "-P", "-X", "importtime", interpreter.__file__, "1"]
    child = subprocess.run(command, input=sent, capture_output=True, check=True)
    imported = {line.split(b"|")[-1].strip().split(b".")[0] for line in child.stderr.splitlines() if b"|" in line}
    assert {b"numpy", b"ai_edge_litert"} <= imported
    assert not {b"tensorflow", b"keras", b"automl_keras", b"scipy", b"sklearn"} & imported
    probabilities = child.stdout[-5 * 10 * 4 :]
    assert probabilities == TFLiteModel(data).predict(digits.images[:5]).tobytes()


def test_what_cannot_be_run_is_refused():
    for images in (np.zeros((0, 8, 8, 1)), np.zeros((8, 8, 1))):
        with pytest.raises(InvalidDataError, match="`images` must have the shape"):
            ChildRuntime(images)
    with pytest.raises(InvalidArgumentError, match="Received: seconds_per_file=0"):
        ChildRuntime(np.zeros((1, 8, 8, 1)), seconds_per_file=0)
