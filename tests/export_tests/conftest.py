from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from automl_keras.data import DatasetInfo
from automl_keras.export import export_int8
from automl_keras.search_space import build_network, image_space


@dataclass(frozen=True)
class Digits:
    info: DatasetInfo
    images: np.ndarray
    codes: np.ndarray
    model: keras.Model
    logits: np.ndarray


@pytest.fixture(scope="session")
def digits() -> Digits:
    """A small network trained on handwritten digits for a few seconds: uint8 pixels from 0 to 255."""
    keras.utils.set_random_seed(0)
    images, codes = load_digits(return_X_y=True)
    images = np.clip(images.reshape(-1, 8, 8, 1) * 16, 0, 255).astype(np.uint8)
    info = DatasetInfo(
        image_shape=(8, 8, 1),
        input_dtype="uint8",
        pixel_mean=(float(images.mean()),),
        pixel_std=(float(images.std()),),
        pixel_range=(0.0, 255.0),
        classes=tuple(f"digit {code}" for code in range(10)),
        num_train=1500,
        num_validation=297,
    )
    space = image_space((8, 8, 1), 10)
    sizes = {"stage0_width": 8, "stage1_width": 16, "stage2_width": 32, "stage1_operation": "mbconv", "stage2_depth": 1}
    model = build_network(space.network_spec(space.canonical(sizes)), info, seed=0)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-2), loss, jit_compile=False)
    model.fit(images.astype(np.float32), codes, batch_size=128, epochs=6, verbose=0)
    return Digits(info, images, codes, model, model.predict(images.astype(np.float32), verbose=0))


@pytest.fixture(scope="session")
def digits_file(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The int8 file of `digits`; must not be changed."""
    path = tmp_path_factory.mktemp("digits") / "digits.tflite"
    return export_int8(digits.model, path, digits.info, calibration_images=digits.images, seed=0)


@pytest.fixture
def tiny() -> keras.Model:
    """An untrained network of two layers, for 6x6 images of 3 classes; may be changed."""
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(x))


@pytest.fixture
def tiny_info() -> DatasetInfo:
    return DatasetInfo((6, 6, 1), "uint8", (0.0,), (1.0,), (0.0, 255.0), ("a", "b", "c"), 8, 2)
