from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from automl_keras.errors import InvalidArchitectureError, InvalidArgumentError, InvalidDataError
from automl_keras.export import TFLiteModel
from automl_keras.quantization.fake_quant import FakeQuantModel
from automl_keras.quantization.fine_tuning import fine_tune
from automl_keras.quantization.policy_files import PolicyFiles
from automl_keras.training import Limit
from tests.quantization_tests.conftest import TrainedDigits
from tests.quantization_tests.networks import pixels

PIXELS = (0.0, 255.0)
CODES = np.arange(64, dtype=np.int32) % 4


def small(*, softmax: bool = False) -> keras.Model:
    inputs = keras.Input((8, 8, 3))
    x = layers.Rescaling(1 / 128, -1.0)(inputs)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu", name="conv")(x))
    return keras.Model(inputs, layers.Dense(4, activation="softmax" if softmax else None, name="logits")(x))


def tuned(folded: keras.Model, policy: Mapping[str, Any], **settings: Any) -> FakeQuantModel:
    fake_quant = FakeQuantModel(folded)
    fake_quant.calibrate(pixels(64), seed=0, pixel_range=PIXELS)
    settings = {"teacher": folded, "seed": 0, "batch_size": 16, **settings}
    fine_tune(fake_quant, policy, pixels(64), CODES, Limit(steps=3), **settings)
    return fake_quant


def test_steps_and_seed_repeat_a_fine_tuning():
    folded, policy = small(), {"conv": 3, "logits": 2}
    first, again = (tuned(folded, policy).model.get_weights() for _ in range(2))
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))


def test_the_policy_stays_and_the_float_network_is_left_alone():
    folded = small(softmax=True)
    before = folded.get_weights()
    fake_quant = tuned(folded, {"conv": 2})
    hardened = fake_quant.hardened()
    assert hardened.layers[-1].activation is keras.activations.softmax
    kernel = hardened.get_layer("conv").get_weights()[0]
    assert all(len(np.unique(np.abs(kernel[..., channel]))) <= 2 for channel in range(4))  # -s, 0, s
    assert not np.array_equal(fake_quant.model.get_layer("conv").layer.get_weights()[0], before[0])
    assert all(np.array_equal(old, new) for old, new in zip(before, folded.get_weights(), strict=True))


def test_bad_input_is_refused_before_training():
    fake_quant = FakeQuantModel(small())
    settings = {"teacher": small(), "seed": 0}
    with pytest.raises(InvalidArgumentError, match="calibrated"):
        fine_tune(fake_quant, {}, pixels(64), CODES, Limit(steps=1), **settings)
    fake_quant.calibrate(pixels(64), seed=0, pixel_range=PIXELS)
    with pytest.raises(InvalidArchitectureError, match="unknown=8"):
        fine_tune(fake_quant, {"unknown": 8}, pixels(64), CODES, Limit(steps=1), **settings)
    with pytest.raises(InvalidDataError, match="one length"):
        fine_tune(fake_quant, {}, pixels(64), CODES[:5], Limit(steps=1), **settings)
    with pytest.raises(InvalidArgumentError, match="learning_rate=0"):
        fine_tune(fake_quant, {}, pixels(64), CODES, Limit(steps=1), learning_rate=0, **settings)


@pytest.mark.slow
@pytest.mark.parametrize(("bits", "gain"), [(2, 0.3), (4, 0.02)])
def test_fine_tuning_makes_up_for_few_bits(trained_digits: TrainedDigits, bits: int, gain: float):
    digits, train, test = trained_digits, slice(0, 1000), slice(1000, None)
    fake_quant = FakeQuantModel(digits.folded)
    policy = {
        name: bits if name == "logits" or "mb1" in name or "mb3" in name else max(bits, 3)
        for name in fake_quant.kernels
    }
    calibration = {"seed": 0, "pixel_range": PIXELS}
    fake_quant.calibrate(digits.images[train], **calibration)
    fake_quant.set_policy(policy)
    before = np.mean(fake_quant.predict(digits.images[test]).argmax(axis=1) == digits.codes[test])
    limit = Limit(steps=100)
    fine_tune(fake_quant, policy, digits.images[train], digits.codes[train], limit, teacher=digits.model, seed=0)
    fake_quant.calibrate(digits.images[train], policy=policy, **calibration)
    after = np.mean(fake_quant.predict(digits.images[test]).argmax(axis=1) == digits.codes[test])
    assert after >= before + gain
    files = PolicyFiles(
        fake_quant.hardened(),
        digits.info,
        digits.images[train],
        profile="litert>=2.1.6",
        seed=0,
        bits={name: (width, 8) for name, width in policy.items()},
    )
    in_file = TFLiteModel(files.export(policy)).predict(digits.images[test])
    assert np.mean(in_file.argmax(axis=1) == fake_quant.predict(digits.images[test]).argmax(axis=1)) >= 0.97
