from dataclasses import dataclass

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from automl_keras.data import DatasetInfo
from automl_keras.quantization.folding import fold_batch_norm
from automl_keras.search_space import build_network, image_space
from automl_keras.training import Limit, train_network

RECIPE = {"optimizer": "adamw", "learning_rate_scale": 1.0, "flip": False, "cutout": 0.0}


@dataclass(frozen=True)
class TrainedDigits:
    info: DatasetInfo
    images: np.ndarray
    codes: np.ndarray
    model: keras.Model
    folded: keras.Model


@pytest.fixture(scope="session")
def trained_digits() -> TrainedDigits:
    """A network of ten layers after a short training on 1,000 of the 1,797 handwritten digits; must not be changed."""
    images, codes = load_digits(return_X_y=True)
    images = np.clip(images.reshape(-1, 8, 8, 1) * 16, 0, 255).astype(np.uint8)
    codes = codes.astype(np.int32)
    classes = tuple(str(digit) for digit in range(10))
    info = DatasetInfo((8, 8, 1), "uint8", (78.0,), (96.0,), (0.0, 255.0), classes, 1000, 797)
    sizes = {"stage0_width": 8, "stage1_width": 16, "stage2_width": 32, "stage1_operation": "mbconv", "stage2_depth": 1}
    space = image_space((8, 8, 1), 10)
    model = build_network(space.network_spec(space.canonical(sizes)), info, seed=0)
    train_network(model, images[:1000], codes[:1000], RECIPE, Limit(steps=150), seed=0)
    return TrainedDigits(info, images, codes, model, fold_batch_norm(model))
