import keras
import numpy as np

from automl_keras.export import TFLiteModel, to_float_tflite
from automl_keras.export.flatbuffer import operation_name, read


def test_float_file_computes_what_keras_computes(digits):
    images = digits.images[:300].astype(np.float32)
    expected = keras.ops.convert_to_numpy(keras.ops.softmax(digits.logits[:300]))
    np.testing.assert_allclose(TFLiteModel(to_float_tflite(digits.model)).predict(images), expected, atol=1e-5)


def test_batch_norm_is_folded_and_nothing_is_left_over(digits):
    model = read(to_float_tflite(digits.model))
    names = [operation_name(model, operator) for operator in model.subgraphs[0].operators]
    assert names[:2] == ["MUL", "ADD"]  # normalization
    assert names[-3:] == ["MEAN", "FULLY_CONNECTED", "SOFTMAX"]
    assert set(names[2:-3]) == {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD"}
    convs = sum("Conv" in type(layer).__name__ for layer in digits.model.layers)
    assert sum("CONV" in name for name in names) == convs


def test_the_model_is_not_changed(tiny):
    before = tiny.get_weights()
    to_float_tflite(tiny)
    for weight, value in zip(tiny.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, value)
